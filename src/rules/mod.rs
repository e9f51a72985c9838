//! Rules: one setting each, with the reason for it.
//!
//! A rule is a pure function of facts, definition, policy and placement. It
//! sees the definition as it was read, never what another rule makes of it.

#[cfg(test)]
mod fixture;

use crate::base::XmlPath;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::{Level, Policy};
use crate::model::{Stage, VmPlacement};

/// One setting: what it is good for, and how it is decided.
#[derive(Debug)]
pub struct Rule {
    /// Kebab-case; the file's name.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// Why it exists: one sentence, true in general.
    pub why: &'static str,
    /// When it hurts, or what it costs.
    pub hurts: &'static str,
    /// What guides say and where they err; empty where they say nothing.
    pub folklore: &'static str,
    /// Documents or measurements that it rests on; never empty.
    pub sources: &'static [&'static str],
    /// What it may do unless the policy says otherwise.
    pub level: Level,
    /// The places that it may edit, as [`XmlPath::pattern`]s; an element
    /// stands for all below it. No two rules own the same place.
    pub owns: &'static [&'static str],
    /// Decides.
    pub evaluate: fn(&Context<'_>) -> Verdict,
}

/// What a rule is about; the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The guest's CPUs.
    GuestCpu,
    /// The guest's memory.
    GuestMemory,
    /// The guest's machine and devices.
    GuestIo,
}

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The host.
    pub facts: &'a Facts,
    /// The VM as it was read.
    pub domain: &'a Domain,
    /// The policy for this VM, its own table laid over the general keys.
    pub policy: &'a Policy,
    /// Where the VM goes.
    pub placement: &'a VmPlacement,
}

/// What a rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be; says what was seen.
    Satisfied(String),
    /// Something shall change.
    Change {
        /// The edits. The planner drops those that would change nothing.
        edits: Vec<Edit>,
        /// What is to be said besides.
        advice: Vec<String>,
    },
    /// Something is right but not ours to do.
    Advise(Vec<String>),
    /// The rule has nothing to say here; says why.
    NotApplicable(&'static str),
    /// A fact is missing.
    Unknown {
        /// Which.
        fact: &'static str,
        /// Why it is not known.
        why: String,
    },
}

/// One edit of a definition, before the planner knows what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub target: XmlPath,
    /// What shall stand there; `None` to take it away; empty for an element
    /// that has only to be there.
    pub to: Option<String>,
    /// Why, in this case.
    pub because: String,
    /// When it takes effect.
    pub stage: Stage,
    /// What it costs in safety.
    pub trade: Option<String>,
}

impl Edit {
    /// Sets the attribute or text at a place, at the next start of the VM.
    #[must_use]
    pub fn set(
        target: XmlPath,
        to: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Self {
            target,
            to: Some(to.into()),
            because: because.into(),
            stage: Stage::VmStart,
            trade: None,
        }
    }

    /// Makes sure that an element is there.
    #[must_use]
    pub fn ensure(target: XmlPath, because: impl Into<String>) -> Self {
        Self::set(target, "", because)
    }

    /// Takes an element or an attribute away.
    #[must_use]
    pub fn remove(target: XmlPath, because: impl Into<String>) -> Self {
        Self { to: None, ..Self::set(target, "", because) }
    }

    /// Says what the edit costs in safety.
    #[must_use]
    pub fn trading(mut self, what: impl Into<String>) -> Self {
        self.trade = Some(what.into());
        self
    }
}

/// All rules, in the order in which a plan lists their changes.
pub const RULES: &[&Rule] = &[];
