//! VMs that run: their threads are moved at once, and back again.

#![allow(clippy::disallowed_methods, reason = "the test cuts a journal short")]

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use super::bench::{Bench, path, uuid};
use crate::apply::{ApplyError, Machine, StepResult, apply};
use crate::base::DomainUuid;
use crate::files::journal::Status;
use crate::hypervisor::Hypervisor as _;
use crate::hypervisor::fake::{Call, Failure};
use crate::model::{Place, Stage, Target};

const BOOT: &str = "/proc/sys/kernel/random/boot_id";

fn live(vcpu: &str, emulator: &str) -> String {
    format!(
        "<domain id='3'><cputune><vcpupin vcpu='0' cpuset='{vcpu}'/>\
         <emulatorpin cpuset='{emulator}'/></cputune></domain>"
    )
}

fn vm() -> DomainUuid {
    uuid(1)
}

fn threads() -> Place {
    Place::Live { name: "vm1".parse().unwrap(), uuid: vm() }
}

/// A VM that runs, as it does in its third run, and a plan that moves two of
/// its threads.
fn bench() -> Bench {
    let mut bench = Bench::new(&["vm1"]);
    bench.fake.start(&vm(), 3, live("0-7", "0-7"));
    bench.system.put_value(&path(BOOT), "one");
    let mut emulator = bench.plan.changes[0].clone();
    let target = "/domain/cputune/emulatorpin/@cpuset";
    emulator.target = Target::Definition(target.parse().unwrap());
    emulator.to = Some("0".into());
    bench.plan.changes.push(emulator);
    for change in &mut bench.plan.changes {
        change.stage = Stage::Now;
    }
    bench.fake.fail(Failure::Never);
    bench
}

fn runs_by(bench: &Bench) -> String {
    bench.fake.live_definition(&vm()).unwrap().unwrap_or_default()
}

fn pins(bench: &Bench) -> usize {
    let calls = bench.fake.calls();
    calls.iter().filter(|call| matches!(call, Call::Pin(..))).count()
}

#[test]
fn threads_are_moved_after_the_definition_and_back_before_it() {
    let bench = bench();
    let start = bench.fake.definitions();
    let outcome = bench.apply().unwrap();
    assert!(outcome.failed.is_none(), "{outcome:?}");
    let [defined, moved] = &outcome.steps[..] else { panic!("{outcome:?}") };
    assert!(matches!(defined.place, Place::Definition { .. }));
    assert_eq!(moved.place, threads());
    assert_eq!(moved.result, StepResult::CHANGED);
    // Nothing waits for the VM to start.
    assert_eq!((defined.stage, moved.stage), (Stage::Now, Stage::Now));
    assert_eq!(runs_by(&bench), live("1", "0"));
    assert_eq!(pins(&bench), 2);

    let outcome = bench.rollback(false).unwrap();
    assert_eq!(outcome.rolled_back[0], threads());
    assert!(outcome.gone.is_empty());
    assert_eq!(runs_by(&bench), live("0-7", "0-7"));
    assert_eq!(bench.fake.definitions(), start);
}

#[test]
fn threads_that_are_there_already_are_left_alone() {
    let bench = bench();
    bench.fake.start(&vm(), 3, live("1", "0"));
    let outcome = bench.apply().unwrap();
    assert_eq!(outcome.steps[1].result, StepResult::AlreadySo);
    assert_eq!(pins(&bench), 0);
}

#[test]
fn a_vm_that_does_not_run_has_no_threads_to_move() {
    let bench = bench();
    bench.fake.stop(&vm());
    let outcome = bench.apply().unwrap();
    assert_eq!(outcome.steps.len(), 1);
    assert_eq!(outcome.steps[0].stage, Stage::VmStart);
}

/// A run that began after the plan was made, by another definition.
#[test]
fn a_run_that_has_its_memory_elsewhere_is_not_the_planned_one() {
    for (nodes, fits) in [("0", true), ("1", false), ("0-1", false)] {
        let mut bench = bench();
        let memory = 64 << 20;
        let placement = serde_json::json!({
            "name": "vm1", "exclusive": true, "vcpus": {"0": "1"},
            "cells": [{
                "id": 0, "vcpus": "0", "memory": memory, "node": 0,
                "memory_node": 0,
            }],
            "threads": 1, "pages": null, "emulator": "0", "iothreads": {},
            "reserved": "", "because": [],
        });
        let placement = serde_json::from_value(placement).unwrap();
        bench.plan.vms[0].placement = Some(placement);
        let tune = format!("<numatune><memory nodeset='{nodes}'/></numatune>");
        let whole = bench.fake.inactive_definition(&vm()).unwrap();
        let inner = live("0-7", "0-7").replace("<domain id='3'>", &tune);
        let run = whole.replace("</domain>\n", &inner);
        bench.fake.start(&vm(), 3, run);
        let start = bench.fake.definitions();
        match bench.apply() {
            Ok(outcome) => assert!(fits && outcome.failed.is_none()),
            Err(error) => {
                let said = error.to_string();
                let expected =
                    "vm1, which runs changed since the plan was made";
                assert_eq!((said.as_str(), fits), (expected, false));
                assert_eq!(bench.fake.definitions(), start);
            }
        }
    }
}

#[test]
fn a_run_that_has_ended_leaves_nothing_to_undo() {
    type End = fn(&Bench);
    let ends: [End; 3] = [
        |bench| bench.fake.stop(&vm()),
        |bench| bench.fake.start(&vm(), 4, live("1", "0")),
        // The numbers of runs begin anew.
        |bench| {
            bench.system.put_value(&path(BOOT), "two");
            bench.fake.start(&vm(), 3, live("5", "5"));
        },
    ];
    for end in ends {
        let bench = bench();
        let start = bench.fake.definitions();
        let _ = bench.apply().unwrap();
        end(&bench);
        let run = runs_by(&bench);
        bench.fake.fail(Failure::Never);
        let outcome = bench.rollback(false).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.gone, [threads()]);
        assert_eq!(outcome.rolled_back.len(), 1);
        assert_eq!(bench.fake.definitions(), start);
        assert_eq!((runs_by(&bench), pins(&bench)), (run, 0));
    }
}

#[test]
fn threads_that_somebody_has_moved_since_are_not_moved_without_force() {
    let bench = bench();
    let _ = bench.apply().unwrap();
    bench.fake.start(&vm(), 3, live("6", "0"));
    let error = bench.rollback(false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vm1, which runs changed since tx-000001: vCPU 0 is on CPUs 6, and \
         was on CPUs 1"
    );
    let outcome = bench.rollback(true).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    assert_eq!(runs_by(&bench), live("0-7", "0-7"));
}

#[test]
fn a_thread_that_is_not_let_onto_its_cpus_takes_all_back() {
    let whole = bench();
    let _ = whole.apply().unwrap();
    let calls = whole.fake.calls();
    let is_pin = |call: &Call| matches!(call, Call::Pin(..));
    let first = calls.iter().position(is_pin).unwrap();
    for at in [first, first + 1] {
        let bench = bench();
        let start = bench.fake.definitions();
        bench.fake.fail(Failure::Once(at));
        let outcome = bench.apply().unwrap();
        let said = outcome.failed.unwrap().in_short();
        assert!(said.starts_with("vm1, which runs: asking the"), "{said}");
        assert!(said.contains(": pinning "), "{said}");
        assert!(outcome.rollback_failures.is_empty());
        assert_eq!(runs_by(&bench), live("0-7", "0-7"));
        assert_eq!(bench.fake.definitions(), start);
    }
}

/// The emulator's threads are where no partition is, and had its CPUs before.
#[test]
fn a_partition_that_was_made_since_is_not_broken() {
    let bench = bench();
    let _ = bench.apply().unwrap();
    let isolated = path("/sys/fs/cgroup/cpuset.cpus.isolated");
    bench.system.put_value(&isolated, "4-5\n");
    let outcome = bench.rollback(false).unwrap();
    let [left] = &outcome.rollback_failures[..] else { panic!("{outcome:?}") };
    assert_eq!(
        left.in_short(),
        "vm1, which runs: CPUs 4-5 are an isolated partition's, and giving \
         them to vCPU 0 would break it"
    );
    assert!(left.error.hint().unwrap().contains("undo the partition"));
    assert_eq!(runs_by(&bench), live("1", "0"));
    // Without the partition the rest can be done.
    bench.system.put_value(&isolated, "\n");
    let outcome = bench.rollback(false).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    assert_eq!(runs_by(&bench), live("0-7", "0-7"));
    // Threads that are inside may be moved there.
    let inside = self::bench();
    inside.fake.start(&vm(), 3, live("0-1", "0-1"));
    inside.system.put_value(&isolated, "0-1\n");
    let outcome = inside.apply().unwrap();
    assert!(outcome.failed.is_none(), "{outcome:?}");
}

#[test]
fn a_vm_that_stops_in_the_middle_is_left_to_its_definition() {
    let bench = bench();
    // Each step reads the clock when it begins and when it ends.
    let readings = Cell::new(0);
    let clock = || {
        readings.set(readings.get() + 1);
        if readings.get() == 3 {
            bench.fake.stop(&vm());
        }
        Duration::ZERO
    };
    let machine = Machine { clock: &clock, ..bench.machine() };
    let outcome = apply(&bench.plan, None, &machine).unwrap();
    assert!(outcome.failed.is_none(), "{outcome:?}");
    assert_eq!(outcome.steps[1].result, StepResult::Gone);
}

/// Returns a bench as a kill left it: so many lines of the journal, and the
/// VM running as given.
fn killed(lines: usize, run: u32, as_it_runs: &str) -> Bench {
    let whole = bench();
    let _ = whole.apply().unwrap();
    let journal = fs::read_to_string(whole.journal_file(1)).unwrap();
    let kept: Vec<_> = journal.lines().take(lines).collect();
    fs::write(whole.journal_file(1), kept.join("\n") + "\n").unwrap();
    whole.fake.start(&vm(), run, as_it_runs);
    whole
}

#[test]
fn what_was_cut_off_between_two_threads_goes_on_and_back() {
    let start = bench().fake.definitions();
    for half in [live("0-7", "0-7"), live("1", "0-7"), live("1", "0")] {
        // Header, the definition, and that the threads are to be moved.
        let bench = killed(4, 3, &half);
        let outcome = bench.resume().unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
        assert_eq!(runs_by(&bench), live("1", "0"));
        for bench in [bench, killed(4, 3, &half)] {
            let outcome = bench.rollback(false).unwrap();
            assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
            assert_eq!(runs_by(&bench), live("0-7", "0-7"));
            assert_eq!(bench.fake.definitions(), start);
        }
    }
    let bench = killed(4, 3, &live("5", "0-7"));
    for result in [bench.rollback(false), bench.resume()] {
        let error = result.unwrap_err();
        assert!(matches!(error, ApplyError::Moved { .. }), "{error}");
    }
}

#[test]
fn what_was_cut_off_goes_on_without_a_run_that_has_ended() {
    for lines in 3..=5 {
        let bench = killed(lines, 4, &live("1", "0"));
        let outcome = bench.resume().unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
        let journal = crate::files::journal::Journal::open(&bench.state);
        let one = journal.unwrap().last_applied().unwrap().unwrap();
        assert_eq!(one.status, Status::Applied);
        let outcome = bench.rollback(false).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        assert_eq!(runs_by(&bench), live("1", "0"));
    }
}

#[test]
fn threads_that_were_moved_without_a_record_are_named() {
    let bench = killed(3, 3, &live("1", "0"));
    let error = bench.rollback(false).unwrap_err();
    assert!(matches!(error, ApplyError::Unrecorded { .. }), "{error}");
    assert!(error.to_string().starts_with("vm1, which runs changed"));
    // Another run begins by its definition.
    let bench = killed(3, 4, &live("1", "0"));
    let outcome = bench.rollback(false).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
}
