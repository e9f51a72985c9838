//! The first form of a transaction's file: definitions alone, and a digest
//! for each of them in place of one for each line. It is read, and written
//! anew in the form of today before anything is added.

use serde::Deserialize;

use super::record::{Ending, Record};
use crate::base::{Digest, DomainName, DomainUuid};
use crate::model::{Footing, Place};

/// The number of this form.
pub(super) const FORM: u32 = 1;

/// A line of that form, the first one apart.
#[derive(Debug, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Record1 {
    Started {
        step: usize,
        name: DomainName,
        uuid: DomainUuid,
        former: String,
        former_digest: Digest,
        written: String,
    },
    Done {
        step: usize,
        left: String,
        left_digest: Digest,
    },
    Undoing {
        because: Option<String>,
    },
    RolledBack {
        step: usize,
    },
    Finished {
        ending: Ending,
    },
}

impl Record1 {
    /// Returns the record as it is written today.
    pub(super) fn into_record(self) -> Result<Record, &'static str> {
        let check = |text: &str, digest| {
            if Digest::of(text.as_bytes()) == digest {
                Ok(())
            } else {
                Err("a definition does not match its digest")
            }
        };
        Ok(match self {
            Self::Started {
                step,
                name,
                uuid,
                former,
                former_digest,
                written,
            } => {
                check(&former, former_digest)?;
                Record::Started {
                    step,
                    place: Place::Definition { name, uuid },
                    former: Some(former),
                    footing: Footing::default(),
                    written: Some(written),
                }
            }
            Self::Done { step, left, left_digest } => {
                check(&left, left_digest)?;
                Record::Done { step, left: Some(left) }
            }
            Self::Undoing { because } => Record::Undoing { because },
            Self::RolledBack { step } => Record::RolledBack { step },
            Self::Finished { ending } => Record::Finished { ending },
        })
    }
}
