//! `vmtune apply`.

use super::args::ApplyArgs;
use super::exit::{CliError, Done};
use super::screen::Screen;

pub(super) fn run(
    _args: &ApplyArgs,
    _verbose: bool,
    _screen: &mut Screen,
) -> Result<Done, CliError> {
    Err(CliError::usage("apply is not there yet"))
}
