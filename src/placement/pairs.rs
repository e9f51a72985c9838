//! What a placement takes from VMs with two cells that come after it.

use super::board::Board;
use super::curve::free_whole;
use super::damage::pair_worth;
use super::shape::Shape;

/// The free whole cores of every node, and what they are worth in pairs.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    free: Vec<u32>,
    /// Cores of the largest node.
    capacity: u32,
    worth: i64,
    /// Whether the VM takes any core at all.
    counts: bool,
}

impl Pairs {
    /// Counts the cores of the shape's kind.
    pub(super) fn of(board: &Board, shape: &Shape) -> Self {
        let of_node = |of: &dyn Fn(&super::board::Group) -> u32| -> Vec<u32> {
            let nodes = board.nodes.iter();
            nodes
                .map(|node| {
                    let groups = node.groups.iter();
                    let groups = groups.filter(|g| g.kind == shape.kind);
                    groups.map(of).sum()
                })
                .collect()
        };
        let free = of_node(&|group| {
            u32::try_from(free_whole(group)).unwrap_or(u32::MAX)
        });
        let capacities = of_node(&|group| group.capacity);
        let capacity = capacities.into_iter().max().unwrap_or(0);
        let worth = pair_worth(&free, capacity);
        Self { free, capacity, worth, counts: !shape.floats }
    }

    /// Returns what is lost when so many whole cores of these nodes go.
    pub(super) fn loss(&self, used: impl Iterator<Item = (usize, u32)>) -> i64 {
        if !self.counts || self.free.len() < 2 {
            return 0;
        }
        let mut left = self.free.clone();
        for (node, whole) in used {
            left[node] = left[node].saturating_sub(whole);
        }
        self.worth - pair_worth(&left, self.capacity)
    }
}
