//! A VM whose pin was planned, running and not.

use std::time::Duration;

use super::*;
use crate::apply::{Machine, apply};
use crate::base::{CpuSet, Digest};
use crate::files::StateDir;
use crate::files::journal::Journal;
use crate::hypervisor::fake::Fake;
use crate::model::{Change, Fact, Objective, Plan};
use crate::system::fake as system;

const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";
const PIN: &str = "/domain/cputune/vcpupin[@vcpu='0']/@cpuset";
/// When the plan is applied.
const APPLIED: u64 = 17;

fn definition(pin: &str) -> String {
    format!(
        "<domain type='qemu'><name>vm1</name><uuid>{UUID}</uuid>\
         <memory>65536</memory><vcpu>1</vcpu>{pin}\
         <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
}

fn pinned(cpu: u32) -> String {
    let pin = format!("<vcpupin vcpu='0' cpuset='{cpu}'/>");
    definition(&format!("<cputune>{pin}</cputune>"))
}

struct Bench {
    _temp: tempfile::TempDir,
    fake: Fake,
    standing: Standing,
    name: DomainName,
    uuid: DomainUuid,
}

impl Bench {
    /// Applies a plan for a VM that does not run.
    fn applied() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let fake = Fake::new();
        let name: DomainName = "vm1".parse().unwrap();
        let uuid: DomainUuid = UUID.parse().unwrap();
        fake.insert(&name, uuid, definition(""));
        let system = system::Fake::new();
        let machine = Machine {
            hypervisor: &fake,
            system: &system,
            state: &state,
            now: APPLIED,
            clock: &|| Duration::ZERO,
        };
        let outcome = apply(&plan(&name, uuid), None, &machine).unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
        let journal = Journal::open(&state).unwrap();
        let standing = Standing::read(&journal).unwrap();
        Self { _temp: temp, fake, standing, name, uuid }
    }

    /// Returns what was found while these processes run.
    fn said(&self, started: Option<u64>) -> Vec<String> {
        let running = started.map(|started| RunningVm {
            uuid: Some(self.uuid),
            pid: 1,
            started,
            threads: vec![],
            memory: Fact::unknown("no process"),
        });
        let running: Vec<_> = running.into_iter().collect();
        let seen = Seen {
            hypervisor: &self.fake,
            running: &running,
            standing: &self.standing,
        };
        let findings = seen.findings(&self.name).unwrap().into_iter();
        findings
            .map(|one| {
                format!("{}: {}: {:?}", one.what, one.planned, one.state)
            })
            .collect()
    }
}

fn plan(name: &DomainName, uuid: DomainUuid) -> Plan {
    Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: "fake:///system".into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        boot_loader: None,
        vms: vec![VmPlan {
            name: name.clone(),
            uuid: Some(uuid),
            vmid: None,
            digest: Digest::of(definition("").as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        }],
        changes: vec![Change {
            rule: "vcpu-pin".into(),
            vm: Some(name.to_string()),
            target: PIN.parse().unwrap(),
            from: None,
            to: Some("1".into()),
            because: "a test".into(),
            stage: Stage::VmStart,
            trade: None,
        }],
        advice: vec![],
        unknown: vec![],
    }
}

const HOLDS: &str = "definition: 1 setting: Holds";

#[test]
fn a_changed_pin_is_named_with_what_was_planned() {
    let bench = Bench::applied();
    assert_eq!(bench.said(None), [HOLDS]);
    let drifted = |found: &str| {
        let state = State::Drifted { found: found.to_owned() };
        [format!("{PIN}: 1: {state:?}")]
    };
    bench.fake.insert(&bench.name, bench.uuid, pinned(3));
    assert_eq!(bench.said(None), drifted("3"));
    bench.fake.insert(&bench.name, bench.uuid, definition(""));
    assert_eq!(bench.said(None), drifted("nothing"));
}

#[test]
fn what_a_running_vm_has_not_yet_waits_for_its_start() {
    let bench = Bench::applied();
    bench.fake.start(&bench.uuid, 1, definition(""));
    let state = State::Waits { stage: Stage::VmStart };
    let waits = format!("definition: 1 setting: {state:?}");
    assert_eq!(bench.said(Some(APPLIED - 1)), [waits]);
    // One that was started since has been changed by somebody, and its
    // threads show it.
    assert_eq!(bench.said(Some(APPLIED + 1)), [HOLDS]);
    bench.fake.start(&bench.uuid, 1, pinned(1));
    assert_eq!(bench.said(Some(APPLIED - 1)), [HOLDS]);
    // What has drifted does not wait as well.
    bench.fake.insert(&bench.name, bench.uuid, pinned(3));
    bench.fake.start(&bench.uuid, 1, definition(""));
    assert_eq!(bench.said(Some(APPLIED - 1)).len(), 1);
}
