//! The files that vmtune owns: plans, the journal, the lock.
//!
//! All of them lie in one folder that only its owner can write. No symbolic
//! link is followed on the way to it or in it, files appear whole or not at
//! all, and reads are bounded.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the floor that reads and writes vmtune's own files"
)]

pub(crate) mod atomic;
mod folder;
pub mod journal;
mod lock;
pub mod look_store;
pub mod plan_store;

use std::io;
use std::path::PathBuf;

pub use folder::StateDir;
pub use lock::{Lock, LockError};

/// Why one of vmtune's files or folders could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path cannot be walked safely.
    #[error("{path} is not an absolute path without ..")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A folder of the path is a link: it could lead elsewhere tomorrow.
    #[error("{path} is a symbolic link; give the path that it leads to")]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Somebody else could replace what is in the folder.
    #[error("{path} belongs to user {owner}, who is not this user or root")]
    Owner {
        /// The folder or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Likewise.
    #[error(
        "{path} can be written by others (mode {mode:o}); \
         `chmod go-w` it, or use another folder"
    )]
    Writable {
        /// The folder or file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A pipe, a device, a folder, a link.
    #[error("{path} is not an ordinary file")]
    NotRegular {
        /// What it should have been.
        path: PathBuf,
    },
    /// More than such a file can need.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What was expected at most.
        limit: u64,
    },
    /// The system refused.
    #[error("{doing} {path}")]
    Io {
        /// "reading", "writing", …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
