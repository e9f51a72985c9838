//! A running VM of Proxmox against its placement: all threads have one set of
//! CPUs, and pages are where they shall be.

use super::threads::{Started, finding, memory};
use super::{Finding, State};
use crate::base::CpuSet;
use crate::model::{RunningVm, Stage, VmPlacement};

/// Compares a VM of Proxmox with its placement, which was applied at
/// `applied` seconds since 1970. `affinity` are the CPUs that the plan gives
/// all its threads; a thread that has fewer of them is as planned. A VM that
/// does not run waits as a whole.
#[must_use]
pub fn node_vm(
    placement: &VmPlacement,
    affinity: &CpuSet,
    applied: u64,
    running: Option<&RunningVm>,
) -> Vec<Finding> {
    let planned = format!("CPUs {affinity}");
    let Some(running) = running else {
        let state = State::Waits { stage: Stage::VmStart };
        return vec![finding(placement, "placement", planned, state)];
    };
    let started = Started { before: running.started <= applied };
    let all = &running.threads;
    let mut away = all.iter().filter(|one| !one.cpus.is_subset(affinity));
    let state = match away.next() {
        None => State::Holds,
        Some(first) => {
            let (count, of) = (away.count() + 1, all.len());
            let found = format!("{count} of {of} on CPUs {}", first.cpus);
            started.otherwise(None, affinity, found)
        }
    };
    let mut findings = vec![finding(placement, "threads", planned, state)];
    findings.extend(memory(placement, running, started));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::threads::tests::{cpus, placement, running};
    use super::*;

    const STARTED: u64 = 1000;

    fn said(applied: u64, move_one: Option<&str>) -> Vec<String> {
        let mut running = running();
        for thread in &mut running.threads {
            thread.cpus = cpus("2-3");
        }
        running.threads[0].cpus = cpus("2");
        if let Some(to) = move_one {
            running.threads[1].cpus = cpus(to);
        }
        running.started = STARTED;
        let all = node_vm(&placement(), &cpus("2-3"), applied, Some(&running));
        all.iter().map(|f| format!("{}: {:?}", f.what, f.state)).collect()
    }

    #[test]
    fn a_thread_elsewhere_has_drifted_or_waits() {
        let before = STARTED - 1;
        assert_eq!(said(before, None), ["threads: Holds", "memory: Holds"]);
        let away = said(before, Some("2-4"));
        assert!(away[0].starts_with("threads: Drifted"), "{away:?}");
        assert!(away[0].contains("1 of "), "{away:?}");
        assert!(away[0].contains("on CPUs 2-4"), "{away:?}");
        let waits = said(STARTED + 1, Some("0-7"));
        assert!(waits[0].starts_with("threads: Waits"), "{waits:?}");
    }

    #[test]
    fn a_vm_that_does_not_run_waits() {
        let all = node_vm(&placement(), &cpus("2-3"), 0, None);
        let [one] = &all[..] else { panic!("{all:?}") };
        assert_eq!(one.state, State::Waits { stage: Stage::VmStart });
        assert_eq!(one.planned, "CPUs 2-3");
    }
}
