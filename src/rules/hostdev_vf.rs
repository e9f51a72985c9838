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

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::{PciAddress, XmlPath};
use crate::model::domain::Hostdev;
use crate::model::policy::Level;
use crate::model::{Fact, NicPlacement};

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
    let mut edits = Vec::new();
    let mut advice = Vec::new();
    for nic in nics {
        match nic.function {
            None => advice
                .push(format!("no function can be attached: {}", nic.because)),
            Some(function) if nic.attached => {
                let mut devices = cx.domain.devices.hostdevs.iter();
                let has = devices.find(|device| device.source == function);
                identify(nic, has, &mut edits, &mut advice);
            }
            Some(function) => {
                edits.extend(attach(cx, nic, function));
                advice.extend(without_mac(nic, function));
            }
        }
    }
    let names = nics.iter().filter_map(|nic| nic.function);
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    Verdict::of(edits, advice, format!("{} attached", names.join(", ")))
}

/// Returns the element of a function.
fn element(is_interface: bool, position: usize) -> XmlPath {
    let name = if is_interface { "interface" } else { "hostdev" };
    at("devices").child(name).nth(position)
}

fn attach(
    cx: &Context<'_>,
    nic: &NicPlacement,
    function: PciAddress,
) -> Vec<Edit> {
    let devices = &cx.domain.devices;
    // Where the rule only advises, the VM does not count the function yet.
    let counted = devices.hostdevs.iter().find(|d| d.source == function);
    let elements = match nic.is_interface {
        true => devices.interface_elements,
        false => devices.hostdev_elements,
    };
    let position = counted.map_or(elements + 1, |device| device.position);
    let path = element(nic.is_interface, position);
    let set = |path: XmlPath, name: &str, value: &str| {
        Edit::set(path.attribute(name), value, &nic.because)
    };
    let mut edits = Vec::new();
    if nic.is_interface {
        edits.push(set(path.clone(), "type", "hostdev"));
    } else {
        edits.push(set(path.clone(), "mode", "subsystem"));
        edits.push(set(path.clone(), "type", "pci"));
    }
    edits.push(set(path.clone(), "managed", "yes"));
    if let Some(mac) = nic.mac.filter(|_| nic.is_interface) {
        let path = path.clone().child("mac");
        edits.push(set(path, "address", &mac.to_string()));
    }
    edits.push(set(path.clone().child("driver"), "name", "vfio"));
    let source = path.child("source").child("address");
    if nic.is_interface {
        edits.push(set(source.clone(), "type", "pci"));
    }
    for (name, value) in function.libvirt_attributes() {
        edits.push(set(source.clone(), name, &value));
    }
    edits
}

/// Sets the MAC address of a function that is attached.
fn identify(
    nic: &NicPlacement,
    has: Option<&Hostdev>,
    edits: &mut Vec<Edit>,
    advice: &mut Vec<String>,
) {
    let Some(has) = has else { return };
    if !has.is_interface {
        advice.extend(without_mac(nic, has.source));
        return;
    }
    if let Some(mac) = nic.mac.filter(|mac| has.mac != Some(*mac)) {
        let path = element(true, has.position).child("mac");
        let because = format!("the policy gives {} this address", has.source);
        let target = path.attribute("address");
        edits.push(Edit::set(target, mac.to_string(), because));
    }
}

/// Says that a `<hostdev>` has no address of its own.
fn without_mac(nic: &NicPlacement, function: PciAddress) -> Option<String> {
    let mac = nic.mac.filter(|_| !nic.is_interface)?;
    Some(format!(
        "<hostdev> of {function} has no MAC address: {mac} is for the host to \
         set, before the function is bound to a driver"
    ))
}
