//! A journal that is cut short or has other bytes than were written.

use std::fs;

use vmtune::apply::{ApplyError, Outcome};
use vmtune::files::journal::JournalError;

use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{Scene, clean, definitions};

fn disk(scene: &Scene) -> Disk {
    Disk::at(scene.path().join("vms"))
}

fn all(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.host(), definitions(&disk(scene)))
}

fn applied() -> Scene {
    let scene = Scene::new();
    let outcome = scene.apply(&disk(&scene), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    scene
}

#[test]
fn a_journal_that_lost_its_end_undoes_nothing_that_it_does_not_know() {
    let start = all(&Scene::new());
    let scene = applied();
    let finish = all(&scene);
    let whole = fs::read(scene.journal()).unwrap();
    let (mut undone, mut refused) = (0, 0);
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    let middles = ends.iter().map(|end| end - 40);
    let cuts = ends.iter().copied().chain(middles).chain([0, 1]);
    for cut in cuts {
        let scene = applied();
        fs::write(scene.journal(), &whole[..cut]).unwrap();
        match scene.rollback(&disk(&scene), Fault::None) {
            Ok(outcome) => {
                assert!(clean(&outcome), "cut at {cut}: {outcome:?}");
                assert_eq!(all(&scene), start, "cut at {cut}");
                undone += 1;
            }
            Err(error) => {
                let said = error.to_string();
                match &error {
                    ApplyError::Unrecorded { .. } => {
                        let end = "began, and tx-000001 has no record of \
                                   doing it";
                        assert!(said.ends_with(end), "{said}");
                    }
                    ApplyError::Journal(JournalError::Damaged {
                        line: 1,
                        ..
                    }) => assert!(cut < ends[0], "cut at {cut}"),
                    _ => panic!("cut at {cut}: {error}"),
                }
                assert!(error.hint().is_some(), "{error}");
                assert_eq!(all(&scene), finish, "cut at {cut}");
                refused += 1;
            }
        }
    }
    // All is known once the last step has begun: cut at the end of each of
    // the last three records, or within one of the last two.
    assert_eq!(undone, 5);
    assert_eq!(refused, 2 * ends.len() + 2 - undone);
}

#[test]
fn a_journal_with_other_bytes_undoes_nothing() {
    let scene = applied();
    let finish = all(&scene);
    let whole = fs::read(scene.journal()).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n');
    let (unfinished, _) = whole.split_at(last.unwrap() + 1);
    let mut cases = 0;
    for journal in [&whole, unfinished] {
        // The last line break aside: without it the last record was cut off.
        for at in (0..journal.len() - 1).step_by(61) {
            let mut bytes = journal.to_vec();
            bytes[at] ^= 1;
            fs::write(scene.journal(), &bytes).unwrap();
            says_damage(scene.rollback(&disk(&scene), Fault::None), &scene);
            // Of one that has ended nothing else is needed any more.
            if journal.len() < whole.len() {
                says_damage(scene.resume(&disk(&scene), Fault::None), &scene);
                says_damage(scene.apply(&disk(&scene), Fault::None), &scene);
            }
            assert_eq!(all(&scene), finish, "byte {at}");
            cases += 1;
        }
    }
    eprintln!("{cases} damaged bytes, each found");
}

fn says_damage(outcome: Result<Outcome, ApplyError>, scene: &Scene) {
    let error = outcome.unwrap_err();
    let ApplyError::Journal(journal) = &error else { panic!("{error}") };
    let said = journal.to_string();
    let path = scene.journal().display().to_string();
    assert!(said.starts_with(&path), "{said}");
    assert!(
        said.contains("is damaged at line ")
            || said.contains("this vmtune reads form"),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("look at it"));
}
