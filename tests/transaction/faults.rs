//! A fault at every call to libvirt and to the system.

use vmtune::apply::ApplyError;

use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{STEPS, Scene, clean, definitions};

fn disk(scene: &Scene) -> Disk {
    Disk::at(scene.path().join("vms"))
}

fn all(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.host(), definitions(&disk(scene)))
}

/// How many calls a whole apply makes.
fn calls() -> usize {
    let scene = Scene::new();
    let disk = disk(&scene);
    let plan = crate::scene::plan(&disk);
    scene.with(&disk, Fault::None, |machine, events| {
        let outcome = vmtune::apply::apply(&plan, None, machine).unwrap();
        assert!(clean(&outcome), "{outcome:?}");
        events.calls()
    })
}

#[test]
fn one_fault_at_any_call_leaves_the_start_state() {
    let calls = calls();
    // Each step is looked at twice, changed and looked at again.
    assert!(calls > 3 * STEPS, "{calls}");
    let mut cases = 0;
    let mut tolerated = Vec::new();
    for fault in [Fault::Once, Fault::Lost] {
        for k in 0..calls {
            let scene = Scene::new();
            let start = all(&scene);
            match scene.apply(&disk(&scene), fault(k)) {
                Err(_) => assert!(!scene.journal().exists(), "call {k}"),
                Ok(outcome) if outcome.failed.is_none() => {
                    assert!(clean(&outcome), "call {k}");
                    tolerated.push(k);
                    continue;
                }
                Ok(outcome) => {
                    let left = &outcome.rollback_failures;
                    assert!(left.is_empty(), "call {k}: {left:?}");
                }
            }
            assert_eq!(all(&scene), start, "call {k}");
            // The way is free for the next one.
            let again = scene.apply(&disk(&scene), Fault::None).unwrap();
            assert!(clean(&again), "call {k}");
            cases += 1;
        }
    }
    // When the host was booted need not be known. It is asked twice.
    let [a, b, c, d] = tolerated[..] else { panic!("{tolerated:?}") };
    assert_eq!((a, b), (c, d));
    assert_eq!(a + 1, b);
    eprintln!("{cases} faults, each undone");
}

#[test]
fn what_dies_at_any_call_is_recovered_from() {
    let calls = calls();
    for k in 0..calls {
        let scene = Scene::new();
        let start = all(&scene);
        let Ok(outcome) = scene.apply(&disk(&scene), Fault::From(k)) else {
            assert_eq!(all(&scene), start, "call {k}");
            continue;
        };
        assert!(outcome.failed.is_some(), "call {k}");
        if outcome.rollback_failures.is_empty() {
            assert_eq!(all(&scene), start, "call {k}");
            continue;
        }
        let error = scene.apply(&disk(&scene), Fault::None).unwrap_err();
        assert!(matches!(error, ApplyError::Unfinished { .. }), "{error}");
        assert_eq!(
            error.hint().unwrap(),
            "`vmtune rollback` undoes it, `vmtune resume` finishes it"
        );
        let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
        assert!(clean(&outcome), "call {k}: {outcome:?}");
        assert_eq!(all(&scene), start, "call {k}");
    }
    eprintln!("died at each of {calls} calls, and was undone");
}

#[test]
fn a_fault_at_any_call_of_a_rollback_is_recovered_from() {
    let scene = Scene::new();
    let start = all(&scene);
    for fault in [Fault::Once, Fault::Lost, Fault::From] {
        for k in 0.. {
            let scene = Scene::new();
            let _ = scene.apply(&disk(&scene), Fault::None).unwrap();
            let calls = scene.with(&disk(&scene), fault(k), |machine, all| {
                // What it says is judged by what the next one can do.
                let _ = vmtune::apply::rollback(None, false, machine);
                all.calls()
            });
            match scene.rollback(&disk(&scene), Fault::None) {
                Ok(outcome) => assert!(clean(&outcome), "call {k}"),
                Err(ApplyError::NothingToUndo) => {}
                Err(error) => panic!("call {k}: {error}"),
            }
            assert_eq!(all(&scene), start, "call {k}");
            if calls <= k {
                break;
            }
        }
    }
}
