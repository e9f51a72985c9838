//! The kernel: command line, modules, sysctls, and who starts and serves it.

mod boot;
mod generated;
mod iommu;
mod power;

pub use boot::next_arguments;
pub use generated::{Generated, generated};

use std::collections::BTreeMap;

use super::Root;
use super::services::Programs;
use crate::base::CpuSet;
use crate::model::Fact;
use crate::model::facts::KernelFacts;

/// Modules that a plan may cite: virtualization, pass-through, RDMA, the
/// drivers of the network cards that rules know, and guests' own.
const MODULES: [&str; 17] = [
    "ib_uverbs",
    "irdma",
    "kvm",
    "kvm_amd",
    "kvm_intel",
    "mlx4_core",
    "mlx5_core",
    "mlx5_ib",
    "openvswitch",
    "rdma_cm",
    "rdma_rxe",
    "tun",
    "vfio",
    "vfio_iommu_type1",
    "vfio_pci",
    "vhost_net",
    "vhost_vdpa",
];

/// Parameters of modules that change how a guest runs, as `module.name`.
const PARAMETERS: [(&str, &str); 14] = [
    ("kvm", "halt_poll_ns"),
    ("kvm", "ignore_msrs"),
    ("kvm", "nx_huge_pages"),
    ("kvm_amd", "avic"),
    ("kvm_amd", "nested"),
    ("kvm_amd", "npt"),
    ("kvm_intel", "enable_apicv"),
    ("kvm_intel", "ept"),
    ("kvm_intel", "nested"),
    ("kvm_intel", "preemption_timer"),
    ("vfio_iommu_type1", "allow_unsafe_interrupts"),
    ("vfio_iommu_type1", "dma_entry_limit"),
    ("vfio_pci", "disable_idle_d3"),
    ("vhost_net", "experimental_zcopytx"),
];

/// Settings under /proc/sys that a rule reads or that the guides set.
const SYSCTLS: [&str; 18] = [
    "kernel.nmi_watchdog",
    "kernel.numa_balancing",
    "kernel.perf_cpu_time_max_percent",
    "kernel.perf_event_max_sample_rate",
    "kernel.perf_event_paranoid",
    "kernel.sched_rt_runtime_us",
    "kernel.timer_migration",
    "kernel.watchdog",
    "net.core.busy_poll",
    "net.core.busy_read",
    "vm.compaction_proactiveness",
    "vm.max_map_count",
    "vm.nr_overcommit_hugepages",
    "vm.overcommit_memory",
    "vm.overcommit_ratio",
    "vm.stat_interval",
    "vm.swappiness",
    "vm.zone_reclaim_mode",
];

/// Reads all that concerns the kernel.
pub(super) fn read(root: &Root, programs: &Programs) -> KernelFacts {
    let whole = |text: &str| Some(text.to_owned());
    let modules = modules(root);
    let boot_loader = boot::loader(root);
    KernelFacts {
        release: release(root),
        command_line: root.fact("proc/cmdline", whole),
        boot_arguments: boot::arguments(root, &boot_loader),
        boot_loader,
        module_parameters: parameters(root, &modules),
        modules,
        sysctls: SYSCTLS
            .iter()
            .map(|name| {
                let path = format!("proc/sys/{}", name.replace('.', "/"));
                ((*name).to_owned(), root.fact(&path, whole))
            })
            .collect(),
        iommu: iommu::read(root),
        power: power::read(root),
        irqbalance: programs.irqbalance(),
        default_irq_affinity: root
            .fact("proc/irq/default_smp_affinity", CpuSet::of_mask),
        nohz_full: nohz_full(root),
    }
}

/// Reads which kernel it is.
pub(super) fn release(root: &Root) -> Fact<String> {
    root.fact("proc/sys/kernel/osrelease", |text| Some(text.to_owned()))
}

/// Lists the modules that are there. /sys/module, unlike /proc/modules,
/// holds those too that are built in.
fn modules(root: &Root) -> Fact<Vec<String>> {
    const FOLDER: &str = "sys/module";
    if !root.exists(FOLDER) {
        return Fact::unknown(format!("/{FOLDER} does not exist"));
    }
    let there = |name: &&&str| root.exists(&format!("{FOLDER}/{name}"));
    let found = MODULES.iter().filter(there).map(|name| (*name).to_owned());
    Fact::known(found.collect(), format!("/{FOLDER}"))
}

fn parameters(
    root: &Root,
    modules: &Fact<Vec<String>>,
) -> BTreeMap<String, Fact<String>> {
    let loaded = |module: &str| match modules.value() {
        Some(modules) => modules.iter().any(|m| m == module),
        None => true,
    };
    PARAMETERS
        .iter()
        .map(|(module, name)| {
            let fact = if loaded(module) {
                let path = format!("sys/module/{module}/parameters/{name}");
                root.fact(&path, |text| Some(text.to_owned()))
            } else {
                Fact::unknown(format!("the module {module} is not loaded"))
            };
            (format!("{module}.{name}"), fact)
        })
        .collect()
}

/// Reads the CPUs without a tick. A kernel without the feature has no such
/// file, one without such CPUs says `(null)`.
fn nohz_full(root: &Root) -> Fact<CpuSet> {
    const PATH: &str = "sys/devices/system/cpu/nohz_full";
    if !root.exists(PATH) && root.is_complete() {
        return Fact::known(CpuSet::new(), format!("/{PATH}: none"));
    }
    root.fact(PATH, |text| match text {
        "(null)" => Some(CpuSet::new()),
        list => list.parse().ok(),
    })
}
