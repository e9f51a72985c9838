//! Changes of the host against what stands at their places, and against what
//! came of them.

use super::{Finding, State};
use crate::base::HostPath;
use crate::model::{Change, Stage, Target};

/// Longest piece of a text that a finding repeats.
const SHOWN: usize = 60;

/// What was read of a place: nothing where there is none; the error says why
/// it could not be read.
pub type Read = Result<Option<String>, String>;

/// Tells whether two values of the kernel at a path mean the same, as what
/// was applied was compared when it was read back.
pub type Same<'a> = &'a dyn Fn(&HostPath, &str, &str) -> bool;

/// What was seen of a change of the host.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What stands at its place.
    pub stands: Read,
    /// Where else an argument of the kernel shows on its way to the next
    /// boot, and its value there: all files together, a boot entry.
    pub shown: Vec<(String, Option<String>)>,
    /// The value of an argument with which the kernel was started.
    pub started: Read,
    /// Whether the host was booted since the change was made.
    pub booted: bool,
}

/// Compares a change of the host with what was seen of it.
///
/// A value of the kernel does not outlive a boot. Where something sets it at
/// each boot it is as planned; where it is not as planned it has drifted, and
/// the finding says that the host was booted. An interrupt may have another
/// number then, so nothing is known of it.
#[must_use]
pub fn setting(change: &Change, seen: &Seen, same: Same<'_>) -> Finding {
    let wanted = change.to.as_deref();
    let mut planned = shown(&change.target, wanted);
    let mut note = None;
    let state = match (&change.target, &seen.stands) {
        (Target::Kernel(path), _) if seen.booted && is_interrupt(path) => {
            let why = "the host was booted since, and interrupts may have \
                       other numbers; a new plan finds them";
            State::Unknown { why: why.to_owned() }
        }
        (_, Err(why)) => State::Unknown { why: why.clone() },
        (Target::Argument { .. }, Ok(found)) => {
            argument(wanted, found.as_deref(), seen)
        }
        (Target::Kernel(path), Ok(found)) => {
            let both = wanted.zip(found.as_deref());
            if both.is_some_and(|(a, b)| same(path, a, b)) {
                State::Holds
            } else {
                note = seen
                    .booted
                    .then(|| "the host was booted since it was set".to_owned());
                let found = shown(&change.target, found.as_deref());
                State::Drifted { found }
            }
        }
        (_, Ok(found)) if found.as_deref() == wanted => {
            match change.stage == Stage::HostBoot && !seen.booted {
                true => State::Waits { stage: Stage::HostBoot },
                false => State::Holds,
            }
        }
        (_, Ok(found)) => {
            let found = match (wanted, found.as_deref()) {
                (Some(wanted), Some(found)) => {
                    let (at, was, is) = first_difference(wanted, found);
                    planned = format!("line {at}: {was}");
                    format!("line {at}: {is}")
                }
                (_, found) => shown(&change.target, found),
            };
            State::Drifted { found }
        }
    };
    let vm = change.vm.as_deref().and_then(|vm| vm.parse().ok());
    Finding { vm, what: change.target.to_string(), planned, state, note }
}

/// Follows an argument from its file to the kernel that runs.
fn argument(wanted: Option<&str>, found: Option<&str>, seen: &Seen) -> State {
    if found != wanted {
        return State::Drifted { found: value(found) };
    }
    let mut shown = seen.shown.iter();
    let other = shown.find(|(_, value)| value.as_deref() != wanted);
    if let Some((place, found)) = other {
        let found = format!("{} in {place}", value(found.as_deref()));
        return State::Drifted { found };
    }
    match &seen.started {
        Err(why) => State::Unknown { why: why.clone() },
        Ok(started) if started.as_deref() == wanted => State::Holds,
        Ok(_) if !seen.booted => State::Waits { stage: Stage::HostBoot },
        Ok(started) => {
            let found = value(started.as_deref());
            State::Drifted { found: format!("{found} in /proc/cmdline") }
        }
    }
}

/// Returns whether a value belongs to one interrupt, by its number.
fn is_interrupt(path: &HostPath) -> bool {
    let number = path.as_str().strip_prefix("/proc/irq/");
    number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the number of the first line that differs, and both lines. Of long
/// ones that begin alike, the beginning is left out.
fn first_difference(wanted: &str, found: &str) -> (usize, String, String) {
    let (mut was, mut is) = (wanted.split('\n'), found.split('\n'));
    let mut at = 1;
    loop {
        match (was.next(), is.next()) {
            (Some(was), Some(is)) if was == is => at += 1,
            (Some(was), Some(is)) => {
                let pairs = was.chars().zip(is.chars());
                let alike = pairs.take_while(|(a, b)| a == b).count();
                let cut = |line: &str| match alike >= SHOWN * 2 / 3 {
                    true => {
                        let rest = line.chars().skip(alike - SHOWN / 3);
                        format!("…{}", short(&rest.collect::<String>()))
                    }
                    false => short(line),
                };
                return (at, cut(was), cut(is));
            }
            (was, is) => return (at, value(was), value(is)),
        }
    }
}

fn shown(target: &Target, text: Option<&str>) -> String {
    match (target, text) {
        (Target::File(_), None) => "no file".into(),
        (Target::File(_), Some(text)) => {
            let lines = text.lines().count();
            let first = text
                .lines()
                .find(|line| !line.starts_with('#') && !line.is_empty());
            let noun = if lines == 1 { "line" } else { "lines" };
            format!("{lines} {noun}: {}", short(first.unwrap_or_default()))
        }
        (_, text) => value(text),
    }
}

/// Spells a value for a finding.
fn value(text: Option<&str>) -> String {
    match text {
        None => "nothing".into(),
        Some("") => "no value".into(),
        Some(text) => short(text),
    }
}

/// Cuts a text for a line of a terminal.
fn short(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(SHOWN).map(plain).collect()
}

#[cfg(test)]
mod tests;
