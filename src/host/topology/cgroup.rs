//! Which CPUs a control group leaves to its processes.

use crate::base::CpuSet;
use crate::host::Root;

/// The slices in which VMs are started: libvirt's and Proxmox's.
const MACHINES: [&str; 2] = ["machine.slice", "qemu.slice"];

/// The CPUs of all isolated partitions; the root group alone has the file.
pub(super) const ISOLATED: &str = "sys/fs/cgroup/cpuset.cpus.isolated";

/// Returns the CPUs that VMs may use: those of their slice, or where it has no
/// cpuset yet, those of the root group, below which systemd makes the slice.
/// That counts for more than the cpuset of this process, which on a tuned host
/// is in a slice that must keep off the VMs' CPUs.
///
/// The CPUs of a partition below the slice are no longer in its effective
/// list, but still the VMs'.
pub(super) fn of_machines(root: &Root) -> Option<CpuSet> {
    const GROUPS: &str = "sys/fs/cgroup";
    let of_slice = |slice: &&str| {
        let slice = format!("{GROUPS}/{slice}");
        let shared = effective(root, &slice)?;
        let own =
            list(root, &format!("{slice}/cpuset.cpus.exclusive.effective"));
        Some(shared.union(&own.unwrap_or_default()))
    };
    MACHINES.iter().find_map(of_slice).or_else(|| {
        let systemd = root.exists("run/systemd/system");
        systemd.then(|| effective(root, GROUPS)).flatten()
    })
}

/// Returns the CPUs of isolated partitions, where there are any.
pub(super) fn isolated(root: &Root) -> Option<CpuSet> {
    list(root, ISOLATED)
}

/// Returns the CPUs that the process which captured the tree could use.
pub(super) fn allowed(root: &Root) -> Option<CpuSet> {
    if let Ok(groups) = root.read("proc/self/cgroup") {
        let unified = groups.lines().find_map(|l| l.strip_prefix("0::/"));
        let of = |path| effective(root, &format!("sys/fs/cgroup/{path}"));
        if let Some(cpus) = unified.and_then(of) {
            return Some(cpus);
        }
    }
    let group = root.read("proc/self/cpuset").ok()?;
    let group = group.trim().trim_start_matches('/');
    ["sys/fs/cgroup/cpuset", "dev/cpuset"].into_iter().find_map(|mount| {
        // The old interface mounted alone drops the controller's name.
        let folder = format!("{mount}/{group}");
        list(root, &format!("{folder}/cpuset.cpus"))
            .or_else(|| list(root, &format!("{folder}/cpus")))
    })
}

fn effective(root: &Root, folder: &str) -> Option<CpuSet> {
    list(root, &format!("{folder}/cpuset.cpus.effective"))
}

fn list(root: &Root, path: &str) -> Option<CpuSet> {
    let cpus: CpuSet = root.read(path).ok()?.parse().ok()?;
    (!cpus.is_empty()).then_some(cpus)
}
