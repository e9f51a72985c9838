//! What a resource mapping of Proxmox says of a device, against the host.
//!
//! Proxmox compares the IOMMU group that a mapping names with the host's when
//! a VM starts, and group numbers change with the hardware and the kernel. A
//! mapping of several devices gives the VM whichever is free: another one each
//! time, on another node, with another identity. Advice only: mappings belong
//! to the cluster.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::domain::{MappedChoice, MappedDevice};
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "pci-mapping",
    group: Group::GuestIo,
    why: "A VM whose mapping names another IOMMU group than the host has does \
          not start, and one whose mapping has several devices gets any of \
          them.",
    hurts: "A mapping for each device of each VM is more to keep up to date, \
            and a VM that names one device waits for that one.",
    folklore: "Guides put all virtual functions of a card into one mapping. \
               The VM then gets another MAC address at each start, and a \
               function of the other socket as gladly as a near one.",
    sources: &[
        "pve-guest-common, PVE::Mapping::PCI::assert_valid",
        "qemu-server, PVE::QemuServer::PCI: the first free device is taken",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let mapped = &cx.domain.devices.mapped;
    if mapped.is_empty() {
        return Verdict::NotApplicable("no device is passed by a mapping");
    }
    let mut advice = Vec::new();
    for device in mapped {
        let Some(choices) = &device.choices else {
            return Verdict::Unknown {
                fact: "resource mappings",
                why: "a definition alone does not say what they stand for"
                    .to_owned(),
            };
        };
        advice.extend(faults(cx, device, choices));
    }
    match advice.is_empty() {
        true => Verdict::Satisfied("the mappings are as the host is".into()),
        false => Verdict::Advise(advice),
    }
}

/// Says what is wrong with one mapping.
fn faults(
    cx: &Context<'_>,
    device: &MappedDevice,
    choices: &[MappedChoice],
) -> Vec<String> {
    let name = &device.mapping;
    let mut said = Vec::new();
    match choices.len() {
        0 => said.push(format!(
            "mapping {name} has no device on this node: the VM does not start"
        )),
        1 => {}
        n => said.push(format!(
            "mapping {name} has {n} devices on this node, and the VM gets \
             whichever is free: make a mapping for this VM's device alone"
        )),
    }
    let Some(known) = cx.facts.pci.value() else { return said };
    for choice in choices {
        for address in &choice.functions {
            let function = known.iter().find(|f| f.address == *address);
            let Some(function) = function else {
                said.push(format!(
                    "mapping {name} names {address}, which the host does not \
                     have: the VM does not start"
                ));
                continue;
            };
            let Some(group) = function.iommu_group.value() else { continue };
            if *group == choice.iommu_group {
                continue;
            }
            let spelled = |group: Option<u32>| {
                group.map_or_else(|| "-1".to_owned(), |n| n.to_string())
            };
            let origin = function.iommu_group.origin();
            said.push(format!(
                "mapping {name} says iommugroup={} for {address}, the host \
                 has {} ({}): the VM does not start until the mapping says so \
                 (Datacenter, Resource Mappings)",
                spelled(choice.iommu_group),
                spelled(*group),
                origin.map_or("", |origin| &origin.0),
            ));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;
    use crate::model::Fact;

    /// A VM with the function of a mapping that says group 57.
    fn case(groups: &[Option<u32>]) -> Case {
        let mut case = Case::plain().proxmox();
        case.pass("0000:c1:00.2", Some(0));
        let source = case.domain.devices.hostdevs[0].source;
        let choice = |group: &Option<u32>| MappedChoice {
            functions: vec![source],
            iommu_group: *group,
        };
        case.domain.devices.mapped = vec![MappedDevice {
            mapping: "nic".to_owned(),
            position: 0,
            choices: Some(groups.iter().map(choice).collect()),
        }];
        let Fact::Known { value, .. } = &mut case.facts.pci else { panic!() };
        value[0].iommu_group = Fact::known(Some(57), "iommu_group");
        case
    }

    #[test]
    fn a_true_mapping_is_silent() {
        assert!(case(&[Some(57)]).satisfied(&RULE));
        assert!(matches!(
            Case::plain().verdict(&RULE),
            Verdict::NotApplicable(_)
        ));
    }

    /// Trap: group numbers change, and Proxmox compares them at start.
    #[test]
    fn another_group_keeps_the_vm_from_starting() {
        for (says, spelled) in [(Some(41), "=41 "), (None, "=-1 ")] {
            let said = case(&[says]).advice(&RULE);
            assert!(said[0].contains(spelled), "{said:?}");
            assert!(said[0].contains("the host has 57"), "{said:?}");
        }
    }

    #[test]
    fn a_mapping_of_several_devices_or_none_is_told() {
        let said = case(&[Some(57), Some(57)]).advice(&RULE);
        assert!(said[0].contains("has 2 devices"), "{said:?}");
        assert!(case(&[]).advice(&RULE)[0].contains("no device"));
        let mut gone = case(&[Some(57)]);
        gone.facts.pci = Fact::known(Vec::new(), "sysfs");
        assert!(gone.advice(&RULE)[0].contains("does not have"));
    }

    #[test]
    fn without_the_mappings_nothing_is_known() {
        let mut case = case(&[Some(57)]);
        case.domain.devices.mapped[0].choices = None;
        assert!(matches!(case.verdict(&RULE), Verdict::Unknown { .. }));
    }
}
