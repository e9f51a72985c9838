//! The host as the checks see it: which core, node and cache a CPU is of.

use crate::base::{CpuId, CpuSet, Id, NodeId, NodeSet};
use crate::model::facts::{Facts, Node};
use crate::model::policy::{Housekeeping, Policy};

/// A host's CPUs, each with its place, and those that are the host's own.
pub(super) struct Host<'a> {
    pub(super) facts: &'a Facts,
    /// Online CPUs that vmtune may give out.
    pub(super) usable: CpuSet,
    /// CPUs that are kept for the host.
    pub(super) housekeeping: CpuSet,
    /// By CPU number.
    seats: Vec<Seat>,
}

/// Where a CPU is, as far as the facts tell.
#[derive(Clone, Copy, Default)]
struct Seat {
    core: Option<usize>,
    node: Option<NodeId>,
    l3: Option<usize>,
}

/// A node with fewer cores has none to spare for the host.
const CORES_WORTH_KEEPING_ONE: usize = 4;

impl<'a> Host<'a> {
    pub(super) fn new(facts: &'a Facts, policy: &Policy) -> Self {
        let topology = &facts.topology;
        let mut host = Self {
            facts,
            usable: topology.usable(),
            housekeeping: CpuSet::new(),
            seats: Vec::new(),
        };
        for (index, core) in topology.cores.iter().enumerate() {
            host.seat(&core.cpus, |seat| seat.core = Some(index));
        }
        for node in &topology.nodes {
            host.seat(&node.cpus, |seat| seat.node = Some(node.id));
        }
        for (index, cache) in topology.l3.iter().enumerate() {
            host.seat(&cache.cpus, |seat| seat.l3 = Some(index));
        }
        host.housekeeping = match &policy.cpu.housekeeping {
            Housekeeping::Cpus(cpus) => cpus.clone(),
            Housekeeping::Auto => host.automatic_housekeeping(),
        };
        host
    }

    fn seat(&mut self, cpus: &CpuSet, set: impl Fn(&mut Seat)) {
        for cpu in cpus.iter() {
            let place = cpu.number() as usize;
            if self.seats.len() <= place {
                self.seats.resize(place + 1, Seat::default());
            }
            set(&mut self.seats[place]);
        }
    }

    /// Returns the core of the first CPU, and the first core of every other
    /// node that can spare one.
    fn automatic_housekeeping(&self) -> CpuSet {
        let Some(first) = self.usable.first() else { return CpuSet::new() };
        let home = self.node(first);
        let mut kept = self.siblings(first);
        for node in &self.facts.topology.nodes {
            let own = node.cpus.intersection(&self.usable);
            let Some(first) = own.first() else { continue };
            let cores = self.facts.topology.cores.iter();
            let cores = cores.filter(|core| core.cpus.intersects(&own)).count();
            if home != Some(node.id) && cores >= CORES_WORTH_KEEPING_ONE {
                kept = kept.union(&self.siblings(first));
            }
        }
        kept.intersection(&self.usable)
    }

    fn seat_of(&self, cpu: CpuId) -> Seat {
        self.seats.get(cpu.number() as usize).copied().unwrap_or_default()
    }

    /// Returns the number of a CPU's core, where the facts tell.
    pub(super) fn core(&self, cpu: CpuId) -> Option<usize> {
        self.seat_of(cpu).core
    }

    /// Returns the number of a CPU's third-level cache.
    pub(super) fn l3(&self, cpu: CpuId) -> Option<usize> {
        self.seat_of(cpu).l3
    }

    /// Returns a CPU's node.
    pub(super) fn node(&self, cpu: CpuId) -> Option<NodeId> {
        self.seat_of(cpu).node
    }

    /// Returns the nodes of some CPUs.
    pub(super) fn nodes(&self, cpus: &CpuSet) -> NodeSet {
        cpus.iter().filter_map(|cpu| self.node(cpu)).collect()
    }

    /// Returns the CPUs of a CPU's core, itself among them.
    pub(super) fn siblings(&self, cpu: CpuId) -> CpuSet {
        let core = self.core(cpu).map(|core| &self.facts.topology.cores[core]);
        core.map_or_else(|| CpuSet::from(cpu), |core| core.cpus.clone())
    }

    /// Returns all nodes.
    pub(super) fn all_nodes(&self) -> NodeSet {
        self.facts.topology.nodes.iter().map(|node| node.id).collect()
    }

    /// Returns where the memory next to a node is: on the node, or where it
    /// is known to have none, on the nearest that have some.
    pub(super) fn memory_near(&self, id: NodeId) -> NodeSet {
        let topology = &self.facts.topology;
        if topology.node(id).is_none_or(has_memory) {
            return NodeSet::from(id);
        }
        let others = || {
            let others = topology.nodes.iter().filter(|node| has_memory(node));
            others.map(|node| (topology.distance(id, node.id), node.id))
        };
        let nearest = others().map(|(distance, _)| distance).min();
        let near = others().filter(|(distance, _)| Some(*distance) == nearest);
        near.map(|(_, node)| node).collect()
    }

    /// Returns whether a set says no more than "anywhere".
    pub(super) fn is_anywhere(&self, cpus: &CpuSet) -> bool {
        self.facts.topology.online.is_subset(cpus)
    }

    /// Returns the CPUs that keep a thread with this pin from starting: none
    /// of its CPUs is online, or the host will never have them.
    pub(super) fn impossible(&self, pin: &CpuSet) -> CpuSet {
        let topology = &self.facts.topology;
        let absent = pin.difference(&topology.online);
        if !pin.intersects(&topology.online) {
            return absent;
        }
        match topology.offline.value() {
            Some(offline) => absent.difference(offline),
            None => absent,
        }
    }
}

/// Returns whether a node may have memory: it has, or nobody knows.
fn has_memory(node: &Node) -> bool {
    node.memory.value().is_none_or(|memory| memory.0 > 0)
}
