//! Sets and amounts as a sentence has them.

use crate::base::{CpuSet, Id, IdSet, NodeSet, VcpuSet};

/// "CPU 3" or "CPUs 0-3,8".
pub(super) fn cpus(set: &CpuSet) -> String {
    named("CPU", set)
}

/// "vCPU 3" or "vCPUs 0-3,8".
pub(super) fn vcpus(set: &VcpuSet) -> String {
    named("vCPU", set)
}

/// "node 1" or "nodes 0-1".
pub(super) fn nodes(set: &NodeSet) -> String {
    named("node", set)
}

fn named<T: Id>(noun: &str, set: &IdSet<T>) -> String {
    let plural = if set.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {set}")
}
