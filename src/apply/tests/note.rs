//! What is left in a definition's metadata.

use super::bench::Bench;
use crate::apply::preview;
use crate::base::Digest;
use crate::definition::xml::Document;
use crate::files::journal::{Journal, TransactionId};
use crate::files::plan_store;
use crate::model::{Place, Plan};

/// Metadata of somebody else's, whose prefix is our own's.
const OTHERS: &str = "<metadata>
    <vmtune:own xmlns:vmtune=\"urn:somebody\" a='1'>text</vmtune:own>
    <b:other xmlns:b='urn:other'><b:inner/></b:other>
  </metadata>
  <memory";

fn definition(bench: &Bench, name: &str) -> String {
    bench.fake.definitions()[&name.parse().unwrap()].clone()
}

/// Returns what the note of a definition says: transaction, preset, plan.
fn note(text: &str) -> Option<[String; 3]> {
    let document = Document::parse(text).unwrap();
    let value = |name: &str| {
        let path = format!("/domain/metadata/vmtune:tuned/@{name}");
        Some(document.value(&path.parse().unwrap())?.into_owned())
    };
    Some([value("transaction")?, value("preset")?, value("plan")?])
}

fn expected(id: &str, plan: &Plan) -> Option<[String; 3]> {
    let text = plan_store::to_text(plan).unwrap();
    let digest = Digest::of(text.as_bytes()).to_string();
    Some([id.into(), plan.preset.clone(), digest])
}

#[test]
fn a_definition_says_which_transaction_and_plan_made_it() {
    let bench = Bench::new(&["vm1"]);
    let start = bench.fake.definitions();
    let _ = bench.apply().unwrap();
    let text = definition(&bench, "vm1");
    assert_eq!(note(&text), expected("tx-000001", &bench.plan));
    let uri = "xmlns:vmtune='urn:vmtune:domain:1'";
    assert_eq!(text.matches(uri).count(), 1, "{text}");

    // A plan that finds it changes nothing for its sake.
    let mut again = Bench { plan: bench.replanned(), ..bench };
    assert_eq!(again.apply().unwrap().transaction, None);
    assert_eq!(definition(&again, "vm1"), text);

    // The next transaction replaces it, and gives it back.
    again.plan.changes[0].to = Some("2".into());
    again.plan.preset = "latency".into();
    let outcome = again.apply().unwrap();
    assert!(outcome.failed.is_none(), "{outcome:?}");
    let second = definition(&again, "vm1");
    assert_eq!(note(&second), expected("tx-000002", &again.plan));
    assert_eq!(second.matches("vmtune:tuned").count(), 1, "{second}");
    let _ = again.rollback(false).unwrap();
    assert_eq!(definition(&again, "vm1"), text);
    let _ = again.rollback(false).unwrap();
    assert_eq!(again.fake.definitions(), start);
}

#[test]
fn what_others_keep_in_metadata_stays() {
    let bench = Bench::new(&["vm1"]);
    bench.edit("vm1", |text| text.replace("<memory", OTHERS));
    let bench = Bench { plan: bench.replanned(), ..bench };
    let start = definition(&bench, "vm1");
    let _ = bench.apply().unwrap();
    let text = definition(&bench, "vm1");
    assert_eq!(note(&text), expected("tx-000001", &bench.plan));
    let (others, _) = OTHERS.split_once("\n  </metadata>").unwrap();
    assert!(text.contains(others), "{text}");
    let _ = bench.rollback(false).unwrap();
    assert_eq!(definition(&bench, "vm1"), start);
}

/// Somebody writes metadata after a kill, where there was none before.
#[test]
#[allow(clippy::disallowed_methods, reason = "it cuts a journal short")]
fn what_others_write_there_after_a_kill_is_not_lost() {
    let bench = Bench::new(&["vm1"]);
    let _ = bench.apply().unwrap();
    let file = bench.journal_file(1);
    let journal = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = journal.lines().take(2).collect();
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let theirs = "<b:other xmlns:b='urn:other'/></metadata>";
    bench.edit("vm1", |text| text.replace("</metadata>", theirs));
    let error = bench.rollback(false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vm1 changed since tx-000001: /domain/metadata/b:other is new"
    );
}

#[test]
fn a_preview_shows_it() {
    let bench = Bench::new(&["vm1"]);
    let next = Journal::next_in(&bench.state).unwrap();
    assert_eq!(next, TransactionId(1));
    let (fake, system) = (&bench.fake, &bench.system);
    let steps = preview(&bench.plan, None, next, fake, system).unwrap();
    assert!(matches!(steps[0].place, Place::Definition { .. }));
    let shown = steps[0].written.clone();
    let _ = bench.apply().unwrap();
    assert_eq!(Some(definition(&bench, "vm1")), shown);
    assert_eq!(Journal::next_in(&bench.state).unwrap(), TransactionId(2));
}
