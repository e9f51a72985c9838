//! A disk that is full at any record of the journal.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test runs itself again under a limit"
)]

use std::process::Command;
use std::time::Duration;

use vmtune::apply::{Machine, Outcome, apply, rollback};
use vmtune::base::{CpuSet, Digest, DomainUuid};
use vmtune::files::StateDir;
use vmtune::hypervisor::Hypervisor as _;
use vmtune::hypervisor::fake::Fake;
use vmtune::model::{Change, Objective, Plan, Stage, Target, VmPlan};
use vmtune::system::fake as system;

/// Limits in blocks of 512 bytes: the journal of the test needs about 12.
const LIMITS: std::ops::RangeInclusive<u32> = 1..=16;

/// The limit counts for the whole process, so every limit gets its own. A
/// shell sets it, and lets a write fail where the kernel would end the
/// process.
#[test]
fn a_full_disk_leaves_the_start_state() {
    let script = "trap '' XFSZ && ulimit -f \"$1\" && shift && exec \"$@\"";
    let mut finished = 0;
    for limit in LIMITS {
        let output = Command::new("sh")
            .args(["-c", script, "sh", &limit.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "under_a_limit", "--nocapture"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "limit {limit}: {text}{error}");
        finished += u32::from(text.contains("all was done"));
    }
    assert!(finished > 0, "the largest limit is no limit");
    assert!(finished < 8, "most limits are limits");
}

#[test]
#[ignore = "it is run by the other test, under a limit"]
#[allow(clippy::print_stdout, reason = "this tells the other test")]
fn under_a_limit() {
    let fake = Fake::new();
    for n in 1..=3u8 {
        let uuid: DomainUuid = format!("{n:032x}").parse().unwrap();
        let text = format!(
            "<domain>\n  <name>vm{n}</name>\n  <uuid>{uuid}</uuid>\n\
             {}</domain>\n",
            "  <description>long enough for a block</description>\n".repeat(4)
        );
        fake.insert(&format!("vm{n}").parse().unwrap(), uuid, text);
    }
    let start = fake.definitions();
    let temp = tempfile::tempdir().unwrap();
    let state = StateDir::open(&temp.path().join("s")).unwrap();
    let system = system::Fake::new();
    let machine = Machine {
        hypervisor: &fake,
        system: &system,
        state: &state,
        now: 0,
        clock: &|| Duration::ZERO,
    };
    let clean = |outcome: &Outcome| {
        outcome.failed.is_none() && outcome.rollback_failures.is_empty()
    };
    match apply(&plan(&fake), None, &machine) {
        Ok(outcome) if clean(&outcome) => {
            assert_ne!(fake.definitions(), start);
            let outcome = rollback(None, false, &machine).unwrap();
            assert_eq!(outcome.rolled_back.len(), 3);
            if clean(&outcome) {
                println!("all was done");
            }
        }
        Ok(outcome) => {
            // It is undone, and it is said that the journal does not know.
            assert_eq!(outcome.rollback_failures.len(), 1);
            assert_eq!(fake.definitions(), start);
            let outcome = rollback(None, false, &machine).unwrap();
            assert!(
                outcome.rollback_failures.iter().all(|f| f.place.is_none())
            );
        }
        // Not even the header could be written.
        Err(_) => {}
    }
    assert_eq!(fake.definitions(), start);
}

fn plan(fake: &Fake) -> Plan {
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
        let target = "/domain/cputune/emulatorpin/@cpuset".parse().unwrap();
        plan.changes.push(Change {
            rule: "emulator-pin".into(),
            vm: Some(info.name.to_string()),
            target: Target::Definition(target),
            from: None,
            to: Some("0".into()),
            because: "a test".into(),
            stage: Stage::VmStart,
            trade: None,
        });
        plan.vms.push(VmPlan {
            name: info.name,
            uuid: Some(info.uuid),
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        });
    }
    plan
}
