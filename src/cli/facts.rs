//! `vmtune facts`: shows the host.

use anyhow::Context;

use super::args::{FactsArgs, TextOrJson};
use super::connection::Purpose;
use super::exit::{CliError, Done};
use super::report::{Holders, host};
use super::screen::Screen;
use super::select::Found;
use super::sources;
use crate::base::CpuSet;
use crate::model::facts::Facts;
use crate::model::policy::Policy;
use crate::placement::housekeeping;

/// Shows the host, and captures it where that is asked for.
pub(super) fn run(
    args: &FactsArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    sources::refuse_contradictions(&args.sources)?;
    if let Some(folder) = &args.capture {
        if args.sources.host.is_some() {
            let what =
                "--capture copies this machine, and --host reads another";
            return Err(CliError::usage(what).hint("leave one of them out"));
        }
        sources::capture(folder)?;
        screen.say(&format!("captured in {}", folder.display()));
    }
    // The host is worth seeing without its VMs.
    let vms = sources::vms(&args.sources, Purpose::Look);
    let facts =
        sources::facts(args.sources.host.as_deref(), vms.as_ref().ok())?;
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&facts)
            .context("writing the facts as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
        return Ok(Done::Done);
    }
    let held = match vms {
        Ok(vms) => holders(&facts, &vms.found),
        // The VMs of this machine say nothing about another.
        Err(_) if args.sources.host.is_some() => holders(&facts, &[]),
        Err(error) => {
            Holders { unknown: Some(error.in_short()), ..holders(&facts, &[]) }
        }
    };
    let mut page = screen.page();
    // A terminal has room for numbers where the host is small.
    const SMALL: usize = 64;
    let small = facts.topology.online.len() <= SMALL;
    let numbered = verbose || (small && screen.is_terminal());
    host(&mut page, &facts, &held, numbered);
    screen.print(&page.into_text())?;
    Ok(Done::Done)
}

fn holders(facts: &Facts, found: &[Found]) -> Holders {
    let pinned = |one: &Found| {
        let live = one.live.as_ref().into_iter();
        let definitions = live.chain(std::iter::once(&one.domain));
        let pins = definitions.flat_map(|d| d.cputune.vcpupin.values());
        pins.fold(CpuSet::new(), |all, pin| all.union(pin))
    };
    Holders {
        housekeeping: housekeeping(
            &facts.topology,
            &Policy::default().cpu.housekeeping,
        ),
        vms: found
            .iter()
            .map(|one| (one.domain.name.to_string(), pinned(one)))
            .collect(),
        ..Holders::default()
    }
}
