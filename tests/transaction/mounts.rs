//! File systems that are full or can only be read. They are mounted where
//! nobody else sees them, which only root can do.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use vmtune::apply::{ApplyError, StepError};

use crate::disk::Disk;
use crate::fault::Fault;
use crate::scene::{Scene, clean, definitions};

/// Runs a test of this program on a scene, after a mount.
fn after(mount: &[&str], test: &str, scene: &Path) {
    let script = "n=$1; shift; while [ $n -gt 0 ]; do eval \"$1\"; shift; \
                  n=$((n-1)); done; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", script])
        .args(["sh", &mount.len().to_string()])
        .args(mount)
        .arg(env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("mounts::{test}")])
        .arg("--nocapture")
        .env("SCENE", scene)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mount:?}: {text}{error}");
    assert!(text.contains("1 passed"), "{text}");
}

fn ready() -> bool {
    let mount = Command::new("unshare").args(["--mount", "true"]).output();
    let ready = Uid::effective().is_root()
        && mount.is_ok_and(|output| output.status.success());
    if !ready {
        eprintln!("skipped: only root can mount a file system");
    }
    ready
}

fn there() -> Scene {
    Scene::at(env::var_os("SCENE").unwrap())
}

fn disk(scene: &Scene) -> Disk {
    Disk::at(scene.path().join("vms"))
}

fn all(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.host(), definitions(&disk(scene)))
}

#[test]
fn a_full_state_folder_leaves_the_start_state() {
    if !ready() {
        return;
    }
    // tmpfs gives room by the page; the journal needs about ten.
    for size in (8..=56).step_by(4) {
        let scene = Scene::new();
        fs::create_dir(scene.path().join("state")).unwrap();
        let mount = format!(
            "mount -t tmpfs -o size={size}k,mode=700 no \"$SCENE/state\""
        );
        after(&[&mount], "with_a_full_state_folder", scene.path());
    }
}

#[test]
#[ignore = "it is run by the other test"]
fn with_a_full_state_folder() {
    let scene = there();
    let start = all(&scene);
    match scene.apply(&disk(&scene), Fault::None) {
        Ok(outcome) if clean(&outcome) => {}
        Ok(outcome) => {
            assert_eq!(all(&scene), start);
            let left = outcome.rollback_failures.iter();
            assert!(left.map(|one| &one.place).all(Option::is_none));
        }
        Err(ApplyError::Journal(_) | ApplyError::Lock(_)) => {
            assert_eq!(all(&scene), start);
            return;
        }
        Err(error) => panic!("{error}"),
    }
    // Once there is room again.
    let mount = "mount -o remount,size=1m \"$SCENE/state\"";
    let status = Command::new("sh").args(["-c", mount]).status().unwrap();
    assert!(status.success());
    let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(all(&scene), start);
}

#[test]
fn a_full_host_leaves_the_start_state() {
    if !ready() {
        return;
    }
    for free in 0..=12 {
        let scene = Scene::new();
        let path = scene.path().display().to_string();
        let full = [
            format!("cp -a {path}/root {path}/copy"),
            format!("mount -t tmpfs -o size=1m,mode=755 no {path}/root"),
            format!("cp -a {path}/copy/. {path}/root"),
            // All that is left but so many pages.
            format!(
                "head -c $(($(stat -f -c %a {path}/root) * 4096 - {free} * \
                 4096)) /dev/zero >{path}/root/ballast"
            ),
        ];
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        after(&full, "with_a_full_host", scene.path());
    }
}

#[test]
#[ignore = "it is run by the other test"]
fn with_a_full_host() {
    let scene = there();
    let start = all(&scene);
    let outcome = scene.apply(&disk(&scene), Fault::None).unwrap();
    if outcome.failed.is_some() {
        let left = &outcome.rollback_failures;
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(all(&scene), start);
        return;
    }
    // What it made room for, it may need again.
    fs::remove_file(scene.root().join("ballast")).unwrap();
    let outcome = scene.rollback(&disk(&scene), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
}

#[test]
fn what_can_only_be_read_is_left_alone() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    let bind = |folder: &str| {
        format!(
            "mount --bind \"$SCENE/{folder}\" \"$SCENE/{folder}\"; mount -o \
             remount,bind,ro \"$SCENE/{folder}\""
        )
    };
    after(&[&bind("root/etc")], "with_a_host_to_read", scene.path());
    let scene = Scene::new();
    drop(scene.state());
    after(&[&bind("state")], "with_a_state_to_read", scene.path());
}

#[test]
#[ignore = "it is run by the other test"]
fn with_a_host_to_read() {
    let scene = there();
    let start = all(&scene);
    let outcome = scene.apply(&disk(&scene), Fault::None).unwrap();
    let failed = outcome.failed.unwrap();
    assert!(matches!(failed.error, StepError::System(_)));
    assert!(
        failed.in_short().ends_with("Read-only file system (os error 30)"),
        "{}",
        failed.in_short()
    );
    assert_eq!(
        failed.error.hint().unwrap(),
        "the file system can only be read; mount it for writing"
    );
    assert!(outcome.rollback_failures.is_empty());
    assert_eq!(all(&scene), start);
}

#[test]
#[ignore = "it is run by the other test"]
fn with_a_state_to_read() {
    let scene = there();
    let start = all(&scene);
    let error = scene.apply(&disk(&scene), Fault::None).unwrap_err();
    assert!(matches!(error, ApplyError::Lock(_)), "{error}");
    assert_eq!(all(&scene), start);
}
