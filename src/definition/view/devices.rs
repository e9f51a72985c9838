//! Reads `<devices>`.

use super::error::{ReadError, ReadProblem};
use super::node::{Node, number_in};
use crate::base::{CellId, ParseValueError, PciAddress};
use crate::model::domain::{
    Controller, Devices, Disk, Hostdev, Interface, IommuDevice,
};

pub(super) fn read(root: Node<'_>) -> Result<Devices, ReadError> {
    let mut devices = Devices::default();
    for device in root.all(&["devices"]).flat_map(Node::children) {
        devices.needs_shared_memory |= shares_memory(device);
        match device.name().as_str() {
            "hostdev" => {
                devices.hostdev_elements += 1;
                let position = devices.hostdev_elements;
                if device.says("type", "pci") {
                    devices.hostdevs.push(hostdev(device, position, false)?);
                } else {
                    devices.other_hostdevs += 1;
                }
            }
            "interface" => {
                devices.interface_elements += 1;
                let position = devices.interface_elements;
                if is_pci_interface(device) {
                    devices.hostdevs.push(hostdev(device, position, true)?);
                } else if device.says("type", "hostdev") {
                    devices.other_hostdevs += 1;
                } else {
                    devices.interfaces.push(interface(device)?);
                }
            }
            "disk" => devices.disks.push(disk(device)?),
            "controller" => devices.controllers.push(controller(device)?),
            "memballoon" => devices.memballoon = device.attribute("model"),
            "iommu" => {
                let iommu = iommu(device)?;
                devices.iommu.get_or_insert(iommu);
            }
            _ => {}
        }
    }
    Ok(devices)
}

/// Returns whether a device is served by another process through the guest's
/// memory.
fn shares_memory(device: Node<'_>) -> bool {
    let driver = device.child("driver");
    device.says("type", "vhostuser")
        || driver.is_some_and(|driver| {
            driver.says("type", "virtiofs") || driver.says("name", "vhostuser")
        })
}

fn is_pci_interface(interface: Node<'_>) -> bool {
    let mut addresses = interface.all(&["source", "address"]);
    interface.says("type", "hostdev")
        && addresses.next().is_none_or(|a| !a.says("type", "usb"))
}

fn hostdev(
    device: Node<'_>,
    position: usize,
    is_interface: bool,
) -> Result<Hostdev, ReadError> {
    let source = device.all(&["source", "address"]).next();
    let source = source.ok_or_else(|| device.missing("source address"))?;
    let mac = device.child("mac").and_then(|mac| mac.attribute("address"));
    Ok(Hostdev {
        source: pci_address(source)?,
        is_interface,
        position,
        managed: device.says("managed", "yes"),
        mac: mac.and_then(|mac| mac.parse().ok()),
        guest_bus: guest_bus(device)?,
    })
}

/// Reads a PCI address; numbers that are missing count as 0, as in libvirt.
fn pci_address(address: Node<'_>) -> Result<PciAddress, ReadError> {
    let part = |name| address.attribute(name);
    PciAddress::from_libvirt(
        part("domain").as_deref(),
        part("bus").as_deref().unwrap_or("0"),
        part("slot").as_deref().unwrap_or("0"),
        part("function").as_deref().unwrap_or("0"),
    )
    .map_err(|e| address.fault(ReadProblem::Value(e)))
}

/// Returns the bus where the guest has a device; `None` where libvirt is
/// still to choose it.
fn guest_bus(device: Node<'_>) -> Result<Option<u8>, ReadError> {
    let address = device.child("address").filter(|address| {
        address.says("type", "pci") && address.attribute("bus").is_some()
    });
    Ok(address.map(pci_address).transpose()?.map(PciAddress::bus))
}

fn interface(interface: Node<'_>) -> Result<Interface, ReadError> {
    let model = interface.child("model");
    Ok(Interface {
        kind: interface.required("type")?,
        model: model.and_then(|model| model.attribute("type")),
    })
}

fn disk(disk: Node<'_>) -> Result<Disk, ReadError> {
    let target = |name| disk.child("target").and_then(|t| t.attribute(name));
    let mut iothread = match disk.child("driver") {
        Some(driver) => driver.number("iothread")?,
        None => None,
    };
    for thread in disk.all(&["driver", "iothreads", "iothread"]) {
        let id = thread.required_number("id", u32::MAX)?;
        iothread.get_or_insert(id);
    }
    Ok(Disk { target: target("dev"), bus: target("bus"), iothread })
}

fn controller(controller: Node<'_>) -> Result<Controller, ReadError> {
    let target = controller.child("target");
    let node = target.and_then(|target| target.child("node")).map(|node| {
        let number = number_in(0..=u32::MAX, "a number of a guest cell");
        node.text_as(number).map(CellId)
    });
    let driver = controller.child("driver");
    Ok(Controller {
        kind: controller.required("type")?,
        index: controller.number("index")?,
        model: controller.attribute("model"),
        node: node.transpose()?,
        bus_number: match target {
            Some(target) => target.parse_with("busNr", byte)?,
            None => None,
        },
        guest_bus: guest_bus(controller)?,
        iothread: match driver {
            Some(driver) => driver.number("iothread")?,
            None => None,
        },
    })
}

fn byte(text: &str) -> Result<u8, ParseValueError> {
    let bad = |_| ParseValueError::new(text, "a number from 0 to 255");
    text.trim().parse().map_err(bad)
}

fn iommu(iommu: Node<'_>) -> Result<IommuDevice, ReadError> {
    let driver = iommu.child("driver");
    Ok(IommuDevice {
        model: iommu.required("model")?,
        driver: driver.map_or_else(Vec::new, |d| d.attributes().collect()),
    })
}
