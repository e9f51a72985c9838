//! What backs the guest's memory: combinations that libvirt refuses, and
//! page sizes that the memory does not fill.

use super::flaw::Flaw;
use super::memory::{Pages, page_cells, pages, parts};
use super::scene::Scene;
use super::vm::Vm;
use crate::model::domain::BackingPage;
use crate::model::policy;

const ELEMENT: &str = "memoryBacking/hugepages";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    wanted_size(scene, vm, found);
    let backing = vm.domain.memory_backing.as_ref();
    let Some(listed) = backing.and_then(|b| b.hugepages.as_ref()) else {
        return;
    };
    sources(vm, found);
    listed_pages(vm, listed, found);
    whole_pages(scene, vm, found);
}

/// A page size that the policy names is not for choice.
fn wanted_size(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let policy::Pages::Size(wanted) = vm.policy.memory.pages else { return };
    let differs = parts(vm.domain).iter().any(|part| {
        let pages = pages(&scene.host, vm.domain, part.cell);
        pages != Pages::Huge(wanted) && pages != Pages::Unknown
    });
    if differs {
        let what = format!("not all memory is of {wanted} pages, as asked for");
        let remedy = format!("Write <page> of {wanted} for all cells.");
        let flaw = Flaw::broken("hugepages", what, remedy);
        found.push(flaw.at(vm.line(ELEMENT)));
    }
}

/// libvirt wants huge pages to be shared files, there from the start.
fn sources(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let Some(backing) = &vm.domain.memory_backing else { return };
    let mut refuse = |what: &str, path: &str| {
        let remedy = "Remove the element, or <hugepages>.";
        let flaw = Flaw::refused("memory-backing", what, remedy);
        found.push(flaw.at(vm.line(path)));
    };
    if backing.source.as_deref() == Some("anonymous") {
        let what = "anonymous memory beside huge pages";
        refuse(what, "memoryBacking/source");
    }
    if backing.allocation.as_deref() == Some("ondemand") {
        let what = "allocation on demand beside huge pages";
        refuse(what, "memoryBacking/allocation");
    }
}

/// Every `<page>` has a size that exists and cells that the guest has, and
/// no cell two sizes.
fn listed_pages(vm: &Vm<'_>, listed: &[BackingPage], found: &mut Vec<Flaw>) {
    // libvirt takes cell 0 to be there in a guest without cells too.
    let cells = vm.domain.cells().len().max(1);
    let mut taken = Vec::new();
    let mut masters = 0;
    for (place, page) in (1..).zip(listed) {
        let mut refuse = |what: String, remedy: &str| {
            let path = format!("{ELEMENT}/page[{place}]");
            let flaw = Flaw::refused("hugepages", what, remedy);
            found.push(flaw.at(vm.line(&path)));
        };
        if page.size.is_none() {
            let what = "a page size that is not a power of two".to_owned();
            refuse(what, "Write a size that the host has.");
        }
        let Some(named) = page_cells(page) else {
            masters += 1;
            if masters == 2 {
                let what = "two page sizes for all cells".to_owned();
                refuse(what, "Name the cells of one of them.");
            }
            continue;
        };
        let stray = named.iter().find(|&&cell| cell as usize >= cells);
        if let Some(cell) = stray {
            let what = format!("pages of guest cell {cell} of {cells}");
            refuse(what, "Name cells of the guest, not nodes of the host.");
        }
        if let Some(cell) = named.iter().find(|cell| taken.contains(*cell)) {
            let what = format!("two page sizes for guest cell {cell}");
            refuse(what, "Name each cell once.");
        }
        taken.extend(named);
    }
}

/// A cell is made of whole pages.
fn whole_pages(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    for part in parts(vm.domain) {
        let Pages::Huge(size) = pages(&scene.host, vm.domain, part.cell) else {
            continue;
        };
        if part.memory.0.is_multiple_of(size.bytes()) {
            continue;
        }
        let whose = part.cell.map_or_else(
            || "the memory".to_owned(),
            |cell| format!("cell {cell}"),
        );
        let what =
            format!("{whose} has {}, no whole {size} pages", part.memory);
        let remedy = format!("Make it a multiple of {size}.");
        let flaw = Flaw::refused("hugepages", what, remedy);
        found.push(flaw.at(vm.line(ELEMENT)));
    }
}
