//! A host that was booted since.

#![allow(clippy::disallowed_methods, reason = "the test cuts a journal short")]

use std::fs;

use super::bench::{Bench, path};
use crate::apply::ApplyError;
use crate::model::Stage;

const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const KSM: &str = "/sys/kernel/mm/ksm/run";
const IRQ: &str = "/proc/irq/24/smp_affinity_list";
const SYSCTL: &str = "/etc/sysctl.d/90-vmtune.conf";

fn bench() -> Bench {
    let bench = Bench::new(&["vm1"])
        .with(KSM, Some("1"), Some("0"), Stage::Now)
        .with(IRQ, Some("0-3"), Some("0"), Stage::Now)
        .with(SYSCTL, None, Some("a = 2\n"), Stage::HostBoot);
    bench.system.put_value(&path(BOOT), "one");
    bench
}

/// Boots the host: its values are what the kernel makes of them.
fn boot(bench: &Bench, ksm: &str) {
    bench.system.put_value(&path(BOOT), "two");
    bench.system.put_value(&path(KSM), ksm);
    bench.system.remove_value(&path(IRQ));
}

#[test]
fn values_that_went_with_a_boot_are_not_missed() {
    for (ksm, after) in [("1", "1"), ("2", "2"), ("0", "1")] {
        let bench = bench();
        let _ = bench.apply().unwrap();
        boot(&bench, ksm);
        let outcome = bench.rollback(false).unwrap();
        assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
        let state = bench.system.state();
        // What is still as it was set goes back; the rest is not ours.
        assert_eq!(state[&path(KSM)], after);
        assert!(!state.contains_key(&path(SYSCTL)));
        assert!(!state.contains_key(&path(IRQ)));
    }
}

#[test]
fn without_a_boot_they_are() {
    let bench = bench();
    let _ = bench.apply().unwrap();
    bench.system.put_value(&path(KSM), "2");
    let error = bench.rollback(false).unwrap_err();
    assert!(matches!(error, ApplyError::Moved { .. }), "{error}");
}

#[test]
fn what_was_cut_off_by_a_boot_goes_back_and_not_on() {
    let whole = bench();
    let start = (whole.system.state(), whole.fake.definitions());
    let _ = whole.apply().unwrap();
    let journal = fs::read_to_string(whole.journal_file(1)).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    // Header, file, two values, definition.
    assert_eq!(lines.len(), 1 + 2 + 4 + 2 + 1);
    fs::write(whole.journal_file(1), lines[..7].join("\n") + "\n").unwrap();
    whole.edit("vm1", |_| start.1[&"vm1".parse().unwrap()].clone());
    boot(&whole, "1");
    let error = whole.resume().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the host was booted since tx-000001 was cut off"
    );
    assert!(error.hint().unwrap().contains("vmtune rollback"));
    let outcome = whole.rollback(false).unwrap();
    assert!(outcome.rollback_failures.is_empty(), "{outcome:?}");
    let mut expected = start;
    expected.0.insert(path(BOOT), "two".into());
    expected.0.remove(&path(IRQ));
    assert_eq!((whole.system.state(), whole.fake.definitions()), expected);
}
