//! The least cost of every number of units on one node: a dynamic programme
//! over its L3 domains.

use std::collections::BTreeMap;

use super::board::{Board, Group, NodeBoard};
use super::curve::{Point, Take, Unit, curve, free_whole, takes};
use super::damage::worth;
use super::shape::{Shape, ShapeCell};
use crate::model::Objective;

/// The least costs of one node.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// By number of units: the best way for each number of whole cores used,
    /// the cheapest first; none where so many units do not fit.
    best: Vec<Vec<Share>>,
}

/// How a number of units is shared out among the groups of a node.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// Levels 3, 4, 6 (of this node) and 7.
    pub(super) cost: Objective,
    /// Whole cores used.
    pub(super) whole: u32,
    /// What is taken from each group of the node, in its order.
    pub(super) takes: Vec<Take>,
}

/// What the units must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) unit: Unit,
    /// The kind of core.
    pub(super) kind: usize,
    /// The largest number of units that will be asked for.
    pub(super) most: u32,
    /// Whole cores that must be left over: a home for the emulator.
    pub(super) spare: u32,
    /// Whether the vCPUs float over what is free instead of taking it.
    pub(super) floats: bool,
}

/// A way to share out some units among the groups so far.
#[derive(Debug, Clone, Copy)]
struct Way {
    cost: Objective,
    whole: u32,
    /// Units from the last of the groups, and the way before it.
    took: u32,
    before: usize,
}

impl Table {
    /// Computes the least costs on a node.
    ///
    /// The cost of a node as a whole depends on the number of whole cores
    /// used, so ways that use different numbers are kept apart until the end.
    pub(super) fn of(node: &NodeBoard, want: Want) -> Self {
        if want.floats {
            return Self::floating(node, want);
        }
        let groups = curves(node, want);
        let layers = layers(&groups, want.most);
        let Some(last) = layers.last() else {
            return Self { best: Vec::new() };
        };
        let best = (0..last.len()).map(|units| {
            let ways = last[units].iter().enumerate();
            let mut shares: Vec<_> = ways
                .filter_map(|(at, way)| {
                    let cost = finish(node, want, way.cost, way.whole)?;
                    let len = node.groups.len();
                    let units = trace(&layers, &groups, units, at, len);
                    let takes = units.into_iter().map(Take::cheapest);
                    let takes = takes.collect();
                    Some(Share { cost, whole: way.whole, takes })
                })
                .collect();
            shares.sort_by_key(|share| (share.cost, share.whole));
            shares
        });
        Self { best: best.collect() }
    }

    /// The costs of VMs that take no core: the node with the most free CPUs
    /// is the best, one without any will not do.
    fn floating(node: &NodeBoard, want: Want) -> Self {
        let groups = node.groups.iter().filter(|g| g.kind == want.kind);
        let cores = groups.flat_map(|group| &group.cores);
        let free: usize = cores.map(|core| core.free.len()).sum();
        let mut cost = Objective::default();
        cost.0[6] = -i64::try_from(free).unwrap_or(i64::MAX);
        let takes = vec![Take::default(); node.groups.len()];
        let some = Share { cost, whole: 0, takes: takes.clone() };
        let none = Share { cost: Objective::default(), whole: 0, takes };
        let most = if free > 0 { want.most as usize } else { 0 };
        let best = std::iter::once(none)
            .chain(std::iter::repeat_n(some, most))
            .map(|share| vec![share])
            .collect();
        Self { best }
    }

    /// Returns the best ways to have so many units on this node, the cheapest
    /// first; they differ in the number of whole cores used.
    pub(super) fn shares(&self, units: u32) -> &[Share] {
        self.best.get(units as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns how many units fit at most.
    pub(super) fn most(&self) -> u32 {
        let fits = self.best.iter().rposition(|shares| !shares.is_empty());
        fits.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }
}

/// Builds one layer for each group and one before the first: all ways worth
/// keeping, by the number of units.
fn layers(groups: &[(usize, Vec<Point>)], most: u32) -> Vec<Vec<Vec<Way>>> {
    let start =
        Way { cost: Objective::default(), whole: 0, took: 0, before: 0 };
    let mut layers = vec![vec![vec![start]]];
    for (_, points) in groups {
        let Some(last) = layers.last() else { break };
        let most = (last.len() + points.len() - 1).min(most as usize + 1);
        let mut next: Vec<Vec<Way>> = vec![Vec::new(); most];
        for (units, ways) in last.iter().enumerate() {
            for (before, way) in ways.iter().enumerate() {
                let room = next.len() - units.min(next.len());
                for (took, point) in (0..).zip(points.iter().take(room)) {
                    let way = Way {
                        cost: way.cost + point.cost,
                        whole: way.whole + point.whole,
                        took,
                        before,
                    };
                    keep(&mut next[units + took as usize], way);
                }
            }
        }
        layers.push(next);
    }
    layers
}

/// Keeps a way unless one with as many whole cores is as good.
fn keep(ways: &mut Vec<Way>, way: Way) {
    match ways.iter_mut().find(|other| other.whole == way.whole) {
        Some(other) if way.cost < other.cost => *other = way,
        Some(_) => {}
        None => ways.push(way),
    }
}

/// Walks a way back to the units of each group.
fn trace(
    layers: &[Vec<Vec<Way>>],
    groups: &[(usize, Vec<Point>)],
    units: usize,
    at: usize,
    len: usize,
) -> Vec<u32> {
    let (mut units, mut at) = (units, at);
    let mut shares = vec![0; len];
    for (layer, (group, _)) in layers.iter().skip(1).zip(groups).rev() {
        let way = layer[units][at];
        shares[*group] = way.took;
        units -= way.took as usize;
        at = way.before;
    }
    shares
}

fn sum(node: &NodeBoard, kind: usize, of: impl Fn(&Group) -> u32) -> u32 {
    node.groups.iter().filter(|group| group.kind == kind).map(of).sum()
}

/// Returns every way to have exactly `want.most` units on a node, as far as
/// `limit`.
pub(super) fn every_share(
    node: &NodeBoard,
    want: Want,
    limit: usize,
) -> Vec<Share> {
    let mut walk = Walk {
        node,
        want,
        limit,
        takes: vec![Take::default(); node.groups.len()],
        shares: Vec::new(),
    };
    walk.every(0, want.most, Objective::default(), 0);
    walk.shares
}

/// A walk over all ways to take units from the groups of a node.
struct Walk<'a> {
    node: &'a NodeBoard,
    want: Want,
    limit: usize,
    takes: Vec<Take>,
    shares: Vec<Share>,
}

impl Walk<'_> {
    fn every(&mut self, at: usize, left: u32, cost: Objective, whole: u32) {
        if self.shares.len() >= self.limit {
            return;
        }
        let Some(group) = self.node.groups.get(at) else {
            let cost = finish(self.node, self.want, cost, whole);
            if let Some(cost) = cost.filter(|_| left == 0) {
                let takes = self.takes.clone();
                self.shares.push(Share { cost, whole, takes });
            }
            return;
        };
        let most = if group.kind == self.want.kind { left } else { 0 };
        let enters = self.node.wide_l3.is_none();
        for units in 0..=most {
            let weight = self.node.weight;
            for (take, point) in
                takes(group, self.want.unit, units, enters, weight)
            {
                self.takes[at] = take;
                let cost = cost + point.cost;
                self.every(at + 1, left - units, cost, whole + point.whole);
            }
        }
        self.takes[at] = Take::default();
    }
}

/// Returns the curve of each group of the kind that is wanted.
fn curves(node: &NodeBoard, want: Want) -> Vec<(usize, Vec<Point>)> {
    let groups = node.groups.iter().enumerate();
    let of_kind = groups.filter(|(_, group)| group.kind == want.kind);
    let enters = node.wide_l3.is_none();
    let curve = |group| curve(group, want.unit, want.most, enters, node.weight);
    of_kind.map(|(index, group)| (index, curve(group))).collect()
}

/// Adds what the node as a whole loses; `None` where too little is left.
fn finish(
    node: &NodeBoard,
    want: Want,
    mut cost: Objective,
    whole: u32,
) -> Option<Objective> {
    let free = sum(node, want.kind, |group| {
        u32::try_from(free_whole(group)).unwrap_or(u32::MAX)
    });
    let capacity = sum(node, want.kind, |group| group.capacity);
    let left = free.checked_sub(whole).filter(|left| *left >= want.spare)?;
    let loss = worth(free, capacity) - worth(left, capacity);
    cost.0[5] += node.weight * loss;
    Some(cost)
}

/// Returns the fewest L3 domains that a shape can be in on a bare host.
pub(super) fn minimum_l3(bare: &Board, shape: &Shape) -> i64 {
    let wide: BTreeMap<usize, usize> = bare
        .nodes
        .iter()
        .filter_map(|node| node.wide_l3)
        .fold(BTreeMap::new(), |mut nodes, l3| {
            *nodes.entry(l3).or_default() += 1;
            nodes
        });
    if !wide.is_empty() {
        let mut nodes: Vec<usize> = wide.into_values().collect();
        nodes.sort_unstable_by(|a, b| b.cmp(a));
        let cells = if shape.may_share { 1 } else { shape.cells.len() };
        return fewest(&nodes, cells).unwrap_or(0);
    }
    let rooms = |node: &NodeBoard| {
        let groups = node.groups.iter().filter(|g| g.kind == shape.kind);
        let mut rooms: Vec<usize> = groups
            .map(|group| {
                let cores = group.cores.iter();
                cores.map(|core| shape.unit.fit(core) as usize).sum()
            })
            .collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        rooms
    };
    if shape.may_share {
        let mut rooms: Vec<usize> = bare.nodes.iter().flat_map(rooms).collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        return fewest(&rooms, shape.units() as usize).unwrap_or(0);
    }
    let cell = |cell: &ShapeCell| {
        let nodes = bare.nodes.iter().map(rooms);
        nodes.filter_map(|rooms| fewest(&rooms, cell.units as usize)).min()
    };
    shape.cells.iter().filter_map(cell).sum()
}

/// Returns how many of the rooms, largest first, it takes for so many units;
/// `None` where they do not suffice.
fn fewest(rooms: &[usize], units: usize) -> Option<i64> {
    let mut left = units;
    let mut taken = 0;
    for room in rooms {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(*room);
        taken += 1;
    }
    (left == 0).then_some(taken)
}
