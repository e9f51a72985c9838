//! What a host is like, as plain tools show it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::VM;
use crate::inside::{Lab, get};
use crate::judge::Results;

/// Folders in which nothing may differ in the end.
const FOLDERS: [&str; 2] = ["/etc", "/boot"];

/// Values of the running kernel; a `*` stands for each name in a folder.
const VALUES: [&str; 14] = [
    "/proc/irq/*/smp_affinity_list",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/numa_balancing",
    "/proc/sys/vm/nr_hugepages",
    "/sys/devices/system/cpu/*/power/pm_qos_resume_latency_us",
    "/sys/devices/system/cpu/isolated",
    "/sys/devices/system/cpu/nohz_full",
    "/sys/devices/system/node/*/hugepages/*/nr_hugepages",
    "/sys/fs/cgroup/*/cpuset.cpus",
    "/sys/fs/cgroup/*/cpuset.cpus.effective",
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/vhost_net/parameters/*",
];

/// What the host was like at some time.
#[derive(Deserialize, Serialize)]
pub(super) struct Snapshot {
    /// Files, folders and links: whose they are, what may be done with them,
    /// and where they lead; files with the sum of their bytes.
    pub(super) files: BTreeMap<String, String>,
    /// The kernel's values.
    pub(super) values: BTreeMap<String, String>,
    /// The definition of the VM.
    pub(super) definition: String,
    /// The arguments that the kernel was started with.
    pub(super) arguments: String,
}

impl Snapshot {
    /// Looks, and keeps what is seen under this name.
    pub(super) fn keep(lab: &Lab, name: &str) -> Result<()> {
        let mut all = Self::glance(lab)?;
        let sums = ["-type", "f", "-exec", "sha256sum", "{}", "+"];
        let line = [&["find"], &FOLDERS[..], &sums].concat();
        for line in lab.run("sums", &line)?.lines() {
            let (sum, path) = line.split_once("  ").context("sha256sum")?;
            *all.files.entry(path.to_owned()).or_default() += sum;
        }
        let line = ["dumpxml", "--inactive", "--security-info", VM];
        all.definition = lab.virsh("dumpxml", &line)?;
        lab.keep_json(&format!("{name}.json"), &all)
    }

    /// Likewise, but for the bytes of files and the definition.
    pub(super) fn keep_less(lab: &Lab, name: &str) -> Result<()> {
        lab.keep_json(&format!("{name}.json"), &Self::glance(lab)?)
    }

    fn glance(lab: &Lab) -> Result<Self> {
        let mut files = BTreeMap::new();
        let form = ["-printf", "%p\\t%y %m %U:%G %l\\n"];
        let line = [&["find"], &FOLDERS[..], &form].concat();
        for line in lab.run("find", &line)?.lines() {
            let (path, what) = line.split_once('\t').context("find")?;
            files.insert(path.to_owned(), what.to_owned());
        }
        let (values, definition) = (values(), String::new());
        let arguments = get("/proc/cmdline")?;
        Ok(Self { files, values, definition, arguments })
    }

    /// Returns what was kept under this name.
    pub(super) fn of(results: &Results, name: &str) -> Result<Self> {
        results.json(&format!("{name}.json"))
    }

    /// Returns a value, empty where it is not there.
    pub(super) fn value(&self, path: &str) -> &str {
        self.values.get(path).map_or("", String::as_str)
    }
}

fn values() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for pattern in VALUES {
        for path in matches(pattern) {
            found.extend(get(&path).ok().map(|value| (path, value)));
        }
    }
    found
}

/// Returns the paths that a pattern is for.
fn matches(pattern: &str) -> Vec<String> {
    let Some((folder, rest)) = pattern.split_once("/*") else {
        return vec![pattern.to_owned()];
    };
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .flat_map(|name| matches(&format!("{folder}/{name}{rest}")))
        .collect()
}
