//! What is refused before anything is touched.

use super::bench::{Bench, uuid};
use crate::apply::{ApplyError, apply};
use crate::base::Digest;
use crate::files::Lock;
use crate::model::Change;

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

/// Two plans, made one after the other, chose the same function.
#[test]
fn a_function_that_another_vm_has_by_now_is_not_given() {
    let source = "<source><address domain='0x0000' bus='0x81' slot='0x00' \
                  function='0x2'/></source>";
    let device =
        format!("<hostdev mode='subsystem' type='pci'>{source}</hostdev>");
    let with = |text: &str| {
        text.replace(
            "</domain>",
            &format!("<devices>{device}</devices></domain>"),
        )
    };
    let mut bench = Bench::new(&["vm1", "vm2"]);
    bench.plan.vms.truncate(1);
    bench.plan.changes.retain(|one| one.vm.as_deref() == Some("vm1"));
    let path = "/domain/devices/hostdev[1]";
    let address = format!("{path}/source/address");
    for (place, to) in [
        (format!("{path}/@mode"), "subsystem"),
        (format!("{path}/@type"), "pci"),
        (format!("{address}/@domain"), "0x0000"),
        (format!("{address}/@bus"), "0x81"),
        (format!("{address}/@slot"), "0x00"),
        (format!("{address}/@function"), "0x2"),
    ] {
        let change = Change {
            target: crate::model::Target::Definition(place.parse().unwrap()),
            from: None,
            to: Some(to.to_owned()),
            ..bench.plan.changes[0].clone()
        };
        bench.plan.changes.push(change);
    }
    bench.edit("vm2", with);
    let error = refused(&bench);
    assert_eq!(
        error.to_string(),
        "vm2 has 0000:81:00.2, which the plan gives to vm1"
    );
    assert!(error.hint().unwrap().contains("vmtune plan"));
    // One that runs has what it was started with.
    let live = bench.fake.definitions()[&"vm2".parse().unwrap()].clone();
    bench.edit("vm2", |text| text.replace(&device, ""));
    bench.fake.start(&uuid(2), 1, &live);
    assert!(matches!(refused(&bench), ApplyError::Taken { .. }));
    bench.fake.stop(&uuid(2));
    let outcome = bench.apply().unwrap();
    assert!(outcome.failed.is_none(), "{outcome:?}");
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
