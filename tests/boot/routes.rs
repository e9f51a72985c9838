//! From what a host has to files, programs and where it shows.

use vmtune::base::HostPath;
use vmtune::boot::{Effect, Keeper, Shown, effect, keeper};
use vmtune::model::Program;
use vmtune::model::facts::BootLoader;

fn path(text: &str) -> HostPath {
    text.parse().unwrap()
}

fn shown(file: &str, there: &[&str]) -> (Program, Shown) {
    let exists = |path: &str| there.contains(&path);
    let Effect { program, shown } = effect(&path(file), &exists).unwrap();
    (program, shown)
}

fn menu(folder: &str) -> Shown {
    let menu = path(&format!("{folder}/grub.cfg"));
    let environment = path(&format!("{folder}/grubenv"));
    Shown::Menu { menu, environment }
}

#[test]
fn each_loader_has_its_keeper() {
    let none: &dyn Fn(&str) -> bool = &|_| false;
    for (loader, systemd_boot, expected) in [
        (BootLoader::Grub, None, Some(Keeper::Grub)),
        (BootLoader::GrubDropIn, None, Some(Keeper::Grub)),
        (BootLoader::SystemdBoot, None, Some(Keeper::CommandLine)),
        (BootLoader::ProxmoxBootTool, Some(true), Some(Keeper::CommandLine)),
        (BootLoader::ProxmoxBootTool, Some(false), Some(Keeper::Grub)),
        (BootLoader::ProxmoxBootTool, None, None),
        (BootLoader::Grubby, None, None),
        (BootLoader::Other, None, None),
    ] {
        let found = keeper(loader, systemd_boot, none);
        assert_eq!(found.ok(), expected, "{loader:?} {systemd_boot:?}");
    }
    let ostree = |path: &str| path == "/run/ostree-booted";
    let error = keeper(BootLoader::Grub, None, &ostree).unwrap_err();
    assert!(error.to_string().contains("ostree keeps them"), "{error}");
}

#[test]
fn each_file_has_its_program() {
    let debian = "/usr/sbin/update-grub";
    let proxmox = "/etc/kernel/proxmox-boot-uuids";
    for (file, there, program, expected) in [
        (
            "/etc/default/grub.d/zz-vmtune.cfg",
            vec![debian, "/boot/grub2/grub.cfg"],
            Program::UpdateGrub,
            menu("/boot/grub"),
        ),
        (
            "/etc/default/grub",
            vec!["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"],
            Program::Grub2Mkconfig,
            menu("/boot/grub2"),
        ),
        (
            "/etc/default/grub",
            vec!["/boot/grub/grub.cfg"],
            Program::GrubMkconfig,
            menu("/boot/grub"),
        ),
        (
            "/etc/default/grub",
            vec![debian, proxmox],
            Program::ProxmoxBootTool,
            Shown::File(path("/etc/default/grub")),
        ),
        (
            "/etc/kernel/cmdline",
            vec![proxmox, "/boot/loader/entries"],
            Program::ProxmoxBootTool,
            Shown::File(path("/etc/kernel/cmdline")),
        ),
        (
            "/etc/kernel/cmdline",
            vec!["/efi/loader/entries"],
            Program::KernelInstall,
            Shown::Entries(path("/efi/loader/entries")),
        ),
        (
            "/etc/kernel/cmdline",
            vec![],
            Program::KernelInstall,
            Shown::File(path("/etc/kernel/cmdline")),
        ),
    ] {
        assert_eq!(shown(file, &there), (program, expected), "{file}");
    }
    for file in ["/etc/default/grub", "/etc/fstab", "/boot/grub/menu.lst"] {
        let error = effect(&path(file), &|_| false).unwrap_err();
        assert!(error.to_string().starts_with(file), "{error}");
    }
}
