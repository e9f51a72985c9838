//! PCI functions and RDMA devices.

use serde::{Deserialize, Serialize};

use crate::base::{NodeSet, PciAddress, PciId};
use crate::model::Fact;

/// A PCI function.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PciFunction {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub id: Fact<PciId>,
    /// Its class.
    pub class: PciClass,
    /// The nodes that it is near to: one where firmware tells (`numa_node`),
    /// several where it hangs off a package of several. Unknown for -1.
    pub nodes: Fact<NodeSet>,
    /// The driver that is bound to it; `None` for none.
    pub driver: Fact<Option<String>>,
    /// Its IOMMU group; `None` without an IOMMU.
    pub iommu_group: Fact<Option<u32>>,
    /// The physical function that it is a virtual one of.
    pub physfn: Option<PciAddress>,
    /// What it can do as a physical function; `None` if it cannot.
    pub sriov: Option<Sriov>,
    /// Its network interfaces, by the kernel's name, sorted.
    pub interfaces: Vec<String>,
}

impl PciFunction {
    /// Returns whether a VM has it, or could: no driver of the host's does.
    #[must_use]
    pub fn is_passed_through(&self) -> bool {
        let driver = self.driver.value().and_then(Option::as_deref);
        driver == Some("vfio-pci")
    }
}

/// SR-IOV of a physical function.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Sriov {
    /// How many virtual functions there can be (`sriov_totalvfs`).
    pub total: Fact<u32>,
    /// The virtual functions that there are, in `virtfnN` order.
    pub virtfns: Vec<PciAddress>,
}

/// The classes that matter to a VM.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PciClass {
    /// Network controllers (class 02).
    Network,
    /// Network controllers of InfiniBand (class 02, subclass 07).
    Infiniband,
    /// Displays and 3D (class 03) and processing accelerators (class 12).
    Accelerator,
    /// Mass storage (class 01).
    Storage,
    /// Bridges (class 06).
    Bridge,
    /// Everything else.
    Other,
}

impl PciClass {
    /// Returns whether it is a network controller, of InfiniBand or not.
    #[must_use]
    pub const fn is_network(self) -> bool {
        matches!(self, Self::Network | Self::Infiniband)
    }

    /// Reads the class of a 24-bit class code as sysfs has it.
    #[must_use]
    pub const fn of_code(code: u32) -> Self {
        match code >> 16 {
            0x02 if code >> 8 == 0x0207 => Self::Infiniband,
            0x01 => Self::Storage,
            0x02 => Self::Network,
            0x03 | 0x12 => Self::Accelerator,
            0x06 => Self::Bridge,
            _ => Self::Other,
        }
    }
}

/// An RDMA device.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RdmaDevice {
    /// The kernel's name, as `mlx5_0`.
    pub name: String,
    /// The PCI function behind it; `None` for software devices.
    pub pci: Option<PciAddress>,
    /// Its network interfaces, sorted.
    pub interfaces: Vec<String>,
}
