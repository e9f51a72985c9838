//! `vmtune status` of a VM that runs: the command as a person gives it.

use std::path::PathBuf;
use std::time::Instant;

use assert_cmd::Command;
use serde_json::Value;
use vmtune::base::{CpuId, CpuSet, DomainUuid, VcpuId};
use vmtune::host::{Root, process};
use vmtune::hypervisor::{Hypervisor as _, Libvirt, Validate};
use vmtune::model::{Role, VmPlan};

use crate::daemon::Daemon;

/// How often the command is timed.
const RUNS: usize = 11;

/// What has drifted while a VM runs that was started since its plan was
/// applied: nothing, until somebody moves a thread, or changes a pin of the
/// definition.
pub(crate) fn tells(daemon: &Daemon, libvirt: &Libvirt, vm: &VmPlan) {
    let uuid = vm.uuid.unwrap();
    let placement = vm.placement.as_ref().unwrap();
    let status = Status { daemon, name: vm.name.to_string() };
    let all = status.run(0);
    let of = |what: &str| all.iter().find(|one| one["what"] == what).unwrap();
    for what in ["definition", "vCPU 0", "I/O thread 1", "emulator threads"] {
        assert_eq!(of(what)["state"], "holds", "{all:?}");
    }
    let memory = of("memory");
    assert_eq!(memory["state"], "holds");
    let note = memory["note"].as_str().unwrap();
    assert!(note.contains("2M pages: 64 MiB on node 0"), "{note}");

    let vcpu = Role::Vcpu(VcpuId(0));
    let both = placement.cpus().union(&CpuId(0).into());
    libvirt.pin(&uuid, vcpu, &both).unwrap();
    taskset(&uuid, &CpuId(0).into());
    let drifted = status.run(6);
    let [one] = drifted.as_slice() else { panic!("{drifted:?}") };
    assert_eq!(one["what"], "vCPU 0");
    assert_eq!(one["planned"], format!("CPUs {}", placement.cpus()));
    assert_eq!(one["found"], "CPUs 0");
    libvirt.pin(&uuid, vcpu, &placement.cpus()).unwrap();

    let applied = libvirt.inactive_definition(&uuid).unwrap();
    let pin = |cpus: &CpuSet| format!("<vcpupin vcpu='0' cpuset='{cpus}'/>");
    let moved = applied.replace(&pin(&placement.cpus()), &pin(&both));
    assert_ne!(moved, applied);
    libvirt.define(&vm.name, &moved, Validate::Schema).unwrap();
    let drifted = status.run(6);
    let [one] = drifted.as_slice() else { panic!("{drifted:?}") };
    let what = "/domain/cputune/vcpupin[@vcpu='0']/@cpuset";
    assert_eq!(one["what"], what);
    assert_eq!(one["planned"], placement.cpus().to_string());
    assert_eq!(one["found"], both.to_string());
    libvirt.define(&vm.name, &applied, Validate::Schema).unwrap();
    assert_eq!(libvirt.inactive_definition(&uuid).unwrap(), applied);
    let all = status.run(0);
    assert!(all.iter().all(|one| one["state"] == "holds"), "{all:?}");
    eprintln!("status of a VM that runs: {} ms (median)", status.median());
}

struct Status<'a> {
    daemon: &'a Daemon,
    name: String,
}

impl Status<'_> {
    fn command(&self) -> Command {
        let state: PathBuf = self.daemon.path().join("state");
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vmtune"));
        command
            .env_clear()
            .env("VMTUNE_STATE_DIR", state)
            .args(["status", &self.name, "--format", "json"])
            .args(["--connect", &self.daemon.uri()]);
        command
    }

    /// Returns what does not hold; all where the command has no findings.
    fn run(&self, code: i32) -> Vec<Value> {
        let output = self.command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}{out}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut findings = report["findings"].as_array().unwrap().clone();
        findings.retain(|one| code == 0 || one["state"] != "holds");
        findings
    }

    fn median(&self) -> u128 {
        let time = |_| {
            let start = Instant::now();
            self.command().output().unwrap();
            start.elapsed().as_millis()
        };
        let mut times: Vec<u128> = (0..RUNS).map(time).collect();
        times.sort_unstable();
        times[RUNS / 2]
    }
}

/// Moves the thread of a VM's first vCPU behind libvirt's back.
fn taskset(uuid: &DomainUuid, cpus: &CpuSet) {
    let all = process::running(&Root::live());
    let running = all.iter().find(|one| one.uuid == Some(*uuid)).unwrap();
    let thread = running.vcpu(VcpuId(0)).unwrap().id.to_string();
    let (cpus, program) = (cpus.to_string(), std::process::Command::new);
    let done = program("taskset").args(["-pc", &cpus, &thread]).output();
    assert!(done.unwrap().status.success());
}
