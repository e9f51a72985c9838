//! The kernel: how it was started, what it runs and how it saves power.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{CpuSet, HostPath, PciAddress};
use crate::model::{Fact, Target, first_counts, is_same_argument};

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
    /// CPUs without a timer tick while they run one task (`nohz_full=`).
    #[serde(default = "not_read::<CpuSet>")]
    pub nohz_full: Fact<CpuSet>,
}

/// For facts that were written before this one was read.
pub(super) fn not_read<T>() -> Fact<T> {
    Fact::unknown("it was not read")
}

impl KernelFacts {
    /// Returns the first two numbers of the release: 6 and 8 of
    /// `6.8.0-45-generic`.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.value()?.split(['.', '-']);
        let mut number = || numbers.next()?.parse().ok();
        Some((number()?, number()?))
    }
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

impl BootArguments {
    /// Returns the argument of a name, as the kernel goes by it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BootArgument> {
        self.counting(name, |_| true)
    }

    /// Returns an argument as a target, in the file where it is to be set.
    #[must_use]
    pub fn target(&self, name: &str) -> Target {
        let file = self.file_for(name).clone();
        Target::Argument { file, name: name.to_owned() }
    }

    /// Returns the value of an argument in a file that keeps it: of several
    /// the one that the kernel goes by.
    #[must_use]
    pub fn value_in(&self, file: &HostPath, name: &str) -> Option<&str> {
        let here = |one: &&BootArgument| one.file == *file;
        self.counting(name, here).map(|one| one.value.as_str())
    }

    /// Returns the file in which an argument is to be set: the one that keeps
    /// it, or else the one that new arguments go to. Set elsewhere it would
    /// stand on the command line twice.
    #[must_use]
    pub fn file_for(&self, name: &str) -> &HostPath {
        let found = self.counting(name, |_| true);
        found.map_or(&self.file, |one| &one.file)
    }

    /// Returns the argument of that name that the kernel goes by.
    fn counting(
        &self,
        name: &str,
        also: impl Fn(&&BootArgument) -> bool,
    ) -> Option<&BootArgument> {
        let mut all = self
            .arguments
            .iter()
            .filter(|one| is_same_argument(&one.name, name))
            .filter(also);
        if first_counts(name) { all.next() } else { all.next_back() }
    }
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
    /// Whether the firmware tells of one (ACPI tables DMAR and IVRS).
    #[serde(default = "Fact::<bool>::not_read")]
    pub described: Fact<bool>,
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
    /// How the host's own transfers are translated: `identity` for not at
    /// all, `DMA`, `DMA-FQ`, …
    #[serde(default = "Fact::<String>::not_read")]
    pub domain: Fact<String>,
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
    /// The governors that the driver has, sorted.
    #[serde(default = "not_read::<Vec<String>>")]
    pub available_governors: Fact<Vec<String>>,
    /// CPUs that change their frequency together, by the number of the
    /// kernel's policy; none where the host has no frequency scaling.
    #[serde(default = "not_read::<BTreeMap<u32, CpuSet>>")]
    pub frequency_domains: Fact<BTreeMap<u32, CpuSet>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_set_where_it_stands() {
        let [main, drop_in, new]: [HostPath; 3] =
            ["/etc/a", "/etc/b", "/etc/new"].map(|path| path.parse().unwrap());
        let all = [
            (&main, "isolcpus", "1"),
            (&main, "mitigations", "auto"),
            (&drop_in, "isolcpus", "2"),
            (&drop_in, "mitigations", "off"),
        ];
        let argument = |(file, name, value): (&HostPath, &str, &str)| {
            let (name, value) = (name.to_owned(), value.to_owned());
            BootArgument { file: file.clone(), name, value }
        };
        let arguments = all.map(argument).into();
        let boot = BootArguments { file: new.clone(), arguments };
        assert_eq!(*boot.file_for("isolcpus"), main);
        assert_eq!(*boot.file_for("mitigations"), drop_in);
        assert_eq!(*boot.file_for("nohz_full"), new);
        assert_eq!(boot.value_in(&drop_in, "isolcpus"), Some("2"));
        assert_eq!(boot.value_in(&new, "isolcpus"), None);
    }
}
