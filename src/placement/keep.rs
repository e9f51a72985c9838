//! Places a VM by the pins that it has already.

use std::collections::BTreeMap;

use super::board::Board;
use super::demand::{CellWish, Demand};
use super::homes::home;
use crate::base::{CellId, CpuSet, NodeId, VcpuId, VcpuSet};
use crate::model::facts::Topology;
use crate::model::{CellPlacement, VmPlacement};

/// Returns the placement that a VM's own pins make. vCPUs without a pin
/// float over the others' CPUs. Memory goes to the node that most of a cell's
/// vCPUs are pinned to.
pub(super) fn keep(
    board: &Board,
    topology: &Topology,
    demand: &Demand,
    pins: &BTreeMap<VcpuId, CpuSet>,
) -> VmPlacement {
    let all = pins.values().fold(CpuSet::new(), |all, one| all.union(one));
    let vcpus: BTreeMap<_, _> = (0..demand.vcpus)
        .map(VcpuId)
        .map(|vcpu| (vcpu, pins.get(&vcpu).unwrap_or(&all).clone()))
        .collect();
    let cells = match &demand.cells {
        CellWish::Given(cells) => cells
            .iter()
            .map(|cell| (cell.id, cell.vcpus.clone(), cell.memory))
            .collect(),
        _ => {
            let vcpus: VcpuSet = vcpus.keys().copied().collect();
            vec![(CellId(0), vcpus, demand.memory)]
        }
    };
    let cells: Vec<_> = cells
        .into_iter()
        .map(|(id, members, memory)| {
            let node = main_node(topology, &members, &vcpus);
            CellPlacement {
                id,
                vcpus: members,
                memory,
                node,
                memory_node: node,
            }
        })
        .collect();
    let nodes: Vec<_> = cells.iter().map(|cell| cell.node).collect();
    let emulator = home(board, &nodes).unwrap_or_else(|| all.clone());
    VmPlacement {
        name: demand.name.clone(),
        exclusive: vcpus.values().all(|cpus| cpus.len() == 1),
        threads: demand.threads.unwrap_or_else(|| pairs(topology, &vcpus)),
        vcpus,
        cells,
        pages: None,
        iothreads: demand
            .iothreads
            .iter()
            .map(|&id| (id, emulator.clone()))
            .collect(),
        emulator,
        reserved: CpuSet::new(),
        because: vec!["the definition's own pins are kept".to_owned()],
    }
}

/// Returns the node that most of these vCPUs' CPUs are on.
fn main_node(
    topology: &Topology,
    members: &VcpuSet,
    vcpus: &BTreeMap<VcpuId, CpuSet>,
) -> NodeId {
    let count = |node: &crate::model::facts::Node| {
        let pins = members.iter().filter_map(|vcpu| vcpus.get(&vcpu));
        pins.map(|cpus| cpus.intersection(&node.cpus).len()).sum::<usize>()
    };
    let best = topology
        .nodes
        .iter()
        .max_by_key(|node| (count(node), std::cmp::Reverse(node.id)));
    best.map_or(NodeId(0), |node| node.id)
}

/// Returns 2 where each even vCPU and the next are pinned to the siblings of
/// one core, 1 otherwise.
fn pairs(topology: &Topology, vcpus: &BTreeMap<VcpuId, CpuSet>) -> u32 {
    let pins: Vec<_> = vcpus.values().collect();
    let siblings = |pair: &[&CpuSet]| match pair {
        [a, b] if a.len() == 1 && b.len() == 1 && a != b => {
            let core = a.first().and_then(|cpu| topology.core_of(cpu));
            core.is_some_and(|core| b.is_subset(&core.cpus))
        }
        _ => false,
    };
    if !pins.is_empty() && pins.chunks(2).all(siblings) { 2 } else { 1 }
}
