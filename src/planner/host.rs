//! What the rules for the host say, once all VMs have their place.

use super::merge::Merge;
use super::{Inputs, PlanError};
use crate::base::CpuSet;
use crate::model::facts::Facts;
use crate::model::policy::Level;
use crate::model::{Plan, Target};
use crate::rules::{Evaluate, HostContext, HostedVm, RULES};

/// Asks the rules for the host, and adds what they say to the plan. `others`
/// are the CPUs that VMs outside of the plan have to themselves.
pub(super) fn changes(
    inputs: &Inputs<'_>,
    others: &CpuSet,
    plan: &mut Plan,
) -> Result<(), PlanError> {
    let facts = inputs.facts;
    let housekeeping = plan.housekeeping.clone();
    let vms = plan.vms.clone();
    let policies: Vec<_> =
        vms.iter().map(|vm| inputs.policy.for_vm(vm.name.as_str())).collect();
    let domain = |name: &_| {
        let mut subjects = inputs.subjects.iter().map(|s| &s.domain);
        subjects.find(|domain| domain.name == *name)
    };
    let hosted: Vec<HostedVm<'_>> = vms
        .iter()
        .zip(&policies)
        .filter_map(|(vm, policy)| {
            let placement = vm.placement.as_ref()?;
            Some(HostedVm { domain: domain(&vm.name)?, policy, placement })
        })
        .collect();
    let context = HostContext {
        facts,
        policy: inputs.policy,
        housekeeping: &housekeeping,
        vms: &hosted,
        others,
    };
    let mut merge = Merge::new(inputs.policy, None, plan);
    for rule in RULES {
        let Evaluate::Host(evaluate) = rule.evaluate else { continue };
        if merge.level(rule) != Level::Off {
            let standing = |target: &Target| standing(facts, target);
            merge.take(rule, evaluate(&context), &standing)?;
        }
    }
    Ok(())
}

/// Returns what stands at a place of the host.
fn standing(facts: &Facts, target: &Target) -> Result<Option<String>, String> {
    let fact = match target {
        Target::Definition(_) => {
            return Err("a rule for the host does not change VMs".into());
        }
        Target::Kernel(path) | Target::File(path) => {
            facts.settings.get(path).ok_or("it was not read")?
        }
        Target::Argument { file, name } => {
            let boot = &facts.kernel.boot_arguments;
            let known = boot.value().ok_or_else(|| {
                boot.reason().unwrap_or("it was not read").to_owned()
            })?;
            let mut all = known.arguments.iter().rev();
            let found = all.find(|one| one.file == *file && one.name == *name);
            return Ok(found.map(|one| one.value.clone()));
        }
    };
    match fact.value() {
        Some(value) => Ok(value.clone()),
        None => Err(fact.reason().unwrap_or("it was not read").to_owned()),
    }
}
