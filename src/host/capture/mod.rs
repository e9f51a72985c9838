//! A host in a folder: what [`collect`](super::collect()) reads, and nothing
//! else, without what names the machine or its owner.
//!
//! The folder is a tree that `collect` takes, so that a bug report becomes a
//! test. What is replaced is listed at [`Scrubber`]; names of processes are
//! never written, except irqbalance's.

mod command_line;
mod scrub;
mod topology_xml;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub use scrub::Scrubber;
pub use topology_xml::scrubbed as scrubbed_xml;

use super::log::Seen;
use super::{COMPLETE, CollectError, HWLOC_XML, Root, collect};
use crate::boot::Form;

/// The file that holds an empty folder where folders by themselves do not
/// survive, as in git.
const KEEP: &str = ".keep";

/// Why a host was not captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The host could not be read.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The topology could not be scrubbed.
    #[error("hwloc wrote a topology that is not XML")]
    Topology(#[source] quick_xml::Error),
    /// The folder holds something, which a capture must not mix with.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Something could not be written.
    #[error("writing {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// Writes what is read of a host into a folder, which is made, or is empty.
///
/// # Errors
/// When the host cannot be read, the folder holds something or cannot be
/// written. What was written before the error stays.
pub fn capture(root: &Root, dir: &Path) -> Result<(), CaptureError> {
    make_empty(dir)?;
    let logged = root.logged();
    let loaded = collect::load(&logged)?;
    collect::read(&logged, loaded.as_ref(), "capture")?;
    let log = logged.into_log();
    let forms = log.forms().clone();
    let (mut entries, read_only) = log.into_entries();
    if let Some(loaded) = loaded {
        let xml = loaded.export()?;
        entries.insert(HWLOC_XML.into(), Seen::Content(xml.into_bytes()));
    }
    if root.is_complete() {
        entries.insert(COMPLETE.into(), Seen::Content(b"1\n".to_vec()));
    }
    let mut scrubber = Scrubber::default();
    if let Ok(name) = root.read("proc/sys/kernel/hostname") {
        scrubber.hostname(name.trim());
    }
    write_all(dir, entries, &forms, &mut scrubber)?;
    read_only.iter().try_for_each(|place| {
        let path = dir.join(scrubber.path(place));
        protect(&path).map_err(|source| CaptureError::Write { path, source })
    })
}

fn make_empty(dir: &Path) -> Result<(), CaptureError> {
    let failed = |source| CaptureError::Write { path: dir.into(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    match fs::read_dir(dir).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(CaptureError::NotEmpty { path: dir.into() }),
    }
}

fn write_all(
    dir: &Path,
    entries: BTreeMap<String, Seen>,
    forms: &BTreeMap<String, Form>,
    scrubber: &mut Scrubber,
) -> Result<(), CaptureError> {
    for (place, seen) in &entries {
        let mut path = dir.join(scrubber.path(place));
        let form = forms.get(place).copied();
        let mut seen = scrubbed(place, form, seen.clone(), scrubber)?;
        if seen == Seen::Folder && is_empty(&entries, place) {
            path.push(KEEP);
            seen = Seen::File;
        }
        write(&path, &seen)
            .map_err(|source| CaptureError::Write { path, source })?;
    }
    Ok(())
}

fn is_empty(entries: &BTreeMap<String, Seen>, folder: &str) -> bool {
    let inside = format!("{folder}/");
    let next = entries.range(inside.clone()..).next();
    next.is_none_or(|(place, _)| !place.starts_with(&inside))
}

fn scrubbed(
    place: &str,
    form: Option<Form>,
    seen: Seen,
    scrubber: &mut Scrubber,
) -> Result<Seen, CaptureError> {
    Ok(match seen {
        Seen::Link(target) => {
            // An absolute link would lead out of the folder.
            let target = match target.strip_prefix('/') {
                Some(rest) => "../".repeat(place.matches('/').count()) + rest,
                None => target,
            };
            Seen::Link(scrubber.path(&target))
        }
        Seen::Content(bytes) => match String::from_utf8(bytes) {
            Ok(text) => {
                let text = match (form, place) {
                    (Some(form), _) => scrubber.next_boot(form, &text),
                    (None, "proc/cmdline") => scrubber.command_line(&text),
                    (None, HWLOC_XML) => topology_xml::scrubbed(&text)
                        .map_err(CaptureError::Topology)?,
                    (None, _) => text,
                };
                Seen::Content(scrubber.text(&text).into_bytes())
            }
            // What is no text is the name of a boot loader, an EFI variable,
            // or the configuration space of a card, where it names nobody.
            Err(other) => Seen::Content(other.into_bytes()),
        },
        other => other,
    })
}

/// Takes the right to write a file away, as it was on the machine.
fn protect(path: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions)
}

fn write(path: &Path, seen: &Seen) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match seen {
        Seen::Folder => fs::create_dir_all(path),
        Seen::Link(target) => symlink(target, path),
        Seen::File => File::create_new(path).map(drop),
        Seen::Content(bytes) => File::create_new(path)?.write_all(bytes),
    }
}
