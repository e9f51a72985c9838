//! What the test asks of this machine: programs, pages, threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vmtune::base::{CpuSet, NodeId};

/// Files that the kernel keeps the pool of 2 MiB pages of node 0 in.
const POOL: &str = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
/// Memory that is left alone, whatever the test would like to have: the
/// machine has other work.
const SPARE_KIB: u64 = 1 << 20;

/// Returns whether a daemon can be started here, and so many pages reserved.
/// Says in one line what is lacking; where `VMTUNE_LIBVIRT=require` is set,
/// that is a failure.
pub(crate) fn ready(pages: u64) -> bool {
    let Some(lack) = lacks(pages) else { return true };
    let required =
        std::env::var("VMTUNE_LIBVIRT").is_ok_and(|value| value == "require");
    assert!(!required, "the libvirt tier is required: {lack}");
    eprintln!("skipped, the libvirt tier: {lack}");
    false
}

fn lacks(pages: u64) -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("it needs root".into());
    }
    for (program, package) in [
        ("libvirtd", "libvirt-daemon-system"),
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-ga", "qemu-guest-agent"),
        ("unshare", "util-linux"),
        ("mount", "mount"),
    ] {
        if program_path(program).is_none() {
            return Some(format!(
                "it needs {program}: install the package {package} \
                 (`make lab-setup` installs all that it needs)"
            ));
        }
    }
    if !Path::new("/sys/devices/system/cpu/cpu1").exists() {
        return Some("it needs two CPUs".into());
    }
    if !Path::new(POOL).exists() {
        return Some(format!("it needs {POOL}"));
    }
    let wanted = SPARE_KIB + pages * 2048;
    let free = available_kib();
    (free < wanted)
        .then(|| format!("it needs {wanted} kB of memory, {free} kB are free"))
}

fn program_path(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists())
}

fn available_kib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

/// 2 MiB pages that were added to the pool of node 0 and are taken out again.
pub(crate) struct Pages {
    count: u64,
}

impl Pages {
    /// Adds pages; `None` where the kernel found fewer.
    pub(crate) fn reserve(count: u64) -> Option<Self> {
        let wanted = total() + count;
        set_total(wanted);
        // What was had is given back on drop, in either case.
        let pages = Self { count: count.saturating_sub(wanted - total()) };
        (pages.count == count).then_some(pages)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // Somebody else may have changed the pool meanwhile.
        set_total(total().saturating_sub(self.count));
    }
}

fn total() -> u64 {
    let text = fs::read_to_string(format!("{POOL}/nr_hugepages")).unwrap();
    text.trim().parse().unwrap()
}

fn set_total(count: u64) {
    fs::write(format!("{POOL}/nr_hugepages"), count.to_string()).unwrap();
}

/// The control groups that libvirt makes for a domain, and leaves behind
/// where it is killed.
pub(crate) struct Cgroups {
    domain: String,
    /// `machine` groups that were there before.
    others: Vec<PathBuf>,
}

impl Cgroups {
    pub(crate) fn watch(domain: &str) -> Self {
        Self { domain: domain.into(), others: machine_groups() }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for machine in machine_groups() {
            for group in folders_in(&machine) {
                if group.to_string_lossy().contains(&self.domain) {
                    remove_tree(&group);
                }
            }
            if !self.others.contains(&machine) {
                // It stays where somebody else uses it by now.
                let _ = fs::remove_dir(machine);
            }
        }
    }
}

/// Finds libvirt's own groups: one in cgroup v2, one each controller in v1.
fn machine_groups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut roots = folders_in(root);
    roots.push(root.into());
    let groups = roots.into_iter().map(|root| root.join("machine"));
    groups.filter(|group| group.is_dir() && !group.is_symlink()).collect()
}

fn folders_in(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn remove_tree(group: &Path) {
    for inner in folders_in(group) {
        remove_tree(&inner);
    }
    let _ = fs::remove_dir(group);
}

/// Finds the QEMU process of a domain.
pub(crate) fn qemu(domain: &str) -> Option<u32> {
    let mark = format!("guest={domain},");
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.ok()?.file_name().to_str()?.parse::<u32>().ok()
    });
    pids.into_iter().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
    })
}

/// Returns the name and the CPUs of every thread of a process.
pub(crate) fn threads(pid: u32) -> Vec<(String, CpuSet)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut threads = Vec::new();
    for task in tasks {
        let task = task.unwrap().path();
        let status = fs::read_to_string(task.join("status")).unwrap();
        let field = |name: &str| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix(name)).unwrap().trim()
        };
        let cpus = field("Cpus_allowed_list:").parse().unwrap();
        threads.push((field("Name:").to_owned(), cpus));
    }
    threads
}

/// Returns how many 2 MiB pages a process has on each node.
pub(crate) fn huge_pages(pid: u32) -> BTreeMap<NodeId, u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/numa_maps")).unwrap();
    let mut found = BTreeMap::new();
    for line in maps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if !words.contains(&"kernelpagesize_kB=2048") {
            continue;
        }
        for word in words {
            let pair = word.strip_prefix('N').and_then(|w| w.split_once('='));
            let Some((node, count)) = pair else { continue };
            let Ok(node) = node.parse() else { continue };
            let count: u64 = count.parse().unwrap();
            *found.entry(NodeId(node)).or_default() += count;
        }
    }
    found
}
