//! `vmtune status`: what of the applied plans still holds.

mod host;
mod network;
mod node;
mod vm;

use anyhow::Context;

use super::args::{StatusArgs, TextOrJson};
use super::connection::{self, Purpose, asked_uri};
use super::exit::{CliError, Done};
use super::outcome::this_system;
use super::output::state_dir;
use super::report;
use super::screen::Screen;
use super::standing::Standing;
use crate::drift::{Finding, Report, State};
use crate::files::journal::{Journal, TransactionId};
use crate::host::{Root, process};

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
        let (system, root) = (this_system()?, Root::live());
        for name in chosen {
            if let Some((planned, applied)) = standing.vm(name)
                && let Some(vmid) = planned.vmid
            {
                let node = node::Node {
                    system: &system,
                    root: &root,
                    standing: &standing,
                };
                findings.extend(node.findings(vmid, planned, applied)?);
                continue;
            }
            let seen = vm::Seen {
                hypervisor: hypervisor.as_ref(),
                running: &running,
                standing: &standing,
            };
            findings.extend(seen.findings(name)?);
        }
    }
    if args.vms.is_empty() && !standing.host().is_empty() {
        let (system, root) = (this_system()?, Root::live());
        findings.extend(host::findings(&standing, &system, &root));
        findings.extend(network::findings(&standing, &system, &root));
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
