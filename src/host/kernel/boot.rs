//! Which program starts the kernel, and so keeps its command line.

use crate::host::Root;
use crate::model::Fact;
use crate::model::facts::BootLoader;

/// The EFI variable in which systemd-boot leaves its name; the number is the
/// vendor id that its interface specification fixes, the same everywhere.
const LOADER_INFO: &str =
    "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Tells the boot loader by the files that its tools leave, first what is
/// sure. GRUB's drop-ins are a Debian patch: where grubby is, the folder may
/// be there and means nothing.
pub(super) fn loader(root: &Root) -> Fact<BootLoader> {
    if !root.exists("etc") {
        return Fact::unknown("/etc does not exist");
    }
    let by_file = [
        ("etc/kernel/proxmox-boot-uuids", BootLoader::ProxmoxBootTool),
        (LOADER_INFO, BootLoader::SystemdBoot),
        ("usr/sbin/grubby", BootLoader::Grubby),
        ("usr/bin/grubby", BootLoader::Grubby),
        ("etc/default/grub.d", BootLoader::GrubDropIn),
        ("etc/default/grub", BootLoader::Grub),
        ("etc/kernel/cmdline", BootLoader::SystemdBoot),
    ];
    let found = by_file.into_iter().find(|(path, _)| match *path {
        LOADER_INFO => root.read_bytes(path).is_ok_and(|b| is_systemd(&b)),
        path => root.exists(path),
    });
    match found {
        Some((path, loader)) => Fact::known(loader, format!("/{path}")),
        None => Fact::known(BootLoader::Other, "/etc"),
    }
}

/// Returns whether the variable, four bytes of attributes and UTF-16, names
/// systemd-boot. GRUB writes it too.
fn is_systemd(variable: &[u8]) -> bool {
    let text: Vec<u8> = variable.iter().skip(4).step_by(2).copied().collect();
    text.starts_with(b"systemd-boot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_name_is_utf_16_after_four_bytes() {
        let mut variable = vec![6, 0, 0, 0];
        variable.extend("systemd-boot 257".bytes().flat_map(|b| [b, 0]));
        assert!(is_systemd(&variable));
        assert!(!is_systemd(b"\x06\0\0\0G\0R\0U\0B\0"));
        assert!(!is_systemd(b""));
    }
}
