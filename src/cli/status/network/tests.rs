//! A plan for a card that stands, and the card in a folder.

#![allow(
    clippy::disallowed_methods,
    reason = "the test plays the kernel and the programs that show a card"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::apply::{Machine, apply};
use crate::base::Digest;
use crate::drift::State;
use crate::files::StateDir;
use crate::files::journal::Journal;
use crate::hypervisor::fake::Fake;
use crate::model::{Change, Plan, Stage};
use crate::system::Live;

const STEP: &str = "/etc/systemd/system/vmtune-nic.service.d/30-mtu.conf";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const PORT: &str = "/sys/devices/pci0000:80/0000:81:00.0";

struct Bench {
    temp: tempfile::TempDir,
    live: Live,
    state: StateDir,
}

impl Bench {
    /// Makes a host with a card of MTU 1500.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir(&root).unwrap();
        let live = Live::at(&root).unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let bench = Self { temp, live, state };
        bench.write(BOOT, "one\n");
        bench.write(BEGIN, "f\n");
        bench.write(&format!("{PORT}/class"), "0x020000\n");
        bench.write(&format!("{PORT}/net/eth0/mtu"), "1500\n");
        bench.link("/sys/bus/pci/devices/0000:81:00.0", PORT);
        bench.link("/sys/class/net/eth0", &format!("{PORT}/net/eth0"));
        bench
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join("root").join(&path[1..])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, to: &str) {
        let up = "../".repeat(path.matches('/').count() - 1);
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(format!("{up}{}", &to[1..]), path).unwrap();
    }

    fn apply(&self, target: &str, from: Option<&str>, to: &str) {
        let change = Change {
            rule: "by-hand".into(),
            vm: None,
            target: target.parse().unwrap(),
            from: from.map(Into::into),
            to: Some(to.into()),
            because: "a test".into(),
            stage: Stage::HostBoot,
            trade: None,
        };
        let plan = Plan {
            schema_version: Plan::SCHEMA_VERSION,
            fingerprint: Digest::of(b"facts"),
            host: "this machine".into(),
            connection: "fake:///system".into(),
            preset: "balanced".into(),
            housekeeping: CpuSet::new(),
            boot_loader: None,
            vms: vec![],
            changes: vec![change],
            advice: vec![],
            unknown: vec![],
        };
        let machine = Machine {
            hypervisor: &Fake::new(),
            system: &self.live,
            state: &self.state,
            now: 17,
            clock: &|| Duration::ZERO,
        };
        let outcome = apply(&plan, None, &machine).unwrap();
        assert!(outcome.failed.is_none(), "{outcome:?}");
    }

    fn states(&self) -> Vec<(String, State)> {
        let journal = Journal::open(&self.state).unwrap();
        let standing = Standing::read(&journal).unwrap();
        let root = Root::tree(self.temp.path().join("root"));
        let findings = findings(&standing, &self.live, &root);
        findings.into_iter().map(|one| (one.what, one.state)).collect()
    }
}

#[test]
fn a_step_that_stands_is_compared_with_the_card() {
    let bench = Bench::new();
    assert_eq!(bench.states(), []);
    bench.apply(
        STEP,
        None,
        "[Service]\nExecStart=ip link set dev eth0 mtu 9000\n",
    );
    let what = || "MTU of eth0".to_owned();
    let waits = State::Waits { stage: Stage::HostBoot };
    assert_eq!(bench.states(), [(what(), waits)]);
    bench.write(BOOT, "two\n");
    let drifted = State::Drifted { found: "1500".to_owned() };
    assert_eq!(bench.states(), [(what(), drifted)]);
    bench.write(&format!("{PORT}/net/eth0/mtu"), "9000\n");
    assert_eq!(bench.states(), [(what(), State::Holds)]);
}

#[test]
fn interrupts_of_passed_through_functions_go_where_new_ones_begin() {
    let bench = Bench::new();
    bench.apply(BEGIN, Some("f"), "3");
    assert_eq!(bench.states(), [], "the host has the card");
    bench.link(&format!("{PORT}/driver"), "/sys/bus/pci/drivers/vfio-pci");
    bench.write("/sys/bus/pci/drivers/vfio-pci/bind", "");
    bench.write(&format!("{PORT}/msi_irqs/40"), "msix\n");
    bench.write("/proc/irq/40/smp_affinity_list", "0-3\n");
    bench.write("/proc/irq/40/effective_affinity_list", "2\n");
    let drifted = State::Drifted { found: "40 on CPUs 2".to_owned() };
    let what = "interrupts of 0000:81:00.0".to_owned();
    assert_eq!(bench.states(), [(what, drifted)]);
}
