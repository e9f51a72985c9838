//! NUMA nodes, from `/sys/devices/system/node`.

use std::collections::BTreeMap;

use crate::base::{CpuSet, NodeId, NodeSet};
use crate::host::{Root, memory, text};
use crate::model::Fact;
use crate::model::facts::Node;

const NODES: &str = "sys/devices/system/node";

/// Reads the nodes. A kernel without NUMA has one, node 0.
pub(super) fn read(root: &Root, online: &CpuSet) -> Vec<Node> {
    let names = root.list(NODES).unwrap_or_default();
    let mut ids: NodeSet = names
        .iter()
        .filter_map(|name| text::number_after(name, "node"))
        .map(NodeId)
        .collect();
    let listed = root.fact(&format!("{NODES}/online"), |t| t.parse().ok());
    if let Fact::Known { value, .. } = &listed {
        ids = ids.intersection(value);
    }
    if ids.is_empty() {
        let mut only = node(root, NodeId(0), &ids);
        only.cpus = online.clone();
        return vec![only];
    }
    ids.iter().map(|id| node(root, id, &ids)).collect()
}

/// Reads the CPUs of a node, online or not; `None` where nothing tells.
pub(super) fn cpus(root: &Root, id: NodeId) -> Option<CpuSet> {
    if let Ok(mask) = root.read(&format!("{NODES}/node{id}/cpumap")) {
        return CpuSet::of_mask(&mask);
    }
    root.read(&format!("{NODES}/node{id}/cpulist")).ok()?.parse().ok()
}

fn node(root: &Root, id: NodeId, all: &NodeSet) -> Node {
    let (path, text) = memory::meminfo(root, id);
    let memory = match text {
        Fact::Unknown { unknown } => Fact::Unknown { unknown },
        Fact::Known { value, origin } => {
            match text::meminfo(&value, "MemTotal") {
                Some(value) => Fact::Known { value, origin },
                None => Fact::unknown(format!("/{path} has no MemTotal")),
            }
        }
    };
    let distances = distances(root, id, all);
    Node { id, cpus: CpuSet::new(), memory, distances }
}

/// Reads how far a node is from all nodes, which are listed in this order.
pub(super) fn distances(
    root: &Root,
    id: NodeId,
    all: &NodeSet,
) -> Fact<BTreeMap<NodeId, u32>> {
    root.fact(&format!("{NODES}/node{id}/distance"), |text| {
        let numbers: Option<Vec<u32>> =
            text.split_whitespace().map(|n| n.parse().ok()).collect();
        let numbers = numbers.filter(|n| n.len() == all.len())?;
        Some(all.iter().zip(numbers).collect())
    })
}
