//! `vmtune rollback`.

use super::args::RollbackArgs;
use super::exit::{CliError, Done};
use super::screen::Screen;

pub(super) fn run(
    _args: &RollbackArgs,
    _screen: &mut Screen,
) -> Result<Done, CliError> {
    Err(CliError::usage("rollback is not there yet"))
}
