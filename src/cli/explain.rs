//! `vmtune explain`: why a rule exists.

use super::args::ExplainArgs;
use super::exit::{CliError, Done};
use super::policy::known_rule;
use super::report::{rule, rules};
use super::screen::Screen;
use crate::rules::RULES;

/// Explains one rule, or lists all.
pub(super) fn run(
    args: &ExplainArgs,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let mut page = screen.page();
    match &args.rule {
        Some(id) => rule(&mut page, known_rule(id)?),
        None => rules(&mut page, RULES),
    }
    screen.print(&page.into_text())?;
    Ok(Done::Done)
}
