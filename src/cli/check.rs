//! `vmtune check`: judges VMs as they are.

use anyhow::Context;

use super::args::{CheckArgs, TextOrJson};
use super::connection::Purpose;
use super::exit::{CliError, Done};
use super::report::findings;
use super::screen::Screen;
use super::select::{Selection, select};
use super::{policy, sources};
use crate::model::domain::Dialect;
use crate::planner::check::{Judged, check};
use crate::rules::RULES;

/// Judges the VMs and prints what was found.
pub(super) fn run(
    args: &CheckArgs,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    sources::refuse_contradictions(&args.sources)?;
    let policy = policy::load(&args.policy)?;
    let mut vms = sources::vms(&args.sources, Purpose::Look)?;
    vms.judge_unread(&args.vms, screen)?;
    let facts = sources::facts(args.sources.host.as_deref(), Some(&vms))?;
    let selection = select(vms.found, &args.vms, &vms.connection)?;
    let Selection { subjects, origins, neighbours, .. } = &selection;
    if let Some(other) =
        subjects.iter().find(|s| s.domain.dialect != Dialect::Libvirt)
    {
        let name = &other.domain.name;
        let what =
            format!("{name} is a VM of Proxmox, and check judges libvirt's");
        return Err(CliError::usage(what)
            .hint("`vmtune plan` shows what it would change, and why"));
    }
    let judged: Vec<_> = subjects
        .iter()
        .map(|s| Judged {
            text: &s.text,
            domain: &s.domain,
            live: s.live.as_ref(),
        })
        .collect();
    let others = neighbours.iter().flat_map(|n| n.definitions.clone());
    let others: Vec<_> = others.collect();
    let mut found = check(&facts, &policy, &judged, &others);
    let only = &args.policy.only;
    // The checker does not know levels; `--only` is about its rules too.
    found.retain(|f| {
        let known = RULES.iter().any(|rule| rule.id == f.rule);
        only.is_empty() || !known || only.iter().any(|id| id == f.rule)
    });
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&found)
            .context("writing the findings as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
    } else {
        let mut page = screen.page();
        let origin = |vm: &str| {
            let names = subjects.iter().map(|s| s.domain.name.as_str());
            let place = names.zip(origins).find(|(name, _)| *name == vm);
            match place {
                Some((_, origin)) if vms.connection == "files" => {
                    origin.clone()
                }
                _ => vm.to_owned(),
            }
        };
        findings(&mut page, &found, origin, judged.len());
        screen.print(&page.into_text())?;
    }
    Ok(if found.is_empty() { Done::Done } else { Done::Findings })
}
