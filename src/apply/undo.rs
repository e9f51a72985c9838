//! Putting back what was there before.

use std::collections::BTreeSet;

use super::deviation::Deviation;
use super::group::programs_of;
use super::meaning::{is_between, same_value};
use super::outline::section;
use super::places::Places;
use super::{StepError, conf, differences, live};
use crate::files::journal::Step;
use crate::hypervisor::Validate;
use crate::model::facts::BootLoader;
use crate::model::{Footing, Place, Program};

/// What is undone although something else than expected is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// Nothing.
    Nothing,
    /// The step of which it is not known what it left.
    CutOff,
    /// Everything; what has gone is left out.
    Everything,
}

/// What has to be known of a transaction to undo its steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Undo {
    /// What boots the host, as the plan says.
    pub(super) loader: Option<BootLoader>,
    /// Whether the host was booted since the transaction began.
    pub(super) rebooted: bool,
    /// Whether it was being undone before, and that was cut off.
    pub(super) again: bool,
}

/// A place that was to be put back.
pub(super) struct Undone {
    pub(super) place: Place,
    /// The number of its step; `None` for a program that was not begun.
    pub(super) number: Option<usize>,
    pub(super) result: Result<Back, StepError>,
}

/// How a place came to be as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// It was so, or what it belonged to is deleted.
    Found,
    /// It was put back.
    Changed,
    /// It was put back, and means what it meant before; whoever keeps it has
    /// written it another way, or somebody has changed more of it.
    Rewritten,
    /// Nothing of the step is left there to undo.
    Gone,
}

impl Undone {
    fn of(number: usize, step: &Step, result: Result<Back, StepError>) -> Self {
        Self { place: step.place.clone(), number: Some(number), result }
    }
}

impl Undo {
    /// Undoes the steps that are not undone yet, the last one first, and then
    /// runs the programs that make files take effect.
    pub(super) fn all(
        &self,
        places: &Places<'_>,
        steps: &[Step],
        force: Force,
        mut tell: impl FnMut(Undone),
    ) {
        let mut programs = BTreeSet::new();
        let mut files = Vec::new();
        let mut failed = Vec::new();
        for (number, step) in steps.iter().enumerate().rev() {
            if let Place::Program(program) = step.place {
                if !step.rolled_back {
                    programs.insert(program);
                }
                continue;
            }
            // What was undone before that was cut off may not be in effect.
            let mut touched = self.again;
            if !step.rolled_back {
                let result = self.restore(places, step, force);
                touched |= !matches!(result, Ok(Back::Found | Back::Gone));
                if let (Place::File(_), Err(_)) = (&step.place, &result) {
                    failed.push((number, step));
                } else {
                    tell(Undone::of(number, step, result));
                }
            }
            if touched {
                files.push(&step.place);
            }
        }
        // A disk that was full may have room now that others are back.
        for (number, step) in failed {
            let result = self.restore(places, step, force);
            tell(Undone::of(number, step, result));
        }
        for place in files {
            let Place::File(path) = place else { continue };
            programs.extend(programs_of(path, self.loader).unwrap_or_default());
        }
        for program in programs {
            let (place, number) = (Place::Program(program), None);
            let result = self.run(places, program).map(|()| Back::Changed);
            let step = steps.iter().position(|step| step.place == place);
            let number = step.filter(|n| !steps[*n].rolled_back).or(number);
            tell(Undone { place, number, result });
        }
    }

    fn run(
        &self,
        places: &Places<'_>,
        program: Program,
    ) -> Result<(), StepError> {
        let place = Place::Program(program);
        let footing = Footing::default();
        places.put(&place, None, None, &footing, Validate::Lenient)
    }

    /// Puts back what stood at a place.
    fn restore(
        &self,
        places: &Places<'_>,
        step: &Step,
        force: Force,
    ) -> Result<Back, StepError> {
        let place = &step.place;
        let current = places.standing::<StepError>(place)?.text;
        if self.has_ended(place, &step.former, &current) {
            return Ok(Back::Gone);
        }
        let gone = current.is_none() && !matches!(place, Place::File(_));
        if gone && force == Force::Everything {
            return Ok(Back::Found);
        }
        if is_back(step, &current) {
            if matches!(place, Place::File(_) | Place::Conf { .. }) {
                // Folders, and what a kill in the middle has left.
                self.put_back(places, step, &current)?;
            }
            if !matches!(place, Place::Conf { .. }) {
                return Ok(Back::Found);
            }
            let back = places.standing::<StepError>(place)?.text;
            return Ok(match back == step.former {
                true => Back::Found,
                false => Back::Rewritten,
            });
        }
        let look = match force {
            Force::Nothing => true,
            // Proxmox refuses where somebody was quicker, so that not all
            // that stands there must be ours.
            Force::CutOff => {
                step.left().is_some() || matches!(place, Place::Conf { .. })
            }
            Force::Everything => false,
        };
        if look && let Some(how) = self.moved(step, &current) {
            return Err(StepError::Moved(how));
        }
        if self.went_with_a_boot(step, &current) {
            return Ok(Back::Gone);
        }
        self.put_back(places, step, &current)?;
        let back = places.standing::<StepError>(place)?.text;
        match differs(step, &step.former, &back) {
            Some(how) if force != Force::Everything => {
                Err(StepError::NotRestored(how))
            }
            _ if is_definition(place) && back != step.former => {
                Ok(Back::Rewritten)
            }
            _ => Ok(Back::Changed),
        }
    }

    /// Puts back what stood at a place before a step; `current` stands there.
    fn put_back(
        &self,
        places: &Places<'_>,
        step: &Step,
        current: &Option<String>,
    ) -> Result<(), StepError> {
        let (place, current) = (&step.place, current.as_deref());
        // What others did to a definition of Proxmox is not the step's.
        let undone = match place {
            Place::Conf { .. } => current.and_then(|c| conf::undone(step, c)),
            _ => None,
        };
        let former = undone.as_deref().or(step.former.as_deref());
        // A definition came from the hypervisor, so it goes back even where
        // the schema would not have it.
        let (footing, validate) = (&step.footing, Validate::Lenient);
        places.put(place, current, former, footing, validate)
    }

    /// Returns whether a value of the kernel that a step has set is not there
    /// any more because the host was booted since.
    fn went_with_a_boot(&self, step: &Step, current: &Option<String>) -> bool {
        let left = step.left().unwrap_or(&step.written);
        matches!(step.place, Place::Kernel(_))
            && self.rebooted
            && !same(&step.place, left, current)
    }

    /// Returns whether a place is the threads of a VM that has stopped since,
    /// or was started anew.
    pub(super) fn has_ended(
        &self,
        place: &Place,
        former: &Option<String>,
        current: &Option<String>,
    ) -> bool {
        let same = live::is_same_run(former.as_deref(), current.as_deref());
        // Numbers of runs begin anew when the host is booted.
        matches!(place, Place::Live { .. }) && (self.rebooted || !same)
    }

    /// Returns how what stands at a place is neither what was there before
    /// the step nor what the step left. Of a step that was cut off it is not
    /// known what was made of the text, so every part that the text changes
    /// is taken for its doing.
    pub(super) fn moved(
        &self,
        step: &Step,
        current: &Option<String>,
    ) -> Option<Deviation> {
        let place = &step.place;
        if is_back(step, current)
            || self.has_ended(place, &step.former, current)
            || self.went_with_a_boot(step, current)
        {
            return None;
        }
        let Some(left) = step.left() else {
            return cut_off(step, current);
        };
        // Of threads and keys some can be back already: undoing was cut off.
        if is_on_the_way(step, left, current) {
            return None;
        }
        differs(step, left, current)
    }
}

/// Likewise, for a step that was cut off.
fn cut_off(step: &Step, current: &Option<String>) -> Option<Deviation> {
    let place = &step.place;
    if same(place, &step.written, current)
        || is_on_the_way(step, &step.written, current)
    {
        return None;
    }
    let how = differs(step, &step.former, current)?;
    match (how, &step.former, &step.written, current) {
        (Deviation::Definition(mut others), Some(former), Some(written), _)
            if matches!(place, Place::Definition { .. }) =>
        {
            let ours = differences(former, written).unwrap_or_default();
            let ours: Vec<_> =
                ours.iter().map(|one| section(&one.path)).collect();
            others.retain(|one| !ours.contains(&section(&one.path)));
            let any = !others.is_empty();
            any.then_some(Deviation::Definition(others))
        }
        (_, Some(former), Some(written), Some(current))
            if matches!(place, Place::Kernel(_))
                && is_between(current, former, written) =>
        {
            None
        }
        (how, ..) => Some(how),
    }
}

/// Returns whether each thread of a VM is where it was before a step, or
/// where this text has it; each key of a definition of Proxmox likewise.
fn is_on_the_way(
    step: &Step,
    text: &Option<String>,
    current: &Option<String>,
) -> bool {
    match (&step.place, &step.former, text, current) {
        (Place::Live { .. }, Some(former), Some(text), Some(current)) => {
            live::is_between(current, former, text)
        }
        (Place::Conf { .. }, ..) => conf::is_on_the_way(step, current),
        _ => false,
    }
}

/// Returns whether what a step has changed is as it was before.
fn is_back(step: &Step, current: &Option<String>) -> bool {
    match step.place {
        Place::Conf { .. } => differs(step, &step.former, current).is_none(),
        _ => same(&step.place, &step.former, current),
    }
}

/// Returns whether a place is a definition, which whoever keeps it may write
/// his own way.
pub(super) const fn is_definition(place: &Place) -> bool {
    matches!(place, Place::Definition { .. } | Place::Conf { .. })
}

/// Returns how what a step has changed is otherwise than expected.
pub(super) fn differs(
    step: &Step,
    expected: &Option<String>,
    found: &Option<String>,
) -> Option<Deviation> {
    match step.place {
        Place::Conf { .. } => conf::deviation(step, expected, found),
        _ => deviation(&step.place, expected, found),
    }
}

/// Returns how what stands at a place differs from what is expected there.
pub(super) fn deviation(
    place: &Place,
    expected: &Option<String>,
    found: &Option<String>,
) -> Option<Deviation> {
    if same(place, expected, found) {
        return None;
    }
    if is_definition(place)
        && let (Some(expected), Some(found)) = (expected, found)
        && let Ok(parts) = differences(expected, found)
    {
        let any = !parts.is_empty();
        return any.then_some(Deviation::Definition(parts));
    }
    if let (Place::Live { .. }, Some(expected), Some(found)) =
        (place, expected, found)
        && live::is_same_run(Some(expected), Some(found))
    {
        return Some(Deviation::Threads(live::moved(expected, found)));
    }
    let (expected, found) = (expected.clone(), found.clone());
    Some(Deviation::Text { expected, found })
}

/// Returns whether two texts are the same at a place.
pub(super) fn same(
    place: &Place,
    one: &Option<String>,
    other: &Option<String>,
) -> bool {
    match (place, one, other) {
        (Place::Kernel(path), Some(one), Some(other)) => {
            same_value(path, one, other)
        }
        (_, one, other) => one == other,
    }
}
