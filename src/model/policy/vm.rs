//! `[vm.NAME]`: what is different for one VM.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    DeviceLocality, Emulator, GuestIommu, Isolation, Level, Pages, Pins,
    PlacementMode, Policy, Smt, VmNic,
};

/// One VM's table: every key is optional and wins over the general one.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VmPolicy {
    /// How many NUMA nodes the guest shall have, each on a host node of its
    /// own.
    pub cells: Option<u32>,
    /// Guest threads per core.
    pub threads: Option<u32>,
    /// CPUs.
    pub cpu: VmCpu,
    /// Memory.
    pub memory: VmMemory,
    /// The guest's IOMMU.
    pub iommu: VmIommu,
    /// Devices.
    pub devices: VmDevices,
    /// Virtual functions of network cards that it shall have.
    pub nics: Vec<VmNic>,
    /// What each rule may do for this VM.
    pub rules: BTreeMap<String, Level>,
}

/// `[vm.NAME.cpu]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VmCpu {
    /// Whether CPUs are given to this VM alone.
    pub placement: Option<PlacementMode>,
    /// How guest threads meet host threads.
    pub smt: Option<Smt>,
    /// Where emulator and I/O threads run.
    pub emulator: Option<Emulator>,
    /// How the VM's CPUs are kept free of other work.
    pub isolation: Option<Isolation>,
    /// What becomes of pins that are there already.
    pub pins: Option<Pins>,
}

/// `[vm.NAME.memory]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VmMemory {
    /// The size of the guest's pages.
    pub pages: Option<Pages>,
}

/// `[vm.NAME.iommu]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VmIommu {
    /// Whether this guest gets an IOMMU of its own.
    pub guest: Option<GuestIommu>,
}

/// `[vm.NAME.devices]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VmDevices {
    /// How near this VM must be to its devices.
    pub locality: Option<DeviceLocality>,
}

impl VmPolicy {
    /// Writes this table's keys over a policy's general ones.
    pub(super) fn lay_over(&self, policy: &mut Policy) {
        fn set<T: Copy>(key: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *key = value;
            }
        }
        set(&mut policy.cpu.placement, self.cpu.placement);
        set(&mut policy.cpu.smt, self.cpu.smt);
        set(&mut policy.cpu.emulator, self.cpu.emulator);
        set(&mut policy.cpu.isolation, self.cpu.isolation);
        set(&mut policy.cpu.pins, self.cpu.pins);
        set(&mut policy.memory.pages, self.memory.pages);
        set(&mut policy.iommu.guest, self.iommu.guest);
        set(&mut policy.devices.locality, self.devices.locality);
        policy.rules.extend(self.rules.clone());
    }
}
