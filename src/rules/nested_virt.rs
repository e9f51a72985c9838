//! Virtualization inside the guest.
//!
//! With the host's own CPU a guest gets vmx or svm as soon as the host's KVM
//! module nests. It costs nothing while the guest does not use it, and it is
//! a wider door into the host's kernel. Whether it is wanted is not for a
//! tuner to decide: this rule says how it stands.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::domain::CpuMode;
use crate::model::guest;
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "nested-virt",
    group: Group::GuestCpu,
    why: "Who can run VMs inside the VM reaches more of the host's kernel, so \
          it should be known.",
    hurts: "While the guest runs VMs, every exit of theirs costs several, and \
            migration of such a guest is fragile.",
    folklore: "Guides add the CPU feature vmx to pass PCI devices on to VMs \
               in the guest. What that needs is an IOMMU in the guest \
               (guest-iommu) and intel_iommu=on on the guest's command line; \
               vmx or svm only lets the guest run VMs at all.",
    sources: &[
        "Linux, virt/kvm/x86/running-nested-guests",
        "libvirt, Domain XML format, \"CPU model and topology\": feature",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    if cx.domain.virt_type != "kvm" || !cx.domain.is_x86_64() {
        return Verdict::NotApplicable("only KVM on x86 nests so");
    }
    let vendor = &cx.facts.cpu_vendor;
    let (feature, parameter) = match vendor.value().map(String::as_str) {
        Some("GenuineIntel") => ("vmx", "kvm_intel.nested"),
        Some("AuthenticAMD" | "HygonGenuine") => ("svm", "kvm_amd.nested"),
        Some(_) => return Verdict::NotApplicable("the CPU has no vmx or svm"),
        None => {
            let why = vendor.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "CPU vendor", why };
        }
    };
    let cpu = cx.domain.cpu.as_ref();
    let policy = cpu.and_then(|cpu| cpu.feature(feature));
    if matches!(policy, Some("disable" | "forbid")) {
        return Verdict::Satisfied(format!("{feature} is off"));
    }
    let asked = matches!(policy, Some("require" | "force"));
    let mode = guest::cpu_mode(cx.facts, cx.domain, cx.policy);
    let whole = guest::is_hosts_own(mode.as_ref());
    if !asked && !whole && mode != Some(CpuMode::HostModel) {
        return Verdict::Satisfied(format!("the CPU model has no {feature}"));
    }
    let module = cx.facts.kernel.module_parameters.get(parameter);
    let Some(nested) = module.and_then(|nested| nested.value()) else {
        let why = module.and_then(|nested| nested.reason());
        let why = why.unwrap_or("the module's parameter was not read");
        let fact = "whether KVM nests";
        return Verdict::Unknown { fact, why: format!("{parameter}: {why}") };
    };
    match (matches!(nested.as_str(), "1" | "Y" | "y"), asked) {
        (false, false) => Verdict::Satisfied(format!("{parameter} is off")),
        (false, true) => Verdict::Advise(vec![format!(
            "The VM requires {feature}, and {parameter} is {nested}: it will \
             not start. Take the feature away, or load the module with \
             nested=1."
        )]),
        (true, _) => Verdict::Advise(vec![format!(
            "The guest can run VMs of its own ({parameter} is {nested}). \
             Unless it should, <feature policy='disable' name='{feature}'/> \
             keeps it from that part of the host's kernel; passing PCI \
             devices on needs a guest IOMMU besides."
        )]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;
    use crate::model::Fact;
    use crate::model::domain::CpuFeature;

    fn case(nested: &str, policy: Option<&str>) -> Case {
        let mut case = Case::intel(&[1], 1);
        let value = Fact::known(nested.to_owned(), "/sys/module");
        let parameters = &mut case.facts.kernel.module_parameters;
        parameters.insert("kvm_intel.nested".to_owned(), value);
        if let Some(policy) = policy {
            case.cpu().features.push(CpuFeature {
                name: "vmx".to_owned(),
                policy: Some(policy.to_owned()),
            });
        }
        case
    }

    #[test]
    fn what_is_on_is_said() {
        assert!(case("Y", None).advice(&RULE)[0].contains("VMs of its own"));
        assert!(case("N", None).satisfied(&RULE));
        assert!(case("Y", Some("disable")).satisfied(&RULE));
        let cannot = case("N", Some("require"));
        assert!(cannot.advice(&RULE)[0].contains("will not start"));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let case = Case::amd(&[1], 1);
        assert!(matches!(case.verdict(&RULE), Verdict::Unknown { .. }));
    }
}
