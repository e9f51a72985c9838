//! The host CPUs of the VM's I/O threads.
//!
//! An I/O thread serves disks outside QEMU's main loop. Like the emulator it
//! must not run where a vCPU does. Whether a VM has I/O threads, and which
//! disks they serve, is the user's: this rule pins those that exist.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::Role;
use crate::model::policy::{Level, Pins};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "iothread-pin",
    group: Group::GuestCpu,
    why: "I/O threads serve disks fastest on CPUs that no vCPU uses, on the \
          VM's node.",
    hurts: "A polling I/O thread keeps its CPU busy; on a housekeeping CPU it \
            takes time from other VMs' emulators.",
    folklore: "Guides pin I/O threads that no disk is assigned to: such a \
               thread does nothing.",
    sources: &[
        "libvirt, Domain XML format, \"IOThreads Allocation\" and \"CPU \
         Tuning\": iothreadpin",
        "libvirt 11.3: a pin of an I/O thread that does not exist is refused",
    ],
    level: Level::Plan,
    owns: &["/domain/cputune/iothreadpin"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let domain = cx.domain;
    let pins = &domain.cputune.iothreadpin;
    let pin = |id: u32| {
        let tune = XmlPath::domain().child("cputune");
        tune.child("iothreadpin").with("iothread", id)
    };
    let keep = cx.policy.cpu.pins == Pins::Keep;
    let mut edits = Vec::new();
    for &id in &domain.iothreads {
        let Some(wanted) = cx.placement.iothreads.get(&id) else { continue };
        let given = pins.get(&id);
        if given == Some(wanted) || (keep && given.is_some()) {
            continue;
        }
        let because = format!(
            "CPUs {wanted} are kept for such threads; the vCPUs are on CPUs {}",
            cx.placement.cpus()
        );
        let target = pin(id).attribute("cpuset");
        let edit = Edit::set(target, wanted.to_string(), because);
        edits.push(edit.at(cx.pin_stage(Role::IoThread(id))));
    }
    for &id in pins.keys().filter(|id| !domain.iothreads.contains(id)) {
        let because = format!("the VM has no I/O thread {id}");
        edits.push(Edit::remove(pin(id), because));
    }
    let advice: Vec<_> = assignment(cx).into_iter().collect();
    if domain.iothreads.is_empty() && edits.is_empty() && advice.is_empty() {
        return Verdict::NotApplicable("the VM has no I/O threads");
    }
    Verdict::of(edits, advice, "each I/O thread is on CPUs for such threads")
}

/// Says what keeps virtio disks away from I/O threads.
fn assignment(cx: &Context<'_>) -> Option<String> {
    let devices = &cx.domain.devices;
    let virtio = |disk: &crate::model::domain::Disk| {
        disk.bus.as_deref() == Some("virtio")
    };
    let disks = devices.disks.iter().filter(|disk| virtio(disk)).count();
    let assigned = devices.disks.iter().any(|disk| disk.iothread.is_some())
        || devices.controllers.iter().any(|c| c.iothread.is_some());
    if cx.domain.iothreads.is_empty() && disks > 0 {
        return Some(format!(
            "{disks} virtio disk(s) are served by QEMU's main loop. \
             <iothreads>1</iothreads> and <driver iothread='1'/> of each disk \
             give them a thread of their own."
        ));
    }
    (!cx.domain.iothreads.is_empty() && !assigned).then(|| {
        "No disk or controller is assigned to an I/O thread, so the threads \
         do nothing: add iothread='1' to the <driver> of virtio disks."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, cpus};
    use super::*;
    use crate::model::domain::Disk;

    fn case() -> Case {
        let mut case = Case::intel(&[1, 2], 1);
        case.domain.iothreads = vec![1];
        case.placement.iothreads.insert(1, cpus("0,16"));
        case.domain.devices.disks.push(Disk {
            target: Some("vda".to_owned()),
            bus: Some("virtio".to_owned()),
            iothread: Some(1),
        });
        case
    }

    #[test]
    fn threads_that_exist_are_pinned() {
        let mut case = case();
        let edit = "/domain/cputune/iothreadpin[@iothread='1']/@cpuset = 0,16";
        assert_eq!(case.edits(&RULE), [edit]);
        case.domain.cputune.iothreadpin.insert(1, cpus("0,16"));
        assert!(case.satisfied(&RULE));
        case.domain.cputune.iothreadpin.insert(3, cpus("5"));
        let edit = "/domain/cputune/iothreadpin[@iothread='3'] removed";
        assert_eq!(case.edits(&RULE), [edit]);
    }

    #[test]
    fn kept_pins_are_kept() {
        let mut case = case();
        case.policy.cpu.pins = Pins::Keep;
        assert_eq!(case.edits(&RULE).len(), 1, "there is none to keep");
        case.domain.cputune.iothreadpin.insert(1, cpus("5"));
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn threads_and_disks_should_meet() {
        let mut case = case();
        case.domain.cputune.iothreadpin.insert(1, cpus("0,16"));
        case.domain.devices.disks[0].iothread = None;
        assert!(case.advice(&RULE)[0].contains("do nothing"));
        case.domain.iothreads.clear();
        case.domain.cputune.iothreadpin.clear();
        assert!(case.advice(&RULE)[0].contains("main loop"));
        case.domain.devices.disks.clear();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
