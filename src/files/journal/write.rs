//! Writing on a transaction's file.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use serde::Serialize;

use super::record::{Ending, FORM, First, Header, Record};
use super::{
    JournalError, Step, Transaction, TransactionId, file_name, writing,
};
use crate::base::Digest;
use crate::files::FileError;
use crate::files::folder::Folder;

/// A transaction that is being written on. Every method returns when its
/// record is on the disk.
#[derive(Debug)]
pub struct Writer {
    id: TransactionId,
    path: PathBuf,
    file: File,
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
        let first = First {
            form: FORM,
            transaction: id.0,
            header: Cow::Borrowed(header),
        };
        let name = file_name(id);
        let text = line(&folder.path_of(&name), &first)?;
        folder.write(&name, &text).map_err(writing)?;
        Self::open(folder, id)
    }

    /// Opens a file that was read, and cuts off what a crash left of its last
    /// line: the next record must not be joined to it.
    pub(super) fn append(
        folder: &Folder,
        transaction: &Transaction,
    ) -> Result<Self, JournalError> {
        let writer = Self::open(folder, transaction.id)?;
        let cut = writer.file.set_len(transaction.whole);
        cut.map_err(|error| writer.failed(error))?;
        Ok(writer)
    }

    fn open(folder: &Folder, id: TransactionId) -> Result<Self, JournalError> {
        let name = file_name(id);
        let file = folder
            .open(&name, OFlag::O_WRONLY | OFlag::O_APPEND)
            .map_err(writing)?
            .ok_or(JournalError::None(id))?;
        Ok(Self { id, path: folder.path_of(&name), file, broken: false })
    }

    /// Returns the transaction's number.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// Says that a definition is about to be replaced.
    ///
    /// # Errors
    /// When that is not on the disk; the step must not be done then.
    pub fn started(
        &mut self,
        number: usize,
        step: &Step,
    ) -> Result<(), JournalError> {
        self.record(&Record::Started {
            step: number,
            name: step.name.clone(),
            uuid: step.uuid,
            former: step.former.clone(),
            former_digest: Digest::of(step.former.as_bytes()),
            written: step.written.clone(),
        })
    }

    /// Says that it was replaced, and what the hypervisor made of it.
    ///
    /// # Errors
    /// When that is not on the disk.
    pub fn done(
        &mut self,
        number: usize,
        left: &str,
    ) -> Result<(), JournalError> {
        self.record(&Record::Done {
            step: number,
            left: left.into(),
            left_digest: Digest::of(left.as_bytes()),
        })
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

    /// Says that a former definition is in force again.
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
        if self.broken {
            let path = self.path.clone();
            return Err(JournalError::Broken { path });
        }
        let text = line(&self.path, record)?;
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all());
        self.broken = written.is_err();
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> JournalError {
        let path = self.path.clone();
        writing(FileError::Io { doing: "writing", path, source })
    }
}

/// Spells a record. JSON has no bare line break, so a record is one line.
fn line(
    path: &std::path::Path,
    record: &impl Serialize,
) -> Result<String, JournalError> {
    let mut text = serde_json::to_string(record)
        .map_err(|source| JournalError::Record { path: path.into(), source })?;
    text.push('\n');
    Ok(text)
}
