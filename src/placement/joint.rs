//! Places several VMs together.

use super::board::Board;
use super::demand::{CellDemand, CellWish, Demand};
use super::exact::Exact;
use super::keep::{keep, reserved};
use super::memory::Reservations;
use super::relax;
use super::shape::{Shape, ShapeCell};
use super::shortage::{Short, Shortage};
use super::solve::{Hosts, Solved, beyond, solve};
use crate::model::facts::Topology;
use crate::model::policy::PlacementMode;
use crate::model::{Objective, VmPlacement};

/// Where all VMs go, in the order of the demands.
#[derive(Debug, Clone)]
pub struct Solution {
    /// Where each goes.
    pub placements: Vec<VmPlacement>,
    /// What each costs.
    pub objectives: Vec<Objective>,
    /// What each cannot go below. The sum over all VMs is the bound of the
    /// whole; equal to the sum of the costs where that is proved optimal.
    pub bounds: Vec<Objective>,
    /// Pages that pools must be given for it.
    pub reservations: Reservations,
}

/// One way to place the exclusive VMs: which VM, and where.
struct Answer {
    total: Objective,
    solved: Vec<(usize, Solved)>,
}

/// Places all VMs, or says what is short. Kept pins come first, then
/// exclusive VMs together, then those that share CPUs.
///
/// # Errors
/// When they do not all fit; nothing is placed then.
pub fn place(
    topology: &Topology,
    board: &Board,
    bare: &Board,
    demands: &[Demand],
) -> Result<Solution, Shortage> {
    let mut now = board.clone();
    let mut placements: Vec<Option<VmPlacement>> = vec![None; demands.len()];
    let mut objectives = vec![Objective::default(); demands.len()];
    let mut bounds = objectives.clone();
    for demand in demands {
        now.take(&demand.service);
    }
    for (at, demand) in demands.iter().enumerate() {
        if let Some(own) = &demand.kept {
            let mut kept = keep(&now, topology, demand, own)
                .map_err(|what| Shortage { vm: demand.name.clone(), what })?;
            if kept.exclusive {
                let others = (board, &now);
                kept.reserved = reserved(others, topology, demand, &kept);
            }
            now.give(&kept);
            placements[at] = Some(kept);
        }
    }
    let of_mode = |mode| {
        let all = demands.iter().enumerate();
        all.filter(move |(_, d)| d.kept.is_none() && d.mode == mode)
            .map(|(at, _)| at)
    };
    let exclusive: Vec<usize> = of_mode(PlacementMode::Dedicated).collect();
    let hosts = Hosts { now: &now, bare };
    let (answer, proved) = together(hosts, demands, &exclusive)?;
    let (answer, proved) = firm(hosts, demands, &exclusive, answer, proved);
    for (at, solved) in answer.solved {
        let Solved { shape, found } = &solved;
        placements[at] = Some(now.settle(&demands[at], shape, found));
        objectives[at] = found.cost;
    }
    for (at, bound) in exclusive.iter().zip(proved) {
        bounds[*at] = bound;
    }
    for at in of_mode(PlacementMode::Shared) {
        let solved = solve(Hosts { now: &now, bare }, &demands[at])
            .map_err(|what| Shortage { vm: demands[at].name.clone(), what })?;
        let Solved { shape, found } = &solved;
        placements[at] = Some(now.settle(&demands[at], shape, found));
        // Floating vCPUs have no cores of their own to be judged by.
        for level in [0, 1, 4] {
            objectives[at].0[level] = found.cost.0[level];
            bounds[at].0[level] = found.bound.0[level];
        }
    }
    let mut placements: Vec<_> = placements.into_iter().flatten().collect();
    for (placement, demand) in placements.iter_mut().zip(demands) {
        placement.exclusive &= demand.pinned;
    }
    let reservations = now.reservations();
    Ok(Solution { placements, objectives, bounds, reservations })
}

/// Places exclusive VMs together; returns the bounds in the order of `which`.
fn together(
    hosts: Hosts<'_>,
    demands: &[Demand],
    which: &[usize],
) -> Result<(Answer, Vec<Objective>), Shortage> {
    let mut alone = Vec::new();
    for &at in which {
        let solved = solve(hosts, &demands[at])
            .map_err(|what| Shortage { vm: demands[at].name.clone(), what })?;
        alone.push(solved);
    }
    if let [only] = which {
        let bounds = alone.iter().map(|solved| solved.found.bound).collect();
        let solved = alone.into_iter().map(|solved| (*only, solved));
        let solved: Vec<_> = solved.collect();
        let total = solved.iter().map(|(_, s)| s.found.cost).sum();
        return Ok((Answer { total, solved }, bounds));
    }
    let greedy = greedy(hosts, demands, which, &alone);
    let shapes: Vec<&Shape> = alone.iter().map(|s| &s.shape).collect();
    let least = relax::least(hosts.now, &shapes);
    let floor = floor(&alone, least);
    if let Some(answer) = &greedy
        && answer.total == floor
    {
        let bounds = own_costs(answer, which);
        return Ok((greedy.unwrap_or(Answer::none()), bounds));
    }
    let (exact, complete) = exact(hosts, demands, which, &alone, &greedy);
    let answer = exact.or(greedy).ok_or_else(|| Shortage {
        vm: demands[hardest(&alone, which)].name.clone(),
        what: if complete { Short::Together } else { Short::CutOff },
    })?;
    let same_forms = answer.total.0[0] == floor.0[0];
    let proved = if complete && same_forms { 6 } else { 0 };
    let bounds = apportion(&answer, which, &alone, least, proved);
    Ok((answer, bounds))
}

/// Rounds in which an answer is tried again in its own form.
const ROUNDS: usize = 4;

/// Places VMs that were spread over cells again, as if they had these cells
/// already: the search among several VMs tries the forms that each has alone,
/// and a definition that a plan led to is searched in the plan's form. What
/// comes back unchanged is what a second plan finds.
fn firm(
    hosts: Hosts<'_>,
    demands: &[Demand],
    which: &[usize],
    mut answer: Answer,
    mut proved: Vec<Objective>,
) -> (Answer, Vec<Objective>) {
    for _ in 0..ROUNDS {
        let mut given = demands.to_vec();
        let mut spread = false;
        for (at, solved) in &answer.solved {
            let cells = &solved.shape.cells;
            if which.len() > 1
                && demands[*at].cells == CellWish::Auto
                && cells.len() > 1
            {
                spread = true;
                given[*at].cells = CellWish::Given(as_given(cells));
            }
        }
        if !spread {
            break;
        }
        let Ok((mut next, _)) = together(hosts, &given, which) else { break };
        for (at, solved) in &mut next.solved {
            if given[*at].cells != demands[*at].cells {
                let fewest = beyond(hosts, &demands[*at], &solved.shape);
                solved.found.cost.0[0] += fewest.0[0];
            }
        }
        next.total = next.solved.iter().map(|(_, s)| s.found.cost).sum();
        let same = |a: &(usize, Solved), b: &(usize, Solved)| {
            a.0 == b.0
                && a.1.found.nodes == b.1.found.nodes
                && a.1.found.shares == b.1.found.shares
        };
        let settled = answer.solved.len() == next.solved.len()
            && answer.solved.iter().zip(&next.solved).all(|(a, b)| same(a, b));
        for (bound, cost) in proved.iter_mut().zip(own_costs(&next, which)) {
            *bound = (*bound).min(cost);
        }
        answer = next;
        if settled {
            break;
        }
    }
    (answer, proved)
}

fn as_given(cells: &[ShapeCell]) -> Vec<CellDemand> {
    let given = cells.iter().map(|cell| CellDemand {
        id: cell.id,
        vcpus: cell.vcpus.iter().copied().collect(),
        memory: cell.memory,
    });
    given.collect()
}

impl Answer {
    const fn none() -> Self {
        Self { total: Objective([0; 7]), solved: Vec::new() }
    }
}

/// So few VMs are tried in every order.
const ALL_ORDERS: usize = 4;

fn permutations(len: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..len {
        all = all
            .iter()
            .flat_map(|head: &Vec<usize>| {
                let rest = (0..len).filter(|n| !head.contains(n));
                rest.map(|n| head.iter().copied().chain([n]).collect())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    all
}

/// Places the VMs one after another, in several orders; keeps the best.
fn greedy(
    hosts: Hosts<'_>,
    demands: &[Demand],
    which: &[usize],
    alone: &[Solved],
) -> Option<Answer> {
    let size = |n: &usize| std::cmp::Reverse(alone[*n].shape.units());
    let tied =
        |n: &usize| std::cmp::Reverse(demands[which[*n]].devices.len().min(1));
    let wide = |n: &usize| std::cmp::Reverse(alone[*n].shape.cells.len());
    let mut orders: Vec<Vec<usize>> = vec![(0..which.len()).collect(); 4];
    orders[1].sort_by_key(size);
    orders[2].sort_by_key(|n| (tied(n), wide(n), size(n)));
    orders[3].sort_by_key(|n| (wide(n), size(n), tied(n)));
    if which.len() <= ALL_ORDERS {
        orders = permutations(which.len());
    }
    orders.dedup();
    let answers = orders.iter().filter_map(|order| {
        let mut board = hosts.now.clone();
        let mut answer = Answer::none();
        for &n in order {
            let at = which[n];
            let hosts = Hosts { now: &board, bare: hosts.bare };
            let solved = solve(hosts, &demands[at]).ok()?;
            board.settle(&demands[at], &solved.shape, &solved.found);
            answer.total = answer.total + solved.found.cost;
            answer.solved.push((at, solved));
        }
        Some(answer)
    });
    answers.min_by_key(|answer| answer.total)
}

/// Searches all placements of the forms that each VM has alone.
fn exact(
    hosts: Hosts<'_>,
    demands: &[Demand],
    which: &[usize],
    alone: &[Solved],
    greedy: &Option<Answer>,
) -> (Option<Answer>, bool) {
    let mut order: Vec<usize> = (0..which.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(alone[n].shape.units()));
    let mut rest = vec![Objective::default(); order.len() + 1];
    for (at, &n) in order.iter().enumerate().rev() {
        rest[at] = rest[at + 1] + alone[n].found.bound;
    }
    let mut search = Exact {
        demands: order.iter().map(|&n| &demands[which[n]]).collect(),
        shapes: order.iter().map(|&n| &alone[n].shape).collect(),
        beyond: order
            .iter()
            .map(|&n| beyond(hosts, &demands[which[n]], &alone[n].shape))
            .collect(),
        rest,
        least: (0, 0),
        best: greedy.as_ref().map(|answer| (answer.total, Vec::new())),
        work: 0,
        cut: false,
    };
    search.run(hosts.now);
    let complete = !search.cut;
    let answer = search.best.filter(|(_, found)| !found.is_empty());
    let answer = answer.map(|(total, found)| Answer {
        total,
        solved: order
            .iter()
            .zip(found)
            .map(|(&n, found)| {
                let shape = alone[n].shape.clone();
                (which[n], Solved { shape, found })
            })
            .collect(),
    });
    (answer, complete)
}

/// Returns what all VMs together cannot go below.
fn floor(alone: &[Solved], least: (i64, i64)) -> Objective {
    let mut floor: Objective = alone.iter().map(|s| s.found.bound).sum();
    (floor.0[5], floor.0[6]) = least;
    floor
}

fn own_costs(answer: &Answer, which: &[usize]) -> Vec<Objective> {
    let cost = |at: &usize| {
        let own = answer.solved.iter().find(|(other, _)| other == at);
        own.map(|(_, solved)| solved.found.cost).unwrap_or_default()
    };
    which.iter().map(cost).collect()
}

/// Shares out the bound of the whole: what a VM costs alone at levels 1 to 5,
/// and at levels 6 and 7 its part of what all cost at least together. The
/// first `proved` levels are those of the answer itself. The search does not
/// try all CPUs of cores that VMs come to share, so it proves six levels; the
/// seventh only breaks ties.
fn apportion(
    answer: &Answer,
    which: &[usize],
    alone: &[Solved],
    least: (i64, i64),
    proved: usize,
) -> Vec<Objective> {
    let mut left = [least.0, least.1];
    let costs = own_costs(answer, which);
    let bounds = costs.iter().zip(alone).map(|(cost, alone)| {
        let mut bound = alone.found.bound;
        for (level, left) in (5..7).zip(&mut left) {
            let part = (*left).min(cost.0[level]).max(0);
            bound.0[level] = part;
            *left -= part;
        }
        bound.0[..proved].copy_from_slice(&cost.0[..proved]);
        bound
    });
    bounds.collect()
}

fn hardest(alone: &[Solved], which: &[usize]) -> usize {
    let units = |n: &usize| alone[*n].shape.units();
    let hardest = (0..which.len()).max_by_key(units);
    hardest.map_or(0, |n| which[n])
}
