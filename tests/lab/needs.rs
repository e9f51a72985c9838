//! What the lab needs of the machine that it runs on.

use std::path::{Path, PathBuf};

/// Programs, and the packages that bring them.
const PROGRAMS: [(&str, &str); 19] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("libvirtd", "libvirt-daemon-system"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("modprobe", "kmod"),
    ("xz", "xz-utils"),
    ("lstopo", "hwloc"),
    ("ib_write_bw", "perftest"),
    ("lspci", "pciutils"),
    ("rdma", "iproute2"),
    ("ethtool", "ethtool"),
    ("ibv_devinfo", "ibverbs-utils"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("qemu-ga", "qemu-guest-agent"),
    ("systemctl", "systemd"),
    ("machinectl", "systemd-container"),
    ("mkfs.ext4", "e2fsprogs"),
    ("update-grub", "grub2-common"),
];

/// Returns what is lacking, if anything, in a line.
pub(crate) fn lack() -> Option<String> {
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            return Some(format!(
                "{program} is missing (package {package}; `make lab-setup` \
                 installs all that the lab needs)"
            ));
        }
    }
    None
}

/// Finds a program in the system's folders, which a user's PATH may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
}
