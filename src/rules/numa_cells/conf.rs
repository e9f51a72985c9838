//! The guest's nodes, as Proxmox has them: `numa: 1` and one line for each.
//!
//! Without the lines Proxmox makes a node of each socket and binds none of
//! them, whatever pages they have.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use super::because;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    if let Some(why) = cx.why_no_nodes() {
        return Verdict::Advise(vec![why]);
    }
    if !cx.lists_nodes() {
        return Verdict::NotApplicable("one node, and ordinary pages");
    }
    let why = "without numa: 1 Proxmox reads no line of a guest node";
    let mut edits = vec![Edit::set(key("numa"), "1", why)];
    for cell in &cx.placement.cells {
        let because = because(cx, cell, None);
        let at = |name| key(&format!("numa{}/{name}", cell.id));
        let cpus = cell.vcpus.to_string().replace(',', ";");
        let mib = (cell.memory.0 >> 20).to_string();
        edits.push(Edit::set(at("cpus"), cpus, because.as_str()));
        edits.push(Edit::set(at("memory"), mib, because));
    }
    for cell in cx.domain.cells() {
        if cx.placement.cells.iter().all(|wanted| wanted.id != cell.id) {
            let place = key(&format!("numa{}", cell.id));
            edits.push(Edit::remove(place, "the placement has no such node"));
        }
    }
    Verdict::Change { edits, advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;
    use crate::base::Bytes;

    #[test]
    fn each_guest_node_is_a_line() {
        let case = Case::intel(&[1, 2, 9, 10], 1).proxmox();
        let expected = [
            "numa = 1",
            "numa0/cpus = 0-1",
            "numa0/memory = 2048",
            "numa1/cpus = 2-3",
            "numa1/memory = 2048",
        ];
        assert_eq!(case.edits(&RULE), expected);
    }

    /// Trap: Proxmox refuses both together.
    #[test]
    fn memory_that_can_be_plugged_in_forbids_a_list() {
        let mut case = Case::intel(&[1, 2, 9, 10], 1).proxmox();
        case.domain.memory.max = Some(Bytes(8 << 30));
        assert!(case.edits(&RULE).is_empty());
        assert!(case.advice(&RULE)[0].contains("`hotplug`"));
    }
}
