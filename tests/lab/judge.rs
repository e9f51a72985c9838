//! What came back from a host, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

/// The files that a scenario wrote in its host.
pub(crate) struct Results {
    dir: PathBuf,
}

impl Results {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Returns the file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns what a file says.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name))
            .with_context(|| format!("reading the result {name}"))
    }

    /// Returns what a file says in JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_str(&self.text(name)?)
            .with_context(|| format!("reading the result {name}"))
    }
}

/// What a check has found.
pub(crate) struct Check {
    /// What has to be true.
    pub(crate) what: String,
    /// What is there instead, where it is not.
    pub(crate) fault: Option<String>,
}

/// Collects checks; all are made, so that one fault hides no other.
#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) checks: Vec<Check>,
}

impl Judge {
    /// Says that something has to be true, and what it is like otherwise.
    pub(crate) fn holds(
        &mut self,
        what: impl Into<String>,
        holds: bool,
        otherwise: impl FnOnce() -> String,
    ) {
        let fault = (!holds).then(otherwise);
        self.checks.push(Check { what: what.into(), fault });
    }

    /// Says that two things have to be the same.
    pub(crate) fn same<T: PartialEq + Debug>(
        &mut self,
        what: impl Into<String>,
        found: &T,
        expected: &T,
    ) {
        self.holds(what, found == expected, || {
            format!("found {found:?}\n    expected {expected:?}")
        });
    }
    /// Says that things have to be the same one by one, and that there are
    /// any; tells of those that are not.
    pub(crate) fn each<K: Ord + Debug, T: PartialEq + Debug>(
        &mut self,
        what: &str,
        found: &BTreeMap<K, T>,
        expected: &BTreeMap<K, T>,
    ) {
        let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
        let differ = keys.iter().filter(|k| found.get(k) != expected.get(k));
        let faults: Vec<_> = differ
            .map(|key| {
                let (found, expected) = (found.get(key), expected.get(key));
                format!("{key:?}: found {found:?}, expected {expected:?}")
            })
            .collect();
        let what = format!("{what} ({})", expected.len());
        self.holds(what, faults.is_empty() && !expected.is_empty(), || {
            faults.join("\n    ")
        });
    }
}
