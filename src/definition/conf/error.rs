//! Why a text is not a definition of Proxmox, or cannot be edited as wanted.

use crate::base::{ConfPath, ParseValueError};

/// What is wrong with a definition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ConfError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: ConfProblem,
}

/// What can be wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfProblem {
    /// A line of no form that Proxmox knows.
    #[error("neither KEY: VALUE nor a comment nor a [section]")]
    Line,
    /// A line of a file of mappings that is neither.
    #[error("neither the name of a mapping nor an indented property of one")]
    Mapping,
    /// A character that no value has.
    #[error("the character U+{:04X} is not allowed", u32::from(*.0))]
    Character(char),
    /// A second `[PENDING]`.
    #[error("[PENDING] is there twice")]
    Twice,
    /// Nothing that says which VM it is.
    #[error(
        "no name, and the file is not called VMID.conf: which VM it is, is \
         not known"
    )]
    NoName,
    /// A value of the wrong form.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with its value.
        problem: ParseValueError,
    },
    /// A property that must be there.
    #[error("{0} is missing")]
    Missing(ConfPath),
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfEditError {
    /// A value that would end its line, or its property.
    #[error("{0} cannot have the value {1:?}")]
    Value(ConfPath, String),
    /// `delete` is no key of the VM's.
    #[error("`delete` is a list that Proxmox keeps")]
    List,
}
