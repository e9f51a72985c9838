//! What is refused before anything is touched.

use super::bench::{Bench, uuid};
use crate::apply::{ApplyError, apply};
use crate::base::Digest;
use crate::files::Lock;

/// Expects a refusal that touched nothing; returns its text.
fn refused(bench: &Bench) -> ApplyError {
    let before = bench.fake.definitions();
    let error = bench.apply().unwrap_err();
    assert_eq!(bench.fake.definitions(), before);
    assert!(bench.defined().is_empty());
    assert!(!bench.journal_file(1).exists());
    error
}

#[test]
fn a_definition_that_changed_makes_the_plan_stale() {
    let bench = Bench::new(&["vm1", "vm2"]);
    bench.edit("vm2", |text| text.replace("65536", "131072"));
    let error = refused(&bench);
    assert_eq!(error.to_string(), "vm2 changed since the plan was made");
    assert!(error.hint().unwrap().contains("vmtune plan"));
}

#[test]
fn a_vm_that_has_gone_or_was_made_anew_is_named() {
    let bench = Bench::new(&["vm1", "vm2"]);
    bench.fake.remove(&uuid(2));
    assert!(matches!(refused(&bench), ApplyError::Gone { .. }));
    let bench = Bench::new(&["vm1"]);
    bench.fake.remove(&uuid(1));
    bench.fake.insert(&"vm1".parse().unwrap(), uuid(9), "<domain/>");
    assert!(matches!(refused(&bench), ApplyError::Gone { .. }));
}

#[test]
fn a_transient_vm_is_refused() {
    let bench = Bench::new(&["vm1"]);
    bench.fake.forget(&uuid(1));
    assert!(matches!(refused(&bench), ApplyError::Transient { .. }));
}

#[test]
fn a_plan_for_another_place_is_refused() {
    let mut bench = Bench::new(&["vm1"]);
    bench.plan.connection = "qemu:///system".into();
    assert!(matches!(refused(&bench), ApplyError::OtherConnection { .. }));
    bench.plan.connection = "files".into();
    let _ = bench.apply().unwrap();
}

#[test]
fn a_plan_for_a_vm_of_proxmox_is_refused() {
    let mut bench = Bench::new(&["vm1"]);
    bench.plan.vms[0].vmid = "101".parse().ok();
    assert!(matches!(refused(&bench), ApplyError::OtherKind { .. }));
    let mut bench = Bench::new(&["vm1"]);
    bench.plan.changes[0].target = "numa0/cpus".parse().unwrap();
    assert!(matches!(refused(&bench), ApplyError::Foreign { .. }));
}

#[test]
fn a_plan_that_edits_what_it_does_not_name_is_refused() {
    for vm in [None, Some("vm2".to_owned())] {
        let mut bench = Bench::new(&["vm1"]);
        bench.plan.changes[0].vm = vm;
        assert!(matches!(refused(&bench), ApplyError::Foreign { .. }));
    }
}

#[test]
fn a_change_that_does_not_fit_is_found_before_the_first_step() {
    let mut bench = Bench::new(&["vm1", "vm2"]);
    let change = bench.plan.changes.last_mut().unwrap();
    change.target = crate::model::Target::Definition(
        "/network/name/text()".parse().unwrap(),
    );
    assert!(matches!(refused(&bench), ApplyError::Edit { .. }));
}

#[test]
fn other_facts_make_the_plan_stale() {
    let bench = Bench::new(&["vm1"]);
    let facts = Some(Digest::of(b"other facts"));
    let error = apply(&bench.plan, facts, &bench.machine()).unwrap_err();
    assert!(matches!(error, ApplyError::StaleFacts), "{error}");
    let facts = Some(bench.plan.fingerprint);
    let _ = apply(&bench.plan, facts, &bench.machine()).unwrap();
}

#[test]
fn one_apply_at_a_time() {
    let bench = Bench::new(&["vm1"]);
    let _lock = Lock::take(&bench.state).unwrap();
    assert!(matches!(refused(&bench), ApplyError::Lock(_)));
}

#[test]
fn what_was_changed_since_is_not_lost_by_a_rollback() {
    let bench = Bench::new(&["vm1", "vm2"]);
    let start = bench.fake.definitions();
    let _ = bench.apply().unwrap();
    bench.edit("vm1", |text| text.replace("65536", "131072"));
    let before = bench.fake.definitions();
    let error = bench.rollback(false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vm1 changed since tx-000001: /domain/memory differs",
    );
    assert_eq!(bench.fake.definitions(), before, "vm2 is not touched either");
    let outcome = bench.rollback(true).unwrap();
    assert_eq!(outcome.rolled_back.len(), 2);
    assert_eq!(bench.fake.definitions(), start);
}

#[test]
fn a_vm_that_has_gone_is_not_made_again_by_a_rollback() {
    let bench = Bench::new(&["vm1", "vm2"]);
    let _ = bench.apply().unwrap();
    bench.fake.remove(&uuid(2));
    let error = bench.rollback(false).unwrap_err();
    assert!(matches!(error, ApplyError::Deleted { .. }), "{error}");
    let outcome = bench.rollback(true).unwrap();
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(bench.fake.definitions().len(), 1);
}
