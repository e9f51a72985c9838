//! `vmtune history`: what was applied and undone.

use anyhow::Context;
use serde_json::json;

use super::args::{HistoryArgs, TextOrJson};
use super::exit::{CliError, Done};
use super::outcome::now;
use super::output::state_dir;
use super::report::{BAD, FAINT, GOOD, KEY, PLAIN, Page, WARN};
use super::screen::Screen;
use super::time::utc;
use crate::files::journal::{Entry, Journal, JournalError, Status, Summary};
use crate::model::Place;

/// Places of a transaction that are shown, unless all are asked for.
const SHOWN: usize = 3;

/// Lists transactions, oldest first.
pub(super) fn run(
    args: &HistoryArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let state = state_dir()?;
    let entries = Journal::open(&state).and_then(|j| j.history());
    let entries = entries.map_err(unreadable)?;
    if args.format == TextOrJson::Json {
        let list: Vec<_> = entries.iter().map(as_json).collect();
        let json = serde_json::to_string_pretty(&list)
            .context("writing the history as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
        return Ok(Done::Done);
    }
    let mut page = screen.page();
    for entry in &entries {
        line(&mut page, entry, now(), verbose);
    }
    if entries.is_empty() {
        let text = "nothing was applied yet".to_owned();
        page.line(&[(FAINT, text)]);
    }
    screen.print(&page.into_text())?;
    Ok(Done::Done)
}

fn unreadable(error: JournalError) -> CliError {
    CliError::from(anyhow::Error::new(error))
        .hint("VMTUNE_STATE_DIR names another state folder")
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Applied => "applied",
        Status::RolledBack => "rolled back",
        Status::Unfinished { .. } => "unfinished",
        Status::Waiting { .. } => "waiting",
    }
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let summary = match &entry.summary {
        Ok(summary) => summary,
        Err(error) => {
            return json!({
                "id": entry.id.to_string(),
                "error": error.to_string(),
            });
        }
    };
    let places = summary.places.iter().map(ToString::to_string);
    let mut value = json!({
        "id": entry.id.to_string(),
        "started": summary.started,
        "status": status(summary.status).replace(' ', "-"),
        "vms": vms(summary),
        "places": places.collect::<Vec<_>>(),
    });
    if let Status::Waiting { until } = summary.status {
        value["until"] = json!(until);
    }
    value
}

fn vms(summary: &Summary) -> Vec<&str> {
    let mut names = Vec::new();
    for place in &summary.places {
        if let Place::Definition { name, .. }
        | Place::Conf { name, .. }
        | Place::Live { name, .. } = place
        {
            names.push(name.as_str());
        }
    }
    names
}

fn line(page: &mut Page, entry: &Entry, now: u64, verbose: bool) {
    let id = (KEY, format!("{}  ", entry.id));
    let summary = match &entry.summary {
        Ok(summary) => summary,
        Err(error) => {
            page.flow("", "  ", &[id, (BAD, error.to_string())]);
            return;
        }
    };
    let style = match summary.status {
        Status::Applied => GOOD,
        Status::RolledBack => FAINT,
        Status::Unfinished { .. } | Status::Waiting { .. } => WARN,
    };
    let all = &summary.places;
    let shown = if verbose { 0 } else { SHOWN };
    let names = all.iter().take(shown).map(ToString::to_string);
    let mut places = names.collect::<Vec<_>>().join(", ");
    if !verbose && all.len() > shown {
        places += &format!(" and {} more (-v)", all.len() - shown);
    }
    page.line(&[
        id,
        (PLAIN, format!("{}  ", utc(summary.started))),
        (style, format!("{:<11}  ", status(summary.status))),
        (PLAIN, places),
    ]);
    if let Status::Waiting { until } = summary.status {
        let text = if until > now {
            format!("undone at {} unless `vmtune confirm` keeps it", utc(until))
        } else {
            "nobody confirmed it in time; `vmtune rollback` undoes it"
                .to_owned()
        };
        page.flow("    ", "    ", &[(WARN, text)]);
    }
    if verbose {
        for place in all {
            page.line(&[(PLAIN, format!("    {place}"))]);
        }
    }
}
