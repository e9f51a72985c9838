//! Which CPUs stay with the host.

use crate::base::CpuSet;
use crate::model::facts::{Core, Topology};
use crate::model::policy::Housekeeping;

/// A node with fewer cores gives none of its own to the host: a quarter of
/// its CPUs would be too dear a home for interrupts.
const LEAST_CORES: usize = 4;

/// Returns the CPUs that are kept for the host.
///
/// `auto` is the core of CPU 0 (of the first usable CPU where that is not to
/// be had), which takes timers and RCU, and the first core of every other
/// node that has at least four, so that emulators, I/O threads and
/// interrupts have a home on each node.
#[must_use]
pub fn housekeeping(topology: &Topology, wanted: &Housekeeping) -> CpuSet {
    if let Housekeeping::Cpus(cpus) = wanted {
        return cpus.clone();
    }
    let usable = topology.usable();
    let Some(first) = usable.first() else { return CpuSet::new() };
    let of_core = |core: &Core| core.cpus.intersection(&usable);
    let mut kept = topology.core_of(first).map(of_core).unwrap_or_default();
    kept.insert(first);
    for node in &topology.nodes {
        let mut cores = topology
            .cores
            .iter()
            .map(of_core)
            .filter(|cpus| cpus.intersects(&node.cpus));
        if node.cpus.intersects(&kept) {
            continue;
        }
        if let Some(home) = cores.next()
            && cores.count() + 1 >= LEAST_CORES
        {
            kept = kept.union(&home);
        }
    }
    kept
}
