//! Where emulator and I/O threads run.

use super::board::Board;
use crate::base::{CpuSet, NodeId};

/// Returns the housekeeping CPUs for a VM on these nodes: those of its own
/// nodes, else those of the nearest node that has any. `None` where the host
/// keeps no CPU at all.
pub(super) fn home(board: &Board, nodes: &[NodeId]) -> Option<CpuSet> {
    let of_nodes = board.homes.iter().filter(|(id, _)| nodes.contains(id));
    let own = of_nodes.fold(CpuSet::new(), |all, (_, one)| all.union(one));
    if !own.is_empty() {
        return Some(own);
    }
    let first = nodes.first()?;
    let nearest = board
        .homes
        .iter()
        .min_by_key(|(id, _)| (board.between(*first, *id), *id));
    let kept = &board.housekeeping;
    let nearest = nearest.map(|(_, cpus)| cpus.clone());
    nearest.or_else(|| (!kept.is_empty()).then(|| kept.clone()))
}
