//! Links and names that somebody has planted: they are refused, and nothing
//! outside is touched.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use vmtune::apply::{ApplyError, Outcome, apply};
use vmtune::base::{HostPath, Vmid};
use vmtune::files::StateDir;
use vmtune::files::journal::Journal;
use vmtune::model::{Footing, Program, Standing};
use vmtune::system::{Live, QmSet, System, SystemError};

use crate::disk::Disk;
use crate::fault::{Events, Fault, FaultySystem};
use crate::scene::{Scene, clean, definitions, plan, tree};

const SLICE: &str = "root/etc/systemd/system/system.slice.d";

/// A scene with a folder that is nobody's business.
struct Trap {
    scene: Scene,
    outside: PathBuf,
}

impl Trap {
    fn new() -> Self {
        let scene = Scene::new();
        let outside = scene.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "mine").unwrap();
        fs::write(outside.join("90-vmtune.conf"), "mine too").unwrap();
        Self { scene, outside }
    }

    fn disk(&self) -> Disk {
        Disk::at(self.scene.path().join("vms"))
    }

    fn all(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (self.scene.host(), definitions(&self.disk()), tree(&self.outside))
    }

    fn link(&self, to: &Path, at: &str) {
        let at = self.scene.path().join(at);
        if at.is_dir() && !at.is_symlink() {
            fs::remove_dir_all(&at).unwrap();
        } else {
            let _ = fs::remove_file(&at);
        }
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(to, at).unwrap();
    }

    /// Expects that apply touches nothing; returns what it says, with causes.
    #[track_caller]
    fn refused(&self) -> String {
        let before = self.all();
        let error = self.scene.apply(&self.disk(), Fault::None).unwrap_err();
        assert_eq!(self.all(), before);
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            said += &format!(": {error}");
            cause = error.source();
        }
        said.replace(&self.scene.path().display().to_string(), "")
    }
}

#[test]
fn links_in_drop_in_folders_are_refused() {
    let conf = "/etc/systemd/system/system.slice.d/90-vmtune.conf";
    let read = "reading the host's settings: ";
    let trap = Trap::new();
    trap.link(&trap.outside, SLICE);
    assert_eq!(
        trap.refused(),
        format!(
            "{read}/etc/systemd/system/system.slice.d, on the way to {conf}, \
             is a symbolic link"
        )
    );
    let trap = Trap::new();
    let precious = trap.outside.join("precious");
    trap.link(&precious, &format!("{SLICE}/90-vmtune.conf"));
    assert_eq!(trap.refused(), format!("{read}{conf} is not an ordinary file"));
    let trap = Trap::new();
    // A link to nowhere would be made by whoever follows it.
    trap.link(&trap.outside.join("new"), "root/etc/kernel/cmdline");
    assert_eq!(
        trap.refused(),
        format!("{read}/etc/kernel/cmdline is not an ordinary file")
    );
    let trap = Trap::new();
    trap.link(&trap.outside, "root/etc");
    assert!(trap.refused().contains("/etc, on the way to"));
}

#[test]
fn folders_that_others_can_write_are_refused() {
    let trap = Trap::new();
    let folder = trap.scene.root().join("etc/sysctl.d");
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder, mode).unwrap();
    assert_eq!(
        trap.refused(),
        "reading the host's settings: /etc/sysctl.d, on the way to \
         /etc/sysctl.d/90-vmtune.conf, can be written by others (mode 777)"
    );
}

#[test]
fn links_in_the_state_folder_are_refused() {
    let look = "looking at the journal: reading the journal: ";
    for (at, said) in [
        (
            "state/journal",
            format!(
                "{look}/state/journal is a symbolic link; give the path that \
                 it leads to"
            ),
        ),
        (
            "state/journal/tx-000001.jsonl",
            format!(
                "{look}/state/journal/tx-000001.jsonl is not an ordinary file"
            ),
        ),
        (
            "state/lock",
            "starting to change the host: taking the lock: /state/lock is not \
             an ordinary file"
                .to_owned(),
        ),
    ] {
        let trap = Trap::new();
        drop(Journal::open(&trap.scene.state()).unwrap());
        let folder = at == "state/journal";
        let to = if folder { "" } else { "precious" };
        trap.link(&trap.outside.join(to), at);
        assert_eq!(trap.refused(), said);
    }
    let trap = Trap::new();
    trap.link(&trap.outside, "state");
    let error = StateDir::open(&trap.scene.path().join("state")).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
}

#[test]
fn names_in_the_journals_folder_that_are_none_of_ours_are_left_alone() {
    let trap = Trap::new();
    let start = trap.all();
    let folder = trap.scene.path().join("state/journal");
    drop(Journal::open(&trap.scene.state()).unwrap());
    let names: [&[u8]; 8] = [
        b"tx-000001.jsonl.tmp",
        b"tx-1.jsonl",
        b"tx-+00001.jsonl",
        b"tx-99999999999.jsonl",
        b"-rf",
        b"a\nb",
        b"\xff\xfe.jsonl",
        b".tx-000001.jsonl.1-0.tmp",
    ];
    for name in names {
        fs::write(folder.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    // One that somebody made first is not written over.
    let planted =
        folder.join(format!(".tx-000001.jsonl.{}-0.tmp", std::process::id()));
    symlink(trap.outside.join("precious"), planted).unwrap();
    let outcome = trap.scene.apply(&trap.disk(), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    let outcome = trap.scene.rollback(&trap.disk(), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(trap.all(), start);
    for name in names {
        let text = fs::read(folder.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(text, b"x");
    }
}

#[test]
fn a_temporary_file_that_was_planted_is_not_written_to() {
    let trap = Trap::new();
    let start = trap.all();
    let folder = trap.scene.root().join("etc/sysctl.d");
    for n in 0..3 {
        let name = format!(".90-vmtune.conf.{}-{n}.tmp", std::process::id());
        symlink(trap.outside.join("precious"), folder.join(name)).unwrap();
    }
    let outcome = trap.scene.apply(&trap.disk(), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    let outcome = trap.scene.rollback(&trap.disk(), Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(trap.all(), start);
}

/// A system in which somebody is quicker: just before a file is written, its
/// folder becomes a link.
struct Racer<'a> {
    inner: FaultySystem<'a>,
    folder: PathBuf,
    outside: PathBuf,
}

impl System for Racer<'_> {
    fn file(&self, path: &HostPath) -> Result<Standing, SystemError> {
        self.inner.file(path)
    }

    fn set_file(
        &self,
        path: &HostPath,
        text: Option<&str>,
        footing: &Footing,
    ) -> Result<(), SystemError> {
        if path.as_str().contains("user.slice.d") && !self.folder.is_symlink() {
            fs::remove_dir(&self.folder).unwrap();
            symlink(&self.outside, &self.folder).unwrap();
        }
        self.inner.set_file(path, text, footing)
    }

    fn value(&self, path: &HostPath) -> Result<String, SystemError> {
        self.inner.value(path)
    }

    fn set_value(&self, path: &HostPath, to: &str) -> Result<(), SystemError> {
        self.inner.set_value(path, to)
    }

    fn run(&self, program: &Program) -> Result<(), SystemError> {
        self.inner.run(program)
    }

    fn conf(&self, vmid: Vmid) -> Result<Option<String>, SystemError> {
        self.inner.conf(vmid)
    }

    fn set_conf(&self, set: &QmSet) -> Result<(), SystemError> {
        self.inner.set_conf(set)
    }
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile_is_not_followed() {
    let trap = Trap::new();
    let start = trap.all();
    let folder = trap.scene.root().join("etc/systemd/system/user.slice.d");
    let events = Events::new(Fault::None, trap.scene.path());
    let live: Live = trap.scene.live();
    let system = Racer {
        inner: FaultySystem {
            inner: &live,
            root: trap.scene.root(),
            events: &events,
        },
        folder: folder.clone(),
        outside: trap.outside.clone(),
    };
    let disk = trap.disk();
    let outcome: Result<Outcome, ApplyError> =
        trap.scene.with(&disk, Fault::None, |machine, _| {
            let machine =
                vmtune::apply::Machine { system: &system, ..*machine };
            apply(&plan(&disk), None, &machine)
        });
    let outcome = outcome.unwrap();
    let failed = outcome.failed.unwrap().in_short();
    assert!(failed.ends_with("is a symbolic link"), "{failed}");
    // The link is not ours to take away, so a person must act.
    let [left] = &outcome.rollback_failures[..] else {
        panic!("{:?}", outcome.rollback_failures);
    };
    assert!(left.in_short().ends_with("is a symbolic link"));
    let hint = left.error.hint().unwrap();
    assert!(hint.contains("could make vmtune write elsewhere"), "{hint}");
    let outside = trap.outside.join("90-vmtune.conf");
    assert_eq!(fs::read_to_string(outside).unwrap(), "mine too");

    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let outcome = trap.scene.rollback(&disk, Fault::None).unwrap();
    assert!(clean(&outcome), "{outcome:?}");
    assert_eq!(trap.all(), start);
}
