//! What several VMs together cannot go below at levels 6 and 7.

use super::board::{Board, NodeBoard};
use super::curve::free_whole;
use super::damage::worth;
use super::shape::Shape;

/// Returns the least damage and the least sum of CPU numbers that VMs of
/// these shapes can do to a board, whatever else they want: as if all their
/// cores could be had anywhere.
pub(super) fn least(board: &Board, shapes: &[&Shape]) -> (i64, i64) {
    let cores =
        || board.nodes.iter().flat_map(|n| &n.groups).flat_map(|g| &g.cores);
    let width = cores().map(|core| core.width).max().unwrap_or(1).max(1);
    let loose: usize =
        cores().filter(|c| !c.whole).map(|core| core.free.len()).sum();
    let wanted: u32 = shapes
        .iter()
        .map(|shape| match shape.unit.alone {
            true => shape.units() * width,
            false => shape.units() * shape.unit.threads,
        })
        .sum();
    let loose = u32::try_from(loose).unwrap_or(u32::MAX);
    let whole = wanted.saturating_sub(loose).div_ceil(width) as usize;
    let mut firsts: Vec<_> =
        cores().map(|core| i64::from(core.first.0)).collect();
    firsts.sort_unstable();
    (damage(board, whole), firsts.iter().take(whole).sum())
}

/// Returns the least damage of taking so many whole cores from a board.
fn damage(board: &Board, cores: usize) -> i64 {
    let start = vec![Some(0)];
    let all = board
        .nodes
        .iter()
        .map(node_damage)
        .fold(start, |sums, node| combine(&sums, &node, cores));
    // More cores than asked for may be taken where that is less damage.
    all.iter().skip(cores).flatten().copied().min().unwrap_or(0)
}

/// Returns the least damage of each number of cores on one node.
fn node_damage(node: &NodeBoard) -> Vec<Option<i64>> {
    let loss = |free: usize, capacity: u32| {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let before = worth(number(free), capacity);
        (0..=free)
            .map(|used| {
                Some(
                    node.weight
                        * (before - worth(number(free - used), capacity)),
                )
            })
            .collect::<Vec<_>>()
    };
    let groups =
        node.groups.iter().map(|group| loss(free_whole(group), group.capacity));
    let parts = groups
        .fold(vec![Some(0)], |sums, group| combine(&sums, &group, usize::MAX));
    // Kinds of core are told apart on a node, which only adds homes: each is
    // judged by itself in the table, so the sum over kinds is what counts.
    let mut kinds: Vec<usize> = node.groups.iter().map(|g| g.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() > 1 {
        return parts;
    }
    let free = node.groups.iter().map(free_whole).sum();
    let capacity = node.groups.iter().map(|group| group.capacity).sum();
    let whole = loss(free, capacity);
    let both = parts.iter().zip(&whole);
    both.map(|(part, node)| Some((*part)? + (*node)?)).collect()
}

/// Combines two lists of least sums; beyond `most` nothing is kept.
fn combine(
    a: &[Option<i64>],
    b: &[Option<i64>],
    most: usize,
) -> Vec<Option<i64>> {
    let len = (a.len() + b.len() - 1).min(most.saturating_add(1));
    let mut sums = vec![None; len];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            if let (Some(x), Some(y)) = (x, y)
                && let Some(slot) = sums.get_mut(i + j)
            {
                let sum = x + y;
                if slot.is_none_or(|least| sum < least) {
                    *slot = Some(sum);
                }
            }
        }
    }
    sums
}
