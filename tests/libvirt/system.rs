//! A real libvirtd and QEMU: what a plan says is what the kernel does.

use std::time::{Duration, Instant};

use virt::connect::Connect;
use vmtune::apply::{apply, rollback};
use vmtune::base::{Bytes, CpuId, CpuSet, NodeId, PageSize, VcpuId};
use vmtune::drift::{self, State};
use vmtune::files::StateDir;
use vmtune::host::{Root, process};
use vmtune::hypervisor::{Hypervisor as _, HypervisorError, Libvirt, Validate};
use vmtune::model::{Plan, Role, VmPlacement, VmPlan};
use vmtune::system::fake::Fake;

use crate::daemon::Daemon;
use crate::host::{self, Cgroups, Pages};
use crate::plans;
use crate::status;

/// The guest's memory: enough for the firmware, which is all that runs.
const MEMORY: Bytes = Bytes(64 << 20);
/// Pages of 2 MiB that are reserved: the guest's and some for QEMU's rounding.
const PAGES: u64 = 48;

#[test]
fn a_running_vm_is_where_the_plan_says() {
    if !host::ready(PAGES) {
        return;
    }
    let Some(_pages) = Pages::reserve(PAGES) else {
        panic!("the kernel found no {PAGES} pages of 2 MiB on node 0");
    };
    let name = format!("vmtune-test-{}", std::process::id());
    let _cgroups = Cgroups::watch(&name);
    let (daemon, libvirt) = Daemon::start();
    let definition = definition(&name);
    let domain = name.parse().unwrap();
    libvirt.define(&domain, &definition, Validate::Schema).unwrap();

    let facts = libvirt.facts().unwrap();
    let tcg = facts.domains["qemu"].value().unwrap();
    assert!(tcg.machine.contains("q35"), "{tcg:?}");
    assert!(tcg.cpu_modes.contains(&"maximum".to_owned()), "{tcg:?}");
    assert!(facts.qemu.value().is_some());

    let sizes = [PageSize::TWO_MIB];
    let free = libvirt.free_pages(&[NodeId(0)], &sizes).unwrap();
    assert!(free[&(NodeId(0), PageSize::TWO_MIB)] >= PAGES, "{free:?}");
    let error = libvirt.free_pages(&[NodeId(9)], &sizes).unwrap_err();
    assert!(matches!(error, HypervisorError::FreePages { node: 9, .. }));

    let plan = plans::planned(&libvirt, &name);
    apply_and_look(&daemon, &libvirt, &plan);
}

/// Applies a plan for one VM, starts the VM, compares what the kernel does
/// with the plan, stops the VM and undoes the plan.
fn apply_and_look(daemon: &Daemon, libvirt: &Libvirt, plan: &Plan) {
    let vm = &plan.vms[0];
    let uuid = vm.uuid.unwrap();
    let state = StateDir::open(&daemon.path().join("state")).unwrap();
    let system = Fake::new();
    let machine = plans::machine(libvirt, &system, &state);
    let former = libvirt.inactive_definition(&uuid).unwrap();
    let change = || {
        let outcome = apply(plan, None, &machine).unwrap();
        assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
    };
    let undo = || {
        let outcome = rollback(None, false, &machine).unwrap();
        assert!(outcome.rollback_failures.is_empty());
        assert_eq!(libvirt.inactive_definition(&uuid).unwrap(), former);
    };
    change();

    let connect = Connect::open(Some(&daemon.uri())).unwrap();
    let domain = connect.lookup_domain_by_name(vm.name.as_str()).unwrap();
    domain.create().unwrap();
    assert!(libvirt.find(vm.name.as_str()).unwrap().running);
    assert!(libvirt.live_definition(&uuid).unwrap().is_some());
    let pid = host::qemu(vm.name.as_str()).unwrap();
    look(pid, vm.placement.as_ref().unwrap());
    move_live(libvirt, pid, vm);
    drift_is_seen(libvirt, vm);
    status::tells(daemon, libvirt, vm);
    // A VM that runs is changed for its next start, and so is the way back.
    undo();
    change();
    look(pid, vm.placement.as_ref().unwrap());
    domain.destroy().unwrap();
    gone(vm.name.as_str());
    undo();
}

/// Moves each kind of thread while the VM runs, and back again. The kernel
/// shows it, and the definition for the next start knows nothing of it.
fn move_live(libvirt: &Libvirt, pid: u32, vm: &VmPlan) {
    let uuid = vm.uuid.unwrap();
    let former = libvirt.inactive_definition(&uuid).unwrap();
    let placement = vm.placement.as_ref().unwrap();
    let emulator = placement.emulator.clone();
    for (thread, name, home) in [
        (Role::Vcpu(VcpuId(0)), "CPU 0/TCG", placement.cpus()),
        (Role::IoThread(1), "IO iothread1", placement.iothreads[&1].clone()),
        (Role::Emulator, "qemu-system-x86", emulator),
    ] {
        let at = |cpus: &CpuSet| {
            libvirt.pin(&uuid, thread, cpus).unwrap();
            let threads = host::threads(pid);
            threads.into_iter().find(|(n, _)| n == name).unwrap().1
        };
        let other: CpuSet = if home == CpuSet::from(CpuId(0)) {
            CpuId(1).into()
        } else {
            CpuId(0).into()
        };
        assert_eq!(at(&other), other, "{thread}");
        assert_eq!(at(&home), home, "{thread}");
    }
    assert_eq!(libvirt.inactive_definition(&uuid).unwrap(), former);
    let error = libvirt.pin(&uuid, Role::IoThread(9), &placement.cpus());
    let error = error.unwrap_err();
    assert!(error.to_string().starts_with("pinning I/O thread 9 of"));
}

/// What `status` looks at: all holds, until somebody moves a thread behind
/// libvirt's back, or by libvirt.
fn drift_is_seen(libvirt: &Libvirt, vm: &VmPlan) {
    let uuid = vm.uuid.unwrap();
    let placement = vm.placement.as_ref().unwrap();
    let running = || {
        let all = process::running(&Root::live());
        all.into_iter().find(|one| one.uuid == Some(uuid)).unwrap()
    };
    let drifted = || -> Vec<String> {
        let live = libvirt.live_definition(&uuid).unwrap().unwrap();
        let live = vmtune::definition::read(&live).unwrap();
        let findings = drift::vm(placement, 0, Some(&live), Some(&running()));
        assert!(findings.len() >= 4, "{findings:?}");
        let found = findings.iter().filter(|f| f.state != State::Holds);
        found.map(|f| format!("{} {:?}", f.what, f.state)).collect()
    };
    assert!(drifted().is_empty(), "{:?}", drifted());
    let thread = running().vcpu(VcpuId(0)).unwrap().id.to_string();
    let taskset = |cpus: &CpuSet| {
        let cpus = cpus.to_string();
        let line = ["-pc", &cpus, &thread];
        let done = std::process::Command::new("taskset").args(line).output();
        assert!(done.unwrap().status.success());
    };
    // The control group lets a thread go no further than libvirt has it.
    let vcpu = Role::Vcpu(VcpuId(0));
    let both = placement.cpus().union(&CpuId(0).into());
    libvirt.pin(&uuid, vcpu, &both).unwrap();
    let found = drifted();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&format!("CPUs {both}")), "{found:?}");
    taskset(&CpuId(0).into());
    let found = drifted();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("vCPU 0 Drifted"), "{found:?}");
    assert!(found[0].contains("CPUs 0\""), "{found:?}");
    libvirt.pin(&uuid, vcpu, &placement.cpus()).unwrap();
    assert!(drifted().is_empty());
}

/// Compares the threads and pages of a QEMU process with a placement.
fn look(pid: u32, placement: &VmPlacement) {
    let threads = host::threads(pid);
    let mut seen = 0;
    for (name, cpus) in &threads {
        let planned = planned(name, placement);
        assert_eq!(cpus, planned, "thread {name:?} in {threads:?}");
        seen += usize::from(planned != &placement.emulator);
    }
    let named = |prefix: &str| {
        threads.iter().filter(|(name, _)| name.starts_with(prefix)).count()
    };
    assert_eq!(named("CPU "), placement.vcpus.len(), "{threads:?}");
    assert_eq!(named("IO iothread"), placement.iothreads.len());
    assert!(seen >= placement.vcpus.len());

    let Some(size) = placement.pages else { return };
    let mut wanted = std::collections::BTreeMap::<NodeId, u64>::new();
    for cell in &placement.cells {
        *wanted.entry(cell.memory_node).or_default() += size.pages(cell.memory);
    }
    let found = host::huge_pages(pid);
    assert_eq!(found, wanted);
    eprintln!("threads: {threads:?}; pages of {size}: {found:?}");
}

/// Returns the CPUs that a thread of this name shall have. QEMU calls them
/// `CPU 0/TCG` and `IO iothread1`; all others are the emulator's.
fn planned<'p>(name: &str, placement: &'p VmPlacement) -> &'p CpuSet {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse::<u32>().ok()
    };
    if let Some(vcpu) = name.strip_prefix("CPU ").and_then(number) {
        return &placement.vcpus[&vmtune::base::VcpuId(vcpu)];
    }
    match name.strip_prefix("IO iothread").and_then(number) {
        Some(thread) => &placement.iothreads[&thread],
        None => &placement.emulator,
    }
}

/// Waits until the process is gone: its pages are free then.
fn gone(name: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while host::qemu(name).is_some() {
        assert!(Instant::now() < end, "QEMU does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn definition(name: &str) -> String {
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='KiB'>{}</memory>
  <vcpu placement='static'>1</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <graphics type='vnc' passwd='secret'><listen type='none'/></graphics>
    <memballoon model='none'/>
  </devices>
</domain>
",
        MEMORY.kib()
    )
}
