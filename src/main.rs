//! vmtune: reads the command line, runs it, says how it went.

use std::process::ExitCode;

use clap::Parser;
use vmtune::cli::{self, Args, Screen};

fn main() -> ExitCode {
    let args = Args::parse();
    let mut screen = Screen::of_process(args.common.color);
    let outcome = cli::run(&args, &mut screen);
    cli::exit_code(outcome, &mut screen)
}
