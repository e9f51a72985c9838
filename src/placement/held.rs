//! What other VMs hold of a host.

use std::collections::BTreeMap;

use crate::base::{Bytes, CpuSet, NodeId, NodeSet, PageSize};
use crate::model::domain::Domain;
use crate::model::facts::Topology;
use crate::model::policy::{Policy, Smt};

/// What one or several VMs hold: the union over running VMs and definitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// CPUs that are theirs.
    pub cpus: CpuSet,
    /// Memory by node and page size; `None` for ordinary pages.
    pub memory: BTreeMap<(NodeId, Option<PageSize>), Bytes>,
}

impl Held {
    /// Returns what a definition holds on this host.
    ///
    /// CPUs: the union of all its pins, unless a pin names every online CPU
    /// and so is none. Under `isolate` the siblings of pinned CPUs too.
    /// Memory: of each guest cell on the node that it is bound to; spread
    /// evenly where several nodes are named; on the nodes of the pins where
    /// none is.
    #[must_use]
    pub fn by(domain: &Domain, topology: &Topology, policy: &Policy) -> Self {
        let mut held = Self { cpus: pins(domain, topology), ..Self::default() };
        if policy.for_vm(domain.name.as_str()).cpu.smt == Smt::Isolate {
            let cores = topology.cores.iter().map(|core| &core.cpus);
            held.cpus = cores
                .filter(|cpus| cpus.intersects(&held.cpus))
                .fold(held.cpus.clone(), |all, cpus| all.union(cpus));
        }
        let size = page_size(domain);
        for (memory, nodes) in memory(domain, topology, &held.cpus) {
            let share = memory.0.div_ceil(nodes.len().max(1) as u64);
            // Each piece is of whole pages.
            let share = size.map_or(share, |size| {
                size.pages(Bytes(share)).saturating_mul(size.bytes())
            });
            for node in nodes.iter() {
                held.memory.entry((node, size)).or_default().0 += share;
            }
        }
        held
    }

    /// Adds what another definition of the **same** VM holds: the larger of
    /// the two where both name memory.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.cpus = self.cpus.union(&other.cpus);
        for (&place, &memory) in &other.memory {
            let mine = self.memory.entry(place).or_default();
            *mine = (*mine).max(memory);
        }
        self
    }

    /// Adds what another VM holds.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.cpus = self.cpus.union(&other.cpus);
        for (&place, &memory) in &other.memory {
            self.memory.entry(place).or_default().0 += memory.0;
        }
        self
    }
}

/// Returns the CPUs that a definition pins anything to.
fn pins(domain: &Domain, topology: &Topology) -> CpuSet {
    let tune = &domain.cputune;
    let vcpus = (0..domain.vcpus).filter_map(|vcpu| {
        let own = tune.vcpupin.get(&crate::base::VcpuId(vcpu));
        own.or(domain.vcpu_cpuset.as_ref())
    });
    // libvirt puts every thread without a pin of its own there.
    let unpinned = |id: &u32| !tune.iothreadpin.contains_key(id);
    let loose =
        tune.emulatorpin.is_none() || domain.iothreads.iter().any(unpinned);
    vcpus
        .chain(domain.vcpu_cpuset.as_ref().filter(|_| loose))
        .chain(&tune.emulatorpin)
        .chain(tune.iothreadpin.values())
        .filter(|cpus| !topology.online.is_subset(cpus))
        .fold(CpuSet::new(), |all, one| all.union(one))
}

/// Returns the page size that backs a definition's memory. Where it asks for
/// huge pages of the system's default size, that is 2 MiB on x86.
pub(super) fn page_size(domain: &Domain) -> Option<PageSize> {
    let pages = domain.memory_backing.as_ref()?.hugepages.as_ref()?;
    let named = pages.iter().find_map(|page| page.size);
    Some(named.unwrap_or(PageSize::TWO_MIB))
}

/// Returns each piece of memory with the nodes that it comes from.
fn memory(
    domain: &Domain,
    topology: &Topology,
    cpus: &CpuSet,
) -> Vec<(Bytes, NodeSet)> {
    let tune = &domain.numatune;
    let fallback: NodeSet = match &tune.memory {
        Some(policy) if policy.nodeset.is_some() => {
            policy.nodeset.clone().unwrap_or_default()
        }
        _ => {
            let near =
                |node: &&crate::model::facts::Node| node.cpus.intersects(cpus);
            let nodes = || topology.nodes.iter();
            let near = nodes().filter(near).map(|node| node.id);
            let near: NodeSet = near.collect();
            // Where there is one node, it comes from there.
            match nodes().len() == 1 {
                true => nodes().map(|node| node.id).collect(),
                false => near,
            }
        }
    };
    if domain.cells().is_empty() {
        return vec![(domain.memory.total, fallback)];
    }
    let nodes = |cell| {
        let own = tune.memnodes.get(&cell).map(|memnode| &memnode.nodeset);
        own.unwrap_or(&fallback).clone()
    };
    domain.cells().iter().map(|cell| (cell.memory, nodes(cell.id))).collect()
}
