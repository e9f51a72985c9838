//! From hwloc's I/O objects to PCI functions and RDMA devices.

use std::collections::BTreeSet;

use hwlocality::Topology as Hwloc;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::types::{OSDeviceType, ObjectType};

use super::objects::node_id;
use crate::base::{NodeSet, PciAddress, PciId};
use crate::model::Fact;
use crate::model::facts::{PciClass, PciFunction, RdmaDevice};

/// Reads the PCI functions that matter to a VM, sorted.
pub(super) fn pci(hwloc: &Hwloc, origin: &str) -> Fact<Vec<PciFunction>> {
    let mut found: Vec<_> = hwloc
        .objects_with_type(ObjectType::PCIDevice)
        .filter_map(|object| function(hwloc, object, origin))
        .collect();
    if found.is_empty() {
        return Fact::unknown(format!("{origin} has no PCI devices"));
    }
    found.sort_by_key(|function| function.address);
    Fact::known(found, origin)
}

/// Reads the RDMA devices, sorted by name.
pub(super) fn rdma(hwloc: &Hwloc, origin: &str) -> Fact<Vec<RdmaDevice>> {
    let mut found: Vec<_> = os_devices(hwloc, OSDeviceType::OpenFabrics)
        .filter_map(|(object, name)| {
            let function = object.ancestors().find(is_pci);
            let pci = function.and_then(address);
            let interfaces = function
                .map_or_else(Vec::new, |function| interfaces(hwloc, function));
            Some(RdmaDevice { name: name?, pci, interfaces })
        })
        .collect();
    if hwloc.objects_with_type(ObjectType::OSDevice).next().is_none() {
        return Fact::unknown(format!("{origin} has no devices"));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Fact::known(found, origin)
}

fn function(
    hwloc: &Hwloc,
    object: &TopologyObject,
    origin: &str,
) -> Option<PciFunction> {
    let Some(ObjectAttributes::PCIDevice(pci)) = object.attributes() else {
        return None;
    };
    let class = PciClass::of_code(u32::from(pci.class_id()) << 8);
    if matches!(class, PciClass::Bridge | PciClass::Other) {
        return None;
    }
    let id = PciId { vendor: pci.vendor_id(), device: pci.device_id() };
    let silent = |what: &str| format!("{origin} does not tell {what}");
    Some(PciFunction {
        address: address(object)?,
        id: Fact::known(id, origin),
        class,
        nodes: locality(hwloc, object, origin),
        driver: Fact::unknown(silent("drivers")),
        iommu_group: Fact::unknown(silent("IOMMU groups")),
        physfn: None,
        sriov: None,
        interfaces: interfaces(hwloc, object),
    })
}

/// Returns the nodes of what the function hangs off. All nodes of several
/// say that hwloc did not know.
fn locality(
    hwloc: &Hwloc,
    object: &TopologyObject,
    origin: &str,
) -> Fact<NodeSet> {
    let near = object.first_non_io_ancestor();
    let near = near.and_then(TopologyObject::nodeset);
    let nodes: NodeSet = hwloc
        .objects_with_type(ObjectType::NUMANode)
        .filter(|node| {
            let index = node.os_index();
            index.is_some_and(|i| near.is_some_and(|near| near.is_set(i)))
        })
        .filter_map(node_id)
        .collect();
    let all = hwloc.objects_with_type(ObjectType::NUMANode).count();
    if nodes.is_empty() || (all > 1 && nodes.len() == all) {
        return Fact::unknown(format!("{origin} hangs it off no node"));
    }
    Fact::known(nodes, origin)
}

fn interfaces(hwloc: &Hwloc, function: &TopologyObject) -> Vec<String> {
    let names: BTreeSet<_> = os_devices(hwloc, OSDeviceType::Network)
        .filter(|(object, _)| {
            let above = object.ancestors().find(is_pci);
            above.is_some_and(|above| {
                above.global_persistent_index()
                    == function.global_persistent_index()
            })
        })
        .filter_map(|(_, name)| name)
        .collect();
    names.into_iter().collect()
}

fn os_devices(
    hwloc: &Hwloc,
    kind: OSDeviceType,
) -> impl Iterator<Item = (&TopologyObject, Option<String>)> {
    hwloc
        .objects_with_type(ObjectType::OSDevice)
        .filter(move |object| match object.attributes() {
            Some(ObjectAttributes::OSDevice(device)) => {
                device.device_type() == kind
            }
            _ => false,
        })
        .map(|object| {
            let name = object.name().and_then(|name| name.to_str().ok());
            (object, name.map(str::to_owned))
        })
}

fn is_pci(object: &&TopologyObject) -> bool {
    object.object_type() == ObjectType::PCIDevice
}

fn address(object: &TopologyObject) -> Option<PciAddress> {
    let Some(ObjectAttributes::PCIDevice(pci)) = object.attributes() else {
        return None;
    };
    // hwloc 2 keeps 16 bits of the segment; devices beyond are not exported.
    PciAddress::new(
        pci.domain().into(),
        pci.bus_id(),
        pci.bus_device(),
        pci.function(),
    )
}
