//! A disk that is full at any record of the journal.

use std::process::Command;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use vmtune::apply::{ApplyError, StepError};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{ALL, Scene, clean, definitions};

/// The limit counts for the whole process, so it gets its own. A shell starts
/// it, and lets a write fail where the kernel would end the process.
#[test]
fn a_full_disk_leaves_the_start_state() {
    let script = "trap '' XFSZ && exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "limit::under_a_limit", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    assert!(text.contains(&format!("{} limits", 2 * ALL + 2)), "{text}");
}

fn limit(bytes: u64) {
    setrlimit(Resource::RLIMIT_FSIZE, bytes, RLIM_INFINITY).unwrap();
}

#[test]
#[ignore = "it is run by the other test, in a process of its own"]
fn under_a_limit() {
    let scene = Scene::new();
    let disk = |scene: &Scene| Disk::at(scene.path().join("vms"));
    let all = |scene: &Scene| (scene.host(), definitions(&disk(scene)));
    let start = all(&scene);
    let _ = scene.apply(&disk(&scene), Fault::None).unwrap();
    let journal = std::fs::read(scene.journal()).unwrap();
    let ends = journal.iter().zip(1_u64..);
    let ends = ends.filter(|(byte, _)| **byte == b'\n');
    let ends: Vec<u64> = ends.map(|(_, at)| at).collect();
    for (n, end) in ends.iter().enumerate() {
        // The last byte of the record does not fit.
        let scene = Scene::new();
        limit(end - 1);
        let outcome = scene.apply(&disk(&scene), Fault::None);
        limit(RLIM_INFINITY);
        assert_eq!(all(&scene), start, "record {n}");
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                assert!(matches!(error, ApplyError::Journal(_)), "{error}");
                assert_eq!(n, 0, "{error}");
                continue;
            }
        };
        let failed = outcome.failed.unwrap();
        assert!(matches!(failed.error, StepError::Journal(_)), "{failed:?}");
        // It is undone, and it is said that the journal does not know.
        let [left] = &outcome.rollback_failures[..] else {
            panic!("record {n}: {:?}", outcome.rollback_failures);
        };
        assert!(left.place.is_none(), "record {n}: {left:?}");
        assert!(left.in_short().contains("cannot be written on"), "{left:?}");
        let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
        assert!(clean(&outcome), "record {n}: {outcome:?}");
        assert_eq!(all(&scene), start, "record {n}");
    }
    println!("{} limits", ends.len());
}
