//! Network interfaces and RDMA devices, and the PCI functions behind them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Root, text};
use crate::base::{PciAddress, PortName};
use crate::model::Fact;
use crate::model::facts::RdmaDevice;

pub(super) const NET: &str = "sys/class/net";
pub(super) const INFINIBAND: &str = "sys/class/infiniband";

/// Returns the interfaces of each function, sorted. An interface of a device
/// on top of the function (virtio) counts; one that stands for a virtual
/// function in the card's switch does not.
pub(super) fn interfaces(root: &Root) -> BTreeMap<PciAddress, Vec<String>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for name in root.list(NET).unwrap_or_default() {
        let port = root.read(&format!("{NET}/{name}/phys_port_name"));
        if port.is_ok_and(|port| is_representor(port.trim())) {
            continue;
        }
        if let Some(address) = function_of(root, &format!("{NET}/{name}")) {
            found.entry(address).or_default().push(name);
        }
    }
    found
}

/// Reads the RDMA devices, sorted by name.
pub(super) fn rdma(
    root: &Root,
    interfaces: &BTreeMap<PciAddress, Vec<String>>,
) -> Fact<Vec<RdmaDevice>> {
    let names = match root.list(INFINIBAND) {
        Ok(names) => names,
        // The class is there as soon as the RDMA core is loaded.
        Err(_) if root.is_complete() => {
            return Fact::known(Vec::new(), format!("/{INFINIBAND}: none"));
        }
        Err(e) => return Fact::unknown(e.reason()),
    };
    let devices = names.into_iter().map(|name| {
        let folder = format!("{INFINIBAND}/{name}");
        let pci = function_of(root, &folder);
        let mut own = of_ports(root, &folder);
        if own.is_empty() {
            let function = pci.and_then(|pci| interfaces.get(&pci));
            own.extend(function.into_iter().flatten().cloned());
        }
        RdmaDevice { name, pci, interfaces: own.into_iter().collect() }
    });
    Fact::known(devices.collect(), format!("/{INFINIBAND}"))
}

/// Returns the interfaces that the first GID of each port belongs to, or for
/// a software device the one that it was made on. InfiniBand ports have none.
fn of_ports(root: &Root, folder: &str) -> BTreeSet<String> {
    let ports = root.list(&format!("{folder}/ports")).unwrap_or_default();
    let gids = ports
        .iter()
        .filter_map(|port| text::number_after(port, ""))
        .map(|port| format!("{folder}/ports/{port}/gid_attrs/ndevs/0"));
    gids.chain([format!("{folder}/parent")])
        .filter_map(|path| root.read(&path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Returns the last PCI function on the way to a device.
pub(super) fn function_of(root: &Root, path: &str) -> Option<PciAddress> {
    let place = root.resolve(path).ok()?;
    place.rsplit('/').find_map(|part| part.parse().ok())
}

/// Returns whether a port's name is of a virtual function or a subfunction
/// (`pf0vf3`, `c1pf0sf88`): devlink's names for ports of an embedded switch.
#[must_use]
pub fn is_representor(port: &str) -> bool {
    port.parse().is_ok_and(PortName::is_representor)
}

#[cfg(test)]
mod tests {
    use super::is_representor;

    #[test]
    fn representors_are_told_by_their_port() {
        for port in ["pf0vf3", "pf1vf12", "c1pf0vf0", "pf0sf88"] {
            assert!(is_representor(port), "{port}");
        }
        for port in ["p0", "pf0", "", "c", "vf", "1", "pf", "é"] {
            assert!(!is_representor(port), "{port}");
        }
    }
}
