//! `vmtune apply --dry-run`: the steps in order, with what each would write
//! or run.

use super::exit::CliError;
use super::outcome::not_begun;
use super::output::printable;
use super::report::{self, FAINT, KEY, PLAIN, stage};
use super::screen::Screen;
use super::waits::spelled;
use crate::apply::{Preview, preview};
use crate::base::Digest;
use crate::files::journal::TransactionId;
use crate::hypervisor::Hypervisor;
use crate::model::{Place, Plan};
use crate::system::System;

/// Shows what applying a plan would do.
pub(super) fn show(
    plan: &Plan,
    facts: Option<Digest>,
    next: TransactionId,
    hypervisor: &dyn Hypervisor,
    system: &dyn System,
    screen: &mut Screen,
) -> Result<(), CliError> {
    let steps = preview(plan, facts, next, hypervisor, system);
    let steps = steps.map_err(not_begun)?;
    for (n, step) in (1..).zip(&steps) {
        let mut page = screen.page();
        let name = (KEY, step.place.to_string());
        let what = (PLAIN, format!(": {}", what(step)));
        let when = (FAINT, stage(step.stage).to_owned());
        page.line_ends(&[(PLAIN, format!("{n}. ")), name, what], &when);
        screen.print(&page.into_text())?;
        screen.print(&difference(step)?)?;
    }
    Ok(screen.print("Nothing was changed.\n")?)
}

fn what(step: &Preview) -> String {
    if step.already_so {
        return "as planned already".to_owned();
    }
    match (&step.place, &step.former, &step.written) {
        (Place::Definition { .. }, ..) => "defined anew".to_owned(),
        (Place::Live { .. }, ..) => "threads moved".to_owned(),
        (Place::File(_), None, _) => "made".to_owned(),
        (Place::File(_), _, None) => "removed".to_owned(),
        (Place::File(_), ..) => "changed".to_owned(),
        (Place::Kernel(_), former, written) => {
            let text = |value: &Option<String>| {
                value.clone().unwrap_or_else(|| "nothing".to_owned())
            };
            format!("{} → {}", text(former), text(written))
        }
        (Place::Program(_) | Place::Conf { .. }, ..) => {
            let words = step.command.iter().map(String::as_str);
            format!("run `{}`", spelled(words))
        }
    }
}

/// Returns the diff that a step makes to a text; secrets are left out.
fn difference(step: &Preview) -> Result<String, CliError> {
    let texts = [&step.former, &step.written];
    let [old, new] = texts.map(|text| text.clone().unwrap_or_default());
    Ok(match &step.place {
        Place::Definition { name, .. } => {
            let (old, new) = (printable(&old, false)?, printable(&new, false)?);
            report::unified(&format!("{name}.xml"), &old, &new)
        }
        Place::Conf { vmid, .. } => {
            let (old, new) = (printable(&old, false)?, printable(&new, false)?);
            report::unified(&format!("{vmid}.conf"), &old, &new)
        }
        Place::File(path) => {
            let [old, new] = texts.map(|text| text.as_deref());
            report::unified_file(path, old, new)
        }
        Place::Live { name, .. } => {
            report::unified(&format!("{name}.xml"), &old, &new)
        }
        Place::Kernel(_) | Place::Program(_) => String::new(),
    })
}
