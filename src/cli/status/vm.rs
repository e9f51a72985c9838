//! A VM's part of `status`: its definition, and how it runs.

use anyhow::Context;

use crate::apply::{Miss, misses};
use crate::base::{DomainName, DomainUuid};
use crate::cli::exit::CliError;
use crate::cli::report;
use crate::cli::standing::Standing;
use crate::definition;
use crate::drift::{self, Finding, State};
use crate::hypervisor::Hypervisor;
use crate::model::domain::Domain;
use crate::model::{RunningVm, Stage, VmPlan};

/// What is looked at.
pub(super) struct Seen<'a> {
    pub(super) hypervisor: &'a dyn Hypervisor,
    pub(super) running: &'a [RunningVm],
    pub(super) standing: &'a Standing,
}

impl Seen<'_> {
    /// Compares a VM with all that was applied to it.
    pub(super) fn findings(
        &self,
        name: &DomainName,
    ) -> Result<Vec<Finding>, CliError> {
        let Some((planned, applied)) = self.standing.vm(name) else {
            return Ok(Vec::new());
        };
        let Some(uuid) = self.uuid(planned)? else {
            let state = State::Drifted { found: "no such VM".into() };
            return Ok(vec![finding(name, "definition", "there", state)]);
        };
        let live = self.hypervisor.live_definition(&uuid)?;
        let process = self.running.iter().find(|vm| vm.uuid == Some(uuid));
        // One that was started since runs by what was applied.
        let before = process.is_some_and(|vm| vm.started <= applied);
        let former = live.as_deref().filter(|_| before);
        let mut findings = self.definition(name, &uuid, former)?;
        if let Some(placement) = &planned.placement {
            let live = live.map(|text| read(&uuid, &text)).transpose()?;
            findings.extend(drift::vm(
                placement,
                applied,
                live.as_ref(),
                process,
            ));
        }
        Ok(findings)
    }

    /// Finds a VM by its UUID; one that had none when it was planned by its
    /// name.
    fn uuid(&self, planned: &VmPlan) -> Result<Option<DomainUuid>, CliError> {
        let domains = self.hypervisor.domains()?;
        let found = domains.iter().find(|one| match planned.uuid {
            Some(uuid) => one.uuid == uuid,
            None => one.name == planned.name,
        });
        Ok(found.map(|one| one.uuid))
    }

    /// Compares the definition for the next start with what was applied: one
    /// statement for each setting that is otherwise, and one for the others.
    /// A VM that was started before has some of them only from its next start.
    fn definition(
        &self,
        name: &DomainName,
        uuid: &DomainUuid,
        live: Option<&str>,
    ) -> Result<Vec<Finding>, CliError> {
        let changes = self.standing.changes(name);
        let current = self.hypervisor.inactive_definition(uuid)?;
        // What was so already was not written.
        let left = self.standing.left(uuid).unwrap_or(&current);
        let missed = |given: &str| {
            misses(left, given, changes.iter().copied())
                .with_context(|| format!("reading the definition of {name}"))
        };
        let drifted = missed(&current)?;
        let mut waiting = live.map_or_else(|| Ok(Vec::new()), missed)?;
        waiting.retain(|one| drifted.iter().all(|d| d.target != one.target));
        Ok(settings(name, changes.len(), &drifted, waiting.len()))
    }
}

/// Says of the settings of a definition how they are: those that drifted one
/// by one, the others by their number.
pub(super) fn settings(
    name: &DomainName,
    count: usize,
    drifted: &[Miss],
    waiting: usize,
) -> Vec<Finding> {
    let spelled = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        Some(value) => value.clone(),
    };
    let otherwise = |miss: &Miss| {
        let (found, planned) = (spelled(&miss.found), spelled(&miss.wanted));
        let what = miss.target.to_string();
        finding(name, &what, &planned, State::Drifted { found })
    };
    let mut findings: Vec<_> = drifted.iter().map(otherwise).collect();
    let holding = count.saturating_sub(drifted.len() + waiting);
    for (count, state) in [
        (waiting, State::Waits { stage: Stage::VmStart }),
        (holding, State::Holds),
    ] {
        if count > 0 {
            let planned = report::count(count, "setting");
            findings.push(finding(name, "definition", &planned, state));
        }
    }
    findings
}

/// Reads the definition that a VM runs by.
fn read(uuid: &DomainUuid, text: &str) -> Result<Domain, CliError> {
    Ok(definition::read(text)
        .with_context(|| format!("reading the VM {uuid} as it runs"))?)
}

pub(super) fn finding(
    name: &DomainName,
    what: &str,
    planned: &str,
    state: State,
) -> Finding {
    let (what, planned) = (what.to_owned(), planned.to_owned());
    Finding { vm: Some(name.clone()), what, planned, state, note: None }
}

#[cfg(test)]
mod tests;
