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
            let what = format!("no pin for {name}: it runs on vCPUs' CPUs");
            let remedy = "Pin it to CPUs that are kept for the host.";
            found.push(Flaw::slow(rule, what, remedy));
        }
        return;
    };
    let mut push = |flaw: Flaw| {
        let line = vm.line(path).or_else(|| vm.line("vcpu/@cpuset"));
        found.push(flaw.at(line));
    };
    let impossible = words::cpus(&host.impossible(pin));
    if !host.impossible(pin).is_empty() {
        let what = format!("{name} pinned to {impossible}, not online here");
        push(Flaw::refused(rule, what, "Pin it to CPUs that are online."));
    }
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
        let shared = pin.intersection(theirs);
        if !shared.is_empty() {
            let what = format!(
                "{name} pinned to {}, where threads of {} run",
                words::cpus(&shared),
                other.name,
            );
            let flaw = Flaw::broken(rule, what, "Pin it to other CPUs.");
            // On the host's own CPUs, it is the other that intrudes.
            push(flaw.slow_if(shared.is_subset(&host.housekeeping)));
        }
    }
    let near = host.nodes(&host.housekeeping).intersection(&vm.nodes);
    if !near.is_empty() && !host.nodes(pin).intersects(&vm.nodes) {
        let what = format!(
            "{name} on {}, the vCPUs on {}",
            words::nodes(&host.nodes(pin)),
            words::nodes(&vm.nodes),
        );
        let remedy = format!(
            "Pin it to CPUs that are kept for the host on {}.",
            words::nodes(&near),
        );
        push(Flaw::slow(rule, what, remedy));
    }
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

/// libvirt refuses I/O threads that are used and not there.
fn unknown_iothreads(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let is_known = |id: &u32| vm.domain.iothreads.contains(id);
    let remedy = "Define the thread in <iothreadids>.";
    let mut unknown = |id: u32, what: String, line: Option<u32>| {
        if !is_known(&id) {
            found.push(Flaw::refused("iothread-pin", what, remedy).at(line));
        }
    };
    for &id in vm.domain.cputune.iothreadpin.keys() {
        let what = format!("a pin for I/O thread {id}, which is not defined");
        let path = format!("cputune/iothreadpin[@iothread='{id}']");
        unknown(id, what, vm.line(&path));
    }
    for (place, disk) in (1..).zip(&vm.domain.devices.disks) {
        let Some(id) = disk.iothread else { continue };
        let what = format!("a disk of I/O thread {id}, which is not defined");
        unknown(id, what, vm.line(&format!("devices/disk[{place}]/driver")));
    }
    for (place, controller) in (1..).zip(&vm.domain.devices.controllers) {
        let Some(id) = controller.iothread else { continue };
        let what =
            format!("a controller of I/O thread {id}, which is not defined");
        let path = format!("devices/controller[{place}]/driver");
        unknown(id, what, vm.line(&path));
    }
}
