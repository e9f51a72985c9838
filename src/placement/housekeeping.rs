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
/// node (that of its first usable CPU) that has at least four, so that emulators, I/O threads and
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
        let own = node.cpus.intersection(&usable);
        let cores = topology.cores.iter();
        let cores = cores.filter(|core| core.cpus.intersects(&own)).count();
        if cores < LEAST_CORES || node.cpus.intersects(&kept) {
            continue;
        }
        let home = own.first().and_then(|cpu| topology.core_of(cpu));
        kept = kept.union(&home.map(of_core).unwrap_or_default());
    }
    kept
}
