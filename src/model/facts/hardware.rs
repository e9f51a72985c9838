//! What of a host a plan is bound to.

use super::{Facts, HugepagePool, PciFunction, Topology};
use crate::model::Fact;

/// The part of the facts that stays as it is while the host runs: its CPUs
/// and caches, the page sizes that it has pools of, its PCI functions. It is
/// read in a fraction of the time that all facts take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Packages, nodes, caches, cores and CPUs.
    pub topology: Topology,
    /// CPU vendor; see [`Facts::cpu_vendor`].
    pub cpu_vendor: Fact<String>,
    /// Page pools.
    pub hugepages: Fact<Vec<HugepagePool>>,
    /// PCI functions; see [`Facts::pci`].
    pub pci: Fact<Vec<PciFunction>>,
}

impl From<&Facts> for Hardware {
    fn from(facts: &Facts) -> Self {
        Self {
            topology: facts.topology.clone(),
            cpu_vendor: facts.cpu_vendor.clone(),
            hugepages: facts.memory.hugepages.clone(),
            pci: facts.pci.clone(),
        }
    }
}
