//! The command line: the only floor that prints, reads the environment and
//! decides how the process ends.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this floor reads what the user names and prints"
)]

mod apply;
mod args;
mod check;
mod confirm;
mod connection;
mod dry_run;
mod exit;
mod explain;
mod facts;
mod history;
mod outcome;
mod output;
mod plan;
mod policy;
pub mod probe;
mod proxmox;
pub mod report;
mod rollback;
mod screen;
mod select;
mod sources;
mod standing;
mod state;
mod status;
mod time;
mod verify;
mod waits;
mod watch;

pub use args::Args;
pub use exit::{CliError, Done, Kind, exit_code};
pub use screen::Screen;

use args::Command;

/// Runs what was typed.
///
/// # Errors
/// As the command's own; the error knows its exit code.
pub fn run(args: &Args, screen: &mut Screen) -> Result<Done, CliError> {
    let verbose = args.common.verbose;
    match &args.command {
        Command::Facts(args) => facts::run(args, verbose, screen),
        Command::Plan(args) => plan::run(args, verbose, screen),
        Command::Check(args) => check::run(args, screen),
        Command::Apply(args) => apply::run(args, verbose, screen),
        Command::Status(args) => status::run(args, verbose, screen),
        Command::Verify(args) => verify::run(args, screen),
        Command::Confirm(_) => confirm::run(screen),
        Command::Rollback(args) => rollback::run(args, verbose, screen),
        Command::Resume(args) => rollback::run_resume(args, verbose, screen),
        Command::History(args) => history::run(args, verbose, screen),
        Command::Explain(args) => explain::run(args, screen),
        Command::UndoUnlessConfirmed(args) => watch::run(args),
    }
}
