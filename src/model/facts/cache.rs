//! Caches that the kernel can divide (resctrl).

use serde::{Deserialize, Serialize};

use crate::base::{Bytes, CpuSet};

/// What `/sys/fs/resctrl` says of third-level caches.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CacheControl {
    /// How many groups there can be, that of all other work among them
    /// (`num_closids`).
    pub groups: u32,
    /// The fewest ways that a group can have (`min_cbm_bits`).
    pub fewest_ways: u32,
    /// The caches, sorted by number.
    pub caches: Vec<DividedCache>,
}

/// A third-level cache that can be divided by ways.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct DividedCache {
    /// The kernel's number of it.
    pub id: u32,
    /// The CPUs that share it.
    pub cpus: CpuSet,
    /// Its size.
    pub size: Bytes,
    /// The ways that it has, one bit each (`cbm_mask`).
    pub ways: u64,
    /// The ways that all work without a group of its own may use.
    pub common: u64,
}

impl DividedCache {
    /// Returns the ways that are left for groups.
    #[must_use]
    pub const fn left(&self) -> u32 {
        (self.ways & !self.common).count_ones()
    }

    /// Returns the size of one way.
    #[must_use]
    pub fn way(&self) -> Bytes {
        Bytes(self.size.0 / u64::from(self.ways.count_ones().max(1)))
    }
}
