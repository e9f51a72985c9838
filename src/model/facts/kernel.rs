//! The kernel: how it was started, what it runs and how it saves power.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{CpuSet, HostPath, PciAddress};
use crate::model::Fact;

/// What was read of the kernel.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct KernelFacts {
    /// Release, as `uname -r`.
    pub release: Fact<String>,
    /// The command line that the kernel was started with.
    pub command_line: Fact<String>,
    /// What starts the kernel.
    pub boot_loader: Fact<BootLoader>,
    /// The arguments that the kernel will be started with next.
    #[serde(default = "not_read::<BootArguments>")]
    pub boot_arguments: Fact<BootArguments>,
    /// Modules that are loaded and matter here, sorted.
    pub modules: Fact<Vec<String>>,
    /// Parameters of these modules, as `kvm_intel.nested`.
    pub module_parameters: BTreeMap<String, Fact<String>>,
    /// Settings under /proc/sys that matter here, by their dotted name.
    pub sysctls: BTreeMap<String, Fact<String>>,
    /// IOMMU.
    pub iommu: Iommu,
    /// Frequency and idle states.
    pub power: CpuPower,
    /// Whether irqbalance runs.
    pub irqbalance: Fact<bool>,
    /// CPUs that new interrupts may go to (`/proc/irq/default_smp_affinity`).
    pub default_irq_affinity: Fact<CpuSet>,
}

/// For facts that were written before this one was read.
fn not_read<T>() -> Fact<T> {
    Fact::unknown("it was not read")
}

/// The arguments of the kernel's command line, as files keep them for the
/// next boot.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct BootArguments {
    /// The file that a new argument would be written to. It need not be there
    /// yet.
    pub file: HostPath,
    /// The arguments, in the order in which the kernel gets them.
    pub arguments: Vec<BootArgument>,
}

/// An argument for the next boot.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct BootArgument {
    /// The file that keeps it.
    pub file: HostPath,
    /// Its name, as [`Target::Argument`](crate::model::Target::Argument) has
    /// it.
    pub name: String,
    /// Its value; empty for an argument by its name alone.
    pub value: String,
}

/// What starts the kernel, and so where its command line is kept.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BootLoader {
    /// GRUB 2 with drop-ins under /etc/default/grub.d (Debian, Ubuntu).
    GrubDropIn,
    /// GRUB 2 with /etc/default/grub alone.
    Grub,
    /// `proxmox-boot-tool`, whichever loader it installs.
    ProxmoxBootTool,
    /// systemd-boot with /etc/kernel/cmdline.
    SystemdBoot,
    /// Boot loader specification entries kept by grubby.
    Grubby,
    /// Something that vmtune recognises as none of these.
    Other,
}

/// The host's IOMMU.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Iommu {
    /// Whether an IOMMU translates: /sys/class/iommu holds one.
    pub enabled: Fact<bool>,
    /// The groups, sorted by number.
    pub groups: Fact<Vec<IommuGroup>>,
}

/// Functions that the IOMMU cannot tell apart.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct IommuGroup {
    /// The kernel's number; changes from boot to boot.
    pub id: u32,
    /// Its functions, sorted.
    pub functions: Vec<PciAddress>,
}

/// Frequency scaling and idle states.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CpuPower {
    /// The frequency driver, as `intel_pstate`.
    pub driver: Fact<String>,
    /// The governors in use, each with its CPUs.
    pub governors: Fact<BTreeMap<String, CpuSet>>,
    /// The idle states of the first CPU, shallowest first.
    pub idle_states: Fact<Vec<IdleState>>,
}

/// An idle state.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct IdleState {
    /// Its name, as `C6`.
    pub name: String,
    /// Time to leave it, in microseconds.
    pub latency_us: u64,
    /// Whether it was switched off.
    pub disabled: bool,
}
