//! What one VM needs of a host.

use std::collections::BTreeMap;

use super::held::page_size;
use crate::base::{
    Bytes, CellId, CpuSet, DomainName, NodeSet, PageSize, PciAddress, VcpuId,
    VcpuSet,
};
use crate::model::domain::Domain;
use crate::model::facts::{Facts, PciClass};
use crate::model::policy::{
    DeviceLocality, Emulator, Pages, Pins, PlacementMode, Policy, Smt,
};

/// What one VM needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The VM.
    pub name: DomainName,
    /// How many vCPUs.
    pub vcpus: u32,
    /// How much memory.
    pub memory: Bytes,
    /// The guest's NUMA nodes.
    pub cells: CellWish,
    /// Guest threads per core that were asked for; else as the host has them.
    pub threads: Option<u32>,
    /// How guest threads meet host threads.
    pub smt: Smt,
    /// Whether the CPUs shall be the VM's alone.
    pub mode: PlacementMode,
    /// Where its other threads run.
    pub emulator: Emulator,
    /// Its page size.
    pub pages: Pages,
    /// A page size that its cells must be whole in, although it is not known
    /// where such pages are.
    pub granule: Option<PageSize>,
    /// How near to its devices it must be.
    pub locality: DeviceLocality,
    /// Its passed-through devices.
    pub devices: Vec<DeviceDemand>,
    /// Its I/O threads.
    pub iothreads: Vec<u32>,
    /// Pins that shall stay.
    pub kept: Option<Kept>,
    /// Whether the vCPUs will be pinned at all.
    pub pinned: bool,
    /// CPUs of emulator and I/O threads whose pins shall stay.
    pub service: CpuSet,
    /// Those of them that are the emulator's, where it shall have CPUs of its
    /// own.
    pub own_emulator: CpuSet,
}

/// Pins that shall stay, and what goes with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The CPUs of each vCPU that has a pin.
    pub pins: BTreeMap<VcpuId, CpuSet>,
    /// The guest's threads per core, where the definition tells.
    pub threads: Option<u32>,
}

/// The guest's NUMA nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellWish {
    /// As many as it takes, each on a node of its own.
    Auto,
    /// So many, each on a node of its own.
    Count(u32),
    /// As the definition has them; may share a node where nodes are short.
    Given(Vec<CellDemand>),
}

/// One of the guest's NUMA nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellDemand {
    /// The guest's number of it.
    pub id: CellId,
    /// Its vCPUs.
    pub vcpus: VcpuSet,
    /// Its memory.
    pub memory: Bytes,
}

/// A passed-through device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDemand {
    /// Where it is.
    pub address: PciAddress,
    /// The nodes that it is near to; `None` where that is not known.
    pub nodes: Option<NodeSet>,
}

impl Demand {
    /// Reads what a definition needs under a policy (already that of the VM).
    #[must_use]
    pub fn of(domain: &Domain, facts: &Facts, policy: &Policy) -> Self {
        let table = policy.vm_table(domain.name.as_str());
        let count = table.and_then(|vm| vm.cells);
        let tune = &domain.cputune;
        let stays = |rule| policy.cpu.pins == Pins::Keep || !policy.plans(rule);
        let kept = (stays("vcpu-pin") && !tune.vcpupin.is_empty())
            .then(|| kept(domain));
        let cells = match count {
            Some(count) if kept.is_none() && policy.plans("numa-cells") => {
                CellWish::Count(count.max(1))
            }
            _ => given(domain),
        };
        let emulator =
            tune.emulatorpin.iter().filter(|_| stays("emulator-pin"));
        let dedicated = policy.cpu.emulator == Emulator::Dedicated;
        let own_emulator = emulator.clone().find(|_| dedicated).cloned();
        let iothreads =
            tune.iothreadpin.values().filter(|_| stays("iothread-pin"));
        let service = emulator
            .chain(iothreads)
            .filter(|cpus| !facts.topology.online.is_subset(cpus))
            .fold(CpuSet::new(), |all, one| all.union(one));
        let devices = domain.devices.hostdevs.iter().map(|hostdev| {
            let function = facts.pci.value().and_then(|all| {
                all.iter().find(|f| f.address == hostdev.source)
            });
            let known = function.filter(|f| f.class != PciClass::Bridge);
            let nodes = known.and_then(|f| f.nodes.value()).cloned();
            DeviceDemand { address: hostdev.source, nodes }
        });
        let (pages, granule) = pages(domain, facts, policy);
        Self {
            name: domain.name.clone(),
            vcpus: domain.vcpus,
            memory: domain.memory.total,
            cells,
            threads: table.and_then(|vm| vm.threads),
            smt: policy.cpu.smt,
            mode: policy.cpu.placement,
            // What has its own CPUs and keeps them asks for no others.
            emulator: match &tune.emulatorpin {
                Some(_) if policy.cpu.pins == Pins::Keep => {
                    Emulator::Housekeeping
                }
                _ => policy.cpu.emulator,
            },
            pages,
            granule,
            locality: policy.devices.locality,
            devices: devices.collect(),
            iothreads: domain.iothreads.clone(),
            pinned: policy.plans("vcpu-pin") || kept.is_some(),
            kept,
            service,
            own_emulator: own_emulator.unwrap_or_default(),
        }
    }
}

/// Returns the pages that the VM will have, as far as is known, and the size
/// that its cells must be whole in besides: its definition's own, where
/// nobody may change that, or nobody knows what pools there are.
fn pages(
    domain: &Domain,
    facts: &Facts,
    policy: &Policy,
) -> (Pages, Option<PageSize>) {
    let own = domain.has_hugepages().then(|| page_size(domain)).flatten();
    let known = facts.memory.hugepages.value().is_some();
    let wanted = policy.memory.pages;
    match (policy.plans("hugepages"), own) {
        (true, Some(own)) if !known && wanted == Pages::Auto => {
            (Pages::None, Some(own))
        }
        (true, _) => (wanted, None),
        (false, Some(own)) if known => (Pages::Size(own), None),
        (false, own) => (Pages::None, own),
    }
}

fn kept(domain: &Domain) -> Kept {
    let topology = domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let true_to_vcpus = topology.filter(|t| t.vcpus() == domain.vcpus);
    Kept {
        pins: domain.cputune.vcpupin.clone(),
        threads: true_to_vcpus.map(|topology| topology.threads),
    }
}

/// Takes the cells that a definition has, where they cover its vCPUs: those
/// that no cell names belong to the first, as libvirt has it.
fn given(domain: &Domain) -> CellWish {
    let mut cells: Vec<_> = domain
        .cells()
        .iter()
        .map(|cell| CellDemand {
            id: cell.id,
            vcpus: cell.vcpus.clone(),
            memory: cell.memory,
        })
        .collect();
    let all: VcpuSet = (0..domain.vcpus).map(VcpuId).collect();
    let named =
        cells.iter().fold(VcpuSet::new(), |set, cell| set.union(&cell.vcpus));
    let Some(first) = cells.first_mut() else { return CellWish::Auto };
    first.vcpus = first.vcpus.union(&all.difference(&named));
    for cell in &mut cells {
        cell.vcpus = cell.vcpus.intersection(&all);
    }
    CellWish::Given(cells)
}
