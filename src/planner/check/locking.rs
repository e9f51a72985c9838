//! Locked memory, its limit, and the balloon.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::Vm;
use crate::base::Bytes;

/// What QEMU needs beside the guest's memory where that is locked: libvirt's
/// own allowance for VFIO.
const OVERHEAD: u64 = 1 << 30;

/// From this limit on, libvirt takes there to be none.
const UNLIMITED: Bytes = Bytes::from_kib(9_007_199_254_740_991);

pub(super) fn check(_: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    limit(vm, found);
    balloon(vm, found);
}

/// A limit replaces what libvirt would compute and is the cgroup's too: it
/// must be there for locked memory, and large enough for what VFIO locks.
fn limit(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    const RULE: &str = "memory-locking";
    let domain = vm.domain;
    let backing = domain.memory_backing.as_ref();
    let locked = backing.is_some_and(|backing| backing.locked);
    let limit = domain.memory.hard_limit.filter(|limit| *limit < UNLIMITED);
    let Some(limit) = limit else {
        if locked {
            let what = "locked memory without a limit";
            let remedy = "Write a <hard_limit> above the guest's memory.";
            let flaw = Flaw::slow(RULE, what, remedy);
            found.push(flaw.at(vm.line("memoryBacking/locked")));
        }
        return;
    };
    let line = || vm.line("memtune/hard_limit");
    // Behind a guest IOMMU, each device locks all memory for itself.
    let mappings = match &domain.devices.iommu {
        Some(_) => domain.devices.hostdevs.len().max(1),
        None => 1,
    };
    let mappings = u64::try_from(mappings).unwrap_or(u64::MAX);
    let memory = domain.memory.total.0.saturating_mul(mappings);
    let needed = Bytes(memory.saturating_add(OVERHEAD));
    if limit < needed {
        let what = format!("a limit of {limit}, where {needed} are needed");
        let remedy = "Raise the limit, or remove it.";
        found.push(Flaw::broken(RULE, what, remedy).at(line()));
    } else if !locked && domain.has_passthrough() {
        let what = "a limit without <locked/> for a VM with host devices";
        let remedy = "Remove it: libvirt computes what VFIO needs.";
        // It is large enough for VFIO, and for the cgroup if QEMU behaves.
        found.push(Flaw::slow(RULE, what, remedy).at(line()));
    }
}

/// VFIO pins all memory, so that a balloon has nothing to give back; libvirt
/// adds one where none is written.
fn balloon(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let model = vm.domain.devices.memballoon.as_deref();
    if vm.domain.has_passthrough() && model != Some("none") {
        let what = "a memory balloon, while host devices pin all memory";
        let remedy = "Write <memballoon model='none'/>.";
        let flaw = Flaw::slow("memory-balloon", what, remedy);
        found.push(flaw.at(vm.line("devices/memballoon")));
    }
}
