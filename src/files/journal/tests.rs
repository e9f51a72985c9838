//! Tests of the journal: what a crash, a careless editor and an enemy leave.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::base::{CpuSet, Digest};
use crate::model::Plan;

struct Bench {
    temp: tempfile::TempDir,
    journal: Journal,
    lock: Lock,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("s")).unwrap();
        let journal = Journal::open(&state).unwrap();
        let lock = Lock::take(&state).unwrap();
        Self { temp, journal, lock }
    }

    fn path(&self, id: u32) -> PathBuf {
        let name = file_name(TransactionId(id));
        self.temp.path().join("s/journal").join(name)
    }

    fn begin(&self) -> Writer {
        self.journal.begin(&self.lock, &header()).unwrap()
    }

    /// Writes a transaction of one step that is applied.
    fn apply(&self) -> TransactionId {
        let mut writer = self.begin();
        writer.started(0, &step()).unwrap();
        writer.done(0, "<left/>").unwrap();
        writer.finished(Ending::Applied).unwrap();
        writer.id()
    }
}

fn header() -> Header {
    Header {
        started: 1_700_000_000,
        plan: Plan {
            schema_version: Plan::SCHEMA_VERSION,
            fingerprint: Digest::of(b"facts"),
            host: "this machine".into(),
            connection: "fake:///system".into(),
            preset: "balanced".into(),
            housekeeping: CpuSet::new(),
            vms: vec![],
            changes: vec![],
            advice: vec![],
            unknown: vec![],
        },
    }
}

fn step() -> Step {
    Step {
        name: "vm1".parse().unwrap(),
        uuid: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap(),
        former: "<former>\n  é\n</former>".into(),
        written: "<written/>".into(),
        left: None,
        rolled_back: false,
    }
}

#[test]
fn a_transaction_is_read_as_it_was_written() {
    let bench = Bench::new();
    let id = bench.apply();
    assert_eq!(id.to_string(), "tx-000001");
    let read = bench.journal.read(id).unwrap();
    assert_eq!(read.header, header());
    let done = Step { left: Some("<left/>".into()), ..step() };
    assert_eq!(read.steps, [done]);
    assert_eq!(read.status, Status::Applied);
    assert_eq!(bench.journal.unfinished().unwrap(), None);
    assert_eq!(bench.journal.last_applied().unwrap().unwrap().id, id);

    let mut writer = bench.journal.append(&bench.lock, &read).unwrap();
    writer.undoing(None).unwrap();
    let unfinished = bench.journal.unfinished().unwrap().unwrap();
    assert_eq!(unfinished.status, Status::Unfinished { undoing: true });
    writer.rolled_back(0).unwrap();
    writer.finished(Ending::RolledBack).unwrap();
    assert_eq!(bench.journal.unfinished().unwrap(), None);
    assert_eq!(bench.journal.last_applied().unwrap(), None);
}

#[test]
fn transactions_are_numbered_listed_and_pruned() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.apply();
    }
    let open = bench.begin().id();
    fs::write(bench.path(9), "rubbish\n").unwrap();
    fs::write(bench.temp.path().join("s/journal/notes"), "x").unwrap();
    let history = bench.journal.history().unwrap();
    let ids: Vec<u32> = history.iter().map(|entry| entry.id.0).collect();
    assert_eq!(ids, [1, 2, 3, 4, 9]);
    assert_eq!(history[0].summary.as_ref().unwrap().vms, [step().name]);
    assert!(history[4].summary.is_err());

    let pruned = bench.journal.prune(&bench.lock, 1).unwrap();
    assert_eq!(pruned, [TransactionId(1), TransactionId(2)]);
    bench.journal.read(open).unwrap();
    assert!(matches!(
        bench.journal.read(TransactionId(1)),
        Err(JournalError::None(_))
    ));
    assert_eq!(bench.begin().id(), TransactionId(10), "no number comes twice");
}

#[test]
fn a_file_cut_at_any_byte_is_read_or_refused() {
    let bench = Bench::new();
    let id = bench.apply();
    let whole = fs::read(bench.path(1)).unwrap();
    let header_end = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for cut in 0..=whole.len() {
        fs::write(bench.path(1), &whole[..cut]).unwrap();
        match bench.journal.read(id) {
            Err(JournalError::Damaged { line: 1, .. }) => {
                assert!(cut < header_end, "at {cut}");
            }
            Err(error) => panic!("cut at {cut}: {error}"),
            Ok(read) => {
                // It can be written on, and the cut line leaves no trace.
                let mut writer =
                    bench.journal.append(&bench.lock, &read).unwrap();
                writer.undoing(None).unwrap();
                let again = bench.journal.read(id).unwrap();
                assert_eq!(again.steps, read.steps, "at {cut}");
            }
        }
    }
}

#[test]
fn another_form_is_named() {
    let bench = Bench::new();
    fs::write(bench.path(1), "{\"form\": 7, \"unheard\": []}\n").unwrap();
    let error = bench.journal.read(TransactionId(1)).unwrap_err();
    assert!(matches!(error, JournalError::Form { found: 7, .. }), "{error}");
    assert!(bench.journal.unfinished().is_err(), "it could be unfinished");
}

#[test]
fn records_must_follow_from_each_other() {
    let bench = Bench::new();
    let id = bench.apply();
    let text = fs::read_to_string(bench.path(1)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let rolled_back = r#"{"record":"rolled-back","step":0}"#;
    let ended = r#"{"record":"finished","ending":"rolled-back"}"#;
    let damaged_former = lines[1].replace("é", "e");
    for (what, records) in [
        ("a step twice", vec![lines[0], lines[1], lines[1]]),
        ("an end not begun", vec![lines[0], lines[2]]),
        ("an end twice", vec![lines[0], lines[1], lines[2], lines[2]]),
        ("applied half-way", vec![lines[0], lines[1], lines[3]]),
        ("undone out of turn", vec![lines[0], lines[1], rolled_back]),
        ("back without a way", vec![lines[0], ended]),
        ("more after the end", vec![lines[0], lines[3], lines[1]]),
        ("two headers", vec![lines[0], lines[0]]),
        ("another text", vec![lines[0], &damaged_former]),
        ("an unknown record", vec![lines[0], r#"{"record":"x"}"#]),
        (
            "an unknown field",
            vec![lines[0], r#"{"record":"undoing","because":null,"run":"rm"}"#],
        ),
    ] {
        fs::write(bench.path(1), records.join("\n") + "\n").unwrap();
        let error = bench.journal.read(id).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{what}");
    }
    let renamed = text.replace("\"transaction\":1", "\"transaction\":2");
    fs::write(bench.path(1), renamed).unwrap();
    assert!(bench.journal.read(id).is_err(), "another one's header");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: Vec<u8>) {
        let _ = read::parse(TransactionId(1), Path::new("x"), &text);
    }
}
