//! Places that say who may use which CPU, and how fast and awake it is.

use super::Host;

/// Files that vmtune writes.
const FILES: [&str; 7] = [
    "/etc/systemd/system/init.scope.d/90-vmtune.conf",
    "/etc/systemd/system/irqbalance.service.d/90-vmtune.conf",
    "/etc/systemd/system/system.slice.d/90-vmtune.conf",
    "/etc/systemd/system/user.slice.d/90-vmtune.conf",
    "/etc/tmpfiles.d/vmtune-governor.conf",
    "/etc/tmpfiles.d/vmtune-irq.conf",
    "/etc/tmpfiles.d/vmtune-latency.conf",
];

/// Values that there are once.
const VALUES: [&str; 4] = [
    "/proc/irq/default_smp_affinity",
    "/sys/fs/cgroup/init.scope/cpuset.cpus",
    "/sys/fs/cgroup/system.slice/cpuset.cpus",
    "/sys/fs/cgroup/user.slice/cpuset.cpus",
];

/// Values of each frequency domain.
const FREQUENCY: [&str; 2] =
    ["energy_performance_preference", "scaling_governor"];

/// Lists the places.
pub(super) fn places(host: &Host<'_>) -> Vec<String> {
    const CPUS: &str = "/sys/devices/system/cpu";
    let once = FILES.iter().chain(&VALUES).map(|path| (*path).to_owned());
    let domains = host.power.frequency_domains.value().into_iter().flatten();
    let frequency = domains.flat_map(|(n, _)| {
        FREQUENCY.map(|name| format!("{CPUS}/cpufreq/policy{n}/{name}"))
    });
    let latency = host
        .online
        .iter()
        .map(|cpu| format!("{CPUS}/cpu{cpu}/power/pm_qos_resume_latency_us"));
    let interrupts = host.interrupts.value().into_iter().flatten();
    let interrupts = interrupts.map(|interrupt| interrupt.setting());
    once.chain(frequency).chain(latency).chain(interrupts).collect()
}
