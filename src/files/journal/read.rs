//! From a transaction's file to what it says.

use std::path::Path;

use super::form1::{self, Record1};
use super::record::{Ending, FORM, First, Form, Header, Record, unseal};
use super::{JournalError, TransactionId};
use crate::base::Digest;
use crate::model::{Footing, Place};

/// A transaction as its file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its number.
    pub id: TransactionId,
    /// What it set out to do.
    pub header: Header,
    /// The steps that were begun, in order.
    pub steps: Vec<Step>,
    /// Where it stands.
    pub status: Status,
    /// What failed, where it was rolled back for that.
    pub because: Option<String>,
    /// Length of the whole lines; what follows was cut off by a crash.
    pub(super) whole: u64,
    /// Digest of the last whole line; `None` in the first form.
    pub(super) last: Option<Digest>,
}

/// A place that was changed, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The place.
    pub place: Place,
    /// What stood there before, byte for byte; `None` where nothing did.
    pub former: Option<String>,
    /// How the file stood in its folder, where it is one.
    pub footing: Footing,
    /// What was to be written; `None` to take it away.
    pub written: Option<String>,
    /// What stood there afterwards.
    pub left: Left,
    /// Whether what was there before is there again.
    pub rolled_back: bool,
}

/// What a step left at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// The step was cut off: it is not known.
    Unknown,
    /// This text, or nothing.
    Known(Option<String>),
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was cut off, or its rollback was or failed.
    Unfinished {
        /// Whether it was on its way back.
        undoing: bool,
    },
    /// It is in force, and is undone unless somebody confirms it.
    Waiting {
        /// When that is, in seconds since 1970.
        until: u64,
    },
    /// It is in force.
    Applied,
    /// It was undone.
    RolledBack,
}

impl Status {
    /// Returns whether nothing else may begin before it has ended.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Unfinished { .. } | Self::Waiting { .. })
    }
}

/// Reads a transaction. Every record must follow from those before it.
pub(super) fn parse(
    id: TransactionId,
    path: &Path,
    bytes: &[u8],
) -> Result<Transaction, JournalError> {
    let damaged = |line: usize, what: String| JournalError::Damaged {
        path: path.into(),
        line,
        what,
    };
    // What follows the last line break was cut off while it was written.
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = &bytes[..end.map_or(0, |end| end + 1)];
    let text = std::str::from_utf8(whole).map_err(|error| {
        let before = &whole[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        damaged(line, "it is not UTF-8".into())
    })?;
    let mut lines = text.lines().zip(1..);
    let Some((first, _)) = lines.next() else {
        return Err(damaged(1, "there is no whole header".into()));
    };
    let form: Form = serde_json::from_str(first)
        .map_err(|error| damaged(1, error.to_string()))?;
    let mut reader = Reader { last: None, sealed: form.form == FORM };
    if !reader.sealed && form.form != form1::FORM {
        let (found, known) = (form.form, FORM);
        return Err(JournalError::Form { path: path.into(), found, known });
    }
    let json = reader.json(first).map_err(|what| damaged(1, what))?;
    let first: First<'_> = serde_json::from_str(&json)
        .map_err(|error| damaged(1, error.to_string()))?;
    if first.transaction != id.0 {
        let other = TransactionId(first.transaction);
        return Err(damaged(1, format!("it is the header of {other}")));
    }
    let mut transaction = Transaction {
        id,
        header: first.header.into_owned(),
        steps: Vec::new(),
        status: Status::Unfinished { undoing: false },
        because: None,
        whole: whole.len() as u64,
        last: None,
    };
    for (line, number) in lines {
        let record =
            reader.record(line).map_err(|what| damaged(number, what))?;
        transaction
            .take(record)
            .map_err(|what| damaged(number, what.into()))?;
    }
    transaction.last = reader.last;
    Ok(transaction)
}

/// Reads lines one after the other.
struct Reader {
    /// Digest of the line before.
    last: Option<Digest>,
    /// Whether lines have digests; the first form has none.
    sealed: bool,
}

impl Reader {
    fn json(&mut self, line: &str) -> Result<String, String> {
        if !self.sealed {
            return Ok(line.to_owned());
        }
        let (json, digest) = unseal(line, self.last)
            .ok_or("it does not match its digest, or a line is missing")?;
        self.last = Some(digest);
        Ok(json)
    }

    fn record(&mut self, line: &str) -> Result<Record, String> {
        let json = self.json(line)?;
        let failed = |error: serde_json::Error| error.to_string();
        if self.sealed {
            return serde_json::from_str(&json).map_err(failed);
        }
        let record: Record1 = serde_json::from_str(&json).map_err(failed)?;
        Ok(record.into_record()?)
    }
}

impl Transaction {
    /// Returns the records that lead to where the transaction stands.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (step, one) in self.steps.iter().enumerate() {
            records.push(one.started(step));
            if let Left::Known(left) = &one.left {
                records.push(Record::Done { step, left: left.clone() });
            }
        }
        let because = self.because.clone();
        match self.status {
            Status::Unfinished { undoing: false } => {}
            Status::Waiting { until } => {
                records.push(Record::Waiting { until });
            }
            Status::Applied => {
                records.push(Record::Finished { ending: Ending::Applied });
            }
            Status::Unfinished { undoing: true } | Status::RolledBack => {
                records.push(Record::Undoing { because });
            }
        }
        let back = self.steps.iter().enumerate();
        let back = back.filter(|(_, one)| one.rolled_back);
        records.extend(back.map(|(step, _)| Record::RolledBack { step }));
        if self.status == Status::RolledBack {
            records.push(Record::Finished { ending: Ending::RolledBack });
        }
        records
    }

    /// Adds one record; says what is wrong with one that does not follow.
    pub(super) fn take(&mut self, record: Record) -> Result<(), &'static str> {
        let goes_on = match (&record, self.status) {
            (_, Status::Unfinished { .. }) => true,
            // Only a rollback goes on after the end, and only it or a
            // confirmation after all is done.
            (Record::Undoing { .. }, Status::Applied) => true,
            (
                Record::Undoing { .. }
                | Record::Finished { ending: Ending::Applied },
                Status::Waiting { .. },
            ) => true,
            _ => false,
        };
        if !goes_on {
            return Err("a record after the end");
        }
        let undoing = self.status == Status::Unfinished { undoing: true };
        let done = self.steps.iter().all(|one| one.left != Left::Unknown);
        match record {
            Record::Started { step, place, former, footing, written } => {
                if undoing || step != self.steps.len() || !done {
                    return Err("a step that is not the next one");
                }
                self.steps.push(Step {
                    place,
                    former,
                    footing,
                    written,
                    left: Left::Unknown,
                    rolled_back: false,
                });
            }
            Record::Done { step, left } => {
                let one = self.steps.get_mut(step);
                let one = one.ok_or("the end of a step not begun")?;
                if undoing || one.left != Left::Unknown {
                    return Err("the end of a step that has ended");
                }
                one.left = Left::Known(left);
            }
            Record::Waiting { until } => {
                if undoing || !done {
                    return Err("waiting before all steps are done");
                }
                self.status = Status::Waiting { until };
            }
            Record::Undoing { because } => {
                self.status = Status::Unfinished { undoing: true };
                if because.is_some() {
                    self.because = because;
                }
            }
            Record::RolledBack { step } => {
                let one = self.steps.get_mut(step);
                let one = one.ok_or("the undoing of a step not begun")?;
                if !undoing || one.rolled_back {
                    return Err("the undoing of a step out of turn");
                }
                one.rolled_back = true;
            }
            Record::Finished { ending: Ending::Applied } => {
                if undoing || !done {
                    return Err("an end before all steps are done");
                }
                self.status = Status::Applied;
            }
            Record::Finished { ending: Ending::RolledBack } => {
                let back = self.steps.iter().all(|one| one.rolled_back);
                if !undoing || !back {
                    return Err("an end before all steps are undone");
                }
                self.status = Status::RolledBack;
            }
        }
        Ok(())
    }
}

impl Step {
    /// Returns the record that announces the step.
    pub(super) fn started(&self, step: usize) -> Record {
        Record::Started {
            step,
            place: self.place.clone(),
            former: self.former.clone(),
            footing: self.footing,
            written: self.written.clone(),
        }
    }

    /// Returns what the step left, where that is known.
    #[must_use]
    pub const fn left(&self) -> Option<&Option<String>> {
        match &self.left {
            Left::Unknown => None,
            Left::Known(left) => Some(left),
        }
    }
}
