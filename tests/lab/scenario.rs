//! What is done in a lab host, and what has to be true of it afterwards.

use anyhow::Result;

use crate::inside::Lab;
use crate::judge::{Judge, Results};

/// A scenario: one file in `scenarios/`, and a line in its table.
pub(crate) struct Scenario {
    /// The name of its file.
    pub(crate) name: &'static str,
    /// What it proves, in a line.
    pub(crate) about: &'static str,
    /// The shapes that it runs on.
    pub(crate) shapes: &'static [&'static str],
    /// Whether it needs a host to itself. Others follow one another in one.
    pub(crate) alone: bool,
    /// How long it may take, in seconds, on a machine that has other work.
    pub(crate) patience: u64,
    /// Things that it can do wrong when it is asked to, each with the check
    /// that has to find it: a judge that finds nothing is worth nothing.
    pub(crate) faults: &'static [Fault],
    /// Runs in the host. It writes down what it sees, and judges nothing.
    pub(crate) run: fn(&Lab) -> Result<()>,
    /// Runs on the machine that the lab is on, over what was written down.
    pub(crate) judge: fn(&Results, &mut Judge) -> Result<()>,
}

/// Something that a scenario does wrong on purpose.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// The shape to do it on.
    pub(crate) shape: &'static str,
    /// What the check that finds it begins with.
    pub(crate) found_by: &'static str,
}
