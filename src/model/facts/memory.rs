//! Page pools and the kernel's memory policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Bytes, NodeId, PageSize};
use crate::model::Fact;

/// Page pools and memory policies of a host.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct MemoryFacts {
    /// Memory that is free on each node now.
    pub free: Fact<BTreeMap<NodeId, Bytes>>,
    /// One pool for each node and huge page size that the kernel has.
    pub hugepages: Fact<Vec<HugepagePool>>,
    /// The mode of transparent hugepages: `always`, `madvise` or `never`.
    pub transparent_hugepages: Fact<String>,
    /// Whether KSM merges pages (`/sys/kernel/mm/ksm/run`: 0, 1 or 2).
    pub ksm: Fact<u32>,
    /// Pages that KSM has saved by merging (`pages_sharing`).
    #[serde(default = "Fact::<u64>::not_read")]
    pub ksm_sharing: Fact<u64>,
    /// Whether the kernel moves pages to the CPUs that use them (0, 1, 2).
    pub numa_balancing: Fact<u32>,
    /// How free memory lies, zone by zone.
    #[serde(default = "Fact::<Vec<Zone>>::not_read")]
    pub zones: Fact<Vec<Zone>>,
    /// Sizes of huge pages that are mounted somewhere, sorted.
    #[serde(default = "Fact::<Vec<PageSize>>::not_read")]
    pub hugetlbfs: Fact<Vec<PageSize>>,
}

/// How free memory lies in a zone of a node.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The node.
    pub node: NodeId,
    /// The kernel's name of the zone, as `Normal`.
    pub name: String,
    /// How many pieces of 1, 2, 4, … free pages there are
    /// (`/proc/buddyinfo`). Each is counted once, as the largest piece that
    /// it is.
    pub free_pieces: Vec<u64>,
    /// How many blocks of pages hold what kind of memory
    /// (`/proc/pagetypeinfo`, which root may read).
    pub blocks: Fact<BTreeMap<String, u64>>,
}

/// The huge pages of one size on one node.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct HugepagePool {
    /// The node.
    pub node: NodeId,
    /// The page size.
    pub size: PageSize,
    /// Pages in the pool.
    pub total: u64,
    /// Pages that nobody uses or has reserved.
    pub free: Fact<u64>,
    /// Pages over the configured number, given back when freed.
    pub surplus: Fact<u64>,
}
