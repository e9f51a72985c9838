//! Sends interrupts to CPUs near their device that are not VMs'.
//!
//! New interrupts begin on the default CPUs of the kernel: those of a
//! passed-through function do, each time its VM starts. Where irqbalance runs
//! it moves the others, and `irqbalance-ban` tells it where not to; where it
//! does not run, those of the planned VMs' devices are moved here.

use std::collections::BTreeMap;

use super::{
    AFTER_BOOT, Edit, Evaluate, Group, HostContext, Rule, Verdict, filled,
    place,
};
use crate::base::{CpuSet, PciAddress};
use crate::model::facts::{Facts, Interrupt};
use crate::model::policy::{Isolation, Level};
use crate::model::{Fact, Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "irq-affinity",
    group: Group::HostIo,
    why: "An interrupt on a vCPU's CPU stops the guest for as long as its \
          handler runs.",
    hurts: "The other CPUs serve all interrupts: a card with many queues \
            wants more of them near it ([cpu] housekeeping). Numbers of \
            interrupts change from boot to boot, so what is moved by number \
            lasts until then; the default lasts.",
    folklore: "Guides run mlnx_tune or a vendor's script, which spread the \
               queues over the CPUs of the card's node, the VMs' among them. \
               Interrupts that the kernel manages (of NVMe disks, and of some \
               cards in some kernels) refuse to be moved; scripts hide the \
               error. isolcpus=managed_irq keeps these off, if they can be \
               elsewhere.",
    sources: &[
        "Linux, core-api/irq/irq-affinity: smp_affinity_list, \
         default_smp_affinity",
        "Linux, admin-guide/kernel-parameters: irqaffinity=, isolcpus=\
         managed_irq",
        "Linux 6.12, kernel/irq/proc.c: the list of an interrupt that cannot \
         be moved is read-only",
        "tmpfiles.d(5): w",
    ],
    level: Level::Plan,
    owns: &[
        "/proc/irq/default_smp_affinity",
        "/proc/irq/*/smp_affinity_list",
        FILE,
    ],
    evaluate: Evaluate::Host(evaluate),
};

const FILE: &str = "/etc/tmpfiles.d/vmtune-irq.conf";
const DEFAULT: &str = "/proc/irq/default_smp_affinity";
const TEMPLATE: &str = include_str!("../../templates/host/tmpfiles.conf");

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let cpus = cx.isolated_by(|how| how != Isolation::None);
    if cpus.is_empty() {
        return cx.without(&[FILE], "the policy isolates no VM's CPUs");
    }
    let none = CpuSet::new();
    let topology = &cx.facts.topology;
    let isolated = topology.isolated.value().unwrap_or(&none);
    let free = topology.online.difference(&cpus).difference(isolated);
    if free.is_empty() {
        return Verdict::NotApplicable("no CPU is left for interrupts");
    }
    let mut edits = match default(cx, &cpus, &free) {
        Ok(edits) => edits,
        Err(why) => return Verdict::Unknown { fact: DEFAULT, why },
    };
    let mut advice = Vec::new();
    let irqbalance = &cx.facts.kernel.irqbalance;
    match irqbalance.value() {
        Some(true) => {}
        Some(false) => {
            if let Err(why) = moved(cx, &cpus, &free, &mut edits, &mut advice) {
                return Verdict::Unknown { fact: "interrupts", why };
            }
        }
        None => {
            let why = irqbalance.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "irqbalance", why };
        }
    }
    let seen = format!("interrupts go to CPUs {free}");
    Verdict::of(edits, advice, seen)
}

/// Takes the VMs' CPUs out of those that new interrupts begin on.
fn default(
    cx: &HostContext<'_>,
    cpus: &CpuSet,
    free: &CpuSet,
) -> Result<Vec<Edit>, String> {
    let (now, file) = (place(DEFAULT), place(FILE));
    let Some(mask) = cx.setting(&now) else {
        let fact = cx.facts.settings.get(&now).and_then(Fact::reason);
        return Err(fact.unwrap_or("it was not read").to_owned());
    };
    let Some(begin) = CpuSet::of_mask(mask) else {
        return Err("it has a form of its own".to_owned());
    };
    let (own, mut edits) = (cx.setting(&file), Vec::new());
    if own.is_none() && !begin.intersects(cpus) {
        return Ok(edits);
    }
    // Not of what stands there: that may be an earlier plan's.
    let asked = irqaffinity(cx.facts).map(|asked| asked.intersection(free));
    let asked = asked.filter(|asked| !asked.is_empty());
    let wanted = asked.as_ref().unwrap_or(free);
    let to = wanted.to_mask(mask);
    let because = format!(
        "new interrupts begin on CPUs {begin} ({DEFAULT}), and VMs have CPUs \
         {cpus} to themselves"
    );
    let line = format!("w {DEFAULT} - - - - {to}");
    let what = "new interrupts begin on CPUs that are not VMs'.";
    let text = filled(TEMPLATE, &[("what", what), ("lines", &line)]);
    if own != Some(&text) {
        let edit = Edit::set(Target::File(file), text, AFTER_BOOT);
        edits.push(edit.at(Stage::Now));
    }
    if begin != *wanted {
        let edit = Edit::set(Target::Kernel(now), to, because);
        edits.insert(0, edit.at(Stage::Now));
    }
    Ok(edits)
}

/// Returns the CPUs that the running kernel was told to begin on.
fn irqaffinity(facts: &Facts) -> Option<CpuSet> {
    let line = facts.kernel.command_line.value()?;
    let mut words = line.split_whitespace();
    words.find_map(|word| word.strip_prefix("irqaffinity="))?.parse().ok()
}

/// Moves the interrupts of the planned VMs' devices.
fn moved(
    cx: &HostContext<'_>,
    cpus: &CpuSet,
    free: &CpuSet,
    edits: &mut Vec<Edit>,
    advice: &mut Vec<String>,
) -> Result<(), String> {
    let devices = devices(cx)?;
    let interrupts = &cx.facts.interrupts;
    let Some(interrupts) = interrupts.value() else {
        return Err(interrupts.reason().unwrap_or_default().to_owned());
    };
    let mut stay: BTreeMap<(PciAddress, bool), Vec<u32>> = BTreeMap::new();
    for interrupt in interrupts {
        let Some(near) = devices.get(&interrupt.device) else { continue };
        let path = place(interrupt.setting());
        let list = cx.setting(&path).and_then(|text| text.parse().ok());
        let Some(list): Option<CpuSet> = list else { continue };
        if !list.intersects(cpus) {
            continue;
        }
        if interrupt.movable.is(&true) {
            edits.push(edit(interrupt, &list, near, free));
        } else {
            let known = interrupt.movable.value().is_some();
            let stay = stay.entry((interrupt.device, known)).or_default();
            stay.push(interrupt.number);
        }
    }
    for ((device, known), numbers) in stay {
        let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
        let numbers = numbers.join(", ");
        advice.push(match known {
            true => format!(
                "interrupts {numbers} of {device} may go to CPUs of VMs, and \
                 the kernel manages them: only isolcpus=managed_irq keeps them \
                 off ([cpu] isolation = \"kernel\")"
            ),
            false => format!(
                "interrupts {numbers} of {device} may go to CPUs of VMs, and \
                 this kernel does not tell whether they can be moved: try \
                 `echo {free} > /proc/irq/NUMBER/smp_affinity_list` for each"
            ),
        });
    }
    Ok(())
}

fn edit(
    interrupt: &Interrupt,
    list: &CpuSet,
    near: &CpuSet,
    free: &CpuSet,
) -> Edit {
    let near = near.intersection(free);
    let (to, where_) = match near.is_empty() {
        true => (free, "no CPU near it is free of VMs"),
        false => (&near, "those near it are free of VMs"),
    };
    let because = format!(
        "interrupts of {} may go to CPUs {list}; {where_}; lasts until the \
         host boots",
        interrupt.device
    );
    let target = Target::Kernel(place(interrupt.setting()));
    Edit::set(target, to.to_string(), because).at(Stage::Now)
}

/// Returns the functions that isolated VMs of the plan have, their physical
/// functions, and the CPUs near each.
fn devices(
    cx: &HostContext<'_>,
) -> Result<BTreeMap<PciAddress, CpuSet>, String> {
    let isolated = |policy: &crate::model::policy::Policy| {
        policy.cpu.isolation != Isolation::None
    };
    let vms = cx.vms.iter().filter(|vm| isolated(vm.policy));
    let devices = vms.flat_map(|vm| &vm.domain.devices.hostdevs);
    let functions = &cx.facts.pci;
    let mut found = BTreeMap::new();
    for device in devices {
        let Some(functions) = functions.value() else {
            return Err(functions.reason().unwrap_or_default().to_owned());
        };
        let at = |address| functions.iter().find(|f| f.address == address);
        let own = at(device.source);
        let physical = own.and_then(|own| own.physfn).and_then(at);
        for function in own.into_iter().chain(physical) {
            let nodes = function.nodes.value().into_iter();
            let nodes = nodes.flat_map(|nodes| nodes.iter());
            let near = nodes.filter_map(|id| cx.facts.topology.node(id));
            let near = near.fold(CpuSet::new(), |all, n| all.union(&n.cpus));
            found.insert(function.address, near);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeSet;
    use crate::model::domain::Hostdev;
    use crate::model::facts::{PciClass, PciFunction};
    use crate::rules::fixture::cpus;
    use crate::rules::host_fixture::HostCase;

    const PHYSICAL: &str = "0000:c1:00.0";
    const VIRTUAL: &str = "0000:c1:00.2";

    /// vm1 has a function near node 0; its card has interrupts 24, 25, ….
    fn card(movable: &[Fact<bool>]) -> HostCase {
        let mut case = HostCase::new();
        let nodes: NodeSet = "0".parse().unwrap();
        let function = |address: &str, physfn: Option<&str>| PciFunction {
            address: address.parse().unwrap(),
            id: Fact::unknown("made up"),
            class: PciClass::Network,
            nodes: Fact::known(nodes.clone(), "made up"),
            driver: Fact::unknown("made up"),
            iommu_group: Fact::unknown("made up"),
            physfn: physfn.map(|address| address.parse().unwrap()),
            sriov: None,
            interfaces: Vec::new(),
        };
        let functions =
            vec![function(PHYSICAL, None), function(VIRTUAL, Some(PHYSICAL))];
        case.facts.pci = Fact::known(functions, "made up");
        let source = VIRTUAL.parse().unwrap();
        case.domain.devices.hostdevs.push(Hostdev {
            source,
            is_interface: false,
            position: 1,
            managed: true,
            mac: None,
            guest_bus: None,
        });
        let mut all = Vec::new();
        for (number, movable) in (24..).zip(movable) {
            let interrupt = Interrupt {
                number,
                device: PHYSICAL.parse().unwrap(),
                effective: Fact::known(cpus("4"), "made up"),
                movable: movable.clone(),
            };
            case.stands(&interrupt.setting(), Some("0-31"));
            all.push(interrupt);
        }
        case.facts.interrupts = Fact::known(all, "made up");
        case
    }

    fn begins_elsewhere(mask: &str) -> [String; 2] {
        [
            format!("{DEFAULT} = {mask}"),
            format!("{FILE} = w {DEFAULT} - - - - {mask}"),
        ]
    }

    #[test]
    fn new_interrupts_begin_elsewhere() {
        let mut case = HostCase::new();
        assert_eq!(case.edits(&RULE), begins_elsewhere("ffffff0f"));
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
        // What the plan freed is used again once another VM has moved in.
        case.placement.vcpus.clear();
        case.others = cpus("8");
        assert_eq!(case.edits(&RULE), begins_elsewhere("fffffeff"));
        case.settle(&RULE);
        case.policy.cpu.isolation = Isolation::None;
        assert_eq!(case.edits(&RULE), [format!("{FILE} removed")]);
    }

    #[test]
    fn what_keeps_clear_already_stays() {
        let mut case = HostCase::new();
        case.stands(DEFAULT, Some("00010001"));
        assert!(case.satisfied(&RULE));
        let mut case = HostCase::new();
        let line = "quiet irqaffinity=0-5";
        case.facts.kernel.command_line = Fact::known(line.into(), "made up");
        case.stands(DEFAULT, Some("0000003f"));
        assert_eq!(case.edits(&RULE), begins_elsewhere("0000000f"));
        case.settle(&RULE);
    }

    #[test]
    fn interrupts_go_near_their_device() {
        let mut case = card(&[Fact::known(true, "made up")]);
        let list = "/proc/irq/24/smp_affinity_list";
        let edits = case.edits(&RULE);
        assert_eq!(edits[2..], [format!("{list} = 0-3,16-23")]);
        case.stands(list, Some("0-3,9"));
        assert_eq!(case.edits(&RULE).len(), 2, "it keeps clear of VMs");
        case.stands(list, Some("4-7"));
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn where_all_near_it_are_vms_they_go_farther() {
        let mut case = card(&[Fact::known(true, "made up")]);
        case.others = cpus("0-7,16-23");
        assert!(case.edits(&RULE)[2].ends_with(" = 8-15,24-31"));
    }

    #[test]
    fn what_the_kernel_manages_stays_and_is_said() {
        let case = card(&[
            Fact::known(false, "made up"),
            Fact::known(false, "made up"),
            Fact::unknown("an old kernel"),
        ]);
        assert_eq!(case.edits(&RULE).len(), 2);
        let advice = case.advice(&RULE);
        assert!(
            advice.iter().any(|a| a.contains("interrupts 24, 25 of")
                && a.contains("managed_irq")),
            "{advice:?}"
        );
        assert!(
            advice.iter().any(|a| a.contains("interrupts 26 of")
                && a.contains("does not tell")),
            "{advice:?}"
        );
    }

    #[test]
    fn irqbalance_moves_them_itself() {
        let mut case = card(&[Fact::known(true, "made up")]);
        case.facts.kernel.irqbalance = Fact::known(true, "made up");
        assert_eq!(case.edits(&RULE), begins_elsewhere("ffffff0f"));
    }

    #[test]
    fn other_devices_are_left_alone() {
        let mut case = card(&[Fact::known(true, "made up")]);
        case.domain.devices.hostdevs.clear();
        assert_eq!(case.edits(&RULE), begins_elsewhere("ffffff0f"));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut case = HostCase::new();
        case.facts.kernel.irqbalance = Fact::unknown("no /proc");
        assert_eq!(case.unknown(&RULE), Some("irqbalance"));
        let mut case = HostCase::new();
        case.facts.settings.clear();
        assert_eq!(case.unknown(&RULE), Some(DEFAULT));
        let mut case = HostCase::new();
        case.facts.interrupts = Fact::unknown("no /sys");
        assert_eq!(case.unknown(&RULE), Some("interrupts"));
    }
}
