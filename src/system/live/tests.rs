//! Tests of the system below a root of their own, and of what can be read of
//! this machine by anybody.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::model::Service;

struct Bench {
    temp: TempDir,
    live: Live,
}

impl Bench {
    /// Makes a root with an `/etc` and these files.
    fn new(files: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("etc")).unwrap();
        for (path, text) in files {
            let path = temp.path().join(&path[1..]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let live = Live::at(temp.path()).unwrap();
        Self { temp, live }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.temp.path().join(&path[1..])
    }

    fn mode(&self, path: &str) -> u32 {
        let found = fs::metadata(self.place(path)).unwrap();
        found.permissions().mode() & 0o7777
    }

    fn chmod(&self, path: &str, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.place(path), mode).unwrap();
    }

    fn text(&self, path: &str) -> Option<String> {
        self.live.file(&at(path)).unwrap().text
    }

    /// Writes a file as it stands; returns how it stood.
    fn set(&self, path: &str, text: Option<&str>) -> Footing {
        let footing = self.live.file(&at(path)).unwrap().footing;
        self.live.set_file(&at(path), text, &footing).unwrap();
        footing
    }

    /// Expects that a file can neither be read nor written.
    #[track_caller]
    fn refused(&self, path: &str) -> String {
        let path = at(path);
        let error = self.live.file(&path).unwrap_err().to_string();
        let footing = Footing::default();
        for text in [Some("x"), None] {
            let write = self.live.set_file(&path, text, &footing).unwrap_err();
            assert_eq!(write.to_string(), error);
        }
        error
    }
}

fn at(path: &str) -> HostPath {
    path.parse().unwrap()
}

#[test]
fn a_new_file_can_be_read_by_all_and_goes_with_its_folders() {
    let bench = Bench::new(&[]);
    let path = "/etc/systemd/system/a.slice.d/vmtune.conf";
    assert_eq!(bench.text(path), None);
    let footing = bench.set(path, Some("[Slice]\n"));
    assert_eq!(footing, Footing { missing_folders: 3, access: None });
    assert_eq!(bench.text(path).unwrap(), "[Slice]\n");
    assert_eq!(bench.mode(path), 0o644);
    assert_eq!(bench.mode("/etc/systemd/system/a.slice.d"), 0o755);
    bench.live.set_file(&at(path), None, &footing).unwrap();
    assert_eq!(fs::read_dir(bench.place("/etc")).unwrap().count(), 0);
    // Once more does no harm.
    bench.live.set_file(&at(path), None, &footing).unwrap();
}

#[test]
fn folders_of_others_stay() {
    let bench = Bench::new(&[]);
    fs::create_dir(bench.place("/etc/a")).unwrap();
    let footing = bench.set("/etc/a/b/c/d", Some("x"));
    assert_eq!(footing.missing_folders, 2);
    fs::write(bench.place("/etc/a/b/other"), "y").unwrap();
    bench.live.set_file(&at("/etc/a/b/c/d"), None, &footing).unwrap();
    assert!(!bench.place("/etc/a/b/c").exists());
    assert!(bench.place("/etc/a/b/other").exists());
    // A folder that was there before and is empty stays too.
    fs::remove_file(bench.place("/etc/a/b/other")).unwrap();
    bench.live.set_file(&at("/etc/a/b/c/d"), None, &footing).unwrap();
    assert!(bench.place("/etc/a").exists());
    assert!(!bench.place("/etc/a/b").exists());
}

#[test]
fn a_file_keeps_its_mode_and_gets_it_back() {
    let bench = Bench::new(&[("/etc/default/grub", "old")]);
    bench.chmod("/etc/default/grub", 0o600);
    bench.set("/etc/default/grub", Some("new"));
    assert_eq!(bench.mode("/etc/default/grub"), 0o600);
    let footing = bench.set("/etc/default/grub", None);
    assert_eq!(bench.text("/etc/default/grub"), None);
    assert!(bench.place("/etc/default").exists(), "it was there before");
    let path = at("/etc/default/grub");
    bench.live.set_file(&path, Some("old"), &footing).unwrap();
    assert_eq!(bench.mode("/etc/default/grub"), 0o600);
    let is_root = Uid::effective().is_root();
    if is_root {
        chown(bench.place("/etc/default/grub"), Some(7), Some(8)).unwrap();
        bench.set("/etc/default/grub", Some("more"));
        let access = bench.live.file(&path).unwrap().footing.access.unwrap();
        assert_eq!((access.owner, access.group), (7, 8));
    }
}

#[test]
fn what_a_killed_process_has_left_is_swept_up() {
    let bench = Bench::new(&[("/etc/f", "same"), ("/etc/.f.17-0.tmp", "sa")]);
    let inode = |path| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(bench.place(path)).unwrap().ino()
    };
    let before = inode("/etc/f");
    bench.set("/etc/f", Some("same"));
    assert!(!bench.place("/etc/.f.17-0.tmp").exists());
    assert_eq!(inode("/etc/f"), before, "it was not written anew");
}

#[test]
fn links_are_neither_followed_nor_replaced() {
    let bench = Bench::new(&[("/outside/precious", "mine")]);
    symlink("/outside", bench.place("/etc/folder")).unwrap();
    symlink(bench.place("/outside"), bench.place("/etc/real")).unwrap();
    symlink(bench.place("/outside/precious"), bench.place("/etc/file"))
        .unwrap();
    for folder in ["/etc/folder", "/etc/real"] {
        assert_eq!(
            bench.refused(&format!("{folder}/precious")),
            format!(
                "{folder}, on the way to {folder}/precious, is a symbolic link"
            )
        );
    }
    assert_eq!(bench.refused("/etc/file"), "/etc/file is not an ordinary file");
    let precious = bench.place("/outside/precious");
    assert_eq!(fs::read_to_string(precious).unwrap(), "mine");
    let outside = fs::read_dir(bench.place("/outside")).unwrap();
    assert_eq!(outside.count(), 1);
}

#[test]
fn what_is_no_file_is_refused() {
    let bench = Bench::new(&[("/etc/file", "x")]);
    fs::create_dir(bench.place("/etc/folder")).unwrap();
    nix::unistd::mkfifo(&bench.place("/etc/pipe"), NEW_FILE).unwrap();
    for name in ["folder", "pipe"] {
        let said = bench.refused(&format!("/etc/{name}"));
        assert_eq!(said, format!("/etc/{name} is not an ordinary file"));
    }
    let said = bench.refused("/etc/file/below");
    assert_eq!(said, "opening the folder of /etc/file/below");
}

#[test]
fn folders_that_others_could_exchange_are_refused() {
    let bench = Bench::new(&[("/etc/a/b", "x")]);
    bench.chmod("/etc/a", 0o775);
    assert_eq!(
        bench.refused("/etc/a/b"),
        "/etc/a, on the way to /etc/a/b, can be written by others (mode 775)"
    );
    bench.chmod("/etc/a", 0o755);
    if Uid::effective().is_root() {
        chown(bench.place("/etc/a"), Some(12345), None).unwrap();
        assert_eq!(
            bench.refused("/etc/a/b"),
            "/etc/a, on the way to /etc/a/b, belongs to user 12345, who is \
             not root"
        );
    }
    bench.chmod("/etc", 0o777);
    let error = bench.live.file(&at("/etc/c")).unwrap_err();
    assert!(error.hint().unwrap().contains("/etc could make"), "{error}");
}

#[test]
fn reads_are_bounded_and_text() {
    let bench = Bench::new(&[]);
    let long = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
    fs::write(bench.place("/etc/long"), long).unwrap();
    fs::write(bench.place("/etc/bytes"), [0xff, 0xfe]).unwrap();
    let error = bench.live.file(&at("/etc/long")).unwrap_err();
    assert_eq!(error.to_string(), "/etc/long is larger than 1048576 bytes");
    let error = bench.live.file(&at("/etc/bytes")).unwrap_err();
    assert_eq!(error.to_string(), "/etc/bytes is not UTF-8");
}

#[test]
fn a_value_is_the_word_that_is_chosen() {
    let list = "always [madvise] never\n";
    let thp = "/sys/kernel/mm/transparent_hugepage/enabled";
    let bench = Bench::new(&[(thp, list), ("/sys/kernel/mm/ksm/run", "1\n")]);
    let value = |path: &str| bench.live.value(&at(path)).unwrap();
    let set = |path: &str, to: &str| bench.live.set_value(&at(path), to);
    assert_eq!(value(thp), "madvise");
    set(thp, "never").unwrap();
    assert_eq!(value(thp), "never");
    assert_eq!(
        set(thp, "perhaps").unwrap_err().to_string(),
        format!("{thp} offers \"always madvise [never]\", and not \"perhaps\"")
    );
    set(thp, "madvise").unwrap();
    assert_eq!(fs::read_to_string(bench.place(thp)).unwrap(), list);

    set("/sys/kernel/mm/ksm/run", "0").unwrap();
    assert_eq!(value("/sys/kernel/mm/ksm/run"), "0");
    let none = bench.live.value(&at("/sys/kernel/mm/none")).unwrap_err();
    assert!(none.is_not_there(), "{none}");
    let none = set("/sys/kernel/mm/none", "1").unwrap_err();
    assert!(none.is_not_there(), "{none}");
}

#[test]
fn a_group_has_all_cpus_until_it_is_given_some() {
    const GROUP: &str = "/sys/fs/cgroup/system.slice";
    let cpus = at(&format!("{GROUP}/cpuset.cpus"));
    let mut files = vec![
        ("/sys/devices/system/cpu/online", "0-3\n"),
        ("/sys/fs/cgroup/cgroup.subtree_control", "memory pids\n"),
    ];
    let bench = Bench::new(&files);
    assert_eq!(bench.live.value(&cpus).unwrap(), "0-3");
    // The kernel would make the file now.
    assert!(bench.live.set_value(&cpus, "0-1").unwrap_err().is_not_there());
    let control = at("/sys/fs/cgroup/cgroup.subtree_control");
    assert_eq!(bench.live.value(&control).unwrap(), "+cpuset");

    let own = format!("{GROUP}/cpuset.cpus");
    let effective = format!("{own}.effective");
    files.extend([(&*own, "\n"), (&*effective, "0-2\n")]);
    let bench = Bench::new(&files);
    assert_eq!(bench.live.value(&cpus).unwrap(), "0-2");
    bench.live.set_value(&cpus, "0-1").unwrap();
    assert_eq!(bench.live.value(&cpus).unwrap(), "0-1");
    assert_eq!(bench.live.value(&control).unwrap(), "memory pids");
}

#[test]
fn the_kernels_links_are_its_own() {
    let live = Live::host().unwrap();
    // /sys/class holds links into /sys/devices.
    let path = at("/sys/class/net/lo/mtu");
    if fs::metadata(path.as_str()).is_ok() {
        assert!(live.value(&path).unwrap().parse::<u32>().is_ok());
    }
    let release = live.value(&at("/proc/sys/kernel/osrelease")).unwrap();
    assert!(!release.is_empty() && !release.ends_with('\n'));
    let command = live.command(&Program::KernelInstall);
    assert_eq!(command[..3], ["kernel-install", "add", &release]);
    // These leave the kernel's own files, or never were among them.
    for other in ["/proc/self/root/etc/hostname", "/etc/hostname", "/etc/a/b"] {
        if fs::metadata(other).is_ok() {
            let error = live.value(&at(other)).unwrap_err();
            let is = matches!(error, SystemError::NotKernel(_));
            assert!(is, "{other}: {error}");
        }
    }
    let folder = live.value(&at("/sys/class/net")).unwrap_err();
    assert!(matches!(folder, SystemError::NotRegular(_)), "{folder}");
}

#[test]
fn below_a_root_of_its_own_programs_are_noted() {
    let bench = Bench::new(&[]);
    let programs =
        [Program::DaemonReload, Program::TryRestart(Service::Irqbalance)];
    for program in &programs {
        bench.live.run(program).unwrap();
    }
    assert_eq!(bench.live.ran(), programs);
    let words = bench.live.command(&Program::KernelInstall);
    assert_eq!(words, ["kernel-install", "add"]);
}

#[test]
fn the_menu_is_written_by_what_is_there() {
    for (there, command) in [
        ("update-grub grub-mkconfig", "update-grub"),
        ("grub2-mkconfig", "grub2-mkconfig -o /boot/grub2/grub.cfg"),
        ("grub-mkconfig", "grub-mkconfig -o /boot/grub/grub.cfg"),
        ("", "update-grub"),
    ] {
        let is_there = |name: &str| there.split(' ').any(|one| one == name);
        let usual = vec!["update-grub".to_owned()];
        assert_eq!(update_grub(usual, is_there).join(" "), command);
    }
}
