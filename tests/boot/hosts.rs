//! Hosts: the arguments for the next boot are read from files.

use std::fs;
use std::path::Path;

use vmtune::base::HostPath;
use vmtune::host::{self, Root, Source};
use vmtune::model::Fact;
use vmtune::model::facts::{BootArguments, BootLoader, KernelFacts};

/// A machine that has these files and one CPU.
fn machine(folder: &Path, files: &[(&str, &str)]) -> KernelFacts {
    let cpu = "sys/devices/system/cpu";
    let node = "sys/devices/system/node";
    let some = [
        ("vmtune-capture", "1"),
        ("etc/hostname", "h"),
        (&*format!("{cpu}/online"), "0"),
        (&*format!("{cpu}/possible"), "0"),
        (&*format!("{cpu}/present"), "0"),
        (&*format!("{cpu}/cpu0/topology/core_cpus_list"), "0"),
        (&*format!("{cpu}/cpu0/topology/package_cpus_list"), "0"),
        (&*format!("{cpu}/cpu0/topology/physical_package_id"), "0"),
        (&*format!("{node}/online"), "0"),
        (&*format!("{node}/node0/cpulist"), "0"),
        (&*format!("{node}/node0/cpumap"), "1"),
        (&*format!("{node}/node0/distance"), "10"),
        (&*format!("{node}/node0/meminfo"), "Node 0 MemTotal: 4 kB\n"),
    ];
    for (path, text) in some.iter().chain(files) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    read(folder)
}

fn read(folder: &Path) -> KernelFacts {
    host::collect(&Source::detect(folder).unwrap()).unwrap().kernel
}

/// Writes arguments as `FILE: NAME VALUE`, the file for new ones first.
fn listed(fact: &Fact<BootArguments>) -> Vec<String> {
    let Some(boot) = fact.value() else {
        return vec![fact.reason().unwrap().to_owned()];
    };
    let name = |path: &HostPath| path.name().to_owned();
    let line = |file: &HostPath, text: &str| {
        format!("{}: {text}", name(file)).trim_end().to_owned()
    };
    let mut lines = vec![format!("new: {}", boot.file)];
    lines.extend(
        boot.arguments
            .iter()
            .map(|one| line(&one.file, &format!("{} {}", one.name, one.value))),
    );
    lines
}

const MAIN: &str = "GRUB_DISTRIBUTOR=`lsb_release -i -s`\n\
    GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"\nGRUB_CMDLINE_LINUX='a=1'\n";
const CLOUD: &str = "GRUB_CMDLINE_LINUX_DEFAULT=\"console=tty1\"\n";

#[test]
fn drop_ins_are_read_after_the_main_file() {
    let folder = tempfile::tempdir().unwrap();
    let own = "GRUB_CMDLINE_LINUX_DEFAULT=\
               \"$GRUB_CMDLINE_LINUX_DEFAULT isolcpus=2-3\"\n";
    let kernel = machine(
        folder.path(),
        &[
            ("etc/default/grub", MAIN),
            ("etc/default/grub.d/50-cloud.cfg", CLOUD),
            ("etc/default/grub.d/zz-vmtune.cfg", own),
            ("etc/default/grub.d/README", "eval x"),
        ],
    );
    assert!(kernel.boot_loader.is(&BootLoader::GrubDropIn));
    assert_eq!(
        listed(&kernel.boot_arguments),
        [
            "new: /etc/default/grub.d/zz-vmtune.cfg",
            "grub: a 1",
            "50-cloud.cfg: console tty1",
            "zz-vmtune.cfg: isolcpus 2-3",
        ]
    );
}

#[test]
fn a_new_argument_goes_where_it_arrives() {
    let dropped = "new: /etc/default/grub.d/zz-vmtune.cfg";
    let late = "GRUB_CMDLINE_LINUX_DEFAULT=last\n";
    let init = "GRUB_CMDLINE_LINUX_DEFAULT='quiet -- verbose'\n";
    for (files, expected) in [
        (vec![("etc/default/grub.d/a.cfg", "")], dropped),
        (vec![("etc/default/grub", MAIN)], "new: /etc/default/grub"),
        // Read after vmtune's own, this one overwrites it.
        (
            vec![("etc/default/grub.d/zzz.cfg", late)],
            "new: /etc/default/grub.d/zzz.cfg",
        ),
        // Behind `--` it would be init's.
        (
            vec![("etc/default/grub", init), ("etc/default/grub.d/a.cfg", "")],
            "new: /etc/default/grub",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kernel = machine(folder.path(), &files);
        let found = listed(&kernel.boot_arguments);
        assert_eq!(found[0], expected, "{files:?}");
    }
}

#[test]
fn proxmox_keeps_it_where_its_loader_reads() {
    let info = "sys/firmware/efi/efivars/\
                LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let name = |name: &str| -> String {
        "\x06\0\0\0"
            .chars()
            .chain(name.chars().flat_map(|c| [c, '\0']))
            .collect()
    };
    let systemd = name("systemd-boot 252");
    let grub = name("GRUB 2.12");
    let uuids = ("etc/kernel/proxmox-boot-uuids", "1234-ABCD\n");
    let line = ("etc/kernel/cmdline", "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n");
    let main = ("etc/default/grub", MAIN);
    for (also, expected) in [
        (Some((info, systemd.as_str())), "new: /etc/kernel/cmdline"),
        (Some((info, grub.as_str())), "new: /etc/default/grub"),
        (Some(("sys/firmware/efi/efivars/x", "")), "new: /etc/default/grub"),
        (None, "new: /etc/default/grub"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> =
            [uuids, line, main].into_iter().chain(also).collect();
        let kernel = machine(folder.path(), &files);
        assert!(kernel.boot_loader.is(&BootLoader::ProxmoxBootTool));
        assert_eq!(listed(&kernel.boot_arguments)[0], expected);
    }
    // UEFI without its variables, and a tree that lacks what it lacks.
    for missing in ["sys/firmware/efi/efivars", "vmtune-capture"] {
        let folder = tempfile::tempdir().unwrap();
        machine(folder.path(), &[uuids, line, main]);
        let path = folder.path().join(missing);
        if path.exists() {
            fs::remove_file(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        let kernel = read(folder.path());
        let found = listed(&kernel.boot_arguments);
        assert!(found[0].contains("is not known"), "{found:?}");
    }
}

#[test]
fn what_is_not_known_says_why() {
    let uuid = "etc/kernel/cmdline";
    for (files, expected) in [
        (vec![("usr/sbin/grubby", "")], "grubby keeps them in its entries"),
        (
            vec![("run/ostree-booted", ""), ("etc/default/grub", MAIN)],
            "ostree keeps them",
        ),
        (vec![("etc/NIXOS", "")], "NixOS keeps them"),
        (vec![], "the boot loader is not known"),
        (vec![(uuid, "a\nb\n")], "/etc/kernel/cmdline: line 2: not all"),
        (vec![(uuid, "")], "/etc/kernel/cmdline: it holds no command line"),
        (
            vec![("etc/default/grub", "\neval x\n")],
            "/etc/default/grub: line 2: the command `eval` is not understood",
        ),
        (
            vec![("etc/default/grub", "GRUB_CMDLINE_LINUX=\"$X\"\n")],
            "/etc/default/grub: line 1: $X is set in none of the files",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kernel = machine(folder.path(), &files);
        let found = listed(&kernel.boot_arguments);
        assert!(found[0].contains(expected), "{files:?}: {found:?}");
    }
}

#[test]
fn a_capture_says_the_same_and_nothing_else() {
    for files in [
        vec![
            (
                "etc/default/grub",
                "# ask Eve\nX='isolcpus=1 root=/dev/acme'\n\
              GRUB_CMDLINE_LINUX_DEFAULT=\"quiet $X -- tell acme\"\n",
            ),
            (
                "etc/default/grub.d/50-cloud.cfg",
                "GRUB_CMDLINE_LINUX=\"\
              $GRUB_CMDLINE_LINUX hugepagesz=1G hugepages=2 ip=acme\"\n",
            ),
        ],
        vec![("etc/default/grub", "eval acme\n")],
        vec![("etc/kernel/cmdline", "root=/dev/acme rw isolcpus=2 -- acme\n")],
        vec![("etc/kernel/cmdline", "root=/dev/acme\n# acme\n")],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("here");
        let mut before = listed(&machine(&here, &files).boot_arguments);
        // A link must not lead around the scrubbing.
        let first = here.join(files[0].0);
        let moved = here.join("etc/moved");
        fs::rename(&first, moved).unwrap();
        let up = "../".repeat(files[0].0.matches('/').count() - 1);
        std::os::unix::fs::symlink(format!("{up}moved"), first).unwrap();
        let copy = folder.path().join("copy");
        host::capture(&Root::tree(&here), &copy).unwrap();
        let mut after = listed(&read(&copy).boot_arguments);
        for line in &mut before {
            *line = line.replace("/dev/acme", "acme");
        }
        // Which stand-in is whose is the capture's own affair.
        for line in &mut after {
            *line =
                line.replace("scrubbed1", "acme").replace("scrubbed2", "acme");
        }
        let known = before.len() > 1;
        assert!(!known && after.len() == 1 || before == after, "{after:?}");
        let output = std::process::Command::new("grep")
            .args(["-r", "acme"])
            .arg(&copy)
            .output()
            .unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert!(found.is_empty(), "{found}");
    }
}
