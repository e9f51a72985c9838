//! The host CPUs of the emulator's own threads.
//!
//! QEMU's main loop, its workers, the migration thread and the kernel's vhost
//! threads of the VM run where the emulator is pinned. On a vCPU's CPU they
//! take its time just when the guest does I/O.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::Role;
use crate::model::policy::{Level, Pins};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "emulator-pin",
    group: Group::GuestCpu,
    why: "The emulator's threads steal no time from vCPUs when they have \
          other CPUs on the same node.",
    hurts: "Emulators of many VMs on few CPUs wait for each other; a VM with \
            much emulated I/O wants CPUs of its own for it \
            ([cpu] emulator = \"dedicated\").",
    folklore: "Guides that isolate all cores but one and pin vCPUs alone \
               leave all emulators on that core, or let them share the vCPUs' \
               CPUs.",
    sources: &[
        "libvirt, Domain XML format, \"CPU Tuning\": emulatorpin",
        "Linux, admin-guide/kernel-parameters, isolcpus=: isolated CPUs are \
         not balanced",
    ],
    level: Level::Plan,
    owns: &["/domain/cputune/emulatorpin"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let given = cx.domain.cputune.emulatorpin.as_ref();
    let wanted = &cx.placement.emulator;
    if cx.policy.cpu.pins == Pins::Keep && given.is_some() {
        return Verdict::NotApplicable("the policy keeps the pins as they are");
    }
    if wanted.is_empty() {
        return Verdict::NotApplicable("the placement has no CPUs for it");
    }
    let mut edits = Vec::new();
    if given != Some(wanted) {
        let place = XmlPath::domain().child("cputune").child("emulatorpin");
        let target = place.attribute("cpuset");
        let edit = Edit::set(target, wanted.to_string(), because(cx));
        edits.push(edit.at(cx.pin_stage(Role::Emulator)));
    }
    let mut advice = Vec::new();
    let isolated = cx.facts.topology.isolated.value();
    let isolated = isolated.map(|isolated| isolated.intersection(wanted));
    if let Some(isolated) = isolated.filter(|_| wanted.len() > 1)
        && !isolated.is_empty()
    {
        advice.push(format!(
            "CPUs {isolated} are isolated: the kernel does not balance them, \
             and the emulator's threads may all stay on one. Take them out of \
             isolcpus, or give the emulator a single CPU."
        ));
    }
    let seen = format!("the emulator is on CPUs {wanted}");
    Verdict::of(edits, advice, seen)
}

fn because(cx: &Context<'_>) -> String {
    let wanted = &cx.placement.emulator;
    let nodes = &cx.facts.topology.nodes;
    let near: Vec<_> = nodes
        .iter()
        .filter(|node| node.cpus.intersects(wanted))
        .map(|node| node.id.to_string())
        .collect();
    let shared = wanted.intersection(&cx.placement.cpus());
    let shares = match shared.is_empty() {
        true => "no vCPU runs there".to_owned(),
        false => format!("CPUs {shared} are vCPUs' too"),
    };
    let origin = &cx.facts.topology.origin;
    format!("CPUs {wanted} are on node {}; {shares} ({origin})", near.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, cpus};
    use super::*;
    use crate::base::CpuSet;
    use crate::model::Fact;

    #[test]
    fn the_emulator_goes_where_the_placement_says() {
        let mut case = Case::intel(&[1, 2], 1);
        let edit = "/domain/cputune/emulatorpin/@cpuset = 0,16";
        assert_eq!(case.edits(&RULE), [edit]);
        assert_eq!(
            case.reasons(&RULE),
            "CPUs 0,16 are on node 0; no vCPU runs there (/sys/devices/system)"
        );
        case.domain.cputune.emulatorpin = Some(cpus("16,0"));
        assert!(case.satisfied(&RULE));
    }

    /// Trap: threads pinned to a range of isolated CPUs pile up on one.
    #[test]
    fn isolated_ranges_are_advised_against() {
        let mut case = Case::intel(&[1, 2], 1);
        case.facts.topology.isolated = Fact::known(cpus("16"), "isolcpus");
        assert!(case.advice(&RULE)[0].contains("CPUs 16 are isolated"));
        case.placement.emulator = cpus("16");
        assert!(case.advice(&RULE).is_empty(), "one CPU needs no balance");
    }

    #[test]
    fn there_may_be_nothing_to_say() {
        let mut case = Case::intel(&[1, 2], 1);
        case.placement.emulator = CpuSet::new();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = Case::intel(&[1, 2], 1);
        case.policy.cpu.pins = Pins::Keep;
        assert_eq!(case.edits(&RULE).len(), 1, "there is none to keep");
        case.domain.cputune.emulatorpin = Some(cpus("1"));
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
