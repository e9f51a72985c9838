//! A host as the program sees it: free cores by node and L3 domain, and what
//! they are worth.

use vmtune::base::{CpuSet, NodeId};
use vmtune::model::facts::{Core, Facts, PciFunction};
use vmtune::model::policy::Smt;

use crate::int;
use crate::support::vms::Vm;

/// The cores that share a node and an L3 domain.
pub(crate) struct Piece {
    pub(crate) node: usize,
    pub(crate) l3: usize,
    /// Cores that the host does not keep.
    pub(crate) capacity: i64,
    /// Lowest CPUs of the free cores, rising.
    pub(crate) whole: Vec<i64>,
    /// Lowest CPUs of the cores that others have one of two threads of.
    pub(crate) broken: Vec<i64>,
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
    /// Units that fit on a whole core, and on a broken one.
    pub(crate) fit: (i64, i64),
}

impl Host {
    pub(crate) fn of(
        facts: &Facts,
        kept: &CpuSet,
        taken: &CpuSet,
        vm: &Vm,
    ) -> Self {
        let topology = &facts.topology;
        let mut pieces = Vec::new();
        for (node, of_node) in topology.nodes.iter().enumerate() {
            for (l3, of_l3) in topology.l3.iter().enumerate() {
                let cpus = of_node.cpus.intersection(&of_l3.cpus);
                let cores = || {
                    let all = topology.cores.iter();
                    all.filter(|core| core.cpus.intersects(&cpus))
                };
                let firsts = |keep: &dyn Fn(usize, usize) -> bool| {
                    let cores = cores().filter(|core| {
                        let free = core.cpus.difference(taken);
                        keep(free.len(), core.cpus.len())
                    });
                    let firsts = cores.map(|c| c.cpus.first().unwrap().0);
                    let mut firsts: Vec<_> = firsts.map(i64::from).collect();
                    firsts.sort_unstable();
                    firsts
                };
                let given = |core: &&Core| !core.cpus.intersects(kept);
                if cores().next().is_some() {
                    pieces.push(Piece {
                        node,
                        l3,
                        capacity: int(cores().filter(given).count()),
                        whole: firsts(&|free, all| free == all),
                        broken: firsts(&|free, all| 0 < free && free < all),
                    });
                }
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
                free: of().map(|piece| int(piece.whole.len())).sum(),
            }
        });
        let homes = homes.collect();
        let row = |from: NodeId| {
            let nodes = topology.nodes.iter();
            let all = nodes.map(|to| topology.distance(from, to.id));
            all.map(i64::from).collect()
        };
        let distance = topology.nodes.iter().map(|n| row(n.id)).collect();
        Self { pieces, homes, distance, fit: (0, 0) }
    }

    /// Says how many units fit on a core.
    pub(crate) fn fitting(
        mut self,
        smt: Smt,
        width: i64,
        threads: i64,
    ) -> Self {
        self.fit = match smt {
            Smt::Isolate => (1, 0),
            Smt::Any | Smt::Siblings => (width / threads, 1 / threads),
        };
        self
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
