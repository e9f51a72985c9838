//! `vmtune-probe`: measures, and says what it measured.

mod args;
mod rdma;
pub(crate) mod report;
mod run;
mod secret;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use self::args::{ProbeArgs, ProbeCommand};
use super::exit::exit_code;
use super::screen::Screen;

/// Reads the command line of `vmtune-probe`, does it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let args = ProbeArgs::parse();
    let mut screen = Screen::of_process(args.color);
    let outcome = match &args.command {
        ProbeCommand::Run(args) => run::run(args, &mut screen),
        ProbeCommand::Serve(args) => serve::run(args, &mut screen),
    };
    exit_code(outcome, &mut screen)
}
