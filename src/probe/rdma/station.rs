//! One side's devices, and which of them to use.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::choice::{Wish, choose};
use super::fabric::{Address, Fabric, RdmaError};
use crate::model::probe::RdmaEnd;
use crate::probe::Verbs;

/// The RDMA devices of one side, and what a person wishes of them.
pub struct Station {
    pub(super) fabric: Box<dyn Fabric>,
    wish: Wish,
}

impl Station {
    /// Takes these devices.
    #[must_use]
    pub fn new(fabric: Box<dyn Fabric>, wish: Wish) -> Self {
        Self { fabric, wish }
    }

    /// Takes those of this machine.
    #[must_use]
    pub fn here(wish: Wish) -> Self {
        Self::new(Box::new(Verbs), wish)
    }

    /// Chooses a port and an address to send from.
    ///
    /// # Errors
    /// When none will do.
    pub(super) fn address(&self, talk: IpAddr) -> Result<Address, RdmaError> {
        choose(&self.fabric.ports()?, &self.wish, talk)
    }

    /// Returns what a port has counted so far.
    pub(super) fn counted(&self, at: &RdmaEnd) -> BTreeMap<String, u64> {
        self.fabric.counters(at).value().cloned().unwrap_or_default()
    }

    /// Returns the counters that have grown since, and by how much.
    pub(super) fn grown(
        &self,
        at: &RdmaEnd,
        before: &BTreeMap<String, u64>,
    ) -> BTreeMap<String, u64> {
        let now = self.counted(at);
        let grown = now.into_iter().filter_map(|(name, now)| {
            let by = now.checked_sub(*before.get(&name)?)?;
            (by > 0).then_some((name, by))
        });
        grown.collect()
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("wish", &self.wish)
            .finish_non_exhaustive()
    }
}
