//! Seeded hosts and VMs for tests: the same seed gives the same case.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test crate uses a part of this"
)]

pub mod cpu_settings;
pub mod functions;
pub mod hosts;
pub mod tuned;
pub mod vms;
pub mod wild;

/// A small generator (SplitMix64): reproducible on every platform, which a
/// failing seed needs.
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        // Seeds in a row must not give one stream, shifted: each is mixed.
        let mut mixed = Self(seed);
        Self(mixed.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end.max(1))).unwrap()
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(u32::try_from(of.len()).unwrap()) as usize]
    }
}
