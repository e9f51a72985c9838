//! Applying a plan, and undoing it.
//!
//! A plan leaves no choice, and nothing here makes one. Everything is looked
//! at before anything is touched; what undoes a step is on the disk before
//! the step is done; each step is read back; one that fails takes all before
//! it back. Whatever happens, [`Outcome`] says which place is how.

mod arguments;
mod conf;
mod confirm;
mod deviation;
mod error;
mod functions;
mod group;
mod live;
mod meaning;
mod note;
mod outline;
mod places;
mod prepare;
mod preview;
mod render;
mod resume;
mod rollback;
mod transaction;
mod undo;
mod verify;

pub use confirm::{Confirmation, confirm, expire};
pub use deviation::{Deviation, Moved, Values};
pub use error::{ApplyError, StepError};
pub use meaning::same_value;
pub use outline::{Difference, DifferenceKind, differences};
pub use preview::{Preview, preview};
pub use render::render;
pub use resume::resume;
pub use rollback::rollback;
pub use verify::{Miss, misses};

use std::time::Duration;

use crate::base::Digest;
use crate::files::journal::{
    Header, Journal, Status, Transaction, TransactionId,
};
use crate::files::{Lock, StateDir};
use crate::hypervisor::Hypervisor;
use crate::model::{Place, Plan, Stage};
use crate::system::System;

/// How many finished transactions the journal keeps: years of tuning by hand,
/// and some 20 MB.
const KEPT: usize = 100;

/// What a plan is applied to.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Whose definitions are changed.
    pub hypervisor: &'a dyn Hypervisor,
    /// Whose settings are changed.
    pub system: &'a dyn System,
    /// Where the journal is.
    pub state: &'a StateDir,
    /// Seconds since 1970, for the history.
    pub now: u64,
    /// The time since any moment, to say how long a step took.
    pub clock: &'a dyn Fn() -> Duration,
}

impl<'a> Machine<'a> {
    fn places(&self) -> places::Places<'a> {
        let Self { hypervisor, system, .. } = *self;
        places::Places { hypervisor, system }
    }
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
    /// The places that are as they were before, and programs that were run to
    /// make that take effect.
    pub rolled_back: Vec<Place>,
    /// Those of them that mean what they meant before, and are written another
    /// way: whoever keeps a definition has done that, or somebody has changed
    /// more of it.
    pub rewritten: Vec<Place>,
    /// The places of which there was nothing left to undo: the VM does not
    /// run any more as it did, or the host was booted since.
    pub gone: Vec<Place>,
    /// What could not be undone: a person must act.
    pub rollback_failures: Vec<Failure>,
}

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The place.
    pub place: Place,
    /// When it takes effect.
    pub stage: Stage,
    /// What was done.
    pub result: StepResult,
    /// How long it took.
    pub took: Duration,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// The place was changed, or the program was run.
    Changed {
        /// Where the hypervisor, or Proxmox, made something else of a
        /// definition than what was written, without harm to what was
        /// planned.
        normalised: Vec<Difference>,
        /// How many comments the hypervisor has dropped.
        comments_lost: usize,
    },
    /// The place was as planned already.
    AlreadySo,
    /// The VM has stopped meanwhile, or was started anew: it runs, or will,
    /// by the definition that was changed before.
    Gone,
}

impl StepResult {
    /// A change of which nothing more is to be said.
    pub(crate) const CHANGED: Self =
        Self::Changed { normalised: Vec::new(), comments_lost: 0 };
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// The place; `None` where the journal itself failed.
    pub place: Option<Place>,
    /// Why.
    pub error: StepError,
}

impl Failure {
    /// Spells the failure with its causes in one line.
    #[must_use]
    pub fn in_short(&self) -> String {
        let mut text = match &self.place {
            Some(place) => format!("{place}: {}", self.error),
            None => self.error.to_string(),
        };
        let mut cause = std::error::Error::source(&self.error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
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
    begin(plan, facts, None, machine)
}

/// Applies a plan that is undone again unless [`confirm`] is called in time.
///
/// # Errors
/// As [`apply`].
pub fn apply_until_confirmed(
    plan: &Plan,
    facts: Option<Digest>,
    confirmation: Confirmation<'_>,
    machine: &Machine<'_>,
) -> Result<Outcome, ApplyError> {
    begin(plan, facts, Some(confirmation), machine)
}

fn begin(
    plan: &Plan,
    facts: Option<Digest>,
    confirmation: Option<Confirmation<'_>>,
    machine: &Machine<'_>,
) -> Result<Outcome, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    if let Some(open) = journal.pending()? {
        return Err(pending(&open, machine.now));
    }
    if facts.is_some_and(|facts| facts != plan.fingerprint) {
        return Err(ApplyError::StaleFacts);
    }
    let places = machine.places();
    let mut steps = prepare::prepare(plan, &places)?;
    if steps.iter().all(prepare::Prepared::is_already_so) {
        return Ok(Outcome {
            transaction: None,
            steps: steps.iter().map(StepReport::already_so).collect(),
            failed: None,
            rolled_back: Vec::new(),
            rewritten: Vec::new(),
            gone: Vec::new(),
            rollback_failures: Vec::new(),
        });
    }
    journal.prune(&lock, KEPT.saturating_sub(1))?;
    note::leave(&mut steps, plan, journal.next_id()?)?;
    let live = steps.iter().filter_map(|step| match &step.place {
        Place::Live { uuid, .. } => Some((*uuid, step.former.clone()?)),
        _ => None,
    });
    let so = steps.iter().filter(|step| step.is_already_so());
    let header = Header {
        started: machine.now,
        plan: plan.clone(),
        boot: places.boot(),
        already_so: so.map(|step| step.place.clone()).collect(),
        live: live.collect(),
    };
    let writer = journal.begin(&lock, &header)?;
    let id = writer.id();
    let run = transaction::Run::new(machine, &header, writer);
    let Some(Confirmation { until, watch }) = confirmation else {
        return Ok(run.forward(steps, None));
    };
    match watch(id) {
        Ok(()) => Ok(run.forward(steps, Some(until))),
        Err(error) => {
            Ok(run
                .fail(Failure { place: None, error: StepError::Watch(error) }))
        }
    }
}

/// Says why nothing may begin before a transaction has ended.
fn pending(open: &Transaction, now: u64) -> ApplyError {
    let id = open.id;
    match open.status {
        Status::Waiting { until } if until > now => ApplyError::Waiting { id },
        Status::Waiting { .. } => ApplyError::Expired { id },
        _ => ApplyError::Unfinished { id },
    }
}

impl StepReport {
    fn already_so(step: &prepare::Prepared<'_>) -> Self {
        Self {
            place: step.place.clone(),
            stage: step.stage,
            result: StepResult::AlreadySo,
            took: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
