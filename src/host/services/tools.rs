//! Programs that make files take effect.

use crate::host::Root;
use crate::model::Fact;

const PROGRAMS: [&str; 11] = [
    "dcb",
    "devlink",
    "ethtool",
    "ip",
    "kernel-install",
    "proxmox-boot-tool",
    "setpci",
    "systemctl",
    "systemd-tmpfiles",
    "udevadm",
    "update-grub",
];

/// Looks for them where the system keeps its programs.
pub(super) fn read(root: &Root) -> Fact<Vec<String>> {
    if !root.is_complete() {
        return Fact::unknown("the tree need not hold all programs");
    }
    const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
    let there = |program: &&&str| {
        let mut places = FOLDERS.iter();
        places.any(|folder| root.exists(&format!("{folder}/{program}")))
    };
    let found = PROGRAMS.iter().filter(there).map(|p| (*p).to_owned());
    Fact::known(found.collect(), "/usr/sbin, /usr/bin, /sbin, /bin")
}
