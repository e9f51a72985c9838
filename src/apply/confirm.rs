//! Transactions that are undone unless somebody confirms them: for changes
//! that can cut off whoever makes them.

use std::io;

use super::transaction::Run;
use super::undo::Force;
use super::{ApplyError, Machine, Outcome, pending};
use crate::files::journal::{
    Ending, Journal, JournalError, Status, TransactionId,
};
use crate::files::{Lock, StateDir};

/// What a transaction has to be confirmed by.
#[derive(Clone, Copy)]
pub struct Confirmation<'a> {
    /// Until when, in seconds since 1970.
    pub until: u64,
    /// Starts what calls [`expire`] then, and goes on whatever becomes of
    /// this process. It is called before the first step.
    pub watch: &'a dyn Fn(TransactionId) -> io::Result<()>,
}

/// Keeps the transaction that waits to be confirmed; `now` is in seconds
/// since 1970.
///
/// # Errors
/// When none does, or it is too late.
pub fn confirm(
    state: &StateDir,
    now: u64,
) -> Result<TransactionId, ApplyError> {
    let lock = Lock::take(state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(state)?;
    let open = journal.pending()?.ok_or(ApplyError::NothingToConfirm)?;
    match open.status {
        Status::Waiting { until } if until > now => {}
        _ => return Err(pending(&open, now)),
    }
    let mut writer = journal.append(&lock, &open)?;
    writer.finished(Ending::Applied)?;
    Ok(open.id)
}

/// Undoes a transaction that nobody has confirmed, or that was cut off before
/// it could be; `None` where it has ended. What somebody has changed since is
/// left as it is, and is a failure in the [`Outcome`].
///
/// # Errors
/// When nothing was touched.
pub fn expire(
    id: TransactionId,
    machine: &Machine<'_>,
) -> Result<Option<Outcome>, ApplyError> {
    let lock = Lock::take(machine.state).map_err(ApplyError::Lock)?;
    let journal = Journal::open(machine.state)?;
    let transaction = match journal.read(id) {
        Err(JournalError::None(_)) => return Ok(None),
        other => other?,
    };
    if !transaction.status.is_pending() {
        return Ok(None);
    }
    let writer = journal.append(&lock, &transaction)?;
    let run = Run::again(machine, transaction, writer);
    let because = "nobody confirmed it in time".to_owned();
    Ok(Some(run.back(Some(because), Force::Nothing)))
}
