//! Has the checker judge a finished plan.

use std::collections::BTreeMap;

use super::{Inputs, PlanError, Refusal, Subject, check, merge, refusal};
use crate::base::DomainName;
use crate::definition;
use crate::model::domain::{Dialect, Domain};
use crate::model::policy::{Level, Pins};
use crate::model::{Advice, Plan, VmPlacement};
use crate::rules::RULES;

/// Judges the rendered definitions.
///
/// What the checker faults in them is a defect of vmtune, and such a plan is
/// not given out; unless libvirt or QEMU would have refused the definition for
/// the same before, or the policy keeps the pins that it is about: then it is
/// the user's to mend, and the plan says so.
pub(super) fn judge(
    inputs: &Inputs<'_>,
    definitions: &BTreeMap<DomainName, String>,
    plan: &mut Plan,
) -> Result<(), PlanError> {
    let mut rendered = Vec::new();
    for (name, text) in definitions {
        let mut subjects = inputs.subjects.iter();
        let subject = subjects.find(|s| s.domain.name == *name);
        let vmid = subject.and_then(|subject| subject.domain.vmid());
        let read = definition::read_numbered(text, vmid);
        let mut domain = read.map_err(|error| {
            PlanError::Faulted(name.clone(), error.to_string())
        })?;
        let mut vms = plan.vms.iter();
        if let Some(vm) = vms.find(|vm| vm.name == *name)
            && let Dialect::Proxmox(_) = domain.dialect
        {
            seat(&mut domain, vm.placement.as_ref());
        }
        rendered.push((text.as_str(), domain));
    }
    let after = faults(inputs, &rendered);
    if after.is_empty() {
        return Ok(());
    }
    let originals: Vec<(&str, Domain)> = inputs
        .subjects
        .iter()
        .map(|s| (s.text.as_str(), s.domain.clone()))
        .collect();
    let before = faults(inputs, &originals);
    for fault in after {
        let had = before.iter().any(|old| {
            (&old.vm, old.rule, &old.what)
                == (&fault.vm, fault.rule, &fault.what)
        });
        let is_users = (had && fault.refused) || is_kept(inputs, &fault);
        if !is_users {
            let name =
                rendered.iter().find(|(_, d)| d.name.as_str() == fault.vm);
            let Some((_, domain)) = name else { continue };
            if let Some(refusal) = unsaid(domain, &fault, plan) {
                return Err(PlanError::Refused(refusal));
            }
            return Err(refusal::faulted(inputs, &domain.name, fault.what));
        }
        plan.advice.push(Advice {
            rule: fault.rule.to_owned(),
            vm: Some(fault.vm),
            text: format!("{}: {}", fault.what, fault.remedy),
        });
    }
    Ok(())
}

/// Rules of whose decisions Proxmox cannot say all.
const LIMITED: [&str; 4] =
    ["vcpu-topology", "numa-cells", "numa-memory", "hugepages"];

/// Refuses what Proxmox has no words for, where the rule has said so: it is a
/// limit of the definition's language and no defect.
fn unsaid(
    domain: &Domain,
    fault: &check::Finding,
    plan: &Plan,
) -> Option<Refusal> {
    if domain.dialect == Dialect::Libvirt || !LIMITED.contains(&fault.rule) {
        return None;
    }
    let mut advice = plan.advice.iter();
    let said = advice.find(|advice| {
        advice.rule == fault.rule && advice.vm.as_ref() == Some(&fault.vm)
    })?;
    Some(Refusal {
        vm: fault.vm.clone(),
        shortage: format!("{}: {}", fault.what, said.text),
        remedies: Vec::new(),
    })
}

/// Puts the threads of a VM of Proxmox on the CPUs that the placement gives
/// them: the definition says which CPUs are the VM's and not whose they are
/// within it, and the nodes of its memory are judged by that.
fn seat(domain: &mut Domain, placement: Option<&VmPlacement>) {
    let Some(placement) = placement else { return };
    domain.cputune.vcpupin.clone_from(&placement.vcpus);
    domain.cputune.emulatorpin = Some(placement.emulator.clone());
    domain.cputune.iothreadpin.clone_from(&placement.iothreads);
}

/// Returns the errors in what rules may change under the policy.
fn faults(
    inputs: &Inputs<'_>,
    definitions: &[(&str, Domain)],
) -> Vec<check::Finding> {
    let judged: Vec<_> = definitions
        .iter()
        .map(|(text, domain)| {
            let same = |s: &&Subject| s.domain.name == domain.name;
            let subject = inputs.subjects.iter().find(same);
            let live = subject.and_then(|subject| subject.live.as_ref());
            check::Judged { text, domain, live }
        })
        .collect();
    let neighbours: Vec<Domain> = inputs
        .neighbours
        .iter()
        .flat_map(|neighbour| neighbour.definitions.clone())
        .collect();
    let mut findings =
        check::check(inputs.facts, inputs.policy, &judged, &neighbours);
    findings.retain(|finding| {
        let policy = inputs.policy.for_vm(&finding.vm);
        let rule = RULES.iter().find(|rule| rule.id == finding.rule);
        finding.severity == check::Severity::Error
            && rule.is_some_and(|r| merge::level(r, &policy) == Level::Plan)
    });
    findings
}

/// Returns whether a finding is about pins that were there and stay, or what
/// follows from them.
fn is_kept(inputs: &Inputs<'_>, finding: &check::Finding) -> bool {
    let policy = inputs.policy.for_vm(&finding.vm);
    let mut subjects = inputs.subjects.iter();
    let subject = subjects.find(|s| s.domain.name.as_str() == finding.vm);
    let Some(tune) = subject.map(|subject| &subject.domain.cputune) else {
        return false;
    };
    let stays = |rule| policy.cpu.pins == Pins::Keep || !policy.plans(rule);
    let vcpus = stays("vcpu-pin") && !tune.vcpupin.is_empty();
    match finding.rule {
        "vcpu-pin" | "vcpu-topology" | "numa-cells" | "numa-memory" => vcpus,
        "emulator-pin" => {
            vcpus || (stays("emulator-pin") && tune.emulatorpin.is_some())
        }
        "iothread-pin" => {
            vcpus || (stays("iothread-pin") && !tune.iothreadpin.is_empty())
        }
        _ => false,
    }
}
