//! Says what firmware, card slots and packages lack for VMs.
//!
//! None of it can be mended from within the system: a switch in firmware
//! takes a person at the console, and a card in the wrong slot a screwdriver.
//! What to look for is called differently by each vendor, so the words are
//! named.

use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::base::PciAddress;
use crate::model::domain::Domain;
use crate::model::facts::{BootLoader, Facts, IommuGroup};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "host-preflight",
    group: Group::HostIo,
    why: "Virtualization, the IOMMU and the isolation of slots are switches \
          in firmware, and many boards come with them off.",
    hurts: "Nothing is changed.",
    folklore: "Guides go from grep vmx straight to kernel arguments. An \
               argument does not bring an IOMMU that firmware hides, and \
               pcie_acs_override= splits groups on paper alone: the devices \
               reach each other as before.",
    sources: &[
        "Linux Documentation/virt/kvm: vmx and svm in /proc/cpuinfo",
        "Linux Documentation/driver-api/vfio.rst: groups, ACS",
        "Intel VT-d and AMD I/O Virtualization specifications: DMAR, IVRS",
        "PCI Express Base Specification: ACS, ARI",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let facts = cx.facts;
    let mut said = Vec::new();
    if cx.vms.iter().any(|vm| vm.domain.virt_type == "kvm") {
        said.extend(virtualization(facts));
    }
    let with = cx.vms.iter().map(|vm| vm.domain);
    let with: Vec<&Domain> = with.filter(|d| d.has_passthrough()).collect();
    if !with.is_empty() {
        said.extend(iommu(facts));
        said.extend(unsafe_interrupts(facts));
        for domain in with {
            said.extend(groups(facts, domain));
        }
    }
    said.extend(packages(facts));
    Verdict::of(Vec::new(), said, "nothing is missing that was looked for")
}

/// Whether the CPUs run guests.
fn virtualization(facts: &Facts) -> Option<String> {
    let flags = facts.cpu_flags.value()?;
    if !facts.arch.is(&"x86_64".to_owned()) {
        return None;
    }
    let has = |flag: &str| flags.iter().any(|own| own == flag);
    if has("vmx") || has("svm") {
        return None;
    }
    if has("hypervisor") {
        return Some(
            "this host is a VM itself and has neither vmx nor svm: its own \
             host must allow nesting (kvm_intel nested=1 or kvm_amd \
             nested=1, and CPU mode host-passthrough)"
                .into(),
        );
    }
    let words = match facts.cpu_vendor.value().map(String::as_str) {
        Some("GenuineIntel") => {
            "\"Intel Virtualization Technology\", \"VT-x\" or \"VMX\""
        }
        Some("AuthenticAMD") => "\"SVM Mode\" or \"AMD-V\"",
        _ => "virtualization",
    };
    Some(format!(
        "the CPUs have neither vmx nor svm, so that KVM does not run: switch \
         on {words} in the firmware's CPU settings, then power off and on"
    ))
}

/// Whether firmware tells of an IOMMU. The kernel's part is for
/// iommu-passthrough.
fn iommu(facts: &Facts) -> Option<String> {
    let iommu = &facts.kernel.iommu;
    let hidden = iommu.enabled.is(&false) && iommu.described.is(&false);
    let words = match facts.cpu_vendor.value().map(String::as_str) {
        Some("GenuineIntel") => {
            "\"VT-d\" or \"Intel VT for Directed I/O\" (and \"Interrupt \
             Remapping\", where it is apart)"
        }
        Some("AuthenticAMD") => {
            "\"IOMMU\" or \"AMD-Vi\" (often under NBIO or AMD CBS; \
             \"Enabled\", not \"Auto\"), besides \"SVM Mode\""
        }
        _ => "the IOMMU",
    };
    hidden.then(|| {
        format!(
            "the firmware does not tell of an IOMMU (no ACPI table DMAR or \
             IVRS), and no device can be passed through: switch on {words}"
        )
    })
}

fn unsafe_interrupts(facts: &Facts) -> Option<String> {
    const NAME: &str = "vfio_iommu_type1.allow_unsafe_interrupts";
    let value = facts.kernel.module_parameters.get(NAME)?.value()?;
    matches!(value.as_str(), "Y" | "1").then(|| {
        format!(
            "{NAME} is {value}: a guest with a device can send the host any \
             interrupt. It is meant for machines without interrupt \
             remapping; take it away where the kernel says that it has it"
        )
    })
}

/// What shares an IOMMU group with a VM's devices and does not go with them:
/// VFIO takes a group as a whole.
fn groups(facts: &Facts, domain: &Domain) -> Vec<String> {
    let Some(groups) = facts.kernel.iommu.groups.value() else {
        return Vec::new();
    };
    let given: Vec<PciAddress> =
        domain.devices.hostdevs.iter().map(|dev| dev.source).collect();
    let touched = groups.iter().filter(|group| {
        group.functions.iter().any(|function| given.contains(function))
    });
    touched.filter_map(|group| coarse(facts, group, &given, domain)).collect()
}

fn coarse(
    facts: &Facts,
    group: &IommuGroup,
    given: &[PciAddress],
    domain: &Domain,
) -> Option<String> {
    let own = group.functions.iter().find(|f| given.contains(f))?;
    let others = group.functions.iter().filter(|f| !given.contains(f));
    // A port above the device is in its group and goes with nobody.
    let of_card = |f: &PciAddress| {
        (f.segment(), f.bus(), f.slot())
            == (own.segment(), own.bus(), own.slot())
    };
    let known = |address: &PciAddress| {
        let mut all = facts.pci.value().into_iter().flatten();
        all.find(|function| function.address == *address)
    };
    let others: Vec<PciAddress> =
        others.copied().filter(|f| of_card(f) || known(f).is_some()).collect();
    let first = others.first()?;
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let virtual_function = known(own).is_some_and(|f| f.physfn.is_some());
    let remedy = match (of_card(first), virtual_function) {
        (_, true) => {
            "switch on \"ACS\" and \"ARI\" (also \"ARI Forwarding\", \"PCIe \
             ARI Support\") in firmware, or use a slot at the CPU: virtual \
             functions have groups of their own where all ports above the \
             card have ACS"
        }
        (true, false) => {
            "they are one card: pass all of them to this VM, or unbind the \
             others from their drivers"
        }
        (false, false) => {
            "switch on \"ACS\" in firmware or move the card to a slot at the \
             CPU, and leave pcie_acs_override= alone: it hides that the \
             devices reach each other"
        }
    };
    Some(format!(
        "{own} of {} shares IOMMU group {} with {names}, and VFIO takes a \
         group as a whole: {remedy}",
        domain.name, group.id
    ))
}

/// Programs that changes of the kernel's command line need.
fn packages(facts: &Facts) -> Option<String> {
    let programs = facts.services.programs.value()?;
    let (program, package) = match facts.kernel.boot_loader.value()? {
        BootLoader::GrubDropIn => ("update-grub", "grub2-common"),
        BootLoader::ProxmoxBootTool => {
            ("proxmox-boot-tool", "proxmox-kernel-helper")
        }
        BootLoader::SystemdBoot => ("kernel-install", "systemd"),
        _ => return None,
    };
    let there = programs.iter().any(|own| own == program);
    (!there).then(|| {
        format!(
            "{program} was not found, and without it no kernel argument \
             takes effect: install {package}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::Beside;

    fn said(case: &Case) -> String {
        case.host_said(&RULE, &Beside::default())
    }

    fn flags(case: &mut Case, flags: &[&str]) {
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        case.facts.cpu_flags = Fact::known(flags, "/proc/cpuinfo");
    }

    #[test]
    fn virtualization_that_is_off_is_named_by_vendor() {
        for (mut case, words) in
            [(Case::plain(), "\"VT-x\""), (Case::amd(&[1], 1), "\"SVM Mode\"")]
        {
            assert_eq!(said(&case), "", "what is not known is not off");
            flags(&mut case, &["fpu"]);
            assert!(said(&case).contains(words), "{}", said(&case));
            flags(&mut case, &["fpu", "svm"]);
            assert_eq!(said(&case), "");
            flags(&mut case, &["fpu", "hypervisor"]);
            assert!(said(&case).contains("nesting"), "{}", said(&case));
        }
        let mut emulated = Case::plain();
        emulated.domain.virt_type = "qemu".into();
        flags(&mut emulated, &["fpu"]);
        assert_eq!(said(&emulated), "");
    }

    #[test]
    fn an_iommu_that_firmware_hides_is_named_by_vendor() {
        for (mut case, words) in
            [(Case::plain(), "\"VT-d\""), (Case::amd(&[1], 1), "\"AMD-Vi\"")]
        {
            let iommu = &mut case.facts.kernel.iommu;
            iommu.enabled = Fact::known(false, "/sys/class/iommu");
            iommu.described = Fact::known(false, "tables");
            assert_eq!(said(&case), "", "nobody needs it");
            case.pass("0000:c1:00.2", Some(0));
            assert!(said(&case).contains(words), "{}", said(&case));
            let iommu = &mut case.facts.kernel.iommu;
            iommu.described = Fact::known(true, "DMAR");
            assert_eq!(said(&case), "", "the kernel's part");
        }
    }

    #[test]
    fn groups_that_are_too_coarse_are_named() {
        let mut case = Case::plain();
        case.pass("0000:01:00.0", Some(0));
        case.pass("0000:41:00.0", Some(0));
        let passed = case.domain.devices.hostdevs.pop();
        assert!(passed.is_some(), "the second is the host's own");
        let mut group = |functions: &[&str]| {
            let group = IommuGroup {
                id: 7,
                functions: functions
                    .iter()
                    .map(|f| f.parse().unwrap())
                    .collect(),
                domain: Fact::unknown("not part of this case"),
            };
            case.facts.kernel.iommu.groups = Fact::known(vec![group], "groups");
            said(&case)
        };
        assert_eq!(group(&["0000:01:00.0"]), "");
        assert_eq!(group(&["0000:00:01.0", "0000:01:00.0"]), "", "a port");
        let card = group(&["0000:01:00.0", "0000:01:00.1"]);
        assert!(card.contains("pass all of them"), "{card}");
        let other = group(&["0000:01:00.0", "0000:41:00.0"]);
        assert!(other.contains("shares IOMMU group 7 with 0000:41"), "{other}");
        assert!(other.contains("pcie_acs_override="), "{other}");
    }

    #[test]
    fn programs_that_are_missing_are_named_with_their_package() {
        let mut case = Case::plain();
        let loader = BootLoader::GrubDropIn;
        case.facts.kernel.boot_loader = Fact::known(loader, "/etc");
        case.facts.services.programs = Fact::known(Vec::new(), "/usr");
        assert!(said(&case).ends_with("install grub2-common"));
        let programs = vec!["update-grub".to_owned()];
        case.facts.services.programs = Fact::known(programs, "/usr");
        assert_eq!(said(&case), "");
    }

    #[test]
    fn interrupts_that_are_not_checked_are_named() {
        let mut case = Case::plain();
        case.pass("0000:01:00.0", Some(0));
        let name = "vfio_iommu_type1.allow_unsafe_interrupts".to_owned();
        let value = Fact::known("Y".to_owned(), "/sys/module");
        case.facts.kernel.module_parameters.insert(name, value);
        assert!(said(&case).contains("any interrupt"));
    }
}
