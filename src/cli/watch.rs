//! The process that undoes a transaction unless somebody confirms it. It has
//! a session of its own, so that it stays when the connection goes that the
//! transaction may have cut off.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::apply::uri_of;
use super::args::WatchArgs;
use super::connection::{self, Purpose};
use super::exit::{CliError, Done, Kind};
use super::outcome::{now, on_this_machine};
use super::output::state_dir;
use crate::apply::expire;
use crate::files::StateDir;
use crate::files::journal::{Journal, Transaction, TransactionId};

/// How often it is looked whether the transaction has ended.
const PAUSE: Duration = Duration::from_secs(1);
/// How often and for how long undoing is tried: somebody may have the lock,
/// and libvirt may be down for a while.
const TRY: Duration = Duration::from_secs(5);
const TRIES: u32 = 720;

/// Starts the process, and returns when it stands on its own.
pub(super) fn start(
    id: TransactionId,
    until: u64,
    connect: Option<&str>,
) -> io::Result<()> {
    let (mut answer, writer) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["undo-unless-confirmed", &id.to_string()])
        .args(["--until", &until.to_string()])
        .args(connect.map(|uri| format!("--connect={uri}")))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    // The end of the pipe that the command holds.
    drop(command);
    if answer.read(&mut [0])? == 1 {
        return Ok(());
    }
    let status = child.wait()?;
    Err(io::Error::other(format!("it has ended with {status}")))
}

/// Waits, and undoes the transaction unless it has ended.
pub(super) fn run(args: &WatchArgs) -> Result<Done, CliError> {
    let id: TransactionId = args
        .transaction
        .parse()
        .map_err(|e| CliError::new(Kind::Usage, anyhow::Error::new(e)))?;
    let state = state_dir()?;
    let Some(transaction) = pending(&state, id)? else {
        return Ok(Done::Done);
    };
    // It fails only where this process leads a group already, and then
    // nobody has started it but a person.
    let _ = nix::unistd::setsid();
    io::stdout().write_all(b".").and_then(|()| io::stdout().flush())?;
    // The clock may be set meanwhile; whichever says so first is believed.
    let span = Duration::from_secs(args.until.saturating_sub(now()));
    let end = Instant::now() + span;
    while now() < args.until && Instant::now() < end {
        if pending(&state, id)?.is_none() {
            return Ok(Done::Done);
        }
        let left = end.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(PAUSE));
    }
    let mut tried = 0;
    loop {
        tried += 1;
        match undo(&state, &transaction, args.connect.as_deref()) {
            Err(_) if tried < TRIES => std::thread::sleep(TRY),
            other => return other,
        }
    }
}

fn undo(
    state: &StateDir,
    transaction: &Transaction,
    connect: Option<&str>,
) -> Result<Done, CliError> {
    let uri = uri_of(&transaction.header.plan, connect);
    let hypervisor = connection::open(uri.as_deref(), Purpose::Change)?;
    let outcome = on_this_machine(hypervisor.as_ref(), state, |machine| {
        expire(transaction.id, machine)
    })?;
    match outcome {
        Some(outcome) if !outcome.rollback_failures.is_empty() => {
            let what = format!("undoing {}", transaction.id);
            let error = anyhow::Error::msg(what);
            Err(CliError::new(Kind::RollbackIncomplete, error))
        }
        _ => Ok(Done::Done),
    }
}

/// Returns the transaction, where it has not ended.
fn pending(
    state: &StateDir,
    id: TransactionId,
) -> Result<Option<Transaction>, CliError> {
    let read = Journal::open(state).and_then(|journal| journal.read(id));
    let transaction = read.map_err(super::rollback::unreadable)?;
    Ok(Some(transaction).filter(|one| one.status.is_pending()))
}
