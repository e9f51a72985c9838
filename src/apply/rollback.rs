//! Undoing a transaction that stands, or one that was cut off.

use super::group::{of_host, of_vm};
use super::places::Places;
use super::prepare::{Looked, look};
use super::transaction::Run;
use super::undo::{Force, Undo, is_definition};
use super::{ApplyError, Machine, Outcome, pending};
use crate::files::Lock;
use crate::files::journal::{
    Journal, Status, Step, Transaction, TransactionId,
};
use crate::model::Place;

/// Undoes a transaction: `which`, else the one that was cut off or waits,
/// else the last one that stands. Every place is what it was before, byte for
/// byte.
///
/// With `force` that happens even where somebody has changed a place since,
/// and VMs that have gone are left out.
///
/// # Errors
/// When nothing was touched. What went wrong after that is in the
/// [`Outcome`].
pub fn rollback(
    which: Option<TransactionId>,
    force: bool,
    machine: &Machine<'_>,
) -> Result<Outcome, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    let transaction = choose(&journal, which, machine)?;
    if !force {
        check(&transaction, machine)?;
    }
    let writer = journal.append(&lock, &transaction)?;
    let force = if force { Force::Everything } else { Force::Nothing };
    let run = Run::again(machine, transaction, writer);
    Ok(run.back(None, force))
}

fn choose(
    journal: &Journal,
    which: Option<TransactionId>,
    machine: &Machine<'_>,
) -> Result<Transaction, ApplyError> {
    let Some(id) = which else {
        return match journal.pending()? {
            Some(open) => Ok(open),
            None => journal.last_applied()?.ok_or(ApplyError::NothingToUndo),
        };
    };
    let transaction = journal.read(id)?;
    if transaction.status == Status::RolledBack {
        return Err(ApplyError::AlreadyRolledBack { id });
    }
    match journal.pending()? {
        Some(open) if open.id != id => Err(pending(&open, machine.now)),
        _ => Ok(transaction),
    }
}

/// Refuses where somebody has changed what the transaction left.
pub(super) fn check(
    transaction: &Transaction,
    machine: &Machine<'_>,
) -> Result<(), ApplyError> {
    let id = transaction.id;
    let places = machine.places();
    let undo = Undo {
        loader: transaction.header.plan.boot_loader,
        rebooted: places.rebooted(&transaction.header),
        again: false,
    };
    let mut others = Vec::new();
    for step in transaction.steps.iter().filter(|step| !step.rolled_back) {
        let current = places.standing::<ApplyError>(&step.place)?.text;
        let Some(how) = undo.moved(step, &current) else { continue };
        if current.is_none() && !matches!(step.place, Place::File(_)) {
            let place = step.place.clone();
            return Err(ApplyError::Deleted { id, place });
        }
        others.push((step.place.clone(), how));
    }
    if !others.is_empty() {
        return Err(ApplyError::Moved { id, places: others });
    }
    let missing = unrecorded(transaction, &undo, &places)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(ApplyError::Unrecorded { id, places: missing })
}

/// Returns the places that an unfinished transaction was about to change,
/// that are not as they were before, and that there is no record of. Either
/// somebody else changed them, or the journal has lost its end.
fn unrecorded(
    transaction: &Transaction,
    undo: &Undo,
    places: &Places<'_>,
) -> Result<Vec<Place>, ApplyError> {
    if !matches!(transaction.status, Status::Unfinished { .. }) {
        return Ok(Vec::new());
    }
    let plan = &transaction.header.plan;
    let domains = places.hypervisor.domains()?;
    let mut groups = of_host(plan)?;
    // A VM that has gone is nobody's loss here.
    let vms = plan.vms.iter().map(|vm| of_vm(plan, vm, &domains));
    groups.extend(vms.filter_map(Result::ok).flatten());
    let mut found = Vec::new();
    for group in groups {
        let place = group.place.clone();
        let recorded = |step: &Step| step.place == place;
        if group.changes.is_empty()
            || transaction.steps.iter().any(recorded)
            || transaction.header.already_so.contains(&place)
        {
            continue;
        }
        if let Place::Live { uuid, .. } = &place {
            let before = transaction.header.live.get(uuid).cloned();
            let current = places.standing::<ApplyError>(&place)?.text;
            if !undo.has_ended(&place, &before, &current) && current != before {
                found.push(place);
            }
            continue;
        }
        let as_it_was = match look(plan, places, &domains, group) {
            Ok(Looked::Fits(one)) => {
                // A definition fits by its digest alone.
                is_definition(&place) || !one.is_already_so()
            }
            Ok(Looked::Moved(_)) | Err(ApplyError::Arguments { .. }) => false,
            Err(ApplyError::Gone { .. } | ApplyError::Transient { .. }) => true,
            Err(error) => return Err(error),
        };
        if !as_it_was {
            found.push(place);
        }
    }
    Ok(found)
}
