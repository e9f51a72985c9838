//! What CPUs lose.

use serde::{Deserialize, Serialize};

use super::Distribution;
use crate::base::CpuId;
use crate::model::Fact;

/// The time that threads lost which did nothing but look at the clock, one on
/// each CPU.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Two looks at the clock that are farther apart are a gap.
    pub gap_from_ns: u64,
    /// Each CPU, by number.
    pub cpus: Vec<CpuJitter>,
}

/// One of them.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CpuJitter {
    /// The CPU, as this machine numbers it.
    pub cpu: CpuId,
    /// How long its thread looked, in nanoseconds.
    pub looked_ns: u64,
    /// How much of that was in gaps.
    pub lost_ns: u64,
    /// The gaps; `None` where there were none.
    pub gaps: Option<Distribution>,
    /// How much time the hypervisor says it gave to others (`steal` in
    /// /proc/stat, in steps of 10 ms).
    pub stolen_ns: Fact<u64>,
    /// How often another thread of this machine was let onto the CPU.
    pub preempted: u64,
}

impl CpuJitter {
    /// Returns the lost part, in parts of a million.
    #[must_use]
    pub fn lost_ppm(&self) -> u64 {
        let looked = u128::from(self.looked_ns.max(1));
        let ppm = u128::from(self.lost_ns) * 1_000_000 / looked;
        u64::try_from(ppm).unwrap_or(u64::MAX)
    }
}
