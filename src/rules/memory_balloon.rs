//! Removes the balloon from a guest whose memory cannot be taken back.
//!
//! A balloon gives the host pages that the guest does not need. Pages that a
//! device may write to at any time, huge, locked and encrypted pages cannot be
//! given; QEMU then ignores the balloon, or, worse, the guest loses memory
//! that nobody gains. libvirt adds a balloon wherever the definition does
//! not say `none`.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "memory-balloon",
    group: Group::GuestMemory,
    why: "Pinned, locked, huge and encrypted pages cannot be ballooned: the device only \
          takes memory from the guest.",
    hurts: "The host loses the memory statistics that the balloon's driver \
            reports from inside the guest.",
    folklore: "`<currentMemory>` below `<memory>` is used to save memory on \
               the host; with a passed-through device all of `<memory>` is \
               pinned at start.",
    sources: &[
        "libvirt formatdomain: Memory balloon device",
        "QEMU hw/virtio/virtio-balloon.c, virtio_balloon_inhibited",
        "Linux Documentation/driver-api/vfio.rst",
    ],
    level: Level::Plan,
    owns: &["/domain/devices/memballoon", "/domain/currentMemory"],
    evaluate: Evaluate::Vm(evaluate),
};

/// Why a balloon may stay.
const NOT_PINNED: &str = "ordinary pages without passthrough can be ballooned";

/// Returns why the guest's memory cannot be ballooned; `None` where it can.
fn reason(cx: &Context<'_>) -> Option<String> {
    let backing = cx.domain.memory_backing.as_ref();
    Some(if cx.domain.has_passthrough() {
        match cx.domain.devices.hostdevs.len() {
            0 | 1 => "VFIO pins all guest memory for a device".to_owned(),
            n => format!("VFIO pins all guest memory for {n} devices"),
        }
    } else if cx.will_have_hugepages() {
        "huge pages are not given back piece by piece".to_owned()
    } else if let Some(kind) = &cx.domain.launch_security {
        format!("memory that {kind} encrypts cannot be given back")
    } else if backing.is_some_and(|backing| backing.locked) {
        "the guest's memory is locked".to_owned()
    } else {
        return None;
    })
}

fn evaluate(cx: &Context<'_>) -> Verdict {
    let Some(because) = reason(cx) else {
        return Verdict::NotApplicable(NOT_PINNED);
    };
    let mut edits = Vec::new();
    if cx.domain.devices.memballoon.as_deref() != Some("none") {
        let target = at("devices/memballoon").attribute("model");
        edits.push(Edit::set(target, "none", &because));
    }
    let total = cx.domain.memory.total;
    if let Some(current) = cx.domain.memory.current.filter(|now| *now < total) {
        let because = format!(
            "{because}: without a balloon the guest has its {total} from the \
             start, not {current}"
        );
        edits.push(Edit::remove(at("currentMemory"), because));
    }
    if edits.is_empty() {
        return Verdict::Satisfied(format!("no balloon; {because}"));
    }
    Verdict::Change { edits, advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Bytes, PageSize};
    use crate::model::domain::MemoryBacking;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::GIB;

    const NONE: &str = "/domain/devices/memballoon/@model = none";

    #[test]
    fn ordinary_memory_may_be_ballooned() {
        let verdict = Case::plain().verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
    }

    #[test]
    fn trap_21_no_balloon_beside_vfio() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", Some(0));
        assert_eq!(case.changes(&RULE), [NONE]);
        case.domain.devices.memballoon = Some("virtio".into());
        assert_eq!(case.changes(&RULE), [NONE]);
        case.domain.devices.memballoon = Some("none".into());
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn huge_locked_and_encrypted_pages_have_none_either() {
        let mut case = Case::plain();
        case.placement.pages = Some(PageSize::TWO_MIB);
        assert_eq!(case.changes(&RULE), [NONE]);
        let mut case = Case::plain();
        let locked = MemoryBacking { locked: true, ..MemoryBacking::default() };
        case.domain.memory_backing = Some(locked);
        assert_eq!(case.changes(&RULE), [NONE]);
        let mut case = Case::plain();
        case.domain.launch_security = Some("sev-snp".into());
        assert_eq!(case.changes(&RULE), [NONE]);
    }

    #[test]
    fn a_smaller_current_memory_goes_with_the_balloon() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", Some(0));
        case.domain.memory.current = Some(Bytes(4 * GIB));
        assert_eq!(
            case.changes(&RULE),
            [NONE, "/domain/currentMemory removed"]
        );
        case.domain.memory.current = Some(Bytes(8 * GIB));
        assert_eq!(case.changes(&RULE), [NONE]);
    }
}
