//! What came of a transaction, for people and for the exit code.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::exit::{CliError, Kind};
use super::report::{FAINT, KEY, PLAIN, Page, Span, count, stage};
use super::screen::Screen;
use super::time::duration;
use crate::apply::{
    ApplyError, Failure, Machine, Outcome, StepReport, StepResult,
};
use crate::files::StateDir;
use crate::hypervisor::Hypervisor;
use crate::model::{Place, Stage};
use crate::system::Live;

/// Returns the seconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// Does something to this machine and the VMs of a hypervisor.
pub(super) fn on_this_machine<T>(
    hypervisor: &dyn Hypervisor,
    state: &StateDir,
    act: impl FnOnce(&Machine<'_>) -> Result<T, ApplyError>,
) -> Result<T, CliError> {
    let system = this_system()?;
    let start = Instant::now();
    let clock = || start.elapsed();
    let machine = Machine {
        hypervisor,
        system: &system,
        state,
        now: now(),
        clock: &clock,
    };
    act(&machine).map_err(not_begun)
}

/// Words an error from before anything was touched.
pub(super) fn not_begun(error: ApplyError) -> CliError {
    let hint = error.hint();
    let error = CliError::new(Kind::Failed, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error.hint("nothing was changed"),
    }
}

/// Opens this machine's own settings.
pub(super) fn this_system() -> Result<Live, CliError> {
    Live::host().map_err(|error| CliError::new(Kind::Failed, error))
}

/// Prints what was done, or says why it was not.
pub(super) fn report(
    outcome: &Outcome,
    doing: &str,
    verbose: bool,
    screen: &mut Screen,
) -> Result<(), CliError> {
    if outcome.failed.is_some() || !outcome.rollback_failures.is_empty() {
        return Err(failed(outcome, doing));
    }
    let mut page = screen.page();
    for when in [Stage::Now, Stage::VmStart, Stage::HostBoot] {
        let at = |step: &&StepReport| step.stage == when;
        let steps: Vec<_> = outcome.steps.iter().filter(at).collect();
        if steps.is_empty() {
            continue;
        }
        page.gap();
        page.line(&[(FAINT, format!("in effect {}", stage(when)))]);
        for one in steps {
            step(&mut page, one, verbose);
        }
    }
    for place in &outcome.rolled_back {
        page.flow("", "  ", &restored(place));
        if outcome.rewritten.contains(place) {
            let text = "means what it meant, and its text is another than \
                        before";
            page.flow("  ", "    ", &[(FAINT, text.to_owned())]);
        }
    }
    for place in &outcome.gone {
        page.flow("", "  ", &gone(place));
    }
    Ok(screen.print(&page.into_text())?)
}

/// Writes a line for a step, and what is to be said of it.
fn step(page: &mut Page, step: &StepReport, verbose: bool) {
    let name = (KEY, format!("{}:", step.place));
    let nothing = |text: &str| [name.clone(), (FAINT, text.to_owned())];
    let (normalised, comments_lost) = match &step.result {
        StepResult::Changed { normalised, comments_lost } => {
            (normalised, comments_lost)
        }
        StepResult::AlreadySo => {
            return page.flow("  ", "    ", &nothing("as planned already"));
        }
        StepResult::Gone => {
            let text = "has stopped, or was started anew; nothing to change";
            return page.flow("  ", "    ", &nothing(text));
        }
    };
    let done = match step.place {
        Place::Definition { .. } => "defined",
        Place::Conf { .. } => "set",
        Place::Live { .. } => "threads moved",
        Place::File(_) => "written",
        Place::Kernel(_) => "set",
        Place::Program(_) => "run",
    };
    let took = (FAINT, format!("({})", duration(step.took)));
    page.flow("  ", "    ", &[name, (PLAIN, done.to_owned()), took]);
    if *comments_lost > 0 {
        let comments = count(*comments_lost, "comment");
        let text = format!(
            "libvirt has dropped {comments}; `vmtune rollback` brings back \
             what libvirt had"
        );
        page.flow("    ", "    ", &[(FAINT, text)]);
    }
    let places = count(normalised.len(), "place");
    let who = match step.place {
        Place::Conf { .. } => "Proxmox",
        _ => "libvirt",
    };
    if verbose {
        for one in normalised {
            page.row(4, who, &[(FAINT, one.to_string())]);
        }
    } else if !normalised.is_empty() {
        let text = format!("{who} wrote {places} its own way (-v)");
        page.flow("    ", "    ", &[(FAINT, text)]);
    }
}

/// Says that a place is as before.
fn restored(place: &Place) -> [Span; 2] {
    let text = match place {
        Place::Definition { .. } | Place::Conf { .. } => {
            "has its former definition again, in effect when the VM starts next"
        }
        Place::Program(_) => "run again",
        Place::File(_) | Place::Kernel(_) | Place::Live { .. } => "as before",
    };
    [(KEY, format!("{place}:")), (PLAIN, text.to_owned())]
}

/// Says why there was nothing to undo at a place.
fn gone(place: &Place) -> [Span; 2] {
    let text = match place {
        Place::Live { .. } => {
            "has stopped since, or was started anew; nothing to undo"
        }
        _ => "went with the last boot; nothing to undo",
    };
    [(KEY, format!("{place}:")), (PLAIN, text.to_owned())]
}

fn failed(outcome: &Outcome, doing: &str) -> CliError {
    let incomplete = !outcome.rollback_failures.is_empty();
    let first = outcome.failed.iter().chain(&outcome.rollback_failures).next();
    let why = first.map(Failure::in_short).unwrap_or_default();
    let error = anyhow::Error::msg(why).context(doing.to_owned());
    let advice = first.and_then(|failure| failure.error.hint());
    let and = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    if !incomplete {
        let places = &outcome.rolled_back;
        let names: Vec<_> = places.iter().map(ToString::to_string).collect();
        let restored = match names.join(", ") {
            none if none.is_empty() => "nothing was changed".to_owned(),
            some => format!("rolled back: {some} as before"),
        };
        return CliError::new(Kind::RolledBack, error).hint(restored + &and);
    }
    let left = outcome.rollback_failures.iter().map(Failure::in_short);
    let left: Vec<_> = left.collect();
    let id = outcome.transaction.map(|id| id.to_string()).unwrap_or_default();
    CliError::new(Kind::RollbackIncomplete, error).hint(format!(
        "not undone: {}; mend that, then run `vmtune rollback {id}`{and}",
        left.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::apply::{Difference, DifferenceKind};

    #[test]
    fn what_libvirt_made_of_a_definition_is_said() {
        let place = Place::Definition {
            name: "vm1".parse().unwrap(),
            uuid: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap(),
        };
        let path = "/domain/vcpu/@cpuset".to_owned();
        let kind = DifferenceKind::Other;
        let normalised = vec![Difference { path, kind }];
        let result = StepResult::Changed { normalised, comments_lost: 2 };
        let took = Duration::from_millis(3);
        let one = StepReport { place, stage: Stage::VmStart, result, took };
        let show = |verbose| {
            let mut page = Page::new(80);
            step(&mut page, &one, verbose);
            anstream::adapter::strip_str(&page.into_text()).to_string()
        };
        insta::assert_snapshot!(show(false), @"
        vm1: defined (3 ms)
          libvirt has dropped 2 comments; `vmtune rollback` brings back what libvirt
          had
          libvirt wrote 1 place its own way (-v)
        ");
        insta::assert_snapshot!(show(true), @"
        vm1: defined (3 ms)
          libvirt has dropped 2 comments; `vmtune rollback` brings back what libvirt
          had
          libvirt    /domain/vcpu/@cpuset differs
        ");
    }

    #[test]
    fn a_run_that_has_ended_is_said() {
        let place = Place::Live {
            name: "vm1".parse().unwrap(),
            uuid: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap(),
        };
        let show = |write: &dyn Fn(&mut Page)| {
            let mut page = Page::new(80);
            write(&mut page);
            anstream::adapter::strip_str(&page.into_text()).to_string()
        };
        let kernel = Place::Kernel("/sys/kernel/mm/ksm/run".parse().unwrap());
        let undone = show(&|page| {
            page.flow("", "  ", &gone(&place));
            page.flow("", "  ", &gone(&kernel));
        });
        insta::assert_snapshot!(undone, @"
        vm1, which runs: has stopped since, or was started anew; nothing to undo
        /sys/kernel/mm/ksm/run: went with the last boot; nothing to undo
        ");
        let done = show(&|page| {
            for result in [StepResult::CHANGED, StepResult::Gone] {
                let (place, stage) = (place.clone(), Stage::Now);
                let took = Duration::ZERO;
                step(page, &StepReport { place, stage, result, took }, false);
            }
        });
        insta::assert_snapshot!(done, @"
        vm1, which runs: threads moved (0 ms)
        vm1, which runs: has stopped, or was started anew; nothing to change
        ");
    }
}
