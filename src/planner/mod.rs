//! From facts, definitions and a policy to a plan.

mod because;
pub mod check;
mod fingerprint;
mod functions;
mod ground;
mod host;
mod judge;
mod merge;
mod pools;
mod refusal;
mod scope;

use std::collections::BTreeMap;

pub use fingerprint::fingerprint;
pub use refusal::Refusal;

use self::ground::Ground;
use crate::base::{CpuSet, DomainName};
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Policy;
use crate::model::{Plan, VmPlan};

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
    /// The policy keeps CPUs for the host that the host does not have.
    #[error(
        "[cpu] housekeeping of the policy names CPUs {0}, which {1} does not \
         have"
    )]
    NoSuchCpus(CpuSet, String),
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

/// Makes a plan for all subjects together, or says why there is none.
///
/// # Errors
/// See [`PlanError`]; nothing is planned unless all fits.
pub fn plan(inputs: &Inputs<'_>) -> Result<Planned, PlanError> {
    let read = inputs.facts;
    let forecast = functions::forecast(inputs);
    let inputs = &Inputs { facts: &forecast, ..*inputs };
    for subject in inputs.subjects {
        scope::admit(inputs.facts, &subject.domain)
            .map_err(PlanError::Refused)?;
    }
    scope::keeps_what_is_there(inputs)?;
    let mut subjects: Vec<&Subject> = inputs.subjects.iter().collect();
    subjects.sort_by(|a, b| a.domain.name.cmp(&b.domain.name));
    let ground = Ground::of(inputs, inputs.policy);
    let solution = ground
        .settle(&subjects, inputs.policy)
        .map_err(|short| refusal::explain(inputs, &subjects, &short))?;
    let equipped = functions::equip(inputs, &subjects, &solution.placements);
    let devices = functions::cited(&subjects, &solution.placements);
    let mut plan = Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: fingerprint(&read.into(), &devices),
        host: inputs.facts.source.clone(),
        connection: inputs.connection.to_owned(),
        preset: inputs.policy.preset.clone(),
        housekeeping: ground.housekeeping.clone(),
        boot_loader: None,
        vms: Vec::new(),
        changes: Vec::new(),
        advice: because::neighbours(inputs),
        unknown: Vec::new(),
    };
    let mut definitions = BTreeMap::new();
    for (at, subject) in equipped.iter().enumerate() {
        let domain = &subject.domain;
        let mut placement = solution.placements[at].clone();
        plan.advice.extend(because::crowded(inputs.facts, &placement));
        placement.because.extend(because::placement(
            inputs.facts,
            domain,
            &placement,
            &solution.objectives[at],
            &solution.reservations,
        ));
        let policy = inputs.policy.for_vm(domain.name.as_str());
        let text = merge::changes(
            inputs.facts,
            &policy,
            subject,
            &placement,
            &mut plan,
        )?;
        definitions.insert(domain.name.clone(), text);
        plan.vms.push(VmPlan {
            name: domain.name.clone(),
            uuid: domain.uuid,
            vmid: domain.vmid(),
            digest: domain.digest,
            placement: Some(placement),
            objective: solution.objectives[at],
            bound: solution.bounds[at],
        });
    }
    plan.unknown.extend(functions::unseen(inputs, &solution.placements));
    let with_functions = Inputs { subjects: &equipped, ..*inputs };
    host::changes(&with_functions, &solution.reservations, &mut plan)?;
    let after = pools::after(inputs.facts, &solution.reservations, &plan);
    let inputs = Inputs { facts: &after, ..*inputs };
    judge::judge(&inputs, &definitions, &mut plan)?;
    Ok(Planned { plan, definitions })
}
