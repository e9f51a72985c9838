//! The journal: what undoes each transaction, written before it is needed.
//!
//! A transaction is one file, `journal/tx-000001.jsonl`: a header and then
//! one JSON record a line, only ever appended to, and on the disk before the
//! step that it announces is done. A crash can cut the last line short; the
//! step of such a line was not begun, so the line is left out. All else that
//! does not fit is damage and is reported as such; each line has a digest of
//! itself and of all before it.
//!
//! The files hold whole definitions, with their secrets, and are readable to
//! their owner alone.

mod form1;
mod read;
mod record;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use read::{Left, Status, Step, Transaction};
pub use record::{Ending, Header};
pub use write::Writer;

use super::folder::Folder;
use super::{FileError, Lock, StateDir};
use crate::base::ParseValueError;
use crate::model::Place;

/// Name of the journal's folder in the state folder.
const FOLDER: &str = "journal";
/// Largest file that is read: 100 VMs, each with three definitions of 200 kB.
/// Files and values of the host are small beside that.
const MAX_FILE: u64 = 64 << 20;

/// The number of a transaction; its text is `tx-000001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub u32);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tx-{:06}", self.0)
    }
}

impl FromStr for TransactionId {
    type Err = ParseValueError;

    /// Reads `tx-000001`, and `1` for people who type it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("tx-").unwrap_or(text);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        match digits.parse() {
            Ok(number) if plain => Ok(Self(number)),
            _ => Err(ParseValueError::new(text, "a transaction as tx-000001")),
        }
    }
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file could not be used.
    #[error("{doing} the journal")]
    File {
        /// "reading" or "writing".
        doing: &'static str,
        /// Why.
        source: FileError,
    },
    /// There is no such transaction.
    #[error("there is no transaction {0}; `vmtune history` lists them")]
    None(TransactionId),
    /// The file was written by another version.
    #[error("{path} has form {found}, this vmtune reads form {known}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: u32,
        /// The program's.
        known: u32,
    },
    /// The file does not say what a journal says.
    #[error(
        "{path} is damaged at line {line}: {what}; nothing was undone from it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A record before this one could not be written.
    #[error("{path} cannot be written on after an error")]
    Broken {
        /// The file.
        path: PathBuf,
    },
    /// A record could not be written as JSON.
    #[error("writing a record of {path}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The journal of one state folder.
#[derive(Debug)]
pub struct Journal {
    folder: Folder,
}

/// A line of the history.
#[derive(Debug)]
pub struct Entry {
    /// The transaction.
    pub id: TransactionId,
    /// When it began, as far as it can be read.
    pub summary: Result<Summary, JournalError>,
}

/// What a history shows of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// The places that it changed.
    pub places: Vec<Place>,
    /// Where it stands.
    pub status: Status,
}

impl Journal {
    /// Opens the journal.
    ///
    /// # Errors
    /// When its folder cannot be used.
    pub fn open(state: &StateDir) -> Result<Self, JournalError> {
        let folder = state.root.subfolder(FOLDER).map_err(reading)?;
        Ok(Self { folder })
    }

    /// Reads one transaction.
    ///
    /// # Errors
    /// [`JournalError::None`] and [`JournalError::Damaged`].
    pub fn read(&self, id: TransactionId) -> Result<Transaction, JournalError> {
        let name = file_name(id);
        let bytes = self.folder.read(&name, MAX_FILE).map_err(reading)?;
        let bytes = bytes.ok_or(JournalError::None(id))?;
        read::parse(id, &self.folder.path_of(&name), &bytes)
    }

    /// Returns the transaction that was cut off or waits to be confirmed,
    /// where there is one. A file that does not end as a finished one, and
    /// cannot be read, might be one, and is an error.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn pending(&self) -> Result<Option<Transaction>, JournalError> {
        for id in self.ids()?.into_iter().rev() {
            if self.says_its_end(id)? {
                continue;
            }
            let transaction = self.read(id)?;
            if transaction.status.is_pending() {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// Returns the last transaction that still stands.
    ///
    /// # Errors
    /// When a transaction after it cannot be read.
    pub fn last_applied(&self) -> Result<Option<Transaction>, JournalError> {
        for id in self.ids()?.into_iter().rev() {
            let transaction = self.read(id)?;
            if transaction.status == Status::Applied {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// Lists all transactions, oldest first. One that cannot be read is an
    /// entry too.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn history(&self) -> Result<Vec<Entry>, JournalError> {
        let entry = |id| Entry {
            id,
            summary: self.read(id).map(|transaction| Summary {
                started: transaction.header.started,
                status: transaction.status,
                places: transaction
                    .steps
                    .into_iter()
                    .map(|step| step.place)
                    .collect(),
            }),
        };
        Ok(self.ids()?.into_iter().map(entry).collect())
    }

    /// Begins a transaction: its header is on the disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(
        &self,
        _lock: &Lock,
        header: &Header,
    ) -> Result<Writer, JournalError> {
        Writer::begin(&self.folder, self.next_id()?, header)
    }

    /// Returns the number that a transaction would get, and makes no folder
    /// where there is none.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn next_in(state: &StateDir) -> Result<TransactionId, JournalError> {
        let names = state.root.names().map_err(reading)?;
        if names.iter().any(|name| name == FOLDER) {
            return Self::open(state)?.next_id();
        }
        Ok(TransactionId(1))
    }

    /// Returns the number that a transaction gets that begins now.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn next_id(&self) -> Result<TransactionId, JournalError> {
        let last = self.ids()?.last().map_or(0, |id| id.0);
        Ok(TransactionId(last.saturating_add(1)))
    }

    /// Opens a transaction to write on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(
        &self,
        _lock: &Lock,
        transaction: &Transaction,
    ) -> Result<Writer, JournalError> {
        Writer::append(&self.folder, transaction)
    }

    /// Removes the oldest finished transactions, so that `keep` finished ones
    /// stay; returns those removed. What is removed cannot be undone any more.
    /// One that cannot be read stays, for a person to look at.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn prune(
        &self,
        _lock: &Lock,
        keep: usize,
    ) -> Result<Vec<TransactionId>, JournalError> {
        let mut ids = self.ids()?;
        if ids.len() <= keep {
            return Ok(Vec::new());
        }
        let finished = |id: &TransactionId| {
            self.read(*id)
                .is_ok_and(|transaction| !transaction.status.is_pending())
        };
        ids.retain(|id| {
            self.says_its_end(*id).unwrap_or(false) || finished(id)
        });
        ids.truncate(ids.len().saturating_sub(keep));
        ids.retain(finished);
        for id in &ids {
            self.folder.remove(&file_name(*id)).map_err(writing)?;
        }
        Ok(ids)
    }

    /// Returns whether the last line of a file is the end of a transaction.
    /// A file holds whole definitions, and is read where this does not do.
    fn says_its_end(&self, id: TransactionId) -> Result<bool, JournalError> {
        let name = file_name(id);
        let tail = self.folder.tail(&name, record::LONGEST_END);
        Ok(record::is_end(&tail.map_err(reading)?))
    }

    /// Returns the numbers of all transactions, in order.
    fn ids(&self) -> Result<Vec<TransactionId>, JournalError> {
        let names = self.folder.names().map_err(reading)?;
        let number = |name: &String| {
            let stem = name.strip_suffix(".jsonl")?;
            let id: TransactionId = stem.parse().ok()?;
            (file_name(id) == *name).then_some(id)
        };
        let mut ids: Vec<_> = names.iter().filter_map(number).collect();
        ids.sort();
        Ok(ids)
    }
}

fn file_name(id: TransactionId) -> String {
    format!("{id}.jsonl")
}

fn reading(source: FileError) -> JournalError {
    JournalError::File { doing: "reading", source }
}

fn writing(source: FileError) -> JournalError {
    JournalError::File { doing: "writing", source }
}

#[cfg(test)]
mod tests;
