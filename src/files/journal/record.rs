//! The records of a transaction's file, one a line.
//!
//! Each line begins with a digest of all lines before it and of the rest of
//! itself, so that no byte of a file can change unseen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, DomainUuid};
use crate::model::{Footing, Place, Plan};

/// The version of the form that this program writes.
pub(super) const FORM: u32 = 2;

/// What a transaction sets out to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// When it began, in seconds since 1970; for people.
    pub started: u64,
    /// What it applies, with the digest of each definition before it.
    pub plan: Plan,
    /// The kernel's number for the time since the host was booted, which
    /// values of the kernel do not outlive; `None` where it is not known.
    #[serde(default)]
    pub boot: Option<String>,
    /// The places of the plan that were as planned already.
    #[serde(default)]
    pub already_so: Vec<Place>,
    /// What stood at the places of VMs that ran; without a record of a change
    /// nothing else would tell what was there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub live: BTreeMap<DomainUuid, String>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every step was done and is in force.
    Applied,
    /// Every step that was begun was undone.
    RolledBack,
}

/// The first line, alone: every version has these two fields.
#[derive(Debug, Deserialize)]
pub(super) struct Form {
    pub(super) form: u32,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First<'a> {
    pub(super) form: u32,
    pub(super) transaction: u32,
    pub(super) header: Cow<'a, Header>,
}

/// Every other line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Record {
    /// A place is about to be changed.
    Started {
        step: usize,
        place: Place,
        /// What stands there, byte for byte.
        former: Option<String>,
        footing: Footing,
        /// What is going to be written.
        written: Option<String>,
    },
    /// It was changed, and this is what stands there now.
    Done { step: usize, left: Option<String> },
    /// Every step was done; unless somebody confirms it until then, in
    /// seconds since 1970, it is undone.
    Waiting { until: u64 },
    /// Everything is going to be undone from here on.
    Undoing {
        /// What failed; `None` where a person asked for it.
        because: Option<String>,
    },
    /// What stood there before stands there again.
    RolledBack { step: usize },
    /// Nothing is left to do.
    Finished { ending: Ending },
}

/// What a line begins with, up to its digest.
const BEFORE: &str = "{\"digest\":\"";
/// What follows the digest.
const AFTER: &str = "\",";

/// Makes a line of a JSON object; returns it with its digest. `last` is that
/// of the line before.
pub(super) fn seal(json: &str, last: Option<Digest>) -> (String, Digest) {
    let digest = digest(json, last);
    let rest = json.strip_prefix('{').unwrap_or(json);
    (format!("{BEFORE}{digest}{AFTER}{rest}\n"), digest)
}

/// Returns the JSON object of a line, without its digest, and the digest;
/// `None` where they do not fit.
pub(super) fn unseal(
    line: &str,
    last: Option<Digest>,
) -> Option<(String, Digest)> {
    let (found, rest) = line.strip_prefix(BEFORE)?.split_once(AFTER)?;
    let json = format!("{{{rest}");
    let found: Digest = found.parse().ok()?;
    (found == digest(&json, last)).then_some((json, found))
}

/// Room for the last line of a finished transaction, and the line break
/// before it.
pub(super) const LONGEST_END: u64 = 160;

/// Returns whether a file that ends like this is of a finished transaction.
/// The digest is not computed: it needs the line before.
pub(super) fn is_end(tail: &[u8]) -> bool {
    let line = tail.strip_suffix(b"\n").unwrap_or_default();
    let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let rest = line.strip_prefix(BEFORE).and_then(|l| l.split_once(AFTER));
    let Some((digest, rest)) = rest else { return false };
    digest.parse::<Digest>().is_ok()
        && serde_json::from_str(&format!("{{{rest}"))
            .is_ok_and(|record| matches!(record, Record::Finished { .. }))
}

fn digest(json: &str, last: Option<Digest>) -> Digest {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    Digest::of((last + json).as_bytes())
}
