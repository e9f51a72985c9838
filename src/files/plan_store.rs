//! Plans as files: the last one made, and those that were given a name.

use std::fs::OpenOptions;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use serde::Deserialize;

use super::folder::{read_bounded, write_error};
use super::{FileError, StateDir, atomic};
use crate::model::Plan;

/// Name of the last plan's file.
const LAST: &str = "plan.json";
/// Largest plan that is read: 1,000 VMs with 100 changes of 500 bytes each.
const MAX_PLAN: u64 = 64 << 20;
/// Mode of a plan's file, wherever it lies. A plan holds no secrets, but it
/// tells a host's layout and who lives there.
const PLAN_FILE: Mode = Mode::from_bits_truncate(0o600);

/// Why a plan was not saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum PlanStoreError {
    /// The file could not be used.
    #[error("{doing} the plan")]
    File {
        /// "saving" or "loading".
        doing: &'static str,
        /// Why.
        #[source]
        source: FileError,
    },
    /// There is no last plan.
    #[error("no plan is saved in {0}; make one with `vmtune plan`")]
    None(PathBuf),
    /// The text is no plan.
    #[error("reading {path} as a plan")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// The plan has another version's form.
    #[error(
        "{path} is a plan of form {found}, this vmtune reads form {known}; \
         plan again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The program's.
        known: u32,
    },
}

/// Saves a plan as the last one; returns where.
///
/// # Errors
/// When the file cannot be written.
pub fn save(state: &StateDir, plan: &Plan) -> Result<PathBuf, PlanStoreError> {
    let path = state.root.path_of(LAST);
    let text = to_json(&path, plan)?;
    state
        .root
        .write(LAST, &text)
        .map_err(|source| PlanStoreError::File { doing: "saving", source })?;
    Ok(path)
}

/// Saves a plan in a file of the user's choice. A link of that name is
/// neither followed nor replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn save_to(path: &Path, plan: &Plan) -> Result<(), PlanStoreError> {
    let failed = |source| PlanStoreError::File { doing: "saving", source };
    let name = path
        .file_name()
        .ok_or_else(|| failed(FileError::NotRegular { path: path.into() }))?;
    let text = to_json(path, plan)?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(parent)
        .map_err(|source| FileError::Io {
            doing: "opening",
            path: parent.into(),
            source,
        })
        .map_err(failed)?;
    atomic::write(folder.as_fd(), name, text.as_bytes(), PLAN_FILE)
        .map_err(|error| failed(write_error(path, error)))
}

/// Loads the last plan.
///
/// # Errors
/// [`PlanStoreError::None`] where none was saved.
pub fn load(state: &StateDir) -> Result<Plan, PlanStoreError> {
    let path = state.root.path_of(LAST);
    let text = state
        .root
        .read(LAST, MAX_PLAN)
        .map_err(|source| PlanStoreError::File { doing: "loading", source })?;
    match text {
        Some(text) => from_json(&path, &text),
        None => Err(PlanStoreError::None(state.path().into())),
    }
}

/// Loads a plan from a file of the user's choice; links are followed.
///
/// # Errors
/// When the file cannot be read or holds no plan.
pub fn load_from(path: &Path) -> Result<Plan, PlanStoreError> {
    let failed = |source| PlanStoreError::File { doing: "loading", source };
    let io = |source| {
        failed(FileError::Io { doing: "reading", path: path.into(), source })
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(failed(FileError::NotRegular { path: path.into() }));
    }
    let text = read_bounded(file, path, MAX_PLAN).map_err(failed)?;
    from_json(path, &text)
}

/// Returns the text of a plan's file, byte for byte. A plan that was read is
/// a tree of plain values, and always has one.
#[must_use]
pub fn to_text(plan: &Plan) -> Option<String> {
    to_json(Path::new(LAST), plan).ok()
}

fn to_json(path: &Path, plan: &Plan) -> Result<String, PlanStoreError> {
    let form = |source| PlanStoreError::Form { path: path.into(), source };
    let mut text = serde_json::to_string_pretty(plan).map_err(form)?;
    text.push('\n');
    Ok(text)
}

fn from_json(path: &Path, text: &[u8]) -> Result<Plan, PlanStoreError> {
    /// The one field that all versions share.
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let form = |source| PlanStoreError::Form { path: path.into(), source };
    let version: Version = serde_json::from_slice(text).map_err(form)?;
    if version.schema_version != Plan::SCHEMA_VERSION {
        return Err(PlanStoreError::Version {
            path: path.into(),
            found: version.schema_version,
            known: Plan::SCHEMA_VERSION,
        });
    }
    serde_json::from_slice(text).map_err(form)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::base::{CpuSet, Digest};

    fn plan() -> Plan {
        Plan {
            schema_version: Plan::SCHEMA_VERSION,
            fingerprint: Digest::of(b"facts"),
            host: "this machine".into(),
            connection: "fake:///system".into(),
            preset: "balanced".into(),
            housekeeping: CpuSet::new(),
            boot_loader: None,
            vms: vec![],
            changes: vec![],
            advice: vec![],
            unknown: vec![],
        }
    }

    #[test]
    fn plans_come_back_as_they_were() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let none = load(&state).unwrap_err();
        assert!(matches!(none, PlanStoreError::None(_)), "{none}");
        let path = save(&state, &plan()).unwrap();
        assert_eq!(load(&state).unwrap(), plan());
        assert_eq!(load_from(&path).unwrap(), plan());
        let named = temp.path().join("named.json");
        save_to(&named, &plan()).unwrap();
        assert_eq!(fs::read(named).unwrap(), fs::read(path).unwrap());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("p");
        fs::write(&path, "{\"schema_version\": 99, \"new\": 1}").unwrap();
        let error = load_from(&path).unwrap_err();
        assert!(matches!(error, PlanStoreError::Version { found: 99, .. }));
        fs::write(&path, "[[[").unwrap();
        let error = load_from(&path).unwrap_err();
        assert!(matches!(error, PlanStoreError::Form { .. }));
        let error = load_from(temp.path()).unwrap_err();
        assert!(matches!(
            error,
            PlanStoreError::File { source: FileError::NotRegular { .. }, .. }
        ));
    }

    #[test]
    fn a_link_is_not_written_through() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("target");
        fs::write(&target, "precious").unwrap();
        let link = temp.path().join("link");
        symlink(&target, &link).unwrap();
        save_to(&link, &plan()).unwrap_err();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert!(link.is_symlink());
    }
}
