//! Locked memory, its limit, and the balloon.

use super::flaw::Flaw;
use super::memory::{Pages, pages, parts};
use super::scene::Scene;
use super::vm::Vm;
use crate::base::Bytes;
use crate::model::domain::Interface;

/// What QEMU needs beside the guest's memory where that is locked: libvirt's
/// own allowance for VFIO.
const OVERHEAD: u64 = 1 << 30;

/// From this limit on, libvirt takes there to be none.
const UNLIMITED: Bytes = Bytes::from_kib(9_007_199_254_740_991);

/// libvirt's limit before 8.7.0 is for one device, however many there are.
const FIRST_TO_COUNT: (u32, u32, u32) = (8, 7, 0);

const RULE: &str = "memory-locking";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    limit(scene, vm, found);
    balloon(vm, found);
}

/// A limit replaces what libvirt would compute and is the cgroup's too: it
/// must be there for locked memory, and large enough for what is locked.
fn limit(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
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
        } else {
            found.extend(too_low_by_itself(scene, vm));
        }
        return;
    };
    let line = || vm.line("memtune/hard_limit");
    let mut memory = by_devices(vm);
    if locked {
        memory = memory.saturating_add(by_qemu(scene, vm));
    }
    let needed = memory.max(domain.memory.total.0).saturating_add(OVERHEAD);
    let needed = Bytes(needed);
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

/// Returns what devices lock: all memory in each address space. Behind a
/// guest IOMMU each passed-through device has one of its own; vDPA devices
/// have theirs anyway.
fn by_devices(vm: &Vm<'_>) -> u64 {
    let devices = &vm.domain.devices;
    let passed = match (&devices.iommu, devices.hostdevs.len()) {
        (Some(_), n) => n,
        (None, n) => n.min(1),
    };
    let is_vdpa = |interface: &&Interface| interface.kind == "vdpa";
    let spaces = passed + devices.interfaces.iter().filter(is_vdpa).count();
    let spaces = u64::try_from(spaces).unwrap_or(u64::MAX);
    vm.domain.memory.total.0.saturating_mul(spaces)
}

/// Returns what `<locked/>` locks: ordinary pages, which are swapped else.
fn by_qemu(scene: &Scene<'_>, vm: &Vm<'_>) -> u64 {
    let ordinary = parts(vm.domain).into_iter().filter(|part| {
        pages(&scene.host, vm.domain, part.cell) == Pages::Ordinary
    });
    ordinary.map(|part| part.memory.0).sum()
}

/// libvirt's own limit, where it is known to be too low.
fn too_low_by_itself(scene: &Scene<'_>, vm: &Vm<'_>) -> Option<Flaw> {
    let known = scene.host.facts.hypervisor.value()?;
    let version = known.libvirt_version()?;
    let total = vm.domain.memory.total.0;
    let needed = by_devices(vm);
    (version < FIRST_TO_COUNT && needed > total).then(|| {
        let what = format!(
            "devices that lock {}, where libvirt before 8.7.0 allows for {}",
            Bytes(needed),
            Bytes(total)
        );
        let remedy = "Write <locked/> with a <hard_limit> for all of it, or \
                      update libvirt.";
        let flaw = Flaw::refused(RULE, what, remedy);
        flaw.at(vm.line("devices/iommu"))
    })
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
