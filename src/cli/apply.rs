//! `vmtune apply`: makes the changes of a plan.

use std::path::Path;

use super::args::ApplyArgs;
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done, Kind};
use super::outcome::{self, on_this_machine};
use super::output::state_dir;
use super::report::{self, Shown};
use super::screen::Screen;
use crate::apply::apply;
use crate::base::{CpuSet, Digest};
use crate::definition;
use crate::files::{StateDir, plan_store};
use crate::host::{Source, collect};
use crate::hypervisor::Hypervisor;
use crate::model::Plan;
use crate::planner::fingerprint;

/// What facts call the machine that vmtune runs on.
const THIS_MACHINE: &str = "this machine";

/// Applies the plan that was saved last, or one in a file.
pub(super) fn run(
    args: &ApplyArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let state = state_dir()?;
    let plan = load(&state, args.plan.as_deref())?;
    if plan.changes.is_empty() {
        screen.print("Nothing to change.\n")?;
        return Ok(Done::Done);
    }
    expect_answer(args.yes, screen)?;
    let uri = uri_of(&plan, args.connect.as_deref());
    let hypervisor = connection::open(uri.as_deref(), Purpose::Change)?;
    let facts = facts_now(&plan, hypervisor.as_ref(), screen)?;
    if !args.yes {
        let shown = Shown {
            plan: &plan,
            facts: None,
            policy: None,
            domains: &[],
            others: CpuSet::new(),
            verbose,
        };
        let mut page = screen.page();
        report::plan(&mut page, &shown);
        screen.print(&page.into_text())?;
        confirm(screen, "Make these changes?")?;
    }
    let outcome = on_this_machine(hypervisor.as_ref(), &state, |machine| {
        apply(&plan, facts, machine)
    })?;
    outcome::report(&outcome, "applying the plan", verbose, screen)?;
    if let Some(id) = outcome.transaction {
        let text = format!("{id}: `vmtune rollback` undoes it\n");
        screen.print(&text)?;
    }
    Ok(Done::Done)
}

fn load(state: &StateDir, path: Option<&Path>) -> Result<Plan, CliError> {
    let plan = match path {
        Some(path) => plan_store::load_from(path),
        None => plan_store::load(state),
    };
    plan.map_err(|error| {
        let error = CliError::new(Kind::Failed, error);
        match path {
            Some(_) => error.hint("`vmtune plan --out FILE` writes a plan"),
            None => error,
        }
    })
}

/// Returns the connection to apply a plan by: its own, unless told otherwise.
pub(super) fn uri_of(plan: &Plan, connect: Option<&str>) -> Option<String> {
    match connect {
        None if plan.connection != "files" => Some(plan.connection.clone()),
        other => asked_uri(other),
    }
}

/// Returns the fingerprint of this host for the VMs of a plan; `None` for a
/// plan that was made from another source, which cannot be compared.
fn facts_now(
    plan: &Plan,
    hypervisor: &dyn Hypervisor,
    screen: &mut Screen,
) -> Result<Option<Digest>, CliError> {
    if plan.host != THIS_MACHINE {
        let text = format!(
            "the plan was made for {}; whether this host is like it was not \
             compared",
            plan.host
        );
        screen.complain("warning", &text);
        return Ok(None);
    }
    let facts = collect(&Source::Live).map_err(|error| {
        let error = anyhow::Error::new(error).context("reading this machine");
        CliError::new(Kind::Failed, error)
    })?;
    let mut domains = Vec::new();
    for vm in &plan.vms {
        let wanted = match vm.uuid {
            Some(uuid) => uuid.to_string(),
            None => vm.name.to_string(),
        };
        let info = hypervisor.find(&wanted)?;
        let text = hypervisor.inactive_definition(&info.uuid)?;
        // What cannot be read has changed; `apply` says so by its digest.
        domains.extend(definition::read(&text).ok());
    }
    let domains: Vec<_> = domains.iter().collect();
    Ok(Some(fingerprint(&facts, &domains)))
}

/// Refuses to go on where nobody can be asked.
pub(super) fn expect_answer(
    yes: bool,
    screen: &Screen,
) -> Result<(), CliError> {
    if yes || screen.can_ask() {
        return Ok(());
    }
    Err(CliError::usage("there is no terminal to ask on")
        .hint("--yes does it without asking"))
}

/// Asks before anything is changed.
pub(super) fn confirm(
    screen: &mut Screen,
    question: &str,
) -> Result<(), CliError> {
    if screen.ask(question) {
        return Ok(());
    }
    Err(CliError::from(anyhow::anyhow!("nothing was changed")))
}
