//! From what a host has to where its command line is kept, what makes it take
//! effect, and where that shows.

use super::{BootError, Form};
use crate::base::HostPath;
use crate::model::Program;
use crate::model::facts::BootLoader;

/// Where a host keeps its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// In `/etc/default/grub` and, where that folder is, in the files of
    /// `/etc/default/grub.d` that end on `.cfg`, sorted by name.
    Grub,
    /// In `/etc/kernel/cmdline`.
    CommandLine,
}

/// The file by which `proxmox-boot-tool` knows what it boots from.
const PROXMOX: &str = "/etc/kernel/proxmox-boot-uuids";

/// Tells where a host keeps its command line. `systemd_boot` tells whether
/// that has started the host, `None` where it is not known; `exists` tells
/// whether something is at a path.
///
/// # Errors
/// When it is kept where vmtune does not write, with the reason.
pub fn keeper(
    loader: BootLoader,
    systemd_boot: Option<bool>,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Keeper, BootError> {
    let refuse = |why: &str| Err(BootError::NoFile(why.to_owned()));
    if let Some(other) = owner(exists) {
        return refuse(&format!("{other} keeps them"));
    }
    match loader {
        BootLoader::GrubDropIn | BootLoader::Grub => Ok(Keeper::Grub),
        BootLoader::SystemdBoot => Ok(Keeper::CommandLine),
        BootLoader::ProxmoxBootTool => match systemd_boot {
            Some(true) => Ok(Keeper::CommandLine),
            Some(false) => Ok(Keeper::Grub),
            None => refuse(
                "proxmox-boot-tool uses GRUB or systemd-boot, and which one \
                 has started the host is not known",
            ),
        },
        BootLoader::Grubby => refuse("grubby keeps them in its entries"),
        BootLoader::Other => refuse("the boot loader is not known"),
    }
}

/// Returns the system that keeps the command line in a way of its own.
pub(super) fn owner(exists: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    [("/run/ostree-booted", "ostree"), ("/etc/NIXOS", "NixOS")]
        .into_iter()
        .find(|(path, _)| exists(path))
        .map(|(_, name)| name)
}

/// What has to happen after a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The program that makes it take effect.
    pub program: Program,
    /// Where that shows.
    pub shown: Shown,
}

/// Where the arguments for the next boot show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// In the default entry of GRUB's menu: see
    /// [`generated`](super::generated).
    Menu {
        /// The menu.
        menu: HostPath,
        /// The environment block that may choose the entry; it need not be
        /// there.
        environment: HostPath,
    },
    /// In the entries of a folder, those of the kernel that the program
    /// writes them for: see [`entry_version`](super::entry_version).
    Entries(HostPath),
    /// In the file alone. What is made of it goes to partitions that are not
    /// mounted, or into images.
    File(HostPath),
}

/// Tells what has to happen after a file has changed that keeps a command
/// line.
///
/// # Errors
/// When no program that vmtune knows makes the file take effect.
pub fn effect(
    file: &HostPath,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Effect, BootError> {
    let unknown = || BootError::NoProgram(file.clone());
    let path = |text: &str| text.parse::<HostPath>().map_err(|_| unknown());
    let form = Form::of(file);
    let grub = matches!(form, Some(Form::Grub | Form::GrubDropIn));
    if !grub && form != Some(Form::CommandLine) {
        return Err(unknown());
    }
    if exists(PROXMOX) {
        // It writes to each of its partitions by itself, the menus of GRUB
        // too. The menu in /boot is not what such a host starts from.
        let shown = Shown::File(file.clone());
        return Ok(Effect { program: Program::ProxmoxBootTool, shown });
    }
    if !grub {
        let folders = ["/boot", "/efi", "/boot/efi"];
        let mut entries =
            folders.iter().map(|folder| format!("{folder}/loader/entries"));
        let shown = match entries.find(|folder| exists(folder)) {
            Some(folder) => Shown::Entries(path(&folder)?),
            None => Shown::File(file.clone()),
        };
        return Ok(Effect { program: Program::KernelInstall, shown });
    }
    let update = ["/usr/sbin/update-grub", "/usr/bin/update-grub"];
    let (program, folder) = if update.iter().any(|program| exists(program)) {
        (Program::UpdateGrub, "/boot/grub")
    } else if exists("/boot/grub2/grub.cfg") {
        (Program::Grub2Mkconfig, "/boot/grub2")
    } else if exists("/boot/grub/grub.cfg") {
        (Program::GrubMkconfig, "/boot/grub")
    } else {
        return Err(unknown());
    };
    let shown = Shown::Menu {
        menu: path(&format!("{folder}/grub.cfg"))?,
        environment: path(&format!("{folder}/grubenv"))?,
    };
    Ok(Effect { program, shown })
}
