//! The CPU that the guest is told it has.
//!
//! Under KVM the host's own CPU costs nothing and hides nothing. A model by
//! name leaves instructions unused, and is right for a VM that migrates among
//! different hosts. Under software emulation there is no host CPU to hand out.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::domain::CpuMode;
use crate::model::guest;
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "cpu-model",
    group: Group::GuestCpu,
    why: "Under KVM a guest with the host's own CPU can use all of its \
          instructions.",
    hurts: "The VM can migrate only to hosts with the same CPU and microcode; \
            a guest may notice a new CPU after a change of hosts (activation, \
            licences).",
    folklore: "Guides set -cpu host by <qemu:commandline>; QEMU takes the last \
               -cpu, and all that libvirt computed for <cpu> and <features> \
               is lost.",
    sources: &[
        "libvirt, Domain XML format, \"CPU model and topology\"",
        "libvirt, Domain capabilities XML format, \"CPU configuration\"",
        "libvirt 11.3: define --validate takes host-passthrough for \
         type='qemu', start refuses it; <vendor> without <model> is refused",
        "CERN, OpenStack in production, 2015: 4 to 5 % of HS06 by CPU model",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/cpu/@mode",
        "/domain/cpu/@match",
        "/domain/cpu/model",
        "/domain/cpu/vendor",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let virt_type = cx.domain.virt_type.as_str();
    if !matches!(virt_type, "kvm" | "qemu") {
        return Verdict::NotApplicable("neither KVM nor QEMU runs the VM");
    }
    if cx.domain.launch_security.is_some() {
        return Verdict::NotApplicable("a confidential guest attests its CPU");
    }
    let mode = cx.domain.cpu.as_ref().and_then(|cpu| cpu.mode.as_ref());
    let given = mode.map_or("custom", CpuMode::as_str);
    let Some(better) = guest::better_cpu_mode(cx.facts, cx.domain) else {
        if let Some(CpuMode::Other(_)) = mode {
            return Verdict::NotApplicable("the CPU mode is new to vmtune");
        }
        let cpu = cx.domain.cpu.as_ref();
        if cpu.is_some_and(|cpu| cpu.vendor_id.is_some()) {
            return Verdict::NotApplicable("the guest is told another vendor");
        }
        if virt_type == "kvm" && !guest::is_hosts_own(mode) {
            return Verdict::NotApplicable(
                "libvirt does not list host-passthrough for this host",
            );
        }
        return Verdict::Satisfied(format!("{given} is right for {virt_type}"));
    };
    let emulated = virt_type == "qemu";
    let because = match emulated {
        true => "virt type qemu emulates the CPU: libvirt defines \
                 host-passthrough and refuses to start it"
            .to_owned(),
        false => format!(
            "KVM runs the guest on the host's CPU; {given} hides \
                          part of it"
        ),
    };
    let cpu = XmlPath::domain().child("cpu");
    let mut edit = Edit::set(
        cpu.clone().attribute("mode"),
        better.as_str(),
        because.as_str(),
    );
    if !emulated {
        edit = edit.trading(
            "the VM migrates only to hosts with the same CPU and microcode",
        );
    }
    let of_models =
        format!("it belongs to a CPU by name, not to {}", { better.as_str() });
    let stale = [
        cpu.clone().attribute("match"),
        cpu.clone().child("model"),
        cpu.child("vendor"),
    ];
    let stale = stale.map(|place| Edit::remove(place, of_models.as_str()));
    let edits = std::iter::once(edit).chain(stale).collect();
    Verdict::of(edits, Vec::new(), "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::fixture::Case;
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::{CpuCapabilities, HypervisorFacts};

    const MODE: &str = "/domain/cpu/@mode = ";

    fn listing(mut case: Case, modes: &[&str]) -> Case {
        let capabilities = CpuCapabilities {
            cpu_modes: modes.iter().map(|mode| (*mode).to_owned()).collect(),
            machine: "q35".to_owned(),
            iommu_models: None,
            max_vcpus: None,
        };
        let virt_type = case.domain.virt_type.clone();
        let capabilities = Fact::known(capabilities, "domain capabilities");
        let hypervisor = HypervisorFacts {
            libvirt: Fact::unknown("not read"),
            qemu: Fact::unknown("not read"),
            domains: BTreeMap::from([(virt_type, capabilities)]),
        };
        case.facts.hypervisor = Fact::known(hypervisor, "libvirt");
        case
    }

    #[test]
    fn kvm_hands_out_the_hosts_cpu() {
        let case = Case::amd(&[1], 1);
        assert_eq!(
            case.edits(&RULE),
            [
                &format!("{MODE}host-passthrough"),
                "/domain/cpu/@match removed",
                "/domain/cpu/model removed",
                "/domain/cpu/vendor removed",
            ]
        );
        let named = Case::amd(&[1], 1).mode(CpuMode::Custom);
        assert_eq!(named.edits(&RULE), case.edits(&RULE));
        for mode in [CpuMode::HostPassthrough, CpuMode::Maximum] {
            assert!(Case::amd(&[1], 1).mode(mode).satisfied(&RULE));
        }
    }

    #[test]
    fn only_what_libvirt_lists() {
        let case = || Case::amd(&[1], 1).mode(CpuMode::HostModel);
        let listed = listing(case(), &["host-passthrough", "custom"]);
        assert_eq!(listed.edits(&RULE)[0], format!("{MODE}host-passthrough"));
        let unlisted = listing(case(), &["custom"]);
        assert!(matches!(unlisted.verdict(&RULE), Verdict::NotApplicable(_)));
        let unreported = listing(case(), &[]);
        assert!(!unreported.edits(&RULE).is_empty());
    }

    /// Trap: host-passthrough is defined for virt type qemu, and start
    /// refuses it.
    #[test]
    fn emulation_has_no_host_cpu() {
        let mut case = Case::amd(&[1], 1).mode(CpuMode::HostPassthrough);
        case.domain.virt_type = "qemu".to_owned();
        assert_eq!(case.edits(&RULE)[0], format!("{MODE}maximum"));
        for mode in [CpuMode::Maximum, CpuMode::Custom, CpuMode::HostModel] {
            assert!(case.mode(mode).satisfied(&RULE));
            case = Case::amd(&[1], 1);
            case.domain.virt_type = "qemu".to_owned();
        }
    }

    #[test]
    fn attested_and_foreign_cpus_stay() {
        let mut case = Case::amd(&[1], 1);
        case.domain.launch_security = Some("sev-snp".to_owned());
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = Case::amd(&[1], 1).mode(CpuMode::Custom);
        case.cpu().vendor_id = Some("GenuineIntel".to_owned());
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = Case::amd(&[1], 1);
        case.domain.virt_type = "test".to_owned();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }

    #[test]
    fn migration_is_traded() {
        let Verdict::Change { edits, .. } = Case::amd(&[1], 1).verdict(&RULE)
        else {
            panic!("a change")
        };
        assert!(edits[0].trade.as_ref().unwrap().contains("migrates only"));
    }
}
