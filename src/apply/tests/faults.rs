//! A fault at every call: afterwards all is as it was, or it is said what
//! is not.

use super::bench::Bench;
use crate::apply::{ApplyError, StepError};
use crate::hypervisor::fake::Failure;

/// How many calls a whole apply makes.
fn calls() -> usize {
    let bench = Bench::new(&["vm1", "vm2", "vm3"]);
    bench.fake.fail(Failure::Never);
    let _ = bench.apply().unwrap();
    bench.fake.calls().len()
}

#[test]
fn one_fault_at_any_call_leaves_the_start_state() {
    for failure in [Failure::Once, Failure::Lost] {
        for k in 0..calls() {
            let bench = Bench::new(&["vm1", "vm2", "vm3"]);
            let start = bench.fake.definitions();
            bench.fake.fail(failure(k));
            match bench.apply() {
                Err(ApplyError::Hypervisor(_)) => {
                    assert!(!bench.journal_file(1).exists());
                }
                Err(error) => panic!("call {k}: {error}"),
                Ok(outcome) => {
                    assert!(outcome.failed.is_some(), "call {k}");
                    assert!(outcome.rollback_failures.is_empty());
                }
            }
            assert_eq!(bench.fake.definitions(), start, "call {k}");
            // The way is free for the next one.
            bench.fake.fail(Failure::Never);
            assert!(bench.apply().unwrap().failed.is_none());
        }
    }
}

#[test]
fn a_daemon_that_dies_at_any_call_is_recovered_from() {
    for k in 0..calls() {
        let bench = Bench::new(&["vm1", "vm2", "vm3"]);
        let start = bench.fake.definitions();
        bench.fake.fail(Failure::From(k));
        let Ok(outcome) = bench.apply() else {
            assert_eq!(bench.fake.definitions(), start);
            continue;
        };
        assert!(outcome.failed.is_some());
        bench.fake.fail(Failure::Never);
        if outcome.rollback_failures.is_empty() {
            assert_eq!(bench.fake.definitions(), start);
            continue;
        }
        let error = bench.apply().unwrap_err();
        assert!(matches!(error, ApplyError::Unfinished { .. }), "{error}");
        assert!(error.hint().unwrap().contains("vmtune rollback"));
        let outcome = bench.rollback(false).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "call {k}");
        assert_eq!(bench.fake.definitions(), start, "call {k}");
    }
}

#[test]
fn a_fault_at_any_call_of_a_rollback_is_recovered_from() {
    for k in 0.. {
        let bench = Bench::new(&["vm1", "vm2"]);
        let start = bench.fake.definitions();
        let _ = bench.apply().unwrap();
        bench.fake.fail(Failure::From(k));
        let result = bench.rollback(false);
        let all = bench.fake.calls().len() <= k;
        bench.fake.fail(Failure::Never);
        match result {
            Err(_) => {
                // Nothing was touched: the transaction still stands.
                let _ = bench.rollback(false).unwrap();
            }
            Ok(outcome) if !outcome.rollback_failures.is_empty() => {
                let outcome = bench.resume().unwrap();
                assert!(outcome.rollback_failures.is_empty());
            }
            Ok(_) => {}
        }
        assert_eq!(bench.fake.definitions(), start, "call {k}");
        if all {
            break;
        }
    }
}

#[test]
fn what_the_hypervisor_does_not_keep_is_rolled_back() {
    let mut bench = Bench::new(&["vm1", "vm2"]);
    let start = bench.fake.definitions();
    bench.fake = bench.fake.normalising(|text| {
        let pin = "<vcpupin vcpu='0' cpuset='1'/>";
        // The first VM keeps its pin, the second loses it.
        if text.contains("vm2") { text.replace(pin, "") } else { text.into() }
    });
    let outcome = bench.apply().unwrap();
    let failed = outcome.failed.unwrap();
    assert!(matches!(failed.error, StepError::NotKept { .. }));
    assert_eq!(
        failed.error.to_string(),
        "the hypervisor did not keep \
         /domain/cputune/vcpupin[@vcpu='0']/@cpuset (planned \"1\", \
         found nothing)",
    );
    assert_eq!(outcome.rolled_back.len(), 2);
    assert_eq!(bench.fake.definitions(), start);
}

#[test]
fn a_former_definition_that_comes_back_changed_is_said() {
    let mut bench = Bench::new(&["vm1"]);
    let _ = bench.apply().unwrap();
    bench.fake = bench.fake.normalising(|text| text.replace("65536", "65537"));
    let outcome = bench.rollback(false).unwrap();
    let failure = &outcome.rollback_failures[0];
    assert!(matches!(failure.error, StepError::NotRestored { .. }));
    assert!(outcome.rolled_back.is_empty());
}
