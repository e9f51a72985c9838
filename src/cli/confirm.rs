//! `vmtune confirm`: keeps a transaction that waits for that.

use super::exit::{CliError, Done};
use super::outcome::{not_begun, now};
use super::output::state_dir;
use super::screen::Screen;
use crate::apply::confirm;

/// Keeps the transaction that waits to be confirmed.
pub(super) fn run(screen: &mut Screen) -> Result<Done, CliError> {
    let id = confirm(&state_dir()?, now()).map_err(not_begun)?;
    let text = format!("{id} stays: `vmtune rollback` undoes it\n");
    screen.print(&text)?;
    Ok(Done::Done)
}
