//! `hostpciN`, `netN`, `scsiN` and their like.

use super::super::error::ConfError;
use super::value::Reader;
use crate::base::{ParseValueError, PciAddress};
use crate::model::domain::{
    Devices, Disk, Hostdev, Interface, IommuDevice, MappedDevice,
};

/// Controllers of disks, by the stem of their keys.
const DISKS: [&str; 4] = ["ide", "sata", "scsi", "virtio"];

pub(super) fn read(at: &Reader<'_>) -> Result<Devices, ConfError> {
    let balloon = at.number("balloon", 0..=u64::MAX)?;
    let mut devices = Devices {
        memballoon: Some(match balloon {
            Some(0) => "none".to_owned(),
            _ => "virtio".to_owned(),
        }),
        iommu: iommu(at),
        needs_shared_memory: at.numbered("virtiofs").next().is_some(),
        ..Devices::default()
    };
    let slots = at.numbered("hostpci").map(|(slot, _)| slot);
    let slots = slots.filter_map(|slot| usize::try_from(slot).ok());
    devices.taken_slots = Some(slots.collect());
    for (number, key) in at.numbered("hostpci") {
        if at.text(&format!("{key}/mdev")).is_some() {
            devices.other_hostdevs += 1;
            continue;
        }
        let position = usize::try_from(number).unwrap_or(usize::MAX);
        let mapping = at.text(&format!("{key}/mapping"));
        let mapped = mapping.map(|mapping| MappedDevice {
            mapping,
            position,
            choices: None,
        });
        devices.mapped.extend(mapped);
        let sources = at.parse(&format!("{key}/host"), functions)?;
        for source in sources.unwrap_or_default() {
            devices.hostdevs.push(Hostdev {
                source,
                is_interface: false,
                position,
                managed: true,
                mac: None,
                guest_bus: None,
            });
        }
    }
    for (_, key) in at.numbered("net") {
        let kind = if at.text(&format!("{key}/bridge")).is_some() {
            "bridge"
        } else {
            "user"
        };
        let virtio = at.text(&format!("{key}/virtio"));
        let model = virtio.map(|_| "virtio".to_owned());
        devices.interfaces.push(Interface { kind: kind.to_owned(), model });
    }
    let mut thread = 0;
    for (bus, key) in disks(at) {
        let own = has_iothread(at, bus, key)?;
        thread += u32::from(own);
        devices.disks.push(Disk {
            target: Some(key.to_owned()),
            bus: Some(bus.to_owned()),
            iothread: own.then_some(thread),
        });
    }
    Ok(devices)
}

/// Returns the I/O threads, numbered in the order of their disks.
pub(super) fn iothreads(at: &Reader<'_>) -> Result<Vec<u32>, ConfError> {
    let mut count = 0;
    for (bus, key) in disks(at) {
        count += u32::from(has_iothread(at, bus, key)?);
    }
    Ok((1..=count).collect())
}

/// Walks the disks, with what they are connected to.
fn disks<'c>(at: &Reader<'c>) -> impl Iterator<Item = (&'static str, &'c str)> {
    DISKS
        .into_iter()
        .flat_map(|bus| at.numbered(bus).map(move |(_, key)| (bus, key)))
}

/// Returns whether a disk has an I/O thread: Proxmox gives none to others
/// than these.
fn has_iothread(
    at: &Reader<'_>,
    bus: &str,
    key: &str,
) -> Result<bool, ConfError> {
    let can = bus == "virtio"
        || (bus == "scsi" && at.is("scsihw", "virtio-scsi-single"));
    Ok(can && at.flag(&format!("{key}/iothread"), false)?)
}

/// Returns the guest's IOMMU as Proxmox makes it.
fn iommu(at: &Reader<'_>) -> Option<IommuDevice> {
    let model = at.text("machine/viommu")?;
    let mut driver = Vec::new();
    if model == "intel" {
        driver.push(("intremap".to_owned(), "on".to_owned()));
        driver.push(("caching_mode".to_owned(), "on".to_owned()));
        // QEMU switches it on with remapping and a split controller.
        driver.push(("eim".to_owned(), "on".to_owned()));
    }
    if let Some(bits) = at.text("machine/aw-bits") {
        driver.push(("aw_bits".to_owned(), bits));
    }
    Some(IommuDevice { model, driver })
}

/// Reads the functions of a device: `0000:c1:00.2;0000:c1:00.3`. A device
/// without a function is all that it has, and known by its first.
pub(in super::super) fn functions(
    text: &str,
) -> Result<Vec<PciAddress>, ParseValueError> {
    text.split(';').map(function).collect()
}

fn function(text: &str) -> Result<PciAddress, ParseValueError> {
    let segment = match text.matches(':').count() {
        1 => "0000:",
        _ => "",
    };
    let whole = if text.contains('.') { "" } else { ".0" };
    let address = format!("{segment}{text}{whole}").parse();
    address.map_err(|_| {
        let what = "a PCI address such as 0000:c1:00.2";
        ParseValueError::new(text, what)
    })
}
