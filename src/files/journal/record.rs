//! The records of a transaction's file.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, DomainName, DomainUuid};
use crate::model::Plan;

/// The version of the form that this program writes and reads.
pub(super) const FORM: u32 = 1;

/// What a transaction sets out to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// When it began, in seconds since 1970; for people.
    pub started: u64,
    /// What it applies, with the digest of each definition before it.
    pub plan: Plan,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every step was done and is in force.
    Applied,
    /// Every step that was begun was undone.
    RolledBack,
}

/// The first line, alone: every version has these two fields.
#[derive(Debug, Deserialize)]
pub(super) struct Form {
    pub(super) form: u32,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First<'a> {
    pub(super) form: u32,
    pub(super) transaction: u32,
    pub(super) header: Cow<'a, Header>,
}

/// Every other line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Record {
    /// A definition is about to be replaced.
    Started {
        step: usize,
        name: DomainName,
        uuid: DomainUuid,
        /// The definition before, byte for byte.
        former: String,
        former_digest: Digest,
        /// The text that is given to the hypervisor.
        written: String,
    },
    /// It was replaced, and this is what the hypervisor made of it.
    Done { step: usize, left: String, left_digest: Digest },
    /// Everything is going to be undone from here on.
    Undoing {
        /// What failed; `None` where a person asked for it.
        because: Option<String>,
    },
    /// The former definition is in force again.
    RolledBack { step: usize },
    /// Nothing is left to do.
    Finished { ending: Ending },
}
