//! `vmtune facts`: shows the host.

use anyhow::Context;

use super::args::{FactsArgs, TextOrJson};
use super::connection::{Purpose, Unread};
use super::exit::{CliError, Done};
use super::report::{Detail, Holders, host};
use super::screen::Screen;
use super::select::Found;
use super::sources;
use crate::base::{CpuSet, DomainName};
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
    let elsewhere = args.sources.host.is_some()
        && args.sources.connect.is_none()
        && args.sources.domains.is_empty();
    // The VMs of this machine say nothing about another, and the host is
    // worth seeing without them.
    let vms = (!elsewhere)
        .then(|| sources::vms(&args.sources, Purpose::Look))
        .transpose();
    let known = vms.as_ref().ok().and_then(Option::as_ref);
    let facts = sources::facts(args.sources.host.as_deref(), known)?;
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&facts)
            .context("writing the facts as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
        return Ok(Done::Done);
    }
    let held = match vms {
        Ok(Some(vms)) => Holders {
            unknown: unread(&vms.unread),
            ..holders(&facts, &vms.found)
        },
        Ok(None) => holders(&facts, &[]),
        Err(error) => {
            Holders { unknown: Some(error.in_short()), ..holders(&facts, &[]) }
        }
    };
    let mut page = screen.page();
    // A terminal has room for numbers where the host is small.
    const SMALL: usize = 64;
    let small = facts.topology.online.len() <= SMALL;
    let detail = match verbose {
        true => Detail::All,
        false if small && screen.is_terminal() => Detail::Numbers,
        false => Detail::Marks,
    };
    host(&mut page, &facts, &held, detail);
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
    let named = |one: &Found| (one.domain.name.to_string(), pinned(one));
    let mut vms: Vec<_> = found.iter().map(named).collect();
    // The first letters are for those that the picture shows.
    vms.sort_by_key(|(_, cpus)| cpus.is_empty());
    Holders {
        housekeeping: housekeeping(
            &facts.topology,
            &Policy::default().cpu.housekeeping,
        ),
        vms,
        ..Holders::default()
    }
}

/// Names the VMs that could not be read.
fn unread(vms: &Unread) -> Option<String> {
    let one = |(name, why): &(DomainName, CliError)| {
        format!("{name} ({})", why.in_short())
    };
    let all: Vec<_> = vms.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
