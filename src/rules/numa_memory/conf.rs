//! The host nodes of the guest's memory, as Proxmox has them: a property of
//! each guest node.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    if !cx.lists_nodes() {
        return Verdict::NotApplicable("the definition lists no guest nodes");
    }
    let mut edits = Vec::new();
    for cell in &cx.placement.cells {
        let at = |name| key(&format!("numa{}/{name}", cell.id));
        let node = cell.memory_node.to_string();
        let because = format!(
            "the plan puts guest node {} on node {node}, and without \
             hostnodes Proxmox binds it to none ({})",
            cell.id, cx.facts.topology.origin
        );
        edits.push(Edit::set(at("hostnodes"), node, because.as_str()));
        edits.push(Edit::set(at("policy"), "bind", because));
    }
    Verdict::Change { edits, advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;

    #[test]
    fn each_guest_node_is_bound() {
        let case = Case::intel(&[9, 10], 1).proxmox();
        let expected = ["numa0/hostnodes = 1", "numa0/policy = bind"];
        assert_eq!(case.edits(&RULE), expected);
    }
}
