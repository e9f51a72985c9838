//! Huge pages, as Proxmox has them: `hugepages: 1024`, for all of the guest.
//!
//! Proxmox takes the pages when the VM starts, and gives back what it took
//! when it stops. It needs the guest's nodes for it, and refuses host nodes of
//! two digits.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use super::needs;
use crate::base::{NodeId, PageSize};
use crate::model::Fact;
use crate::model::policy::Pages;

/// The largest host node that Proxmox counts pages of.
const LAST_NODE: u32 = 9;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let Some(size) = cx.placement.pages else { return do_without(cx) };
    let value = match size {
        PageSize::TWO_MIB => "2",
        PageSize::ONE_GIB => "1024",
        other => {
            return Verdict::Advise(vec![format!(
                "Proxmox has pages of 2 MiB and of 1 GiB, not of {other}"
            )]);
        }
    };
    let far = |node: &NodeId| node.0 > LAST_NODE;
    if let Some(node) = cx.placement.memory_nodes().iter().find(far) {
        return Verdict::Advise(vec![format!(
            "Proxmox counts huge pages of nodes 0 to {LAST_NODE} only, and \
             the VM is on node {node}: it would not start with them"
        )]);
    }
    if !cx.lists_nodes() {
        return Verdict::Advise(vec![
            "Proxmox gives huge pages only to a VM whose NUMA nodes are \
             listed, and numa-cells does not list them"
                .to_owned(),
        ]);
    }
    let because = format!("the plan needs {}", needs(cx, size));
    let edits = vec![Edit::set(key("hugepages"), value, because)];
    Verdict::Change { edits, advice: Vec::new() }
}

/// Takes away pages that the placement does not give.
fn do_without(cx: &Context<'_>) -> Verdict {
    let own = cx.domain.has_hugepages();
    let remove = |because: String| Verdict::Change {
        edits: vec![Edit::remove(key("hugepages"), because)],
        advice: Vec::new(),
    };
    if cx.policy.memory.pages == Pages::None {
        return match own {
            true => remove("the policy says memory.pages = none".to_owned()),
            false => Verdict::Satisfied("ordinary pages".to_owned()),
        };
    }
    if let Fact::Unknown { unknown } = &cx.facts.memory.hugepages {
        let fact = "huge page pools";
        return Verdict::Unknown { fact, why: unknown.clone() };
    }
    let remedy = super::remedy(cx);
    match own {
        true => remove(format!(
            "too few huge pages are free: {}",
            remedy.join("; ")
        )),
        false => Verdict::Advise(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;
    use crate::base::{NodeId, PageSize};

    #[test]
    fn pages_of_both_sizes_are_written() {
        let mut case = Case::intel(&[1, 2], 1).proxmox();
        for (size, value) in
            [(PageSize::TWO_MIB, "2"), (PageSize::ONE_GIB, "1024")]
        {
            case.placement.pages = Some(size);
            assert_eq!(case.edits(&RULE), [format!("hugepages = {value}")]);
        }
    }

    /// Trap 22: Proxmox reads one digit of a host node.
    #[test]
    fn a_node_of_two_digits_has_no_huge_pages() {
        let mut case = Case::intel(&[1, 2], 1).proxmox();
        case.placement.pages = Some(PageSize::ONE_GIB);
        case.placement.cells[0].memory_node = NodeId(10);
        assert!(case.edits(&RULE).is_empty());
        assert!(case.advice(&RULE)[0].contains("node 10"));
    }
}
