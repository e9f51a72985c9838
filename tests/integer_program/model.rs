//! The placement of one VM as an integer program.
//!
//! All variables are binary. `goes` says which node a cell goes to; every cell
//! has a node of its own. For each piece (the cores that share a node and an
//! L3 domain) one variable for each number of cores used of those that are
//! alike: they differ at level 7 only, the last one, so the lowest are used.
//! For each piece and each node one variable for each number of whole cores
//! used of it, and for each pair of nodes one for each two such numbers: what
//! pieces, nodes and pairs of homes are worth is no linear function of them.

use std::collections::BTreeMap;

use microlp::ComparisonOp;

use crate::host::{Host, loss};
use crate::program::Program;
use crate::{DAMAGE, DISTANCE, FAR, L3, SHARED, SUM, at};

/// The variables of a VM on a host.
pub(crate) struct Model<'a> {
    host: &'a Host,
    pub(crate) program: Program,
    /// Units of each cell.
    cells: Vec<i64>,
    /// By cell and node.
    goes: Vec<Vec<usize>>,
    /// Whole cores used, by piece: a variable and how many it stands for.
    whole: Vec<Vec<(usize, i64)>>,
}

impl<'a> Model<'a> {
    /// Says where cells and units can go, and what that costs: all levels
    /// but 5 and 6.
    pub(crate) fn new(host: &'a Host, cells: &[i64], threads: i64) -> Self {
        let mut model = Self {
            host,
            program: Program::default(),
            cells: cells.to_vec(),
            goes: Vec::new(),
            whole: Vec::new(),
        };
        for units in cells {
            let far = host.homes.iter().map(|home| home.far * units * threads);
            let program = &mut model.program;
            let goes = far.map(|cost| program.binary(at(FAR, cost)));
            let goes: Vec<_> = goes.collect();
            let once = goes.iter().map(|&x| (x, 1));
            program.row(once, ComparisonOp::Eq, 1);
            model.goes.push(goes);
        }
        model.seat();
        model
    }

    /// Returns the variables that say that a node is used.
    fn used(&self, node: usize) -> Vec<usize> {
        self.goes.iter().map(|goes| goes[node]).collect()
    }

    fn seat(&mut self) {
        let host = self.host;
        let most = self.cells.iter().copied().max().unwrap_or(0);
        let mut l3s = BTreeMap::new();
        let mut taken: Vec<Vec<(usize, i64, i64)>> =
            host.homes.iter().map(|_| Vec::new()).collect();
        for piece in &host.pieces {
            let program = &mut self.program;
            let enters = *l3s
                .entry(piece.l3)
                .or_insert_with(|| program.binary(at(L3, 1)));
            let used: Vec<_> =
                self.goes.iter().map(|goes| (goes[piece.node], -1)).collect();
            let weight = host.homes[piece.node].weight;
            let whole = (1..=piece.free.min(most)).map(|count| {
                let lost = loss(piece.free, count, piece.capacity);
                (program.binary(at(DAMAGE, weight * lost)), count)
            });
            let whole: Vec<_> = whole.collect();
            let mut sum = whole.clone();
            for like in &piece.likes {
                let sums = like.firsts.iter().scan(0, |sum, first| {
                    *sum += first;
                    Some(*sum)
                });
                let counts = (1..=most).zip(sums).map(|(count, sum)| {
                    let mut cost = at(SUM, sum);
                    cost[SHARED] = if like.whole { 0 } else { count };
                    (program.binary(cost), count)
                });
                let counts: Vec<_> = counts.collect();
                // One number of cores at most, and none of an L3 domain or
                // a node that is not used.
                let one = || counts.iter().map(|&(y, _)| (y, 1));
                program.row(one().chain([(enters, -1)]), ComparisonOp::Le, 0);
                program.row(one().chain(used.clone()), ComparisonOp::Le, 0);
                let all = counts.iter().map(|&(y, count)| (y, count, like.fit));
                taken[piece.node].extend(all);
                if like.whole {
                    sum.extend(counts.iter().map(|&(y, count)| (y, -count)));
                }
            }
            program.row(sum, ComparisonOp::Eq, 0);
            let one = whole.iter().map(|&(w, _)| (w, 1));
            program.row(one.chain([(enters, -1)]), ComparisonOp::Le, 0);
            self.whole.push(whole);
        }
        for (node, taken) in taken.iter().enumerate() {
            // Every core used has a unit at least and no more than fit.
            let program = &mut self.program;
            let units = || {
                let cells = self.goes.iter().zip(&self.cells);
                cells.map(|(goes, units)| (goes[node], -units))
            };
            let room = taken.iter().map(|&(y, count, fit)| (y, count * fit));
            program.row(room.chain(units()), ComparisonOp::Ge, 0);
            let cores = taken.iter().map(|&(y, count, _)| (y, count));
            program.row(cores.chain(units()), ComparisonOp::Le, 0);
            let cells = self.goes.iter().map(|goes| (goes[node], 1));
            program.row(cells, ComparisonOp::Le, 1);
        }
    }

    /// Adds what nodes and pairs of homes lose, and the distance.
    pub(crate) fn damage(mut self) -> Self {
        let host = self.host;
        let alone = self.cells.len() == 1;
        let most = self.cells.iter().copied().max().unwrap_or(0);
        let untouched = host.pairs(&[]);
        let mut totals: Vec<Vec<(usize, i64)>> = Vec::new();
        for (node, home) in host.homes.iter().enumerate() {
            let program = &mut self.program;
            let total = (0..=home.free.min(most)).map(|count| {
                let mut cost =
                    home.weight * loss(home.free, count, home.capacity);
                if alone {
                    cost += untouched - host.pairs(&[(node, count)]);
                }
                (program.binary(at(DAMAGE, cost)), count)
            });
            let total: Vec<_> = total.collect();
            let whole = host.pieces.iter().zip(&self.whole);
            let whole = whole.filter(|(piece, _)| piece.node == node);
            let whole = whole.flat_map(|(_, counts)| counts);
            let sum = total.iter().copied();
            let sum = sum.chain(whole.map(|&(y, count)| (y, -count)));
            let sum: Vec<_> = sum.collect();
            let used = self.used(node);
            self.program.row(sum, ComparisonOp::Eq, 0);
            let one = total.iter().map(|&(t, _)| (t, 1));
            let one = one.chain(used.into_iter().map(|x| (x, -1)));
            self.program.row(one, ComparisonOp::Eq, 0);
            totals.push(total);
        }
        if !alone {
            self.pair_up(&totals, untouched);
        }
        self
    }

    /// Adds the variables of two nodes and what each gives.
    fn pair_up(&mut self, totals: &[Vec<(usize, i64)>], untouched: i64) {
        let mut of: Vec<Vec<Vec<(usize, i64)>>> = totals
            .iter()
            .map(|total| total.iter().map(|&(t, _)| vec![(t, -1)]).collect())
            .collect();
        for a in 0..totals.len() {
            for b in a + 1..totals.len() {
                for (i, &(_, from_a)) in totals[a].iter().enumerate() {
                    for (j, &(_, from_b)) in totals[b].iter().enumerate() {
                        let left = self.host.pairs(&[(a, from_a), (b, from_b)]);
                        let mut cost = at(DAMAGE, untouched - left);
                        cost[DISTANCE] = self.host.distance[a][b] - 10;
                        let both = self.program.binary(cost);
                        of[a][i].push((both, 1));
                        of[b][j].push((both, 1));
                    }
                }
            }
        }
        for sum in of.into_iter().flatten() {
            self.program.row(sum, ComparisonOp::Eq, 0);
        }
    }
}
