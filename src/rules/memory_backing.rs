//! Sets what backs the guest's memory besides its page size: sharing with
//! other processes, where it lives, when it is allocated, and KSM.
//!
//! Most combinations are only a matter of taste; this rule leaves those
//! alone. It mends the ones that libvirt refuses, that starve a vhost-user
//! or virtiofs device of the guest's memory, or that quietly put ordinary
//! memory into a file on the host's disk.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::XmlPath;
use crate::model::Fact;
use crate::model::domain::{GuestCell, MemoryBacking};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "memory-backing",
    group: Group::GuestMemory,
    why: "Memory that is merged with other guests' or kept in a file costs \
          faults at times that nobody chose.",
    hurts: "A guest that is not merged needs all of its memory.",
    folklore: "Guides list `<hugepages/>` together with source 'anonymous' \
               and allocation 'ondemand', which libvirt refuses, and \
               `<discard/>`, which does nothing unless a file backs the \
               memory. Alternatives as in type=\"file|memfd\" are not \
               valid XML of libvirt's.",
    sources: &[
        "libvirt formatdomain: Memory Backing",
        "Linux Documentation/admin-guide/mm/ksm.rst",
        "tried on libvirt 11.3: define and domxml-to-native of all \
         combinations of pages, source, access and allocation",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/memoryBacking/nosharepages",
        "/domain/memoryBacking/source",
        "/domain/memoryBacking/access",
        "/domain/memoryBacking/allocation",
        "/domain/memoryBacking/discard",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let none = MemoryBacking::default();
    let own = cx.domain.memory_backing.as_ref().unwrap_or(&none);
    let mut edits = Vec::new();
    edits.extend(nosharepages(cx, own));
    // libvirt takes the element for huge pages even where it names the size
    // of ordinary ones, and the hugepages rule leaves that alone.
    let named = own.hugepages.is_some()
        && !cx.domain.has_hugepages()
        && !cx.pages_go_with_cells();
    edits.extend(if named || cx.will_have_hugepages() {
        with_hugepages(own)
    } else {
        with_ordinary_pages(cx, own)
    });
    edits.extend(shared_access(cx, own));
    let advice = advice(cx, own);
    match (edits.is_empty(), advice.is_empty()) {
        (true, true) => {
            Verdict::Satisfied("nothing contradicts the memory's pages".into())
        }
        (true, false) => Verdict::Advise(advice),
        (false, _) => Verdict::Change { edits, advice },
    }
}

fn backing(element: &str) -> XmlPath {
    at("memoryBacking").child(element)
}

fn nosharepages(cx: &Context<'_>, own: &MemoryBacking) -> Option<Edit> {
    let because = if cx.placement.exclusive {
        "a write to a page that KSM merged stops a vCPU for a fault and a \
         copy, and the CPUs are dedicated"
    } else if cx.will_have_hugepages() {
        "KSM cannot merge huge pages and need not scan the rest"
    } else {
        return None;
    };
    let because = match &cx.facts.memory.ksm {
        Fact::Known { value: 1, origin } => {
            format!("{because}; KSM is running ({origin})")
        }
        _ => because.to_owned(),
    };
    (!own.nosharepages).then(|| Edit::ensure(backing("nosharepages"), because))
}

/// Mends what libvirt refuses beside huge pages.
fn with_hugepages(own: &MemoryBacking) -> Vec<Edit> {
    let mut edits = Vec::new();
    if own.source.as_deref() == Some("anonymous") {
        let because = "libvirt refuses huge pages from an anonymous source";
        edits.push(Edit::remove(backing("source"), because));
    }
    if own.allocation.as_deref() == Some("ondemand") {
        let because = "libvirt refuses huge pages that are allocated on \
                       demand: a page that is missing then kills the guest";
        let target = backing("allocation").attribute("mode");
        edits.push(Edit::set(target, "immediate", because));
    }
    edits
}

/// Keeps ordinary memory out of files. libvirt backs it by a file under
/// /var/lib/libvirt/qemu/ram as soon as `<access>` or a cell's `memAccess` is
/// there, unless the source is memfd.
fn with_ordinary_pages(cx: &Context<'_>, own: &MemoryBacking) -> Vec<Edit> {
    let on_disk = "libvirt would keep the memory in a file on the host's disk";
    let memfd = |because: String| {
        vec![Edit::set(backing("source").attribute("type"), "memfd", because)]
    };
    let by_cell = |c: &GuestCell| c.mem_access.as_deref() == Some("shared");
    let by_cell = cx.domain.cells().iter().any(by_cell).then_some("shared");
    match (own.source.as_deref(), own.access.as_deref().or(by_cell)) {
        (Some("memfd" | "file"), _) => Vec::new(),
        _ if cx.domain.devices.needs_shared_memory => memfd(format!(
            "a vhost-user or virtiofs device shares the guest's memory; \
             without memfd {on_disk}"
        )),
        (_, Some("shared")) => memfd(format!("without memfd {on_disk}")),
        (_, Some(_)) => {
            let because = format!(
                "ordinary memory is private anyway, and with this {on_disk}"
            );
            vec![Edit::remove(backing("access"), because)]
        }
        (_, None) => Vec::new(),
    }
}

fn shared_access(cx: &Context<'_>, own: &MemoryBacking) -> Option<Edit> {
    let cells = cx.domain.cells();
    let by_cell = !cells.is_empty()
        && cells.iter().all(|c| c.mem_access.as_deref() == Some("shared"));
    let shared = by_cell || own.access.as_deref() == Some("shared");
    (cx.domain.devices.needs_shared_memory && !shared).then(|| {
        let because = "a vhost-user or virtiofs device reads and writes the \
                       guest's memory from another process";
        Edit::set(backing("access").attribute("mode"), "shared", because)
            .trading("the device's process can read and write all guest memory")
    })
}

fn advice(cx: &Context<'_>, own: &MemoryBacking) -> Vec<String> {
    let mut advice = Vec::new();
    let huge = cx.will_have_hugepages();
    let file = own.source.as_deref() == Some("file") && !huge;
    if file {
        advice.push(
            "source 'file' without huge pages keeps the guest's memory in a \
             file under libvirt's memory_backing_dir: unless that is a \
             tmpfs, the host writes it to disk; memfd does the same in memory"
                .into(),
        );
    }
    if own.discard && (!file || cx.domain.has_passthrough()) {
        advice.push(
            "<discard/> gains nothing here: it spares the write-back of a \
             file, and memory from huge pages, memfd or no file has none"
                .into(),
        );
    }
    let private = |c: &&GuestCell| c.mem_access.as_deref() == Some("private");
    if cx.domain.devices.needs_shared_memory {
        advice.extend(cx.domain.cells().iter().filter(private).map(|cell| {
            format!(
                "guest node {} has memAccess='private', which the vhost-user \
                 or virtiofs device cannot use: make it 'shared'",
                cell.id
            )
        }));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PageSize;
    use crate::rules::fixture::Case;

    /// A guest whose CPUs are shared, so that KSM is not this test's matter.
    fn case(huge: bool, words: &str) -> Case {
        let mut case = Case::plain();
        case.placement.exclusive = false;
        case.placement.pages = huge.then_some(PageSize::TWO_MIB);
        let word = |all: &[&str]| {
            let found = all.iter().find(|w| words.split(' ').any(|x| x == **w));
            found.map(|w| (*w).to_owned())
        };
        case.domain.memory_backing = Some(MemoryBacking {
            nosharepages: true,
            discard: word(&["discard"]).is_some(),
            source: word(&["anonymous", "memfd", "file"]),
            access: word(&["shared", "private"]),
            allocation: word(&["immediate", "ondemand"]),
            ..MemoryBacking::default()
        });
        case.domain.devices.needs_shared_memory = word(&["virtiofs"]).is_some();
        case
    }

    /// What libvirt refuses or puts on disk, and what becomes of it; `""`
    /// for what stays. Both columns were put to libvirt.
    #[test]
    fn trap_16_combinations() {
        const SOURCE: &str = "/domain/memoryBacking/source";
        const ACCESS: &str = "/domain/memoryBacking/access";
        const NOW: &str = "/domain/memoryBacking/allocation/@mode = immediate";
        let memfd = &format!("{SOURCE}/@type = memfd");
        let shared = &format!("{ACCESS}/@mode = shared");
        let no_source = &format!("{SOURCE} removed");
        let no_access = &format!("{ACCESS} removed");
        let table: &[(bool, &str, &[&str])] = &[
            (true, "", &[]),
            (true, "memfd", &[]),
            (true, "file", &[]),
            (true, "immediate", &[]),
            (true, "private", &[]),
            (true, "shared", &[]),
            (true, "memfd shared immediate", &[]),
            (true, "anonymous", &[no_source]),
            (true, "ondemand", &[NOW]),
            (true, "anonymous ondemand shared", &[no_source, NOW]),
            (true, "virtiofs", &[shared]),
            (true, "virtiofs anonymous", &[no_source, shared]),
            (true, "virtiofs memfd private", &[shared]),
            (false, "", &[]),
            (false, "anonymous", &[]),
            (false, "ondemand", &[]),
            (false, "immediate", &[]),
            (false, "memfd", &[]),
            (false, "memfd shared", &[]),
            (false, "shared", &[memfd]),
            (false, "anonymous shared", &[memfd]),
            (false, "private", &[no_access]),
            (false, "anonymous private", &[no_access]),
            (false, "virtiofs", &[memfd, shared]),
            (false, "virtiofs anonymous private", &[memfd, shared]),
            (false, "virtiofs memfd shared", &[]),
            (false, "virtiofs file shared immediate", &[]),
        ];
        for &(huge, words, expected) in table {
            let case = case(huge, words);
            let edits = match case.verdict(&RULE) {
                Verdict::Change { .. } => case.changes(&RULE),
                _ => Vec::new(),
            };
            assert_eq!(edits, expected, "huge pages {huge}: {words}");
        }
    }

    #[test]
    fn dedicated_cpus_are_not_stopped_by_ksm() {
        let mut case = Case::plain();
        let edits = ["/domain/memoryBacking/nosharepages = "];
        assert_eq!(case.changes(&RULE), edits);
        case.facts.memory.ksm = Fact::known(1, "/sys/kernel/mm/ksm/run");
        assert!(case.reasons(&RULE).contains("running (/sys/kernel/mm/ksm"));
        case.placement.exclusive = false;
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn what_is_only_pointless_stays() {
        for (huge, words) in
            [(true, "discard"), (false, "discard"), (false, "memfd discard")]
        {
            let advice = case(huge, words).said(&RULE);
            assert!(advice.contains("<discard/>"), "{words}");
        }
        assert!(!case(false, "file discard").said(&RULE).contains("discard"));
        assert!(case(false, "file").said(&RULE).contains("tmpfs"));
    }

    #[test]
    fn shared_cells_do_not_go_to_disk() {
        let mut case = case(false, "");
        case.define_cells();
        case.cpu().cells[0].mem_access = Some("shared".into());
        let edits = ["/domain/memoryBacking/source/@type = memfd"];
        assert_eq!(case.changes(&RULE), edits);
    }

    #[test]
    fn cells_may_say_it_for_themselves() {
        let mut case = case(true, "virtiofs");
        case.define_cells();
        for (access, edits) in [("shared", false), ("private", true)] {
            let cpu = case.domain.cpu.as_mut().unwrap();
            cpu.cells[0].mem_access = Some(access.into());
            let changes = matches!(case.verdict(&RULE), Verdict::Change { .. });
            assert_eq!(changes, edits);
        }
        assert!(case.said(&RULE).contains("guest node 0"));
    }
}
