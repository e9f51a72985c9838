//! What can go wrong before a transaction begins, and in one of its steps.

use super::deviation::{Deviation, missed, show};
use super::{Miss, Moved};
use crate::base::{CpuSet, DomainName, HostPath, PciAddress};
use crate::definition::{RenderError, SyntaxError};
use crate::files::LockError;
use crate::files::journal::{JournalError, TransactionId};
use crate::hypervisor::HypervisorError;
use crate::model::{Place, Role};
use crate::system::SystemError;

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
    /// A transaction waits to be confirmed.
    #[error("{id} waits to be confirmed")]
    Waiting {
        /// The transaction.
        id: TransactionId,
    },
    /// A transaction was not confirmed, and nobody has undone it yet.
    #[error("{id} was not confirmed in time, and still stands")]
    Expired {
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
    /// The plan changes this host, and the VMs are on another one.
    #[error(
        "the plan changes settings of the host, and {uri} leads to another \
         machine"
    )]
    Elsewhere {
        /// The connection.
        uri: String,
    },
    /// The host has changed since.
    #[error("the host has changed since the plan was made")]
    StaleFacts,
    /// Places have changed since.
    #[error("{}", Moved::list(.places, "the plan was made"))]
    Stale {
        /// The places.
        places: Vec<Moved>,
    },
    /// Places have changed while a transaction was cut off.
    #[error("{}", Moved::list(.places, &format!("{id} was cut off")))]
    MovedMeanwhile {
        /// The transaction.
        id: TransactionId,
        /// The places.
        places: Vec<Moved>,
    },
    /// A function that the plan gives to a VM is another one's by now.
    #[error("{holder} has {function}, which the plan gives to {vm}")]
    Taken {
        /// The VM of the plan.
        vm: DomainName,
        /// The function.
        function: PciAddress,
        /// Who has it.
        holder: DomainName,
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
    /// The plan changes a disk, or takes one away.
    #[error("the plan changes {target}, which holds a VM's data")]
    Data {
        /// The change's target.
        target: String,
    },
    /// The plan is for a VM of the other kind, libvirt's or Proxmox'.
    #[error("{vm} is no VM of {here}")]
    OtherKind {
        /// The VM.
        vm: DomainName,
        /// The connection.
        here: String,
    },
    /// The plan changes a file, and does not say what starts the kernel.
    #[error(
        "the plan does not say what boots this host, so it is not known what \
         makes {file} take effect"
    )]
    NoProgram {
        /// The file.
        file: HostPath,
    },
    /// A file with arguments of the kernel cannot be edited.
    #[error("editing the kernel's arguments in {file}: {why}")]
    Arguments {
        /// The file.
        file: HostPath,
        /// Why.
        why: String,
    },
    /// A definition is none.
    #[error("reading the definition of {vm}")]
    Definition {
        /// The VM.
        vm: DomainName,
        /// Where and what.
        source: SyntaxError,
    },
    /// A definition cannot be edited as planned.
    #[error("editing the definition of {vm}")]
    Edit {
        /// The VM.
        vm: DomainName,
        /// Why.
        source: RenderError,
    },
    /// The hypervisor did not answer.
    #[error("asking the hypervisor")]
    Hypervisor(#[from] HypervisorError),
    /// A setting of the host could not be read.
    #[error("reading the host's settings")]
    System(#[from] SystemError),
    /// Somebody has changed what a transaction left.
    #[error("{} changed since {id}: {}", list(.places.iter().map(|(place, _)| place)), deviations(.places))]
    Moved {
        /// The transaction.
        id: TransactionId,
        /// The places, and how they differ from what it left.
        places: Vec<(Place, Deviation)>,
    },
    /// A VM or a value that a transaction changed has gone.
    #[error("{place}, which {id} changed, does not exist any more")]
    Deleted {
        /// The transaction.
        id: TransactionId,
        /// The place.
        place: Place,
    },
    /// Places are not as they were before a transaction, which has no record
    /// of changing them.
    #[error(
        "{} changed since {id} began, and {id} has no record of doing it",
        list(.places)
    )]
    Unrecorded {
        /// The transaction.
        id: TransactionId,
        /// The places.
        places: Vec<Place>,
    },
    /// The host was booted while a transaction was cut off.
    #[error("the host was booted since {id} was cut off")]
    Rebooted {
        /// The transaction.
        id: TransactionId,
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
    /// No transaction waits.
    #[error("no transaction waits to be confirmed")]
    NothingToConfirm,
}

impl ApplyError {
    /// Returns what a person can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unfinished { .. } => {
                "`vmtune rollback` undoes it, `vmtune resume` finishes it"
            }
            Self::Waiting { .. } => {
                "`vmtune confirm` keeps it, `vmtune rollback` undoes it"
            }
            Self::Expired { .. } => "`vmtune rollback` undoes it",
            Self::MovedMeanwhile { .. } => {
                "nothing was changed; `vmtune rollback` undoes what was done"
            }
            Self::OtherKind { .. } => {
                "nothing was changed; --connect names another place, \
                 proxmox:/// the node of Proxmox that this machine is; a plan \
                 for it is made there, or of a file called VMID.conf"
            }
            Self::OtherConnection { .. } => {
                "give --connect as it was given to `vmtune plan`"
            }
            Self::Elsewhere { .. } => {
                "nothing was changed; plan and apply on the machine itself"
            }
            Self::StaleFacts
            | Self::Stale { .. }
            | Self::Taken { .. }
            | Self::Gone { .. } => {
                "nothing was changed; make a new plan with `vmtune plan`"
            }
            Self::Foreign { .. }
            | Self::Data { .. }
            | Self::NoProgram { .. } => {
                "nothing was changed; somebody has edited the plan: make a \
                 new one with `vmtune plan`"
            }
            Self::Arguments { .. } => {
                "nothing was changed; edit that file by hand, or plan without \
                 the rules that need it (`[rules]` in the policy)"
            }
            Self::Transient { .. } => {
                "make it persistent with `virsh define`, then plan again"
            }
            Self::Moved { .. } => {
                "nothing was changed; `--force` gives up what was changed \
                 since and restores what was there before"
            }
            Self::Deleted { .. } => {
                "nothing was changed; `--force` undoes the rest"
            }
            Self::Unrecorded { .. } => {
                "nothing was changed; `--force` undoes the rest and leaves \
                 these as they are"
            }
            Self::Rebooted { .. } => {
                "what it set in the kernel is gone; `vmtune rollback` undoes \
                 the rest, then plan again"
            }
            Self::Journal(
                JournalError::Damaged { .. } | JournalError::Form { .. },
            ) => {
                "it may hold what undoes a change: look at it, and move it \
                 out of the journal's folder when nothing of it is needed"
            }
            Self::Hypervisor(error) => return error.hint(),
            Self::System(error) => return error.hint(),
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
    /// The system did not do it.
    #[error("changing the host")]
    System(#[from] SystemError),
    /// The journal could not be written, so it was not done.
    #[error("writing the journal")]
    Journal(#[from] JournalError),
    /// What undoes the transaction unless it is confirmed could not be
    /// started.
    #[error("starting what would undo it")]
    Watch(#[source] std::io::Error),
    /// Somebody changed the place at the same moment.
    #[error("somebody else changed it: {0}")]
    Moved(Deviation),
    /// The hypervisor took the text and did not keep what was planned.
    #[error("the hypervisor did not keep {}", missed(.misses))]
    NotKept {
        /// What it did not keep.
        misses: Vec<Miss>,
    },
    /// The kernel, or a file, has something else than what was written.
    #[error(
        "{} was written, and it is {} now",
        show(.written.as_deref()),
        show(.found.as_deref())
    )]
    NotTaken {
        /// What was written.
        written: Option<String>,
        /// What is there.
        found: Option<String>,
    },
    /// A thread would get a CPU of a partition that it is not in.
    #[error(
        "CPUs {cpus} are an isolated partition's, and giving them to {thread} \
         would break it"
    )]
    Partition {
        /// The thread.
        thread: Role,
        /// The CPUs.
        cpus: CpuSet,
    },
    /// libvirt has other CPUs for the threads than those that were set.
    #[error("the threads were moved, and are elsewhere now: {0}")]
    NotPinned(Deviation),
    /// What was there before was written, and something else came back.
    #[error("what was there before came back changed: {0}")]
    NotRestored(Deviation),
    /// What the hypervisor gave, or Proxmox, is no definition.
    #[error("reading the definition that is there")]
    Definition(#[from] SyntaxError),
}

impl StepError {
    /// Returns what a person can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Hypervisor(error) => error.hint(),
            Self::System(error) => error.hint(),
            Self::Partition { .. } => {
                Some("undo the partition first (docs/isolation.md)".into())
            }
            _ => None,
        }
    }
}

fn list<'a>(places: impl IntoIterator<Item = &'a Place>) -> String {
    let names = places.into_iter().map(ToString::to_string);
    names.collect::<Vec<_>>().join(", ")
}

fn deviations(places: &[(Place, Deviation)]) -> String {
    let all = places.iter().map(|(_, how)| how.to_string());
    all.collect::<Vec<_>>().join("; ")
}
