//! What the operator wants.

mod levels;
mod nic;
mod vm;
mod vm_nic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use levels::{
    Cpu, DeviceLocality, Devices, Emulator, GuestIommu, HostIommu,
    Housekeeping, IommuPolicy, Isolation, Level, Memory, Pages, Pins,
    PlacementMode, Reserve, Smt,
};
pub use nic::{NicName, NicPolicy};
pub use vm::{VmCpu, VmDevices, VmIommu, VmMemory, VmPolicy};
pub use vm_nic::{NicElement, NicSource, VmNic};

/// A policy: everything that is not a fact and not in the definition.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// The preset that the other keys start from.
    #[serde(default = "Policy::default_preset")]
    pub preset: String,
    /// CPUs.
    #[serde(default)]
    pub cpu: Cpu,
    /// Memory.
    #[serde(default)]
    pub memory: Memory,
    /// The guest's IOMMU.
    #[serde(default)]
    pub iommu: IommuPolicy,
    /// Devices.
    #[serde(default)]
    pub devices: Devices,
    /// Network cards.
    #[serde(default)]
    pub nic: NicPolicy,
    /// What each rule may do, by its id.
    #[serde(default)]
    pub rules: BTreeMap<String, Level>,
    /// What is different for one VM, by its name.
    #[serde(default)]
    pub vm: BTreeMap<String, VmPolicy>,
}

impl Policy {
    /// The preset where none is named.
    #[must_use]
    pub fn default_preset() -> String {
        "balanced".to_owned()
    }

    /// Returns the policy for one VM: its own table laid over the rest.
    #[must_use]
    pub fn for_vm(&self, name: &str) -> Self {
        let mut policy = self.clone();
        if let Some(vm) = self.vm.get(name) {
            vm.lay_over(&mut policy);
        }
        policy
    }

    /// Returns whether a rule that plans by default may do so.
    #[must_use]
    pub fn plans(&self, rule: &str) -> bool {
        self.rules.get(rule).is_none_or(|level| *level == Level::Plan)
    }

    /// Returns the table of one VM.
    #[must_use]
    pub fn vm_table(&self, name: &str) -> Option<&VmPolicy> {
        self.vm.get(name)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            preset: Self::default_preset(),
            cpu: Cpu::default(),
            memory: Memory::default(),
            iommu: IommuPolicy::default(),
            devices: Devices::default(),
            nic: NicPolicy::default(),
            rules: BTreeMap::new(),
            vm: BTreeMap::new(),
        }
    }
}
