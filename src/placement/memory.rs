//! Memory of each node: free pages of each size, ordinary memory, and what of
//! it pools may be given.

use std::collections::{BTreeMap, BTreeSet};

use super::{Board, Held};
use crate::base::{Bytes, NodeId, PageSize};
use crate::model::facts::Facts;

/// Pages by the pool that they are to be added to.
pub type Reservations = BTreeMap<(NodeId, PageSize), u64>;

/// The part of a node's memory that no pool is given, as a divisor: what
/// emulators, the page cache and the host's own work live on. Hosts that do
/// nothing but run VMs are commonly given five to ten percent.
const KEPT_PART: u64 = 16;

/// What is kept of a node at least: a kernel, an init system and libvirt run
/// in half of it.
const KEPT_LEAST: u64 = 512 << 20;

/// Free memory of one node by page size.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeMemory {
    /// Ordinary memory; `None` where the node's size is not known.
    ordinary: Option<Bytes>,
    /// Free huge pages.
    pub(super) pages: BTreeMap<PageSize, u64>,
    /// Ordinary memory that no pool is given.
    kept: Bytes,
    /// Sizes whose pool may be given ordinary memory.
    growing: BTreeSet<PageSize>,
    /// Pages that pools must be given for what was taken.
    added: BTreeMap<PageSize, u64>,
}

impl NodeMemory {
    /// Returns how much can be had in pages of a size, with those that its
    /// pool could be given where `reserve` says so.
    pub(super) fn free(&self, size: Option<PageSize>, reserve: bool) -> Bytes {
        let Some(size) = size else {
            return self.ordinary.unwrap_or(Bytes(u64::MAX));
        };
        let pages = self.pages.get(&size).copied().unwrap_or(0);
        let more = if reserve { self.growth(size) } else { 0 };
        let pages = pages.saturating_add(more);
        Bytes(pages.saturating_mul(size.bytes()))
    }

    /// Returns how many pages the pool of a size could be given.
    fn growth(&self, size: PageSize) -> u64 {
        if !self.growing.contains(&size) {
            return 0;
        }
        let ordinary = self.ordinary.unwrap_or_default();
        ordinary.0.saturating_sub(self.kept.0) / size.bytes()
    }

    /// Takes memory away; what the pool does not have, the pool is given.
    pub(super) fn take(&mut self, size: Option<PageSize>, memory: Bytes) {
        let Some(size) = size else {
            self.take_ordinary(memory);
            return;
        };
        let pages = size.pages(memory);
        let free = self.pages.entry(size).or_default();
        let short = pages.saturating_sub(*free);
        *free = free.saturating_sub(pages);
        let more = short.min(self.growth(size));
        if more > 0 {
            *self.added.entry(size).or_default() += more;
            self.take_ordinary(Bytes(more.saturating_mul(size.bytes())));
        }
    }

    fn take_ordinary(&mut self, memory: Bytes) {
        if let Some(free) = &mut self.ordinary {
            free.0 = free.0.saturating_sub(memory.0);
        }
    }
}

impl Board {
    /// Lets these pools be given ordinary memory of their nodes.
    #[must_use]
    pub fn growing(
        mut self,
        pools: impl IntoIterator<Item = (NodeId, PageSize)>,
    ) -> Self {
        for (node, size) in pools {
            if let Some(memory) = self.memory.get_mut(&node) {
                memory.growing.insert(size);
            }
        }
        self
    }

    /// Returns the pages that pools must be given for what was taken.
    pub(super) fn reservations(&self) -> Reservations {
        let of_node = |(node, memory): (&NodeId, &NodeMemory)| {
            let node = *node;
            let added = memory.added.clone().into_iter();
            added.map(move |(size, pages)| ((node, size), pages))
        };
        self.memory.iter().flat_map(of_node).collect()
    }
}

/// Returns the free memory of every node; see [`Board::of`].
pub(super) fn memories(
    facts: &Facts,
    held: &Held,
    asleep: &Held,
    returned: &Held,
) -> BTreeMap<NodeId, NodeMemory> {
    let pools = facts.memory.hugepages.value();
    let mut memory = BTreeMap::new();
    for node in &facts.topology.nodes {
        let whole = node.memory.value().copied();
        let kept = whole.unwrap_or_default().0 / KEPT_PART;
        let mut entry = NodeMemory {
            ordinary: whole,
            kept: Bytes(kept.max(KEPT_LEAST)),
            ..NodeMemory::default()
        };
        for pool in pools.into_iter().flatten().filter(|p| p.node == node.id) {
            let reserved = pool.total.saturating_mul(pool.size.bytes());
            entry.take(None, Bytes(reserved));
            let free = pool.free.value().copied();
            let by = if free.is_some() { asleep } else { held };
            let place = (node.id, Some(pool.size));
            let back = returned.memory.get(&place).copied();
            let back = pool.size.pages(back.unwrap_or_default());
            let free = free.map(|pages| (pages + back).min(pool.total));
            entry.pages.insert(pool.size, free.unwrap_or(pool.total));
            let gone = by.memory.get(&place).copied().unwrap_or_default();
            entry.take(Some(pool.size), gone);
        }
        let gone = held.memory.get(&(node.id, None)).copied();
        entry.take(None, gone.unwrap_or_default());
        memory.insert(node.id, entry);
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn memory(ordinary: u64, pages: u64) -> NodeMemory {
        NodeMemory {
            ordinary: Some(Bytes(ordinary * GIB)),
            pages: [(PageSize::ONE_GIB, pages)].into(),
            kept: Bytes(GIB),
            growing: [PageSize::ONE_GIB].into(),
            added: BTreeMap::new(),
        }
    }

    #[test]
    fn a_pool_is_given_what_it_lacks_and_the_host_keeps_its_part() {
        let mut node = memory(6, 3);
        let size = Some(PageSize::ONE_GIB);
        assert_eq!(node.free(size, false), Bytes(3 * GIB));
        assert_eq!(node.free(size, true), Bytes(8 * GIB));
        node.take(size, Bytes(7 * GIB));
        assert_eq!(node.added[&PageSize::ONE_GIB], 4);
        assert_eq!(node.free(size, true), Bytes(GIB));
        assert_eq!(node.free(None, false), Bytes(2 * GIB));
    }

    #[test]
    fn a_pool_that_may_not_grow_has_its_pages_and_no_more() {
        let mut node = NodeMemory { growing: BTreeSet::new(), ..memory(6, 3) };
        assert_eq!(node.free(Some(PageSize::ONE_GIB), true), Bytes(3 * GIB));
        node.take(Some(PageSize::ONE_GIB), Bytes(3 * GIB));
        assert!(node.added.is_empty());
    }
}
