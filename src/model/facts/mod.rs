//! What was read of a host.

mod bridge;
mod cache;
mod forecast;
mod hardware;
mod hypervisor;
mod interrupt;
mod kernel;
mod memory;
mod network;
mod nic;
mod pci;
mod services;
mod topology;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use bridge::{BridgeKind, NetworkConfigurator};
pub use cache::{CacheControl, DividedCache};
pub use forecast::{Chance, Outlook};
pub use hardware::Hardware;
pub use hypervisor::{CpuCapabilities, HypervisorFacts};
pub use interrupt::Interrupt;
pub use kernel::{
    BootArgument, BootArguments, BootLoader, CpuPower, IdleState, Iommu,
    IommuGroup, KernelFacts,
};
pub use memory::{HugepagePool, MemoryFacts, Zone};
pub use network::Network;
pub use nic::{
    EswitchMode, Gid, Identity, Master, MasterKind, Nic, PcieLink, RdmaPort,
    Representor, Rings, Uplink,
};
pub use pci::{PciClass, PciFunction, RdmaDevice, Sriov};
pub use services::{Claim, ServiceFacts};
pub use topology::{Cache, Core, CpuKind, Die, Node, Package, Topology};

use super::Fact;
use crate::base::{HostPath, InterfaceName, PciAddress};

/// All that was read of one host. The same host read twice gives the same
/// facts, unless the host changed.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Version of this form; see [`Facts::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was read, for people: "this machine", "hwloc XML big.xml".
    pub source: String,
    /// The machine's architecture as `uname -m` spells it.
    pub arch: Fact<String>,
    /// CPU vendor, `GenuineIntel` or `AuthenticAMD` on x86.
    pub cpu_vendor: Fact<String>,
    /// CPU model name for people.
    pub cpu_model: Fact<String>,
    /// CPU flags as /proc/cpuinfo spells them, sorted.
    pub cpu_flags: Fact<Vec<String>>,
    /// Packages, nodes, caches, cores and CPUs.
    pub topology: Topology,
    /// Page pools and memory policies.
    pub memory: MemoryFacts,
    /// The kernel: command line, modules, sysctls, power, IOMMU.
    pub kernel: KernelFacts,
    /// PCI functions that a VM could get or that matter for locality.
    pub pci: Fact<Vec<PciFunction>>,
    /// RDMA devices.
    pub rdma: Fact<Vec<RdmaDevice>>,
    /// Physical network functions, sorted by address.
    #[serde(default = "Fact::<Vec<Nic>>::not_read")]
    pub nics: Fact<Vec<Nic>>,
    /// Settings of Open vSwitch (`other_config`) that concern cards.
    #[serde(default = "Fact::<BTreeMap<String, String>>::not_read")]
    pub open_vswitch: Fact<BTreeMap<String, String>>,
    /// Bridges, by name.
    #[serde(default = "Fact::<BTreeMap<InterfaceName, BridgeKind>>::not_read")]
    pub bridges: Fact<BTreeMap<InterfaceName, BridgeKind>>,
    /// How caches can be divided among VMs.
    #[serde(default = "Fact::<CacheControl>::not_read")]
    pub cache_control: Fact<CacheControl>,
    /// Interrupts of PCI functions, sorted by number.
    #[serde(default = "kernel::not_read::<Vec<Interrupt>>")]
    pub interrupts: Fact<Vec<Interrupt>>,
    /// The host's services.
    #[serde(default = "ServiceFacts::not_read")]
    pub services: ServiceFacts,
    /// What stands at the places of the host that vmtune may change, values
    /// of the running kernel and files below /etc; no text where there is no
    /// such file. A list of choices is given as the one that is chosen, an
    /// empty cpuset as the CPUs that it has.
    #[serde(default)]
    pub settings: BTreeMap<HostPath, Fact<Option<String>>>,
    /// What libvirt and QEMU say that they can do.
    pub hypervisor: Fact<HypervisorFacts>,
}

impl Facts {
    /// The version of the facts' form that this program reads and writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// Returns whether a virtual function is not there yet. A plan that makes
    /// functions counts on them before their card has them.
    #[must_use]
    pub fn is_to_come(&self, function: PciAddress) -> bool {
        let all = self.pci.value().map_or(&[][..], Vec::as_slice);
        let at = |address| all.iter().find(|f| f.address == address);
        let card = at(function).and_then(|own| own.physfn).and_then(at);
        let has = card.and_then(|card| card.sriov.as_ref());
        has.is_some_and(|sriov| !sriov.virtfns.contains(&function))
    }
}
