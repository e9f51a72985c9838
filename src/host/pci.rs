//! PCI functions, from `/sys/bus/pci/devices`.

use std::collections::BTreeMap;
use std::io::ErrorKind::NotFound;

use super::{ReadError, Root, text};
use crate::base::{NodeSet, PciAddress, PciId};
use crate::model::Fact;
use crate::model::facts::{Node, PciClass, PciFunction, Sriov};

/// Where the kernel lists PCI functions.
pub(super) const FOLDER: &str = "sys/bus/pci/devices";
/// The SR-IOV capability counts its functions in 16 bits.
const MAX_VIRTFN: u32 = 65_535;

/// Lists all functions, sorted.
pub(super) fn addresses(root: &Root) -> Result<Vec<PciAddress>, ReadError> {
    let names = root.list(FOLDER)?;
    let mut all: Vec<PciAddress> =
        names.iter().filter_map(|name| name.parse().ok()).collect();
    all.sort_unstable();
    Ok(all)
}

/// Reads the IOMMU group of a function.
pub(super) fn group(root: &Root, address: PciAddress) -> Fact<Option<u32>> {
    let path = format!("{FOLDER}/{address}/iommu_group");
    match link(root, &path) {
        Fact::Unknown { unknown } => Fact::Unknown { unknown },
        Fact::Known { value: None, origin } => {
            Fact::Known { value: None, origin }
        }
        Fact::Known { value: Some(name), origin } => {
            match text::number_after(&name, "") {
                Some(id) => Fact::Known { value: Some(id), origin },
                None => Fact::unknown(format!("{origin} ends at no number")),
            }
        }
    }
}

/// Reads the functions that matter to a VM: network, storage, accelerators,
/// and whatever else is or has virtual functions.
pub(super) fn read(
    root: &Root,
    nodes: &[Node],
    interfaces: &BTreeMap<PciAddress, Vec<String>>,
) -> Fact<Vec<PciFunction>> {
    match addresses(root) {
        Ok(addresses) => these(root, nodes, interfaces, addresses),
        Err(e) => Fact::unknown(e.reason()),
    }
}

/// Reads those of these functions that matter.
pub(super) fn these(
    root: &Root,
    nodes: &[Node],
    interfaces: &BTreeMap<PciAddress, Vec<String>>,
    addresses: Vec<PciAddress>,
) -> Fact<Vec<PciFunction>> {
    let functions = addresses.into_iter().filter_map(|address| {
        let mut function = function(root, nodes, address)?;
        if let Some(names) = interfaces.get(&address) {
            function.interfaces.clone_from(names);
        }
        Some(function)
    });
    Fact::known(functions.collect(), format!("/{FOLDER}"))
}

fn function(
    root: &Root,
    nodes: &[Node],
    address: PciAddress,
) -> Option<PciFunction> {
    let at = |name: &str| format!("{FOLDER}/{address}/{name}");
    let class = root.read(&at("class")).ok().and_then(|text| hex(&text));
    let class = class.map_or(PciClass::Other, PciClass::of_code);
    let plain = matches!(class, PciClass::Bridge | PciClass::Other);
    let virtual_too =
        || root.exists(&at("physfn")) || root.exists(&at("sriov_totalvfs"));
    if plain && !virtual_too() {
        return None;
    }
    Some(PciFunction {
        address,
        id: id(root, &at),
        class,
        nodes: locality(root, nodes, &at("numa_node")),
        driver: link(root, &at("driver")),
        iommu_group: group(root, address),
        physfn: root
            .link_name(&at("physfn"))
            .ok()
            .and_then(|name| name.parse().ok()),
        sriov: sriov(root, &at),
        interfaces: Vec::new(),
    })
}

fn id(root: &Root, at: &impl Fn(&str) -> String) -> Fact<PciId> {
    let part =
        |name| root.fact(&at(name), |text| u16::try_from(hex(text)?).ok());
    match (part("vendor"), part("device")) {
        (Fact::Known { value: vendor, origin }, device) => match device {
            Fact::Known { value: device, .. } => {
                Fact::Known { value: PciId { vendor, device }, origin }
            }
            Fact::Unknown { unknown } => Fact::Unknown { unknown },
        },
        (Fact::Unknown { unknown }, _) => Fact::Unknown { unknown },
    }
}

/// Reads the node of a function. Firmware that does not tell leaves -1; on a
/// machine with one node there is nothing to tell.
fn locality(root: &Root, nodes: &[Node], path: &str) -> Fact<NodeSet> {
    let told = root.fact(path, |text| text.parse::<i64>().ok());
    match (told, nodes) {
        (Fact::Known { value: ..0, .. } | Fact::Unknown { .. }, [only]) => {
            let origin = format!("the only node; /{path} does not tell");
            Fact::known(only.id.into(), origin)
        }
        (Fact::Known { value: ..0, .. }, _) => {
            Fact::unknown(format!("/{path} is -1: the firmware does not tell"))
        }
        (Fact::Known { value, origin }, _) => {
            let known = nodes.iter().map(|node| node.id);
            match known.into_iter().find(|id| i64::from(id.0) == value) {
                Some(id) => Fact::Known { value: NodeSet::from(id), origin },
                None => Fact::unknown(format!(
                    "{origin} names node {value}, which is not online"
                )),
            }
        }
        (Fact::Unknown { unknown }, _) => Fact::Unknown { unknown },
    }
}

fn sriov(root: &Root, at: &impl Fn(&str) -> String) -> Option<Sriov> {
    let path = at("sriov_totalvfs");
    if !root.exists(&path) {
        return None;
    }
    // virtfn0, virtfn1, … without gaps: a folder of a function has a hundred
    // entries, so looking for the next is cheaper than listing.
    let virtfn = |n: u32| {
        let name = root.link_name(&at(&format!("virtfn{n}"))).ok()?;
        name.parse().ok()
    };
    let total = root.fact(&path, |text| text.parse().ok());
    let virtfns = (0..=MAX_VIRTFN).map_while(virtfn).collect();
    Some(Sriov { total, virtfns })
}

/// Returns the last part of a link, or that there is none.
fn link(root: &Root, path: &str) -> Fact<Option<String>> {
    match root.link_name(path) {
        Ok(name) => Fact::known(Some(name), format!("/{path}")),
        Err(e) if e.source.kind() == NotFound && root.is_complete() => {
            Fact::known(None, format!("/{path}"))
        }
        Err(e) => Fact::unknown(e.reason()),
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}
