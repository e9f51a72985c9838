//! What the kernel says of PCI functions, written down as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::inside::cards::{last, names};
use crate::inside::get;

/// All that is compared.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Sysfs {
    /// The functions by address.
    pub(super) functions: BTreeMap<String, Function>,
    /// The members of each IOMMU group, sorted.
    pub(super) groups: BTreeMap<u32, Vec<String>>,
    /// The CPUs of each node, as the kernel lists them.
    pub(super) nodes: BTreeMap<u32, String>,
}

/// One function: the kernel's files, by their names.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Function {
    pub(super) class: String,
    pub(super) vendor: String,
    pub(super) device: String,
    pub(super) numa_node: i32,
    pub(super) driver: Option<String>,
    pub(super) iommu_group: Option<u32>,
    pub(super) physfn: Option<String>,
    pub(super) sriov_totalvfs: Option<u32>,
    pub(super) virtfns: Vec<String>,
    pub(super) net: Vec<String>,
    /// The hardware address of each of its interfaces.
    pub(super) macs: Vec<String>,
}

impl Sysfs {
    /// Returns the functions that are network controllers.
    pub(super) fn network(&self) -> impl Iterator<Item = (&str, &Function)> {
        let all = self.functions.iter();
        all.filter(|(_, function)| function.class.starts_with("0x02"))
            .map(|(address, function)| (address.as_str(), function))
    }

    /// Returns the node that a function is at; where there is one alone, the
    /// firmware need not tell.
    pub(super) fn node_of(&self, function: &Function) -> Option<u32> {
        match (u32::try_from(function.numa_node), self.nodes.len()) {
            (Ok(node), _) => Some(node),
            (Err(_), 1) => self.nodes.keys().next().copied(),
            (Err(_), _) => None,
        }
    }
}

/// Reads it.
pub(super) fn read() -> Result<Sysfs> {
    let folder = Path::new("/sys/bus/pci/devices");
    let mut functions = BTreeMap::new();
    for address in names(folder)? {
        let function = function(&folder.join(&address))?;
        functions.insert(address, function);
    }
    let folder = Path::new("/sys/kernel/iommu_groups");
    let mut groups = BTreeMap::new();
    for group in names(folder)? {
        let members = names(&folder.join(&group).join("devices"))?;
        groups.insert(group.parse()?, members);
    }
    let folder = Path::new("/sys/devices/system/node");
    let mut nodes = BTreeMap::new();
    for name in names(folder)? {
        let number = name.strip_prefix("node").map(str::parse);
        if let Some(Ok(number)) = number {
            let cpus = folder.join(name).join("cpulist");
            nodes.insert(number, get(&cpus.display().to_string())?);
        }
    }
    Ok(Sysfs { functions, groups, nodes })
}

fn function(folder: &Path) -> Result<Function> {
    let text = |name: &str| get(&folder.join(name).display().to_string());
    let link = |name: &str| last(&folder.join(name).display().to_string());
    let number = |text: String| text.parse::<u32>();
    let mut virtfns = Vec::new();
    while let Some(one) = link(&format!("virtfn{}", virtfns.len()))? {
        virtfns.push(one);
    }
    let net = folder.join("net");
    let net = if net.exists() { names(&net)? } else { Vec::new() };
    let mac = |name: &String| {
        let file = PathBuf::from("/sys/class/net").join(name).join("address");
        get(&file.display().to_string())
    };
    Ok(Function {
        class: text("class")?,
        vendor: text("vendor")?,
        device: text("device")?,
        numa_node: text("numa_node")?.parse()?,
        driver: link("driver")?,
        iommu_group: link("iommu_group")?.map(number).transpose()?,
        physfn: link("physfn")?,
        sriov_totalvfs: match folder.join("sriov_totalvfs").exists() {
            true => Some(text("sriov_totalvfs")?.parse()?),
            false => None,
        },
        virtfns,
        macs: net.iter().map(mac).collect::<Result<_>>()?,
        net,
    })
}
