//! Places that concern memory and devices.

use crate::host::Root;

/// Places that are the same on each host.
const PLACES: [&str; 12] = [
    "/etc/modprobe.d/vmtune-vhost-net.conf",
    "/etc/security/limits.d/90-vmtune-rdma.conf",
    "/etc/sysctl.d/90-vmtune-numa-balancing.conf",
    "/etc/systemd/system/dev-hugepages1G.mount",
    "/etc/systemd/system/dev-hugepages2M.mount",
    "/etc/systemd/system/sysinit.target.d/90-vmtune.conf",
    "/etc/tmpfiles.d/vmtune-hugepages.conf",
    "/etc/tmpfiles.d/vmtune-ksm.conf",
    "/etc/tmpfiles.d/vmtune-transparent-hugepages.conf",
    "/proc/sys/kernel/numa_balancing",
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/mm/transparent_hugepage/enabled",
];

const NODES: &str = "sys/devices/system/node";

/// Lists the places: these, and the pools of huge pages of each node.
pub(super) fn places(root: &Root) -> Vec<String> {
    let nodes = root.list(NODES).unwrap_or_default();
    let nodes = nodes.iter().filter(|name| name.starts_with("node"));
    let pools = nodes.flat_map(|node| {
        let folder = format!("{NODES}/{node}/hugepages");
        let sizes = root.list(&folder).unwrap_or_default().into_iter();
        sizes.map(move |size| format!("/{folder}/{size}/nr_hugepages"))
    });
    PLACES.map(str::to_owned).into_iter().chain(pools).collect()
}
