//! A transaction: forward step by step, or all the way back.

use super::outline::section;
use super::prepare::Prepared;
use super::{
    Difference, Failure, Outcome, StepError, StepReport, StepResult,
    differences, misses,
};
use crate::base::DomainName;
use crate::definition::xml::XmlError;
use crate::files::journal::{Ending, Step, Transaction, Writer};
use crate::hypervisor::{Hypervisor, Validate};

/// A transaction that has begun.
pub(super) struct Run<'a> {
    hypervisor: &'a dyn Hypervisor,
    journal: Writer,
    /// The steps that were begun, as the journal has them.
    begun: Vec<Step>,
    steps: Vec<StepReport>,
}

impl<'a> Run<'a> {
    pub(super) fn new(hypervisor: &'a dyn Hypervisor, journal: Writer) -> Self {
        Self { hypervisor, journal, begun: Vec::new(), steps: Vec::new() }
    }

    /// Goes on with a transaction that was cut off.
    pub(super) fn again(self, transaction: Transaction) -> Self {
        Self { begun: transaction.steps, ..self }
    }

    /// Adds the report of a step that was done before.
    pub(super) fn was_done(&mut self, report: StepReport) {
        self.steps.push(report);
    }

    /// Does all steps, or none of them.
    pub(super) fn forward(mut self, steps: Vec<Prepared<'_>>) -> Outcome {
        for step in steps {
            let vm = step.vm.name.clone();
            match self.step(step) {
                Ok(result) => self.steps.push(StepReport { vm, result }),
                Err(error) => {
                    return self.fail(Failure { vm: Some(vm), error });
                }
            }
        }
        match self.journal.finished(Ending::Applied) {
            Ok(()) => self.outcome(None, Vec::new(), Vec::new()),
            Err(error) => self.fail(Failure { vm: None, error: error.into() }),
        }
    }

    fn step(&mut self, step: Prepared<'_>) -> Result<StepResult, StepError> {
        let number = match step.begun {
            Some(number) => number,
            None if step.is_already_so() => return Ok(StepResult::AlreadySo),
            None => self.begin(&step)?,
        };
        let (vm, written) = (&step.vm, &step.written);
        self.hypervisor.define(&vm.name, written, Validate::Schema)?;
        let left = self.hypervisor.inactive_definition(&vm.uuid)?;
        // From here on it is known what a rollback has to find.
        self.begun[number].left = Some(left.clone());
        let misses = misses(written, &left, step.changes.iter().copied())?;
        if !misses.is_empty() {
            return Err(StepError::NotKept { misses });
        }
        let normalised = differences(written, &left)?;
        self.journal.done(number, &left)?;
        Ok(StepResult::Changed { normalised })
    }

    /// Writes down what undoes a step, having looked once more: definitions
    /// can change while other steps are done, and libvirt cannot be told to
    /// define only where nothing has changed.
    fn begin(&mut self, prepared: &Prepared<'_>) -> Result<usize, StepError> {
        let vm = &prepared.vm;
        let current = self.hypervisor.inactive_definition(&vm.uuid)?;
        if current != prepared.former {
            let differences = differences(&prepared.former, &current)?;
            return Err(StepError::Moved { differences });
        }
        let number = self.begun.len();
        let step = Step {
            name: vm.name.clone(),
            uuid: vm.uuid,
            former: prepared.former.clone(),
            written: prepared.written.clone(),
            left: None,
            rolled_back: false,
        };
        self.journal.started(number, &step)?;
        self.begun.push(step);
        Ok(number)
    }

    fn fail(mut self, failure: Failure) -> Outcome {
        let because = describe(&failure);
        // The step that was cut off by its own failure was written a moment
        // ago: whatever stands there is ours.
        let (back, failures) = self.undo(Some(because), Force::CutOff);
        self.outcome(Some(failure), back, failures)
    }

    /// Undoes all that was begun, the last step first.
    pub(super) fn back(mut self, force: Force) -> Outcome {
        let (back, failures) = self.undo(None, force);
        self.outcome(None, back, failures)
    }

    /// The journal failing is no reason to leave anything changed: a step
    /// that is undone without a record is found to be so the next time.
    fn undo(
        &mut self,
        because: Option<String>,
        force: Force,
    ) -> (Vec<DomainName>, Vec<Failure>) {
        let mut written = self.journal.undoing(because);
        let mut back = Vec::new();
        let mut failures = Vec::new();
        let open = self.begun.iter().enumerate().rev();
        for (number, step) in open.filter(|(_, step)| !step.rolled_back) {
            match restore(self.hypervisor, step, force) {
                Ok(()) => {
                    back.push(step.name.clone());
                    written =
                        written.and_then(|()| self.journal.rolled_back(number));
                }
                Err(error) => {
                    let vm = Some(step.name.clone());
                    failures.push(Failure { vm, error });
                }
            }
        }
        if failures.is_empty() {
            written = written
                .and_then(|()| self.journal.finished(Ending::RolledBack));
        }
        if let Err(error) = written {
            failures.push(Failure { vm: None, error: error.into() });
        }
        (back, failures)
    }

    fn outcome(
        self,
        failed: Option<Failure>,
        rolled_back: Vec<DomainName>,
        rollback_failures: Vec<Failure>,
    ) -> Outcome {
        Outcome {
            transaction: Some(self.journal.id()),
            steps: self.steps,
            failed,
            rolled_back,
            rollback_failures,
        }
    }
}

/// What is undone although something else than expected is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// Nothing.
    Nothing,
    /// The step of which it is not known what it left.
    CutOff,
    /// Everything; a VM that has gone is left out.
    Everything,
}

/// Puts a former definition back into force.
fn restore(
    hypervisor: &dyn Hypervisor,
    step: &Step,
    force: Force,
) -> Result<(), StepError> {
    let current = match hypervisor.inactive_definition(&step.uuid) {
        Err(error) if force == Force::Everything && error.is_no_domain() => {
            return Ok(());
        }
        other => other?,
    };
    if current == step.former {
        return Ok(());
    }
    let look = match force {
        Force::Nothing => true,
        Force::CutOff => step.left.is_some(),
        Force::Everything => false,
    };
    if look {
        let differences = moved(step, &current)?;
        if !differences.is_empty() {
            return Err(StepError::Moved { differences });
        }
    }
    // The text came from the hypervisor, so it goes back even where the
    // schema would not have it.
    hypervisor.define(&step.name, &step.former, Validate::Lenient)?;
    let back = hypervisor.inactive_definition(&step.uuid)?;
    let differences = differences(&step.former, &back)?;
    if differences.is_empty() || force == Force::Everything {
        Ok(())
    } else {
        Err(StepError::NotRestored { differences })
    }
}

/// Returns where a definition is neither as it was before the step nor as the
/// step left it. Of a step that was cut off it is not known what the
/// hypervisor made of the text, so every part that the text changes is taken
/// for its doing.
pub(super) fn moved(
    step: &Step,
    current: &str,
) -> Result<Vec<Difference>, XmlError> {
    if current == step.former {
        return Ok(Vec::new());
    }
    if let Some(left) = &step.left {
        return differences(left, current);
    }
    let ours: Vec<_> = differences(&step.former, &step.written)?
        .iter()
        .map(|one| section(&one.path))
        .collect();
    let mut others = differences(&step.former, current)?;
    others.retain(|one| !ours.contains(&section(&one.path)));
    Ok(others)
}

/// Spells a failure with its causes, for the history.
fn describe(failure: &Failure) -> String {
    let mut text = match &failure.vm {
        Some(vm) => format!("{vm}: {}", failure.error),
        None => failure.error.to_string(),
    };
    let mut cause = std::error::Error::source(&failure.error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
