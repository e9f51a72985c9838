//! `vmtune rollback` and `vmtune resume`: a transaction goes back or forward.

use super::apply::{confirm, expect_answer, uri_of};
use super::args::{ResumeArgs, RollbackArgs};
use super::connection::{self, Purpose};
use super::exit::{CliError, Done, Kind};
use super::outcome::{self, not_begun, on_this_machine};
use super::output::state_dir;
use super::screen::Screen;
use crate::apply::{ApplyError, resume, rollback};
use crate::files::StateDir;
use crate::files::journal::{
    Journal, JournalError, Transaction, TransactionId,
};

/// Undoes a transaction.
pub(super) fn run(
    args: &RollbackArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let state = state_dir()?;
    let transaction = choose(&state, args.transaction.as_deref())?;
    expect_answer(args.yes, screen)?;
    let uri = uri_of(&transaction.header.plan, args.connect.as_deref());
    let hypervisor = connection::open(uri.as_deref(), Purpose::Change)?;
    if !args.yes {
        confirm(screen, &question(&transaction))?;
    }
    let outcome = on_this_machine(hypervisor.as_ref(), &state, |machine| {
        rollback(Some(transaction.id), args.force, machine)
    })?;
    let doing = format!("rolling back {}", transaction.id);
    outcome::report(&outcome, &doing, verbose, screen)?;
    Ok(Done::Done)
}

/// Finishes the transaction that was cut off.
pub(super) fn run_resume(
    args: &ResumeArgs,
    verbose: bool,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let state = state_dir()?;
    let open = Journal::open(&state).and_then(|journal| journal.pending());
    let open = open.map_err(unreadable)?;
    let Some(open) = open else {
        return Err(not_begun(ApplyError::NothingToResume));
    };
    let uri = uri_of(&open.header.plan, args.connect.as_deref());
    let hypervisor = connection::open(uri.as_deref(), Purpose::Change)?;
    let outcome = on_this_machine(hypervisor.as_ref(), &state, resume)?;
    let doing = format!("resuming {}", open.id);
    outcome::report(&outcome, &doing, verbose, screen)?;
    Ok(Done::Done)
}

/// Finds the transaction that is meant: that one, else the one that was cut
/// off, else the last that stands.
fn choose(
    state: &StateDir,
    named: Option<&str>,
) -> Result<Transaction, CliError> {
    let journal = Journal::open(state).map_err(unreadable)?;
    if let Some(text) = named {
        let id: TransactionId = text.parse().map_err(|error| {
            CliError::new(Kind::Usage, anyhow::Error::new(error))
                .hint("`vmtune history` lists them")
        })?;
        return journal.read(id).map_err(unreadable);
    }
    let open = journal.pending().map_err(unreadable)?;
    match open {
        Some(open) => Ok(open),
        None => journal
            .last_applied()
            .map_err(unreadable)?
            .ok_or_else(|| not_begun(ApplyError::NothingToUndo)),
    }
}

fn question(transaction: &Transaction) -> String {
    let places = transaction.steps.iter().map(|step| step.place.to_string());
    let places = places.collect::<Vec<_>>().join(", ");
    format!("Put {places} back to how it was before {}?", transaction.id)
}

/// Words an error of the journal.
pub(super) fn unreadable(error: JournalError) -> CliError {
    CliError::new(Kind::Failed, error)
        .hint("the journal is in the state folder; see VMTUNE_STATE_DIR")
}
