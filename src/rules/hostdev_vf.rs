//! Attaches the virtual functions that the policy asks for.
//!
//! Which function it is, placement has decided: the functions of a host are
//! scarce, and the VM shall be near its own. This rule writes it down. For
//! Ethernet it is `<interface type='hostdev'>`: libvirt sets the MAC address
//! through the physical function, and takes it back. A plain `<hostdev>` is
//! for InfiniBand, where the identity is a GUID that the host sets.
//!
//! The guest's PCI address is left to libvirt. It puts each such device of a
//! q35 machine on a root port of its own, and adds the port. A machine of the
//! i440fx family has no such ports, and shows plain PCI.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::XmlPath;
use crate::model::domain::Hostdev;
use crate::model::policy::Level;
use crate::model::{Fact, NicPlacement, Stage};

/// The rule.
pub const RULE: Rule = Rule {
    id: "hostdev-vf",
    group: Group::GuestIo,
    why: "A virtual function of its own takes the host's network stack out \
          of a guest's way; near the VM's memory it is fastest.",
    hurts: "A VM with a function cannot be migrated while it runs, all its \
            memory is locked, and the host sees none of its packets unless \
            the card is in switchdev mode.",
    folklore: "Guides pass functions through as `<hostdev>`. Bound anew, a \
               function loses its MAC address and its VLAN: \
               `<interface type='hostdev'>` sets both. They name the first \
               function that is free, wherever the card is.",
    sources: &[
        "libvirt formatdomain: Network interfaces (PCI Passthrough), Host \
         device assignment",
        "libvirt 11.3: define gives each device without an address a \
         pcie-root-port of its own on q35, and adds the port",
        "Linux Documentation/driver-api/vfio.rst: groups",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/devices/interface/@type",
        "/domain/devices/interface/@managed",
        "/domain/devices/interface/mac",
        "/domain/devices/interface/driver",
        "/domain/devices/interface/source",
        "/domain/devices/hostdev/@mode",
        "/domain/devices/hostdev/@type",
        "/domain/devices/hostdev/@managed",
        "/domain/devices/hostdev/driver",
        "/domain/devices/hostdev/source",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let nics = &cx.placement.nics;
    if nics.is_empty() {
        return Verdict::NotApplicable("the policy asks for no function");
    }
    if let Fact::Unknown { unknown } = &cx.facts.pci {
        return Verdict::Unknown {
            fact: "PCI functions",
            why: unknown.clone(),
        };
    }
    // Where the rule only advises, the VM does not count them yet.
    let devices = cx.domain.devices.with_nics(nics).hostdevs;
    let mut edits = Vec::new();
    let mut advice = Vec::new();
    for nic in nics {
        let mut all = devices.iter();
        let device = all.find(|device| nic.function == Some(device.source));
        let Some(device) = device else {
            let why = &nic.because;
            advice.push(format!("no function can be attached: {why}"));
            continue;
        };
        match nic.attached {
            false => edits.extend(attach(cx, device, &nic.because)),
            true => edits.extend(identify(device, nic)),
        }
        advice.extend(without_mac(device, nic));
    }
    let names = nics.iter().filter_map(|nic| nic.function);
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    Verdict::of(edits, advice, format!("{} attached", names.join(", ")))
}

/// Returns the element of a function.
fn element(device: &Hostdev) -> XmlPath {
    let name = if device.is_interface { "interface" } else { "hostdev" };
    at("devices").child(name).nth(device.position)
}

fn attach(cx: &Context<'_>, device: &Hostdev, because: &str) -> Vec<Edit> {
    let path = element(device);
    let set = |path: &XmlPath, name: &str, value: &str| {
        Edit::set(path.clone().attribute(name), value, because)
    };
    let source = path.clone().child("source").child("address");
    let mut edits = match device.is_interface {
        true => vec![
            set(&path, "type", "hostdev"),
            set(&path, "managed", "yes"),
            set(&source, "type", "pci"),
        ],
        false => vec![
            set(&path, "mode", "subsystem"),
            set(&path, "type", "pci"),
            set(&path, "managed", "yes"),
        ],
    };
    let address = device.source.libvirt_attributes();
    edits.extend(address.map(|(name, value)| set(&source, name, &value)));
    if let Some(mac) = device.mac.filter(|_| device.is_interface) {
        let path = path.clone().child("mac");
        edits.push(set(&path, "address", &mac.to_string()));
    }
    let driver = set(&path.child("driver"), "name", "vfio");
    if cx.facts.is_to_come(device.source) {
        edits.push(driver.trading(
            "the VM does not start before the host has booted, and with it \
             made the function",
        ));
        return edits
            .into_iter()
            .map(|edit| edit.at(Stage::HostBoot))
            .collect();
    }
    edits.push(match interfaces(cx, device).as_slice() {
        [] => driver,
        names => driver.trading(format!(
            "the host is without {} while the VM runs",
            names.join(", ")
        )),
    });
    edits
}

/// Returns the network interfaces that the host has of a function.
fn interfaces(cx: &Context<'_>, device: &Hostdev) -> Vec<String> {
    let mut functions = cx.facts.pci.value().into_iter().flatten();
    let function = functions.find(|f| f.address == device.source);
    function.map_or_else(Vec::new, |function| function.interfaces.clone())
}

/// Sets the MAC address of an interface that is there.
fn identify(device: &Hostdev, nic: &NicPlacement) -> Option<Edit> {
    let mac = nic.mac.filter(|mac| device.mac != Some(*mac))?;
    let path = element(device).child("mac").attribute("address");
    let because = format!("the policy gives {} this address", device.source);
    let edit = Edit::set(path, mac.to_string(), because);
    device.is_interface.then_some(edit)
}

/// Says that a `<hostdev>` has no address of its own.
fn without_mac(device: &Hostdev, nic: &NicPlacement) -> Option<String> {
    let mac = nic.mac.filter(|_| !device.is_interface)?;
    Some(format!(
        "<hostdev> of {} has no MAC address: {mac} is for the host to set, \
         before the function is bound to a driver",
        device.source
    ))
}
