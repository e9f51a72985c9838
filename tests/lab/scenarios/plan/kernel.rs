//! What the kernel says of a host: its own files, as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Numbers of CPUs or of nodes.
pub(super) type Set = BTreeSet<u32>;

/// The files that say it.
const FILES: [&str; 27] = [
    "/proc/sys/kernel/osrelease",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/offline",
    "/sys/devices/system/cpu/isolated",
    "/sys/devices/system/cpu/*/topology/thread_siblings_list",
    "/sys/devices/system/cpu/*/topology/package_cpus_list",
    "/sys/devices/system/cpu/*/cache/*/level",
    "/sys/devices/system/cpu/*/cache/*/shared_cpu_list",
    "/sys/devices/system/node/online",
    "/sys/devices/system/node/*/cpulist",
    "/sys/devices/system/node/*/distance",
    "/sys/devices/system/node/*/meminfo",
    "/sys/devices/system/node/*/hugepages/*/nr_hugepages",
    "/sys/devices/system/node/*/hugepages/*/free_hugepages",
    "/sys/bus/pci/devices/*/class",
    "/sys/bus/pci/devices/*/vendor",
    "/sys/bus/pci/devices/*/device",
    "/sys/bus/pci/devices/*/numa_node",
    "/sys/bus/pci/devices/*/driver",
    "/sys/bus/pci/devices/*/iommu_group",
    "/sys/bus/pci/devices/*/physfn",
    "/sys/bus/pci/devices/*/sriov_totalvfs",
    "/sys/bus/pci/devices/*/virtfn0",
    "/sys/bus/pci/devices/*/virtfn1",
    "/sys/bus/pci/devices/*/net/*",
    "/sys/class/iommu/*",
    "/sys/kernel/iommu_groups/*/devices/*",
];

const CPU: &str = "/sys/devices/system/cpu";
const NODE: &str = "/sys/devices/system/node";

/// All of them, by path. A link is its last part, and a folder is empty.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Kernel {
    files: BTreeMap<String, String>,
}

impl Kernel {
    /// Reads this host.
    pub(super) fn read() -> Self {
        let mut files = BTreeMap::new();
        for pattern in FILES {
            let parts: Vec<_> = pattern.split('/').skip(1).collect();
            walk(String::new(), &parts, &mut files);
        }
        Self { files }
    }

    /// Returns what a file says, where it is.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Returns the paths of what is below a folder, from there.
    pub(super) fn below(
        &self,
        folder: &str,
    ) -> impl Iterator<Item = &str> + use<'_> {
        let folder = format!("{folder}/");
        self.files.keys().filter_map(move |path| path.strip_prefix(&folder))
    }

    /// Returns the names in a folder that lead to a file.
    pub(super) fn names(&self, folder: &str, file: &str) -> Vec<&str> {
        let file = format!("/{file}");
        let names = self.below(folder).filter_map(|p| p.strip_suffix(&file));
        names.filter(|name| !name.contains('/')).collect()
    }

    fn set(&self, path: &str) -> Set {
        self.get(path).map_or_else(Set::new, set)
    }

    /// CPUs that run.
    pub(super) fn online(&self) -> Set {
        self.set(&format!("{CPU}/online"))
    }

    /// CPUs that do not.
    pub(super) fn offline(&self) -> Set {
        self.set(&format!("{CPU}/offline"))
    }

    /// CPUs that the scheduler leaves alone.
    pub(super) fn isolated(&self) -> Set {
        self.set(&format!("{CPU}/isolated"))
    }

    /// A CPU and its siblings.
    pub(super) fn siblings(&self, cpu: u32) -> Set {
        self.set(&format!("{CPU}/cpu{cpu}/topology/thread_siblings_list"))
    }

    /// The CPUs of a CPU's socket.
    pub(super) fn package(&self, cpu: u32) -> Set {
        self.set(&format!("{CPU}/cpu{cpu}/topology/package_cpus_list"))
    }

    /// The CPUs that share a CPU's L3.
    pub(super) fn l3(&self, cpu: u32) -> Set {
        let caches = format!("{CPU}/cpu{cpu}/cache");
        let third = |name: &&str| {
            self.get(&format!("{caches}/{name}/level")) == Some("3")
        };
        let index = self.names(&caches, "level").into_iter().find(third);
        index.map_or_else(Set::new, |index| {
            self.set(&format!("{caches}/{index}/shared_cpu_list"))
        })
    }

    /// The node of a CPU.
    pub(super) fn node(&self, cpu: u32) -> Option<u32> {
        let nodes = self.nodes();
        nodes.into_iter().find(|node| self.node_cpus(*node).contains(&cpu))
    }

    /// The nodes that are online.
    pub(super) fn nodes(&self) -> Set {
        self.set(&format!("{NODE}/online"))
    }

    /// The CPUs of a node.
    pub(super) fn node_cpus(&self, node: u32) -> Set {
        self.set(&format!("{NODE}/node{node}/cpulist"))
    }

    /// The distances from a node to all nodes, in their order.
    pub(super) fn distances(&self, node: u32) -> Vec<u32> {
        let text = self.get(&format!("{NODE}/node{node}/distance"));
        words(text.unwrap_or_default())
    }

    /// A figure of a node's memory, in KiB.
    pub(super) fn memory(&self, node: u32, key: &str) -> Option<u64> {
        let text = self.get(&format!("{NODE}/node{node}/meminfo"))?;
        let key = format!(" {key}:");
        let line = text.lines().find(|line| line.contains(&key))?;
        line.split_whitespace().nth(3)?.parse().ok()
    }

    /// Huge pages of a node: by size in KiB, how many and how many free.
    pub(super) fn pages(&self, node: u32) -> BTreeMap<u64, (u64, u64)> {
        let folder = format!("{NODE}/node{node}/hugepages");
        let pool = |name: &str| {
            let size = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
            let count = |of: &str| {
                let path = format!("{folder}/{name}/{of}_hugepages");
                self.get(&path)?.parse().ok()
            };
            Some((size.parse().ok()?, (count("nr")?, count("free")?)))
        };
        let names = self.names(&folder, "nr_hugepages");
        names.into_iter().filter_map(pool).collect()
    }
}

/// Groups CPUs by what they share.
pub(super) fn groups(cpus: &Set, shared: impl Fn(u32) -> Set) -> BTreeSet<Set> {
    let groups = cpus.iter().map(|cpu| shared(*cpu));
    groups.filter(|group| !group.is_empty()).collect()
}

/// Reads the kernel's form of a set: `0-3,8`.
pub(super) fn set(text: &str) -> Set {
    let mut all = Set::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
    }
    all
}

/// Reads numbers with blanks between.
pub(super) fn words(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn walk(path: String, rest: &[&str], all: &mut BTreeMap<String, String>) {
    match rest {
        [] => all.extend(content(&path).map(|text| (path, text))),
        ["*", rest @ ..] => {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                let name = entry.file_name();
                walk(format!("{path}/{}", name.to_string_lossy()), rest, all);
            }
        }
        [name, rest @ ..] => walk(format!("{path}/{name}"), rest, all),
    }
}

fn content(path: &str) -> Option<String> {
    let path = Path::new(path);
    if let Ok(link) = fs::read_link(path) {
        return Some(link.file_name()?.to_string_lossy().into_owned());
    }
    if path.is_dir() {
        return Some(String::new());
    }
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}
