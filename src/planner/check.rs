//! Judges definitions against facts, without knowing the solver or the rules.

use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Policy;

/// A definition to judge.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The definition, byte for byte.
    pub text: &'a str,
    /// The same, read.
    pub domain: &'a Domain,
}

/// What is wrong with a definition.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema,
)]
pub struct Finding {
    /// The VM.
    pub vm: String,
    /// The rule of vmtune that owns the setting.
    pub rule: &'static str,
    /// Whether the VM will not start, or runs and is slow.
    pub severity: Severity,
    /// Line of the definition, counted from 1; `None` where something is
    /// missing as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A hard rule is broken: it will not start, or takes what is others'.
    Error,
    /// It runs, and worse than it could.
    Warning,
}

/// Judges definitions that are on a host at the same time.
#[must_use]
pub fn check(
    _facts: &Facts,
    _policy: &Policy,
    _judged: &[Judged<'_>],
    _neighbours: &[Domain],
) -> Vec<Finding> {
    Vec::new()
}
