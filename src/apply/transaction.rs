//! A transaction: forward step by step, or all the way back.

use std::time::Duration;

use super::deviation::Deviation;
use super::meaning::same_value;
use super::outline::normalised;
use super::places::Places;
use super::prepare::Prepared;
use super::undo::{Back, Force, Undo, deviation, same};
use super::{
    Failure, Machine, Outcome, StepError, StepReport, StepResult, misses,
};
use crate::definition::{Parsed, SyntaxError};
use crate::files::journal::{
    Ending, Header, Left, Status, Step, Transaction, Writer,
};
use crate::hypervisor::Validate;
use crate::model::{Place, Standing};

/// What came of undoing.
#[derive(Default)]
struct Undoing {
    back: Vec<Place>,
    rewritten: Vec<Place>,
    gone: Vec<Place>,
    failures: Vec<Failure>,
}

/// A transaction that has begun.
pub(super) struct Run<'a> {
    places: Places<'a>,
    clock: &'a dyn Fn() -> Duration,
    journal: Writer,
    undo: Undo,
    /// The steps that were begun, as the journal has them.
    begun: Vec<Step>,
    steps: Vec<StepReport>,
}

impl<'a> Run<'a> {
    /// Starts with a transaction that has a header and no more.
    pub(super) fn new(
        machine: &Machine<'a>,
        header: &Header,
        journal: Writer,
    ) -> Self {
        let places = machine.places();
        let undo = Undo {
            loader: header.plan.boot_loader,
            rebooted: places.rebooted(header),
            again: false,
        };
        let clock = machine.clock;
        let (begun, steps) = (Vec::new(), Vec::new());
        Self { places, clock, journal, undo, begun, steps }
    }

    /// Goes on with a transaction that was cut off, or stands.
    pub(super) fn again(
        machine: &Machine<'a>,
        transaction: Transaction,
        journal: Writer,
    ) -> Self {
        let mut run = Self::new(machine, &transaction.header, journal);
        let undoing = Status::Unfinished { undoing: true };
        run.undo.again = transaction.status == undoing;
        run.begun = transaction.steps;
        run
    }

    /// Adds the report of a step that was done before.
    pub(super) fn was_done(&mut self, report: StepReport) {
        self.steps.push(report);
    }

    /// Does all steps, or none of them; with `until`, they wait to be
    /// confirmed by then.
    pub(super) fn forward(
        mut self,
        steps: Vec<Prepared<'_>>,
        until: Option<u64>,
    ) -> Outcome {
        for step in steps {
            let (place, stage) = (step.place.clone(), step.stage);
            let before = (self.clock)();
            match self.step(step) {
                Ok(result) => {
                    let took = (self.clock)().saturating_sub(before);
                    let report = StepReport { place, stage, result, took };
                    self.steps.push(report);
                }
                Err(error) => {
                    let place = Some(place);
                    return self.fail(Failure { place, error });
                }
            }
        }
        let written = match until {
            Some(until) => self.journal.waiting(until),
            None => self.journal.finished(Ending::Applied),
        };
        match written {
            Ok(()) => self.outcome(None, Undoing::default()),
            Err(error) => {
                self.fail(Failure { place: None, error: error.into() })
            }
        }
    }

    fn step(&mut self, step: Prepared<'_>) -> Result<StepResult, StepError> {
        if self.has_ended(&step)? {
            if let Some(number) = step.begun {
                self.journal.done(number, None)?;
            }
            return Ok(StepResult::Gone);
        }
        let (number, found) = match step.begun {
            Some(number) => (number, self.cut_off(number)?),
            None if step.is_already_so() => return Ok(StepResult::AlreadySo),
            None => (self.begin(&step)?, step.former.clone()),
        };
        let (found, written) = (found.as_deref(), step.written.as_deref());
        let (footing, validate) = (&step.footing, Validate::Schema);
        self.places.put(&step.place, found, written, footing, validate)?;
        let Standing { text: left, .. } =
            self.places.standing::<StepError>(&step.place)?;
        // From here on it is known what a rollback has to find.
        self.begun[number].left = Left::Known(left.clone());
        let result = verify(&step, left.as_deref())?;
        self.journal.done(number, left.as_deref())?;
        Ok(result)
    }

    /// Returns what stands at the place of a step that was cut off.
    fn cut_off(&self, number: usize) -> Result<Option<String>, StepError> {
        let step = &self.begun[number];
        let current = self.places.standing::<StepError>(&step.place)?.text;
        match self.undo.moved(step, &current) {
            None => Ok(current),
            Some(how) => Err(StepError::Moved(how)),
        }
    }

    /// Returns whether a VM that ran does not any more, or was started anew.
    fn has_ended(&self, step: &Prepared<'_>) -> Result<bool, StepError> {
        if !matches!(step.place, Place::Live { .. }) {
            return Ok(false);
        }
        let current = self.places.standing::<StepError>(&step.place)?.text;
        Ok(self.undo.has_ended(&step.place, &step.former, &current))
    }

    /// Writes down what undoes a step, having looked once more: a place can
    /// change while other steps are done, and neither libvirt nor the kernel
    /// can be told to write only where nothing has changed.
    fn begin(&mut self, prepared: &Prepared<'_>) -> Result<usize, StepError> {
        let Standing { text: current, .. } =
            self.places.standing::<StepError>(&prepared.place)?;
        let former = &prepared.former;
        if !same(&prepared.place, former, &current) {
            let how = deviation(&prepared.place, former, &current);
            // Where no part differs, the layout does.
            let how = how.unwrap_or(Deviation::Definition(Vec::new()));
            return Err(StepError::Moved(how));
        }
        let number = self.begun.len();
        let step = Step {
            place: prepared.place.clone(),
            former: prepared.former.clone(),
            footing: prepared.footing,
            written: prepared.written.clone(),
            left: Left::Unknown,
            rolled_back: false,
        };
        self.journal.started(number, &step)?;
        self.begun.push(step);
        Ok(number)
    }

    /// Undoes all that was begun, because of this.
    pub(super) fn fail(mut self, failure: Failure) -> Outcome {
        let because = failure.in_short();
        // The step that was cut off by its own failure was written a moment
        // ago: whatever stands there is ours.
        let undoing = self.undo(Some(because), Force::CutOff);
        self.outcome(Some(failure), undoing)
    }

    /// Undoes all that was begun, the last step first.
    pub(super) fn back(
        mut self,
        because: Option<String>,
        force: Force,
    ) -> Outcome {
        let undoing = self.undo(because, force);
        self.outcome(None, undoing)
    }

    /// The journal failing is no reason to leave anything changed: a step
    /// that is undone without a record is found to be so the next time.
    fn undo(&mut self, because: Option<String>, force: Force) -> Undoing {
        let mut written = self.journal.undoing(because);
        let mut all = Undoing::default();
        let journal = &mut self.journal;
        self.undo.all(&self.places, &self.begun, force, |undone| {
            match undone.result {
                Ok(Back::Gone) => all.gone.push(undone.place),
                Ok(Back::Found | Back::Changed) => all.back.push(undone.place),
                Ok(Back::Rewritten) => {
                    all.rewritten.push(undone.place.clone());
                    all.back.push(undone.place);
                }
                Err(error) => {
                    let place = Some(undone.place);
                    all.failures.push(Failure { place, error });
                    return;
                }
            }
            if let (Ok(()), Some(number)) = (&written, undone.number) {
                written = journal.rolled_back(number);
            }
        });
        if all.failures.is_empty() && written.is_ok() {
            written = self.journal.finished(Ending::RolledBack);
        }
        if let Err(error) = written {
            let error = error.into();
            all.failures.push(Failure { place: None, error });
        }
        all
    }

    fn outcome(self, failed: Option<Failure>, undoing: Undoing) -> Outcome {
        Outcome {
            transaction: Some(self.journal.id()),
            steps: self.steps,
            failed,
            rolled_back: undoing.back,
            rewritten: undoing.rewritten,
            gone: undoing.gone,
            rollback_failures: undoing.failures,
        }
    }
}

/// Says what a step did, where what it left is what was planned.
fn verify(
    step: &Prepared<'_>,
    left: Option<&str>,
) -> Result<StepResult, StepError> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    let written = step.written.as_deref();
    let kept = match (&step.place, written, left) {
        (
            Place::Definition { .. } | Place::Conf { .. },
            Some(written),
            Some(left),
        ) => {
            let misses = misses(written, left, step.changes.iter().copied())?;
            if !misses.is_empty() {
                return Err(StepError::NotKept { misses });
            }
            return Ok(changed(written, left)?);
        }
        (Place::Kernel(path), Some(written), Some(left)) => {
            same_value(path, written, left)
        }
        (Place::Live { .. }, ..) => {
            let (written, left) = (&step.written, own(left));
            return match deviation(&step.place, written, &left) {
                None => Ok(StepResult::CHANGED),
                Some(how) => Err(StepError::NotPinned(how)),
            };
        }
        (Place::Program(_), ..) => true,
        (_, written, left) => written == left,
    };
    if kept {
        return Ok(StepResult::CHANGED);
    }
    Err(StepError::NotTaken { written: own(written), found: own(left) })
}

/// Says what the hypervisor made of a definition that is as planned.
pub(super) fn changed(
    written: &str,
    left: &str,
) -> Result<StepResult, SyntaxError> {
    let [written, left] = [Parsed::read(written)?, Parsed::read(left)?];
    let comments_lost = written.comments().saturating_sub(left.comments());
    let normalised = normalised(&written, &left);
    Ok(StepResult::Changed { normalised, comments_lost })
}
