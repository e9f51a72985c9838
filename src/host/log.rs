//! What was read through a [`Root`](super::Root), for a capture.

use std::collections::{BTreeMap, BTreeSet};

use crate::boot::Form;

/// What a path was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A folder, listed or only looked for.
    Folder,
    /// A file that was looked for and not read.
    File,
    /// A file with what was read of it.
    Content(Vec<u8>),
    /// A link with its text.
    Link(String),
}

/// All that was seen, by its path with every link resolved.
#[derive(Debug, Default)]
pub(super) struct Log {
    seen: BTreeMap<String, Seen>,
    forms: BTreeMap<String, Form>,
    /// Files of which it was asked whether they can be written, and which
    /// cannot.
    read_only: BTreeSet<String>,
}

impl Log {
    /// Notes that a path is there.
    pub(super) fn present(&mut self, place: &str, folder: bool) {
        let seen = if folder { Seen::Folder } else { Seen::File };
        self.seen.entry(place.to_owned()).or_insert(seen);
    }

    /// Notes what a file held. Read again, it keeps what was read last.
    pub(super) fn file(&mut self, place: &str, bytes: &[u8]) {
        self.seen.insert(place.to_owned(), Seen::Content(bytes.to_vec()));
    }

    /// Notes where a link points.
    pub(super) fn link(&mut self, place: &str, target: &str) {
        self.seen.insert(place.to_owned(), Seen::Link(target.to_owned()));
    }

    /// Notes in which form a file keeps a command line.
    pub(super) fn form(&mut self, place: &str, form: Form) {
        self.forms.insert(place.to_owned(), form);
    }

    /// Returns the files that keep a command line.
    pub(super) const fn forms(&self) -> &BTreeMap<String, Form> {
        &self.forms
    }

    /// Notes that a path is there, and whether it can be written.
    pub(super) fn mode(&mut self, place: &str, folder: bool, writable: bool) {
        self.present(place, folder);
        if !writable {
            self.read_only.insert(place.to_owned());
        }
    }

    /// Gives all that was seen, sorted by path, and the paths of files that
    /// cannot be written.
    pub(super) fn into_entries(
        self,
    ) -> (BTreeMap<String, Seen>, BTreeSet<String>) {
        (self.seen, self.read_only)
    }
}
