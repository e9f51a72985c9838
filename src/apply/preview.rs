//! What applying a plan would do, without doing it.

use super::places::Places;
use super::prepare::prepare;
use super::{ApplyError, conf, note};
use crate::base::Digest;
use crate::files::journal::TransactionId;
use crate::hypervisor::Hypervisor;
use crate::model::{Place, Plan, Stage};
use crate::system::System;

/// A step that would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The place.
    pub place: Place,
    /// When it would take effect.
    pub stage: Stage,
    /// What stands there; `None` where nothing does.
    pub former: Option<String>,
    /// What would be written; `None` to take it away.
    pub written: Option<String>,
    /// Whether that is so already.
    pub already_so: bool,
    /// The words that a program would be started by.
    pub command: Vec<String>,
}

/// Returns the steps that [`apply`](super::apply) would do, in order, as the
/// transaction `next`. Nothing is touched: no lock, no journal.
///
/// # Errors
/// When the plan is stale, or fits this host in another way not.
pub fn preview(
    plan: &Plan,
    facts: Option<Digest>,
    next: TransactionId,
    hypervisor: &dyn Hypervisor,
    system: &dyn System,
) -> Result<Vec<Preview>, ApplyError> {
    if facts.is_some_and(|facts| facts != plan.fingerprint) {
        return Err(ApplyError::StaleFacts);
    }
    let mut steps = prepare(plan, &Places { hypervisor, system })?;
    note::leave(&mut steps, plan, next)?;
    let preview = steps.into_iter().map(|step| Preview {
        already_so: step.is_already_so(),
        command: match (&step.place, &step.former, &step.written) {
            (Place::Program(program), ..) => system.command(program),
            (Place::Conf { vmid, .. }, Some(former), Some(written)) => {
                let set = conf::request(*vmid, former, written);
                set.map(|set| set.words()).unwrap_or_default()
            }
            _ => Vec::new(),
        },
        place: step.place,
        stage: step.stage,
        former: step.former,
        written: step.written,
    });
    Ok(preview.collect())
}
