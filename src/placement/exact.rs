//! Several VMs exactly: branch and bound over all ways to place each.

use super::assign::{Assignment, Found, Search, Shares};
use super::board::{Board, FreeCore};
use super::demand::Demand;
use super::pairs::Pairs;
use super::relax;
use super::shape::Shape;
use super::table::{Share, Want, every_share};
use crate::model::Objective;

/// Ways of one VM beyond which the search is not begun.
const WAYS: usize = 20_000;

/// Work after which the search is given up: looks at a core or a way, each
/// some tens of nanoseconds, so that all of it stays well below a second.
/// What is not proved then is shown as a gap.
const WORK: usize = 150_000;

/// The state of the search.
pub(super) struct Exact<'a> {
    pub(super) demands: Vec<&'a Demand>,
    pub(super) shapes: Vec<&'a Shape>,
    /// What to add to the cost of each so that it counts from the minimum.
    pub(super) beyond: Vec<Objective>,
    /// The least that the VMs from here on can cost at levels 1 to 5.
    pub(super) rest: Vec<Objective>,
    /// The least damage and CPU numbers of all together.
    pub(super) least: (i64, i64),
    pub(super) best: Option<(Objective, Vec<Found>)>,
    pub(super) work: usize,
    pub(super) cut: bool,
}

impl Exact<'_> {
    /// Searches; afterwards `best` is optimal unless `cut`.
    pub(super) fn run(&mut self, board: &Board) {
        self.least = relax::least(board, &self.shapes);
        self.cut = !self.searches_all(board);
        self.step(board, Objective::default(), &mut Vec::new());
    }

    /// Returns whether the search tries all that could matter. Which whole
    /// cores of a group are taken, and what is left over of them, is not
    /// tried: it matters where they have unlike numbers of siblings online,
    /// or take more than two units.
    fn searches_all(&self, board: &Board) -> bool {
        let mut groups = board.nodes.iter().flat_map(|node| &node.groups);
        groups.all(|group| {
            let simple =
                |core| self.shapes.iter().all(|s| s.unit.fit(core) < 3);
            let like = |a: &FreeCore, b: &FreeCore| a.width == b.width;
            group.cores.iter().all(simple)
                && group.cores.windows(2).all(|pair| like(&pair[0], &pair[1]))
        })
    }

    fn step(
        &mut self,
        board: &Board,
        cost: Objective,
        chosen: &mut Vec<Found>,
    ) {
        let at = chosen.len();
        if at == self.demands.len() {
            if self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
                self.best = Some((cost, chosen.clone()));
            }
            return;
        }
        let (demand, shape) = (self.demands[at], self.shapes[at]);
        let Some(mut ways) = ways(board, demand, shape) else {
            self.cut = true;
            return;
        };
        ways.sort_by_key(|way| way.cost);
        self.work += ways.len();
        let cores = board.nodes.iter().flat_map(|node| &node.groups);
        let cores: usize = cores.map(|group| group.cores.len()).sum();
        for mut way in ways {
            way.cost = way.cost + self.beyond[at];
            if self.hopeless(cost + way.cost, at + 1) {
                continue;
            }
            self.work += cores;
            if self.work > WORK {
                self.cut = true;
                return;
            }
            let mut after = board.clone();
            after.settle(demand, shape, &way);
            let cost = cost + way.cost;
            chosen.push(way);
            self.step(&after, cost, chosen);
            chosen.pop();
        }
    }

    /// Returns whether nothing better can come of a partial placement.
    fn hopeless(&self, cost: Objective, next: usize) -> bool {
        let Some((best, _)) = &self.best else { return false };
        let mut least = cost;
        for level in 0..5 {
            least.0[level] += self.rest[next].0[level];
        }
        least.0[5] = least.0[5].max(self.least.0);
        least.0[6] = least.0[6].max(self.least.1);
        least >= *best
    }
}

/// Returns every way to place a shape; `None` where they are too many.
fn ways(board: &Board, demand: &Demand, shape: &Shape) -> Option<Vec<Found>> {
    let assignments = Search::new(board, demand, shape).every(WAYS)?;
    let mut ways = Vec::new();
    for assignment in assignments {
        for (cost, shares) in shares(board, shape, &assignment) {
            if ways.len() >= WAYS {
                return None;
            }
            let cost = cost + assignment.apart;
            let nodes = assignment.nodes.clone();
            ways.push(Found { nodes, shares, cost, bound: cost });
        }
    }
    Some(ways)
}

/// Returns every way to share out the units of an assignment.
fn shares(
    board: &Board,
    shape: &Shape,
    assignment: &Assignment,
) -> Vec<(Objective, Shares)> {
    let mut all: Vec<(Objective, Vec<(usize, Share)>)> =
        vec![(Objective::default(), Vec::new())];
    for &(node, units) in &assignment.loads {
        let first = assignment.nodes.first() == Some(&node);
        let want = Want {
            unit: shape.unit,
            kind: shape.kind,
            most: units,
            spare: if first { shape.spare } else { 0 },
            floats: shape.floats,
        };
        let every = every_share(&board.nodes[node], want, WAYS);
        let mut next = Vec::new();
        for (cost, before) in &all {
            for share in &every {
                let mut shares = before.clone();
                shares.push((node, share.clone()));
                next.push((*cost + share.cost, shares));
                if next.len() > WAYS {
                    break;
                }
            }
        }
        all = next;
    }
    let pairs = Pairs::of(board, shape);
    let priced = all.into_iter().map(|(mut cost, shares)| {
        cost.0[5] += pairs.loss(shares.iter().map(|(n, s)| (*n, s.whole)));
        let takes = shares.into_iter().map(|(n, share)| (n, share.takes));
        (cost, takes.collect())
    });
    priced.collect()
}
