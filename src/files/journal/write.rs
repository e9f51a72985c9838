//! Writing on a transaction's file.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::Serialize;

use super::record::{Ending, FORM, First, Header, Record, seal};
use super::{
    JournalError, Step, Transaction, TransactionId, file_name, writing,
};
use crate::base::Digest;
use crate::files::FileError;
use crate::files::folder::Folder;

/// A transaction that is being written on. Every method but
/// [`done`](Self::done) returns when its record is on the disk.
#[derive(Debug)]
pub struct Writer {
    id: TransactionId,
    path: PathBuf,
    file: File,
    /// Digest of the last line.
    last: Digest,
    /// Whether a record failed: nothing may follow one that is not there.
    broken: bool,
}

impl Writer {
    /// Writes the header. It appears as a whole, so that a file without one
    /// is always damage and never a crash.
    pub(super) fn begin(
        folder: &Folder,
        id: TransactionId,
        header: &Header,
    ) -> Result<Self, JournalError> {
        Self::make(folder, id, header, &[])
    }

    /// Opens a file that was read, and cuts off what a crash left of its last
    /// line: the next record must not be joined to it. One of the first form
    /// is written anew.
    pub(super) fn append(
        folder: &Folder,
        transaction: &Transaction,
    ) -> Result<Self, JournalError> {
        let Some(last) = transaction.last else {
            let records = transaction.records();
            let header = &transaction.header;
            return Self::make(folder, transaction.id, header, &records);
        };
        let writer = Self::open(folder, transaction.id, last)?;
        let cut = writer.file.set_len(transaction.whole);
        cut.map_err(|error| writer.failed(error))?;
        Ok(writer)
    }

    /// Makes a whole file.
    fn make(
        folder: &Folder,
        id: TransactionId,
        header: &Header,
        records: &[Record],
    ) -> Result<Self, JournalError> {
        let name = file_name(id);
        let path = folder.path_of(&name);
        let first = First {
            form: FORM,
            transaction: id.0,
            header: Cow::Borrowed(header),
        };
        let (mut text, mut last) = seal(&json(&path, &first)?, None);
        for record in records {
            let (line, digest) = seal(&json(&path, record)?, Some(last));
            text.push_str(&line);
            last = digest;
        }
        folder.write(&name, &text).map_err(writing)?;
        Self::open(folder, id, last)
    }

    fn open(
        folder: &Folder,
        id: TransactionId,
        last: Digest,
    ) -> Result<Self, JournalError> {
        let name = file_name(id);
        let file = folder
            .open(&name, OFlag::O_WRONLY | OFlag::O_APPEND)
            .map_err(writing)?
            .ok_or(JournalError::None(id))?;
        Ok(Self { id, path: folder.path_of(&name), file, last, broken: false })
    }

    /// Returns the transaction's number.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// Says that a place is about to be changed.
    ///
    /// # Errors
    /// When that is not on the disk; the step must not be done then.
    pub fn started(
        &mut self,
        number: usize,
        step: &Step,
    ) -> Result<(), JournalError> {
        self.record(&step.started(number))
    }

    /// Says that it was changed, and what stands there now. The next record
    /// takes it along to the disk: where both are lost, the step was cut off
    /// as far as anybody knows, and is undone as such.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn done(
        &mut self,
        number: usize,
        left: Option<&str>,
    ) -> Result<(), JournalError> {
        let left = left.map(str::to_owned);
        self.write_down(&Record::Done { step: number, left })
    }

    /// Says that all was done, and until when it has to be confirmed.
    ///
    /// # Errors
    /// When that is not on the disk.
    pub fn waiting(&mut self, until: u64) -> Result<(), JournalError> {
        self.record(&Record::Waiting { until })
    }

    /// Says that all is going to be undone.
    ///
    /// # Errors
    /// When that is not on the disk.
    pub fn undoing(
        &mut self,
        because: Option<String>,
    ) -> Result<(), JournalError> {
        self.record(&Record::Undoing { because })
    }

    /// Says that what was there before a step is there again.
    ///
    /// # Errors
    /// When that is not on the disk.
    pub fn rolled_back(&mut self, number: usize) -> Result<(), JournalError> {
        self.record(&Record::RolledBack { step: number })
    }

    /// Says that nothing is left to do.
    ///
    /// # Errors
    /// When that is not on the disk.
    pub fn finished(&mut self, ending: Ending) -> Result<(), JournalError> {
        self.record(&Record::Finished { ending })
    }

    fn record(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write_down(record)?;
        let synced = self.file.sync_all();
        self.broken = synced.is_err();
        synced.map_err(|error| self.failed(error))
    }

    fn write_down(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.broken {
            let path = self.path.clone();
            return Err(JournalError::Broken { path });
        }
        let (line, digest) = seal(&json(&self.path, record)?, Some(self.last));
        let written = self.file.write_all(line.as_bytes());
        self.broken = written.is_err();
        self.last = digest;
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> JournalError {
        let path = self.path.clone();
        writing(FileError::Io { doing: "writing", path, source })
    }
}

/// Spells a record. JSON has no bare line break, so a record is one line.
fn json(path: &Path, record: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(record)
        .map_err(|source| JournalError::Record { path: path.into(), source })
}
