//! One call of `qm set`, by which Proxmox changes a definition: under its own
//! lock, with its own checks, and only if the text is still the one that the
//! change was made for.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{ConfDigest, Vmid};

/// What is asked of Proxmox. No key is in two of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QmSet {
    /// The VM.
    pub vmid: Vmid,
    /// Keys that get a value.
    pub set: BTreeMap<String, String>,
    /// Keys that are taken away.
    pub delete: BTreeSet<String>,
    /// Keys of which nothing waits for the next start any more.
    pub revert: BTreeSet<String>,
    /// The text that all of this was made for.
    pub digest: ConfDigest,
}

impl QmSet {
    /// Returns whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty() && self.revert.is_empty()
    }

    /// Returns the program and its arguments.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["qm".to_owned(), "set".to_owned()];
        words.push(self.vmid.to_string());
        for (key, value) in &self.set {
            words.extend([format!("--{key}"), value.clone()]);
        }
        for (option, keys) in
            [("--delete", &self.delete), ("--revert", &self.revert)]
        {
            if !keys.is_empty() {
                let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                words.extend([option.to_owned(), keys.join(",")]);
            }
        }
        words.extend(["--digest".to_owned(), self.digest.to_string()]);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_one_word() {
        let keys = |all: &[&str]| all.iter().map(|k| (*k).into()).collect();
        let mut set = QmSet {
            vmid: "101".parse().unwrap(),
            set: BTreeMap::new(),
            delete: keys(&[]),
            revert: keys(&[]),
            digest: ConfDigest::of(""),
        };
        assert!(set.is_empty());
        set.set.insert("numa0".into(), "cpus=0-1;4,memory=512 $(x)".into());
        set.delete = keys(&["numa2", "numa1"]);
        set.revert = keys(&["cores"]);
        assert!(!set.is_empty());
        let digest = ConfDigest::of("").to_string();
        assert_eq!(
            set.words(),
            [
                "qm",
                "set",
                "101",
                "--numa0",
                "cpus=0-1;4,memory=512 $(x)",
                "--delete",
                "numa1,numa2",
                "--revert",
                "cores",
                "--digest",
                &digest,
            ]
        );
    }
}
