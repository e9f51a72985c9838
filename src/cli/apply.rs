//! `vmtune apply`: makes the changes of a plan.

use std::path::Path;

use super::args::ApplyArgs;
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done, Kind};
use super::outcome::{self, now, on_this_machine, this_system};
use super::output::state_dir;
use super::report::{self, PLAIN, Shown, count, stage};
use super::rollback::unreadable;
use super::screen::Screen;
use super::time::utc;
use super::waits::waits;
use super::{dry_run, proxmox, watch};
use crate::apply::{
    Confirmation, StepReport, StepResult, apply, apply_until_confirmed,
};
use crate::base::{CpuSet, Digest};
use crate::definition;
use crate::files::journal::Journal;
use crate::files::{StateDir, plan_store};
use crate::host;
use crate::hypervisor::Hypervisor;
use crate::model::domain::Domain;
use crate::model::{Change, NicPlacement, Place, Plan, Stage, VmPlan};
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
    let mut plan = load(&state, args.plan.as_deref())?;
    let later = if args.now { take_later(&mut plan) } else { Vec::new() };
    if plan.changes.is_empty() {
        screen.print(&nothing(&later))?;
        return Ok(Done::Done);
    }
    if !args.dry_run {
        expect_answer(args.yes, screen)?;
    }
    let uri = uri_of(&plan, args.connect.as_deref());
    let hypervisor = connection::open(uri.as_deref(), Purpose::Change)?;
    let hypervisor = hypervisor.as_ref();
    let facts = facts_now(&plan, hypervisor, screen)?;
    if args.dry_run {
        let system = this_system()?;
        let next = Journal::next_in(&state).map_err(unreadable)?;
        dry_run::show(&plan, facts, next, hypervisor, &system, screen)?;
        return Ok(Done::Done);
    }
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
    let until = args.confirm_within.map(|span| now() + span.as_secs());
    let mut outcome = on_this_machine(hypervisor, &state, |machine| {
        let Some(until) = until else { return apply(&plan, facts, machine) };
        let connect = args.connect.as_deref();
        let watch = &|id| watch::start(id, until, connect);
        let confirmation = Confirmation { until, watch };
        apply_until_confirmed(&plan, facts, confirmation, machine)
    })?;
    let defined = |step: &StepReport| {
        matches!(step.place, Place::Definition { .. } | Place::Conf { .. })
    };
    if args.now {
        // The changes of these are still to come.
        let so = |step: &StepReport| step.result == StepResult::AlreadySo;
        outcome.steps.retain(|step| !defined(step) || !so(step));
    }
    let anew = outcome.steps.iter().any(defined);
    outcome::report(&outcome, "applying the plan", verbose, screen)?;
    let mut page = screen.page();
    waits(&mut page, &outcome, hypervisor);
    if !later.is_empty() {
        page.gap();
        page.flow("", "  ", &[(PLAIN, still_planned(&later, anew))]);
    }
    if let Some(id) = outcome.transaction {
        page.gap();
        let text = match until {
            Some(until) => format!(
                "{id}: undone at {} unless `vmtune confirm` keeps it",
                utc(until)
            ),
            None => format!("{id}: `vmtune rollback` undoes it"),
        };
        page.flow("", "  ", &[(PLAIN, text)]);
    }
    screen.print(&page.into_text())?;
    Ok(Done::Done)
}

/// Takes the changes out of a plan that do not take effect at once.
fn take_later(plan: &mut Plan) -> Vec<Change> {
    let all = std::mem::take(&mut plan.changes);
    let (now, later) =
        all.into_iter().partition(|change| change.stage == Stage::Now);
    plan.changes = now;
    later
}

fn nothing(later: &[Change]) -> String {
    if later.is_empty() {
        return "Nothing to change.\n".to_owned();
    }
    format!("Nothing to change at once.\n{}\n", still_planned(later, false))
}

/// Says what is left of a plan. One whose definitions have changed since has
/// to be made anew: `apply` would refuse it.
fn still_planned(later: &[Change], anew: bool) -> String {
    let at = [Stage::VmStart, Stage::HostBoot].map(|when| {
        let n = later.iter().filter(|change| change.stage == when).count();
        (n, stage(when))
    });
    let parts = at.iter().filter(|(n, _)| *n > 0);
    let parts =
        parts.map(|(n, when)| format!("{} {when}", count(*n, "change")));
    let parts: Vec<_> = parts.collect();
    let how = match anew {
        true => "`vmtune plan` and `vmtune apply` make the rest",
        false => "`vmtune apply` makes the rest",
    };
    format!("still planned: {}; {how}", parts.join(", "))
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
    let mut devices = Vec::new();
    let node = match hypervisor.is_node() {
        true => proxmox::vms(hypervisor.uri())?.found,
        false => Vec::new(),
    };
    for vm in &plan.vms {
        // What cannot be read has changed; `apply` says so by its digest.
        let domain = match vm.vmid {
            Some(vmid) => {
                let id = Some(vmid.number());
                let mut found = node.iter().filter(|found| found.id == id);
                found.next().map(|found| found.domain.clone())
            }
            None => definition_of(vm, hypervisor)?,
        };
        devices.extend(domain.iter().flat_map(Domain::functions));
        let nics = vm.placement.iter().flat_map(|placement| &placement.nics);
        devices.extend(nics.filter_map(NicPlacement::added));
    }
    let hardware = host::hardware(&devices).map_err(|error| {
        let error = anyhow::Error::new(error).context("reading this machine");
        CliError::new(Kind::Failed, error)
    })?;
    Ok(Some(fingerprint(&hardware, &devices)))
}

/// Reads the definition of a VM of libvirt.
fn definition_of(
    vm: &VmPlan,
    hypervisor: &dyn Hypervisor,
) -> Result<Option<Domain>, CliError> {
    let uuid = match vm.uuid {
        Some(uuid) => uuid,
        None => hypervisor.find(vm.name.as_str())?.uuid,
    };
    let text = hypervisor.inactive_definition(&uuid)?;
    Ok(definition::read(&text).ok())
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
