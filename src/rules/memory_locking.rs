//! Keeps `<locked/>` and `<hard_limit>` from harming the guest.
//!
//! Passed-through devices pin all guest memory, and huge pages are never
//! swapped: there locking adds nothing, and nothing is added here. A
//! `<hard_limit>` is two things at once: the limit of locked memory in place
//! of the one that libvirt computes, and a cgroup limit at which the kernel
//! kills the guest. Too low it does harm either way, and is raised or taken
//! away.
//!
//! What counts as locked: all memory for each address space that devices
//! have, which without a guest IOMMU is one for all of them and behind one is
//! one for each; once more what `<locked/>` locks, huge pages not; and some
//! for the I/O memory of devices and for QEMU itself. libvirt computes the
//! same since 8.7.0. Before, it took one address space for granted, and a
//! guest with an IOMMU and several devices does not start.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::Bytes;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "memory-locking",
    group: Group::GuestMemory,
    why: "A limit below what the guest and its devices lock keeps the guest \
          from starting, or kills it later.",
    hurts: "Locked memory cannot be given to anybody else; without a \
            <hard_limit> one guest may lock all of the host's.",
    folklore: "`<locked/>` is said to improve security. It lifts the limit \
               of locked memory for the QEMU process, which lets a broken \
               guest exhaust the host; what it buys is that ordinary pages \
               are not swapped.",
    sources: &[
        "libvirt formatdomain: Memory Backing (locked), Memory Tuning \
         (hard_limit)",
        "libvirt news 8.7.0 and src/qemu/qemu_domain.c, \
         qemuDomainGetMemLockLimitBytes; commit 8d5704e2c4",
        "Linux drivers/vfio/vfio_iommu_type1.c, vfio_pin_pages_remote, and \
         mm/mlock.c, mlock_fixup: both count in locked_vm, the latter no \
         huge pages",
    ],
    level: Level::Plan,
    owns: &["/domain/memoryBacking/locked", "/domain/memtune/hard_limit"],
    evaluate: Evaluate::Vm(evaluate),
};

/// What libvirt adds to the guest's memory for the I/O memory of its devices;
/// QEMU's own memory, which a limit covers too, fits in it.
const OVERHEAD: Bytes = Bytes(1 << 30);

/// The first libvirt that counts each device behind a guest IOMMU.
const COUNTS_EACH: (u32, u32, u32) = (8, 7, 0);

fn evaluate(cx: &Context<'_>) -> Verdict {
    let backing = cx.domain.memory_backing.as_ref();
    let locked = backing.is_some_and(|backing| backing.locked);
    let need = need(cx, locked);
    match (locked, cx.domain.memory.hard_limit) {
        (false, None) if is_undercounted(cx) => undercounted(cx),
        (false, Some(limit))
            if is_undercounted(cx) && limit < least(cx, false) =>
        {
            undercounted(cx)
        }
        (false, None) => without(cx),
        (true, None) => Verdict::Advise(vec![format!(
            "<locked/> without <hard_limit> lets this guest's QEMU lock all \
             of the host's memory: set a limit of {need} or more, or take \
             <locked/> away{}",
            if never_swapped(cx) {
                "; its memory is never swapped"
            } else {
                ""
            }
        )]),
        (_, Some(limit)) if limit < least(cx, locked) => {
            too_low(cx, locked, limit)
        }
        (true, Some(limit)) => {
            Verdict::Satisfied(format!("locked up to {limit}; needs {need}"))
        }
        (false, Some(limit)) if cx.domain.launch_security.is_some() => {
            Verdict::Satisfied(format!(
                "encrypted memory is pinned up to {limit}"
            ))
        }
        (false, Some(limit)) => Verdict::Advise(vec![format!(
            "<hard_limit> without <locked/> is a cgroup limit: the kernel \
             kills the guest when QEMU, its buffers among it, passes \
             {limit}; take it away unless that is wanted"
        )]),
    }
}

/// Returns whether the memory stays in place without being locked.
fn never_swapped(cx: &Context<'_>) -> bool {
    cx.domain.has_passthrough() || cx.will_have_hugepages()
}

/// Returns the limit below which the guest does not start or is killed.
/// Huge pages are not in the cgroup's count, and only VFIO counts them as
/// locked.
fn least(cx: &Context<'_>, locked: bool) -> Bytes {
    if locked || spaces(cx) > 0 {
        need(cx, locked)
    } else if cx.will_have_hugepages() {
        Bytes(0)
    } else {
        cx.domain.memory.total
    }
}

/// Returns the limit that leaves room for all.
fn need(cx: &Context<'_>, locked: bool) -> Bytes {
    let by_qemu = locked && !cx.will_have_hugepages();
    let counts = spaces(cx) + u64::from(by_qemu);
    // Memory that nobody locks is in the cgroup's count all the same.
    let counts = counts.max(1);
    let ram = cx.domain.memory.total.0.saturating_mul(counts);
    Bytes(ram.saturating_add(OVERHEAD.0))
}

/// Returns how many address spaces devices have, each with a count of its
/// own of the memory: one for all that VFIO passes through, behind a guest
/// IOMMU one for each, and one for each vDPA interface.
fn spaces(cx: &Context<'_>) -> u64 {
    let devices = &cx.domain.devices;
    let added = cx.needs_guest_iommu() && cx.domain.is_q35();
    let iommu = devices.iommu.is_some() || added;
    let passed = devices.hostdevs.len() as u64;
    let passed = if iommu { passed } else { passed.min(1) };
    let vdpa = devices.interfaces.iter().filter(|i| i.kind == "vdpa");
    passed + vdpa.count() as u64
}

/// Returns whether this libvirt allows less than devices will lock.
fn is_undercounted(cx: &Context<'_>) -> bool {
    let hypervisor = cx.facts.hypervisor.value();
    let version = hypervisor.and_then(|known| known.libvirt_version());
    spaces(cx) > 1 && version.is_some_and(|version| version < COUNTS_EACH)
}

/// Sets the limit that libvirt should have set.
fn undercounted(cx: &Context<'_>) -> Verdict {
    let need = need(cx, true);
    let because = format!(
        "{} address spaces lock {} each, and libvirt before 8.7.0 allows for \
         one: QEMU would fail to map memory for the second (-12)",
        spaces(cx),
        cx.domain.memory.total
    );
    let target = || at("memtune/hard_limit");
    let kib = need.0.div_ceil(1024).to_string();
    let trade = format!("the guest's QEMU may lock {need} of the host");
    let edits = vec![
        Edit::ensure(at("memoryBacking/locked"), &because),
        Edit::set(target().attribute("unit"), "KiB", &because),
        Edit::set(target().text(), kib, because).trading(trade),
    ];
    Verdict::Change { edits, advice: Vec::new() }
}

fn without(cx: &Context<'_>) -> Verdict {
    if cx.policy.preset == "latency" && !never_swapped(cx) {
        return Verdict::Advise(vec![format!(
            "ordinary pages can be swapped: huge pages, or <locked/> with a \
             <hard_limit> of {}, keep them in place",
            need(cx, true)
        )]);
    }
    Verdict::Satisfied("nothing is locked beyond what devices pin".into())
}

fn too_low(cx: &Context<'_>, locked: bool, limit: Bytes) -> Verdict {
    let need = need(cx, locked);
    let for_devices = match cx.domain.devices.hostdevs.len() {
        0 => String::new(),
        1 => " for a device".to_owned(),
        n => format!(" for {n} devices"),
    };
    let because = format!(
        "{need} may be locked or used{for_devices}, {limit} is allowed"
    );
    let target = || at("memtune/hard_limit");
    let edits = if locked || cx.domain.launch_security.is_some() {
        let trade = format!("the guest's QEMU may lock {need} of the host");
        let kib = need.0.div_ceil(1024).to_string();
        vec![
            Edit::set(target().attribute("unit"), "KiB", &because),
            Edit::set(target().text(), kib, because).trading(trade),
        ]
    } else {
        let because = format!("{because}; libvirt computes the right limit");
        let trade = format!("nothing stops the guest's QEMU at {limit}");
        vec![Edit::remove(target(), because).trading(trade)]
    };
    Verdict::Change { edits, advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::PageSize;
    use crate::model::Fact;
    use crate::model::domain::{Interface, IommuDevice, MemoryBacking};
    use crate::model::facts::HypervisorFacts;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::GIB;

    fn case(locked: bool, limit: Option<u64>, devices: u32) -> Case {
        let mut case = Case::plain();
        let backing = MemoryBacking { locked, ..MemoryBacking::default() };
        case.domain.memory_backing = Some(backing);
        case.domain.memory.hard_limit = limit.map(|gib| Bytes(gib * GIB));
        for function in 0..devices {
            case.pass(&format!("0000:c1:00.{function}"), Some(0));
        }
        case
    }

    #[test]
    fn nothing_is_locked_by_default() {
        assert!(case(false, None, 0).satisfied(&RULE));
        assert!(case(false, None, 2).satisfied(&RULE));
        let mut case = case(false, None, 0);
        case.policy.preset = "latency".into();
        assert!(case.said(&RULE).contains("<hard_limit> of 9 GiB"));
        case.placement.pages = Some(PageSize::TWO_MIB);
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn trap_20_locked_needs_a_limit() {
        let case = case(true, None, 0);
        assert!(case.said(&RULE).contains("all of the host's memory"));
    }

    #[test]
    fn trap_21_a_limit_covers_ram_and_devices() {
        // QEMU locks 8 GiB, VFIO counts them once more.
        assert!(case(true, Some(17), 1).satisfied(&RULE));
        let raised = [
            "/domain/memtune/hard_limit/@unit = KiB",
            "/domain/memtune/hard_limit/text() = 17825792",
        ];
        assert_eq!(case(true, Some(16), 1).changes(&RULE), raised);
        // Huge pages are only VFIO's to count.
        let mut huge = case(true, Some(9), 1);
        huge.placement.pages = Some(PageSize::ONE_GIB);
        assert!(huge.satisfied(&RULE));
        let removed = ["/domain/memtune/hard_limit removed"];
        assert_eq!(case(false, Some(8), 1).changes(&RULE), removed);
    }

    #[test]
    fn trap_20_a_locked_guest_has_room_for_qemu() {
        assert!(case(true, Some(9), 0).satisfied(&RULE));
        let raised = "/domain/memtune/hard_limit/text() = 9437184";
        assert_eq!(case(true, Some(8), 0).changes(&RULE)[1], raised);
        let verdict = case(false, Some(8), 0).verdict(&RULE);
        assert!(matches!(verdict, Verdict::Advise(_)), "not certain death");
    }

    #[test]
    fn trap_21_each_device_behind_an_iommu_counts() {
        let mut case = case(true, Some(9), 2);
        case.placement.pages = Some(PageSize::ONE_GIB);
        assert!(case.satisfied(&RULE), "no guest IOMMU: counted once");
        case.domain.devices.iommu = Some(IommuDevice::default());
        let raised = "/domain/memtune/hard_limit/text() = 17825792";
        assert_eq!(case.changes(&RULE)[1], raised);
        let kind = "vdpa".to_owned();
        case.domain.devices.interfaces.push(Interface { kind, model: None });
        let raised = "/domain/memtune/hard_limit/text() = 26214400";
        assert_eq!(case.changes(&RULE)[1], raised);
    }

    #[test]
    fn trap_21_a_libvirt_that_counts_one_device_is_helped() {
        for (version, devices, helped) in [
            ("8.6.0", 2, true),
            ("8.7.0", 2, false),
            ("11.3.0", 2, false),
            ("8.0.0", 1, false),
        ] {
            let mut case = case(false, None, devices);
            case.domain.devices.iommu = Some(IommuDevice::default());
            case.facts.hypervisor = Fact::known(
                HypervisorFacts {
                    libvirt: Fact::known(version.to_owned(), "libvirt"),
                    qemu: Fact::unknown("not part of this case"),
                    domains: BTreeMap::new(),
                },
                "libvirt",
            );
            if !helped {
                assert!(case.satisfied(&RULE), "{version}, {devices}");
                continue;
            }
            // Two spaces of 8 GiB, what <locked/> locks, and 1 GiB.
            let edits = [
                "/domain/memoryBacking/locked = ",
                "/domain/memtune/hard_limit/@unit = KiB",
                "/domain/memtune/hard_limit/text() = 26214400",
            ];
            assert_eq!(case.changes(&RULE), edits);
            case.domain.memory.hard_limit = Some(Bytes(9 * GIB));
            assert_eq!(case.changes(&RULE), edits, "too low a limit");
            case.domain.memory.hard_limit = Some(Bytes(25 * GIB));
            let backing = case.domain.memory_backing.as_mut();
            backing.unwrap().locked = true;
            assert!(case.satisfied(&RULE), "once is enough");
        }
    }

    #[test]
    fn a_limit_that_does_not_count_huge_pages_stays() {
        let mut case = case(false, Some(1), 0);
        assert!(matches!(case.verdict(&RULE), Verdict::Change { .. }));
        case.placement.pages = Some(PageSize::ONE_GIB);
        assert!(matches!(case.verdict(&RULE), Verdict::Advise(_)));
    }

    #[test]
    fn encrypted_guests_keep_their_limit() {
        let mut case = case(false, Some(10), 0);
        case.domain.launch_security = Some("sev".into());
        assert!(case.satisfied(&RULE));
        case.domain.memory.hard_limit = Some(Bytes(GIB));
        let raised = "/domain/memtune/hard_limit/text() = 9437184";
        assert_eq!(case.changes(&RULE)[1], raised);
    }
}
