//! Whether huge pages can be had while the host runs, by how its free memory
//! lies.

use super::{Facts, Zone};
use crate::base::{Bytes, NodeId, PageSize};

/// How likely it is that a pool can be given pages while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chance {
    /// Nothing tells.
    Unknown,
    /// Only a boot gives them for sure.
    Unlikely,
    /// Memory that is in use has to be moved aside for them, and can be.
    Likely,
    /// Free memory lies in pieces that are large enough.
    Ready,
}

/// A chance with the figures that it rests on, as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// How likely it is.
    pub chance: Chance,
    /// Why.
    pub why: String,
}

/// What is left of a node's free memory at least: several times what the
/// kernel keeps for itself on a large host (`min_free_kbytes`).
const LEFT: u64 = 256 << 20;

/// A block of pages of which the kernel tells what it holds: 2 MiB on x86.
const BLOCK: u64 = 2 << 20;

impl Facts {
    /// Tells how likely it is that a pool can be given so many pages now.
    ///
    /// Pages of up to a few MiB come from the kernel's lists of free pieces;
    /// where those are too small, the kernel moves pages aside, which takes
    /// some free memory to move them to. A page of 1 GiB is made of whatever
    /// lies in the right place, and one page there that cannot be moved spoils
    /// it. Which places are spoilt is not told; memory that was never used
    /// lies in one piece, so most of the node being free in the largest
    /// pieces is what counts.
    #[must_use]
    pub fn outlook(&self, node: NodeId, size: PageSize, pages: u64) -> Outlook {
        let unknown = |why: String| Outlook { chance: Chance::Unknown, why };
        if !self.arch.is(&"x86_64".to_owned()) {
            return unknown("how memory lies is judged on x86 only".into());
        }
        let zones = match self.memory.zones.value() {
            Some(zones) => zones.iter().filter(|zone| zone.node == node),
            None => {
                let why = self.memory.zones.reason().unwrap_or_default();
                return unknown(format!(
                    "how free memory lies is not known: {why}"
                ));
            }
        };
        let zones: Vec<&Zone> = zones.collect();
        let wanted = Bytes(pages.saturating_mul(size.bytes()));
        let free = Bytes(zones.iter().map(|zone| in_pieces(zone, 0)).sum());
        if free.0 < wanted.0.saturating_add(LEFT) {
            let why = format!("{free} are free, and {wanted} are wanted");
            return Outlook { chance: Chance::Unlikely, why };
        }
        let order = (size.bytes() / PageSize::SMALL.bytes()).ilog2() as usize;
        let largest = |zone: &&&Zone| zone.free_pieces.len() > order;
        if zones.iter().any(|zone| largest(&zone)) {
            by_lists(&zones, size, order, pages, free)
        } else {
            let memory = self.topology.node(node);
            let memory = memory.and_then(|node| node.memory.value()).copied();
            in_one_piece(&zones, wanted, memory.unwrap_or(free))
        }
    }
}

/// Returns the free memory in pieces of an order and above.
fn in_pieces(zone: &Zone, order: usize) -> u64 {
    let pieces = zone.free_pieces.iter().enumerate().skip(order);
    pieces
        .map(|(order, count)| (count << order) * PageSize::SMALL.bytes())
        .sum()
}

/// Judges a size that the kernel keeps lists of.
fn by_lists(
    zones: &[&Zone],
    size: PageSize,
    order: usize,
    pages: u64,
    free: Bytes,
) -> Outlook {
    let ready: u64 = zones.iter().map(|zone| in_pieces(zone, order)).sum();
    let ready = ready / size.bytes();
    if ready >= pages {
        let why = format!("free memory has room for {ready} of them as it is");
        return Outlook { chance: Chance::Ready, why };
    }
    let wanted = pages.saturating_mul(size.bytes());
    let blocks: Option<Vec<_>> =
        zones.iter().map(|zone| zone.blocks.value()).collect();
    let Some(blocks) = blocks else {
        let reason = zones.iter().find_map(|zone| zone.blocks.reason());
        return Outlook {
            chance: Chance::Unknown,
            why: format!(
                "what could be moved aside is not known: {}",
                reason.unwrap_or_default()
            ),
        };
    };
    let movable = blocks.iter().filter_map(|kinds| kinds.get("Movable"));
    let movable: u64 = movable.sum::<u64>().saturating_mul(BLOCK);
    let roomy = free.0 >= wanted.saturating_add(wanted / 4);
    let chance = match roomy && movable >= wanted.saturating_mul(2) {
        true => Chance::Likely,
        false => Chance::Unlikely,
    };
    let why = format!(
        "free memory has room for {ready} of them as it is; {free} are free \
         in pieces, and {} can be moved aside",
        Bytes(movable)
    );
    Outlook { chance, why }
}

/// Judges a size that is larger than the pieces that the kernel counts.
fn in_one_piece(zones: &[&Zone], wanted: Bytes, memory: Bytes) -> Outlook {
    let last = |zone: &&Zone| zone.free_pieces.len().saturating_sub(1);
    let whole: u64 = zones.iter().map(|zone| in_pieces(zone, last(zone))).sum();
    let fresh = whole >= memory.0 / 4 * 3;
    let chance = match fresh && whole >= wanted.0.saturating_mul(2) {
        true => Chance::Likely,
        false => Chance::Unlikely,
    };
    let why = format!(
        "{} of the node's {memory} lie free in the largest pieces",
        Bytes(whole)
    );
    Outlook { chance, why }
}
