//! `vmtune status`: what of the applied plans still holds.

mod host;

use anyhow::Context;

use super::args::{StatusArgs, TextOrJson};
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done};
use super::outcome::this_system;
use super::output::state_dir;
use super::report;
use super::screen::Screen;
use super::standing::Standing;
use crate::apply::{Miss, misses};
use crate::base::{DomainName, DomainUuid, XmlPath};
use crate::definition;
use crate::drift::{self, Finding, Report, State};
use crate::files::journal::{Journal, TransactionId};
use crate::host::{Root, process};
use crate::hypervisor::Hypervisor;
use crate::model::domain::Domain;
use crate::model::{RunningVm, Stage, VmPlan};

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
    if args.vms.is_empty() && !standing.host().is_empty() {
        let (system, root) = (this_system()?, Root::live());
        findings.extend(host::findings(&standing, &system, &root));
    }
    findings.extend(standing.unfinished().map(unfinished));
    let drifted = findings.iter().any(Finding::is_drift);
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&Report::new(findings))
            .context("writing the findings as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
    } else {
        let mut page = screen.page();
        report::status(&mut page, &findings, verbose);
        screen.print(&page.into_text())?;
    }
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
        let live = self.hypervisor.live_definition(&uuid)?;
        let process = self.running.iter().find(|vm| vm.uuid == uuid);
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
        let spelled = |value: Option<&String>| match value {
            None => "nothing".to_owned(),
            Some(value) => value.clone(),
        };
        let otherwise = |miss: &Miss| {
            let found = spelled(miss.found.as_ref());
            let planned = spelled(miss.wanted.as_ref());
            let state = State::Drifted { found };
            finding(name, &miss.target.to_string(), &planned, state)
        };
        let mut findings: Vec<_> = drifted.iter().map(otherwise).collect();
        let is_drifted = |target: &XmlPath| {
            drifted.iter().any(|miss| miss.target == *target)
        };
        let waiting = match live {
            Some(live) => missed(live)?,
            None => Vec::new(),
        };
        let waits =
            waiting.iter().filter(|miss| !is_drifted(&miss.target)).count();
        let holds = changes.len().saturating_sub(drifted.len() + waits);
        for (count, state) in [
            (waits, State::Waits { stage: Stage::VmStart }),
            (holds, State::Holds),
        ] {
            if count > 0 {
                let planned = report::count(count, "setting");
                findings.push(finding(name, "definition", &planned, state));
            }
        }
        Ok(findings)
    }
}

/// Reads the definition that a VM runs by.
fn read(uuid: &DomainUuid, text: &str) -> Result<Domain, CliError> {
    Ok(definition::read(text)
        .with_context(|| format!("reading the VM {uuid} as it runs"))?)
}

fn finding(
    name: &DomainName,
    what: &str,
    planned: &str,
    state: State,
) -> Finding {
    let (what, planned) = (what.to_owned(), planned.to_owned());
    Finding { vm: Some(name.clone()), what, planned, state, note: None }
}

/// Says of a transaction that was cut off that it was.
fn unfinished(id: TransactionId) -> Finding {
    Finding {
        vm: None,
        what: id.to_string(),
        planned: "finished".to_owned(),
        state: State::Drifted { found: "cut off in the middle".to_owned() },
        note: Some(
            "`vmtune resume` finishes it, `vmtune rollback` undoes it"
                .to_owned(),
        ),
    }
}
