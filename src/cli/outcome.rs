//! What came of a transaction, for people and for the exit code.

use std::time::{SystemTime, UNIX_EPOCH};

use super::exit::{CliError, Kind};
use super::report::{FAINT, KEY, PLAIN, count};
use super::screen::Screen;
use crate::apply::{ApplyError, Failure, Outcome, StepResult};
use crate::base::DomainName;

/// Returns the seconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// Words an error from before anything was touched.
pub(super) fn not_begun(error: ApplyError) -> CliError {
    let hint = error.hint();
    let error = CliError::new(Kind::Failed, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error.hint("nothing was changed"),
    }
}

/// Prints what was done, or says why it was not.
pub(super) fn report(
    outcome: &Outcome,
    doing: &str,
    verbose: bool,
    screen: &mut Screen,
) -> Result<(), CliError> {
    if outcome.failed.is_some() || !outcome.rollback_failures.is_empty() {
        return Err(failed(outcome, doing));
    }
    let mut page = screen.page();
    for step in &outcome.steps {
        let name = (KEY, format!("{}:", step.vm));
        let StepResult::Changed { normalised } = &step.result else {
            let text = "as planned already".to_owned();
            page.flow("", "  ", &[name, (FAINT, text)]);
            continue;
        };
        let text = "defined, in effect when the VM starts next".to_owned();
        page.flow("", "  ", &[name, (PLAIN, text)]);
        let places = count(normalised.len(), "place");
        if verbose {
            for one in normalised {
                page.row(2, "libvirt", &[(FAINT, one.to_string())]);
            }
        } else if !normalised.is_empty() {
            let text = format!("libvirt wrote {places} its own way (-v)");
            page.flow("  ", "  ", &[(FAINT, text)]);
        }
    }
    for vm in &outcome.rolled_back {
        let text = "has its former definition again, in effect when the VM \
                    starts next"
            .to_owned();
        page.flow("", "  ", &[(KEY, format!("{vm}:")), (PLAIN, text)]);
    }
    Ok(screen.print(&page.into_text())?)
}

fn failed(outcome: &Outcome, doing: &str) -> CliError {
    let list = |names: &[DomainName]| {
        let names: Vec<_> = names.iter().map(DomainName::as_str).collect();
        names.join(", ")
    };
    let incomplete = !outcome.rollback_failures.is_empty();
    let first = outcome.failed.iter().chain(&outcome.rollback_failures).next();
    let why = first.map(because).unwrap_or_default();
    let error = anyhow::Error::msg(why).context(doing.to_owned());
    if !incomplete {
        let restored = match list(&outcome.rolled_back) {
            none if none.is_empty() => "nothing was changed".to_owned(),
            some => format!("rolled back: {some} as before"),
        };
        return CliError::new(Kind::RolledBack, error).hint(restored);
    }
    let left = outcome.rollback_failures.iter().map(because);
    let left: Vec<_> = left.collect();
    let id = outcome.transaction.map(|id| id.to_string()).unwrap_or_default();
    CliError::new(Kind::RollbackIncomplete, error).hint(format!(
        "not undone: {}; mend that, then run `vmtune rollback {id}`",
        left.join("; ")
    ))
}

fn because(failure: &Failure) -> String {
    let mut text = match &failure.vm {
        Some(vm) => format!("{vm}: {}", failure.error),
        None => failure.error.to_string(),
    };
    let mut source = std::error::Error::source(&failure.error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
