//! Undoing a transaction that stands, or one that was cut off.

use super::prepare::find;
use super::render::changes_of;
use super::transaction::{Force, Run, moved};
use super::{ApplyError, Machine, Outcome};
use crate::base::Digest;
use crate::files::Lock;
use crate::files::journal::{Journal, Status, Transaction, TransactionId};
use crate::hypervisor::Hypervisor;

/// Undoes a transaction: `which`, else the one that was cut off, else the
/// last one that stands. Every definition is what it was before, byte for
/// byte as the hypervisor gave it.
///
/// With `force` that happens even where somebody has changed a definition
/// since, and VMs that have gone are left out.
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
    let transaction = choose(&journal, which)?;
    if !force {
        check(&transaction, machine.hypervisor)?;
    }
    let writer = journal.append(&lock, &transaction)?;
    let force = if force { Force::Everything } else { Force::Nothing };
    let run = Run::new(machine.hypervisor, writer).again(transaction);
    Ok(run.back(force))
}

fn choose(
    journal: &Journal,
    which: Option<TransactionId>,
) -> Result<Transaction, ApplyError> {
    let Some(id) = which else {
        return match journal.unfinished()? {
            Some(open) => Ok(open),
            None => journal.last_applied()?.ok_or(ApplyError::NothingToUndo),
        };
    };
    let transaction = journal.read(id)?;
    if transaction.status == Status::RolledBack {
        return Err(ApplyError::AlreadyRolledBack { id });
    }
    match journal.unfinished()? {
        Some(open) if open.id != id => {
            Err(ApplyError::Unfinished { id: open.id })
        }
        _ => Ok(transaction),
    }
}

/// Refuses where somebody has changed what the transaction left.
pub(super) fn check(
    transaction: &Transaction,
    hypervisor: &dyn Hypervisor,
) -> Result<(), ApplyError> {
    let id = transaction.id;
    let mut others = Vec::new();
    for step in transaction.steps.iter().filter(|step| !step.rolled_back) {
        let vm = step.name.clone();
        let current = match hypervisor.inactive_definition(&step.uuid) {
            Err(error) if error.is_no_domain() => {
                return Err(ApplyError::Deleted { id, vm });
            }
            other => other?,
        };
        let differences = moved(step, &current).map_err(|source| {
            ApplyError::Definition { vm: vm.clone(), source }
        })?;
        if !differences.is_empty() {
            others.push((vm, differences));
        }
    }
    if !others.is_empty() {
        return Err(ApplyError::Moved { id, vms: others });
    }
    unrecorded(transaction, hypervisor)
}

/// Refuses where a VM that an unfinished transaction was about to change is
/// not as it was before, and there is no record of its change. Either
/// somebody else changed it, or the journal has lost its end.
fn unrecorded(
    transaction: &Transaction,
    hypervisor: &dyn Hypervisor,
) -> Result<(), ApplyError> {
    if transaction.status == Status::Applied {
        return Ok(());
    }
    let domains = hypervisor.domains()?;
    let plan = &transaction.header.plan;
    let mut vms = Vec::new();
    for planned in &plan.vms {
        let recorded =
            transaction.steps.iter().any(|step| step.name == planned.name);
        let meant = changes_of(plan, &planned.name).next().is_some();
        if recorded || !meant {
            continue;
        }
        // One that has gone is nobody's loss here.
        let Ok(vm) = find(&domains, planned) else { continue };
        let text = hypervisor.inactive_definition(&vm.uuid)?;
        if Digest::of(text.as_bytes()) != planned.digest {
            vms.push(vm.name.clone());
        }
    }
    if vms.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Unrecorded { id: transaction.id, vms })
    }
}
