//! The hint to the guest that its CPUs are its own.
//!
//! With the hint a Linux guest spins with plain queued locks and polls before
//! it halts, as on hardware. Without CPUs of its own it then spins for a lock
//! whose holder does not run.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::guest;
use crate::model::policy::Level;

const STATE: &str = "kvm/hint-dedicated@state";

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "dedicated-hint",
    group: Group::GuestCpu,
    why: "A guest whose vCPUs are never taken away can lock and wait as on \
          hardware.",
    hurts: "Where CPUs are shared it hurts: the guest gives up paravirtual \
            spinlocks and interrupts, and waits for vCPUs that do not run.",
    folklore: "Guides set it for every VM; it is right only with one CPU for \
               each vCPU.",
    sources: &[
        "libvirt, Domain XML format, \"Hypervisor features\": hint-dedicated",
        "Linux, virt/kvm/x86/cpuid: KVM_HINTS_REALTIME",
    ],
    level: Level::Plan,
    owns: &["/domain/features/kvm/hint-dedicated"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    if cx.domain.virt_type != "kvm" || !cx.domain.is_x86_64() {
        return Verdict::NotApplicable("only KVM on x86 gives the hint");
    }
    let given = cx.domain.feature(STATE) == Some("on");
    let kvm = XmlPath::domain().child("features").child("kvm");
    let target = kvm.child("hint-dedicated").attribute("state");
    let cpus = cx.placement.cpus();
    if !cx.placement.exclusive {
        return match given {
            false => Verdict::NotApplicable("the VM shares its CPUs"),
            true => {
                let because = format!(
                    "others may run on CPUs {cpus}: the guest would wait for \
                     vCPUs that do not run"
                );
                let edit = Edit::set(target, "off", because);
                Verdict::of(vec![edit], Vec::new(), "")
            }
        };
    }
    if cx.domain.feature("kvm/hidden@state") == Some("on") {
        return Verdict::NotApplicable("the guest is not told of KVM");
    }
    if given {
        return Verdict::Satisfied(format!("CPUs {cpus} are the VM's alone"));
    }
    let mode = guest::cpu_mode(cx.facts, cx.domain, cx.policy);
    if !guest::is_hosts_own(mode.as_ref()) {
        return Verdict::NotApplicable(
            "older libvirt takes the hint with the host's own CPU only",
        );
    }
    let because = format!("CPUs {cpus} are the VM's alone, one for each vCPU");
    Verdict::of(vec![Edit::set(target, "on", because)], Vec::new(), "")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;
    use crate::model::domain::CpuMode;

    const PLACE: &str = "/domain/features/kvm/hint-dedicated/@state";

    fn hinted(mut case: Case) -> Case {
        case.domain.features.insert(STATE.to_owned(), "on".to_owned());
        case
    }

    #[test]
    fn a_vm_with_its_own_cpus_is_told() {
        let case = Case::intel(&[1, 2], 1);
        assert_eq!(case.edits(&RULE), [format!("{PLACE} = on")]);
        assert!(hinted(case).satisfied(&RULE));
    }

    /// Trap: the hint hurts where CPUs are shared.
    #[test]
    fn a_vm_that_shares_is_not() {
        let mut case = Case::intel(&[1, 2], 1);
        case.placement.exclusive = false;
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        assert_eq!(hinted(case).edits(&RULE), [format!("{PLACE} = off")]);
    }

    #[test]
    fn it_needs_kvm_in_sight_and_the_hosts_cpu() {
        let mut case = Case::intel(&[1, 2], 1);
        case.domain.virt_type = "qemu".to_owned();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = Case::intel(&[1, 2], 1);
        let hidden = "kvm/hidden@state".to_owned();
        case.domain.features.insert(hidden, "on".to_owned());
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = Case::intel(&[1, 2], 1).mode(CpuMode::Custom);
        case.policy.rules.insert("cpu-model".to_owned(), Level::Off);
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
