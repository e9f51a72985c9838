//! Finishing a transaction that was cut off.

use super::prepare::{Prepared, edit, find};
use super::render::changes_of;
use super::rollback::check;
use super::transaction::{Force, Run, moved};
use super::{
    ApplyError, Machine, Outcome, StepReport, StepResult, differences,
};
use crate::base::Digest;
use crate::files::Lock;
use crate::files::journal::{Journal, Status, Step, Transaction};
use crate::hypervisor::{DomainInfo, Hypervisor};

/// Finishes the transaction that was cut off: forward where it was on its
/// way, back where it was being undone.
///
/// # Errors
/// When nothing was touched: there is none, or a definition is neither as it
/// was before nor as the transaction left it.
pub fn resume(machine: &Machine<'_>) -> Result<Outcome, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    let open = journal.unfinished()?.ok_or(ApplyError::NothingToResume)?;
    let hypervisor = machine.hypervisor;
    if open.status == (Status::Unfinished { undoing: true }) {
        check(&open, hypervisor)?;
        let writer = journal.append(&lock, &open)?;
        let run = Run::new(hypervisor, writer).again(open);
        return Ok(run.back(Force::Nothing));
    }
    let domains = hypervisor.domains()?;
    let (done, todo) = sort(&open, hypervisor, &domains)?;
    let writer = journal.append(&lock, &open)?;
    let mut run = Run::new(hypervisor, writer).again(open.clone());
    for report in done {
        run.was_done(report);
    }
    Ok(run.forward(todo))
}

/// Tells the steps that are done from those that are to do.
fn sort<'p>(
    open: &'p Transaction,
    hypervisor: &dyn Hypervisor,
    domains: &[DomainInfo],
) -> Result<(Vec<StepReport>, Vec<Prepared<'p>>), ApplyError> {
    let plan = &open.header.plan;
    let (mut done, mut todo) = (Vec::new(), Vec::new());
    for planned in &plan.vms {
        let vm = find(domains, planned)?;
        let current = hypervisor.inactive_definition(&vm.uuid)?;
        let mut steps = open.steps.iter().enumerate();
        let Some((number, step)) = steps.find(|(_, one)| one.uuid == vm.uuid)
        else {
            if Digest::of(current.as_bytes()) != planned.digest {
                return Err(ApplyError::Stale { vms: vec![vm.name.clone()] });
            }
            todo.push(edit(plan, vm, current)?);
            continue;
        };
        unmoved(open, step, &current)?;
        if let Some(left) = &step.left {
            done.push(report(step, left)?);
        } else {
            // Defining the same text once more does no harm, whether or not
            // it was defined before.
            todo.push(Prepared {
                vm: vm.clone(),
                former: step.former.clone(),
                written: step.written.clone(),
                changes: changes_of(plan, &vm.name).collect(),
                begun: Some(number),
            });
        }
    }
    Ok((done, todo))
}

fn unmoved(
    open: &Transaction,
    step: &Step,
    current: &str,
) -> Result<(), ApplyError> {
    // A step that is done must still stand; `moved` would also let the
    // former definition pass.
    let differences = match &step.left {
        Some(left) => differences(left, current),
        None => moved(step, current),
    };
    let differences = differences.map_err(|source| ApplyError::Definition {
        vm: step.name.clone(),
        source,
    })?;
    if differences.is_empty() {
        return Ok(());
    }
    let vms = vec![(step.name.clone(), differences)];
    Err(ApplyError::Moved { id: open.id, vms })
}

fn report(step: &Step, left: &str) -> Result<StepReport, ApplyError> {
    let vm = step.name.clone();
    let normalised = differences(&step.written, left)
        .map_err(|source| ApplyError::Definition { vm: vm.clone(), source })?;
    Ok(StepReport { vm, result: StepResult::Changed { normalised } })
}
