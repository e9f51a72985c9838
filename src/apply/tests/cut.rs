//! A process killed at any point, and a journal cut at any byte.

#![allow(
    clippy::disallowed_methods,
    reason = "the test damages files on purpose"
)]

use std::fs;

use super::bench::Bench;
use crate::apply::ApplyError;
use crate::files::journal::JournalError;

/// The states of the hypervisor while two VMs are changed one after the
/// other, and the journal of the whole.
fn history() -> (Bench, Vec<u8>, [String; 2]) {
    let bench = Bench::new(&["vm1", "vm2"]);
    let _ = bench.apply().unwrap();
    let journal = fs::read(bench.journal_file(1)).unwrap();
    let after = bench.fake.definitions();
    let text = |name: &str| after[&name.parse().unwrap()].clone();
    let texts = [text("vm1"), text("vm2")];
    (bench, journal, texts)
}

/// Returns a bench as a kill left it: that much of the journal, and the first
/// `changed` VMs changed.
fn killed(journal: &[u8], texts: &[String; 2], changed: usize) -> Bench {
    let bench = Bench::new(&["vm1", "vm2"]);
    for (name, text) in ["vm1", "vm2"].into_iter().zip(texts).take(changed) {
        bench.edit(name, |_| text.clone());
    }
    fs::create_dir_all(bench.journal_file(1).parent().unwrap()).unwrap();
    fs::write(bench.journal_file(1), journal).unwrap();
    bench
}

/// The ends of the journal's lines: header, started, done, started, done,
/// finished.
fn line_ends(journal: &[u8]) -> Vec<usize> {
    let ends = journal.iter().enumerate().filter(|(_, b)| **b == b'\n');
    ends.map(|(at, _)| at + 1).collect()
}

#[test]
fn a_kill_at_any_byte_of_the_journal_is_recovered_from() {
    let (whole, journal, texts) = history();
    let finish = whole.fake.definitions();
    let start = Bench::new(&["vm1", "vm2"]).fake.definitions();
    let ends = line_ends(&journal);
    assert_eq!(ends.len(), 6);
    // Before the header is whole there is no file. Within a line every cut is
    // the same, as the journal's own tests show, so most of them are left
    // out.
    let near = |cut: usize| ends.iter().any(|end| cut.abs_diff(*end) < 3);
    let cuts = (ends[0]..journal.len())
        .filter(|cut| near(*cut) || cut.is_multiple_of(13));
    for cut in cuts {
        // A definition is changed after its `started` is whole and before
        // the first byte of its `done` is written, so both can be.
        let records = ends[1..].iter().filter(|end| cut >= **end).count();
        let (least, most) = (records / 2, records.div_ceil(2));
        for changed in least..=most {
            let bench = killed(&journal[..cut], &texts, changed);
            let blocked = bench.apply().unwrap_err();
            assert!(matches!(blocked, ApplyError::Unfinished { .. }));
            let outcome = bench.rollback(false).unwrap();
            assert!(outcome.rollback_failures.is_empty(), "cut at {cut}");
            assert_eq!(bench.fake.definitions(), start, "cut at {cut}");

            let bench = killed(&journal[..cut], &texts, changed);
            let outcome = bench.resume().unwrap();
            assert!(outcome.failed.is_none(), "cut at {cut}");
            assert_eq!(outcome.steps.len(), 2);
            assert_eq!(bench.fake.definitions(), finish, "cut at {cut}");
            let _ = bench.rollback(false).unwrap();
            assert_eq!(bench.fake.definitions(), start, "cut at {cut}");
        }
    }
}

#[test]
fn a_journal_that_lost_its_end_is_not_believed() {
    let (_, journal, texts) = history();
    let start = Bench::new(&["vm1", "vm2"]).fake.definitions();
    for cut in (0..journal.len()).step_by(7) {
        // Both are changed, whatever the journal says.
        let bench = killed(&journal[..cut], &texts, 2);
        let before = bench.fake.definitions();
        match bench.rollback(false) {
            Ok(_) => assert_eq!(bench.fake.definitions(), start),
            Err(
                ApplyError::Unrecorded { .. }
                | ApplyError::Journal(JournalError::Damaged { .. }),
            ) => assert_eq!(bench.fake.definitions(), before),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_damaged_journal_stops_the_next_apply() {
    let bench = killed(b"rubbish\n", &[String::new(), String::new()], 0);
    let error = bench.apply().unwrap_err();
    assert!(
        matches!(error, ApplyError::Journal(JournalError::Damaged { .. })),
        "{error}"
    );
}

#[test]
fn what_a_user_did_after_a_kill_is_not_lost() {
    let (_, journal, texts) = history();
    let ends = line_ends(&journal);
    // Killed between define and `done` of the first VM.
    let bench = killed(&journal[..ends[1]], &texts, 1);
    bench.edit("vm1", |text| text.replace("65536", "131072"));
    for result in [bench.rollback(false), bench.resume()] {
        let error = result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "vm1 changed since tx-000001: /domain/memory differs",
        );
    }
}

#[test]
fn a_step_that_is_done_must_still_stand_to_go_on() {
    let (_, journal, texts) = history();
    let ends = line_ends(&journal);
    let bench = killed(&journal[..ends[2]], &texts, 0);
    let error = bench.resume().unwrap_err();
    assert!(matches!(error, ApplyError::Moved { .. }), "{error}");
    let _ = bench.rollback(false).unwrap();
}

#[test]
fn there_is_nothing_to_resume_after_an_end() {
    let (bench, ..) = history();
    let error = bench.resume().unwrap_err();
    assert!(matches!(error, ApplyError::NothingToResume), "{error}");
}
