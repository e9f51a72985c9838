//! What a VM is promised of its CPUs: the hint, the scheduler, the quota.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::{Vm, vcpu_pin};
use super::words;
use crate::base::{Id, VcpuSet};

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    hint(vm, found);
    schedulers(scene, vm, found);
    quota(vm, found);
}

/// The hint tells the guest that its vCPUs are never preempted.
fn hint(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let said = vm.domain.feature("kvm/hint-dedicated@state");
    let is_heard = vm.domain.virt_type == "kvm";
    if is_heard && said == Some("on") && !vm.is_one_to_one() {
        let what = "the guest is told of CPUs of its own, and has none";
        let remedy = "Pin each vCPU to a CPU of its own, or drop the hint.";
        let line = vm.line("features/kvm/hint-dedicated");
        found.push(Flaw::broken("dedicated-hint", what, remedy).at(line));
    }
}

/// A real-time vCPU that spins starves the kernel's threads on its CPU.
fn schedulers(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    const RULE: &str = "vcpu-scheduler";
    let isolated = scene.host.facts.topology.isolated.value();
    for (place, scheduler) in (1..).zip(&vm.domain.cputune.vcpusched) {
        let line = || vm.line(&format!("cputune/vcpusched[{place}]"));
        let count = vm.domain.vcpus;
        let vcpus = &scheduler.vcpus;
        let unknown: VcpuSet =
            vcpus.iter().filter(|vcpu| vcpu.number() >= count).collect();
        if !unknown.is_empty() {
            let what = format!(
                "a scheduler for {}, where the VM has {count} vCPUs",
                words::vcpus(&unknown),
            );
            let remedy = "Name vCPUs of the VM.";
            found.push(Flaw::refused(RULE, what, remedy).at(line()));
        }
        let is_real_time =
            matches!(scheduler.scheduler.as_str(), "fifo" | "rr");
        let Some(isolated) = isolated.filter(|_| is_real_time) else {
            continue;
        };
        let is_exposed = |vcpu: &_| {
            let pin = vcpu_pin(vm.domain, *vcpu);
            pin.is_none_or(|pin| !pin.is_subset(isolated))
        };
        let exposed: VcpuSet = vcpus.iter().filter(is_exposed).collect();
        if !exposed.is_empty() {
            let what = format!(
                "{} real-time on CPUs that the kernel does not isolate",
                words::vcpus(&exposed),
            );
            let remedy = "Isolate the CPUs, or remove <vcpusched>.";
            found.push(Flaw::slow(RULE, what, remedy).at(line()));
        }
    }
}

/// A quota stops vCPUs that nobody else waits for.
fn quota(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    if !vm.is_dedicated() {
        return;
    }
    for name in ["quota", "global_quota"] {
        let limit = vm.domain.cputune.limits.get(name).copied();
        if let Some(limit) = limit.filter(|limit| *limit > 0) {
            let what = format!("{name} of {limit} µs for CPUs of its own");
            let flaw = Flaw::slow("vcpu-quota", what, "Remove it.");
            found.push(flaw.at(vm.line(&format!("cputune/{name}"))));
        }
    }
}
