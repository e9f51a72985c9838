//! What one VM needs of a host.

use std::collections::BTreeMap;

use crate::base::{
    Bytes, CellId, CpuSet, DomainName, NodeSet, PciAddress, VcpuId, VcpuSet,
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
    /// How near to its devices it must be.
    pub locality: DeviceLocality,
    /// Its passed-through devices.
    pub devices: Vec<DeviceDemand>,
    /// Its I/O threads.
    pub iothreads: Vec<u32>,
    /// Pins that shall stay.
    pub kept: Option<Kept>,
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
        let kept = (policy.cpu.pins == Pins::Keep
            && !domain.cputune.vcpupin.is_empty())
        .then(|| kept(domain));
        let cells = match count {
            Some(count) if kept.is_none() => CellWish::Count(count.max(1)),
            _ => given(domain),
        };
        let devices = domain.devices.hostdevs.iter().map(|hostdev| {
            let function = facts.pci.value().and_then(|all| {
                all.iter().find(|f| f.address == hostdev.source)
            });
            let known = function.filter(|f| f.class != PciClass::Bridge);
            let nodes = known.and_then(|f| f.nodes.value()).cloned();
            DeviceDemand { address: hostdev.source, nodes }
        });
        Self {
            name: domain.name.clone(),
            vcpus: domain.vcpus,
            memory: domain.memory.total,
            cells,
            threads: table.and_then(|vm| vm.threads),
            smt: policy.cpu.smt,
            mode: policy.cpu.placement,
            emulator: policy.cpu.emulator,
            pages: policy.memory.pages,
            locality: policy.devices.locality,
            devices: devices.collect(),
            iothreads: domain.iothreads.clone(),
            kept,
        }
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
