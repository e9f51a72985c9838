//! Which VMs can be planned at all.

use super::{Inputs, PlanError, Refusal};
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Housekeeping;

/// Virt types whose vCPUs are threads that can be pinned. `test` is
/// libvirt's test driver, where plans are tried without a hypervisor.
const VIRT_TYPES: [&str; 3] = ["kvm", "qemu", "test"];

/// Guest architectures that the rules know.
const ARCHITECTURES: [&str; 2] = ["x86_64", "i686"];

/// Refuses a VM that no rule is written for.
pub(super) fn admit(facts: &Facts, domain: &Domain) -> Result<(), Refusal> {
    let refuse = |shortage: String, remedy: &str| {
        Err(Refusal {
            vm: domain.name.to_string(),
            shortage,
            remedies: vec![remedy.to_owned()],
        })
    };
    if !VIRT_TYPES.contains(&domain.virt_type.as_str()) {
        return refuse(
            format!("it is of virt type {}", domain.virt_type),
            "a VM of type kvm or qemu",
        );
    }
    let arch = domain.arch.as_deref().unwrap_or("x86_64");
    if !ARCHITECTURES.contains(&arch) {
        return refuse(
            format!("its architecture is {arch}, and the rules are for x86"),
            "a guest of x86_64",
        );
    }
    if let Some(host) = facts.arch.value()
        && !ARCHITECTURES.contains(&host.as_str())
    {
        return refuse(
            format!("it is a guest of {arch} on a host of {host}"),
            "a host of x86_64",
        );
    }
    if domain.vcpus == 0 {
        return refuse("it has no vCPU".to_owned(), "a <vcpu> of at least 1");
    }
    if facts.topology.cores.is_empty() {
        return refuse(
            format!("{} tells of no CPU", facts.source),
            "a source that holds the host's topology",
        );
    }
    Ok(())
}

/// Refuses a policy that keeps CPUs for the host that it does not have.
pub(super) fn keeps_what_is_there(
    inputs: &Inputs<'_>,
) -> Result<(), PlanError> {
    let Housekeeping::Cpus(kept) = &inputs.policy.cpu.housekeeping else {
        return Ok(());
    };
    let topology = &inputs.facts.topology;
    let mut lost = kept.difference(&topology.online);
    if let Some(offline) = topology.offline.value() {
        lost = lost.difference(offline);
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(PlanError::NoSuchCpus(lost, inputs.facts.source.clone()))
}
