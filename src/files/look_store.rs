//! What the probe found in each VM: the last time, and before it was tuned.

use serde::{Deserialize, Serialize};

use super::{FileError, StateDir};
use crate::base::DomainUuid;
use crate::model::probe::ProbeReport;

/// Name of their folder in the state folder.
const FOLDER: &str = "looks";
/// Two reports, each larger than what a machine of 1024 CPUs gives.
const MAX_FILE: u64 = 32 << 20;

/// A VM, as the probe found it.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When, in seconds since 1970.
    pub at: u64,
    /// What was found.
    pub report: ProbeReport,
}

/// The looks at one VM that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looks {
    /// The one that others are compared with, until another one is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Look>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Look>,
}

impl Looks {
    /// Returns the one to compare a new one with.
    #[must_use]
    pub const fn before(&self) -> Option<&Look> {
        match &self.baseline {
            Some(look) => Some(look),
            None => self.last.as_ref(),
        }
    }
}

/// Returns what is kept of a VM: nothing where that is of another version,
/// for it is good for a comparison and for nothing else.
///
/// # Errors
/// When the file cannot be used.
pub fn load(state: &StateDir, vm: &DomainUuid) -> Result<Looks, FileError> {
    let folder = state.root.subfolder(FOLDER)?;
    let text = folder.read(&file_name(vm), MAX_FILE)?;
    let read = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(read.unwrap_or_default())
}

/// Keeps these looks at a VM.
///
/// # Errors
/// When the file cannot be written.
pub fn save(
    state: &StateDir,
    vm: &DomainUuid,
    looks: &Looks,
) -> Result<(), FileError> {
    let folder = state.root.subfolder(FOLDER)?;
    let name = file_name(vm);
    let text = serde_json::to_string(looks).map_err(|error| FileError::Io {
        doing: "writing",
        path: folder.path_of(&name),
        source: error.into(),
    })?;
    folder.write(&name, &text)
}

fn file_name(vm: &DomainUuid) -> String {
    format!("{vm}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: u64) -> Look {
        let report = ProbeReport {
            schema_version: 1,
            version: "1".into(),
            jitter: None,
            sockets: Vec::new(),
            rdma: None,
        };
        Look { at, report }
    }

    #[test]
    fn looks_are_kept_for_each_vm() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let vm: DomainUuid =
            "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap();
        let other: DomainUuid =
            "c7a5fdbd-edaf-9455-926a-d65c16db180a".parse().unwrap();
        assert_eq!(load(&state, &vm).unwrap(), Looks::default());
        let mut looks = Looks { baseline: None, last: Some(look(5)) };
        assert_eq!(looks.before(), Some(&look(5)));
        looks.baseline = Some(look(3));
        assert_eq!(looks.before(), Some(&look(3)));
        save(&state, &vm, &looks).unwrap();
        assert_eq!(load(&state, &vm).unwrap(), looks);
        assert_eq!(load(&state, &other).unwrap(), Looks::default());
        let path = temp.path().join(format!("s/looks/{vm}.json"));
        std::fs::write(path, "{\"form\": 9}").unwrap();
        assert_eq!(load(&state, &vm).unwrap(), Looks::default());
    }
}
