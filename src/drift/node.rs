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
