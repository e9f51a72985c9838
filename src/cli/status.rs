//! `vmtune status`: what of the applied plans still holds.

use anyhow::Context;

use super::args::{StatusArgs, TextOrJson};
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done};
use super::output::state_dir;
use super::report;
use super::screen::Screen;
use super::standing::Standing;
use crate::apply::misses;
use crate::base::{DomainName, DomainUuid};
use crate::definition;
use crate::drift::{self, Finding, State};
use crate::files::journal::Journal;
use crate::host::{Root, process};
use crate::hypervisor::Hypervisor;
use crate::model::domain::Domain;
use crate::model::{RunningVm, VmPlan};

/// Compares what was applied with what is there, and prints it.
pub(super) fn run(
    args: &StatusArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let state = state_dir()?;
    let journal = Journal::open(&state).context("opening the journal")?;
    let standing = Standing::read(&journal)?;
    let chosen = standing.choose(&args.vms)?;
    let mut findings = Vec::new();
    if !chosen.is_empty() {
        let running = process::running(&Root::live());
        let uri = asked_uri(args.connect.as_deref())
            .or_else(|| standing.connection());
        let hypervisor = connection::open(uri.as_deref(), Purpose::Look)?;
        for name in chosen {
            let seen = Seen {
                hypervisor: hypervisor.as_ref(),
                running: &running,
                standing: &standing,
            };
            findings.extend(seen.vm(name)?);
        }
    }
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&findings)
            .context("writing the findings as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
    } else {
        let mut page = screen.page();
        report::status(&mut page, &findings, verbose);
        screen.print(&page.into_text())?;
    }
    let drifted = findings.iter().any(Finding::is_drift);
    Ok(if drifted { Done::Findings } else { Done::Done })
}

/// What is looked at.
struct Seen<'a> {
    hypervisor: &'a dyn Hypervisor,
    running: &'a [RunningVm],
    standing: &'a Standing,
}

impl Seen<'_> {
    fn vm(&self, name: &DomainName) -> Result<Vec<Finding>, CliError> {
        let Some((planned, applied)) = self.standing.vm(name) else {
            return Ok(Vec::new());
        };
        let Some(uuid) = self.uuid(planned)? else {
            let state = State::Drifted { found: "no such VM".into() };
            return Ok(vec![finding(name, "definition", "there", state)]);
        };
        let mut findings = vec![self.definition(name, &uuid)?];
        if let Some(placement) = &planned.placement {
            let live = self.live(&uuid)?;
            let process = self.running.iter().find(|vm| vm.uuid == uuid);
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

    fn live(&self, uuid: &DomainUuid) -> Result<Option<Domain>, CliError> {
        let text = self.hypervisor.live_definition(uuid)?;
        let read = |text: String| {
            definition::read(&text)
                .with_context(|| format!("reading the VM {uuid} as it runs"))
        };
        Ok(text.map(read).transpose()?)
    }

    /// Compares the definition for the next start with what was applied.
    fn definition(
        &self,
        name: &DomainName,
        uuid: &DomainUuid,
    ) -> Result<Finding, CliError> {
        let changes = self.standing.changes(name);
        let planned = report::count(changes.len(), "setting");
        let current = self.hypervisor.inactive_definition(uuid)?;
        let missed = match self.standing.left(uuid) {
            Some(left) => misses(left, &current, changes)
                .with_context(|| format!("reading the definition of {name}"))?,
            None => Vec::new(),
        };
        let state = if missed.is_empty() {
            State::Holds
        } else {
            let texts: Vec<_> =
                missed.iter().map(ToString::to_string).collect();
            State::Drifted { found: texts.join("; ") }
        };
        Ok(finding(name, "definition", &planned, state))
    }
}

fn finding(
    name: &DomainName,
    what: &str,
    planned: &str,
    state: State,
) -> Finding {
    let (what, planned) = (what.to_owned(), planned.to_owned());
    Finding { vm: Some(name.clone()), what, planned, state }
}
