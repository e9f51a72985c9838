//! The host's part of `status`: each place that was changed, as it is now.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::same_value;
use crate::base::HostPath;
use crate::boot::{self, Form};
use crate::cli::standing::Standing;
use crate::drift::{self, Finding, Read, Seen};
use crate::files::journal::Header;
use crate::host::{self, Root};
use crate::model::facts::BootArguments;
use crate::model::{Change, Fact, Target, is_same_argument};
use crate::system::{System, SystemError};

/// Where the kernel says since when it runs, so to speak: another number
/// after each boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// What the kernel was started with.
const STARTED: &str = "proc/cmdline";

/// Compares each place of the host with the last change of it that stands.
/// Places are read through `system`, as they were written; `root` shows where
/// the kernel's arguments get to from their files.
pub(super) fn findings(
    standing: &Standing,
    system: &dyn System,
    root: &Root,
) -> Vec<Finding> {
    let changes = standing.host();
    let way = Way::of(&changes, root);
    let host = Host { system, way, boot: boot(system) };
    changes
        .iter()
        .flat_map(|(change, header)| host.findings(change, header))
        .collect()
}

/// Returns the kernel's number for the time since the host was booted.
pub(super) fn boot(system: &dyn System) -> Option<String> {
    system.value(&BOOT.parse().ok()?).ok()
}

/// Returns whether the host was booted since a transaction began.
pub(super) fn was_booted(header: &Header, now: Option<&str>) -> bool {
    let then = header.boot.as_deref();
    then.is_some() && now.is_some() && then != now
}

struct Host<'a> {
    system: &'a dyn System,
    way: Way<'a>,
    /// The kernel's number for the time since the host was booted.
    boot: Option<String>,
}

impl Host<'_> {
    fn findings(&self, change: &Change, header: &Header) -> Vec<Finding> {
        let booted = was_booted(header, self.boot.as_deref());
        let (mut shown, mut started) = (Vec::new(), Ok(None));
        if let Target::Argument { file, name } = &change.target {
            (shown, started) = self.way.follow(change, file, name);
        }
        let stands = self.stands(&change.target);
        let seen = Seen { stands, shown, started, booted };
        let finding = drift::setting(change, &seen, &same_value);
        // Where a change is not known of, neither is what came of it.
        let known = !matches!(finding.state, drift::State::Unknown { .. });
        let effective = known.then(|| drift::effective_path(change)).flatten();
        let effective = effective.and_then(|path| {
            drift::interrupt(change, &absent_or(self.system.value(&path)))
        });
        [Some(finding), effective].into_iter().flatten().collect()
    }

    /// Reads what stands at a place.
    fn stands(&self, target: &Target) -> Read {
        match target {
            Target::Kernel(path) => {
                self.system.value(path).map(Some).map_err(|e| reason(&e))
            }
            Target::File(path) => self.text(path),
            Target::Argument { file, name } => {
                let Some(text) = self.text(file)? else { return Ok(None) };
                let form = Form::of(file)
                    .ok_or_else(|| format!("{file} has a form of its own"))?;
                let all = boot::arguments(form, &text)
                    .map_err(|error| error.to_string())?;
                Ok(boot::value(&all, name).map(str::to_owned))
            }
            // It is a VM's.
            Target::Definition(_) | Target::Conf(_) => Ok(None),
        }
    }

    fn text(&self, path: &HostPath) -> Read {
        let standing = self.system.file(path);
        standing.map(|file| file.text).map_err(|error| reason(&error))
    }
}

/// Takes what is not there for nothing.
fn absent_or(read: Result<String, SystemError>) -> Read {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_there() => Ok(None),
        Err(error) => Err(reason(&error)),
    }
}

/// Says as a clause why something could not be read.
fn reason(error: &SystemError) -> String {
    match error {
        SystemError::Io { path, source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => format!("{path} does not exist"),
            _ => format!("{path}: {source}"),
        },
        other => other.to_string(),
    }
}

/// The way of the kernel's arguments from their files to the kernel.
struct Way<'a> {
    /// Names that a change that stands gives a value, whatever the file.
    set: Vec<&'a str>,
    /// What all files together say.
    next: Option<BootArguments>,
    /// The boot entries that are made of each file.
    generated: BTreeMap<&'a HostPath, Vec<host::Generated>>,
    /// What the kernel was started with.
    started: Result<Vec<(String, String)>, String>,
}

impl<'a> Way<'a> {
    /// Reads what concerns these changes; nothing where none is of an
    /// argument.
    fn of(changes: &[(&'a Change, &Header)], root: &Root) -> Self {
        let arguments = changes.iter().filter_map(|(change, _)| {
            let Target::Argument { file, name } = &change.target else {
                return None;
            };
            Some((file, name.as_str(), change.to.is_some()))
        });
        let arguments: Vec<_> = arguments.collect();
        let set = arguments.iter().filter(|(_, _, is_set)| *is_set);
        let files: BTreeSet<_> = arguments.iter().map(|a| a.0).collect();
        let read = |file| (file, host::generated(root, file));
        let mut way = Self {
            set: set.map(|(_, name, _)| *name).collect(),
            next: None,
            generated: files.into_iter().map(read).collect(),
            started: Ok(Vec::new()),
        };
        if !arguments.is_empty() {
            way.started = started(root);
            if let Fact::Known { value, .. } = host::next_arguments(root) {
                way.next = Some(value);
            }
        }
        way
    }

    /// Returns where an argument shows besides its file, and what the kernel
    /// that runs was given.
    fn follow(
        &self,
        change: &Change,
        file: &HostPath,
        name: &str,
    ) -> (Vec<(String, Option<String>)>, Read) {
        let next = self.next.as_ref().and_then(|next| next.get(name));
        if change.to.is_none() {
            // It was taken out of this file alone.
            let set = self.set.iter().any(|one| is_same_argument(one, name));
            if set || next.is_some() {
                return (Vec::new(), Ok(None));
            }
            return (Vec::new(), self.started(name));
        }
        let all = self.next.as_ref().map(|_| {
            let place = next.map_or_else(
                || "all files together".to_owned(),
                |argument| argument.file.to_string(),
            );
            (place, next.map(|argument| argument.value.clone()))
        });
        let entries = self.generated.get(file).into_iter().flatten();
        let entries = entries.map(|entry| {
            let value = boot::value(&entry.arguments, name);
            (entry.path.clone(), value.map(str::to_owned))
        });
        (all.into_iter().chain(entries).collect(), self.started(name))
    }

    fn started(&self, name: &str) -> Read {
        let all = self.started.as_ref().map_err(Clone::clone)?;
        Ok(boot::value(all, name).map(str::to_owned))
    }
}

fn started(root: &Root) -> Result<Vec<(String, String)>, String> {
    let text = root.read(STARTED).map_err(|error| error.reason())?;
    boot::arguments(Form::CommandLine, &text)
        .map_err(|error| format!("/{STARTED}: {error}"))
}

#[cfg(test)]
mod tests;
