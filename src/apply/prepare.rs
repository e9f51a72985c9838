//! All that is looked at before anything is touched.

use super::arguments::render_arguments;
use super::group::{Group, groups, programs_of};
use super::meaning::{same, same_value};
use super::places::Places;
use super::{ApplyError, Moved, conf, functions, live, render};
use crate::base::{Digest, DomainName, Leaf};
use crate::definition::Parsed;
use crate::hypervisor::{DomainInfo, is_remote};
use crate::model::{Change, Footing, Place, Plan, Stage, Target, VmPlan};

/// A place that is as the plan knows it, and what it shall be.
#[derive(Debug, Clone)]
pub(super) struct Prepared<'p> {
    pub(super) place: Place,
    pub(super) stage: Stage,
    /// What stands there now.
    pub(super) former: Option<String>,
    pub(super) footing: Footing,
    /// What the plan wants there.
    pub(super) written: Option<String>,
    /// What the plan changes there.
    pub(super) changes: Vec<&'p Change>,
    /// Its number in the journal where the step was begun and cut off.
    pub(super) begun: Option<usize>,
}

impl Prepared<'_> {
    /// Returns whether nothing has to be done. A program says nothing of
    /// itself: it is run where one of its files is changed.
    pub(super) fn is_already_so(&self) -> bool {
        match (&self.place, &self.former, &self.written) {
            (Place::Program(_), ..) => false,
            (Place::Kernel(path), Some(former), Some(written)) => {
                same_value(path, former, written)
            }
            (_, former, written) => former == written,
        }
    }

    /// Returns whether it is the threads of a VM that does not run.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.place, Place::Live { .. }) && self.former.is_none()
    }
}

/// What looking at a place gave.
#[derive(Debug)]
pub(super) enum Looked<'p> {
    /// It is as the plan knows it, or as the plan wants it.
    Fits(Prepared<'p>),
    /// It has changed since the plan was made.
    Moved(Vec<Moved>),
}

/// Looks at every place of the plan. A VM that the plan does not change is
/// looked at too, since the others were placed around it.
pub(super) fn prepare<'p>(
    plan: &'p Plan,
    places: &Places<'_>,
) -> Result<Vec<Prepared<'p>>, ApplyError> {
    check_form(plan, places)?;
    let domains = places.hypervisor.domains()?;
    let mut prepared = Vec::new();
    let mut stale = Vec::new();
    for group in groups(plan, &domains)? {
        match look(plan, places, &domains, group)? {
            Looked::Fits(one) if one.is_idle() => {}
            Looked::Fits(one) => prepared.push(one),
            Looked::Moved(moved) => stale.extend(moved),
        }
    }
    if !stale.is_empty() {
        return Err(ApplyError::Stale { places: stale });
    }
    functions::are_free(&prepared, places, &domains)?;
    keep_needed_programs(plan, &mut prepared, &[]);
    Ok(prepared)
}

/// Takes away the programs whose files are all as planned already, unless
/// these other files were changed before.
pub(super) fn keep_needed_programs(
    plan: &Plan,
    prepared: &mut Vec<Prepared<'_>>,
    changed: &[Place],
) {
    let todo = prepared.iter().filter(|one| !one.is_already_so());
    let changed: Vec<Place> =
        todo.map(|one| one.place.clone()).chain(changed.to_vec()).collect();
    let needed = |place: &Place| {
        let Place::Program(program) = place else { return true };
        changed.iter().any(|place| {
            let Place::File(path) = place else { return false };
            let programs = programs_of(path, plan.boot_loader);
            programs.is_some_and(|all| all.contains(program))
        })
    };
    prepared.retain(|one| needed(&one.place));
}

/// Looks at one place.
pub(super) fn look<'p>(
    plan: &'p Plan,
    places: &Places<'_>,
    domains: &[DomainInfo],
    group: Group<'p>,
) -> Result<Looked<'p>, ApplyError> {
    let standing = places.standing::<ApplyError>(&group.place)?;
    let former = standing.text;
    let (written, moved) = match &group.place {
        Place::Definition { name, .. } => {
            let info = domains.iter().find(|info| info.name == *name);
            let persistent = info.is_some_and(|info| info.persistent);
            if !persistent && !group.changes.is_empty() {
                return Err(ApplyError::Transient { vm: name.clone() });
            }
            definition(plan, name, former.as_deref(), &group.changes)?
        }
        Place::Conf { name, .. } => {
            definition(plan, name, former.as_deref(), &group.changes)?
        }
        Place::File(path) => match (&group.changes[..], former.as_deref()) {
            ([one], found) if matches!(one.target, Target::File(_)) => {
                let same = |planned: Option<&str>| planned == found;
                (one.to.clone(), compare(one, found, same))
            }
            (all, text) => {
                let rendered = render_arguments(path, text, all);
                let rendered = rendered.map_err(|why| {
                    ApplyError::Arguments { file: path.clone(), why }
                })?;
                let each = || all.iter().zip(&rendered.found);
                let moved = each().flat_map(|(one, found)| {
                    let found = found.as_deref();
                    compare(one, found, |planned| planned == found)
                });
                let moved = moved.collect();
                if each().all(|(one, found)| one.to == *found) {
                    (former.clone(), moved)
                } else {
                    (rendered.text, moved)
                }
            }
        },
        Place::Kernel(path) => {
            let [one] = group.changes[..] else {
                let target = format!("{path} twice");
                return Err(ApplyError::Foreign { target });
            };
            let found = former.as_deref();
            let same = |planned: Option<&str>| match (planned, found) {
                (Some(a), Some(b)) => same_value(path, a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            (one.to.clone(), compare(one, found, same))
        }
        // The plan says nothing of how the threads were: others may move
        // them at any time, and what was there is in the journal. But a run
        // that has its memory elsewhere is not the one that was planned for.
        Place::Live { name, uuid } => {
            let text = former.as_deref();
            let to = text.map(|text| live::changed(text, &group.changes));
            let run = places.hypervisor.live_definition(uuid)?;
            let fits = run.is_none_or(|run| live::fits(plan, name, &run));
            let place = group.place.to_string();
            let moved = Moved { place, values: None };
            (to, if fits { Vec::new() } else { vec![moved] })
        }
        Place::Program(_) => (None, Vec::new()),
    };
    if !moved.is_empty() {
        return Ok(Looked::Moved(moved));
    }
    Ok(Looked::Fits(Prepared {
        place: group.place,
        stage: group.stage,
        former,
        footing: standing.footing,
        written,
        changes: group.changes,
        begun: None,
    }))
}

/// Says that a place is neither as the plan knows it nor as it wants it.
fn compare(
    change: &Change,
    found: Option<&str>,
    same: impl Fn(Option<&str>) -> bool,
) -> Vec<Moved> {
    if same(change.to.as_deref()) || same(change.from.as_deref()) {
        return Vec::new();
    }
    let place = change.target.to_string();
    vec![Moved::since(place, change, found.map(str::to_owned))]
}

/// Renders a definition that is as the plan knows it; else says what of it
/// has changed.
fn definition(
    plan: &Plan,
    name: &DomainName,
    text: Option<&str>,
    changes: &[&Change],
) -> Result<(Option<String>, Vec<Moved>), ApplyError> {
    let Some(text) = text else {
        return Err(ApplyError::Gone { vm: name.clone() });
    };
    let mut planned = plan.vms.iter().filter(|vm| vm.name == *name);
    let digest = Digest::of(text.as_bytes());
    if planned.any(|vm| vm.digest == digest) {
        return Ok((Some(render(text, plan, name)?), Vec::new()));
    }
    let parsed = Parsed::read(text).map_err(|source| {
        ApplyError::Definition { vm: name.clone(), source }
    })?;
    let mut moved: Vec<_> = changes
        .iter()
        .filter_map(|change| {
            let found = parsed.value(&change.target);
            let agree = match (&change.from, &found) {
                (Some(_), Some(_)) if is_element(&change.target) => true,
                (Some(a), Some(b)) => same(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            let place = format!("{} of {name}", change.target);
            (!agree).then(|| Moved::since(place, change, found))
        })
        .collect();
    if moved.is_empty() {
        // Something that the plan does not touch; it does not know what.
        moved.push(Moved { place: name.to_string(), values: None });
    }
    Ok((None, moved))
}

/// Returns whether a target has only to be there.
fn is_element(target: &Target) -> bool {
    matches!(target, Target::Definition(path) if path.leaf == Leaf::Element)
}

/// Refuses a plan for another place, and one that changes what it does not
/// name.
fn check_form(plan: &Plan, places: &Places<'_>) -> Result<(), ApplyError> {
    let here = places.hypervisor.uri();
    // A plan made from files names no place; the digests decide.
    if plan.connection != here && plan.connection != "files" {
        let plan = plan.connection.clone();
        return Err(ApplyError::OtherConnection { plan, here: here.into() });
    }
    let node = places.hypervisor.is_node();
    if let Some(vm) = plan.vms.iter().find(|vm| vm.vmid.is_some() != node) {
        let (vm, here) = (vm.name.clone(), here.into());
        return Err(ApplyError::OtherKind { vm, here });
    }
    let known = |vm: &str| plan.vms.iter().any(|one| one.name.as_str() == vm);
    for change in &plan.changes {
        let owned = match &change.target {
            Target::Conf(path) if conf::holds_data(path.key()) => {
                let target = change.target.to_string();
                return Err(ApplyError::Data { target });
            }
            Target::Definition(_) | Target::Conf(_) => {
                let conf = matches!(change.target, Target::Conf(_));
                conf == node && change.vm.as_deref().is_some_and(known)
            }
            // The kernel's values are set, never taken away.
            Target::Kernel(_) => change.vm.is_none() && change.to.is_some(),
            Target::File(_) | Target::Argument { .. } => change.vm.is_none(),
        };
        if !owned {
            let target = change.target.to_string();
            return Err(ApplyError::Foreign { target });
        }
        if change.vm.is_none() && is_remote(here) {
            let uri = here.to_owned();
            return Err(ApplyError::Elsewhere { uri });
        }
    }
    for (n, vm) in plan.vms.iter().enumerate() {
        let same = |other: &VmPlan| {
            other.name == vm.name || vm.vmid.is_some() && other.vmid == vm.vmid
        };
        if plan.vms[..n].iter().any(same) {
            let target = format!("{} twice", vm.name);
            return Err(ApplyError::Foreign { target });
        }
    }
    Ok(())
}
