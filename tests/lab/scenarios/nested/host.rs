//! What the host's kernel says of the function, the pages and the VM's
//! process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::inside::cards::{last, names};
use crate::inside::{get, set};

const NODES: &str = "/sys/devices/system/node";
const POOL: &str = "hugepages/hugepages-2048kB";

/// The function, the pages, and who may have them.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    pub(super) numa_node: u32,
    pub(super) driver: Option<String>,
    pub(super) iommu_group: String,
    /// Functions that vfio-pci has.
    pub(super) vfio: Vec<String>,
    /// The hardware address of the function's interface, where it has one.
    pub(super) mac: Option<String>,
    /// The CPUs of each node.
    pub(super) cpus: BTreeMap<u32, String>,
    /// How many pages of 2 MiB are free on each node.
    pub(super) free: BTreeMap<u32, u64>,
}

impl State {
    pub(super) fn read(function: &str) -> Result<Self> {
        let folder = format!("/sys/bus/pci/devices/{function}");
        let net = format!("{folder}/net");
        let mac = match Path::new(&net).exists() {
            true => names(Path::new(&net))?.into_iter().next(),
            false => None,
        };
        let mac = mac.map(|name| get(&format!("{net}/{name}/address")));
        let vfio = names(Path::new("/sys/bus/pci/drivers/vfio-pci"))?;
        let (mut cpus, mut free) = (BTreeMap::new(), BTreeMap::new());
        for node in nodes()? {
            let file = |name: &str| format!("{NODES}/node{node}/{name}");
            cpus.insert(node, get(&file("cpulist"))?);
            let pages = get(&file(&format!("{POOL}/free_hugepages")))?;
            free.insert(node, pages.parse()?);
        }
        Ok(Self {
            numa_node: get(&format!("{folder}/numa_node"))?.parse()?,
            driver: last(&format!("{folder}/driver"))?,
            iommu_group: last(&format!("{folder}/iommu_group"))?
                .context("the function has no IOMMU group")?,
            vfio: vfio.into_iter().filter(|n| n.contains(':')).collect(),
            mac: mac.transpose()?,
            cpus,
            free,
        })
    }
}

/// Reserves so many pages of 2 MiB on each node, so that any would do.
pub(super) fn reserve(pages: u64) -> Result<()> {
    for node in nodes()? {
        let file = format!("{NODES}/node{node}/{POOL}/nr_hugepages");
        set(&file, &pages.to_string())?;
    }
    Ok(())
}

fn nodes() -> Result<Vec<u32>> {
    let names = names(Path::new(NODES))?;
    let number = |name: &String| name.strip_prefix("node")?.parse().ok();
    Ok(names.iter().filter_map(number).collect())
}

/// The VM's process.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Process {
    /// Each thread's name and the CPUs that it may use.
    pub(super) threads: Vec<(String, String)>,
    /// How many pages of 2 MiB it has on each node.
    pub(super) pages: BTreeMap<u32, u64>,
    /// The VFIO groups that it has open.
    pub(super) groups: Vec<String>,
}

impl Process {
    pub(super) fn read(vm: &str) -> Result<Self> {
        let pid = get(&format!("/run/libvirt/qemu/{vm}.pid"))?;
        let folder = format!("/proc/{pid}");
        let mut threads = Vec::new();
        for task in names(Path::new(&format!("{folder}/task")))? {
            let status = get(&format!("{folder}/task/{task}/status"))?;
            let field = |name: &str| {
                let mut lines = status.lines();
                let line = lines.find_map(|line| line.strip_prefix(name));
                line.map(|rest| rest.trim().to_owned()).context("no such field")
            };
            threads.push((field("Name:")?, field("Cpus_allowed_list:")?));
        }
        let mut groups = Vec::new();
        for file in names(Path::new(&format!("{folder}/fd")))? {
            let target = fs::read_link(format!("{folder}/fd/{file}"));
            let target = target.map(|path| path.display().to_string());
            groups.extend(target.ok().filter(|path| {
                path.starts_with("/dev/vfio/") && path != "/dev/vfio/vfio"
            }));
        }
        let pages = huge_pages(&get(&format!("{folder}/numa_maps"))?)?;
        Ok(Self { threads, pages, groups })
    }
}

/// Adds up the pages of 2 MiB on each node: `N1=128 kernelpagesize_kB=2048`.
fn huge_pages(maps: &str) -> Result<BTreeMap<u32, u64>> {
    let mut pages = BTreeMap::new();
    for line in maps.lines() {
        let words = line.split_whitespace();
        if !words.clone().any(|word| word == "kernelpagesize_kB=2048") {
            continue;
        }
        for word in words {
            let pair = word.strip_prefix('N').and_then(|w| w.split_once('='));
            let Some((node, count)) = pair else { continue };
            *pages.entry(node.parse()?).or_default() += count.parse::<u64>()?;
        }
    }
    Ok(pages)
}
