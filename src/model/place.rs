//! What a transaction changes, one place a step.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::{DomainName, DomainUuid, HostPath, Vmid};

/// Something that is read, written and put back as a whole.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The definition that a VM starts from next.
    Definition {
        /// The VM's name.
        name: DomainName,
        /// The VM.
        uuid: DomainUuid,
    },
    /// The definition of a VM of Proxmox, `VMID.conf`, as a whole. Proxmox
    /// alone writes it, key by key.
    Conf {
        /// The VM's name.
        name: DomainName,
        /// The VM.
        vmid: Vmid,
    },
    /// What of a running VM can be tuned while it runs.
    Live {
        /// The VM's name.
        name: DomainName,
        /// The VM.
        uuid: DomainUuid,
    },
    /// A file of the host, which is there or is not.
    File(HostPath),
    /// A value of the running kernel, which is always there.
    Kernel(HostPath),
    /// A program that makes files take effect. It has no text: it is run
    /// after its files are written, and once more after they are put back.
    Program(Program),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition { name, .. } => name.fmt(f),
            Self::Conf { name, vmid } => write!(f, "{name} ({vmid})"),
            Self::Live { name, .. } => write!(f, "{name}, which runs"),
            Self::File(path) | Self::Kernel(path) => path.fmt(f),
            Self::Program(program) => program.fmt(f),
        }
    }
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its text; `None` where there is nothing.
    pub text: Option<String>,
    /// How a file stands in its folder.
    pub footing: Footing,
}

/// How a file stands in its folder, apart from its text: what a rollback
/// needs besides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Footing {
    /// How many folders on the way to it are not there.
    pub missing_folders: usize,
    /// Who may use it; `None` where there is no file.
    pub access: Option<FileAccess>,
}

/// Whose a file is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAccess {
    /// The permissions, as `chmod` takes them.
    pub mode: u32,
    /// The user's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
}

/// A program that makes written files take effect. Each may run twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// Writes GRUB's menu from /etc/default/grub and its drop-ins.
    UpdateGrub,
    /// Does the same where GRUB comes as it is upstream.
    GrubMkconfig,
    /// Does the same where GRUB is called by its version.
    Grub2Mkconfig,
    /// Copies kernels and command lines to where Proxmox boots from.
    ProxmoxBootTool,
    /// Writes the boot entries of the running kernel anew, from
    /// /etc/kernel/cmdline.
    KernelInstall,
    /// Has systemd read its units again.
    DaemonReload,
    /// Restarts a service that runs; leaves one alone that does not.
    TryRestart(Service),
}

/// A service that vmtune may restart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Spreads interrupts over CPUs.
    Irqbalance,
}

impl Program {
    /// Returns the program and its arguments, as a person would type them.
    #[must_use]
    pub const fn line(&self) -> &'static [&'static str] {
        match self {
            Self::UpdateGrub => &["update-grub"],
            Self::GrubMkconfig => {
                &["grub-mkconfig", "-o", "/boot/grub/grub.cfg"]
            }
            Self::Grub2Mkconfig => {
                &["grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"]
            }
            Self::ProxmoxBootTool => &["proxmox-boot-tool", "refresh"],
            Self::KernelInstall => &["kernel-install", "add"],
            Self::DaemonReload => &["systemctl", "daemon-reload"],
            Self::TryRestart(Service::Irqbalance) => {
                &["systemctl", "try-restart", "irqbalance.service"]
            }
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line().join(" "))
    }
}
