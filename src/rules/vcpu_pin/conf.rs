//! The CPUs of the VM, as Proxmox has them: one set for all its threads.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::base::CpuSet;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let placement = cx.placement;
    let cpus = placement.cpus();
    let service = placement
        .iothreads
        .values()
        .fold(placement.emulator.clone(), |all, one| all.union(one));
    let all: CpuSet = cpus.union(&service);
    if cx.domain.vcpu_cpuset.as_ref() == Some(&all) {
        return Verdict::Satisfied(format!("all threads are on CPUs {all}"));
    }
    let because = format!(
        "the vCPUs have CPUs {cpus}, the other threads CPUs {service} ({})",
        cx.facts.topology.origin
    );
    let mut advice = Vec::new();
    if placement.exclusive {
        advice.push(
            "Proxmox has one set of CPUs for all threads of a VM: no other \
             VM is on the vCPUs' CPUs, and the kernel moves the vCPUs among \
             them."
                .to_owned(),
        );
    }
    let edits = vec![Edit::set(key("affinity"), all.to_string(), because)];
    Verdict::Change { edits, advice }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{Case, cpus};
    use super::super::RULE;

    #[test]
    fn one_set_holds_the_vcpus_and_the_emulator() {
        let mut case = Case::intel(&[1, 17, 2, 18], 2).proxmox();
        assert_eq!(case.edits(&RULE), ["affinity = 0-2,16-18"]);
        assert!(case.advice(&RULE)[0].contains("one set of CPUs"));
        case.domain.vcpu_cpuset = Some(cpus("0-2,16-18"));
        assert!(case.satisfied(&RULE));
    }
}
