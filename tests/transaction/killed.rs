//! SIGKILL after every record of the journal and after every step.

use std::collections::BTreeSet;
use std::fs;

use vmtune::apply::ApplyError;

use crate::child::{Deed, killed, whole};
use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{ALL, MOVES, STEPS, Scene, clean, definitions};

fn disk(scene: &Scene) -> Disk {
    Disk::at(scene.path().join("vms"))
}

/// Everything that is compared.
fn all(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.host(), definitions(&disk(scene)))
}

/// Makes a scene on which an apply was killed.
fn cut_off(at: usize) -> Scene {
    let scene = Scene::new();
    killed(scene.path(), Deed::Apply, at);
    scene
}

#[test]
fn a_kill_anywhere_is_recovered_from() {
    let scene = Scene::new();
    let start = all(&scene);
    let moments = whole(scene.path(), Deed::Apply);
    let (finish, lines) = (all(&scene), scene.journal_lines());
    // One at each end of a step and two around each change, and the end.
    assert_eq!(moments, 2 * ALL + 2 * (STEPS + MOVES) + 1);
    // A header, two records a step, and the end.
    assert_eq!(lines, 2 * ALL + 2);
    assert!(start != finish);

    let mut seen = BTreeSet::new();
    let (mut back, mut on) = (0, 0);
    for at in 0..moments {
        let scene = cut_off(at);
        seen.insert(scene.journal_lines());
        let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(all(&scene), start, "moment {at}");
        back += 1;

        let scene = cut_off(at);
        match scene.resume(&disk(&scene), Fault::None) {
            Ok(outcome) => {
                assert!(clean(&outcome), "moment {at}: {outcome:?}");
                assert_eq!(outcome.steps.len(), ALL, "moment {at}");
            }
            Err(ApplyError::NothingToResume) => {
                assert_eq!(at, moments - 1, "it had ended");
            }
            Err(error) => panic!("moment {at}: {error}"),
        }
        assert_eq!(all(&scene), finish, "moment {at}");
        let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(all(&scene), start, "moment {at}");
        on += 1;
    }
    assert_eq!(seen, (1..=lines).collect(), "each record was the last once");
    assert_eq!((back, on), (moments, moments));
    eprintln!(
        "{ALL} steps, {lines} records: {back} kills rolled back, {on} resumed"
    );
}

/// Makes a scene on which a plan is applied.
fn applied() -> Scene {
    let scene = Scene::new();
    let outcome = scene.apply(&disk(&scene), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    scene
}

#[test]
fn a_kill_anywhere_in_a_rollback_is_recovered_from() {
    let scene = Scene::new();
    let start = all(&scene);
    drop(scene);
    let scene = applied();
    let before = scene.journal_lines();
    let moments = whole(scene.path(), Deed::Rollback);
    let lines = scene.journal_lines();
    assert_eq!(all(&scene), start);
    // Two around each change, and the end.
    assert_eq!(moments, 2 * (STEPS + MOVES) + 1);
    // That it begins, one record a step, and the end.
    assert_eq!(lines - before, ALL + 2);

    let mut seen = BTreeSet::new();
    let mut recovered = 0;
    let mut recover = |scene: &Scene, deed: Deed, ended: bool| {
        seen.insert(scene.journal_lines());
        let disk = disk(scene);
        let outcome = match deed {
            Deed::Resume => scene.resume(&disk, Fault::None),
            _ => scene.rollback(&disk, Fault::None),
        };
        match outcome {
            Ok(outcome) => assert!(clean(&outcome), "{outcome:?}"),
            Err(ApplyError::NothingToUndo | ApplyError::NothingToResume) => {
                assert!(ended);
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(all(scene), start);
        recovered += 1;
    };
    for deed in [Deed::Rollback, Deed::Resume] {
        for at in 0..moments {
            let scene = applied();
            killed(scene.path(), Deed::Rollback, at);
            recover(&scene, deed, at == moments - 1);
        }
        // The last two records follow each other without anything between.
        let scene = applied();
        whole(scene.path(), Deed::Rollback);
        let text = fs::read_to_string(scene.journal()).unwrap();
        let (kept, _) = text.trim_end().rsplit_once('\n').unwrap();
        fs::write(scene.journal(), format!("{kept}\n")).unwrap();
        recover(&scene, deed, false);
    }
    let between = before + 1..=lines;
    assert_eq!(seen, between.collect(), "each record was the last once");
    assert_eq!(recovered, 2 * (moments + 1));
    eprintln!("{ALL} steps: {recovered} kills of a rollback recovered from");
}
