//! The host's own settings: files below /etc, values of the running kernel,
//! the few programs that make them take effect, and the definitions of a node
//! of Proxmox, which `qm` writes.
//!
//! No shell is started and no link of others is followed. What is written
//! was planned; nothing here decides anything.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the floor that writes settings and runs programs"
)]

mod choice;
pub mod fake;
mod live;
mod program;
mod qm;
mod way;

use std::io;
use std::path::PathBuf;

pub use choice::chosen;
pub use live::Live;
pub use qm::QmSet;

use crate::base::{HostPath, Vmid};
use crate::model::{Footing, Program, Standing};

/// What vmtune asks of the system that it runs on.
pub trait System {
    /// Returns what a file holds, and how it stands in its folder.
    ///
    /// # Errors
    /// When it is no ordinary file, cannot be read, or is not UTF-8.
    fn file(&self, path: &HostPath) -> Result<Standing, SystemError>;

    /// Makes a file hold this text, whole or not at all. A file that is there
    /// keeps its owner and mode; another one gets those of the footing, or
    /// belongs to this user and can be read by all.
    ///
    /// `None` removes the file, and of the folders on its way as many as the
    /// footing says were missing, unless something else is in them.
    ///
    /// # Errors
    /// When a folder on its way is a link, it is no ordinary file, or the
    /// system refuses.
    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
        footing: &Footing,
    ) -> Result<(), SystemError>;

    /// Returns a value of the running kernel, without the end of its line; of
    /// a list of choices the one that is chosen. A cgroup's `cpuset.cpus` that
    /// names none, or is not there, is all CPUs that the group has.
    ///
    /// # Errors
    /// When there is no such value or it cannot be read.
    fn value(&self, path: &HostPath) -> Result<String, SystemError>;

    /// Sets a value of the running kernel. A cgroup gets its `cpuset.cpus`
    /// where it has none.
    ///
    /// # Errors
    /// When the kernel refuses it.
    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError>;

    /// Runs a program that makes files take effect.
    ///
    /// # Errors
    /// When it cannot be started, fails, or does not end in time.
    fn run(&self, program: &Program) -> Result<(), SystemError>;

    /// Returns the definition of a VM of this node of Proxmox, byte for byte;
    /// `None` where there is no such VM.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8.
    fn conf(&self, vmid: Vmid) -> Result<Option<String>, SystemError>;

    /// Lets Proxmox change a definition. Where that fails, some of the keys
    /// may be changed.
    ///
    /// # Errors
    /// When Proxmox refuses: the definition has changed, the VM is locked, a
    /// value is none.
    fn set_conf(&self, set: &QmSet) -> Result<(), SystemError>;

    /// Returns the words that [`System::run`] would start a program by.
    fn command(&self, program: &Program) -> Vec<String> {
        program.line().iter().map(|word| (*word).to_owned()).collect()
    }
}

/// Why a setting of the host could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The folder that stands for `/` cannot be used.
    #[error("opening {path}")]
    Root {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link, a pipe, a device, a folder.
    #[error("{0} is not an ordinary file")]
    NotRegular(HostPath),
    /// A folder on the way is a link, or others can write in it.
    #[error("{folder}, on the way to {path}, {why}")]
    Unsafe {
        /// What was to be read or written.
        path: HostPath,
        /// The folder.
        folder: String,
        /// What is wrong with it.
        why: String,
    },
    /// A path below /sys or /proc that leads out of the kernel's own files.
    #[error("{0} is not a value of the kernel")]
    NotKernel(HostPath),
    /// A value that the kernel does not offer.
    #[error("{path} offers {offered:?}, and not {wanted:?}")]
    NotOffered {
        /// The list of choices.
        path: HostPath,
        /// What it offers.
        offered: String,
        /// What was wanted.
        wanted: String,
    },
    /// More than such a file can need.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: HostPath,
        /// What was expected at most.
        limit: u64,
    },
    /// Something else than text.
    #[error("{0} is not UTF-8")]
    NotText(HostPath),
    /// The system refused.
    #[error("{doing} {path}")]
    Io {
        /// "reading", "writing", …
        doing: &'static str,
        /// The file.
        path: HostPath,
        /// Why.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("starting `{program}`")]
    Start {
        /// The program.
        program: Program,
        /// Why.
        source: io::Error,
    },
    /// A program has failed.
    #[error("`{program}` has failed: {said}")]
    Failed {
        /// The program.
        program: Program,
        /// The last of what it said.
        said: String,
    },
    /// Proxmox did not change a definition.
    #[error("`{command}` has failed: {said}")]
    Proxmox {
        /// What was run.
        command: String,
        /// The last of what it said, or why it could not be started.
        said: String,
    },
}

impl SystemError {
    /// Returns whether there is nothing of that name.
    #[must_use]
    pub fn is_not_there(&self) -> bool {
        matches!(
            self,
            Self::Io { source, .. }
                if source.kind() == io::ErrorKind::NotFound
        )
    }

    /// Returns what a person can do next, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsafe { folder, .. } => {
                return Some(format!(
                    "whoever can exchange {folder} could make vmtune write \
                     elsewhere; let it be a folder that belongs to root and \
                     that only root can write"
                ));
            }
            Self::NotRegular(_) => {
                "vmtune follows no link here; put an ordinary file in its place"
            }
            Self::Io { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run vmtune as root"
            }
            Self::Io { source, .. }
                if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                "the file system can only be read; mount it for writing"
            }
            Self::Proxmox { said, .. } if said.contains("locked") => {
                "a backup, a snapshot or a migration is at the VM; when it \
                 has ended, try again"
            }
            Self::Start { .. } | Self::Failed { .. } | Self::Proxmox { .. } => {
                "run the program by hand to see all that it says"
            }
            _ => return None,
        };
        Some(hint.into())
    }
}
