//! `vmtune plan`: works out what would make VMs faster.

use std::path::PathBuf;

use anyhow::Context;

use super::args::{PlanArgs, PlanFormat};
use super::connection::Purpose;
use super::exit::{CliError, Done, Kind};
use super::report::{self, Page, Shown};
use super::screen::Screen;
use super::select::{Selection, select};
use super::{connection, output, policy, sources};
use crate::base::CpuSet;
use crate::model::domain::Dialect;
use crate::model::{Plan, Target};
use crate::planner::{self, Inputs, PlanError, Planned, Subject};

/// Plans the VMs, shows the plan and saves it.
pub(super) fn run(
    args: &PlanArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    refuse_contradictions(args)?;
    let mut policy = policy::load(&args.policy)?;
    let mut vms = sources::vms(&args.sources, Purpose::Change)?;
    vms.judge_unread(&args.vms, screen)?;
    let facts = sources::facts(args.sources.host.as_deref(), Some(&vms))?;
    // What can be applied is kept for `apply`.
    let live = args.sources.host.is_none() && vms.hypervisor.is_some();
    let connection = vms.connection;
    let selection = select(vms.found, &args.vms, &connection)?;
    let subjects = &selection.subjects;
    if let Some(format) = args.format.definition() {
        refuse_format(format, args, subjects)?;
    }
    for name in &selection.transient {
        policy::only_advise(&mut policy, name);
        let text =
            format!("{name} has no persistent definition to edit: advice only");
        screen.complain("warning", &text);
    }
    let planned = planner::plan(&Inputs {
        facts: &facts,
        policy: &policy,
        subjects,
        neighbours: &selection.neighbours,
        connection: &connection,
    })
    .map_err(|error| not_planned(error, args.format))?;
    let saved = if live || args.out.is_some() {
        Some(output::save_plan(&planned.plan, args.out.as_deref())?)
    } else {
        None
    };
    match args.format {
        PlanFormat::Text => {
            let domains: Vec<_> = subjects.iter().map(|s| &s.domain).collect();
            let mut page = screen.page();
            report::plan(
                &mut page,
                &Shown {
                    plan: &planned.plan,
                    facts: Some(&facts),
                    policy: policy::file(&args.policy),
                    domains: &domains,
                    others: pins(&selection),
                    verbose,
                },
            );
            next(&mut page, &planned.plan, saved.as_ref(), args);
            screen.print(&page.into_text())?;
        }
        PlanFormat::Json => screen.print_raw(&json(&planned.plan)?)?,
        PlanFormat::Xml | PlanFormat::Conf => {
            definitions(args, &selection, &planned, screen)?;
        }
        PlanFormat::Diff => diff(args, &selection, &planned, screen)?,
        PlanFormat::Script => script(args, &selection, &planned, screen)?,
    }
    let changes = !planned.plan.changes.is_empty();
    Ok(if changes && args.detailed_exitcode {
        Done::Changes
    } else {
        Done::Done
    })
}

/// Refuses what cannot be meant, before anything is read.
fn refuse_contradictions(args: &PlanArgs) -> Result<(), CliError> {
    sources::refuse_contradictions(&args.sources)?;
    if args.vms.is_empty() && !args.all && args.sources.domains.is_empty() {
        let hint = if args.sources.host.is_some() {
            "name VMs of libvirt, or give their files with --domain"
        } else {
            "name VMs, or --all for every VM; `virsh list --all` lists them"
        };
        return Err(CliError::usage("no VM is named").hint(hint));
    }
    if args.out_dir.is_some() && args.format.definition().is_none() {
        let what = "--out-dir goes with --format xml and --format conf";
        return Err(CliError::usage(what).hint("--out FILE saves a plan"));
    }
    Ok(())
}

/// Refuses to print a definition in the words of another kind, or several as
/// one.
fn refuse_format(
    format: &str,
    args: &PlanArgs,
    subjects: &[Subject],
) -> Result<(), CliError> {
    let own = |subject: &Subject| match subject.domain.dialect {
        Dialect::Libvirt => "xml",
        Dialect::Proxmox(_) => "conf",
    };
    if let Some(other) = subjects.iter().find(|s| own(s) != format) {
        let (name, own) = (&other.domain.name, own(other));
        let what = format!("the definition of {name} is not of that format");
        return Err(CliError::usage(format!("--format {format}: {what}"))
            .hint(format!("--format {own} prints it")));
    }
    if subjects.len() > 1 && args.out_dir.is_none() {
        let what = format!(
            "--format {format} prints one definition, and several VMs are \
             planned"
        );
        return Err(CliError::usage(what).hint("--out-dir DIR writes them all"));
    }
    Ok(())
}

fn not_planned(error: PlanError, format: PlanFormat) -> CliError {
    let refusal = match error {
        PlanError::Refused(refusal) => refusal,
        defect => {
            let error = anyhow::Error::new(defect).context("planning");
            return CliError::new(Kind::Failed, error).hint(
                "nothing was changed; this is a defect of vmtune, please \
                 report it with the output of `vmtune facts --format json`",
            );
        }
    };
    let json = serde_json::to_string_pretty(&refusal).ok();
    let because = anyhow::Error::msg(refusal.shortage)
        .context(format!("{} does not fit", refusal.vm));
    let mut error = CliError::new(Kind::Refused, because);
    if !refusal.remedies.is_empty() {
        let remedies = refusal.remedies.join(", or ");
        error = error.hint(format!("{remedies} would do"));
    }
    match json.filter(|_| format == PlanFormat::Json) {
        Some(json) => error.json(json),
        None => error,
    }
}

fn json(plan: &Plan) -> Result<String, CliError> {
    let json = serde_json::to_string_pretty(plan)
        .context("writing the plan as JSON")?;
    Ok(json + "\n")
}

/// Returns the CPUs that the VMs beside the planned ones are pinned to.
fn pins(selection: &Selection) -> CpuSet {
    let all = selection.neighbours.iter().flat_map(|n| &n.definitions);
    let pins = all.flat_map(|domain| domain.cputune.vcpupin.values());
    pins.fold(CpuSet::new(), |all, pin| all.union(pin))
}

/// Says what to do next.
fn next(
    page: &mut Page,
    plan: &Plan,
    saved: Option<&PathBuf>,
    args: &PlanArgs,
) {
    if plan.changes.is_empty() {
        return;
    }
    page.gap();
    let rule = format!("vmtune explain {}", plan.changes[0].rule);
    let apply = match (&args.out, saved) {
        (Some(path), _) => format!("vmtune apply {}", path.display()),
        (None, Some(_)) => "vmtune apply".to_owned(),
        (None, None) => String::new(),
    };
    let of_proxmox = plan.vms.iter().any(|vm| vm.vmid.is_some());
    let first = if apply.is_empty() && of_proxmox {
        ("--format script", "prints the commands that make these changes")
    } else if apply.is_empty() {
        ("--format diff", "shows the lines; --out FILE saves the plan")
    } else {
        (apply.as_str(), "makes these changes; undone by `vmtune rollback`")
    };
    report::next(page, &[first, (&rule, "says more about a rule")]);
}

/// Prints definitions, or writes them into a folder.
fn definitions(
    args: &PlanArgs,
    selection: &Selection,
    planned: &Planned,
    screen: &mut Screen,
) -> Result<(), CliError> {
    for subject in &selection.subjects {
        let name = &subject.domain.name;
        let Some(text) = planned.definitions.get(name) else { continue };
        let shown = output::printable(text, args.show_secrets)?;
        if shown != *text {
            let warning = format!(
                "passwords and keys of {name} are left out: do not define \
                 this; --show-secrets keeps them"
            );
            screen.complain("warning", &warning);
        }
        match &args.out_dir {
            Some(folder) => {
                let path = folder.join(subject.domain.file_name());
                output::write_definition(&path, &shown)?;
            }
            None => screen.print_raw(&shown)?,
        }
    }
    Ok(())
}

fn diff(
    args: &PlanArgs,
    selection: &Selection,
    planned: &Planned,
    screen: &mut Screen,
) -> Result<(), CliError> {
    for subject in &selection.subjects {
        let name = &subject.domain.name;
        let Some(new) = planned.definitions.get(name) else { continue };
        let old = output::printable(&subject.text, args.show_secrets)?;
        let new = output::printable(new, args.show_secrets)?;
        screen.print(&report::unified(
            &subject.domain.file_name(),
            &old,
            &new,
        ))?;
    }
    for change in &planned.plan.changes {
        if let Target::File(path) = &change.target {
            let (old, new) = (change.from.as_deref(), change.to.as_deref());
            screen.print(&report::unified_file(path, old, new))?;
        }
    }
    Ok(())
}

fn script(
    args: &PlanArgs,
    selection: &Selection,
    planned: &Planned,
    screen: &mut Screen,
) -> Result<(), CliError> {
    for vm in &selection.subjects {
        if vm.domain.dialect == Dialect::Proxmox(None) {
            let name = &vm.domain.name;
            let what = format!("the VMID of {name} is not known");
            return Err(CliError::usage(what)
                .hint("give --domain a file that is called VMID.conf"));
        }
    }
    let defined = |vm: &&Subject| vm.domain.dialect == Dialect::Libvirt;
    for vm in selection.subjects.iter().filter(defined) {
        let name = &vm.domain.name;
        let Some(text) = planned.definitions.get(name) else { continue };
        if output::printable(text, args.show_secrets)? != *text {
            let what = format!(
                "{name} has passwords or keys, and a script without them \
                 would lose them"
            );
            return Err(CliError::usage(what)
                .hint("--show-secrets writes them into the script"));
        }
    }
    let uri = connection::asked_uri(args.sources.connect.as_deref());
    let script =
        report::script(&planned.plan, &planned.definitions, uri.as_deref())
            .context("writing the script")?;
    Ok(screen.print_raw(&script)?)
}
