//! Transactions that are undone unless somebody confirms them.

#![allow(clippy::disallowed_methods, reason = "the test cuts a journal short")]

use std::cell::RefCell;
use std::fs;
use std::io;

use super::bench::{Bench, path};
use crate::apply::{
    ApplyError, Confirmation, Machine, Outcome, StepError,
    apply_until_confirmed, confirm, expire,
};
use crate::files::journal::{Journal, Status, TransactionId};
use crate::model::Stage;

const KSM: &str = "/sys/kernel/mm/ksm/run";
const ID: TransactionId = TransactionId(1);
/// The bench's clock says 17.
const UNTIL: u64 = 20;

fn bench() -> Bench {
    Bench::new(&["vm1"]).with(KSM, Some("1"), Some("0"), Stage::Now)
}

fn begin(bench: &Bench) -> Outcome {
    let watch = &|_| Ok(());
    let confirmation = Confirmation { until: UNTIL, watch };
    let machine = bench.machine();
    apply_until_confirmed(&bench.plan, None, confirmation, &machine).unwrap()
}

fn status(bench: &Bench) -> Status {
    let journal = Journal::open(&bench.state).unwrap();
    journal.read(ID).unwrap().status
}

fn late(bench: &Bench) -> Machine<'_> {
    Machine { now: UNTIL, ..bench.machine() }
}

#[test]
fn what_is_confirmed_stays() {
    let bench = bench();
    let error = confirm(&bench.state, 18).unwrap_err();
    assert!(matches!(error, ApplyError::NothingToConfirm), "{error}");
    assert!(begin(&bench).failed.is_none());
    assert_eq!(status(&bench), Status::Waiting { until: UNTIL });

    // Nothing else may begin meanwhile.
    for error in [bench.apply().unwrap_err(), bench.resume().unwrap_err()] {
        assert_eq!(error.to_string(), "tx-000001 waits to be confirmed");
        assert_eq!(
            error.hint().unwrap(),
            "`vmtune confirm` keeps it, `vmtune rollback` undoes it"
        );
    }
    assert_eq!(confirm(&bench.state, UNTIL - 1).unwrap(), ID);
    assert_eq!(status(&bench), Status::Applied);
    assert!(expire(ID, &late(&bench)).unwrap().is_none());
    assert_eq!(bench.system.state()[&path(KSM)], "0");
}

#[test]
fn what_is_not_confirmed_is_undone() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let _ = begin(&bench);
    let outcome = expire(ID, &late(&bench)).unwrap().unwrap();
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
    let journal = Journal::open(&bench.state).unwrap();
    let because = journal.read(ID).unwrap().because;
    assert_eq!(because.unwrap(), "nobody confirmed it in time");
    assert!(expire(ID, &late(&bench)).unwrap().is_none());
    assert!(expire(TransactionId(7), &late(&bench)).unwrap().is_none());
}

#[test]
fn too_late_is_said() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let _ = begin(&bench);
    let errors = [
        confirm(&bench.state, UNTIL).unwrap_err(),
        super::apply(&bench.plan, None, &late(&bench)).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            error.to_string(),
            "tx-000001 was not confirmed in time, and still stands"
        );
        assert_eq!(error.hint().unwrap(), "`vmtune rollback` undoes it");
    }
    let _ = bench.rollback(false).unwrap();
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
}

#[test]
fn what_undoes_it_is_started_before_the_first_step() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let seen = RefCell::new(Vec::new());
    let watch = &|id| {
        let now = (bench.system.state(), bench.fake.definitions());
        assert_eq!(now, start);
        seen.borrow_mut().push((id, status(&bench)));
        Ok(())
    };
    let confirmation = Confirmation { until: UNTIL, watch };
    let machine = bench.machine();
    let _ = apply_until_confirmed(&bench.plan, None, confirmation, &machine)
        .unwrap();
    assert_eq!(*seen.borrow(), [(ID, Status::Unfinished { undoing: false })]);
}

#[test]
fn without_what_undoes_it_nothing_is_done() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let watch = &|_| Err(io::Error::other("no more processes"));
    let confirmation = Confirmation { until: UNTIL, watch };
    let machine = bench.machine();
    let outcome =
        apply_until_confirmed(&bench.plan, None, confirmation, &machine)
            .unwrap();
    let failed = outcome.failed.unwrap();
    assert!(matches!(failed.error, StepError::Watch(_)));
    assert_eq!(
        failed.in_short(),
        "starting what would undo it: no more processes"
    );
    assert!(outcome.steps.is_empty() && outcome.rolled_back.is_empty());
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
    assert_eq!(status(&bench), Status::RolledBack);
}

#[test]
fn what_was_cut_off_is_undone_too() {
    let bench = bench();
    let start = (bench.system.state(), bench.fake.definitions());
    let _ = begin(&bench);
    let text = fs::read_to_string(bench.journal_file(1)).unwrap();
    // The definition was begun and not done.
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[..4].join("\n") + "\n";
    fs::write(bench.journal_file(1), kept).unwrap();
    let outcome = expire(ID, &late(&bench)).unwrap().unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    assert_eq!((bench.system.state(), bench.fake.definitions()), start);
}

#[test]
fn what_somebody_changed_meanwhile_is_left_alone() {
    let bench = bench();
    let start = bench.system.state();
    let _ = begin(&bench);
    bench.edit("vm1", |text| text.replace("65536", "131072"));
    let outcome = expire(ID, &late(&bench)).unwrap().unwrap();
    let [left] = &outcome.rollback_failures[..] else { panic!("{outcome:?}") };
    assert_eq!(
        left.in_short(),
        "vm1: somebody else changed it: /domain/memory differs"
    );
    // The rest goes back, which may be what cut off the host.
    assert_eq!(bench.system.state(), start);
    assert_eq!(status(&bench), Status::Unfinished { undoing: true });
}
