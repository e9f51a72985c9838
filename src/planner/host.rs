//! What the rules for the host say, once all VMs have their place.

use super::merge::Merge;
use super::{Inputs, Neighbour, PlanError};
use crate::base::CpuSet;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::{Level, PlacementMode, Smt};
use crate::model::{Change, Plan, Target};
use crate::placement::{Held, Reservations};
use crate::rules::{Evaluate, HostContext, HostedVm, RULES};

/// Asks the rules for the host, and adds what they say to the plan.
/// `reservations` are the pages that the placement takes beyond the pools.
pub(super) fn changes(
    inputs: &Inputs<'_>,
    reservations: &Reservations,
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
    let others = alone(inputs, &housekeeping);
    let neighbours: Vec<&Domain> =
        inputs.neighbours.iter().flat_map(|n| &n.definitions).collect();
    let context = HostContext {
        facts,
        policy: inputs.policy,
        housekeeping: &housekeeping,
        vms: &hosted,
        others: &others,
        neighbours: &neighbours,
        reservations,
    };
    let mut merge = Merge::new(inputs.policy, None, plan);
    for rule in RULES {
        let Evaluate::Host(evaluate) = rule.evaluate else { continue };
        if merge.level(rule) != Level::Off {
            let standing = |target: &Target| standing(facts, target);
            merge.take(rule, evaluate(&context), &standing)?;
        }
    }
    let at_boot =
        |change: &Change| matches!(change.target, Target::Argument { .. });
    if plan.changes.iter().any(at_boot) {
        plan.boot_loader = facts.kernel.boot_loader.value().copied();
    }
    Ok(())
}

/// Returns the CPUs that VMs outside of the plan have to themselves: one for
/// each vCPU, and nobody else is pinned there.
fn alone(inputs: &Inputs<'_>, housekeeping: &CpuSet) -> CpuSet {
    let topology = &inputs.facts.topology;
    let pinned = |neighbour: &Neighbour| {
        let each = neighbour.definitions.iter();
        each.map(|domain| Held::by(domain, topology, inputs.policy).cpus)
            .fold(CpuSet::new(), |all, cpus| all.union(&cpus))
    };
    let pinned: Vec<_> = inputs.neighbours.iter().map(pinned).collect();
    let mut all = CpuSet::new();
    for (at, neighbour) in inputs.neighbours.iter().enumerate() {
        let policy = inputs.policy.for_vm(neighbour.name.as_str());
        if policy.cpu.placement != PlacementMode::Dedicated {
            continue;
        }
        let of_each = neighbour.definitions.iter().map(of_each_vcpu);
        let mut own = of_each.fold(CpuSet::new(), |all, one| all.union(&one));
        if policy.cpu.smt == Smt::Isolate {
            let cores = topology.cores.iter().map(|core| &core.cpus);
            let cores = cores.filter(|core| core.intersects(&own));
            own = cores.fold(own.clone(), |all, core| all.union(core));
        }
        let others = pinned.iter().enumerate().filter(|(n, _)| *n != at);
        own = others.fold(own, |own, (_, cpus)| own.difference(cpus));
        all = all.union(&own);
    }
    all.intersection(&topology.online).difference(housekeeping)
}

/// Returns the CPUs of vCPUs that have one each, and none the same.
fn of_each_vcpu(domain: &Domain) -> CpuSet {
    let pins = &domain.cputune.vcpupin;
    let all = pins.values().fold(CpuSet::new(), |all, pin| all.union(pin));
    let vcpus = usize::try_from(domain.vcpus).unwrap_or(usize::MAX);
    let single = pins.values().all(|pin| pin.len() == 1);
    match single && pins.len() == vcpus && all.len() == vcpus {
        true => all,
        false => CpuSet::new(),
    }
}

/// Returns what stands at a place of the host.
fn standing(facts: &Facts, target: &Target) -> Result<Option<String>, String> {
    let fact = match target {
        Target::Definition(_) | Target::Conf(_) => {
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
            return Ok(known.value_in(file, name).map(str::to_owned));
        }
    };
    match fact.value() {
        Some(value) => Ok(value.clone()),
        None => Err(fact.reason().unwrap_or("it was not read").to_owned()),
    }
}
