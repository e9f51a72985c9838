//! Where a guest's memory comes from: nodes and page size, cell by cell.

use super::host::Host;
use super::vm::vcpus;
use crate::base::{Bytes, CellId, NodeSet, PageSize, VcpuSet};
use crate::model::domain::{BackingPage, Domain, GuestCell};

/// A piece of guest memory that is bound and backed alike: a cell, or all.
pub(super) struct Part {
    /// The cell; `None` for a guest without any.
    pub(super) cell: Option<CellId>,
    pub(super) vcpus: VcpuSet,
    pub(super) memory: Bytes,
}

/// How memory is bound.
pub(super) enum Binding<'a> {
    /// It is not.
    None,
    /// numad chooses at start.
    Auto,
    /// To these nodes, and for strict to no others.
    Nodes { nodes: &'a NodeSet, strict: bool },
}

/// Which pages memory is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// The system's own.
    Ordinary,
    /// Huge pages of this size.
    Huge(PageSize),
    /// Huge pages of a size that is not known.
    Unknown,
}

/// Returns a guest's memory in parts, without plugged modules.
pub(super) fn parts(domain: &Domain) -> Vec<Part> {
    let of_cell = |cell: &GuestCell| Part {
        cell: Some(cell.id),
        vcpus: cell.vcpus.clone(),
        memory: cell.memory,
    };
    if !domain.cells().is_empty() {
        return domain.cells().iter().map(of_cell).collect();
    }
    let memory = &domain.memory;
    let fixed = Bytes(memory.total.0.saturating_sub(memory.modules.0));
    vec![Part { cell: None, vcpus: vcpus(domain).collect(), memory: fixed }]
}

/// Returns how a part's memory is bound. libvirt takes `strict` where no
/// mode is given; `restrictive` binds as hard, by other means.
pub(super) fn binding(domain: &Domain, cell: Option<CellId>) -> Binding<'_> {
    let is_strict = |mode: &Option<String>| {
        matches!(mode.as_deref(), None | Some("strict" | "restrictive"))
    };
    let memnodes = &domain.numatune.memnodes;
    if let Some(memnode) = cell.and_then(|cell| memnodes.get(&cell)) {
        let strict = is_strict(&memnode.mode);
        return Binding::Nodes { nodes: &memnode.nodeset, strict };
    }
    let memory = domain.numatune.memory.as_ref();
    let auto = Some("auto");
    if memory.is_some_and(|memory| memory.placement.as_deref() == auto) {
        return Binding::Auto;
    }
    match memory.and_then(|m| Some((&m.mode, m.nodeset.as_ref()?))) {
        Some((mode, nodes)) => {
            Binding::Nodes { nodes, strict: is_strict(mode) }
        }
        None if domain.vcpu_placement.as_deref() == auto => Binding::Auto,
        None => Binding::None,
    }
}

/// Returns the pages that a part is made of.
pub(super) fn pages(
    host: &Host<'_>,
    domain: &Domain,
    cell: Option<CellId>,
) -> Pages {
    let backing = domain.memory_backing.as_ref();
    let Some(listed) = backing.and_then(|b| b.hugepages.as_ref()) else {
        return Pages::Ordinary;
    };
    if listed.is_empty() {
        return default_size(host).map_or(Pages::Unknown, Pages::Huge);
    }
    let named = cell.map_or(0, |cell| cell.0);
    let own = listed.iter().find(|page| {
        page_cells(page).is_some_and(|cells| cells.contains(&named))
    });
    let master = listed.iter().find(|page| page.nodeset.is_none());
    match own.or(master).map(|page| page.size) {
        None | Some(Some(PageSize::SMALL)) => Pages::Ordinary,
        Some(Some(size)) => Pages::Huge(size),
        Some(None) => Pages::Unknown,
    }
}

/// Returns the guest cells that a `<page>` names; `None` where it names none
/// or what it names cannot be read.
pub(super) fn page_cells(page: &BackingPage) -> Option<Vec<u32>> {
    let cells: VcpuSet = page.nodeset.as_deref()?.parse().ok()?;
    Some(cells.iter().map(|cell| cell.0).collect())
}

/// Returns the kernel's default size of huge pages, where its command line
/// is known: 2 MiB on x86 unless it says otherwise.
fn default_size(host: &Host<'_>) -> Option<PageSize> {
    let words = host.facts.kernel.command_line.value()?.split_whitespace();
    let mut said =
        words.filter_map(|word| word.strip_prefix("default_hugepagesz="));
    match said.next_back() {
        Some(size) => size.to_uppercase().parse().ok(),
        None => {
            let x86 = host.facts.arch.is(&"x86_64".to_owned());
            x86.then_some(PageSize::TWO_MIB)
        }
    }
}
