//! A host as the program sees it: free cores by node and L3 domain, and what
//! they are worth.

use std::collections::BTreeMap;

use vmtune::base::{CpuSet, NodeId};
use vmtune::model::facts::{Facts, PciFunction};
use vmtune::model::policy::Smt;

use crate::int;
use crate::support::vms::Vm;

/// The cores that share a node and an L3 domain.
pub(crate) struct Piece {
    pub(crate) node: usize,
    pub(crate) l3: usize,
    /// Cores that the host does not keep.
    pub(crate) capacity: i64,
    /// Free whole cores.
    pub(crate) free: i64,
    /// Its cores by what they can take.
    pub(crate) likes: Vec<Like>,
}

/// Cores of a piece that differ in their numbers only.
pub(crate) struct Like {
    /// Whether nobody else has a part of them.
    pub(crate) whole: bool,
    /// Units that fit on each.
    pub(crate) fit: i64,
    /// Their lowest CPUs, rising.
    pub(crate) firsts: Vec<i64>,
}

/// A node with its pieces put together.
pub(crate) struct Home {
    pub(crate) weight: i64,
    /// Devices of the VM that are elsewhere.
    pub(crate) far: i64,
    pub(crate) capacity: i64,
    /// Free whole cores.
    pub(crate) free: i64,
}

/// A host as the program sees it.
pub(crate) struct Host {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) homes: Vec<Home>,
    pub(crate) distance: Vec<Vec<i64>>,
}

impl Host {
    /// Lays out a host, less what is taken, for units of so many threads.
    pub(crate) fn of(
        facts: &Facts,
        kept: &CpuSet,
        taken: &CpuSet,
        vm: &Vm,
        unit: (Smt, usize),
    ) -> Self {
        let topology = &facts.topology;
        let mut pieces = Vec::new();
        for (node, of_node) in topology.nodes.iter().enumerate() {
            for (l3, of_l3) in topology.l3.iter().enumerate() {
                let cpus = of_node.cpus.intersection(&of_l3.cpus);
                let cores = topology.cores.iter();
                let cores = cores.filter(|core| core.cpus.intersects(&cpus));
                let cores: Vec<_> = cores.map(|core| &core.cpus).collect();
                let given = cores.iter().filter(|core| !core.intersects(kept));
                let capacity = int(given.count());
                let free = cores.iter().filter(|core| !core.intersects(taken));
                let free = int(free.count());
                let likes = likes(&cores, taken, unit);
                pieces.push(Piece { node, l3, capacity, free, likes });
            }
        }
        let homes = topology.nodes.iter().enumerate().map(|(n, node)| {
            let near = |function: &PciFunction| {
                function.nodes.value().is_some_and(|on| on.contains(node.id))
            };
            let nic = facts.pci.value().unwrap().iter().any(near);
            let of = || pieces.iter().filter(move |piece| piece.node == n);
            let far = vm.devices.iter().filter(|&&on| on != node.id.0);
            Home {
                weight: 1 + i64::from(nic),
                far: int(far.count()),
                capacity: of().map(|piece| piece.capacity).sum(),
                free: of().map(|piece| piece.free).sum(),
            }
        });
        let homes = homes.collect();
        let row = |from: NodeId| {
            let nodes = topology.nodes.iter();
            let all = nodes.map(|to| topology.distance(from, to.id));
            all.map(i64::from).collect()
        };
        let distance = topology.nodes.iter().map(|n| row(n.id)).collect();
        Self { pieces, homes, distance }
    }

    /// What pairs of homes are worth when some nodes have lost whole cores.
    pub(crate) fn pairs(&self, lost: &[(usize, i64)]) -> i64 {
        let mut free: Vec<_> =
            self.homes.iter().map(|home| home.free).collect();
        for (node, cores) in lost {
            free[*node] -= cores;
        }
        let capacity = self.homes.iter().map(|home| home.capacity).max();
        let sizes = sizes().take_while(|&size| Some(size) <= capacity);
        let worth = sizes.map(|size| {
            // The most pairs of which no node has both.
            let go = |pairs: &i64| {
                let homes = free.iter().map(|cores| (cores / size).min(*pairs));
                homes.sum::<i64>() >= 2 * pairs
            };
            let all = free.iter().sum::<i64>() / size;
            2 * size * (0..=all).rev().find(go).unwrap_or(0)
        });
        worth.sum()
    }
}

/// Puts cores together that are alike.
fn likes(
    cores: &[&CpuSet],
    taken: &CpuSet,
    (smt, threads): (Smt, usize),
) -> Vec<Like> {
    let mut likes: BTreeMap<(bool, usize), Vec<i64>> = BTreeMap::new();
    for cpus in cores {
        let whole = !cpus.intersects(taken);
        let fit = match smt {
            Smt::Isolate => usize::from(whole),
            Smt::Any | Smt::Siblings => cpus.difference(taken).len() / threads,
        };
        let first = cpus.first().map(|cpu| i64::from(cpu.0));
        likes.entry((whole, fit)).or_default().extend(first);
    }
    let likes = likes.into_iter().filter(|((_, fit), _)| *fit > 0);
    let likes = likes.map(|((whole, fit), mut firsts)| {
        firsts.sort_unstable();
        Like { whole, fit: int(fit), firsts }
    });
    likes.collect()
}

fn sizes() -> impl Iterator<Item = i64> {
    (0..32).map(|power| 1 << power)
}

/// What it costs to take so many of the free cores of a piece or node: the
/// cores that no longer belong to a home of 1, 2, 4, … cores or of all.
pub(crate) fn loss(free: i64, taken: i64, capacity: i64) -> i64 {
    let homes = sizes().take_while(|&size| size < capacity).chain([capacity]);
    let lost = homes.filter(|&size| size > 0).map(|size| {
        let in_homes = |free: i64| free / size * size;
        in_homes(free) - in_homes(free - taken)
    });
    lost.sum()
}
