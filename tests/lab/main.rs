//! The lab: virtual machines that play hosts, in which vmtune runs as it
//! would on a real one. `docs/lab.md` says what it proves and how to add to
//! it.
//!
//! This one program has two lives. Started by `cargo test` it builds what a
//! host needs to boot, starts QEMU, and judges the files that come back.
//! Inside the host, started by `host.sh`, it runs the scenarios and writes
//! those files.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    reason = "a program that starts machines and says what they did"
)]

mod arguments;
mod boot;
mod guest;
mod inside;
mod judge;
mod kernel;
mod needs;
mod placement;
mod qemu;
mod run;
mod scenario;
mod scenarios;
mod shape;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments::read(&arguments) {
        Ok(wish) => run::fulfil(&wish),
        Err(error) => Err(error),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
