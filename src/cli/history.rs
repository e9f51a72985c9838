//! `vmtune history`.

use super::args::HistoryArgs;
use super::exit::{CliError, Done};
use super::screen::Screen;

pub(super) fn run(
    _args: &HistoryArgs,
    _screen: &mut Screen,
) -> Result<Done, CliError> {
    Err(CliError::usage("history is not there yet"))
}
