//! All that is looked at before anything is touched.

use super::render::changes_of;
use super::{ApplyError, render};
use crate::base::Digest;
use crate::base::DomainName;
use crate::hypervisor::{DomainInfo, Hypervisor};
use crate::model::{Change, Plan, VmPlan};

/// A VM that is found, is as the plan knows it, and takes the plan's edits.
#[derive(Debug, Clone)]
pub(super) struct Prepared<'p> {
    pub(super) vm: DomainInfo,
    /// Its definition now.
    pub(super) former: String,
    /// Its definition as the plan wants it.
    pub(super) written: String,
    /// What the plan changes in it.
    pub(super) changes: Vec<&'p Change>,
    /// Its number in the journal where the step was begun and cut off.
    pub(super) begun: Option<usize>,
}

impl Prepared<'_> {
    pub(super) fn is_already_so(&self) -> bool {
        self.former == self.written
    }
}

/// Looks at every VM of the plan. A VM that the plan does not change is
/// looked at too, since the others were placed around it.
pub(super) fn prepare<'p>(
    plan: &'p Plan,
    hypervisor: &dyn Hypervisor,
) -> Result<Vec<Prepared<'p>>, ApplyError> {
    check_form(plan, hypervisor)?;
    let domains = hypervisor.domains()?;
    let mut found = Vec::new();
    let mut stale = Vec::new();
    for planned in &plan.vms {
        let vm = find(&domains, planned)?;
        let text = hypervisor.inactive_definition(&vm.uuid)?;
        if Digest::of(text.as_bytes()) == planned.digest {
            found.push((vm, text));
        } else {
            stale.push(vm.name.clone());
        }
    }
    if !stale.is_empty() {
        return Err(ApplyError::Stale { vms: stale });
    }
    found.into_iter().map(|(vm, former)| edit(plan, vm, former)).collect()
}

/// Renders one VM that is as the plan knows it.
pub(super) fn edit<'p>(
    plan: &'p Plan,
    vm: &DomainInfo,
    former: String,
) -> Result<Prepared<'p>, ApplyError> {
    let changes: Vec<_> = changes_of(plan, &vm.name).collect();
    if !vm.persistent && !changes.is_empty() {
        return Err(ApplyError::Transient { vm: vm.name.clone() });
    }
    let written = render(&former, plan, &vm.name)?;
    Ok(Prepared { vm: vm.clone(), former, written, changes, begun: None })
}

/// Finds a planned VM: by its UUID, and it must have kept its name, or the
/// changes would not be told from those of another VM.
pub(super) fn find<'d>(
    domains: &'d [DomainInfo],
    planned: &VmPlan,
) -> Result<&'d DomainInfo, ApplyError> {
    domains
        .iter()
        .find(|domain| {
            domain.name == planned.name
                && planned.uuid.is_none_or(|uuid| uuid == domain.uuid)
        })
        .ok_or_else(|| ApplyError::Gone { vm: planned.name.clone() })
}

/// Refuses a plan for another place, and one that changes what it does not
/// name.
fn check_form(
    plan: &Plan,
    hypervisor: &dyn Hypervisor,
) -> Result<(), ApplyError> {
    let here = hypervisor.uri();
    // A plan made from files names no place; the digests decide.
    if plan.connection != here && plan.connection != "files" {
        let plan = plan.connection.clone();
        return Err(ApplyError::OtherConnection { plan, here: here.into() });
    }
    let known = |vm: &str| plan.vms.iter().any(|one| one.name.as_str() == vm);
    for change in &plan.changes {
        if !change.vm.as_deref().is_some_and(known) {
            let target = change.target.to_string();
            return Err(ApplyError::Foreign { target });
        }
    }
    let names: Vec<&DomainName> = plan.vms.iter().map(|vm| &vm.name).collect();
    for (n, name) in names.iter().enumerate() {
        if names[..n].contains(name) {
            let target = format!("{name} twice");
            return Err(ApplyError::Foreign { target });
        }
    }
    Ok(())
}
