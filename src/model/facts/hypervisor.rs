//! What libvirt and QEMU say that they can do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Fact;

/// What a connection reports of itself.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct HypervisorFacts {
    /// libvirt's version, `11.3.0`.
    pub libvirt: Fact<String>,
    /// QEMU's version.
    pub qemu: Fact<String>,
    /// What domains of each virt type (`kvm`, `qemu`) can have.
    pub domains: BTreeMap<String, Fact<CpuCapabilities>>,
}

impl HypervisorFacts {
    /// Returns libvirt's version as numbers: 11, 3 and 0.
    #[must_use]
    pub fn libvirt_version(&self) -> Option<(u32, u32, u32)> {
        let mut numbers = self.libvirt.value()?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        Some((number()?, number()?, number()?))
    }
}

/// The part of a domain capabilities document that rules ask for.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CpuCapabilities {
    /// CPU modes that are supported: `host-passthrough`, `maximum`, …
    pub cpu_modes: Vec<String>,
    /// The machine type that these capabilities are of.
    pub machine: String,
    /// vIOMMU models; `None` where this libvirt does not report them.
    pub iommu_models: Option<Vec<String>>,
    /// Largest number of vCPUs.
    pub max_vcpus: Option<u32>,
}
