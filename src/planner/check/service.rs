//! Pins of the emulator's threads and of I/O threads.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::{Vm, emulator_pin, iothread_pin};
use super::words;
use crate::base::CpuSet;
use crate::model::policy::Emulator;

/// Threads that serve the vCPUs.
struct Service<'a> {
    rule: &'static str,
    /// As the subject of a sentence.
    name: String,
    pin: Option<&'a CpuSet>,
    /// Where the definition has the pin.
    path: String,
}

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let emulator = Service {
        rule: "emulator-pin",
        name: "the emulator".to_owned(),
        pin: emulator_pin(vm.domain),
        path: "cputune/emulatorpin".to_owned(),
    };
    judge(scene, vm, &emulator, found);
    for &id in &vm.domain.iothreads {
        let iothread = Service {
            rule: "iothread-pin",
            name: format!("I/O thread {id}"),
            pin: iothread_pin(vm.domain, id),
            path: format!("cputune/iothreadpin[@iothread='{id}']"),
        };
        judge(scene, vm, &iothread, found);
    }
    unknown_iothreads(vm, found);
}

fn judge(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    service: &Service<'_>,
    found: &mut Vec<Flaw>,
) {
    let Service { rule, name, pin, path } = service;
    let host = &scene.host;
    let Some(pin) = *pin else {
        if vm.is_dedicated() {
            let what =
                format!("no pin for {name}: it may run on the vCPUs' CPUs");
            let remedy = "Pin it to CPUs that are kept for the host.";
            found.push(Flaw::slow(rule, what, remedy));
        }
        return;
    };
    let mut push = |flaw: Flaw| {
        let line = vm.line(path).or_else(|| vm.line("vcpu/@cpuset"));
        found.push(flaw.at(line));
    };
    let impossible = host.impossible(pin);
    if !impossible.is_empty() {
        let cpus = words::cpus(&impossible);
        let what = format!("{name} pinned to {cpus}, not online on this host");
        push(Flaw::refused(rule, what, "Pin it to CPUs that are online."));
    }
    apart(scene, vm, service, pin, &mut push);
    near(scene, vm, service, pin, &mut push);
    if let Some(isolated) = host.facts.topology.isolated.value() {
        let range = pin.intersection(isolated);
        if range.len() > 1 {
            let what = format!(
                "{name} pinned to {}, isolated, where nothing balances load",
                words::cpus(&range),
            );
            let remedy = "Pin it to one CPU, or to CPUs not isolated.";
            push(Flaw::slow(rule, what, remedy));
        }
    }
}

/// It stays off the CPUs of vCPUs, the VM's own and others'; where it is
/// promised CPUs of its own, off all that others use.
fn apart(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    service: &Service<'_>,
    pin: &CpuSet,
    push: &mut impl FnMut(Flaw),
) {
    let Service { rule, name, .. } = service;
    let own = pin.intersection(&vm.seat_cpus);
    if vm.is_dedicated() && !own.is_empty() {
        let cpus = words::cpus(&own);
        let what = format!("{name} pinned to {cpus}, where own vCPUs run");
        push(Flaw::broken(rule, what, "Pin it to other CPUs."));
    }
    for other in scene.others(vm) {
        let theirs = match vm.policy.cpu.emulator {
            Emulator::Dedicated => &other.all,
            Emulator::Housekeeping if other.is_judged => &other.alone,
            Emulator::Housekeeping => &other.vcpus,
        };
        if pin.intersects(theirs) {
            let shared = pin.intersection(theirs);
            let what = format!(
                "{name} pinned to {}, where threads of {} run",
                words::cpus(&shared),
                other.name,
            );
            let flaw = Flaw::broken(rule, what, "Pin it to other CPUs.");
            // On the host's own CPUs, it is the other that intrudes.
            let kept = &scene.host.housekeeping;
            push(flaw.slow_if(shared.is_subset(kept)));
        }
    }
}

/// It is on a node of the vCPUs, where that keeps CPUs for the host.
fn near(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    service: &Service<'_>,
    pin: &CpuSet,
    push: &mut impl FnMut(Flaw),
) {
    let host = &scene.host;
    let near = host.nodes(&host.housekeeping).intersection(&vm.nodes);
    let nodes = host.nodes(pin);
    if near.is_empty() || nodes.is_empty() || nodes.intersects(&vm.nodes) {
        return;
    }
    let what = format!(
        "{} on {}, the vCPUs on {}",
        service.name,
        words::nodes(&nodes),
        words::nodes(&vm.nodes),
    );
    let remedy = format!(
        "Pin it to CPUs that are kept for the host on {}.",
        words::nodes(&near),
    );
    push(Flaw::slow(service.rule, what, remedy));
}

/// libvirt refuses I/O threads that are used and not there.
fn unknown_iothreads(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let domain = vm.domain;
    let pins = domain.cputune.iothreadpin.keys().map(|&id| {
        let path = format!("cputune/iothreadpin[@iothread='{id}']");
        (id, "a pin", path)
    });
    let disks = (1..).zip(&domain.devices.disks).filter_map(|(n, disk)| {
        let path = format!("devices/disk[{n}]/driver");
        Some((disk.iothread?, "a disk", path))
    });
    let controllers = (1..).zip(&domain.devices.controllers);
    let controllers = controllers.filter_map(|(n, controller)| {
        let path = format!("devices/controller[{n}]/driver");
        Some((controller.iothread?, "a controller", path))
    });
    for (id, user, path) in pins.chain(disks).chain(controllers) {
        if domain.iothreads.contains(&id) {
            continue;
        }
        let what = format!("{user} of I/O thread {id}, which is not defined");
        let remedy = "Define the thread in <iothreadids>.";
        let flaw = Flaw::refused("iothread-pin", what, remedy);
        found.push(flaw.at(vm.line(&path)));
    }
}
