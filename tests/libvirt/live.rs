//! A VM that runs: its threads are moved while it does, and back.

use std::time::{Duration, Instant};

use assert_cmd::Command;
use virt::connect::Connect;
use virt::domain::Domain;
use vmtune::apply::{StepResult, apply, rollback};
use vmtune::base::CpuSet;
use vmtune::files::{StateDir, plan_store};
use vmtune::hypervisor::{Hypervisor as _, Libvirt, Validate};
use vmtune::model::{Place, Plan, Stage};
use vmtune::system::fake::Fake;

use crate::daemon::Daemon;
use crate::host::{self, Cgroups};
use crate::plans::{self, plan};

const VCPU: &str = "/domain/cputune/vcpupin[@vcpu='0']/@cpuset";
const THREAD: &str = "/domain/cputune/iothreadpin[@iothread='1']/@cpuset";
const EMULATOR: &str = "/domain/cputune/emulatorpin/@cpuset";
/// What others keep in the definition.
const METADATA: &str = "<o:mine xmlns:o='urn:others'><!-- kept --></o:mine>";

struct Vm {
    name: String,
    domain: Domain,
}

impl Vm {
    /// Returns where the kernel has the vCPU, the I/O thread and the rest.
    fn threads(&self) -> [CpuSet; 3] {
        let all = host::threads(host::qemu(&self.name).unwrap());
        ["CPU 0/TCG", "IO iothread1", "qemu-system-x86"].map(|name| {
            all.iter().find(|(thread, _)| thread == name).unwrap().1.clone()
        })
    }

    fn stop(&self) {
        self.domain.destroy().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while host::qemu(&self.name).is_some() {
            assert!(Instant::now() < end, "QEMU does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn definition(name: &str) -> String {
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <metadata>{METADATA}</metadata>
  <memory unit='MiB'>32</memory>
  <vcpu placement='static'>1</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <memballoon model='none'/>
  </devices>
</domain>
"
    )
}

/// Plans these CPUs for the threads, at once.
fn moving(libvirt: &Libvirt, vm: &Vm, cpus: [&str; 3]) -> Plan {
    let edits = [VCPU, THREAD, EMULATOR].into_iter().zip(cpus.map(Some));
    let mut plan = plan(libvirt, &vm.name, &edits.collect::<Vec<_>>());
    for change in &mut plan.changes {
        change.stage = Stage::Now;
    }
    plan
}

#[test]
fn threads_of_a_vm_that_runs_are_moved_and_back() {
    if !host::ready(0) {
        return;
    }
    let name = format!("vmtune-live-{}", std::process::id());
    let _cgroups = Cgroups::watch(&name);
    let (daemon, libvirt) = Daemon::start();
    let text = definition(&name);
    libvirt.define(&name.parse().unwrap(), &text, Validate::Schema).unwrap();
    let uuid = libvirt.find(&name).unwrap().uuid;
    let connect = Connect::open(Some(&daemon.uri())).unwrap();
    let domain = connect.lookup_domain_by_name(&name).unwrap();
    assert_eq!(libvirt.pins(&uuid).unwrap(), None);
    domain.create().unwrap();
    let vm = Vm { name, domain };

    let state = StateDir::open(&daemon.path().join("state")).unwrap();
    let system = Fake::new();
    let machine = plans::machine(&libvirt, &system, &state);
    let place = Place::Live { name: vm.name.parse().unwrap(), uuid };
    let start = libvirt.inactive_definition(&uuid).unwrap();
    let (threads, pins) = (vm.threads(), libvirt.pins(&uuid).unwrap());
    assert_eq!(pins.as_ref().unwrap().cpus.len(), 3, "{pins:?}");

    let change = |cpus: [&str; 3]| {
        let outcome = apply(&moving(&libvirt, &vm, cpus), None, &machine);
        let mut outcome = outcome.unwrap();
        assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
        let step = outcome.steps.pop().unwrap();
        assert_eq!(step.place, place);
        step.result
    };
    let undo = || {
        let outcome = rollback(None, false, &machine).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        assert_eq!(libvirt.inactive_definition(&uuid).unwrap(), start);
        outcome
    };
    let moved = StepResult::Changed { normalised: vec![], comments_lost: 0 };
    assert_eq!(change(["1", "0", "0"]), moved);
    assert_eq!(vm.threads(), ["1", "0", "0"].map(|cpus| cpus.parse().unwrap()));
    let defined = libvirt.inactive_definition(&uuid).unwrap();
    assert!(defined.contains("<vcpupin vcpu='0' cpuset='1'/>"), "{defined}");
    // What libvirt says of our note, and of what others have there.
    let kind = 2; // VIR_DOMAIN_METADATA_ELEMENT
    let note = vm.domain.metadata(kind, Some("urn:vmtune:domain:1"), 2);
    let note = note.unwrap();
    assert!(note.contains("transaction=\"tx-000001\""), "{note}");
    assert!(note.contains("preset=\"balanced\""), "{note}");
    assert!(defined.contains("<!-- kept -->"), "{defined}");

    assert!(undo().gone.is_empty());
    assert_eq!((vm.threads(), libvirt.pins(&uuid).unwrap()), (threads, pins));

    // A run that has ended takes with it what was done to it.
    assert_eq!(change(["1", "0", "0"]), moved);
    vm.stop();
    assert_eq!(undo().gone, std::slice::from_ref(&place));
    vm.domain.create().unwrap();
    assert_eq!(change(["1", "0", "0"]), moved);
    vm.stop();
    vm.domain.create().unwrap();
    let threads = vm.threads();
    assert_eq!(undo().gone, std::slice::from_ref(&place));
    assert_eq!(vm.threads(), threads);

    // One whose threads are where they shall be is left alone.
    libvirt
        .pin(&uuid, vmtune::model::Role::Emulator, &"0".parse().unwrap())
        .unwrap();
    assert_eq!(change(["1", "0", "0"]), StepResult::AlreadySo);
    let _ = undo();

    // CPUs that are not there: the kernel says so, and all is as before.
    let pins = libvirt.pins(&uuid).unwrap();
    let plan = moving(&libvirt, &vm, ["0", "0", "4095"]);
    let outcome = apply(&plan, None, &machine).unwrap();
    let failed = outcome.failed.unwrap();
    assert_eq!(failed.place, Some(place));
    assert!(failed.in_short().contains("pinning emulator"), "{failed:?}");
    let hint = failed.error.hint().unwrap();
    assert!(hint.contains("isolated partition"), "{hint}");
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(libvirt.pins(&uuid).unwrap(), pins);
    assert_eq!(libvirt.inactive_definition(&uuid).unwrap(), start);
    commands(&daemon, &libvirt, &vm);
    vm.stop();
}

/// What the commands say: of a plan that moves a thread at once and has more
/// for the next start.
fn commands(daemon: &Daemon, libvirt: &Libvirt, vm: &Vm) {
    let later = ("/domain/memory/text()", Some("65536"));
    let mut plan = plan(libvirt, &vm.name, &[(VCPU, Some("0")), later]);
    plan.host = "another machine".into();
    plan.changes[0].stage = Stage::Now;
    plan.changes[1].from = Some("32768".into());
    let file = daemon.path().join("plan.json");
    plan_store::save_to(&file, &plan).unwrap();
    let run = |words: &[&str]| {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("vmtune"))
            .env_clear()
            .env("VMTUNE_STATE_DIR", daemon.path().join("commands"))
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{error}");
        let said = said.replace(&vm.name, "VM");
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let file = file.display().to_string();
    let said = run(&["apply", &file, "--yes", "--now"]);
    assert!(said.contains(" VM, which runs: threads moved ("), "{said}");
    assert!(said.contains(" VM: defined ("), "{said}");
    // The digest of the definition is another one now.
    let rest = "still planned: 1 change when the VM starts; `vmtune plan` and";
    assert!(said.contains(rest), "{said}");
    // Nothing of what was done waits for a start.
    assert!(!said.contains("shutdown"), "{said}");
    let threads = vm.threads();
    vm.stop();
    vm.domain.create().unwrap();
    let said = run(&["rollback", "--yes"]);
    let gone = "VM, which runs: has stopped since, or was started anew; \
                nothing to undo";
    assert!(said.contains(gone), "{said}");
    assert_eq!(vm.threads()[0], threads[0]);
}
