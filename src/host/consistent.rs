//! Whether a topology can be one.

use crate::base::{CpuSet, NodeSet};
use crate::model::facts::Topology;

/// Returns the first thing in which a topology contradicts itself: what the
/// planner relies on, and only hand-written facts get wrong.
#[must_use]
pub fn inconsistency(topology: &Topology) -> Option<String> {
    let Topology {
        online, packages, dies, nodes, l3, l2, cores, kinds, ..
    } = topology;
    if online.is_empty() {
        return Some("no CPU is online".into());
    }
    if !topology.disallowed.is_subset(online) {
        return Some("a CPU is disallowed and not online".into());
    }
    let offline = topology.offline.value();
    if offline.is_some_and(|offline| offline.intersects(online)) {
        return Some("a CPU is online and offline".into());
    }
    let mut ids = NodeSet::new();
    for node in nodes {
        if node.id.0 > NodeSet::MAX_NUMBER {
            return Some(format!("node {} is beyond the limit", node.id));
        }
        if ids.last().is_some_and(|last| last >= node.id) {
            return Some(format!("node {} is out of order", node.id));
        }
        ids.insert(node.id);
    }
    if ids.is_empty() {
        return Some("there is no node".into());
    }
    let sets = |name, sets: Vec<&CpuSet>, all| {
        overlap(name, &sets, online).or_else(|| {
            let union =
                sets.iter().fold(CpuSet::new(), |union, set| union.union(set));
            (all && union != *online)
                .then(|| format!("the {name} do not hold all online CPUs"))
        })
    };
    sets("cores", cores.iter().map(|c| &c.cpus).collect(), true)
        .or_else(|| {
            sets("nodes", nodes.iter().map(|n| &n.cpus).collect(), false)
        })
        .or_else(|| {
            sets("packages", packages.iter().map(|p| &p.cpus).collect(), false)
        })
        .or_else(|| sets("dies", dies.iter().map(|d| &d.cpus).collect(), false))
        .or_else(|| {
            sets("L3 caches", l3.iter().map(|c| &c.cpus).collect(), false)
        })
        .or_else(|| {
            sets("L2 caches", l2.iter().map(|c| &c.cpus).collect(), false)
        })
        .or_else(|| {
            sets("kinds", kinds.iter().map(|k| &k.cpus).collect(), false)
        })
}

fn overlap(name: &str, sets: &[&CpuSet], online: &CpuSet) -> Option<String> {
    let mut seen = CpuSet::new();
    for set in sets {
        if !set.is_subset(online) {
            return Some(format!("the {name} hold a CPU that is not online"));
        }
        if set.intersects(&seen) {
            return Some(format!("two {name} hold the same CPU"));
        }
        seen = seen.union(set);
    }
    None
}
