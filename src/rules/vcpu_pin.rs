//! The host CPU of each vCPU.
//!
//! A pinned vCPU keeps its caches and its node's memory, and shares its core
//! with whom the placement says. Which CPU it is, is the placement's decision;
//! this rule writes it down and clears away what contradicts it.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::{CpuSet, VcpuId, XmlPath};
use crate::model::Role;
use crate::model::policy::{Level, Pins};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "vcpu-pin",
    group: Group::GuestCpu,
    why: "A vCPU that stays on its CPU keeps its caches, its siblings and its \
          node.",
    hurts: "A pinned vCPU cannot flee from a busy CPU: without CPUs of its \
            own it waits where another would move. The VM's CPUs are lost to \
            others while it idles.",
    folklore: "Guides tell to leave the first core to the host and to take \
               all others; several nodes need a core each for emulators, I/O \
               threads and interrupts. libvirt checks little: it takes CPUs \
               that do not exist, two vCPUs on one CPU, and drops pins of \
               vCPUs that do not exist.",
    sources: &[
        "libvirt, Domain XML format, \"CPU Tuning\": vcpupin",
        "libvirt 11.3: define takes vcpupin cpuset='999' and vcpu='7' of 4",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/cputune/vcpupin",
        "/domain/vcpu/@cpuset",
        "/domain/vcpu/@placement",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    if cx.policy.cpu.pins == Pins::Keep && !cx.domain.cputune.vcpupin.is_empty()
    {
        return Verdict::NotApplicable("the policy keeps the pins as they are");
    }
    let domain = cx.domain;
    let vcpu = XmlPath::domain().child("vcpu");
    let pin = |id: VcpuId| {
        XmlPath::domain().child("cputune").child("vcpupin").with("vcpu", id)
    };
    let (mut edits, mut advice) = (Vec::new(), Vec::new());
    // `<numatune>` without nodes takes its placement from `<vcpu>`, and static
    // placement needs nodes.
    let memory = domain.numatune.memory.as_ref();
    let leans = memory.is_some_and(|m| {
        m.nodeset.is_none() && m.placement.as_deref() != Some("auto")
    });
    let auto = domain.vcpu_placement.as_deref() == Some("auto");
    if auto && leans && !cx.policy.plans("numa-memory") {
        advice.push(
            "<vcpu placement='auto'> stays, for <numatune> leans on it; give \
             <numatune> a nodeset, or let numa-memory do it."
                .to_owned(),
        );
    } else if auto {
        let because = "the vCPUs are pinned; numad would place them anew at \
                       each start";
        let placement = vcpu.clone().attribute("placement");
        edits.push(Edit::set(placement, "static", because));
    }
    let cpus = cx.placement.cpus();
    if let Some(given) = &domain.vcpu_cpuset
        && !cpus.is_subset(given)
    {
        let because = format!(
            "the vCPUs run on CPUs {cpus}, which CPUs {given} do not hold; \
             each vCPU has a pin of its own"
        );
        edits.push(Edit::remove(vcpu.attribute("cpuset"), because));
    }
    let pins = &domain.cputune.vcpupin;
    for (&id, wanted) in &cx.placement.vcpus {
        if pins.get(&id) != Some(wanted) && id.0 < domain.vcpus {
            let to = wanted.to_string();
            let target = pin(id).attribute("cpuset");
            let edit = Edit::set(target, to, because(cx, wanted));
            edits.push(edit.at(cx.pin_stage(Role::Vcpu(id))));
        }
    }
    for id in pins.keys().filter(|id| id.0 >= domain.vcpus) {
        let because = format!(
            "the VM has vCPUs 0 to {}; libvirt drops this pin in silence",
            domain.vcpus.saturating_sub(1)
        );
        edits.push(Edit::remove(pin(*id), because));
    }
    Verdict::of(edits, advice, format!("the vCPUs are on CPUs {cpus}"))
}

/// Says where CPUs are, and what is near.
fn because(cx: &Context<'_>, cpus: &CpuSet) -> String {
    let host = &cx.facts.topology;
    let mut parts = Vec::new();
    let first = cpus.first();
    match (first.and_then(|cpu| host.core_of(cpu)), cpus.len()) {
        (Some(core), 1) if core.cpus.len() > 1 => {
            parts.push(format!("CPUs {} are siblings of one core", core.cpus));
        }
        (_, 2..) => parts.push(format!("floats over CPUs {cpus}")),
        _ => {}
    }
    if let Some(l3) = first.and_then(|cpu| host.l3_of(cpu))
        && cpus.is_subset(&l3.cpus)
    {
        parts.push(format!("L3 of CPUs {}", l3.cpus));
    }
    if let Some(node) = first.and_then(|cpu| host.node_of(cpu)) {
        let functions = cx.facts.pci.value().map_or(&[][..], Vec::as_slice);
        let near = cx.domain.devices.hostdevs.iter().filter(|device| {
            functions.iter().any(|function| {
                let nodes = function.nodes.value();
                function.address == device.source
                    && nodes.is_some_and(|nodes| nodes.contains(node.id))
            })
        });
        let near: Vec<_> =
            near.map(|device| device.source.to_string()).collect();
        parts.push(match near.as_slice() {
            [] => format!("node {}", node.id),
            [one] => format!("node {}, where {one} is", node.id),
            all => format!("node {}, where {} are", node.id, all.join(", ")),
        });
    }
    format!("{} ({})", parts.join("; "), host.origin)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, cpus};
    use super::*;
    use crate::base::NodeId;
    use crate::model::domain::{Hostdev, MemoryPolicy};
    use crate::model::facts::{PciClass, PciFunction};
    use crate::model::{Fact, Stage};

    fn pinned(pins: &[u32]) -> Case {
        let mut case = Case::amd(pins, 1);
        case.domain.cputune.vcpupin = case.placement.vcpus.clone();
        case
    }

    #[test]
    fn each_vcpu_gets_its_cpu() {
        let mut case = pinned(&[5, 6]);
        assert!(case.satisfied(&RULE));
        case.domain.cputune.vcpupin.insert(VcpuId(1), cpus("6-7"));
        let edit = "/domain/cputune/vcpupin[@vcpu='1']/@cpuset = 6";
        assert_eq!(case.edits(&RULE), [edit]);
        assert_eq!(
            case.reasons(&RULE),
            "CPUs 6,22 are siblings of one core; L3 of CPUs 4-7,20-23; \
             node 0 (/sys/devices/system)"
        );
    }

    #[test]
    fn devices_of_the_node_are_named() {
        let mut case = Case::amd(&[5], 1);
        let source = "0000:c1:00.2".parse().unwrap();
        case.domain.devices.hostdevs.push(Hostdev {
            source,
            is_interface: false,
            position: 1,
            managed: true,
            mac: None,
            guest_bus: None,
        });
        let function = PciFunction {
            address: source,
            id: Fact::unknown("not read"),
            class: PciClass::Network,
            nodes: Fact::known(NodeId(0).into(), "numa_node"),
            driver: Fact::known(None, "driver"),
            iommu_group: Fact::known(None, "iommu_group"),
            physfn: None,
            sriov: None,
            interfaces: Vec::new(),
        };
        case.facts.pci = Fact::known(vec![function], "/sys/bus/pci");
        let reasons = case.reasons(&RULE);
        assert!(reasons.contains("node 0, where 0000:c1:00.2 is"), "{reasons}");
    }

    /// Trap: libvirt drops pins of vCPUs that do not exist in silence.
    #[test]
    fn stale_pins_go() {
        let mut case = pinned(&[5, 6]);
        case.domain.cputune.vcpupin.insert(VcpuId(7), cpus("3"));
        let edit = "/domain/cputune/vcpupin[@vcpu='7'] removed";
        assert_eq!(case.edits(&RULE), [edit]);
    }

    #[test]
    fn what_contradicts_the_pins_goes() {
        let mut case = pinned(&[5, 6]);
        case.domain.vcpu_cpuset = Some(cpus("4-7"));
        case.domain.vcpu_placement = Some("static".to_owned());
        assert!(case.satisfied(&RULE), "it holds the pins");
        case.domain.vcpu_cpuset = Some(cpus("0-5"));
        case.domain.vcpu_placement = Some("auto".to_owned());
        assert_eq!(
            case.edits(&RULE),
            [
                "/domain/vcpu/@placement = static",
                "/domain/vcpu/@cpuset removed",
            ]
        );
    }

    #[test]
    fn numatune_may_lean_on_auto_placement() {
        let mut case = pinned(&[5]);
        case.domain.vcpu_placement = Some("auto".to_owned());
        case.domain.numatune.memory = Some(MemoryPolicy {
            mode: Some("preferred".to_owned()),
            nodeset: None,
            placement: None,
        });
        let edit = "/domain/vcpu/@placement = static";
        assert_eq!(case.edits(&RULE), [edit]);
        case.policy.rules.insert("numa-memory".to_owned(), Level::Off);
        assert!(case.advice(&RULE)[0].contains("nodeset"));
    }

    #[test]
    fn kept_pins_are_kept() {
        let mut case = Case::amd(&[5, 6], 1);
        case.policy.cpu.pins = Pins::Keep;
        let pin = (VcpuId(0), "3".parse().unwrap());
        case.domain.cputune.vcpupin.extend([pin]);
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }

    #[test]
    fn a_vm_that_runs_is_moved_at_once_where_its_memory_is() {
        let mut case = Case::amd(&[0, 1], 1);
        let stages = |case: &Case| -> Vec<Stage> {
            let Verdict::Change { edits, .. } = case.verdict(&RULE) else {
                panic!("no change");
            };
            let pins = edits
                .iter()
                .filter(|edit| edit.target.to_string().contains("vcpupin"));
            pins.map(|edit| edit.stage).collect()
        };
        assert_eq!(stages(&case), [Stage::VmStart; 2]);
        let mut live = case.domain.clone();
        case.live = Some(live.clone());
        // Nobody knows where its memory is.
        assert_eq!(stages(&case), [Stage::VmStart; 2]);
        live.numatune.memory = Some(MemoryPolicy {
            mode: Some("strict".into()),
            nodeset: Some("0".parse().unwrap()),
            placement: None,
        });
        case.live = Some(live.clone());
        assert_eq!(stages(&case), [Stage::Now; 2]);
        // The second vCPU is not there yet.
        live.current_vcpus = Some(1);
        case.live = Some(live.clone());
        assert_eq!(stages(&case), [Stage::Now, Stage::VmStart]);
        live.numatune.memory.as_mut().unwrap().nodeset =
            Some("1".parse().unwrap());
        case.live = Some(live);
        assert_eq!(stages(&case), [Stage::VmStart; 2]);
    }
}
