//! Backs the guest's memory with huge pages: `<hugepages>`.
//!
//! A guest's access to memory walks two page tables; a larger host page cuts
//! the second walk short and makes TLB misses rarer. Which size is the
//! placement's decision, for pages are scarce; this writes it down. It hurts
//! where memory is overcommitted: huge pages are neither swapped nor shared.

pub(super) mod conf;

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::{CellId, IdSet, NodeId, PageSize};
use crate::model::Fact;
use crate::model::domain::BackingPage;
use crate::model::facts::HugepagePool;
use crate::model::policy::{Level, Pages};

/// The rule.
pub const RULE: Rule = Rule {
    id: "hugepages",
    group: Group::GuestMemory,
    why: "Huge pages shorten the page walks of the guest's memory accesses \
          and are never swapped.",
    hurts: "The host cannot use the pages for anything else, not even while \
            the VM is off; ballooning and page sharing end.",
    folklore: "A `nodeset=\"0-3,5\"` from the manual's example names guest \
               nodes, not the host's, and is refused unless the guest has \
               as many. Streaming bandwidth alone gains little.",
    sources: &[
        "libvirt formatdomain: Memory Backing",
        "Linux Documentation/admin-guide/mm/hugetlbpage.rst",
    ],
    level: Level::Plan,
    owns: &["/domain/memoryBacking/hugepages"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    match cx.placement.pages {
        Some(size) => back(cx, size),
        None => do_without(cx),
    }
}

/// Writes down the pages of the placement.
fn back(cx: &Context<'_>, size: PageSize) -> Verdict {
    if let Some(odd) = cx
        .placement
        .cells
        .iter()
        .find(|c| !c.memory.0.is_multiple_of(size.bytes()))
    {
        return Verdict::Advise(vec![format!(
            "guest node {} has {}, which is no multiple of {size}: give it a \
             multiple, or QEMU refuses to start on pages of that size",
            odd.id, odd.memory,
        )]);
    }
    let own = cx.domain.memory_backing.as_ref();
    let own = own.and_then(|b| b.hugepages.as_deref());
    if own.is_some_and(|pages| backs_all(cx, pages, size)) {
        return Verdict::Satisfied(format!("all memory is in {size} pages"));
    }
    let pages = own.unwrap_or_default();
    let mut because = format!("the plan needs {}", needs(cx, size));
    if own.is_some_and(<[_]>::is_empty) {
        because += "; without a size, the kernel's default decides";
    }
    let page = at("memoryBacking/hugepages/page");
    let first =
        if pages.is_empty() { page.clone() } else { page.clone().nth(1) };
    let mut edits = vec![
        Edit::set(
            first.clone().attribute("size"),
            size.kib().to_string(),
            &because,
        ),
        Edit::set(first.clone().attribute("unit"), "KiB", &because),
    ];
    if pages.first().is_some_and(|page| page.nodeset.is_some()) {
        let because = "one size backs all guest nodes";
        edits.push(Edit::remove(first.attribute("nodeset"), because));
    }
    // From the last: a removal does not move those before it.
    for position in (2..=pages.len()).rev() {
        let because = format!("all memory is in {size} pages");
        edits.push(Edit::remove(page.clone().nth(position), because));
    }
    Verdict::Change { edits, advice: Vec::new() }
}

/// Returns whether these `<page>`s, which name guest nodes, put all the guest
/// in pages of that size. A guest without NUMA counts as node 0.
fn backs_all(cx: &Context<'_>, pages: &[BackingPage], size: PageSize) -> bool {
    let Some(pages) = pages.iter().map(read).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let known = |id| cx.placement.cells.iter().any(|cell| cell.id == id);
    let exist = pages
        .iter()
        .flat_map(|(_, nodes)| nodes)
        .all(|nodes| nodes.iter().all(known));
    let general = pages.iter().find(|(_, nodes)| nodes.is_none());
    exist
        && cx.placement.cells.iter().all(|cell| {
            let named = |(_, nodes): &&(_, Option<IdSet<CellId>>)| {
                nodes.as_ref().is_some_and(|nodes| nodes.contains(cell.id))
            };
            let page = pages.iter().find(named).or(general);
            page.is_some_and(|(own, _)| *own == size)
        })
}

fn read(page: &BackingPage) -> Option<(PageSize, Option<IdSet<CellId>>)> {
    let nodes = match &page.nodeset {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    Some((page.size?, nodes))
}

/// Takes guest nodes that will not be there out of `<page>`s that stay:
/// libvirt refuses them, whatever the size.
fn without_cells_that_go(cx: &Context<'_>) -> Vec<Edit> {
    let backing = cx.domain.memory_backing.as_ref();
    let pages = backing.and_then(|backing| backing.hugepages.as_deref());
    let pages = pages.unwrap_or_default();
    let known = |id: &CellId| cx.placement.cells.iter().any(|c| c.id == *id);
    let place = at("memoryBacking/hugepages");
    if cx.pages_go_with_cells() {
        let because = "it names only guest nodes that the plan does not have";
        return vec![Edit::remove(place, because)];
    }
    let mut edits = Vec::new();
    // From the last: a removal does not move those before it.
    for (index, page) in pages.iter().enumerate().rev() {
        let Some((_, Some(cells))) = read(page) else { continue };
        let left: IdSet<CellId> = cells.iter().filter(known).collect();
        if left == cells {
            continue;
        }
        let because = format!("the plan has no guest node {}", {
            cells.difference(&left)
        });
        let page = match pages.len() {
            1 => place.clone().child("page"),
            _ => place.clone().child("page").nth(index + 1),
        };
        edits.push(if left.is_empty() {
            Edit::remove(page, because)
        } else {
            let target = page.attribute("nodeset");
            Edit::set(target, left.to_string(), because)
        });
    }
    edits
}

/// Keeps, removes or misses huge pages that the placement does not give.
fn do_without(cx: &Context<'_>) -> Verdict {
    let own = cx.domain.has_hugepages();
    let target = || at("memoryBacking/hugepages");
    let undecided = cx.policy.memory.pages == Pages::Auto
        && cx.facts.memory.hugepages.value().is_none();
    let stray = without_cells_that_go(cx);
    if (!own || undecided) && !stray.is_empty() {
        return Verdict::Change { edits: stray, advice: Vec::new() };
    }
    if cx.policy.memory.pages == Pages::None {
        if !own {
            return Verdict::Satisfied(
                "ordinary pages, as the policy says".into(),
            );
        }
        let edit =
            Edit::remove(target(), "the policy says memory.pages = none");
        return Verdict::Change { edits: vec![edit], advice: Vec::new() };
    }
    if let Fact::Unknown { unknown } = &cx.facts.memory.hugepages {
        return Verdict::Unknown {
            fact: "huge page pools",
            why: unknown.clone(),
        };
    }
    let advice = remedy(cx);
    if own {
        let because =
            format!("too few huge pages are free: {}", advice.join("; "));
        let edits = vec![Edit::remove(target(), because)];
        return Verdict::Change { edits, advice };
    }
    Verdict::Advise(advice)
}

/// Says how many pages of which size would do, for each size that can.
fn remedy(cx: &Context<'_>) -> Vec<String> {
    let pools =
        cx.facts.memory.hugepages.value().map_or(&[][..], Vec::as_slice);
    let sizes: BTreeSet<PageSize> =
        pools.iter().map(|pool| pool.size).collect();
    let fits = |size: &&PageSize| {
        let whole = |bytes: u64| bytes.is_multiple_of(size.bytes());
        cx.placement.cells.iter().all(|cell| whole(cell.memory.0))
    };
    let ways: Vec<String> =
        sizes.iter().rev().filter(fits).map(|size| needs(cx, *size)).collect();
    if ways.is_empty() {
        return vec![
            "no huge page size of this host divides the guest's memory".into(),
        ];
    }
    vec![format!("huge pages would take {}", ways.join(", or "))]
}

/// Says how many pages of a size each node must have: "8 1G pages on node 0
/// (3 free)".
fn needs(cx: &Context<'_>, size: PageSize) -> String {
    let mut wanted: BTreeMap<NodeId, u64> = BTreeMap::new();
    for cell in &cx.placement.cells {
        *wanted.entry(cell.memory_node).or_default() += size.pages(cell.memory);
    }
    let pools = &cx.facts.memory.hugepages;
    let pool_of = |node| {
        let is = |pool: &&HugepagePool| pool.node == node && pool.size == size;
        pools.value().and_then(|pools| pools.iter().find(is))
    };
    let each = wanted.into_iter().map(|(node, pages)| {
        let free = pool_of(node).and_then(|pool| pool.free.value());
        let free = match (free, pools.origin()) {
            (Some(free), Some(origin)) => format!("{free} free, {origin}"),
            _ => "how many are free is unknown".to_owned(),
        };
        format!("{pages} {size} pages on node {node} ({free})")
    });
    each.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Bytes;
    use crate::model::domain::MemoryBacking;
    use crate::rules::fixture::Case;
    use crate::rules::memory_fixture::GIB;

    fn own(case: &mut Case, pages: &[(PageSize, Option<&str>)]) {
        let pages = pages.iter().map(|(size, nodeset)| BackingPage {
            size: Some(*size),
            nodeset: nodeset.map(str::to_owned),
        });
        case.domain.memory_backing = Some(MemoryBacking {
            hugepages: Some(pages.collect()),
            ..MemoryBacking::default()
        });
    }

    const HUGE: PageSize = PageSize::ONE_GIB;
    const LARGE: PageSize = PageSize::TWO_MIB;

    #[test]
    fn the_placement_is_written_down() {
        let mut case = Case::plain();
        case.placement.pages = Some(HUGE);
        case.pool(HUGE, &[12, 0]);
        let edits = [
            "/domain/memoryBacking/hugepages/page/@size = 1048576",
            "/domain/memoryBacking/hugepages/page/@unit = KiB",
        ];
        assert_eq!(case.changes(&RULE), edits);
        own(&mut case, &[]);
        assert_eq!(case.changes(&RULE), edits, "no size is no promise");
        own(&mut case, &[(HUGE, None)]);
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn trap_16_nodesets_are_of_the_guest() {
        let mut case = Case::plain();
        case.placement.pages = Some(HUGE);
        case.place_on(&[0, 1]);
        own(&mut case, &[(HUGE, Some("0-3,5"))]);
        let edits = [
            "/domain/memoryBacking/hugepages/page[1]/@size = 1048576",
            "/domain/memoryBacking/hugepages/page[1]/@unit = KiB",
            "/domain/memoryBacking/hugepages/page[1]/@nodeset removed",
        ];
        assert_eq!(case.changes(&RULE), edits);
    }

    #[test]
    fn pages_that_come_to_the_same_stay() {
        let mut case = Case::plain();
        case.placement.pages = Some(HUGE);
        case.place_on(&[0, 1]);
        own(&mut case, &[(HUGE, Some("1")), (HUGE, Some("0"))]);
        assert!(case.satisfied(&RULE));
        own(&mut case, &[(HUGE, None), (LARGE, Some("1"))]);
        assert_eq!(
            case.changes(&RULE).last().map(String::as_str),
            Some("/domain/memoryBacking/hugepages/page[2] removed")
        );
        own(&mut case, &[(HUGE, Some("0"))]);
        assert!(!case.satisfied(&RULE), "node 1 would be ordinary");
    }

    #[test]
    fn trap_18_odd_memory_is_never_backed() {
        let mut case = Case::plain();
        case.placement.pages = Some(HUGE);
        case.placement.cells[0].memory = Bytes(3 * GIB / 2);
        assert!(case.said(&RULE).contains("no multiple of 1G"));
    }

    #[test]
    fn trap_19_free_pages_are_counted_by_node() {
        let mut case = Case::plain();
        case.pool(HUGE, &[3, 64]);
        case.pool(LARGE, &[100, 0]);
        assert_eq!(
            case.said(&RULE),
            "huge pages would take 8 1G pages on node 0 (3 free, \
             hugepages-origin), or 4096 2M pages on node 0 (100 free, \
             hugepages-origin)"
        );
        own(&mut case, &[(HUGE, None)]);
        let edits = ["/domain/memoryBacking/hugepages removed"];
        assert_eq!(case.changes(&RULE), edits);
    }

    #[test]
    fn unknown_pools_change_nothing() {
        let mut case = Case::plain();
        own(&mut case, &[(HUGE, None)]);
        assert!(matches!(case.verdict(&RULE), Verdict::Unknown { .. }));
    }

    #[test]
    fn the_policy_may_want_none() {
        let mut case = Case::plain();
        case.policy.memory.pages = Pages::None;
        assert!(case.satisfied(&RULE));
        own(&mut case, &[(LARGE, None)]);
        let edits = ["/domain/memoryBacking/hugepages removed"];
        assert_eq!(case.changes(&RULE), edits);
    }
}
