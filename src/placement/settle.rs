//! Turns a found assignment into CPUs, and takes them from the board.

use std::collections::{BTreeMap, VecDeque};

use super::assign::Found;
use super::board::{Board, Group};
use super::curve::{Take, choose};
use super::demand::Demand;
use super::homes::home;
use super::shape::Shape;
use crate::base::{CpuId, CpuSet, NodeId};
use crate::model::policy::PlacementMode;
use crate::model::{CellPlacement, VmPlacement};

/// The CPUs of one unit, and those that it closes to others.
struct Seat {
    cpus: Vec<CpuId>,
    closed: Vec<CpuId>,
}

impl Board {
    /// Gives a VM its CPUs and memory, and takes them from the board.
    pub(super) fn settle(
        &mut self,
        demand: &Demand,
        shape: &Shape,
        found: &Found,
    ) -> VmPlacement {
        let exclusive = demand.mode == PlacementMode::Dedicated;
        let mut placement = VmPlacement {
            name: demand.name.clone(),
            exclusive,
            vcpus: BTreeMap::new(),
            cells: Vec::new(),
            threads: shape.threads,
            pages: shape.size,
            emulator: CpuSet::new(),
            iothreads: BTreeMap::new(),
            reserved: CpuSet::new(),
            nics: Vec::new(),
            because: Vec::new(),
        };
        let mut seats = self.seats(shape, found);
        for (cell, &node) in shape.cells.iter().zip(&found.nodes) {
            let on = &self.nodes[node];
            placement.cells.push(CellPlacement {
                id: cell.id,
                vcpus: cell.vcpus.iter().copied().collect(),
                memory: cell.memory,
                node: on.id,
                memory_node: on.memory_node,
            });
            let floating = floating(&on.groups);
            let seats = seats.entry(node).or_default();
            for unit in cell.vcpus.chunks(shape.unit.threads.max(1) as usize) {
                if !exclusive {
                    let all = unit.iter().map(|v| (*v, floating.clone()));
                    placement.vcpus.extend(all);
                    continue;
                }
                let Some(seat) = seats.pop_front() else { continue };
                let each = unit.iter().zip(&seat.cpus);
                placement
                    .vcpus
                    .extend(each.map(|(v, cpu)| (*v, CpuSet::from(*cpu))));
                placement.reserved.extend(seat.closed);
            }
            let memory_node = on.memory_node;
            if let Some(memory) = self.memory.get_mut(&memory_node) {
                memory.take(shape.size, cell.memory);
            }
        }
        if exclusive {
            self.take(&placement.cpus().union(&placement.reserved));
        }
        self.settle_threads(demand, shape, found, &mut placement);
        placement
    }

    /// Takes what a VM has by its own pins from the board.
    pub(super) fn give(&mut self, placement: &VmPlacement) {
        self.take(&placement.cpus());
        for cell in &placement.cells {
            if let Some(memory) = self.memory.get_mut(&cell.memory_node) {
                memory.take(placement.pages, cell.memory);
            }
        }
    }

    /// Chooses the CPUs of every unit, by node, in the order of L3 domains.
    fn seats(
        &self,
        shape: &Shape,
        found: &Found,
    ) -> BTreeMap<usize, VecDeque<Seat>> {
        let mut seats: BTreeMap<usize, VecDeque<Seat>> = BTreeMap::new();
        for (node, shares) in &found.shares {
            let groups = self.nodes[*node].groups.iter();
            for (group, &take) in groups.zip(shares) {
                let row = seats.entry(*node).or_default();
                row.extend(row_of(group, shape, take));
            }
        }
        seats
    }

    /// Finds homes for the emulator and the I/O threads.
    fn settle_threads(
        &mut self,
        demand: &Demand,
        shape: &Shape,
        found: &Found,
        placement: &mut VmPlacement,
    ) {
        let own = (shape.spare > 0 && placement.exclusive)
            .then(|| self.spare_core(found, shape.kind, &placement.cpus()))
            .flatten();
        if let Some(own) = &own {
            self.take(own);
            placement.reserved = placement.reserved.union(own);
        }
        let nodes: Vec<NodeId> =
            placement.cells.iter().map(|cell| cell.node).collect();
        // A host that keeps no CPU leaves the VM's own as the only home.
        let home = own
            .or_else(|| home(self, &nodes))
            .unwrap_or_else(|| placement.cpus());
        placement.iothreads =
            demand.iothreads.iter().map(|&id| (id, home.clone())).collect();
        placement.emulator = home;
    }

    /// Returns a whole free core on the first cell's node: in an L3 domain
    /// that the VM is in, where there is one.
    fn spare_core(
        &self,
        found: &Found,
        kind: usize,
        used: &CpuSet,
    ) -> Option<CpuSet> {
        let node = &self.nodes[*found.nodes.first()?];
        let shares =
            found.shares.iter().find(|(n, _)| Some(n) == found.nodes.first());
        let takes = shares.map(|(_, takes)| takes.as_slice()).unwrap_or(&[]);
        let cores = node.groups.iter().enumerate().flat_map(|(at, group)| {
            let entered = takes.get(at).is_some_and(|take| take.units > 0);
            let fits = group.kind == kind;
            let whole = group.cores.iter().filter(move |c| c.whole && fits);
            whole.map(move |core| (!entered, core.first, core))
        });
        let (_, _, core) =
            cores.min_by_key(|(apart, first, _)| (*apart, *first))?;
        debug_assert!(core.free.iter().all(|cpu| !used.contains(*cpu)));
        Some(core.free.iter().copied().collect())
    }

    /// Takes CPUs from the board.
    pub(super) fn take(&mut self, cpus: &CpuSet) {
        self.taken = self.taken.union(cpus);
        for group in self.nodes.iter_mut().flat_map(|n| &mut n.groups) {
            for core in &mut group.cores {
                let before = core.free.len();
                core.free.retain(|cpu| !cpus.contains(*cpu));
                core.whole &= core.free.len() == before;
            }
            group.cores.retain(|core| !core.free.is_empty());
        }
    }
}

/// Returns the CPUs that a VM without exclusive ones may use on a node.
fn floating(groups: &[Group]) -> CpuSet {
    let cores = groups.iter().flat_map(|group| &group.cores);
    cores.flat_map(|core| core.free.iter().copied()).collect()
}

/// Chooses the cores for so many units of a group, lowest first, and the
/// CPUs on them.
fn row_of(group: &Group, shape: &Shape, take: Take) -> Vec<Seat> {
    let unit = shape.unit;
    let mut cores = choose(group, unit, take);
    // What is left over of a core is of the lowest, where it is cheapest for
    // the VM that may come to share it.
    cores.sort_by_key(|core| (core.whole, std::cmp::Reverse(core.first)));
    let mut left = take.units;
    let mut seats = Vec::new();
    for core in cores {
        let here = unit.fit(core).min(left);
        left -= here;
        let threads = unit.threads as usize;
        for (nth, cpus) in core.free.chunks(threads).enumerate() {
            if nth >= here as usize {
                break;
            }
            let closed = match unit.alone {
                true => core.free[1..].to_vec(),
                false => Vec::new(),
            };
            seats.push(Seat { cpus: cpus.to_vec(), closed });
        }
    }
    seats.sort_by_key(|seat| seat.cpus.first().copied());
    seats
}
