//! Where a VM that runs is, with its threads and pages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Round, VM, threads};
use crate::inside::{Lab, get};
use crate::judge::Results;

/// A VM that runs.
#[derive(Deserialize, Serialize)]
pub(super) struct Running {
    /// Where its threads may run, by their names.
    pub(super) threads: BTreeMap<String, BTreeSet<String>>,
    /// Where the processes of the host may run.
    pub(super) host: BTreeMap<String, String>,
    /// Its `numa_maps`.
    pub(super) maps: String,
    /// What `taskset` says of all its threads together.
    pub(super) taskset: BTreeSet<String>,
}

/// Looks, and keeps what is seen.
pub(super) fn keep(lab: &Lab, round: &Round) -> Result<()> {
    let pid = threads::pid()?;
    let said = lab.run("taskset", &["taskset", "-a", "-c", "-p", &pid])?;
    let list = said.lines().filter_map(|line| line.rsplit(' ').next());
    let running = Running {
        threads: threads::of_vm()?,
        host: threads::of_host()?,
        maps: get(&format!("/proc/{pid}/numa_maps"))?,
        taskset: list.map(str::to_owned).collect(),
    };
    let name = |what: &str| format!("{}-{what}", round.name);
    lab.virsh(&name("live.xml"), &["dumpxml", VM])?;
    lab.keep_json(&name("running.json"), &running)
}

impl Running {
    pub(super) fn of(results: &Results, round: &Round) -> Result<Self> {
        results.json(&format!("{}-running.json", round.name))
    }

    /// Returns where each vCPU may run.
    pub(super) fn vcpus(&self) -> BTreeMap<&str, String> {
        let number = |name: &'_ str| -> Option<String> {
            let rest = name.strip_prefix("CPU ")?;
            Some(rest.split('/').next()?.to_owned())
        };
        let vcpus = self.threads.iter().filter_map(|(name, allowed)| {
            number(name)?;
            let name = name.split('/').next()?;
            let all: Vec<_> = allowed.iter().map(String::as_str).collect();
            Some((name, all.join(" and ")))
        });
        vcpus.collect()
    }

    /// Returns where QEMU's other threads may run.
    pub(super) fn others(&self) -> BTreeMap<&str, &BTreeSet<String>> {
        let all = self.threads.iter();
        let others = all.filter(|(name, _)| !name.starts_with("CPU "));
        others.map(|(name, allowed)| (name.as_str(), allowed)).collect()
    }

    /// Counts the pages of a size, in KiB, that the VM has on each node.
    pub(super) fn pages(&self, kib: u64) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        let size = format!("kernelpagesize_kB={kib}");
        let lines = self.maps.lines();
        for line in lines.filter(|line| line.ends_with(&size)) {
            for word in line.split(' ') {
                if let Some((node, count)) = word.split_once('=')
                    && let Some(node) = node.strip_prefix('N')
                {
                    *found.entry(node.to_owned()).or_default() +=
                        count.parse::<u64>().unwrap_or_default();
                }
            }
        }
        found
    }
}
