//! A VM as its definition describes it: the part that rules read.

mod cpu;
mod cpu_argument;
mod devices;
mod memory;
mod tune;

use std::collections::BTreeMap;

pub use cpu::{
    CpuCache, CpuElement, CpuFeature, CpuMode, CpuTopology, GuestCell,
};
pub use cpu_argument::CpuArgument;
pub use devices::{
    Controller, Devices, Disk, Hostdev, Interface, IommuDevice, MappedChoice,
    MappedDevice,
};
pub use memory::{
    BackingPage, Memnode, MemoryAmounts, MemoryBacking, MemoryPolicy, Numatune,
};
pub use tune::{Cachetune, Cputune, Scheduler};

use crate::base::{
    CpuSet, Digest, DomainName, DomainUuid, PageSize, PciAddress, VcpuSet, Vmid,
};

/// A VM. It is a view of a definition, never written back: what a plan
/// changes is edited in the definition's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// In whose words it is written.
    pub dialect: Dialect,
    /// Its UUID.
    pub uuid: Option<DomainUuid>,
    /// Digest of the text that this was read from.
    pub digest: Digest,
    /// Virt type: `kvm`, `qemu`, `xen`, …
    pub virt_type: String,
    /// Guest architecture (`<os><type arch=…>`).
    pub arch: Option<String>,
    /// Machine type, as `pc-q35-9.2`.
    pub machine: Option<String>,
    /// Whether the guest is booted by UEFI firmware.
    pub uefi: bool,
    /// Largest number of vCPUs (`<vcpu>`).
    pub vcpus: u32,
    /// vCPUs at start where fewer (`<vcpu current=…>`).
    pub current_vcpus: Option<u32>,
    /// `<vcpu placement=…>`.
    pub vcpu_placement: Option<String>,
    /// `<vcpu cpuset=…>`.
    pub vcpu_cpuset: Option<CpuSet>,
    /// vCPUs that `<vcpus>` lists as `enabled='no'`.
    pub disabled_vcpus: VcpuSet,
    /// Ids of the I/O threads: `<iothreads>` and `<iothreadids>` joined.
    pub iothreads: Vec<u32>,
    /// `<cputune>`.
    pub cputune: Cputune,
    /// `<numatune>`.
    pub numatune: Numatune,
    /// `<memory>`, `<currentMemory>`, `<maxMemory>`, `<memtune>`.
    pub memory: MemoryAmounts,
    /// `<memoryBacking>`; `None` where there is no such element.
    pub memory_backing: Option<MemoryBacking>,
    /// `<cpu>`; `None` where there is no such element.
    pub cpu: Option<CpuElement>,
    /// Attributes of `<features>` children by path, as
    /// `kvm/hint-dedicated@state` or `ioapic@driver`; a child without
    /// attributes stands under its bare name with an empty value.
    pub features: BTreeMap<String, String>,
    /// `<devices>`.
    pub devices: Devices,
    /// Arguments of `<qemu:commandline>`, in order.
    pub qemu_arguments: Vec<String>,
    /// Whether `<qemu:commandline>` sets environment variables too.
    pub qemu_environment: bool,
    /// `type` of `<launchSecurity>`: `sev`, `sev-snp`, `tdx`, …
    pub launch_security: Option<String>,
}

/// In whose words a definition is written: what it can say, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// libvirt's XML.
    Libvirt,
    /// Proxmox' `VMID.conf`, with the number where the file's name tells it.
    Proxmox(Option<Vmid>),
}

impl Domain {
    /// Returns the number that Proxmox knows the VM by.
    #[must_use]
    pub const fn vmid(&self) -> Option<Vmid> {
        match self.dialect {
            Dialect::Libvirt => None,
            Dialect::Proxmox(vmid) => vmid,
        }
    }

    /// Returns what a file with its definition is called: `vm1.xml`.
    #[must_use]
    pub fn file_name(&self) -> String {
        match self.dialect {
            Dialect::Libvirt => format!("{}.xml", self.name),
            Dialect::Proxmox(Some(vmid)) => format!("{vmid}.conf"),
            Dialect::Proxmox(None) => format!("{}.conf", self.name),
        }
    }

    /// Returns the guest's NUMA cells; empty where it has none of its own.
    #[must_use]
    pub fn cells(&self) -> &[GuestCell] {
        self.cpu.as_ref().map_or(&[], |cpu| &cpu.cells)
    }

    /// Returns whether the machine is of the q35 family.
    #[must_use]
    pub fn is_q35(&self) -> bool {
        self.machine.as_deref().is_some_and(|machine| machine.contains("q35"))
    }

    /// Returns whether this is a guest of x86 with 64 bits.
    #[must_use]
    pub fn is_x86_64(&self) -> bool {
        self.arch.as_deref().is_none_or(|arch| arch == "x86_64")
    }

    /// Returns whether a device of the host is passed through by VFIO.
    #[must_use]
    pub fn has_passthrough(&self) -> bool {
        !self.devices.hostdevs.is_empty() || !self.devices.mapped.is_empty()
    }

    /// Returns the functions of the host that are passed through.
    pub fn functions(&self) -> impl Iterator<Item = PciAddress> {
        self.devices.hostdevs.iter().map(|device| device.source)
    }

    /// Returns whether the definition asks for huge pages: a page size of
    /// ordinary pages is none.
    #[must_use]
    pub fn has_hugepages(&self) -> bool {
        let backing = self.memory_backing.as_ref();
        backing.and_then(|b| b.hugepages.as_ref()).is_some_and(|pages| {
            let huge = |page: &BackingPage| page.size != Some(PageSize::SMALL);
            pages.is_empty() || pages.iter().any(huge)
        })
    }

    /// Returns the value of a feature attribute, as
    /// `kvm/hint-dedicated@state`.
    #[must_use]
    pub fn feature(&self, path: &str) -> Option<&str> {
        self.features.get(path).map(String::as_str)
    }
}
