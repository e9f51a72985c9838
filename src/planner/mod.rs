//! From facts, definitions and a policy to a plan.

use std::collections::BTreeMap;

use crate::base::DomainName;
use crate::model::Plan;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Policy;

/// All that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The host.
    pub facts: &'a Facts,
    /// What is wanted.
    pub policy: &'a Policy,
    /// The VMs to plan.
    pub subjects: &'a [Subject],
    /// What else the host holds.
    pub neighbours: &'a [Neighbour],
    /// Where the definitions come from: a libvirt URI or "files".
    pub connection: &'a str,
}

/// A VM to plan: its inactive definition, as text and as read.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The definition, byte for byte.
    pub text: String,
    /// The same, read.
    pub domain: Domain,
    /// The running VM's definition, where it runs: pages that it holds now
    /// will be free when it starts anew.
    pub live: Option<Domain>,
}

/// A VM that is not planned: it holds the union of what its definitions say.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its name.
    pub name: DomainName,
    /// Its inactive definition, its live one, or both.
    pub definitions: Vec<Domain>,
    /// Whether it runs, so that the host's free pages are without its own.
    pub running: bool,
}

/// A plan, and the definitions that it leads to.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The rewritten definition of each planned VM.
    pub definitions: BTreeMap<DomainName, String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No placement exists, or a hard rule cannot be met (exit code 7).
    #[error("{0}")]
    Refused(Refusal),
    /// Two rules want different things at one place: a defect of vmtune.
    #[error("rules {0} and {1} both edit {2}")]
    Conflict(String, String, String),
    /// The definition cannot be edited as planned.
    #[error("editing the definition of {0}: {1}")]
    Edit(DomainName, String),
    /// The checker faulted the finished plan: a defect of vmtune.
    #[error("the plan for {0} failed its own check: {1}")]
    Faulted(DomainName, String),
}

/// The smallest explanation of why nothing fits.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema,
)]
pub struct Refusal {
    /// The VM that does not fit.
    pub vm: String,
    /// What is short: "node 1 has 3 free 1G pages, 8 are needed".
    pub shortage: String,
    /// What would do, each a change that was tried and would: "5 more 1G
    /// pages on node 1", "2M pages".
    pub remedies: Vec<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} does not fit: {}", self.vm, self.shortage)?;
        if !self.remedies.is_empty() {
            write!(f, "; {} would do", self.remedies.join(", or "))?;
        }
        Ok(())
    }
}

/// Makes a plan for all subjects together, or says why there is none.
///
/// # Errors
/// See [`PlanError`]; nothing is planned unless all fits.
pub fn plan(_: &Inputs<'_>) -> Result<Planned, PlanError> {
    Err(PlanError::Conflict(String::new(), String::new(), String::new()))
}

pub mod check;
