//! A VM of Proxmox that was planned, running and not.
#![allow(clippy::disallowed_methods, reason = "the test plays the kernel")]

use std::fs;
use std::time::Duration;

use super::*;
use crate::apply::{Machine, apply};
use crate::base::{Bytes, CellId, Digest, NodeId, PageSize};
use crate::files::StateDir;
use crate::files::journal::Journal;
use crate::hypervisor;
use crate::model::{CellPlacement, Objective, Plan, Stage, VmPlacement};
use crate::system::fake::{Fake, qm};

const CONF: &str = "cores: 2\nmemory: 8\nname: web\n";
/// When the plan is applied, and when the host was booted.
const APPLIED: u64 = 2000;
const BOOT: u64 = 1000;

struct Bench {
    temp: tempfile::TempDir,
    system: Fake,
    standing: Standing,
    plan: Plan,
}

fn vmid() -> Vmid {
    "101".parse().unwrap()
}

impl Bench {
    /// Applies a plan for a VM, which runs or does not.
    fn applied(running: bool) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let system = Fake::new();
        system.put_conf(vmid(), Some(CONF), running);
        let plan = plan();
        let machine = Machine {
            hypervisor: &hypervisor::Node::new("proxmox:///"),
            system: &system,
            state: &state,
            now: APPLIED,
            clock: &|| Duration::ZERO,
        };
        let outcome = apply(&plan, None, &machine).unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
        let journal = Journal::open(&state).unwrap();
        let standing = Standing::read(&journal).unwrap();
        Self { temp, system, standing, plan }
    }

    /// Lets the VM run since so many seconds after the boot, its threads on
    /// these CPUs.
    fn runs(&self, since: u64, cpus: &str) {
        let write = |path: &str, text: String| {
            let path = self.temp.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("run/qemu-server/101.pid", "77\n".into());
        write("proc/stat", format!("btime {BOOT}\n"));
        let line =
            ["/usr/bin/kvm", "-id", "101", "-name", "web", ""].join("\0");
        write("proc/77/cmdline", line);
        write("proc/77/status", "Name:\tkvm\nUid:\t0\t0\t0\t0\n".into());
        let zeros = vec!["0"; 19].join(" ");
        let rest = vec!["0"; 30].join(" ");
        let stat = format!("77 (kvm) {zeros} {} {rest}\n", since * 100);
        write("proc/77/stat", stat.clone());
        for (id, name) in [(77, "kvm"), (78, "CPU 0/KVM"), (79, "CPU 1/KVM")] {
            let status = format!("Name:\t{name}\nCpus_allowed_list:\t{cpus}\n");
            write(&format!("proc/77/task/{id}/status"), status);
            write(&format!("proc/77/task/{id}/stat"), stat.clone());
        }
        let maps = "7f00 default file=/dev/hugepages/x huge dirty=4 N1=4 \
                    kernelpagesize_kB=2048\n";
        write("proc/77/numa_maps", maps.into());
    }

    fn said(&self) -> Vec<String> {
        let root = Root::tree(self.temp.path());
        let (system, standing) = (&self.system, &self.standing);
        let node = Node { system, root: &root, standing };
        let all = node.findings(vmid(), &self.plan.vms[0], APPLIED).unwrap();
        let spell = |one: Finding| {
            let state = match one.state {
                State::Holds => "holds".to_owned(),
                State::Drifted { found } => format!("drifted: {found}"),
                State::Waits { stage } => format!("waits for {stage}"),
                State::Unknown { why } => format!("unknown: {why}"),
            };
            format!("{}: {}: {state}", one.what, one.planned)
        };
        all.into_iter().map(spell).collect()
    }
}

fn plan() -> Plan {
    let name: crate::base::DomainName = "web".parse().unwrap();
    let change = |target: &str, from: Option<&str>, to: &str| Change {
        rule: "a-rule".into(),
        vm: Some("web".into()),
        target: target.parse().unwrap(),
        from: from.map(Into::into),
        to: Some(to.into()),
        because: "a test".into(),
        stage: Stage::VmStart,
        trade: None,
    };
    Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: "proxmox:///".into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        boot_loader: None,
        vms: vec![VmPlan {
            name: name.clone(),
            uuid: None,
            vmid: Some(vmid()),
            digest: Digest::of(CONF.as_bytes()),
            placement: Some(VmPlacement {
                name,
                exclusive: true,
                vcpus: std::collections::BTreeMap::new(),
                cells: vec![CellPlacement {
                    id: CellId(0),
                    vcpus: "0-1".parse().unwrap(),
                    memory: Bytes(8 << 20),
                    node: NodeId(1),
                    memory_node: NodeId(1),
                }],
                threads: 1,
                pages: Some(PageSize::TWO_MIB),
                emulator: CpuSet::new(),
                iothreads: std::collections::BTreeMap::new(),
                reserved: CpuSet::new(),
                nics: Vec::new(),
                because: vec![],
            }),
            objective: Objective::default(),
            bound: Objective::default(),
        }],
        changes: vec![
            change("affinity", None, "4-5"),
            change("hugepages", None, "2"),
        ],
        advice: vec![],
        unknown: vec![],
    }
}

#[test]
fn a_key_that_somebody_changed_is_named() {
    let bench = Bench::applied(false);
    let waits = "placement: CPUs 4-5: waits for vm-start";
    assert_eq!(bench.said(), ["definition: 2 settings: holds", waits]);
    let text = bench.system.confs()[&vmid()].clone();
    let put = |text: &str| bench.system.put_conf(vmid(), Some(text), false);
    // What others do to other keys is theirs.
    put(&text.replace("cores: 2", "cores: 4"));
    assert_eq!(bench.said().len(), 2);
    put(&text.replace("4-5", "6"));
    assert_eq!(
        bench.said()[..2],
        ["affinity: 4-5: drifted: 6", "definition: 1 setting: holds"]
    );
    put(&text.replace("hugepages: 2\n", ""));
    assert_eq!(bench.said()[0], "hugepages: 2: drifted: nothing");
    bench.system.put_conf(vmid(), None, false);
    assert_eq!(bench.said(), ["definition: there: drifted: no such VM"]);
}

#[test]
fn a_vm_that_runs_waits_until_it_is_started_anew() {
    let bench = Bench::applied(true);
    bench.runs(500, "0-7");
    assert_eq!(
        bench.said(),
        [
            "definition: 2 settings: waits for vm-start",
            "threads: CPUs 4-5: waits for vm-start",
            "memory: 2M pages on node 1: holds",
        ]
    );
    let text = qm::started(&bench.system.confs()[&vmid()]);
    bench.system.put_conf(vmid(), Some(&text), true);
    bench.runs(1500, "4-5");
    assert_eq!(
        bench.said(),
        [
            "definition: 2 settings: holds",
            "threads: CPUs 4-5: holds",
            "memory: 2M pages on node 1: holds",
        ]
    );
    bench.runs(1500, "4-6");
    assert_eq!(
        bench.said()[1],
        "threads: CPUs 4-5: drifted: 3 of 3 on CPUs 4-6"
    );
}

#[test]
fn the_number_of_another_process_is_not_believed() {
    let bench = Bench::applied(false);
    bench.runs(1500, "0-7");
    let line = bench.temp.path().join("proc/77/cmdline");
    fs::write(line, ["/usr/bin/kvm", "-id", "102", ""].join("\0")).unwrap();
    let waits = "placement: CPUs 4-5: waits for vm-start";
    assert_eq!(bench.said()[1], waits);
}
