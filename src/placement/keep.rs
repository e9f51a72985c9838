//! Places a VM by the pins that it has already.

use std::collections::BTreeMap;

use super::board::{Board, memory_home};
use super::demand::{CellWish, Demand, DeviceDemand, Kept};
use super::homes::home;
use super::shape::{reserves, sizes};
use super::shortage::Short;
use crate::base::{
    Bytes, CellId, CpuSet, NodeId, NodeSet, PageSize, VcpuId, VcpuSet,
};
use crate::model::facts::Topology;
use crate::model::policy::{DeviceLocality, PlacementMode, Smt};
use crate::model::{CellPlacement, VmPlacement};

/// Returns the placement that a VM's own pins make. vCPUs without a pin
/// float over the others' CPUs. Memory goes to the node that most of a cell's
/// vCPUs are pinned to, and must be there.
pub(super) fn keep(
    board: &Board,
    topology: &Topology,
    demand: &Demand,
    kept: &Kept,
) -> Result<VmPlacement, Short> {
    let pins = &kept.pins;
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
                memory_node: memory_home(topology, node),
            }
        })
        .collect();
    near_devices(demand, &cells)?;
    let pages = pages(board, demand, &cells)?;
    let nodes: Vec<_> = cells.iter().map(|cell| cell.node).collect();
    let apart = home(board, &nodes).map(|home| home.difference(&all));
    let apart = apart.filter(|home| !home.is_empty());
    let emulator = apart.unwrap_or_else(|| all.clone());
    let alone = demand.mode == PlacementMode::Dedicated
        && vcpus.values().all(|cpus| cpus.len() == 1)
        && all.len() == vcpus.len()
        && !all.intersects(&board.taken);
    Ok(VmPlacement {
        name: demand.name.clone(),
        exclusive: alone,
        threads: demand
            .threads
            .unwrap_or_else(|| threads(topology, demand, kept)),
        vcpus,
        cells,
        pages,
        iothreads: demand
            .iothreads
            .iter()
            .map(|&id| (id, emulator.clone()))
            .collect(),
        emulator,
        reserved: CpuSet::new(),
        nics: Vec::new(),
        because: vec!["the definition's own pins are kept".to_owned()],
    })
}

/// Returns the CPUs that nobody else may use although none of the kept pins
/// of vCPUs is there, as they would be reserved if the VM were placed: a core
/// that the emulator has to itself, and idle siblings under `isolate`. The
/// boards are those before and after what stays was taken.
pub(super) fn reserved(
    (before, after): (&Board, &Board),
    topology: &Topology,
    demand: &Demand,
    kept: &VmPlacement,
) -> CpuSet {
    let vcpus = kept.cpus();
    let core_of = |cpu| topology.core_of(cpu).map(|core| &core.cpus);
    let emulator = &demand.own_emulator;
    let core = emulator.first().and_then(core_of);
    let has_core = core.is_some_and(|core| emulator.is_subset(core))
        && !emulator.intersects(&before.taken)
        && !emulator.intersects(&vcpus);
    let mut all = if has_core { emulator.clone() } else { CpuSet::new() };
    if demand.smt == Smt::Isolate {
        let cores = vcpus.iter().filter_map(core_of);
        let cores = cores.fold(CpuSet::new(), |all, core| all.union(core));
        let idle = cores.difference(&vcpus).difference(&after.taken);
        all = all.union(&idle);
    }
    all
}

/// Refuses pins away from a device that the policy wants to be near.
fn near_devices(demand: &Demand, cells: &[CellPlacement]) -> Result<(), Short> {
    let near = |device: &&DeviceDemand| {
        let nodes = device.nodes.as_ref();
        nodes.is_some_and(|n| cells.iter().any(|cell| n.contains(cell.node)))
    };
    let far = demand.devices.iter().find(|device| !near(device));
    match far {
        Some(far) if demand.locality == DeviceLocality::Require => {
            let node = far.nodes.as_ref().and_then(NodeSet::first);
            Err(Short::Locality { device: far.address, node })
        }
        _ => Ok(()),
    }
}

/// Chooses the pages for cells whose nodes are settled.
fn pages(
    board: &Board,
    demand: &Demand,
    cells: &[CellPlacement],
) -> Result<Option<PageSize>, Short> {
    let mut nearest = None;
    for size in sizes(demand, board) {
        match lacking(board, cells, size, reserves(demand)) {
            None => return Ok(size),
            Some(short) => nearest = Some(short),
        }
    }
    Err(nearest.unwrap_or(Short::CutOff))
}

/// Returns what a node lacks of the cells' memory in pages of a size.
fn lacking(
    board: &Board,
    cells: &[CellPlacement],
    size: Option<PageSize>,
    reserve: bool,
) -> Option<Short> {
    if let Some(size) = size {
        let odd = |c: &&CellPlacement| !c.memory.0.is_multiple_of(size.bytes());
        if let Some(cell) = cells.iter().find(odd) {
            return Some(Short::Granularity { memory: cell.memory, size });
        }
    }
    cells.iter().find_map(|cell| {
        let node = cell.memory_node;
        let here = cells.iter().filter(|c| c.memory_node == node);
        let needed = Bytes(here.map(|c| c.memory.0).sum());
        let memory = board.memory.get(&node)?;
        let free = memory.free(size, reserve);
        let more = free.0.saturating_sub(memory.free(size, false).0);
        let more = Bytes(more);
        let short = Short::Memory { node, free, needed, size, more };
        (free < needed).then_some(short)
    })
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

/// Returns the guest's threads per core: as many as the definition says, else
/// the most, where that many vCPUs in a row are always siblings.
fn threads(topology: &Topology, demand: &Demand, kept: &Kept) -> u32 {
    let pins: Vec<_> = kept.pins.values().collect();
    let all_pinned = pins.len() == demand.vcpus as usize;
    let siblings = |group: &[&CpuSet]| {
        let all = group.iter().fold(CpuSet::new(), |all, one| all.union(one));
        let core = all.first().and_then(|cpu| topology.core_of(cpu));
        all.len() == group.len()
            && core.is_some_and(|core| all.is_subset(&core.cpus))
    };
    let fits = |&threads: &u32| {
        let width = threads.max(1) as usize;
        pins.len().is_multiple_of(width) && pins.chunks(width).all(siblings)
    };
    if !all_pinned || demand.smt != Smt::Siblings {
        return 1;
    }
    let most = || (2..=topology.smt_width()).rev().find(fits);
    kept.threads.filter(fits).or_else(most).unwrap_or(1)
}
