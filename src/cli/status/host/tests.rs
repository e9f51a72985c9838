//! A host in a folder: a plan is applied there, and then somebody comes by.

#![allow(
    clippy::disallowed_methods,
    reason = "the test plays the kernel and a person with an editor"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::apply::{Machine, apply, rollback};
use crate::base::{CpuSet, Digest};
use crate::drift::State;
use crate::files::StateDir;
use crate::files::journal::Journal;
use crate::hypervisor::fake::Fake;
use crate::model::facts::BootLoader;
use crate::model::{Plan, Stage};
use crate::system::Live;

const KSM: &str = "/sys/kernel/mm/ksm/run";
const GOVERNOR: &str =
    "/sys/devices/system/cpu/cpufreq/policy2/scaling_governor";
const IRQ: &str = "/proc/irq/24/smp_affinity_list";
const EFFECTIVE: &str = "/proc/irq/24/effective_affinity_list";
const DROP_IN: &str = "/etc/tmpfiles.d/vmtune-ksm.conf";
const CMDLINE: &str = "/etc/kernel/cmdline";
const ISOLCPUS: &str = "/etc/kernel/cmdline#isolcpus";
const ENTRY: &str = "/boot/loader/entries/a.conf";
const STARTED: &str = "/proc/cmdline";

/// The host before: each place and its text.
const HOST: [(&str, &str); 9] = [
    (BOOT, "one\n"),
    (KSM, "1\n"),
    (GOVERNOR, "powersave\n"),
    (IRQ, "0-3\n"),
    (EFFECTIVE, "3\n"),
    (CMDLINE, "root=/dev/vda1 quiet\n"),
    (STARTED, "BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet\n"),
    ("/proc/sys/kernel/osrelease", "6.12.0\n"),
    (ENTRY, "version 6.12.0\noptions root=/dev/vda1 quiet\n"),
];

/// What is planned: target, what stands there, what shall.
const PLAN: [(&str, Option<&str>, &str); 5] = [
    (DROP_IN, None, "# vmtune\nw /sys/kernel/mm/ksm/run - - - - 0\n"),
    (ISOLCPUS, None, "2-3"),
    (KSM, Some("1"), "0"),
    (GOVERNOR, Some("powersave"), "performance"),
    (IRQ, Some("0-3"), "0-1"),
];

struct Bench {
    temp: tempfile::TempDir,
    live: Live,
    fake: Fake,
    state: StateDir,
}

impl Bench {
    /// Makes the host, without changes.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir(&root).unwrap();
        let live = Live::at(&root).unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let bench = Self { temp, live, fake: Fake::new(), state };
        for (path, text) in HOST {
            bench.write(path, text);
        }
        bench
    }

    /// Makes the host, applies the plan, and does what the kernel and the
    /// programs of the boot loader do then.
    fn applied() -> Self {
        let bench = Self::new();
        bench.apply(&PLAN);
        bench.write(EFFECTIVE, "1\n");
        bench.write(
            ENTRY,
            "version 6.12.0\noptions root=/dev/vda1 quiet isolcpus=2-3\n",
        );
        bench
    }

    /// Boots the host as its files say. Values that nothing sets are what
    /// the kernel begins with.
    fn boot(&self) {
        self.write(BOOT, "two\n");
        self.write(STARTED, "root=/dev/vda1 quiet isolcpus=2-3\n");
        self.write(GOVERNOR, "powersave\n");
        fs::remove_dir_all(self.path("/proc/irq/24")).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join("root").join(&path[1..])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            hypervisor: &self.fake,
            system: &self.live,
            state: &self.state,
            now: 17,
            clock: &|| Duration::ZERO,
        }
    }

    fn apply(&self, changes: &[(&str, Option<&str>, &str)]) {
        let change = |(target, from, to): &(&str, Option<&str>, &str)| {
            let target: Target = target.parse().unwrap();
            let stage = match &target {
                Target::Argument { .. } => Stage::HostBoot,
                _ => Stage::Now,
            };
            Change {
                rule: "by-hand".into(),
                vm: None,
                target,
                from: from.map(Into::into),
                to: Some((*to).into()),
                because: "a test".into(),
                stage,
                trade: None,
            }
        };
        let plan = Plan {
            schema_version: Plan::SCHEMA_VERSION,
            fingerprint: Digest::of(b"facts"),
            host: "this machine".into(),
            connection: "fake:///system".into(),
            preset: "balanced".into(),
            housekeeping: CpuSet::new(),
            boot_loader: Some(BootLoader::SystemdBoot),
            vms: vec![],
            changes: changes.iter().map(change).collect(),
            advice: vec![],
            unknown: vec![],
        };
        let outcome = apply(&plan, None, &self.machine()).unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
    }

    fn findings(&self) -> Vec<Finding> {
        let journal = Journal::open(&self.state).unwrap();
        let standing = Standing::read(&journal).unwrap();
        let root = Root::tree(self.temp.path().join("root"));
        findings(&standing, &self.live, &root)
    }

    /// Returns what does not hold, a line each.
    fn said(&self) -> Vec<String> {
        let line = |one: Finding| {
            let (what, planned) = (one.what, one.planned);
            match one.state {
                State::Holds => None,
                State::Drifted { found } => {
                    Some(format!("{what}: {found}, planned {planned}"))
                }
                State::Waits { stage } => Some(format!("{what}: {stage}")),
                State::Unknown { why } => Some(format!("{what}? {why}")),
            }
        };
        self.findings().into_iter().filter_map(line).collect()
    }

    /// Returns what has drifted, apart from what waits for a boot.
    fn drifted(&self) -> Vec<String> {
        let all = self.said().into_iter();
        all.filter(|line| !line.ends_with(": host-boot")).collect()
    }
}

#[test]
fn all_holds_but_what_waits_for_a_boot() {
    let bench = Bench::applied();
    assert_eq!(bench.findings().len(), PLAN.len() + 1);
    assert_eq!(bench.said(), [format!("{ISOLCPUS}: host-boot")]);
}

#[test]
fn a_changed_ksm_setting_is_found() {
    let bench = Bench::applied();
    bench.write(KSM, "1\n");
    assert_eq!(bench.drifted(), [format!("{KSM}: 1, planned 0")]);
}

#[test]
fn a_changed_governor_is_found() {
    let bench = Bench::applied();
    bench.write(GOVERNOR, "schedutil\n");
    let expected = format!("{GOVERNOR}: schedutil, planned performance");
    assert_eq!(bench.drifted(), [expected]);
}

#[test]
fn a_drop_in_that_was_removed_or_edited_is_found() {
    let bench = Bench::applied();
    bench.write(DROP_IN, "# vmtune\nw /sys/kernel/mm/ksm/run - - - - 1\n");
    let said = bench.drifted();
    let line = "line 2: w /sys/kernel/mm/ksm/run - - - -";
    assert_eq!(said, [format!("{DROP_IN}: {line} 1, planned {line} 0")]);
    fs::remove_file(bench.path(DROP_IN)).unwrap();
    let said = bench.drifted();
    let [said] = said.as_slice() else { panic!("{said:?}") };
    assert!(said.starts_with(&format!("{DROP_IN}: no file, ")), "{said}");
}

#[test]
fn an_interrupt_that_was_moved_is_found() {
    let bench = Bench::applied();
    bench.write(IRQ, "2-3\n");
    bench.write(EFFECTIVE, "3\n");
    let moved = [
        format!("{IRQ}: 2-3, planned 0-1"),
        format!("{EFFECTIVE}: 3, planned within 0-1"),
    ];
    assert_eq!(bench.drifted(), moved);
    // The kernel goes by the second.
    bench.write(IRQ, "0,1\n");
    assert_eq!(bench.drifted(), moved[1..]);
    fs::remove_file(bench.path(EFFECTIVE)).unwrap();
    assert!(bench.drifted().is_empty(), "not all kernels tell");
}

#[test]
fn an_interrupt_that_is_gone_is_not_known() {
    let bench = Bench::applied();
    fs::remove_dir_all(bench.path("/proc/irq/24")).unwrap();
    assert_eq!(bench.drifted(), [format!("{IRQ}? {IRQ} does not exist")]);
    let bench = Bench::applied();
    bench.boot();
    let of_irq = || {
        let said = bench.said().into_iter();
        said.filter(|line| line.contains("/irq/")).collect::<Vec<_>>()
    };
    let gone = of_irq();
    let [said] = gone.as_slice() else { panic!("{gone:?}") };
    let expected = format!("{IRQ}? the host was booted since");
    assert!(said.starts_with(&expected), "{said}");
    // Another device has the number now.
    bench.write(IRQ, "0-3\n");
    bench.write(EFFECTIVE, "3\n");
    assert_eq!(of_irq(), gone);
}

#[test]
fn after_a_boot_what_nothing_sets_again_has_drifted() {
    let bench = Bench::applied();
    bench.boot();
    // KSM has its drop-in, and the kernel its argument.
    let said: Vec<_> = bench.said();
    let [irq, governor] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(
        *governor,
        format!("{GOVERNOR}: powersave, planned performance")
    );
    assert!(irq.starts_with(IRQ), "{irq}");
    let all = bench.findings().into_iter();
    let note = all.filter_map(|one| one.note).collect::<Vec<_>>();
    assert_eq!(note, ["the host was booted since it was set"]);
}

#[test]
fn an_argument_is_missed_wherever_it_is_lost() {
    let bench = Bench::applied();
    bench.boot();
    let lost = |path: &str, text: &str| {
        let former = fs::read_to_string(bench.path(path)).unwrap();
        bench.write(path, text);
        let said = bench.said();
        bench.write(path, &former);
        let line = said.iter().find(|line| line.starts_with(CMDLINE));
        line.unwrap().replace(ISOLCPUS, "").replace(", planned 2-3", "")
    };
    assert_eq!(lost(CMDLINE, "quiet\n"), ": nothing");
    assert_eq!(lost(CMDLINE, "quiet isolcpus=4\n"), ": 4");
    assert_eq!(
        lost(ENTRY, "version 6.12.0\noptions quiet\n"),
        format!(": nothing in {ENTRY}")
    );
    assert_eq!(lost(STARTED, "quiet\n"), ": nothing in /proc/cmdline");
    // The kernel heeds the first of two.
    assert_eq!(
        lost(STARTED, "isolcpus=1 isolcpus=2-3\n"),
        ": 1 in /proc/cmdline"
    );
    assert!(lost(CMDLINE, "quiet\nisolcpus=2-3\n").starts_with('?'));
}

#[test]
fn what_grub_makes_of_its_files_is_followed() {
    const GRUB: &str = "/etc/default/grub.d/zz-vmtune.cfg";
    const MENU: &str = "/boot/grub/grub.cfg";
    let menu = |arguments: &str| {
        format!("menuentry 'Linux' {{\n\tlinux /vmlinuz {arguments}\n}}\n")
    };
    let bench = Bench::new();
    fs::remove_file(bench.path(CMDLINE)).unwrap();
    bench.write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet\"\n");
    fs::create_dir(bench.path("/etc/default/grub.d")).unwrap();
    bench.write("/usr/sbin/update-grub", "");
    bench.write(MENU, &menu("quiet"));
    let target = format!("{GRUB}#isolcpus");
    bench.apply(&[(&target, None, "2-3")]);
    // Its program is not run in a folder.
    let expected = format!("{target}: nothing in {MENU}, planned 2-3");
    assert_eq!(bench.said(), [expected]);
    bench.write(MENU, &menu("quiet isolcpus=2-3"));
    assert_eq!(bench.said(), [format!("{target}: host-boot")]);
    let other = "/etc/default/grub.d/zzz.cfg";
    bench.write(other, "GRUB_CMDLINE_LINUX=\"isolcpus=7\"\n");
    let expected = format!("{target}: 7 in {other}, planned 2-3");
    assert_eq!(bench.said(), [expected]);
    bench.write(other, "GRUB_CMDLINE_LINUX_DEFAULT=\"\"\n");
    let expected =
        format!("{target}: nothing in all files together, planned 2-3");
    assert_eq!(bench.said(), [expected]);
}

#[test]
fn the_last_change_that_stands_counts() {
    let bench = Bench::applied();
    bench.apply(&[(KSM, Some("0"), "2")]);
    assert!(bench.drifted().is_empty(), "{:?}", bench.drifted());
    bench.write(KSM, "0\n");
    assert_eq!(bench.drifted(), [format!("{KSM}: 0, planned 2")]);
    bench.write(KSM, "2\n");
    let outcome = rollback(None, false, &bench.machine()).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    assert!(bench.drifted().is_empty(), "{:?}", bench.drifted());
    let outcome = rollback(None, true, &bench.machine()).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    assert!(bench.findings().is_empty());
}
