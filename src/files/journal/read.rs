//! From a transaction's file to what it says.

use std::path::Path;

use super::record::{Ending, FORM, First, Form, Header, Record};
use super::{JournalError, TransactionId};
use crate::base::{Digest, DomainName, DomainUuid};

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
}

/// A definition that was replaced, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The domain's name.
    pub name: DomainName,
    /// The domain.
    pub uuid: DomainUuid,
    /// Its definition before, byte for byte.
    pub former: String,
    /// The text that was given to the hypervisor.
    pub written: String,
    /// What the hypervisor made of it; `None` where the step was cut off.
    pub left: Option<String>,
    /// Whether the former definition is in force again.
    pub rolled_back: bool,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was cut off, or its rollback was or failed.
    Unfinished {
        /// Whether it was on its way back.
        undoing: bool,
    },
    /// It is in force.
    Applied,
    /// It was undone.
    RolledBack,
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
    if form.form != FORM {
        let (found, known) = (form.form, FORM);
        return Err(JournalError::Form { path: path.into(), found, known });
    }
    let first: First<'_> = serde_json::from_str(first)
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
    };
    for (line, number) in lines {
        let record = serde_json::from_str(line)
            .map_err(|error| damaged(number, error.to_string()))?;
        transaction
            .take(record)
            .map_err(|what| damaged(number, what.into()))?;
    }
    Ok(transaction)
}

impl Transaction {
    /// Adds one record; says what is wrong with one that does not follow.
    pub(super) fn take(&mut self, record: Record) -> Result<(), &'static str> {
        let undoing = match self.status {
            Status::Unfinished { undoing } => undoing,
            // Only a rollback goes on after the end.
            Status::Applied if matches!(record, Record::Undoing { .. }) => {
                false
            }
            _ => return Err("a record after the end"),
        };
        let digest = |text: &str, digest| {
            if Digest::of(text.as_bytes()) == digest {
                Ok(())
            } else {
                Err("a definition does not match its digest")
            }
        };
        match record {
            Record::Started {
                step,
                name,
                uuid,
                former,
                former_digest,
                written,
            } => {
                digest(&former, former_digest)?;
                let ready = self.steps.iter().all(|one| one.left.is_some());
                if undoing || step != self.steps.len() || !ready {
                    return Err("a step that is not the next one");
                }
                self.steps.push(Step {
                    name,
                    uuid,
                    former,
                    written,
                    left: None,
                    rolled_back: false,
                });
            }
            Record::Done { step, left, left_digest } => {
                digest(&left, left_digest)?;
                let one = self.steps.get_mut(step);
                let one = one.ok_or("the end of a step not begun")?;
                if undoing || one.left.is_some() {
                    return Err("the end of a step that has ended");
                }
                one.left = Some(left);
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
                let done = self.steps.iter().all(|one| one.left.is_some());
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
