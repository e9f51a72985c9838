//! What can go wrong before a transaction begins, and in one of its steps.

use std::fmt::Write as _;

use super::{Difference, Miss};
use crate::base::DomainName;
use crate::definition::xml::{EditError, XmlError};
use crate::files::LockError;
use crate::files::journal::{JournalError, TransactionId};
use crate::hypervisor::HypervisorError;

/// How many places a message lists.
const SHOWN: usize = 5;

/// Why nothing was done. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else is at it.
    #[error("starting to change the host")]
    Lock(#[source] LockError),
    /// The journal cannot be used.
    #[error("looking at the journal")]
    Journal(#[from] JournalError),
    /// A transaction was cut off, or could not be undone as a whole.
    #[error("{id} is unfinished")]
    Unfinished {
        /// The transaction.
        id: TransactionId,
    },
    /// The plan was made somewhere else.
    #[error("the plan was made for {plan}, this is {here}")]
    OtherConnection {
        /// The plan's connection.
        plan: String,
        /// This one.
        here: String,
    },
    /// The host has changed since.
    #[error("the host has changed since the plan was made")]
    StaleFacts,
    /// Definitions have changed since.
    #[error("{} changed since the plan was made", list(.vms))]
    Stale {
        /// The VMs.
        vms: Vec<DomainName>,
    },
    /// A VM has gone, or has got another name.
    #[error("there is no VM {vm} any more")]
    Gone {
        /// The VM.
        vm: DomainName,
    },
    /// A VM has no definition that outlives it.
    #[error("{vm} is transient: it has no definition that could be changed")]
    Transient {
        /// The VM.
        vm: DomainName,
    },
    /// The plan changes something that is not in it.
    #[error("the plan changes {target} of no VM of its own")]
    Foreign {
        /// The change's target.
        target: String,
    },
    /// A definition is not XML.
    #[error("reading the definition of {vm}")]
    Definition {
        /// The VM.
        vm: DomainName,
        /// Where and what.
        source: XmlError,
    },
    /// A definition cannot be edited as planned.
    #[error("editing the definition of {vm}")]
    Edit {
        /// The VM.
        vm: DomainName,
        /// Why.
        source: EditError,
    },
    /// The hypervisor did not answer.
    #[error("asking the hypervisor")]
    Hypervisor(#[from] HypervisorError),
    /// Somebody has changed what a transaction left.
    #[error("{} since {id}: {}", changed(.vms), places_of(.vms))]
    Moved {
        /// The transaction.
        id: TransactionId,
        /// The VMs, and where.
        vms: Vec<(DomainName, Vec<Difference>)>,
    },
    /// A VM that a transaction changed has gone.
    #[error("{vm}, which {id} changed, does not exist any more")]
    Deleted {
        /// The transaction.
        id: TransactionId,
        /// The VM.
        vm: DomainName,
    },
    /// VMs are not as they were before a transaction, which has no record of
    /// changing them.
    #[error(
        "{} changed since {id} began, and {id} has no record of doing it",
        list(.vms)
    )]
    Unrecorded {
        /// The transaction.
        id: TransactionId,
        /// The VMs.
        vms: Vec<DomainName>,
    },
    /// There is no transaction that still stands.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// That transaction does not stand any more.
    #[error("{id} was rolled back already")]
    AlreadyRolledBack {
        /// The transaction.
        id: TransactionId,
    },
    /// No transaction was cut off.
    #[error("no transaction is unfinished")]
    NothingToResume,
}

impl ApplyError {
    /// Returns what a person can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unfinished { .. } => {
                "`vmtune rollback` undoes it, `vmtune resume` finishes it"
            }
            Self::OtherConnection { .. } => {
                "give --connect as it was given to `vmtune plan`"
            }
            Self::StaleFacts | Self::Stale { .. } | Self::Gone { .. } => {
                "nothing was changed; make a new plan with `vmtune plan`"
            }
            Self::Transient { .. } => {
                "make it persistent with `virsh define`, then plan again"
            }
            Self::Moved { .. } => {
                "nothing was changed; `--force` gives up what was changed \
                 since and restores the definitions from before"
            }
            Self::Deleted { .. } => {
                "nothing was changed; `--force` undoes the rest"
            }
            Self::Unrecorded { .. } => {
                "nothing was changed; `--force` undoes the rest and leaves \
                 these as they are"
            }
            Self::Journal(
                JournalError::Damaged { .. } | JournalError::Form { .. },
            ) => {
                "it may hold what undoes a change: look at it, and move it \
                 out of the journal's folder when nothing of it is needed"
            }
            Self::Hypervisor(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.into())
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The hypervisor did not do it.
    #[error("asking the hypervisor")]
    Hypervisor(#[from] HypervisorError),
    /// The journal could not be written, so it was not done.
    #[error("writing the journal")]
    Journal(#[from] JournalError),
    /// Somebody changed the definition at the same moment.
    #[error("somebody else changed the definition: {}", places(.differences))]
    Moved {
        /// Where.
        differences: Vec<Difference>,
    },
    /// The hypervisor took the text and did not keep what was planned.
    #[error("the hypervisor did not keep {}", missed(.misses))]
    NotKept {
        /// What it did not keep.
        misses: Vec<Miss>,
    },
    /// The former text was defined, and something else came back.
    #[error("the former definition came back changed: {}", places(.differences))]
    NotRestored {
        /// Where.
        differences: Vec<Difference>,
    },
    /// What the hypervisor gave is not XML.
    #[error("reading the definition that the hypervisor gave")]
    Definition(#[from] XmlError),
}

fn list(vms: &[DomainName]) -> String {
    vms.iter().map(DomainName::as_str).collect::<Vec<_>>().join(", ")
}

fn changed(vms: &[(DomainName, Vec<Difference>)]) -> String {
    let names: Vec<_> = vms.iter().map(|(name, _)| name.clone()).collect();
    format!("{} changed", list(&names))
}

fn places_of(vms: &[(DomainName, Vec<Difference>)]) -> String {
    let all: Vec<_> =
        vms.iter().flat_map(|(_, places)| places.iter().cloned()).collect();
    places(&all)
}

fn places(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "its layout differs".into();
    }
    shorten(differences.iter().map(ToString::to_string))
}

fn missed(misses: &[Miss]) -> String {
    shorten(misses.iter().map(ToString::to_string))
}

fn shorten(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        // Writing to a String does not fail.
        let _ = write!(text, " and {more} more");
    }
    text
}
