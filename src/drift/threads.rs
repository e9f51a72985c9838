//! A running VM against its placement: thread by thread, page by page.

use std::collections::BTreeMap;

use super::{Finding, State};
use crate::base::{Bytes, CpuSet, NodeId, PageSize};
use crate::model::domain::Domain;
use crate::model::{
    CellPlacement, Role, RunningVm, Scheduling, Stage, Thread, VmPlacement,
};

/// Compares a VM with its placement, which was applied at `applied` seconds
/// since 1970. `live` is the definition that it runs by: where that has other
/// pins, and the VM was started before, the plan waits for its next start. A
/// VM that does not run waits as a whole.
#[must_use]
pub fn vm(
    placement: &VmPlacement,
    applied: u64,
    live: Option<&Domain>,
    running: Option<&RunningVm>,
) -> Vec<Finding> {
    let (Some(live), Some(running)) = (live, running) else {
        let state = match (live, running) {
            (Some(_), None) => {
                let why = "its process was not found".into();
                State::Unknown { why }
            }
            _ => State::Waits { stage: Stage::VmStart },
        };
        return vec![finding(
            placement,
            "placement",
            placement.cpus().to_string(),
            state,
        )];
    };
    let started = Started { before: running.started <= applied };
    let mut findings = vcpus(placement, live, running, started);
    findings.extend(iothreads(placement, live, running, started));
    findings.extend(others(placement, live, running, started));
    findings.extend(memory(placement, running, started));
    findings
}

/// When the VM was started.
#[derive(Clone, Copy)]
pub(super) struct Started {
    /// Before the plan was applied, as far as can be told.
    pub(super) before: bool,
}

impl Started {
    /// Tells whether what is otherwise than planned has drifted or only
    /// waits. What libvirt has pinned as planned was there once.
    pub(super) fn otherwise(
        self,
        pinned: Option<&CpuSet>,
        wanted: &CpuSet,
        found: String,
    ) -> State {
        if self.before && pinned != Some(wanted) {
            State::Waits { stage: Stage::VmStart }
        } else {
            State::Drifted { found }
        }
    }
}

pub(super) fn finding(
    placement: &VmPlacement,
    what: impl Into<String>,
    planned: String,
    state: State,
) -> Finding {
    let vm = Some(placement.name.clone());
    Finding { vm, what: what.into(), planned, state, note: None }
}

fn vcpus(
    placement: &VmPlacement,
    live: &Domain,
    running: &RunningVm,
    started: Started,
) -> Vec<Finding> {
    let one = |(vcpu, wanted): (_, &CpuSet)| {
        let pinned = live.cputune.vcpupin.get(&vcpu);
        let state = match running.vcpu(vcpu) {
            // One that can be plugged in later has no thread yet.
            None if vcpu.0 >= live.current_vcpus.unwrap_or(live.vcpus) => {
                State::Waits { stage: Stage::VmStart }
            }
            None => started.otherwise(pinned, wanted, "no such thread".into()),
            Some(thread) if thread.cpus != *wanted => started.otherwise(
                pinned,
                wanted,
                format!("CPUs {}", thread.cpus),
            ),
            Some(thread) => scheduled(live, thread),
        };
        let note = group(&state, running.vcpu(vcpu));
        let planned = format!("CPUs {wanted}");
        let what = format!("vCPU {vcpu}");
        Finding { note, ..finding(placement, what, planned, state) }
    };
    placement.vcpus.iter().map(|(vcpu, cpus)| one((*vcpu, cpus))).collect()
}

/// Tells of a thread that was moved what its control group leaves it: whether
/// the group or the thread itself was changed.
fn group(state: &State, thread: Option<&Thread>) -> Option<String> {
    let State::Drifted { .. } = state else { return None };
    let allowed = thread?.allowed.value()?;
    Some(format!("its control group allows CPUs {allowed}"))
}

/// A vCPU has the scheduler that its definition says, or none of its own.
fn scheduled(live: &Domain, thread: &Thread) -> State {
    let Role::Vcpu(vcpu) = thread.role else { return State::Holds };
    let mut all = live.cputune.vcpusched.iter();
    let wanted = all.find(|one| one.vcpus.contains(vcpu));
    let found = match thread.scheduling {
        Scheduling::Fifo(priority) => ("fifo", Some(priority)),
        Scheduling::RoundRobin(priority) => ("rr", Some(priority)),
        Scheduling::Other => ("other", None),
        Scheduling::Policy(_) => ("another", None),
    };
    let holds = match wanted {
        None => !matches!(found.0, "fifo" | "rr"),
        Some(one) if matches!(one.scheduler.as_str(), "fifo" | "rr") => {
            (one.scheduler.as_str(), one.priority) == found
        }
        Some(_) => !matches!(found.0, "fifo" | "rr"),
    };
    if holds {
        return State::Holds;
    }
    let priority = found.1.map(|p| format!(" {p}")).unwrap_or_default();
    State::Drifted { found: format!("scheduler {}{priority}", found.0) }
}

fn iothreads(
    placement: &VmPlacement,
    live: &Domain,
    running: &RunningVm,
    started: Started,
) -> Vec<Finding> {
    let one = |(id, wanted): (&u32, &CpuSet)| {
        let mut threads = running.threads.iter();
        let thread = threads.find(|t| t.role == Role::IoThread(*id));
        let pinned = live.cputune.iothreadpin.get(id);
        let state = match thread {
            None => started.otherwise(pinned, wanted, "no such thread".into()),
            Some(thread) if thread.cpus != *wanted => started.otherwise(
                pinned,
                wanted,
                format!("CPUs {}", thread.cpus),
            ),
            Some(_) => State::Holds,
        };
        let note = group(&state, thread);
        let planned = format!("CPUs {wanted}");
        let what = format!("I/O thread {id}");
        Finding { note, ..finding(placement, what, planned, state) }
    };
    placement.iothreads.iter().map(one).collect()
}

/// All other threads as one statement: there are dozens of them.
fn others(
    placement: &VmPlacement,
    live: &Domain,
    running: &RunningVm,
    started: Started,
) -> Option<Finding> {
    let wanted = &placement.emulator;
    let of =
        |thread: &&Thread| matches!(thread.role, Role::Emulator | Role::Vhost);
    let all: Vec<_> = running.threads.iter().filter(of).collect();
    if all.is_empty() {
        return None;
    }
    let away: Vec<_> =
        all.iter().filter(|thread| thread.cpus != *wanted).collect();
    let state = match away.first() {
        None => State::Holds,
        Some(first) => {
            let (count, of) = (away.len(), all.len());
            let found = format!("{count} of {of} on CPUs {}", first.cpus);
            started.otherwise(live.cputune.emulatorpin.as_ref(), wanted, found)
        }
    };
    let planned = format!("CPUs {wanted}");
    Some(finding(placement, "emulator threads", planned, state))
}

/// How much of the guest's memory is where it shall be. What it has of pages,
/// by size and node, is noted.
pub(super) fn memory(
    placement: &VmPlacement,
    running: &RunningVm,
    started: Started,
) -> Option<Finding> {
    let size = placement.pages.unwrap_or(PageSize::SMALL);
    let mut wanted = BTreeMap::<NodeId, Bytes>::new();
    for CellPlacement { memory_node, memory, .. } in &placement.cells {
        wanted.entry(*memory_node).or_default().0 += memory.0;
    }
    let nodes: Vec<_> = wanted.keys().map(ToString::to_string).collect();
    let planned = format!("{size} pages on node {}", nodes.join(", "));
    let state = match running.memory.value() {
        None => {
            let why = running.memory.reason().unwrap_or("it was not read");
            State::Unknown { why: why.to_owned() }
        }
        Some(found) => match pages(&wanted, found, size) {
            // Memory stays where it was when the VM was started.
            State::Drifted { .. } if started.before => {
                State::Waits { stage: Stage::VmStart }
            }
            state => state,
        },
    };
    let note = running.memory.value().map(listed);
    Some(Finding { note, ..finding(placement, "memory", planned, state) })
}

/// Lists pages by their size and node: `2M pages: 2M on node 0, 6M on node 1`.
fn listed(found: &BTreeMap<(NodeId, PageSize), Bytes>) -> String {
    let mut sizes = BTreeMap::<PageSize, Vec<String>>::new();
    for ((node, size), bytes) in found {
        let nodes = sizes.entry(*size).or_default();
        nodes.push(format!("{bytes} on node {node}"));
    }
    let sizes = sizes.iter().rev();
    let sizes = sizes
        .map(|(size, nodes)| format!("{size} pages: {}", nodes.join(", ")));
    sizes.collect::<Vec<_>>().join("; ")
}

fn pages(
    wanted: &BTreeMap<NodeId, Bytes>,
    found: &BTreeMap<(NodeId, PageSize), Bytes>,
    size: PageSize,
) -> State {
    let of_size: BTreeMap<NodeId, u64> = found
        .iter()
        .filter(|((_, of), _)| *of == size)
        .map(|((node, _), bytes)| (*node, bytes.0))
        .collect();
    let total: u64 = of_size.values().sum();
    if total == 0 {
        let sizes: Vec<_> =
            found.keys().map(|(_, size)| size.to_string()).collect();
        let found = match sizes.last() {
            Some(last) => format!("pages of {last} alone"),
            None => "no pages".into(),
        };
        return State::Drifted { found };
    }
    // Ordinary memory is given as the guest touches it, and holds QEMU's own
    // too: what is elsewhere counts, not how much there is.
    let local = |(node, bytes): (&NodeId, &u64)| {
        let most = wanted.get(node).map_or(0, |wanted| wanted.0);
        let most =
            if size == PageSize::SMALL && most > 0 { *bytes } else { most };
        (*bytes).min(most)
    };
    let there: u64 = of_size.iter().map(local).sum();
    if there == total {
        return State::Holds;
    }
    // Rounded down, so that 100.0 % is all of it.
    let tenths = u128::from(there) * 1000 / u128::from(total);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    State::Drifted { found: format!("{whole}.{tenth} % local") }
}

#[cfg(test)]
mod tests;
