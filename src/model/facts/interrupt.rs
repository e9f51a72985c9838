//! Interrupts of PCI functions.

use serde::{Deserialize, Serialize};

use crate::base::{CpuSet, PciAddress};
use crate::model::Fact;

/// An interrupt that a PCI function may raise. Which CPUs it may go to is
/// among the host's settings, at [`Interrupt::setting`].
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Interrupt {
    /// The kernel's number; changes from boot to boot.
    pub number: u32,
    /// The function.
    pub device: PciAddress,
    /// The CPUs that it goes to.
    pub effective: Fact<CpuSet>,
    /// Whether the kernel lets it be sent elsewhere. Those that it spreads
    /// over CPUs by itself ("managed") stay where they are.
    pub movable: Fact<bool>,
}

impl Interrupt {
    /// Returns the path of the list of CPUs that it may go to.
    #[must_use]
    pub fn setting(&self) -> String {
        format!("/proc/irq/{}/smp_affinity_list", self.number)
    }
}
