//! What a host can give: cores by node and L3 domain, and memory by node.

use std::collections::BTreeMap;

use super::Held;
use super::memory::{NodeMemory, memories};
use crate::base::{Bytes, CpuId, CpuSet, NodeId};
use crate::model::facts::{Facts, PciFunction, Topology};

/// What a host can give to VMs, less what is held and kept.
#[derive(Debug, Clone)]
pub struct Board {
    /// Nodes with CPUs that can be given out, by number.
    pub(super) nodes: Vec<NodeBoard>,
    /// Memory of every node, those without CPUs too.
    pub(super) memory: BTreeMap<NodeId, NodeMemory>,
    /// Distance from each node of `nodes` to each other, by index.
    pub(super) distance: Vec<Vec<i64>>,
    /// CPUs kept for the host.
    pub(super) housekeeping: CpuSet,
    /// CPUs that cannot be given out: kept, held or not usable.
    pub(super) taken: CpuSet,
    /// How many kinds of core there are, and so kind numbers.
    pub(super) kinds: usize,
    /// Housekeeping CPUs of each node, and the distances from any node.
    pub(super) homes: Vec<(NodeId, CpuSet)>,
    /// Distances between all nodes.
    distances: BTreeMap<(NodeId, NodeId), i64>,
}

/// The cores of one node.
#[derive(Debug, Clone)]
pub(super) struct NodeBoard {
    pub(super) id: NodeId,
    /// Its cores by L3 domain and kind.
    pub(super) groups: Vec<Group>,
    /// The node that its VMs' memory comes from.
    pub(super) memory_node: NodeId,
    /// What a home on this node is worth beside one elsewhere; see
    /// [`Board::of`].
    pub(super) weight: i64,
    /// The L3 domain that this node is a part of, where an L3 spans nodes.
    pub(super) wide_l3: Option<usize>,
}

/// Cores of one kind that share a node and an L3 domain.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The kind of the cores; the slowest is 0.
    pub(super) kind: usize,
    /// Cores that no housekeeping touches, held or not.
    pub(super) capacity: u32,
    /// Cores with at least one free CPU, by their first CPU.
    pub(super) cores: Vec<FreeCore>,
}

/// A core with free CPUs.
#[derive(Debug, Clone)]
pub(super) struct FreeCore {
    /// Its lowest CPU, free or not.
    pub(super) first: CpuId,
    /// Its free CPUs, rising.
    pub(super) free: Vec<CpuId>,
    /// How many CPUs it has, free or not.
    pub(super) width: u32,
    /// Whether all of it is free.
    pub(super) whole: bool,
}

impl Board {
    /// Lays out a host.
    ///
    /// `held` is what other VMs hold. `asleep` is the part of it that the
    /// facts' free pages do not know of yet, because those VMs do not run;
    /// where a source knows only the totals of the pools, all of `held` is
    /// taken from them. `returned` is what comes back when the planned VMs
    /// start anew.
    #[must_use]
    pub fn of(
        facts: &Facts,
        housekeeping: CpuSet,
        held: &Held,
        asleep: &Held,
        returned: &Held,
    ) -> Self {
        let topology = &facts.topology;
        let usable = topology.usable();
        let out = topology.online.difference(&usable);
        let taken = housekeeping.union(&held.cpus).union(&out);
        let memory = memories(facts, held, asleep, returned);
        let distances: BTreeMap<_, _> = pairs(topology)
            .map(|(a, b)| ((a, b), i64::from(topology.distance(a, b))))
            .collect();
        let mut board = Self {
            nodes: Vec::new(),
            memory,
            distance: Vec::new(),
            homes: homes(topology, &housekeeping),
            housekeeping,
            taken,
            kinds: topology.kinds.len().max(1),
            distances,
        };
        board.lay_out(facts);
        board
    }

    /// Returns the distance between any two nodes of the host.
    pub(super) fn between(&self, from: NodeId, to: NodeId) -> i64 {
        let local = if from == to { 10 } else { 20 };
        self.distances.get(&(from, to)).copied().unwrap_or(local)
    }

    fn lay_out(&mut self, facts: &Facts) {
        let topology = &facts.topology;
        let places = Places::of(topology);
        let mut nodes: BTreeMap<usize, NodeBoard> = BTreeMap::new();
        let mut group_of: BTreeMap<(usize, usize, usize), usize> =
            BTreeMap::new();
        for core in &topology.cores {
            let Some(first) = core.cpus.first() else { continue };
            let at = first.0 as usize;
            let Some(node) = places.node.get(at).copied().flatten() else {
                continue;
            };
            let l3 = places.l3[at].unwrap_or(usize::MAX);
            let kind = places.kind[at];
            let id = topology.nodes[node].id;
            let board = nodes.entry(node).or_insert_with(|| NodeBoard {
                id,
                groups: Vec::new(),
                memory_node: memory_home(topology, id),
                weight: 1 + i64::from(has_network(facts, id)),
                wide_l3: places.wide[node],
            });
            let key = (node, l3, kind);
            let group = *group_of.entry(key).or_insert_with(|| {
                board.groups.push(Group {
                    kind,
                    capacity: 0,
                    cores: Vec::new(),
                });
                board.groups.len() - 1
            });
            let group = &mut board.groups[group];
            if !core.cpus.intersects(&self.housekeeping) {
                group.capacity += 1;
            }
            let free: Vec<_> =
                core.cpus.difference(&self.taken).iter().collect();
            let whole = free.len() == core.cpus.len();
            if !free.is_empty() {
                let width = u32::try_from(core.cpus.len()).unwrap_or(1);
                group.cores.push(FreeCore { first, free, width, whole });
            }
        }
        self.nodes = nodes.into_values().collect();
        self.distance = self
            .nodes
            .iter()
            .map(|a| {
                let row = self.nodes.iter();
                row.map(|b| self.between(a.id, b.id)).collect()
            })
            .collect();
    }
}

/// Returns where a node's memory comes from: itself, or the nearest node with
/// memory where it has none. What others hold of a node's memory, and what
/// its page pools do, makes it no node without memory.
pub(super) fn memory_home(topology: &Topology, id: NodeId) -> NodeId {
    let has = |node: &&crate::model::facts::Node| {
        node.memory.value() != Some(&Bytes(0))
    };
    if topology.node(id).is_none_or(|node| has(&node)) {
        return id;
    }
    let others = topology.nodes.iter().filter(has).map(|node| node.id);
    others
        .min_by_key(|&other| (topology.distance(id, other), other))
        .unwrap_or(id)
}

/// Which node, L3 domain and kind each CPU belongs to, by CPU number.
struct Places {
    node: Vec<Option<usize>>,
    l3: Vec<Option<usize>>,
    kind: Vec<usize>,
    /// For each node: the L3 domain that spans it and others.
    wide: Vec<Option<usize>>,
}

impl Places {
    fn of(topology: &Topology) -> Self {
        let len = topology.online.last().map_or(0, |cpu| cpu.0 as usize + 1);
        let mut places = Self {
            node: vec![None; len],
            l3: vec![None; len],
            kind: vec![0; len],
            wide: vec![None; topology.nodes.len()],
        };
        fn mark<T: Copy>(of: &mut [T], cpus: &CpuSet, value: T) {
            for cpu in cpus.iter() {
                if let Some(slot) = of.get_mut(cpu.0 as usize) {
                    *slot = value;
                }
            }
        }
        for (index, node) in topology.nodes.iter().enumerate() {
            mark(&mut places.node, &node.cpus, Some(index));
        }
        for (index, l3) in topology.l3.iter().enumerate() {
            mark(&mut places.l3, &l3.cpus, Some(index));
            let spanned = |node: &&crate::model::facts::Node| {
                node.cpus.intersects(&l3.cpus)
            };
            if topology.nodes.iter().filter(spanned).count() > 1 {
                for (at, node) in topology.nodes.iter().enumerate() {
                    if node.cpus.intersects(&l3.cpus) {
                        places.wide[at] = Some(index);
                    }
                }
            }
        }
        for (index, kind) in topology.kinds.iter().enumerate() {
            mark(&mut places.kind, &kind.cpus, index);
        }
        places
    }
}

fn pairs(topology: &Topology) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
    let ids = || topology.nodes.iter().map(|node| node.id);
    ids().flat_map(move |a| ids().map(move |b| (a, b)))
}

fn homes(topology: &Topology, kept: &CpuSet) -> Vec<(NodeId, CpuSet)> {
    let of_node = topology
        .nodes
        .iter()
        .map(|node| (node.id, node.cpus.intersection(kept)));
    of_node.filter(|(_, cpus)| !cpus.is_empty()).collect()
}

/// A network device makes its node the better home for VMs that will have a
/// function of it, so the others shall rather go elsewhere. Where no function
/// is known to be physical or virtual, as in an hwloc XML, any counts.
fn has_network(facts: &Facts, node: NodeId) -> bool {
    let functions = || facts.pci.value().into_iter().flatten();
    let shares = |f: &&PciFunction| f.sriov.is_some() || f.physfn.is_some();
    let told = functions().any(|function| shares(&function));
    functions().any(|function| {
        function.class.is_network()
            && (!told || shares(&function))
            && function.nodes.value().is_some_and(|nodes| nodes.contains(node))
    })
}
