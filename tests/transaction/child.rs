//! This test program, run again as a process that may be killed.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use vmtune::apply::{Outcome, apply, resume, rollback};
use vmtune::hypervisor::Hypervisor;

use crate::disk::Disk;
use crate::fault::Fault;
use crate::node;
use crate::scene::{Scene, clean, plan};

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Apply,
    Resume,
    Rollback,
}

/// Returns the command that lets a child do something to a scene.
pub(crate) fn command(scene: &Path, deed: Deed, fault: Fault) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let (kind, at) = match fault {
        Fault::Kill(at) => ("kill", at),
        Fault::Pause(at) => ("pause", at),
        _ => ("none", 0),
    };
    command
        .args(["--ignored", "--exact", "child::does_it", "--nocapture"])
        .env("SCENE", scene)
        .env("DEED", format!("{deed:?}"))
        .env("FAULT", format!("{kind} {at}"))
        .stdin(Stdio::null());
    command
}

/// Lets a child do something to its end; returns how many moments that has.
pub(crate) fn whole(scene: &Path, deed: Deed) -> usize {
    let output = command(scene, deed, Fault::None).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let count = text.split("moments ").nth(1).unwrap();
    count.split_whitespace().next().unwrap().parse().unwrap()
}

/// Lets a child begin something, and be killed at a moment.
pub(crate) fn killed(scene: &Path, deed: Deed, at: usize) {
    let output = command(scene, deed, Fault::Kill(at)).output().unwrap();
    let signal = output.status.signal();
    let text = said(&output);
    assert_eq!(signal, Some(Signal::SIGKILL as i32), "at {at}: {text}");
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
#[ignore = "other tests run it, and kill it"]
fn does_it() {
    let scene = Scene::at(env::var_os("SCENE").unwrap());
    let deed = match env::var("DEED").unwrap().as_str() {
        "Apply" => Deed::Apply,
        "Resume" => Deed::Resume,
        _ => Deed::Rollback,
    };
    let fault = env::var("FAULT").unwrap();
    let (kind, at) = fault.split_once(' ').unwrap();
    let at = at.parse().unwrap();
    let fault = match kind {
        "kill" => Fault::Kill(at),
        "pause" => Fault::Pause(at),
        _ => Fault::None,
    };
    let disk = Disk::at(scene.path().join("vms"));
    let node = node::at(scene.path());
    let hypervisor: &dyn Hypervisor = match &node {
        Some(node) => node,
        None => &disk,
    };
    println!("moments {}", run(&scene, hypervisor, deed, fault));
}

/// Does it, and lets one more moment pass before the process ends by itself.
pub(crate) fn run(
    scene: &Scene,
    hypervisor: &dyn Hypervisor,
    deed: Deed,
    fault: Fault,
) -> usize {
    let plan = match node::at(scene.path()) {
        Some(_) => node::plan(scene),
        None => plan(hypervisor),
    };
    scene.with(hypervisor, fault, |machine, events| {
        let outcome: Outcome = match deed {
            Deed::Apply => apply(&plan, None, machine),
            Deed::Resume => resume(machine),
            Deed::Rollback => rollback(None, false, machine),
        }
        .unwrap();
        assert!(clean(&outcome), "{outcome:?}");
        events.moment();
        events.moments()
    })
}
