//! `<devices>`: what is passed through, and what placement or rules ask of.

use std::collections::BTreeSet;

use crate::base::{CellId, MacAddress, PciAddress};
use crate::model::NicPlacement;

/// `<devices>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devices {
    /// Host PCI functions, from `<hostdev type='pci'>` and
    /// `<interface type='hostdev'>`, in document order.
    pub hostdevs: Vec<Hostdev>,
    /// How many `<hostdev>` elements there are, of every kind.
    pub hostdev_elements: usize,
    /// How many `<interface>` elements there are, of every kind.
    pub interface_elements: usize,
    /// Proxmox' resource mappings: host PCI functions that are chosen when
    /// the VM starts.
    pub mapped: Vec<MappedDevice>,
    /// The numbers of Proxmox' `hostpciN` that are taken; `None` for libvirt,
    /// where devices have no numbers.
    pub taken_slots: Option<BTreeSet<usize>>,
    /// Mediated, USB, SCSI and other `<hostdev>`s, counted only.
    pub other_hostdevs: u32,
    /// `<disk>`s.
    pub disks: Vec<Disk>,
    /// `<interface>`s that are not passed through.
    pub interfaces: Vec<Interface>,
    /// `<controller>`s.
    pub controllers: Vec<Controller>,
    /// `model=…` of `<memballoon>`; `None` where there is no element.
    pub memballoon: Option<String>,
    /// `<iommu>`.
    pub iommu: Option<IommuDevice>,
    /// Whether a device shares memory with another process (vhost-user,
    /// virtiofs), which forbids private guest memory.
    pub needs_shared_memory: bool,
}

impl Devices {
    /// Returns the devices with the functions that the VM is given.
    #[must_use]
    pub fn with_nics(&self, nics: &[NicPlacement]) -> Self {
        let mut devices = self.clone();
        for nic in nics {
            if let Some(source) = nic.added() {
                devices.attach(source, nic);
            }
        }
        devices
    }

    /// Adds a function that is not there yet, as the last element of its
    /// kind, or by the first number that is free.
    fn attach(&mut self, source: PciAddress, nic: &NicPlacement) {
        let NicPlacement { mut is_interface, mac, .. } = *nic;
        if self.hostdevs.iter().any(|device| device.source == source) {
            return;
        }
        let position = match (&mut self.taken_slots, is_interface) {
            (Some(taken), _) => {
                is_interface = false;
                let mut free = (0..).filter(|slot| !taken.contains(slot));
                let slot = free.next().unwrap_or_default();
                taken.insert(slot);
                slot
            }
            (None, true) => {
                self.interface_elements += 1;
                self.interface_elements
            }
            (None, false) => {
                self.hostdev_elements += 1;
                self.hostdev_elements
            }
        };
        self.hostdevs.push(Hostdev {
            source,
            is_interface,
            position,
            managed: true,
            mac,
            guest_bus: None,
        });
    }
}

/// A passed-through PCI function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostdev {
    /// The host function.
    pub source: PciAddress,
    /// Whether it is an `<interface>`; a `<hostdev>` otherwise.
    pub is_interface: bool,
    /// Its place among elements of its name, counted from 1; of Proxmox the
    /// number of its key.
    pub position: usize,
    /// `managed='yes'`.
    pub managed: bool,
    /// The MAC address that an `<interface>` has; libvirt makes one for one
    /// without.
    pub mac: Option<MacAddress>,
    /// Bus of the guest PCI address, where the definition gives one.
    pub guest_bus: Option<u8>,
}

/// A device of which Proxmox' resource mapping says which function it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDevice {
    /// The mapping's name.
    pub mapping: String,
    /// The number of its key: 3 of `hostpci3`.
    pub position: usize,
    /// What the mapping has for this node, one of which the VM gets; `None`
    /// where the mappings were not read.
    pub choices: Option<Vec<MappedChoice>>,
}

/// One of the devices that a resource mapping stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedChoice {
    /// Its functions.
    pub functions: Vec<PciAddress>,
    /// The IOMMU group that the mapping says it is in.
    pub iommu_group: Option<u32>,
}

/// `<disk>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `<target dev=…>`.
    pub target: Option<String>,
    /// `<target bus=…>`.
    pub bus: Option<String>,
    /// `<driver iothread=…>`.
    pub iothread: Option<u32>,
}

/// `<interface>` that is not passed through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `type=…`.
    pub kind: String,
    /// `<model type=…>`.
    pub model: Option<String>,
}

/// `<controller>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `type=…`.
    pub kind: String,
    /// `index=…`.
    pub index: Option<u32>,
    /// `model=…`.
    pub model: Option<String>,
    /// `<target><node>`: the guest cell of an expander bus.
    pub node: Option<CellId>,
    /// `<target busNr=…>`.
    pub bus_number: Option<u8>,
    /// Bus of its own PCI address.
    pub guest_bus: Option<u8>,
    /// `<driver iothread=…>`.
    pub iothread: Option<u32>,
}

/// `<iommu>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IommuDevice {
    /// `model=…`: `intel`, `virtio`, `smmuv3`, `amd`.
    pub model: String,
    /// `intremap`, `caching_mode`, `eim`, `iotlb`, `aw_bits` of `<driver>`,
    /// in document order.
    pub driver: Vec<(String, String)>,
}
