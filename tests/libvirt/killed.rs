//! SIGKILL after every record of the journal and after every step, while a
//! real libvirtd has the VMs.

use std::collections::BTreeSet;
use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use vmtune::apply::{ApplyError, apply};
use vmtune::hypervisor::{Access, Hypervisor as _, Libvirt, Validate};

use crate::daemon::Daemon;
use crate::fault::Fault;
use crate::host;
use crate::scene::{STEPS, Scene, VMS, clean, definition, definitions, plan};

/// Defines the VMs where they are not.
fn define(libvirt: &Libvirt) {
    for (name, n) in VMS.into_iter().zip(1..) {
        let text = definition(name, n).replace("'test'", "'qemu'");
        let name = name.parse().unwrap();
        libvirt.define(&name, &text, Validate::Lenient).unwrap();
    }
}

#[test]
fn a_kill_anywhere_is_recovered_from() {
    if !host::ready(0) {
        return;
    }
    let (daemon, libvirt) = Daemon::start();
    define(&libvirt);
    let all = |scene: &Scene| (scene.host(), definitions(&libvirt));
    let start = all(&Scene::new());
    let scene = Scene::new();
    let outcome = scene.apply(&libvirt, Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    let (finish, lines) = (all(&scene), scene.journal_lines());
    assert_eq!(lines, 2 * STEPS + 2);
    assert!(finish != start);
    let outcome = scene.rollback(&libvirt, Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(all(&scene), start);

    let moments = 4 * STEPS + 1;
    let mut seen = BTreeSet::new();
    let (mut back, mut on) = (0, 0);
    for at in 0..moments {
        let scene = Scene::new();
        killed(&daemon.uri(), scene.path(), at);
        seen.insert(scene.journal_lines());
        let outcome = scene.rollback(&libvirt, Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(all(&scene), start, "moment {at}");
        back += 1;

        let scene = Scene::new();
        killed(&daemon.uri(), scene.path(), at);
        match scene.resume(&libvirt, Fault::None) {
            Ok(outcome) => assert!(clean(&outcome), "{at}: {outcome:?}"),
            Err(ApplyError::NothingToResume) => {
                assert_eq!(at, moments - 1, "it had ended");
            }
            Err(error) => panic!("moment {at}: {error}"),
        }
        assert_eq!(all(&scene), finish, "moment {at}");
        let outcome = scene.rollback(&libvirt, Fault::None).unwrap();
        assert!(clean(&outcome), "moment {at}: {outcome:?}");
        assert_eq!(all(&scene), start, "moment {at}");
        on += 1;
    }
    assert_eq!(seen, (1..=lines).collect(), "each record was the last once");
    assert_eq!((back, on), (moments, moments));
    eprintln!(
        "libvirtd, {STEPS} steps, {lines} records: {back} kills rolled back, \
         {on} resumed"
    );
}

/// Lets a process begin to apply, and be killed at a moment.
fn killed(uri: &str, scene: &Path, at: usize) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::applies", "--nocapture"])
        .env("SCENE", scene)
        .env("URI", uri)
        .env("AT", at.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let signal = output.status.signal();
    assert_eq!(signal, Some(Signal::SIGKILL as i32), "at {at}: {said}");
}

#[test]
#[ignore = "the other test runs it, and kills it"]
fn applies() {
    let scene = Scene::at(env::var_os("SCENE").unwrap());
    let uri = env::var("URI").unwrap();
    let at = env::var("AT").unwrap().parse().unwrap();
    let libvirt = Libvirt::open(Some(&uri), Access::ReadWrite).unwrap();
    let plan = plan(&libvirt);
    scene.with(&libvirt, Fault::Kill(at), |machine, events| {
        let outcome = apply(&plan, None, machine).unwrap();
        assert!(clean(&outcome), "{outcome:?}");
        events.moment();
    });
}

#[test]
fn a_daemon_that_is_stopped_in_the_middle_is_recovered_from() {
    if !host::ready(0) {
        return;
    }
    let (mut daemon, libvirt) = Daemon::start();
    define(&libvirt);
    let start = definitions(&libvirt);
    let scene = Scene::new();
    let host = scene.host();
    let plan = plan(&libvirt);
    // Before the second VM is defined.
    let pause = Fault::Pause(moment_of_define(1));
    let pid = daemon.pid();
    let outcome = std::thread::scope(|threads| {
        let path = scene.path().to_owned();
        threads.spawn(move || {
            while !path.join("waits").exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
            while Path::new(&format!("/proc/{pid}/exe")).exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            std::fs::write(path.join("go"), "").unwrap();
        });
        scene.with(&libvirt, pause, |machine, _| {
            apply(&plan, None, machine).unwrap()
        })
    });
    let failed = outcome.failed.unwrap();
    assert!(failed.in_short().contains("vm2: asking the hypervisor"));
    // The host's own settings are as before; the VMs nobody could ask for.
    assert_eq!(scene.host(), host);
    let left = outcome.rollback_failures.iter();
    let left: Vec<_> = left.map(|one| one.in_short()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    drop(libvirt);

    let libvirt = daemon.restart();
    let error = scene.apply(&libvirt, Fault::None).unwrap_err();
    assert!(matches!(error, ApplyError::Unfinished { .. }), "{error}");
    let outcome = scene.rollback(&libvirt, Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(definitions(&libvirt), start);
    assert_eq!(scene.host(), host);
}

/// Returns the moment before the definition of that VM, counted from 0, is
/// replaced: each step has four, and the second is before its change.
const fn moment_of_define(vm: usize) -> usize {
    4 * (STEPS - 4 + vm) + 1
}
