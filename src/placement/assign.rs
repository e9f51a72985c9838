//! Assigns the cells of one VM to nodes, at the least cost.

use super::board::Board;
use super::curve::Take;
use super::demand::{Demand, DeviceDemand};
use super::pairs::Pairs;
use super::shape::Shape;
use super::table::{Share, Table, Want};
use crate::base::{Bytes, NodeId};
use crate::model::Objective;
use crate::model::policy::DeviceLocality;

/// Steps after which a search gives up proving and reports the gap instead.
/// A step takes well under a microsecond, so this bounds one VM to a fraction
/// of a second; eight like cells on sixteen nodes need 20,000.
const STEPS: u64 = 400_000;

/// What is taken from each group, for every node that is used.
pub(super) type Shares = Vec<(usize, Vec<Take>)>;

/// Where the cells of a VM go.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The node of each cell, as an index into the board's nodes.
    pub(super) nodes: Vec<usize>,
    /// What is taken from each group of every node that is used.
    pub(super) shares: Shares,
    /// Levels 1 to 7, without the minima of levels 1 and 3.
    pub(super) cost: Objective,
    /// What the cost cannot go below; equal where the search was complete.
    pub(super) bound: Objective,
}

/// An assignment of cells to nodes, before units are shared out.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    /// The node of each cell.
    pub(super) nodes: Vec<usize>,
    /// Every node that is used, with its units.
    pub(super) loads: Vec<(usize, u32)>,
    /// What it costs besides the units on each node.
    pub(super) apart: Objective,
}

/// The costs of one shape on every node of a board.
pub(super) struct Search<'a> {
    board: &'a Board,
    shape: &'a Shape,
    devices: Vec<&'a DeviceDemand>,
    require: bool,
    /// Without and with room left for the emulator, by node.
    tables: Vec<Table>,
    spare_tables: Vec<Table>,
    pairs: Pairs,
    /// Nodes in the order in which they are tried: the cheapest first.
    order: Vec<usize>,
    /// The least that the cells from here on can cost.
    rest: Vec<Objective>,
    best: Option<Found>,
    steps: u64,
}

/// A partial assignment.
#[derive(Clone)]
struct Partial {
    /// Places in `order`, one for each cell so far.
    places: Vec<usize>,
    /// Units by node.
    load: Vec<u32>,
    memory: Vec<(NodeId, Bytes)>,
    /// Cost of everything but the tables.
    apart: Objective,
}

impl Partial {
    fn start(board: &Board) -> Self {
        Self {
            places: Vec::new(),
            load: vec![0; board.nodes.len()],
            memory: Vec::new(),
            apart: Objective::default(),
        }
    }
}

impl<'a> Search<'a> {
    /// Prepares the search.
    pub(super) fn new(
        board: &'a Board,
        demand: &'a Demand,
        shape: &'a Shape,
    ) -> Self {
        let largest = shape.cells.iter().map(|cell| cell.units).max();
        let most = match shape.may_share {
            true => shape.units(),
            false => largest.unwrap_or(0),
        };
        let tables = |spare| {
            let want = Want {
                unit: shape.unit,
                kind: shape.kind,
                most,
                spare,
                floats: shape.floats,
            };
            board.nodes.iter().map(|n| Table::of(n, want)).collect()
        };
        let known = |device: &&DeviceDemand| device.nodes.is_some();
        let devices = match demand.locality {
            DeviceLocality::Ignore => Vec::new(),
            _ => demand.devices.iter().filter(known).collect(),
        };
        let mut search = Self {
            board,
            shape,
            devices,
            require: demand.locality == DeviceLocality::Require,
            tables: tables(0),
            spare_tables: match shape.spare {
                0 => Vec::new(),
                spare => tables(spare),
            },
            pairs: Pairs::of(board, shape),
            order: (0..board.nodes.len()).collect(),
            rest: Vec::new(),
            best: None,
            steps: 0,
        };
        if let Some(cell) = search.shape.cells.first() {
            let units = cell.units;
            let key = |&node: &usize| {
                let alone = search.alone(0, node, units);
                (alone.is_none(), alone, board.nodes[node].id)
            };
            let mut order = search.order.clone();
            order.sort_by_key(key);
            search.order = order;
        }
        search.rest = search.least();
        search
    }

    /// Returns the table of a node for what the cells so far make of it.
    fn table(&self, node: usize, holds_first: bool) -> &Table {
        match holds_first && !self.spare_tables.is_empty() {
            true => &self.spare_tables[node],
            false => &self.tables[node],
        }
    }

    /// Returns the most units that fit on each node, by node.
    pub(super) fn room(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.tables.iter().map(Table::most).enumerate()
    }

    /// Returns whether a cell could go to a node if it were alone there.
    pub(super) fn fits(&self, cell: usize, node: usize) -> bool {
        let units = self.shape.cells[cell].units;
        self.memory_fits(cell, node)
            && !self.table(node, cell == 0).shares(units).is_empty()
    }

    /// Returns whether a node has a cell's memory.
    pub(super) fn memory_fits(&self, cell: usize, node: usize) -> bool {
        self.free_memory(node) >= self.shape.cells[cell].memory
    }

    /// Returns what a node has of memory in the shape's page size.
    pub(super) fn free_memory(&self, node: usize) -> Bytes {
        self.memory_with(node, self.shape.reserves)
    }

    /// Returns what of that the node's pool would have to be given.
    pub(super) fn reservable(&self, node: usize) -> Bytes {
        let own = self.memory_with(node, false);
        Bytes(self.free_memory(node).0.saturating_sub(own.0))
    }

    fn memory_with(&self, node: usize, reserve: bool) -> Bytes {
        let from = self.board.nodes[node].memory_node;
        let memory = self.board.memory.get(&from);
        memory.map_or(Bytes(u64::MAX), |m| m.free(self.shape.size, reserve))
    }

    /// What a cell costs on a node that it has for itself.
    fn alone(&self, cell: usize, node: usize, units: u32) -> Option<Objective> {
        if !self.memory_fits(cell, node) {
            return None;
        }
        let share = self.table(node, cell == 0).shares(units).first()?;
        Some(share.cost + self.apart(cell, node))
    }

    /// What a cell costs on a node besides cores: distance to devices and to
    /// its memory.
    fn apart(&self, cell: usize, node: usize) -> Objective {
        let board = &self.board.nodes[node];
        let near = |device: &&&DeviceDemand| {
            device.nodes.as_ref().is_some_and(|nodes| {
                nodes.contains(board.id) && nodes.contains(board.memory_node)
            })
        };
        let far = self.devices.iter().filter(|d| !near(d)).count();
        let vcpus = self.shape.cells[cell].vcpus.len();
        let mut cost = Objective::default();
        cost.0[1] = i64::try_from(far * vcpus).unwrap_or(i64::MAX);
        cost.0[4] = self.board.between(board.id, board.memory_node) - 10;
        cost
    }

    /// Computes for each cell what it and those after it cost at least.
    fn least(&self) -> Vec<Objective> {
        let cells = &self.shape.cells;
        let mut rest = vec![Objective::default(); cells.len() + 1];
        let near = self.least_distance();
        for at in (0..cells.len()).rev() {
            let costs = self.order.iter().filter_map(|&node| {
                match self.shape.may_share {
                    true => self.fits(at, node).then(|| self.apart(at, node)),
                    false => self.alone(at, node, cells[at].units),
                }
            });
            let mut least = costs.min().unwrap_or_default();
            least.0[4] += near * i64::try_from(at).unwrap_or(0);
            rest[at] = rest[at + 1] + least;
        }
        rest
    }

    /// The least distance that two cells of this VM can have.
    fn least_distance(&self) -> i64 {
        if self.shape.may_share {
            return 0;
        }
        let rows = self.board.distance.iter().enumerate();
        let others = rows.flat_map(|(a, row)| {
            row.iter().enumerate().filter(move |(b, _)| a != *b)
        });
        others.map(|(_, distance)| distance - 10).min().unwrap_or(0)
    }

    /// Searches.
    pub(super) fn run(&mut self) -> Option<Found> {
        if !self.shape.may_share && self.matching() < self.shape.cells.len() {
            return None;
        }
        let start = Partial::start(self.board);
        self.step(&start, Objective::default());
        let complete = self.complete();
        let bound = self.rest[0];
        self.best.take().map(|found| Found {
            bound: if complete { found.cost } else { bound },
            ..found
        })
    }

    /// Returns whether the search came to its end.
    pub(super) fn complete(&self) -> bool {
        self.steps < STEPS
    }

    /// Returns every assignment that fits; `None` where there are more than
    /// `limit`.
    pub(super) fn every(self, limit: usize) -> Option<Vec<Assignment>> {
        let mut partials = vec![Partial::start(self.board)];
        for cell in 0..self.shape.cells.len() {
            let mut next = Vec::new();
            for partial in &partials {
                let first = self.first_place(partial, cell);
                for place in first..self.order.len() {
                    let with = self.with(partial, cell, place);
                    next.extend(with.map(|(partial, _)| partial));
                }
                if next.len() > limit {
                    return None;
                }
            }
            partials = next;
        }
        let assignments = partials.iter().map(|partial| {
            let nodes = self.nodes(partial);
            let loads = self.used(partial).into_iter();
            Assignment {
                loads: loads.map(|n| (n, partial.load[n])).collect(),
                apart: partial.apart + self.wide(partial),
                nodes,
            }
        });
        let near = |a: &Assignment| !self.require || self.near_all(&a.nodes);
        Some(assignments.filter(near).collect())
    }

    /// Places the next cell everywhere it can go.
    fn step(&mut self, partial: &Partial, cost: Objective) {
        self.steps += 1;
        let cell = partial.places.len();
        if cell == self.shape.cells.len() {
            self.finish(partial, cost);
            return;
        }
        for place in self.first_place(partial, cell)..self.order.len() {
            if self.steps >= STEPS {
                return;
            }
            let Some((next, cost)) = self.with(partial, cell, place) else {
                continue;
            };
            let least = cost + self.rest[cell + 1];
            if self.best.as_ref().is_none_or(|best| least < best.cost) {
                self.step(&next, cost);
            }
        }
    }

    /// Like cells are placed in rising order: another order is the same.
    fn first_place(&self, partial: &Partial, cell: usize) -> usize {
        let cells = &self.shape.cells;
        let first = usize::from(self.shape.spare > 0);
        let alike = cell > first
            && cells[cell].units == cells[cell - 1].units
            && cells[cell].memory == cells[cell - 1].memory;
        match partial.places.last() {
            Some(&place) if alike && self.shape.may_share => place,
            Some(&place) if alike => place + 1,
            _ => 0,
        }
    }

    /// Adds a cell to a partial assignment; `None` where it does not fit.
    fn with(
        &self,
        partial: &Partial,
        cell: usize,
        place: usize,
    ) -> Option<(Partial, Objective)> {
        let node = self.order[place];
        let shares = partial.places.contains(&place);
        if shares && !self.shape.may_share {
            return None;
        }
        let memory = self.shape.cells[cell].memory;
        let from = self.board.nodes[node].memory_node;
        let spent = |m: &&(NodeId, Bytes)| m.0 == from;
        let used: u64 =
            partial.memory.iter().filter(spent).map(|m| m.1.0).sum();
        if self.free_memory(node).0.saturating_sub(used) < memory.0 {
            return None;
        }
        let mut next = partial.clone();
        next.load[node] += self.shape.cells[cell].units;
        next.apart = next.apart + self.apart(cell, node);
        next.apart.0[0] += i64::from(shares);
        for &other in &partial.places {
            let between = self.board.distance[self.order[other]][node];
            next.apart.0[4] += between - 10;
            if self.order[other] == node {
                next.apart.0[4] -= between - 10;
            }
        }
        next.memory.push((from, memory));
        next.places.push(place);
        let cost = self.cost(&next)?;
        Some((next, cost))
    }

    /// What a partial assignment costs; `None` where it does not fit.
    fn cost(&self, partial: &Partial) -> Option<Objective> {
        let apart = partial.apart + self.wide(partial);
        Some(apart + self.share_out(partial)?.0)
    }

    /// Chooses the way to share out the units on every node that is used:
    /// the least cost of the nodes and of the pairs of homes among them.
    fn share_out(&self, partial: &Partial) -> Option<(Objective, Shares)> {
        let first = partial.places.first().map(|&place| self.order[place]);
        let mut ways: Vec<(Objective, Vec<(usize, &Share)>)> =
            vec![(Objective::default(), Vec::new())];
        for node in self.used(partial) {
            let table = self.table(node, first == Some(node));
            let shares = table.shares(partial.load[node]);
            ways = ways
                .iter()
                .flat_map(|(cost, before)| {
                    shares.iter().map(move |share| {
                        let mut all = before.clone();
                        all.push((node, share));
                        (*cost + share.cost, all)
                    })
                })
                .collect();
        }
        let priced = ways.into_iter().map(|(mut cost, shares)| {
            let used = shares.iter().map(|(node, s)| (*node, s.whole));
            cost.0[5] += self.pairs.loss(used);
            (cost, shares)
        });
        let (cost, shares) = priced.min_by_key(|(cost, _)| *cost)?;
        let shares = shares.into_iter().map(|(n, s)| (n, s.takes.clone()));
        Some((cost, shares.collect()))
    }

    /// What L3 domains that span nodes cost.
    fn wide(&self, partial: &Partial) -> Objective {
        let nodes = self.used(partial).into_iter();
        let mut wide: Vec<_> =
            nodes.filter_map(|n| self.board.nodes[n].wide_l3).collect();
        wide.sort_unstable();
        wide.dedup();
        let mut cost = Objective::default();
        cost.0[2] = i64::try_from(wide.len()).unwrap_or(i64::MAX);
        cost
    }

    fn nodes(&self, partial: &Partial) -> Vec<usize> {
        partial.places.iter().map(|&place| self.order[place]).collect()
    }

    /// Returns the nodes that a partial assignment uses, each once.
    fn used(&self, partial: &Partial) -> Vec<usize> {
        let mut nodes = self.nodes(partial);
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    fn finish(&mut self, partial: &Partial, cost: Objective) {
        let nodes = self.nodes(partial);
        if self.require && !self.near_all(&nodes) {
            return;
        }
        if self.best.as_ref().is_some_and(|best| best.cost <= cost) {
            return;
        }
        let Some((_, shares)) = self.share_out(partial) else { return };
        self.best = Some(Found { nodes, shares, cost, bound: cost });
    }

    /// Returns whether every device has a cell near it.
    fn near_all(&self, nodes: &[usize]) -> bool {
        self.devices.iter().all(|device| {
            nodes.iter().any(|&node| {
                let id = self.board.nodes[node].id;
                device.nodes.as_ref().is_some_and(|near| near.contains(id))
            })
        })
    }

    /// Returns how many cells can be placed at once on nodes of their own:
    /// the largest matching, by augmenting paths.
    pub(super) fn matching(&self) -> usize {
        let nodes = self.board.nodes.len();
        let mut owner: Vec<Option<usize>> = vec![None; nodes];
        let cells = 0..self.shape.cells.len();
        cells
            .filter(|&cell| {
                let mut seen = vec![false; nodes];
                self.augment(cell, &mut owner, &mut seen)
            })
            .count()
    }

    fn augment(
        &self,
        cell: usize,
        owner: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for node in 0..owner.len() {
            if seen[node] || !self.fits(cell, node) {
                continue;
            }
            seen[node] = true;
            let free = match owner[node] {
                None => true,
                Some(other) => self.augment(other, owner, seen),
            };
            if free {
                owner[node] = Some(cell);
                return true;
            }
        }
        false
    }
}
