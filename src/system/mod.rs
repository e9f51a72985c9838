//! The host's own settings: files below /etc, values of the running kernel,
//! and the few programs that make them take effect.
//!
//! No shell is started and no link is followed. What is written was planned;
//! nothing here decides anything.

use std::io;

use crate::base::HostPath;
use crate::model::Program;

/// What vmtune asks of the system that it runs on.
pub trait System {
    /// Returns what a file holds; `None` where there is none.
    ///
    /// # Errors
    /// When it is no ordinary file, cannot be read, or is not UTF-8.
    fn file(&self, path: &HostPath) -> Result<Option<String>, SystemError>;

    /// Makes a file hold this text, whole or not at all, and keeps its owner
    /// and mode; a new one belongs to root and can be read by all. `None`
    /// removes it, and folders that were made for it and are empty now.
    ///
    /// # Errors
    /// When a folder on its way is a link, it is no ordinary file, or the
    /// system refuses.
    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
    ) -> Result<(), SystemError>;

    /// Returns a value of the running kernel, without the end of its line; of
    /// a list of choices the one that is chosen.
    ///
    /// # Errors
    /// When there is no such value or it cannot be read.
    fn value(&self, path: &HostPath) -> Result<String, SystemError>;

    /// Sets a value of the running kernel.
    ///
    /// # Errors
    /// When the kernel refuses it.
    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError>;

    /// Runs a program that makes files take effect.
    ///
    /// # Errors
    /// When it cannot be started, fails, or does not end in time.
    fn run(&self, program: &Program) -> Result<(), SystemError>;
}

/// Why a setting of the host could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A link, a pipe, a device, a folder.
    #[error("{0} is not an ordinary file")]
    NotRegular(HostPath),
    /// A folder on the way is a link, or belongs to somebody else.
    #[error("{0} lies in a folder that others could exchange")]
    Unsafe(HostPath),
    /// More than such a file can need.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: HostPath,
        /// What was expected at most.
        limit: u64,
    },
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
}
