//! Places one VM: tries its forms, best first, and takes the first that fits.

use super::assign::{Found, Search};
use super::board::Board;
use super::demand::{CellWish, Demand};
use super::shape::{Shape, shape, sizes};
use super::shortage::Short;
use super::table::minimum_l3;
use crate::model::Objective;
use crate::model::policy::{DeviceLocality, Emulator, PlacementMode};

/// A VM's best form and place on a board.
#[derive(Debug, Clone)]
pub(super) struct Solved {
    pub(super) shape: Shape,
    pub(super) found: Found,
}

/// A host as it is now, and as it would be if no VM held anything: the
/// minima of levels 1 and 3 are those of the bare host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hosts<'a> {
    pub(super) now: &'a Board,
    pub(super) bare: &'a Board,
}

/// Returns the best placement of one VM, or what comes nearest to one.
pub(super) fn solve(
    hosts: Hosts<'_>,
    demand: &Demand,
) -> Result<Solved, Short> {
    precheck(hosts, demand)?;
    let mut nearest = None;
    for size in sizes(demand, hosts.now) {
        nearest = None;
        for count in counts(demand, hosts.now) {
            for kind in (0..hosts.now.kinds).rev() {
                match solve_shape(hosts, demand, size, count, kind) {
                    Ok(solved) => return Ok(solved),
                    Err(short) => {
                        nearest.get_or_insert(short);
                    }
                }
            }
        }
    }
    Err(nearest.unwrap_or(Short::Cores {
        node: None,
        free: 0,
        needed: demand.vcpus,
        threads: 1,
    }))
}

/// Refuses what no search could find.
fn precheck(hosts: Hosts<'_>, demand: &Demand) -> Result<(), Short> {
    let nodes = u32::try_from(hosts.now.nodes.len()).unwrap_or(u32::MAX);
    if let CellWish::Count(cells) = demand.cells
        && cells > nodes
    {
        return Err(Short::TooManyCells { cells, nodes });
    }
    if let CellWish::Count(cells) = demand.cells
        && cells > demand.vcpus
    {
        return Err(Short::EmptyCells { cells, vcpus: demand.vcpus });
    }
    let own_core = demand.mode == PlacementMode::Dedicated
        && demand.emulator == Emulator::Dedicated;
    if !own_core && hosts.now.homes.is_empty() && demand.service.is_empty() {
        return Err(Short::NoHome);
    }
    if demand.locality == DeviceLocality::Require
        && let Some(lost) = demand.devices.iter().find(|d| d.nodes.is_none())
    {
        return Err(Short::Locality { device: lost.address, node: None });
    }
    Ok(())
}

/// Returns the numbers of cells to try, fewest first.
fn counts(demand: &Demand, board: &Board) -> std::ops::RangeInclusive<u32> {
    match &demand.cells {
        CellWish::Auto => {
            let nodes = u32::try_from(board.nodes.len()).unwrap_or(1);
            1..=nodes.min(demand.vcpus).max(1)
        }
        CellWish::Count(count) => *count..=*count,
        CellWish::Given(_) => 1..=1,
    }
}

/// Places a VM in one form.
pub(super) fn solve_shape(
    hosts: Hosts<'_>,
    demand: &Demand,
    size: Option<crate::base::PageSize>,
    count: u32,
    kind: usize,
) -> Result<Solved, Short> {
    let shape = shape(demand, hosts.now, size, count, kind)?;
    let mut search = Search::new(hosts.now, demand, &shape);
    let Some(mut found) = search.run() else {
        return Err(diagnose(&search, hosts, demand, &shape));
    };
    let beyond = beyond(hosts, demand, &shape);
    found.cost = found.cost + beyond;
    found.bound = found.bound + beyond;
    Ok(Solved { shape, found })
}

/// Returns what the counts of nodes and L3 domains are to be reduced by, so
/// that levels 1 and 3 say what is beyond the minimum.
pub(super) fn beyond(
    hosts: Hosts<'_>,
    demand: &Demand,
    shape: &Shape,
) -> Objective {
    let mut beyond = Objective::default();
    if demand.cells == CellWish::Auto {
        let fewest = counts(demand, hosts.bare).find(|&count| {
            let tries = (0..hosts.bare.kinds).filter_map(|kind| {
                super::shape::shape(demand, hosts.bare, shape.size, count, kind)
                    .ok()
            });
            tries.into_iter().any(|shape| fits_bare(hosts.bare, &shape))
        });
        let used = i64::try_from(shape.cells.len()).unwrap_or(1);
        beyond.0[0] = used - fewest.map_or(used, i64::from);
    }
    beyond.0[2] = -minimum_l3(hosts.bare, shape);
    beyond
}

/// Returns whether the cores for each cell are on a node of a bare host.
fn fits_bare(bare: &Board, shape: &Shape) -> bool {
    let largest = shape.cells.iter().map(|cell| cell.units).max().unwrap_or(0);
    let room = |node: &super::board::NodeBoard| {
        let groups = node.groups.iter().filter(|g| g.kind == shape.kind);
        let cores = groups.flat_map(|group| &group.cores);
        cores.map(|core| shape.unit.fit(core)).sum::<u32>()
    };
    let fitting = bare.nodes.iter().filter(|node| room(node) >= largest);
    fitting.count() >= shape.cells.len()
}

/// Says what is short, on the node that comes nearest.
fn diagnose(
    search: &Search<'_>,
    hosts: Hosts<'_>,
    demand: &Demand,
    shape: &Shape,
) -> Short {
    let nodes = &hosts.now.nodes;
    for (at, cell) in shape.cells.iter().enumerate() {
        if (0..nodes.len()).any(|node| search.fits(at, node)) {
            continue;
        }
        let roomy = search.room().filter(|(_, units)| *units >= cell.units);
        let richest = roomy.max_by_key(|(node, _)| {
            (search.free_memory(*node), std::cmp::Reverse(*node))
        });
        if let Some((node, _)) = richest
            && !search.memory_fits(at, node)
        {
            return Short::Memory {
                node: nodes[node].memory_node,
                free: search.free_memory(node),
                needed: cell.memory,
                size: shape.size,
                more: search.reservable(node),
            };
        }
        if let Some((node, _)) = richest {
            return Short::Spare { node: nodes[node].id, needed: cell.units };
        }
        let most = search
            .room()
            .max_by_key(|(node, units)| (*units, std::cmp::Reverse(*node)))
            .filter(|(_, units)| *units > 0);
        return Short::Cores {
            node: most.map(|(node, _)| nodes[node].id),
            free: most.map_or(0, |(_, units)| units),
            needed: cell.units,
            threads: shape.unit.threads,
        };
    }
    let placed = u32::try_from(search.matching()).unwrap_or(0);
    let cells = u32::try_from(shape.cells.len()).unwrap_or(0);
    if placed < cells && !shape.may_share {
        return Short::Nodes { cells, placed };
    }
    if let Some(short) = too_far(hosts, demand, shape) {
        return short;
    }
    if search.complete() {
        return Short::CellsTogether { cells };
    }
    Short::CutOff
}

/// Names the device that is in the way where all would fit away from it.
fn too_far(hosts: Hosts<'_>, demand: &Demand, shape: &Shape) -> Option<Short> {
    if demand.locality != DeviceLocality::Require {
        return None;
    }
    let locality = DeviceLocality::Prefer;
    let lenient = Demand { locality, ..demand.clone() };
    let found = Search::new(hosts.now, &lenient, shape).run()?;
    let far = demand.devices.iter().find(|device| {
        let near = device.nodes.as_ref();
        let at = |&node: &usize| hosts.now.nodes[node].id;
        !found
            .nodes
            .iter()
            .map(at)
            .any(|id| near.is_some_and(|n| n.contains(id)))
    })?;
    let node = far.nodes.as_ref().and_then(crate::base::NodeSet::first);
    Some(Short::Locality { device: far.address, node })
}
