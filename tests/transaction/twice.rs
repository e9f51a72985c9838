//! Two at once.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use vmtune::apply::ApplyError;
use vmtune::files::LockError;

use crate::child::{Deed, command};
use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{STEPS, Scene, clean, definitions};

#[test]
fn only_one_changes_the_host_at_a_time() {
    let scene = Scene::new();
    let disk = Disk::at(scene.path().join("vms"));
    let start = (scene.host(), definitions(&disk));
    // In the middle of the first one.
    let fault = Fault::Pause(2 * STEPS);
    let mut first = command(scene.path(), Deed::Apply, fault)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !scene.path().join("waits").exists() {
        assert_eq!(first.try_wait().unwrap(), None, "it has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = (scene.host(), definitions(&disk));
    for outcome in [
        scene.apply(&disk, Fault::None),
        scene.rollback(&disk, Fault::None),
        scene.resume(&disk, Fault::None),
    ] {
        let ApplyError::Lock(held) = outcome.unwrap_err() else { panic!() };
        assert!(matches!(held, LockError::Held { .. }));
        assert_eq!(
            held.to_string(),
            format!(
                "another vmtune (process {}) is changing this host; wait for \
                 it to end",
                first.id()
            )
        );
    }
    assert_eq!((scene.host(), definitions(&disk)), before);
    fs::write(scene.path().join("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    let outcome = scene.rollback(&disk, Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!((scene.host(), definitions(&disk)), start);
}
