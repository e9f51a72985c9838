//! vmtune-probe: measures from inside of a machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmtune::cli::probe::main()
}
