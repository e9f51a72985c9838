//! Sets the host nodes that the guest's memory comes from: `<numatune>`.
//!
//! Without it the kernel takes memory from the node of whichever thread
//! touches a page first, and from any other when that one is full; a pinned
//! vCPU then reads over the interconnect for as long as the guest runs.
//! `strict` makes the node a promise. It hurts where the node is full: the
//! guest does not start, or the kernel kills it, instead of becoming slow.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::NodeSet;
use crate::model::CellPlacement;
use crate::model::domain::Memnode;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "numa-memory",
    group: Group::GuestMemory,
    why: "Memory on the node of the CPUs that use it is read without \
          crossing the interconnect.",
    hurts: "A guest whose node has too little free memory does not start, \
            or is killed when the node runs out, where it would have been \
            slow.",
    folklore: "`<page nodeset>` of `<hugepages>` is often taken for this \
               setting; it names guest nodes. `placement='auto'` asks numad \
               once, at start, and knows nothing of the pins.",
    sources: &[
        "libvirt formatdomain: NUMA Node Tuning",
        "Linux Documentation/admin-guide/mm/numa_memory_policy.rst",
    ],
    level: Level::Plan,
    owns: &["/domain/numatune"],
    evaluate: Evaluate::Vm(evaluate),
};

/// What libvirt reads where an element has no `mode`.
const DEFAULT_MODE: &str = "strict";

fn evaluate(cx: &Context<'_>) -> Verdict {
    let nodes = cx.placement.memory_nodes();
    if nodes.is_empty() {
        return Verdict::NotApplicable("the placement names no node");
    }
    let mut edits = memory(cx, &nodes);
    edits.extend(memnodes(cx));
    if edits.is_empty() {
        return Verdict::Satisfied(format!("memory comes from node {nodes}"));
    }
    Verdict::Change { edits, advice: Vec::new() }
}

/// Returns whether memory from elsewhere would break what the plan promises:
/// CPUs of the VM's own, or pages that were counted on one node.
fn must_be_strict(cx: &Context<'_>) -> bool {
    cx.placement.exclusive || cx.will_have_hugepages()
}

/// Returns the mode of `<memory>`: a user's softer one stays where CPUs and
/// pages are shared.
fn mode<'a>(cx: &Context<'a>) -> &'a str {
    let own =
        cx.domain.numatune.memory.as_ref().and_then(|m| m.mode.as_deref());
    own.filter(|_| !must_be_strict(cx)).unwrap_or("strict")
}

fn memory(cx: &Context<'_>, nodes: &NodeSet) -> Vec<Edit> {
    let path = || at("numatune/memory");
    let reason = format!("the plan takes the guest's memory from node {nodes}");
    let mode = mode(cx);
    let Some(own) = &cx.domain.numatune.memory else {
        return vec![
            Edit::set(path().attribute("mode"), mode, &reason),
            Edit::set(path().attribute("nodeset"), nodes.to_string(), &reason),
        ];
    };
    let mut edits = Vec::new();
    let auto = own.placement.as_deref() == Some("auto");
    if auto {
        let because = format!("{reason}; numad would choose for itself");
        edits.push(Edit::remove(path().attribute("placement"), because));
    }
    let own_mode = own.mode.as_deref().unwrap_or(DEFAULT_MODE);
    if own_mode != mode {
        let because = format!(
            "{reason}; mode '{own_mode}' lets pages come from other nodes"
        );
        edits.push(Edit::set(path().attribute("mode"), mode, because));
    }
    if own.nodeset.as_ref() != Some(nodes) {
        let absent = own.nodeset.iter().flat_map(NodeSet::iter);
        let absent: NodeSet =
            absent.filter(|n| cx.facts.topology.node(*n).is_none()).collect();
        let because = if absent.is_empty() {
            reason
        } else {
            let origin = &cx.facts.topology.origin;
            format!("{reason}; the host has no node {absent} ({origin})")
        };
        let nodes = nodes.to_string();
        edits.push(Edit::set(path().attribute("nodeset"), nodes, because));
    }
    edits
}

/// Binds each cell of a guest with several; the whole guest is bound anyway
/// where it has one, and libvirt refuses `<memnode>` where it has none.
fn memnodes(cx: &Context<'_>) -> Vec<Edit> {
    let path = |id| at("numatune/memnode").with("cellid", id);
    let cells = &cx.placement.cells;
    let own = &cx.domain.numatune.memnodes;
    let will_be = cx.level(&super::numa_cells::RULE) == Level::Plan
        || !cx.domain.cells().is_empty();
    let kept = |cell: &&CellPlacement| {
        (cells.len() > 1 && will_be)
            || (own.contains_key(&cell.id) && !cx.domain.cells().is_empty())
    };
    let mut edits = Vec::new();
    for cell in cells.iter().filter(kept) {
        let (id, node) = (cell.id, cell.memory_node);
        let old = own.get(&id);
        let mode = cell_mode(cx, old);
        let because = format!("the plan puts guest node {id} on node {node}");
        let old_mode =
            old.map(|old| old.mode.as_deref().unwrap_or(DEFAULT_MODE));
        if old_mode != Some(mode) {
            edits.push(Edit::set(path(id).attribute("mode"), mode, &because));
        }
        if old.is_none_or(|old| old.nodeset != node.into()) {
            let target = path(id).attribute("nodeset");
            edits.push(Edit::set(target, node.to_string(), because));
        }
    }
    let planned = |id| cells.iter().filter(kept).any(|cell| cell.id == id);
    for &id in own.keys().filter(|id| !planned(**id)) {
        let because = format!("the guest has no node {id} of its own");
        edits.push(Edit::remove(path(id), because));
    }
    edits
}

/// Returns the mode of a cell. libvirt takes `restrictive` only for all of
/// `<numatune>` or for none of it.
fn cell_mode<'a>(cx: &Context<'a>, old: Option<&'a Memnode>) -> &'a str {
    let general = mode(cx);
    let own = old.and_then(|old| old.mode.as_deref());
    own.filter(|_| !must_be_strict(cx) && general != "restrictive")
        .filter(|own| *own != "restrictive")
        .unwrap_or(general)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CellId;
    use crate::model::domain::MemoryPolicy;
    use crate::rules::fixture::Case;

    fn own(case: &mut Case, mode: &str, nodeset: &str) {
        case.domain.numatune.memory = Some(MemoryPolicy {
            mode: Some(mode.into()),
            nodeset: nodeset.parse().ok(),
            placement: None,
        });
    }

    fn memnode(case: &mut Case, cell: u32, mode: &str, nodeset: &str) {
        let nodeset = nodeset.parse().unwrap();
        let memnode = Memnode { mode: Some(mode.into()), nodeset };
        case.domain.numatune.memnodes.insert(CellId(cell), memnode);
    }

    #[test]
    fn one_cell_is_bound_as_a_whole() {
        let mut case = Case::plain();
        let edits = [
            "/domain/numatune/memory/@mode = strict",
            "/domain/numatune/memory/@nodeset = 0",
        ];
        assert_eq!(case.changes(&RULE), edits);
        own(&mut case, "strict", "0");
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn several_cells_are_bound_each() {
        let mut case = Case::plain();
        case.place_on(&[1, 0]);
        own(&mut case, "strict", "0-1");
        memnode(&mut case, 0, "strict", "0");
        let edits = [
            "/domain/numatune/memnode[@cellid='0']/@nodeset = 1",
            "/domain/numatune/memnode[@cellid='1']/@mode = strict",
            "/domain/numatune/memnode[@cellid='1']/@nodeset = 0",
        ];
        assert_eq!(case.changes(&RULE), edits);
        memnode(&mut case, 0, "strict", "1");
        memnode(&mut case, 1, "strict", "0");
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn trap_17_no_memnode_without_its_cell() {
        let mut case = Case::plain();
        own(&mut case, "strict", "0");
        memnode(&mut case, 0, "strict", "0");
        memnode(&mut case, 7, "strict", "0");
        let gone = [
            "/domain/numatune/memnode[@cellid='0'] removed",
            "/domain/numatune/memnode[@cellid='7'] removed",
        ];
        assert_eq!(case.changes(&RULE), gone);
        case.define_cells();
        assert_eq!(case.changes(&RULE), gone[1..]);
    }

    #[test]
    fn trap_17_a_node_that_the_host_lacks() {
        let mut case = Case::plain();
        own(&mut case, "strict", "0,9");
        let Verdict::Change { edits, .. } = case.verdict(&RULE) else {
            panic!()
        };
        let said = "the host has no node 9 (/sys/devices/system)";
        assert!(edits[0].because.ends_with(said), "{edits:?}");
    }

    #[test]
    fn numad_does_not_choose() {
        let mut case = Case::plain();
        case.domain.numatune.memory = Some(MemoryPolicy {
            mode: None,
            nodeset: None,
            placement: Some("auto".into()),
        });
        let edits = [
            "/domain/numatune/memory/@placement removed",
            "/domain/numatune/memory/@nodeset = 0",
        ];
        assert_eq!(case.changes(&RULE), edits);
    }

    #[test]
    fn softer_modes_stay_only_where_all_is_shared() {
        for mode in ["preferred", "interleave", "restrictive"] {
            let mut case = Case::plain();
            own(&mut case, mode, "0");
            let edits = ["/domain/numatune/memory/@mode = strict"];
            assert_eq!(case.changes(&RULE), edits);
            case.placement.exclusive = false;
            assert!(case.satisfied(&RULE), "{mode}");
        }
    }

    #[test]
    fn restrictive_is_for_all_or_none() {
        let mut case = Case::plain();
        case.placement.exclusive = false;
        case.place_on(&[0, 1]);
        own(&mut case, "restrictive", "0-1");
        memnode(&mut case, 0, "strict", "0");
        memnode(&mut case, 1, "restrictive", "1");
        let edits =
            ["/domain/numatune/memnode[@cellid='0']/@mode = restrictive"];
        assert_eq!(case.changes(&RULE), edits);
    }
}
