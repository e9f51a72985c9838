//! Which CPUs groups, threads and processes have, as the kernel says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::VM;
use crate::inside::{Lab, get};

const ROOT: &str = "/sys/fs/cgroup";

/// The groups of the VM, by the names of their folders.
const OF_VM: [&str; 3] = ["vcpu0", "vcpu1", "emulator"];

/// Kernel threads that are bound to no CPU.
const THREADS: [&str; 3] = ["kthreadd", "khugepaged", "ksmd"];

/// All that the scenario looks at, at one moment.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    /// By their last name; the VM's scope is `scope`, the root has no name.
    pub(super) groups: BTreeMap<String, Group>,
    /// What the kernel has isolated by partitions.
    pub(super) isolated: String,
    /// Where the threads of each VM may run, by VM and group.
    pub(super) threads: BTreeMap<String, BTreeSet<String>>,
    /// Where the processes of each of systemd's other units may run.
    pub(super) host: BTreeMap<String, BTreeSet<String>>,
    /// Where kernel threads may run that are bound to no CPU.
    pub(super) kernel: BTreeMap<String, String>,
    /// The CPUs that the scheduler balances with no other.
    pub(super) unbalanced: BTreeSet<u32>,
    /// Where the interrupts of devices may go.
    pub(super) interrupts: BTreeMap<String, String>,
}

/// A cpuset.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
pub(super) struct Group {
    pub(super) cpus: String,
    pub(super) effective: String,
    pub(super) partition: String,
}

impl State {
    /// Looks, and keeps what is seen under this name.
    pub(super) fn keep(lab: &Lab, name: &str) -> Result<()> {
        lab.keep_json(&format!("{name}.json"), &Self::read()?)
    }

    fn read() -> Result<Self> {
        let mut groups = BTreeMap::new();
        for name in ["", "init.scope", "system.slice", "user.slice"] {
            groups.insert(name.to_owned(), group(&Path::new(ROOT).join(name)));
        }
        groups.insert("machine.slice".into(), group(&machines()));
        let mut threads = BTreeMap::new();
        for vm in [VM, "other"] {
            let Ok(scope) = scope(vm) else { continue };
            if vm == VM {
                groups.insert("scope".into(), group(&scope));
                groups.insert("libvirt".into(), group(&scope.join("libvirt")));
            }
            for name in OF_VM {
                let path = scope.join("libvirt").join(name);
                let all = allowed_of_all(&path.join("cgroup.threads"))?;
                threads.insert(format!("{vm}/{name}"), all);
                if vm == VM {
                    groups.insert(name.into(), group(&path));
                }
            }
        }
        let mut host = BTreeMap::new();
        for unit in ["init.scope", "system.slice/libvirtd.service"]
            .into_iter()
            .chain(["system.slice/lab.service", "system.slice/dbus.service"])
        {
            let path = Path::new(ROOT).join(unit).join("cgroup.procs");
            if path.exists() {
                host.insert(unit.to_owned(), allowed_of_all(&path)?);
            }
        }
        let isolated = get(&format!("{ROOT}/cpuset.cpus.isolated"))?;
        let kernel = kernel_threads()?;
        let unbalanced = unbalanced()?;
        let interrupts = interrupts()?;
        Ok(Self {
            groups,
            isolated,
            threads,
            host,
            kernel,
            unbalanced,
            interrupts,
        })
    }

    /// Returns a group, empty where it is not there.
    pub(super) fn group(&self, name: &str) -> &Group {
        const NONE: &Group = &Group {
            cpus: String::new(),
            effective: String::new(),
            partition: String::new(),
        };
        self.groups.get(name).unwrap_or(NONE)
    }

    /// Returns where the threads of each group of a VM may run.
    pub(super) fn vm(&self, vm: &str) -> [String; 3] {
        OF_VM.map(|name| {
            let all = self.threads.get(&format!("{vm}/{name}"));
            let all = all.into_iter().flatten().cloned();
            all.collect::<Vec<_>>().join(" and ")
        })
    }

    /// Returns where processes of the host may run, of all units together.
    pub(super) fn host(&self) -> BTreeSet<&str> {
        self.host.values().flatten().map(String::as_str).collect()
    }

    /// Returns where movable kernel threads may run.
    pub(super) fn kernel(&self) -> BTreeSet<&str> {
        self.kernel.values().map(String::as_str).collect()
    }
}

/// Returns the folder of the slice of VMs.
pub(super) fn machines() -> PathBuf {
    Path::new(ROOT).join("machine.slice")
}

/// Returns the folder of a VM's scope, which machined names.
pub(super) fn scope(vm: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(machines())? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.starts_with("machine-qemu")
            && name.ends_with(&format!("\\x2d{vm}.scope"))
        {
            return Ok(entry.path());
        }
    }
    anyhow::bail!("the VM {vm} has no scope")
}

fn group(path: &Path) -> Group {
    // Controllers that are not on for a group leave it without the file.
    let read = |file: &str| {
        let text = fs::read_to_string(path.join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    Group {
        cpus: read("cpuset.cpus"),
        effective: read("cpuset.cpus.effective"),
        partition: read("cpuset.cpus.partition"),
    }
}

fn allowed_of_all(list: &Path) -> Result<BTreeSet<String>> {
    let list = fs::read_to_string(list)
        .with_context(|| format!("reading {}", list.display()))?;
    // Some have ended by now.
    Ok(list.lines().filter_map(|id| allowed(id).ok()).collect())
}

fn allowed(id: &str) -> Result<String> {
    let status = get(&format!("/proc/{id}/status"))?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .context("a process without CPUs")?;
    Ok(list.trim().to_owned())
}

fn kernel_threads() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let id = entry?.file_name().into_string().unwrap_or_default();
        let name = fs::read_to_string(format!("/proc/{id}/comm"));
        let name = name.unwrap_or_default().trim().to_owned();
        if THREADS.contains(&name.as_str()) {
            found.insert(name, allowed(&id)?);
        }
    }
    Ok(found)
}

/// Reads which CPUs have no scheduling domain.
fn unbalanced() -> Result<BTreeSet<u32>> {
    let mut alone = BTreeSet::new();
    let mut last = None;
    for line in get("/proc/schedstat")?.lines() {
        let word = line.split(' ').next().unwrap_or_default();
        if let Some(cpu) = word.strip_prefix("cpu") {
            last = Some(cpu.parse()?);
            alone.extend(last);
        } else if word.starts_with("domain")
            && let Some(cpu) = last
        {
            alone.remove(&cpu);
        }
    }
    Ok(alone)
}

fn interrupts() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/irq")? {
        let path = entry?.path();
        let list = fs::read_to_string(path.join("smp_affinity_list"));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(list.ok().map(|list| (name, list.trim().to_owned())));
    }
    Ok(found)
}
