//! Tests of apply with a hypervisor that fails where it is told to.

mod bench;
mod confirm;
mod cut;
mod faults;
mod host;
mod live;
mod node;
mod note;
mod reboot;
mod stale;

use bench::Bench;

use super::*;

#[test]
fn a_plan_is_applied_and_undone() {
    let bench = Bench::new(&["vm1", "vm2"]);
    let start = bench.fake.definitions();
    let outcome = bench.apply().unwrap();
    assert_eq!(outcome.transaction, Some(TransactionId(1)));
    assert!(outcome.failed.is_none());
    assert_eq!(outcome.steps.len(), 2);
    let StepResult::Changed { normalised, .. } = &outcome.steps[0].result
    else {
        panic!("{:?}", outcome.steps[0]);
    };
    assert!(normalised.is_empty(), "a lost comment is no difference");
    for text in bench.fake.definitions().values() {
        assert!(text.contains("<vcpupin vcpu='0' cpuset='1'/>"), "{text}");
        assert!(!text.contains("<!--"), "the fake drops comments");
    }

    let outcome = bench.rollback(false).unwrap();
    assert_eq!(outcome.rolled_back.len(), 2);
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(bench.fake.definitions(), start);
    let nothing = bench.rollback(false).unwrap_err();
    assert!(matches!(nothing, ApplyError::NothingToUndo), "{nothing}");
}

#[test]
fn what_is_so_already_is_left_alone() {
    let bench = Bench::new(&["vm1", "vm2"]);
    let _ = bench.apply().unwrap();
    let again = Bench { plan: bench.replanned(), ..bench };
    again.fake.fail(crate::hypervisor::fake::Failure::Never);
    let outcome = again.apply().unwrap();
    assert_eq!(outcome.transaction, None);
    let so = |report: &StepReport| report.result == StepResult::AlreadySo;
    assert!(outcome.steps.iter().all(so));
    assert!(again.defined().is_empty());
}

#[test]
fn a_definition_is_written_with_its_schema_and_restored_without() {
    use crate::hypervisor::Validate;
    let bench = Bench::new(&["vm1"]);
    let _ = bench.apply().unwrap();
    let _ = bench.rollback(false).unwrap();
    assert_eq!(bench.defined(), [Validate::Schema, Validate::Lenient]);
}
