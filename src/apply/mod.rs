//! Applying a plan, and undoing it.
//!
//! A plan leaves no choice, and nothing here makes one. Everything is looked
//! at before anything is touched; what undoes a step is on the disk before
//! the step is done; each step is read back; one that fails takes all before
//! it back. Whatever happens, [`Outcome`] says which VM is how.

mod error;
mod outline;
mod prepare;
mod render;
mod resume;
mod rollback;
mod transaction;
mod verify;

pub use error::{ApplyError, StepError};
pub use outline::{Difference, DifferenceKind, differences};
pub use render::render;
pub use resume::resume;
pub use rollback::rollback;
pub use verify::{Miss, misses};

use crate::base::{Digest, DomainName};
use crate::files::journal::{Header, Journal, TransactionId};
use crate::files::{Lock, StateDir};
use crate::hypervisor::Hypervisor;
use crate::model::Plan;

/// How many finished transactions the journal keeps: years of tuning by hand,
/// and some 20 MB.
const KEPT: usize = 100;

/// What a plan is applied to.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Whose definitions are changed.
    pub hypervisor: &'a dyn Hypervisor,
    /// Where the journal is.
    pub state: &'a StateDir,
    /// Seconds since 1970, for the history.
    pub now: u64,
}

/// What came of applying or undoing a plan.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// The transaction; `None` where nothing had to be changed.
    pub transaction: Option<TransactionId>,
    /// The steps that were done, in order. Where `failed` says that one was
    /// not, these were undone again.
    pub steps: Vec<StepReport>,
    /// The step that failed.
    pub failed: Option<Failure>,
    /// The VMs that have their former definition again.
    pub rolled_back: Vec<DomainName>,
    /// What could not be undone: a person must act.
    pub rollback_failures: Vec<Failure>,
}

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The VM.
    pub vm: DomainName,
    /// What was done.
    pub result: StepResult,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// The definition was replaced.
    Changed {
        /// Where the hypervisor made something else of the text than what
        /// was written, without harm to what was planned.
        normalised: Vec<Difference>,
    },
    /// The definition was as planned already.
    AlreadySo,
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// The VM; `None` where the journal itself failed.
    pub vm: Option<DomainName>,
    /// Why.
    pub error: StepError,
}

/// Applies a plan. `facts` is the fingerprint of the host's facts as they
/// are now; without it the facts are not compared.
///
/// # Errors
/// When nothing was touched: the plan is stale, another transaction is
/// unfinished, or the host is being changed by somebody else. Once a
/// transaction has begun, everything is in the [`Outcome`].
pub fn apply(
    plan: &Plan,
    facts: Option<Digest>,
    machine: &Machine<'_>,
) -> Result<Outcome, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    if let Some(open) = journal.unfinished()? {
        return Err(ApplyError::Unfinished { id: open.id });
    }
    if facts.is_some_and(|facts| facts != plan.fingerprint) {
        return Err(ApplyError::StaleFacts);
    }
    let steps = prepare::prepare(plan, machine.hypervisor)?;
    if steps.iter().all(prepare::Prepared::is_already_so) {
        return Ok(Outcome {
            transaction: None,
            steps: steps.iter().map(StepReport::already_so).collect(),
            failed: None,
            rolled_back: Vec::new(),
            rollback_failures: Vec::new(),
        });
    }
    journal.prune(&lock, KEPT.saturating_sub(1))?;
    let header = Header { started: machine.now, plan: plan.clone() };
    let writer = journal.begin(&lock, &header)?;
    let run = transaction::Run::new(machine.hypervisor, writer);
    Ok(run.forward(steps))
}

impl StepReport {
    fn already_so(step: &prepare::Prepared<'_>) -> Self {
        Self { vm: step.vm.name.clone(), result: StepResult::AlreadySo }
    }
}

#[cfg(test)]
mod tests;
