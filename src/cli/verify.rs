//! `vmtune verify`: a VM, looked at from inside.

mod probe;

use std::time::Duration;

use anyhow::Context as _;

use super::args::{TextOrJson, VerifyArgs};
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done, Kind};
use super::outcome::now;
use super::output::state_dir;
use super::probe::report::report;
use super::report::{compared, verdict};
use super::screen::Screen;
use super::standing::Standing;
use crate::definition;
use crate::files::StateDir;
use crate::files::journal::Journal;
use crate::files::look_store::{self, Look, Looks};
use crate::hypervisor::{DomainInfo, HypervisorError};
use crate::model::probe::ProbeReport;
use crate::verify::{Step, VisitError, judge, visit};

/// What starting, warming up and ending may take besides the measurement.
const AROUND: Duration = Duration::from_secs(60);

/// Looks at a VM from inside, judges what was found, and prints it.
pub(super) fn run(
    args: &VerifyArgs,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let seconds = args.seconds.to_string();
    let arguments = arguments(&seconds);
    if args.manual {
        return by_hand(args, &arguments, screen);
    }
    let state = state_dir()?;
    let journal = Journal::open(&state).context("opening the journal")?;
    let standing = Standing::read(&journal)?;
    let uri =
        asked_uri(args.connect.as_deref()).or_else(|| standing.connection());
    let purpose = match args.from {
        Some(_) => Purpose::Look,
        None => Purpose::Change,
    };
    let hypervisor = connection::open(uri.as_deref(), purpose)?;
    let info = hypervisor.find(&args.vm)?;
    let live = hypervisor.live_definition(&info.uuid)?;
    let said = match &args.from {
        Some(path) => probe::read(path)?,
        None if live.is_none() => return Err(asleep(&info)),
        None => {
            let program = probe::find(args.probe.as_deref())?;
            let time = AROUND + Duration::from_secs(args.seconds.into());
            let mut tell = teller(screen);
            let ask = |command: &str, patience| {
                hypervisor.agent(&info.uuid, command, patience)
            };
            visit(&ask, &program.bytes, &arguments, time, &mut tell)
                .map_err(|error| failed(error, &info))?
        }
    };
    let found = read(&said, &info)?;
    let plan = standing.vm(&info.name).map(|(plan, _)| plan);
    let placement = plan.and_then(|plan| plan.placement.as_ref());
    let text = match live {
        Some(text) => text,
        None => hypervisor.inactive_definition(&info.uuid)?,
    };
    let domain = definition::read(&text)
        .with_context(|| format!("reading the definition of {}", info.name))?;
    let judged = judge(&domain, placement, found);
    let before = keep(&state, &info, args.baseline, &judged.report)?;
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&judged)
            .context("writing the verdict as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
    } else {
        let mut page = screen.page();
        report(&mut page, &judged.report);
        if let Some(before) = &before {
            compared(&mut page, before, &judged.report);
        }
        verdict(&mut page, &judged);
        screen.print(&page.into_text())?;
    }
    let clean = judged.findings.is_empty();
    Ok(if clean { Done::Done } else { Done::Findings })
}

/// Keeps what was found, and returns what it is to be compared with.
fn keep(
    state: &StateDir,
    info: &DomainInfo,
    as_baseline: bool,
    report: &ProbeReport,
) -> Result<Option<Look>, CliError> {
    let kept = look_store::load(state, &info.uuid)
        .context("reading what was found before")?;
    let before = kept.before().cloned();
    let look = Look { at: now(), report: report.clone() };
    let baseline = match as_baseline {
        true => Some(look.clone()),
        false => kept.baseline,
    };
    let looks = Looks { baseline, last: Some(look) };
    look_store::save(state, &info.uuid, &looks)
        .context("keeping what was found")?;
    Ok(before)
}

/// What the probe is told to do.
const fn arguments(seconds: &str) -> [&str; 7] {
    ["run", "--only", "jitter", "--seconds", seconds, "--format", "json"]
}

fn by_hand(
    args: &VerifyArgs,
    arguments: &[&str],
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let program = probe::find(args.probe.as_deref())?;
    let vm = &args.vm;
    screen.print_raw(&format!(
        "Copy {} into the guest, and run there\n\n    \
         ./vmtune-probe {} > report.json\n\n\
         Copy report.json back, and judge it here by\n\n    \
         vmtune verify {vm} --from report.json\n",
        program.path.display(),
        arguments.join(" "),
    ))?;
    Ok(Done::Done)
}

fn asleep(info: &DomainInfo) -> CliError {
    let error = anyhow::anyhow!("{} does not run", info.name);
    CliError::new(Kind::Failed, error)
        .hint(format!("`virsh start {}`, and try again", info.name))
}

/// Says on a terminal how far it is.
fn teller(screen: &mut Screen) -> impl FnMut(Step) {
    let talks = screen.is_terminal();
    move |step| match step {
        Step::Bringing(0, of) if talks => {
            screen.say(&format!("sending the probe, {} KiB", of >> 10));
        }
        Step::Measuring if talks => screen.say("measuring"),
        Step::Bringing(..) | Step::Measuring => {}
    }
}

/// Reads what a guest says of itself.
fn read(said: &[u8], info: &DomainInfo) -> Result<ProbeReport, CliError> {
    let read: ProbeReport =
        serde_json::from_slice(said).with_context(|| {
            format!("reading what the probe in {} found", info.name)
        })?;
    let own = env!("CARGO_PKG_VERSION");
    if read.version != own {
        let version = read.version.escape_debug();
        let error = anyhow::anyhow!(
            "the report is of vmtune-probe {version}, and this is vmtune {own}"
        );
        return Err(CliError::new(Kind::Failed, error)
            .hint("use the vmtune-probe that came with this vmtune"));
    }
    Ok(read)
}

fn failed(error: VisitError, info: &DomainInfo) -> CliError {
    let hint = match &error {
        VisitError::Forbidden(_) => Some(
            "allow it in the guest, in qemu-ga's configuration (mostly \
             /etc/sysconfig/qemu-ga), or use --manual"
                .to_owned(),
        ),
        VisitError::Left { folder, .. } => {
            Some(format!("remove {folder} in the guest"))
        }
        other => other.hypervisor().and_then(HypervisorError::hint),
    };
    let error = anyhow::Error::new(error)
        .context(format!("looking at {} from inside", info.name));
    let error = CliError::new(Kind::Failed, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error.hint("`--manual` says how to do it by hand"),
    }
}
