//! Pins of vCPUs: one CPU each, usable, and nobody else's.

use std::fmt::Display;

use super::flaw::Flaw;
use super::scene::{Scene, service_cpus};
use super::vm::{Vm, vcpu_pin, vcpus};
use super::words;
use crate::base::{CpuSet, Id, VcpuSet};

const RULE: &str = "vcpu-pin";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    unknown_vcpus(vm, found);
    impossible_cpus(scene, vm, found);
    contradictions(vm, found);
    isolated_ranges(scene, vm, found);
    if vm.is_dedicated() {
        one_cpu_each(vm, found);
        own_cpus(scene, vm, found);
        if vm.is_isolated() {
            own_cores(scene, vm, found);
        }
    } else {
        floating(scene, vm, found);
    }
}

/// libvirt drops the pin of a vCPU that the VM does not have.
fn unknown_vcpus(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let count = vm.domain.vcpus;
    let pinned = vm.domain.cputune.vcpupin.keys();
    let unknown: VcpuSet =
        pinned.copied().filter(|vcpu| vcpu.number() >= count).collect();
    if !unknown.is_empty() {
        let what = format!(
            "a pin for {}, where the VM has {count} vCPUs; libvirt drops it",
            words::vcpus(&unknown),
        );
        let flaw = Flaw::slow(RULE, what, "Remove the pin.");
        found.push(flaw.at(vm.pin_line(unknown.first())));
    }
}

/// libvirt takes CPUs that the host does not have; start does not.
fn impossible_cpus(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let mut affected = VcpuSet::new();
    let mut impossible = CpuSet::new();
    for vcpu in vcpus(vm.domain) {
        let Some(pin) = vcpu_pin(vm.domain, vcpu) else { continue };
        let cpus = scene.host.impossible(pin);
        if !cpus.is_empty() {
            affected.insert(vcpu);
            impossible.extend(cpus.iter());
        }
    }
    if !affected.is_empty() {
        let what = format!(
            "{} pinned to {}, not online on this host",
            words::vcpus(&affected),
            words::cpus(&impossible),
        );
        let flaw = Flaw::refused(RULE, what, "Pin to CPUs that are online.");
        found.push(flaw.at(vm.pin_line(affected.first())));
    }
}

/// `<vcpu>` must not say something else than the pins.
fn contradictions(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    if vm.domain.vcpu_placement.as_deref() == Some("auto") {
        let what = "numad places this VM anew at each start";
        let flaw = Flaw::broken(RULE, what, "Write placement='static'.");
        let line = vm.line("vcpu/@placement");
        found.push(flaw.slow_if(!vm.is_dedicated()).at(line));
        return;
    }
    let Some(cpuset) = &vm.domain.vcpu_cpuset else { return };
    let pins = vm.domain.cputune.vcpupin.iter();
    let outside: VcpuSet = pins
        .filter(|(_, pin)| !pin.is_subset(cpuset))
        .map(|(vcpu, _)| *vcpu)
        .collect();
    if !outside.is_empty() {
        let what = format!(
            "cpuset names {}, the pins of {} others; the pins win",
            words::cpus(cpuset),
            words::vcpus(&outside),
        );
        let remedy = "Remove cpuset, or make it the union of the pins.";
        let flaw = Flaw::slow(RULE, what, remedy);
        found.push(flaw.at(vm.line("vcpu/@cpuset")));
    }
}

/// The kernel does not balance load over isolated CPUs: threads that may run
/// on several of them pile up on one.
fn isolated_ranges(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let isolated = &scene.host.facts.topology.isolated;
    let Some(isolated) = isolated.value() else { return };
    let affected: VcpuSet = vcpus(vm.domain)
        .filter(|&vcpu| {
            let pin = vcpu_pin(vm.domain, vcpu);
            pin.is_some_and(|pin| pin.intersection(isolated).len() > 1)
        })
        .collect();
    if !affected.is_empty() {
        let what = format!(
            "{} pinned to several isolated CPUs, where nothing balances load",
            words::vcpus(&affected),
        );
        let remedy = "Pin each vCPU to one CPU.";
        let flaw = Flaw::slow(RULE, what, remedy);
        found.push(flaw.at(vm.pin_line(affected.first())));
    }
}

/// Each vCPU of a dedicated VM has one CPU, and each another.
fn one_cpu_each(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let pin = |vcpu| vcpu_pin(vm.domain, vcpu);
    let missing: VcpuSet =
        vcpus(vm.domain).filter(|&v| pin(v).is_none()).collect();
    if !missing.is_empty() {
        let what = format!("no pin for {}", words::vcpus(&missing));
        let remedy = "Pin each vCPU to a CPU of its own.";
        found.push(Flaw::broken(RULE, what, remedy));
    }
    let wide: VcpuSet = vcpus(vm.domain)
        .filter(|&v| pin(v).is_some_and(|pin| pin.len() > 1))
        .collect();
    if !wide.is_empty() {
        let what =
            format!("{} pinned to more than one CPU each", words::vcpus(&wide));
        let remedy = "Pin each vCPU to a CPU of its own.";
        let flaw = Flaw::broken(RULE, what, remedy);
        found.push(flaw.at(vm.pin_line(wide.first())));
    }
    let mut taken = CpuSet::new();
    let twice = vm.seats.iter().filter(|(_, cpu)| !taken.insert(**cpu));
    let twice: VcpuSet = twice.map(|(vcpu, _)| *vcpu).collect();
    if let Some(cpus) = vm.cpus_of(&twice).filter(|cpus| !cpus.is_empty()) {
        let what = format!(
            "{} pinned to {}, where another vCPU of this VM is",
            words::vcpus(&twice),
            words::cpus(&cpus),
        );
        let remedy = "Pin each vCPU to a CPU of its own.";
        let flaw = Flaw::broken(RULE, what, remedy);
        found.push(flaw.at(vm.pin_line(twice.first())));
    }
}

/// CPUs of a dedicated VM are neither the host's nor another VM's.
fn own_cpus(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let mut forbid = |cpus: &CpuSet, whose: &dyn Display| {
        let affected = vm.seated_on(cpus);
        if affected.is_empty() {
            return;
        }
        let what = format!(
            "{} pinned to {}, {whose}",
            words::vcpus(&affected),
            words::cpus(&cpus.intersection(&vm.seat_cpus)),
        );
        let flaw = Flaw::broken(RULE, what, "Pin to CPUs that are free.");
        found.push(flaw.at(vm.pin_line(affected.first())));
    };
    let topology = &scene.host.facts.topology;
    forbid(&topology.disallowed, &"which vmtune may not give out");
    forbid(&scene.host.housekeeping, &"kept for the host");
    for other in scene.others(vm) {
        forbid(
            &other.all,
            &format_args!("where threads of {} run", other.name),
        );
    }
}

/// Under `isolate`, nobody uses the siblings of a vCPU's CPU.
fn own_cores(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let own = &vm.seat_cpus;
    let mut siblings = CpuSet::new();
    let mut paired = VcpuSet::new();
    for (&vcpu, &cpu) in &vm.seats {
        let mut others = scene.host.siblings(cpu);
        others.remove(cpu);
        if others.intersects(own) {
            paired.insert(vcpu);
        }
        siblings.extend(others.iter());
    }
    let remedy = "Give each vCPU a core, and leave its siblings idle.";
    if !paired.is_empty() {
        let what = format!("{} on shared cores", words::vcpus(&paired));
        let flaw = Flaw::broken(RULE, what, remedy);
        found.push(flaw.at(vm.pin_line(paired.first())));
    }
    let idle = siblings.difference(own);
    let mut forbid = |cpus: &CpuSet, whose: &dyn Display| {
        if idle.intersects(cpus) {
            let used = words::cpus(&idle.intersection(cpus));
            let what = format!("{whose} on {used}, siblings of this VM's own");
            found.push(Flaw::broken(RULE, what, remedy));
        }
    };
    forbid(&service_cpus(&scene.host, vm.domain), &"the VM's other threads");
    for other in scene.others(vm) {
        forbid(&other.all, &format_args!("threads of {}", other.name));
    }
}

/// A VM that shares CPUs keeps off those that somebody has alone.
fn floating(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let pinned_on = |cpus: &CpuSet| -> VcpuSet {
        let pinned = |v: &_| {
            let pin = vcpu_pin(vm.domain, *v);
            pin.is_some_and(|pin| pin.intersects(cpus))
        };
        vcpus(vm.domain).filter(pinned).collect()
    };
    let mut taken = CpuSet::new();
    for other in scene.others(vm) {
        if other.alone.is_empty() {
            continue;
        }
        let affected = pinned_on(&other.alone);
        taken.extend(other.alone.iter());
        if !affected.is_empty() {
            let what = format!(
                "{} on CPUs that {} has for itself ({})",
                words::vcpus(&affected),
                other.name,
                other.alone,
            );
            let flaw = Flaw::broken(RULE, what, "Pin to CPUs that are free.");
            found.push(flaw.at(vm.pin_line(affected.first())));
        }
    }
    let unpinned: VcpuSet = vcpus(vm.domain)
        .filter(|&vcpu| vcpu_pin(vm.domain, vcpu).is_none())
        .collect();
    if !unpinned.is_empty() && !taken.is_empty() {
        let what = format!(
            "no pin for {}; {} are others' own",
            words::vcpus(&unpinned),
            words::cpus(&taken),
        );
        let remedy = "Pin the vCPUs to CPUs that are free.";
        found.push(Flaw::slow(RULE, what, remedy));
    }
    let affected = pinned_on(&scene.host.housekeeping);
    let anywhere = |v: &_| {
        let pin = vcpu_pin(vm.domain, *v);
        pin.is_some_and(|pin| scene.host.is_anywhere(pin))
    };
    let affected: VcpuSet = affected.iter().filter(|v| !anywhere(v)).collect();
    if !affected.is_empty() {
        let what = format!(
            "{} pinned to CPUs that are kept for the host ({})",
            words::vcpus(&affected),
            scene.host.housekeeping,
        );
        let flaw = Flaw::slow(RULE, what, "Pin to CPUs that are free.");
        found.push(flaw.at(vm.pin_line(affected.first())));
    }
}
