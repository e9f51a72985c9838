//! The forms that a VM can take on a host: its cells, guest cores and pages.

use super::board::Board;
use super::curve::Unit;
use super::demand::{CellWish, Demand};
use super::shortage::Short;
use crate::base::{Bytes, CellId, PageSize, VcpuId};
use crate::model::policy::{Emulator, Pages, PlacementMode, Smt};

/// One form of a VM: all is settled but where it goes.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Its cells.
    pub(super) cells: Vec<ShapeCell>,
    /// Guest threads per core, as the guest sees them.
    pub(super) threads: u32,
    /// How vCPUs sit on cores.
    pub(super) unit: Unit,
    /// The kind of core.
    pub(super) kind: usize,
    /// The page size; `None` for ordinary pages.
    pub(super) size: Option<PageSize>,
    /// Whether pools may be given pages of that size for it.
    pub(super) reserves: bool,
    /// Whether two cells may go to one node.
    pub(super) may_share: bool,
    /// Whole cores that the first cell's node must keep for the emulator.
    pub(super) spare: u32,
    /// Whether its vCPUs float over what is free instead of taking it.
    pub(super) floats: bool,
}

/// One cell of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShapeCell {
    pub(super) id: CellId,
    /// Its vCPUs in guest order; every `unit.threads` are a unit.
    pub(super) vcpus: Vec<VcpuId>,
    pub(super) units: u32,
    pub(super) memory: Bytes,
}

impl Shape {
    /// Returns the number of units of all cells.
    pub(super) fn units(&self) -> u32 {
        self.cells.iter().map(|cell| cell.units).sum()
    }
}

/// Guest memory is split among cells in pieces of a MiB where no huge page
/// size asks for more: QEMU rounds RAM blocks no coarser than that.
const ORDINARY_GRANULE: u64 = 1 << 20;

/// Returns the page sizes to try, best first; `None` is ordinary pages.
pub(super) fn sizes(demand: &Demand, board: &Board) -> Vec<Option<PageSize>> {
    let mut known: Vec<_> =
        board.memory.values().flat_map(|m| m.pages.keys().copied()).collect();
    known.sort_unstable();
    known.dedup();
    let fits = |size: &PageSize| {
        let whole = |memory: Bytes| memory.0.is_multiple_of(size.bytes());
        match &demand.cells {
            CellWish::Given(cells) => cells.iter().all(|c| whole(c.memory)),
            _ => whole(demand.memory),
        }
    };
    match demand.pages {
        Pages::None => vec![None],
        Pages::Size(size) => vec![Some(size)],
        Pages::Auto => {
            let huge = known.into_iter().rev().filter(fits).map(Some);
            huge.chain([None]).collect()
        }
    }
}

/// Returns whether pools may be given pages for a VM: where it must have
/// pages of one size.
pub(super) const fn reserves(demand: &Demand) -> bool {
    matches!(demand.pages, Pages::Size(_))
}

/// Makes the shape with so many cells on cores of one kind.
pub(super) fn shape(
    demand: &Demand,
    board: &Board,
    size: Option<PageSize>,
    count: u32,
    kind: usize,
) -> Result<Shape, Short> {
    let threads = threads(demand, board, count, kind)?;
    let floats = demand.mode == PlacementMode::Shared;
    let unit = Unit::of(if floats { Smt::Any } else { smt(demand) }, threads);
    let mut cells: Vec<_> = match &demand.cells {
        CellWish::Given(given) => given
            .iter()
            .map(|cell| {
                let vcpus: Vec<_> = cell.vcpus.iter().collect();
                let units = len(&vcpus) / unit.threads;
                ShapeCell { id: cell.id, vcpus, units, memory: cell.memory }
            })
            .collect(),
        _ => split(demand, unit, size.or(demand.granule), count),
    };
    if let Some(size) = size.or(demand.granule) {
        let odd = |c: &&ShapeCell| !c.memory.0.is_multiple_of(size.bytes());
        if let Some(cell) = cells.iter().find(odd) {
            return Err(Short::Granularity { memory: cell.memory, size });
        }
    }
    if floats {
        // A node must have a CPU for them, and need not have one for each.
        cells.iter_mut().for_each(|c| c.units = u32::from(!c.vcpus.is_empty()));
    }
    let dedicated = demand.emulator == Emulator::Dedicated
        && demand.mode == PlacementMode::Dedicated;
    Ok(Shape {
        cells,
        threads,
        unit,
        kind,
        size,
        reserves: reserves(demand),
        may_share: matches!(demand.cells, CellWish::Given(_)),
        spare: u32::from(dedicated),
        floats,
    })
}

/// Splits a VM evenly: units and pages, the first cells getting one more.
fn split(
    demand: &Demand,
    unit: Unit,
    size: Option<PageSize>,
    count: u32,
) -> Vec<ShapeCell> {
    let units = demand.vcpus / unit.threads;
    let granule = size.map_or(ORDINARY_GRANULE, PageSize::bytes);
    let pieces = demand.memory.0 / granule;
    let rest = demand.memory.0 % granule;
    let share = |all: u64, at: u32| {
        all / u64::from(count)
            + u64::from(u64::from(at) < all % u64::from(count))
    };
    let mut next = 0;
    let cells = (0..count).map(|at| {
        let units = u32::try_from(share(u64::from(units), at)).unwrap_or(0);
        let from = next;
        next += units * unit.threads;
        let last = if at + 1 == count { rest } else { 0 };
        ShapeCell {
            id: CellId(at),
            vcpus: (from..next).map(VcpuId).collect(),
            units,
            memory: Bytes(share(pieces, at) * granule + last),
        }
    });
    cells.collect()
}

/// Decides the guest's threads per core: what was asked for, else the most
/// that the host's cores of this kind have and the vCPUs can be divided by.
fn threads(
    demand: &Demand,
    board: &Board,
    count: u32,
    kind: usize,
) -> Result<u32, Short> {
    let width = board
        .nodes
        .iter()
        .flat_map(|node| &node.groups)
        .filter(|group| group.kind == kind)
        .flat_map(|group| &group.cores)
        .map(|core| core.width)
        .max()
        .unwrap_or(1);
    // vCPUs that float are siblings of nobody.
    if demand.mode == PlacementMode::Shared {
        return Ok(1);
    }
    let fits = |threads: u32| divides(demand, threads, count);
    if let Some(threads) = demand.threads {
        let no = |why| Err(Short::Threads { threads, why });
        return match smt(demand) {
            _ if threads == 0 || !fits(threads) => {
                no("they do not divide the vCPUs of each cell")
            }
            Smt::Siblings if threads > width => {
                no("the host's cores have fewer siblings")
            }
            Smt::Isolate if threads > 1 => {
                no("under smt = \"isolate\" a core runs one vCPU")
            }
            _ => Ok(threads),
        };
    }
    Ok(match smt(demand) {
        Smt::Siblings => (1..=width)
            .rev()
            .find(|&threads| width.is_multiple_of(threads) && fits(threads))
            .unwrap_or(1),
        Smt::Isolate | Smt::Any => 1,
    })
}

/// Returns how guest threads meet host threads: siblings where the policy
/// asks for guest cores of several, for else they would be none.
fn smt(demand: &Demand) -> Smt {
    match demand.smt {
        Smt::Any if demand.threads.is_some_and(|threads| threads > 1) => {
            Smt::Siblings
        }
        smt => smt,
    }
}

/// Returns whether guest cores of so many threads lie within cells.
fn divides(demand: &Demand, threads: u32, count: u32) -> bool {
    match &demand.cells {
        CellWish::Given(cells) => cells.iter().all(|cell| {
            let vcpus: Vec<_> = cell.vcpus.iter().collect();
            vcpus.chunks(threads as usize).all(|core| {
                let first = core[0].0;
                first.is_multiple_of(threads)
                    && len(core) == threads
                    && core.iter().zip(first..).all(|(v, n)| v.0 == n)
            })
        }),
        _ => {
            demand.vcpus.is_multiple_of(threads)
                && demand.vcpus / threads >= count
        }
    }
}

fn len<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
