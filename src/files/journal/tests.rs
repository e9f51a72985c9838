//! Tests of the journal: what a crash, a careless editor and an enemy leave.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::base::{CpuSet, Digest};
use crate::model::{FileAccess, Footing, Plan, Program, Service};

const UUID: &str = "c7a5fdbd-edaf-9455-926a-d65c16db1809";

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
        writer.done(0, Some("<left/>")).unwrap();
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
            boot_loader: None,
            vms: vec![],
            changes: vec![],
            advice: vec![],
            unknown: vec![],
        },
        boot: Some("3a0d".into()),
        already_so: vec![],
        live: [(UUID.parse().unwrap(), "run 1\n".to_owned())].into(),
    }
}

fn step() -> Step {
    Step {
        place: Place::Definition {
            name: "vm1".parse().unwrap(),
            uuid: UUID.parse().unwrap(),
        },
        former: Some("<former>\n  é\n</former>".into()),
        footing: Footing::default(),
        written: Some("<written/>".into()),
        left: Left::Unknown,
        rolled_back: false,
    }
}

fn known(text: &str) -> Left {
    Left::Known(Some(text.into()))
}

#[test]
fn a_transaction_is_read_as_it_was_written() {
    let bench = Bench::new();
    let id = bench.apply();
    assert_eq!(id.to_string(), "tx-000001");
    let read = bench.journal.read(id).unwrap();
    assert_eq!(read.header, header());
    let done = Step { left: known("<left/>"), ..step() };
    assert_eq!(read.steps, [done]);
    assert_eq!(read.status, Status::Applied);
    assert_eq!(bench.journal.pending().unwrap(), None);
    assert_eq!(bench.journal.last_applied().unwrap().unwrap().id, id);

    let mut writer = bench.journal.append(&bench.lock, &read).unwrap();
    writer.undoing(None).unwrap();
    let unfinished = bench.journal.pending().unwrap().unwrap();
    assert_eq!(unfinished.status, Status::Unfinished { undoing: true });
    writer.rolled_back(0).unwrap();
    writer.finished(Ending::RolledBack).unwrap();
    assert_eq!(bench.journal.pending().unwrap(), None);
    assert_eq!(bench.journal.last_applied().unwrap(), None);
}

/// What matters to the next transaction is whether this one has ended, and
/// that its last line says, for as long as each byte of it is right.
#[test]
fn a_finished_transaction_holds_no_other_back() {
    let bench = Bench::new();
    bench.apply();
    let whole = fs::read(bench.path(1)).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n');
    let last = last.unwrap() + 1;

    let mut damaged = whole.clone();
    damaged[last - 10] ^= 1;
    fs::write(bench.path(1), &damaged).unwrap();
    assert_eq!(bench.journal.pending().unwrap(), None);
    assert!(bench.journal.read(TransactionId(1)).is_err(), "not undone from");
    let pruned = bench.journal.prune(&bench.lock, 0).unwrap();
    assert_eq!(pruned, [], "a person shall look at it");

    fs::write(bench.path(1), [&whole[..], b"{\"dig"].concat()).unwrap();
    assert_eq!(bench.journal.pending().unwrap(), None, "a cut line");
    fs::write(bench.path(1), &whole[..whole.len() - 1]).unwrap();
    assert!(bench.journal.pending().unwrap().is_some(), "its end is cut");
    for place in last..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x80;
        fs::write(bench.path(1), &damaged).unwrap();
        assert!(bench.journal.pending().is_err() || place == whole.len() - 1);
    }
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
    let summary = history[0].summary.as_ref().unwrap();
    assert_eq!(summary.places, [step().place]);
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
    assert!(bench.journal.pending().is_err(), "it could be unfinished");
}

#[test]
fn places_of_all_kinds_come_back_as_they_were() {
    let bench = Bench::new();
    let access = FileAccess { mode: 0o640, owner: 1, group: 2 };
    let steps = [
        Step {
            place: Place::File("/etc/sysctl.d/90-a.conf".parse().unwrap()),
            former: None,
            footing: Footing { missing_folders: 1, access: None },
            written: Some("a = 1\n".into()),
            left: known("a = 1\n"),
            rolled_back: false,
        },
        Step {
            place: Place::File("/etc/old.conf".parse().unwrap()),
            former: Some("\u{0}\"\\\n".into()),
            footing: Footing { missing_folders: 0, access: Some(access) },
            written: None,
            left: Left::Known(None),
            rolled_back: false,
        },
        Step {
            place: Place::Program(Program::TryRestart(Service::Irqbalance)),
            former: None,
            footing: Footing::default(),
            written: None,
            left: Left::Known(None),
            rolled_back: false,
        },
        Step {
            place: Place::Kernel("/sys/kernel/mm/ksm/run".parse().unwrap()),
            former: Some("1".into()),
            footing: Footing::default(),
            written: Some("0".into()),
            left: Left::Unknown,
            rolled_back: false,
        },
    ];
    let mut writer = bench.begin();
    for (number, step) in steps.iter().enumerate() {
        writer.started(number, step).unwrap();
        if let Left::Known(left) = &step.left {
            writer.done(number, left.as_deref()).unwrap();
        }
    }
    let read = bench.journal.read(writer.id()).unwrap();
    assert_eq!(read.steps, steps);
}

#[test]
fn what_waits_is_confirmed_or_undone() {
    for confirmed in [true, false] {
        let bench = Bench::new();
        let mut writer = bench.begin();
        writer.started(0, &step()).unwrap();
        writer.done(0, Some("<left/>")).unwrap();
        writer.waiting(1_700_000_300).unwrap();
        let waits = bench.journal.pending().unwrap().unwrap();
        assert_eq!(waits.status, Status::Waiting { until: 1_700_000_300 });
        assert_eq!(bench.journal.last_applied().unwrap(), None);
        let mut writer = bench.journal.append(&bench.lock, &waits).unwrap();
        let status = if confirmed {
            writer.finished(Ending::Applied).unwrap();
            Status::Applied
        } else {
            writer.undoing(None).unwrap();
            Status::Unfinished { undoing: true }
        };
        assert_eq!(bench.journal.read(waits.id).unwrap().status, status);
    }
}

/// A transaction as the first form has it: begun, done, and applied.
const FORM_1: [&str; 4] = [
    r#"{"form":1,"transaction":1,"header":{"started":1700000000,"plan":{"schema_version":1,"fingerprint":"0694aacb66d62e742a92e8d5f1e82bd9d2a8ca1be88744201fbe63d0f5007502","host":"this machine","connection":"fake:///system","preset":"balanced","housekeeping":"","vms":[],"changes":[],"advice":[],"unknown":[]}}}"#,
    r#"{"record":"started","step":0,"name":"vm1","uuid":"c7a5fdbd-edaf-9455-926a-d65c16db1809","former":"<former>\n  é\n</former>","former_digest":"6e245b6ee424408f4f0e8743bc01db542f50545fd80ed2c5f5f04879af3e1f1e","written":"<written/>"}"#,
    r#"{"record":"done","step":0,"left":"<left/>","left_digest":"1f05e24c5ebfa4934701063628cbe5cee9315cf6fc681fa484d3a037c4b6a4ec"}"#,
    r#"{"record":"finished","ending":"applied"}"#,
];

#[test]
fn the_first_form_is_read_and_written_on() {
    let undoing = r#"{"record":"undoing","because":"a fault"}"#;
    let back = r#"{"record":"rolled-back","step":0}"#;
    let ended = r#"{"record":"finished","ending":"rolled-back"}"#;
    let done = Step { left: known("<left/>"), ..step() };
    let undone = Step { rolled_back: true, ..done.clone() };
    let unfinished = |undoing| Status::Unfinished { undoing };
    for (records, steps, status) in [
        (vec![], vec![], unfinished(false)),
        (vec![FORM_1[1]], vec![step()], unfinished(false)),
        (FORM_1[1..].to_vec(), vec![done], Status::Applied),
        (
            [&FORM_1[1..], &[undoing, back]].concat(),
            vec![undone.clone()],
            unfinished(true),
        ),
        (
            [&FORM_1[1..], &[undoing, back, ended]].concat(),
            vec![undone],
            Status::RolledBack,
        ),
    ] {
        let bench = Bench::new();
        let text = [&[FORM_1[0]], &records[..]].concat().join("\n");
        // The last line was cut off by a crash.
        fs::write(bench.path(1), text + "\n{\"record\":\"fini").unwrap();
        let read = bench.journal.read(TransactionId(1)).unwrap();
        let live = [].into();
        assert_eq!(read.header, Header { boot: None, live, ..header() });
        assert_eq!((&read.steps, read.status), (&steps, status));

        // To be written on, it is written anew, and says the same.
        drop(bench.journal.append(&bench.lock, &read).unwrap());
        let text = fs::read_to_string(bench.path(1)).unwrap();
        assert!(text.contains("\"form\":2"), "{text}");
        let again = bench.journal.read(TransactionId(1)).unwrap();
        assert_eq!(again.header, read.header);
        assert_eq!((&again.steps, again.status), (&steps, status));
        assert_eq!(again.because, read.because);
    }
    let bench = Bench::new();
    let text = FORM_1.join("\n") + "\n";
    fs::write(bench.path(1), text.replace('é', "e")).unwrap();
    let error = bench.journal.read(TransactionId(1)).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
}

/// Puts records into a file, each with its digest.
fn write_sealed(bench: &Bench, records: &[&str]) {
    let (mut text, mut last) = (String::new(), None);
    for json in records {
        let (line, digest) = record::seal(json, last);
        text.push_str(&line);
        last = Some(digest);
    }
    fs::write(bench.path(1), text).unwrap();
}

#[test]
fn records_must_follow_from_each_other() {
    let bench = Bench::new();
    let id = bench.apply();
    let text = fs::read_to_string(bench.path(1)).unwrap();
    let mut last = None;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (json, digest) = record::unseal(line, last).unwrap();
            last = Some(digest);
            json
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    write_sealed(&bench, &lines);
    assert_eq!(fs::read_to_string(bench.path(1)).unwrap(), text);
    let rolled_back = r#"{"record":"rolled-back","step":0}"#;
    let ended = r#"{"record":"finished","ending":"rolled-back"}"#;
    let waiting = r#"{"record":"waiting","until":9}"#;
    for (what, records) in [
        ("a step twice", vec![lines[0], lines[1], lines[1]]),
        ("an end not begun", vec![lines[0], lines[2]]),
        ("an end twice", vec![lines[0], lines[1], lines[2], lines[2]]),
        ("applied half-way", vec![lines[0], lines[1], lines[3]]),
        ("waiting half-way", vec![lines[0], lines[1], waiting]),
        ("waiting twice", vec![lines[0], waiting, waiting]),
        ("a step after waiting", vec![lines[0], waiting, lines[1]]),
        ("undone out of turn", vec![lines[0], lines[1], rolled_back]),
        ("back without a way", vec![lines[0], ended]),
        ("more after the end", vec![lines[0], lines[3], lines[1]]),
        ("two headers", vec![lines[0], lines[0]]),
        ("an unknown record", vec![lines[0], r#"{"record":"x"}"#]),
        (
            "an unknown field",
            vec![lines[0], r#"{"record":"undoing","because":null,"run":"rm"}"#],
        ),
    ] {
        write_sealed(&bench, &records);
        let error = bench.journal.read(id).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{what}");
        assert!(!error.to_string().contains("digest"), "{what}: {error}");
    }
    let renamed = lines[0].replace("\"transaction\":1", "\"transaction\":2");
    write_sealed(&bench, &[&renamed]);
    assert!(bench.journal.read(id).is_err(), "another one's header");
}

#[test]
fn lines_that_are_exchanged_or_taken_out_are_damage() {
    let bench = Bench::new();
    let id = bench.apply();
    let text = fs::read_to_string(bench.path(1)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (at, kept) in [
        (3, vec![lines[0], lines[1], lines[3]]),
        (2, vec![lines[0], lines[2], lines[3]]),
        (2, vec![lines[0], lines[2], lines[1], lines[3]]),
        (3, vec![lines[0], lines[1], lines[1], lines[2]]),
    ] {
        fs::write(bench.path(1), kept.join("\n") + "\n").unwrap();
        let error = bench.journal.read(id).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{} is damaged at line {at}: it does not match its digest, or \
                 a line is missing; nothing was undone from it",
                bench.path(1).display()
            )
        );
    }
}

#[test]
fn no_byte_changes_unseen() {
    let bench = Bench::new();
    let id = bench.apply();
    let whole = fs::read(bench.path(1)).unwrap();
    let read = bench.journal.read(id).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let now = read::parse(id, &bench.path(1), &bytes);
            // A digest may be written in capitals.
            let capital = bit == 5 && whole[at].is_ascii_alphabetic();
            match now {
                Err(_) => {}
                // Without its end the last line was cut off.
                Ok(now) if at + 1 == whole.len() => {
                    assert_eq!(
                        now.status,
                        Status::Unfinished { undoing: false }
                    );
                    assert_eq!(now.steps, read.steps);
                }
                Ok(now) => {
                    assert!(capital && now == read, "bit {bit} of {at}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: Vec<u8>) {
        let _ = read::parse(TransactionId(1), Path::new("x"), &text);
    }
}
