//! A hypervisor with VMs, a state folder, and a plan for all of them.

use std::time::Duration;

use crate::apply::{ApplyError, Machine, Outcome, apply, resume, rollback};
use crate::base::{CpuSet, Digest, DomainName, DomainUuid, HostPath};
use crate::files::StateDir;
use crate::hypervisor::fake::{Call, Fake};
use crate::hypervisor::{Hypervisor as _, Validate};
use crate::model::{Change, Objective, Plan, Stage, Target, VmPlan};
use crate::system::fake as system;

pub(super) struct Bench {
    pub(super) temp: tempfile::TempDir,
    pub(super) fake: Fake,
    pub(super) system: system::Fake,
    pub(super) state: StateDir,
    pub(super) plan: Plan,
}

impl Bench {
    pub(super) fn new(names: &[&str]) -> Self {
        let fake = Fake::new().normalising(without_comments);
        for (name, n) in names.iter().zip(1..) {
            let text = definition(name, &uuid(n));
            fake.insert(&name.parse().unwrap(), uuid(n), text);
        }
        // In memory where that is possible: thousands of journals are synced
        // here, and it is not the disk that is tested.
        let temp = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let plan = plan_for(&fake);
        Self { temp, fake, system: system::Fake::new(), state, plan }
    }

    /// Adds a file or a value of the host, and a change of it to the plan.
    pub(super) fn with(
        mut self,
        target: &str,
        from: Option<&str>,
        to: Option<&str>,
        stage: Stage,
    ) -> Self {
        let target: Target = target.parse().unwrap();
        match (&target, from) {
            (Target::File(path), from) => self.system.put_file(path, from),
            (Target::Kernel(path), Some(from)) => {
                self.system.put_value(path, from);
            }
            // The file of an argument is the test's own business.
            _ => {}
        }
        self.plan.changes.push(Change {
            rule: "a-rule".into(),
            vm: None,
            target,
            from: from.map(Into::into),
            to: to.map(Into::into),
            because: "a test".into(),
            stage,
            trade: None,
        });
        self
    }

    pub(super) fn machine(&self) -> Machine<'_> {
        Machine {
            hypervisor: &self.fake,
            system: &self.system,
            state: &self.state,
            now: 17,
            clock: &|| Duration::ZERO,
        }
    }

    pub(super) fn apply(&self) -> Result<Outcome, ApplyError> {
        apply(&self.plan, None, &self.machine())
    }

    pub(super) fn rollback(&self, force: bool) -> Result<Outcome, ApplyError> {
        rollback(None, force, &self.machine())
    }

    pub(super) fn resume(&self) -> Result<Outcome, ApplyError> {
        resume(&self.machine())
    }

    /// Makes the same plan for the definitions as they are now.
    pub(super) fn replanned(&self) -> Plan {
        plan_for(&self.fake)
    }

    /// Replaces a VM's definition, as a user would with `virsh edit`.
    pub(super) fn edit(&self, name: &str, edit: impl Fn(&str) -> String) {
        let name: DomainName = name.parse().unwrap();
        let info = self.fake.find(name.as_str()).unwrap();
        let text = self.fake.inactive_definition(&info.uuid).unwrap();
        self.fake.insert(&name, info.uuid, edit(&text));
    }

    /// Returns how the definitions that were defined were looked at.
    pub(super) fn defined(&self) -> Vec<Validate> {
        let calls = self.fake.calls().into_iter();
        let how = |call| match call {
            Call::Define(_, _, validate) => Some(validate),
            _ => None,
        };
        calls.filter_map(how).collect()
    }

    pub(super) fn journal_file(&self, number: u32) -> std::path::PathBuf {
        let name = format!("s/journal/tx-{number:06}.jsonl");
        self.temp.path().join(name)
    }
}

pub(super) fn path(text: &str) -> HostPath {
    text.parse().unwrap()
}

pub(super) fn uuid(n: u32) -> DomainUuid {
    format!("{n:032x}").parse().unwrap()
}

fn definition(name: &str, uuid: &DomainUuid) -> String {
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>65536</memory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>
  </os>
  <devices>
    <graphics type='vnc' passwd='é-secret'/>
  </devices>
</domain>
"
    )
}

/// Does what libvirt does to comments.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    out + rest
}

/// Plans a pin for every VM of the fake.
fn plan_for(fake: &Fake) -> Plan {
    let mut plan = Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: fake.uri().into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        boot_loader: None,
        vms: vec![],
        changes: vec![],
        advice: vec![],
        unknown: vec![],
    };
    for info in fake.domains().unwrap() {
        let text = fake.inactive_definition(&info.uuid).unwrap();
        plan.vms.push(VmPlan {
            name: info.name.clone(),
            uuid: Some(info.uuid),
            vmid: None,
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        });
        plan.changes.push(Change {
            rule: "vcpu-pin".into(),
            vm: Some(info.name.to_string()),
            target: Target::Definition(
                "/domain/cputune/vcpupin[@vcpu='0']/@cpuset".parse().unwrap(),
            ),
            from: None,
            to: Some("1".into()),
            because: "a test".into(),
            stage: Stage::VmStart,
            trade: None,
        });
    }
    plan
}
