//! Finishing a transaction that was cut off.

use std::time::Duration;

use super::group::groups;
use super::prepare::{Looked, Prepared, keep_needed_programs, look};
use super::rollback::check;
use super::transaction::{Run, changed};
use super::undo::{Force, Undo, differs};
use super::{
    ApplyError, Machine, Outcome, StepReport, StepResult, note, pending,
};
use crate::files::Lock;
use crate::files::journal::{Journal, Left, Status, Step, Transaction};
use crate::model::Place;

/// Finishes the transaction that was cut off: forward where it was on its
/// way, back where it was being undone.
///
/// # Errors
/// When nothing was touched: there is none, or a place is neither as it was
/// before nor as the transaction left it.
pub fn resume(machine: &Machine<'_>) -> Result<Outcome, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    let open = journal.pending()?.ok_or(ApplyError::NothingToResume)?;
    if let Status::Waiting { .. } = open.status {
        return Err(pending(&open, machine.now));
    }
    if open.status == (Status::Unfinished { undoing: true }) {
        check(&open, machine)?;
        let writer = journal.append(&lock, &open)?;
        let run = Run::again(machine, open, writer);
        return Ok(run.back(None, Force::Nothing));
    }
    let set_in_kernel = |step: &Step| matches!(step.place, Place::Kernel(_));
    if open.steps.iter().any(set_in_kernel)
        && machine.places().rebooted(&open.header)
    {
        return Err(ApplyError::Rebooted { id: open.id });
    }
    let (done, todo) = sort(&open, machine)?;
    let writer = journal.append(&lock, &open)?;
    let mut run = Run::again(machine, open.clone(), writer);
    for report in done {
        run.was_done(report);
    }
    Ok(run.forward(todo, None))
}

/// Tells the steps that are done from those that are to do.
fn sort<'p>(
    open: &'p Transaction,
    machine: &Machine<'_>,
) -> Result<(Vec<StepReport>, Vec<Prepared<'p>>), ApplyError> {
    let plan = &open.header.plan;
    let places = machine.places();
    let domains = machine.hypervisor.domains()?;
    let (mut done, mut todo) = (Vec::new(), Vec::new());
    for group in groups(plan, &domains)? {
        let mut steps = open.steps.iter().enumerate();
        let begun = steps.find(|(_, step)| step.place == group.place);
        let Some((number, step)) = begun else {
            match look(plan, &places, &domains, group)? {
                Looked::Fits(one) if one.is_idle() => {}
                Looked::Fits(one) => todo.push(one),
                Looked::Moved(places) => {
                    let id = open.id;
                    return Err(ApplyError::MovedMeanwhile { id, places });
                }
            }
            continue;
        };
        let ended = unmoved(open, step, machine)? == Found::Ended;
        if let Left::Known(left) = &step.left {
            let result = match ended {
                true => StepResult::Gone,
                false => result(step, left.as_deref())?,
            };
            let (place, stage) = (group.place, group.stage);
            let took = Duration::ZERO;
            done.push(StepReport { place, stage, result, took });
        } else {
            // Doing the same once more does no harm, whether or not it was
            // done before.
            todo.push(Prepared {
                place: group.place,
                stage: group.stage,
                former: step.former.clone(),
                footing: step.footing,
                written: step.written.clone(),
                changes: group.changes,
                begun: Some(number),
            });
        }
    }
    let changed: Vec<Place> =
        open.steps.iter().map(|step| step.place.clone()).collect();
    keep_needed_programs(plan, &mut todo, &changed);
    note::leave(&mut todo, plan, open.id)?;
    Ok((done, todo))
}

/// What was found at the place of a step that was begun.
#[derive(PartialEq, Eq)]
enum Found {
    /// What the step left, or cut off.
    Ours,
    /// The VM does not run any more as it did.
    Ended,
}

fn unmoved(
    open: &Transaction,
    step: &Step,
    machine: &Machine<'_>,
) -> Result<Found, ApplyError> {
    let places = machine.places();
    let current = places.standing::<ApplyError>(&step.place)?.text;
    let undo = Undo {
        loader: open.header.plan.boot_loader,
        rebooted: places.rebooted(&open.header),
        again: false,
    };
    if undo.has_ended(&step.place, &step.former, &current) {
        return Ok(Found::Ended);
    }
    // A step that is done must still stand; a rollback would also let what
    // was there before pass.
    let how = match &step.left {
        Left::Known(left) => differs(step, left, &current),
        Left::Unknown => undo.moved(step, &current),
    };
    match how {
        None => Ok(Found::Ours),
        Some(how) => {
            let places = vec![(step.place.clone(), how)];
            Err(ApplyError::Moved { id: open.id, places })
        }
    }
}

/// Says what a step did that was done before.
fn result(step: &Step, left: Option<&str>) -> Result<StepResult, ApplyError> {
    match (&step.place, step.written.as_deref(), left) {
        (
            Place::Definition { name, .. } | Place::Conf { name, .. },
            Some(written),
            Some(left),
        ) => changed(written, left).map_err(|source| ApplyError::Definition {
            vm: name.clone(),
            source,
        }),
        _ => Ok(StepResult::CHANGED),
    }
}
