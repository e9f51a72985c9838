//! The topology of a captured tree that holds no `hwloc.xml`: sysfs alone.
//!
//! The files say much less than hwloc knows, but the same things: which CPUs
//! are siblings, which share a cache or a package, and what a node is.

mod cgroup;
mod nodes;
mod shared;

use std::collections::BTreeMap;

use super::{CollectError, Root, text};
use crate::base::{CpuId, CpuSet};
use crate::model::Fact;
use crate::model::facts::{Core, CpuKind, Topology};

const CPUS: &str = "sys/devices/system/cpu";

/// Reads the topology from sysfs.
///
/// # Errors
/// When the tree holds no CPUs.
pub(super) fn read(root: &Root) -> Result<Topology, CollectError> {
    let present = present(root)?;
    let online = online(root, &present);
    if online.is_empty() {
        return Err(CollectError::NoCpus);
    }
    let siblings = ["core_cpus", "thread_siblings"];
    let cores = shared::groups(root, &online, &siblings);
    let mut topology = Topology {
        origin: "/sys/devices/system".into(),
        offline: Fact::known(present.difference(&online), format!("/{CPUS}")),
        disallowed: cgroup::allowed(root)
            .map_or_else(CpuSet::new, |allowed| online.difference(&allowed)),
        isolated: Fact::unknown(""),
        packages: shared::packages(root, &online),
        dies: shared::dies(root, &online),
        nodes: nodes::read(root, &online),
        l3: shared::caches(root, &online, 3),
        l2: shared::caches(root, &online, 2),
        cores: cores.into_iter().map(|cpus| Core { cpus }).collect(),
        kinds: kinds(root, &online),
        online,
    };
    overlay(root, &mut topology);
    Ok(topology)
}

/// Adds what sysfs says and hwloc does not, or blurs: which CPUs are offline
/// rather than kept from this process, which are isolated, which belong to a
/// node rather than being near to it, and how far an only node is from itself.
pub(super) fn overlay(root: &Root, topology: &mut Topology) {
    let list = |name| {
        root.fact(&format!("{CPUS}/{name}"), |t| t.parse::<CpuSet>().ok())
    };
    topology.isolated = match (list("isolated"), cgroup::isolated(root)) {
        // The kernel lists there what its command line isolates, no more.
        (Fact::Known { value, origin }, Some(partitions)) => Fact::known(
            value.union(&partitions),
            format!("{origin}, /{}", cgroup::ISOLATED),
        ),
        (fact, _) => fact,
    };
    if let Fact::Known { value, origin } = list("present") {
        let offline = value.difference(&topology.online);
        topology.offline = Fact::Known { value: offline, origin };
    }
    let all = topology.nodes.iter().map(|node| node.id).collect();
    for node in &mut topology.nodes {
        if node.distances.value().is_none()
            && let told @ Fact::Known { .. } =
                nodes::distances(root, node.id, &all)
        {
            node.distances = told;
        }
        if let Some(cpus) = nodes::cpus(root, node.id) {
            node.cpus = cpus.intersection(&topology.online);
        }
    }
    if let Some(allowed) = cgroup::of_machines(root) {
        topology.disallowed = topology.online.difference(&allowed);
    }
}

fn present(root: &Root) -> Result<CpuSet, CollectError> {
    let names = root.list(CPUS)?;
    let numbers = names.iter().filter_map(|n| text::number_after(n, "cpu"));
    Ok(numbers.map(CpuId).collect())
}

/// Returns the CPUs that run. Old kernels have no list of them, but an
/// offline CPU loses its topology.
fn online(root: &Root, present: &CpuSet) -> CpuSet {
    let list = root.fact(&format!("{CPUS}/online"), |t| t.parse().ok());
    if let Fact::Known { value, .. } = list {
        return present.intersection(&value);
    }
    let runs = |cpu: &CpuId| {
        let state = root.read(&format!("{CPUS}/cpu{cpu}/online"));
        state.map_or_else(
            |_| root.exists(&format!("{CPUS}/cpu{cpu}/topology")),
            |text| text.trim() == "1",
        )
    };
    present.iter().filter(runs).collect()
}

/// Tells kinds of core apart, slowest first: by the performance counters that
/// Intel gives each kind, else by the capacity that Arm's firmware tells, else
/// by the base frequency.
fn kinds(root: &Root, online: &CpuSet) -> Vec<CpuKind> {
    let by_counter = [
        ("cpu_lowpower", "IntelLowPower"),
        ("cpu_atom", "IntelAtom"),
        ("cpu_core", "IntelCore"),
    ];
    let of_counter = |(device, name): (&str, &str)| {
        let path = format!("sys/devices/{device}/cpus");
        let cpus: CpuSet = root.read(&path).ok()?.parse().ok()?;
        let cpus = cpus.intersection(online);
        (!cpus.is_empty()).then(|| CpuKind { name: name.to_owned(), cpus })
    };
    let by_counter = by_counter.into_iter().filter_map(of_counter).collect();
    let by_number = |file, name| by_number(root, online, file, name);
    let mut all = [
        by_counter,
        by_number("cpu_capacity", "cpu_capacity"),
        by_number("cpufreq/base_frequency", "base_frequency"),
    ];
    let found = all.iter_mut().find(|kinds| kinds.len() > 1);
    found.map(std::mem::take).unwrap_or_default()
}

fn by_number(
    root: &Root,
    online: &CpuSet,
    file: &str,
    name: &str,
) -> Vec<CpuKind> {
    let mut kinds = BTreeMap::<u32, CpuSet>::new();
    for cpu in online.iter() {
        let path = format!("{CPUS}/cpu{cpu}/{file}");
        let number = root.fact(&path, |text| text.parse().ok());
        let Some(number) = number.value() else { return Vec::new() };
        kinds.entry(*number).or_default().insert(cpu);
    }
    let kind =
        |(number, cpus)| CpuKind { name: format!("{name} {number}"), cpus };
    kinds.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A VM has isolated partitions of CPUs 2-3, on Linux 6.12.
    #[test]
    fn cpus_of_partitions_are_isolated_and_the_vms_still() {
        let dir = tempfile::tempdir().unwrap();
        for cpu in 0..4 {
            fs::create_dir_all(dir.path().join(format!("{CPUS}/cpu{cpu}")))
                .unwrap();
        }
        let cgroup = "sys/fs/cgroup";
        let slice = format!("{cgroup}/machine.slice");
        fs::create_dir_all(dir.path().join(&slice)).unwrap();
        for (path, text) in [
            (format!("{CPUS}/online"), "0-3\n"),
            (format!("{CPUS}/isolated"), "1\n"),
            (format!("{cgroup}/cpuset.cpus.isolated"), "2-3\n"),
            (format!("{slice}/cpuset.cpus.effective"), "0-1\n"),
            (format!("{slice}/cpuset.cpus.exclusive.effective"), "2-3\n"),
        ] {
            fs::write(dir.path().join(path), text).unwrap();
        }
        let topology = read(&Root::tree(dir.path())).unwrap();
        assert!(topology.isolated.is(&"1-3".parse().unwrap()));
        assert!(topology.disallowed.is_empty());
    }
}
