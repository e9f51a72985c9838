//! Shows the guest which of its NUMA nodes a passed-through device is near.
//!
//! On the root bus a device has no node, and a guest with several puts its
//! queues, interrupts and buffers anywhere. A `pcie-expander-bus` carries a
//! node; a root port on it carries the device. The device gets another PCI
//! address in the guest, and its interface another name: so this is advice
//! unless the policy says `plan`.

use std::collections::BTreeMap;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::{CellId, PciAddress, XmlPath};
use crate::model::Fact;
use crate::model::domain::{Controller, Hostdev};
use crate::model::facts::PciFunction;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "pci-numa",
    group: Group::GuestIo,
    why: "A guest that sees a device's node keeps its queues and buffers \
          there.",
    hurts: "The device moves to another PCI address of the guest: interfaces \
            get other names, and configuration that names them breaks.",
    folklore: "",
    sources: &[
        "QEMU docs/pcie.txt and docs/pci_expander_bridge.txt",
        "libvirt formatdomain: Controllers (pcie-expander-bus)",
    ],
    level: Level::Advise,
    owns: &[
        "/domain/devices/controller/@model",
        "/domain/devices/controller/target",
        "/domain/devices/controller/address",
        "/domain/devices/hostdev/address",
        "/domain/devices/interface/address",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

/// Root ports that are put on one expander bus: one for each of its slots.
const PORTS: usize = 32;

/// Bus numbers that are left to the root bus: its ports take one each.
const ROOT_BUSES: u32 = 64;

fn evaluate(cx: &Context<'_>) -> Verdict {
    if !cx.domain.is_x86_64() || !cx.domain.is_q35() {
        return Verdict::NotApplicable("expander buses need q35");
    }
    if cx.placement.cells.len() < 2 {
        return Verdict::NotApplicable("the guest has one NUMA node");
    }
    if !cx.domain.has_passthrough() {
        return Verdict::NotApplicable("no device is passed through");
    }
    let functions = match &cx.facts.pci {
        Fact::Known { value, .. } => value,
        Fact::Unknown { unknown } => {
            let why = unknown.clone();
            return Verdict::Unknown { fact: "PCI functions", why };
        }
    };
    let mut advice = Vec::new();
    let mut unknown = Vec::new();
    let mut moves: BTreeMap<CellId, Vec<Move<'_>>> = BTreeMap::new();
    for hostdev in &cx.domain.devices.hostdevs {
        match locate(cx, functions, hostdev) {
            Where::Cell(at) if cell_of(cx, hostdev) == Some(at.cell) => {}
            Where::Cell(at) => moves.entry(at.cell).or_default().push(at),
            Where::Elsewhere(what) => advice.push(what),
            Where::Unknown(why) => unknown.push(why),
        }
    }
    if moves.is_empty() && !unknown.is_empty() {
        let why = unknown.join("; ");
        return Verdict::Unknown { fact: "the devices' nodes", why };
    }
    advice.extend(unknown);
    if moves.is_empty() && advice.is_empty() {
        return Verdict::Satisfied("the guest sees its devices' nodes".into());
    }
    match edits(cx, &moves) {
        Some(edits) if edits.is_empty() => Verdict::Advise(advice),
        Some(edits) => Verdict::Change { edits, advice },
        None => {
            let full = "the guest has no bus numbers left for expander buses";
            advice.push(full.to_owned());
            Verdict::Advise(advice)
        }
    }
}

/// Where a device is, seen from the guest.
enum Where<'a> {
    /// Near one of its nodes.
    Cell(Move<'a>),
    /// Near none of them, as the sentence says.
    Elsewhere(String),
    /// Nobody knows, for the reason given.
    Unknown(String),
}

/// A device that belongs under an expander bus.
struct Move<'a> {
    hostdev: &'a Hostdev,
    cell: CellId,
    because: String,
}

/// Finds the guest node that a device is near.
fn locate<'a>(
    cx: &Context<'_>,
    functions: &[PciFunction],
    hostdev: &'a Hostdev,
) -> Where<'a> {
    let source = hostdev.source;
    let function = functions.iter().find(|f| f.address == source);
    let Some(function) = function else {
        return Where::Unknown(format!("{source} is not among the facts"));
    };
    let (nodes, origin) = match &function.nodes {
        Fact::Known { value, origin } => (value, origin),
        Fact::Unknown { unknown } => {
            return Where::Unknown(format!("{source}: {unknown}"));
        }
    };
    let mut cells = cx.placement.cells.iter();
    let Some(cell) = cells.find(|cell| nodes.contains(cell.node)) else {
        return Where::Elsewhere(format!(
            "{source} is near node {nodes} ({origin}), where the guest has \
             no node of its own"
        ));
    };
    let (cell, node) = (cell.id, cell.node);
    let because = format!(
        "{source} is near node {node} ({origin}), the guest's node {cell}"
    );
    Where::Cell(Move { hostdev, cell, because })
}

fn pci_controllers<'a>(
    cx: &Context<'a>,
) -> impl Iterator<Item = &'a Controller> + use<'a> {
    let controllers = cx.domain.devices.controllers.iter();
    controllers.filter(|controller| controller.kind == "pci")
}

/// Returns the node that the guest sees a device on: that of the expander
/// bus above it.
fn cell_of(cx: &Context<'_>, hostdev: &Hostdev) -> Option<CellId> {
    let mut bus = hostdev.guest_bus?;
    // A bus is below another; no more steps than there are controllers.
    for _ in pci_controllers(cx) {
        let is_its = |c: &&Controller| c.index == Some(u32::from(bus));
        let controller = pci_controllers(cx).find(is_its)?;
        if controller.model.as_deref() == Some("pcie-expander-bus") {
            return controller.node;
        }
        bus = controller.guest_bus?;
    }
    None
}

/// Builds one expander bus for each node, a root port on it for each device,
/// and moves the devices there; `None` where the numbers do not suffice.
fn edits(
    cx: &Context<'_>,
    moves: &BTreeMap<CellId, Vec<Move<'_>>>,
) -> Option<Vec<Edit>> {
    let mut index = first_free_index(cx)?;
    let mut number = pci_controllers(cx)
        .filter_map(|c| c.bus_number)
        .map(u32::from)
        .fold(256, u32::min);
    let mut edits = Vec::new();
    for (cell, moves) in moves {
        for batch in moves.chunks(PORTS) {
            // One number for the expander itself, one for each port.
            number =
                number.checked_sub(u32::try_from(batch.len()).ok()? + 1)?;
            if number < ROOT_BUSES {
                return None;
            }
            let expander = u8::try_from(index).ok()?;
            edits.extend(build(expander, number, *cell, &batch[0].because));
            for (slot, device) in (0..).zip(batch) {
                let port = u8::try_from(index + 1 + u32::from(slot)).ok()?;
                let on_expander = PciAddress::new(0, expander, slot, 0)?;
                edits.extend(root_port(port, on_expander, &device.because));
                edits.extend(attach(device, PciAddress::new(0, port, 0, 0)?));
            }
            index += 1 + u32::try_from(batch.len()).ok()?;
        }
    }
    Some(edits)
}

/// Returns an index above all that the definition has or will be given:
/// libvirt numbers controllers without one from the lowest free.
fn first_free_index(cx: &Context<'_>) -> Option<u32> {
    let named = pci_controllers(cx).filter_map(|c| c.index);
    let buses = pci_controllers(cx).filter_map(|c| c.guest_bus);
    let devices = cx.domain.devices.hostdevs.iter();
    let buses = buses.chain(devices.filter_map(|h| h.guest_bus));
    let last = named.chain(buses.map(u32::from)).max().unwrap_or(0);
    let unnamed = pci_controllers(cx).filter(|c| c.index.is_none()).count();
    last.checked_add(u32::try_from(unnamed).ok()?)?.checked_add(1)
}

fn controller(index: u8) -> XmlPath {
    let path = at("devices/controller").with("type", "pci");
    path.with("index", index)
}

fn build(index: u8, number: u32, cell: CellId, because: &str) -> [Edit; 3] {
    let path = controller(index);
    let target = path.clone().child("target");
    let model = path.attribute("model");
    [
        Edit::set(model, "pcie-expander-bus", because),
        Edit::set(
            target.clone().attribute("busNr"),
            number.to_string(),
            because,
        ),
        Edit::set(target.child("node").text(), cell.to_string(), because),
    ]
}

fn root_port(index: u8, at: PciAddress, because: &str) -> Vec<Edit> {
    let path = controller(index);
    let model = path.clone().attribute("model");
    let mut edits = vec![Edit::set(model, "pcie-root-port", because)];
    edits.extend(address(&path, at, because));
    edits
}

fn attach(device: &Move<'_>, to: PciAddress) -> Vec<Edit> {
    let is_interface = device.hostdev.is_interface;
    let name = if is_interface { "interface" } else { "hostdev" };
    let path = at("devices").child(name).nth(device.hostdev.position);
    let trade = "the device gets another PCI address in the guest, and its \
                 interface another name";
    let edits = address(&path, to, &device.because).into_iter();
    edits.map(|edit| edit.trading(trade)).collect()
}

fn address(path: &XmlPath, to: PciAddress, because: &str) -> Vec<Edit> {
    let path = path.clone().child("address");
    let set = |name: &str, value: String| {
        Edit::set(path.clone().attribute(name), value, because)
    };
    let mut edits = vec![set("type", "pci".to_owned())];
    edits.extend(to.libvirt_attributes().map(|(name, value)| set(name, value)));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Case;

    fn case() -> Case {
        let mut case = Case::plain();
        case.place_on(&[0, 1]);
        case.pass("0000:c1:00.2", Some(1));
        case
    }

    fn controller(index: u32, model: &str, guest_bus: u8) -> Controller {
        Controller {
            kind: "pci".into(),
            index: Some(index),
            model: Some(model.into()),
            node: None,
            bus_number: None,
            guest_bus: Some(guest_bus),
            iothread: None,
        }
    }

    #[test]
    fn a_device_moves_under_its_node() {
        let mut case = case();
        case.domain.devices.controllers = vec![
            controller(0, "pcie-root", 0),
            controller(1, "pcie-root-port", 0),
        ];
        case.domain.devices.hostdevs[0].guest_bus = Some(1);
        let (two, three, device) = (
            "/domain/devices/controller[@type='pci'][@index='2']",
            "/domain/devices/controller[@type='pci'][@index='3']",
            "/domain/devices/hostdev[1]/address",
        );
        let edits = [
            format!("{two}/@model = pcie-expander-bus"),
            format!("{two}/target/@busNr = 254"),
            format!("{two}/target/node/text() = 1"),
            format!("{three}/@model = pcie-root-port"),
            format!("{three}/address/@type = pci"),
            format!("{three}/address/@domain = 0x0000"),
            format!("{three}/address/@bus = 0x02"),
            format!("{three}/address/@slot = 0x00"),
            format!("{three}/address/@function = 0x0"),
            format!("{device}/@type = pci"),
            format!("{device}/@domain = 0x0000"),
            format!("{device}/@bus = 0x03"),
            format!("{device}/@slot = 0x00"),
            format!("{device}/@function = 0x0"),
        ];
        assert_eq!(case.changes(&RULE), edits);
        let mut expander = controller(2, "pcie-expander-bus", 0);
        expander.node = Some(CellId(1));
        let devices = &mut case.domain.devices;
        devices
            .controllers
            .extend([expander, controller(3, "pcie-root-port", 2)]);
        devices.hostdevs[0].guest_bus = Some(3);
        assert!(case.satisfied(&RULE));
        case.placement.cells.reverse();
        case.domain.devices.controllers[2].node = Some(CellId(0));
        assert!(!case.satisfied(&RULE), "the wrong node is no better");
    }

    #[test]
    fn bus_numbers_leave_room_for_each_port() {
        let mut case = case();
        case.pass("0000:c1:00.3", Some(1));
        case.pass("0000:41:00.0", Some(0));
        let edits = case.changes(&RULE);
        let of = |what: &str| -> Vec<&str> {
            let found = edits.iter().filter(|edit| edit.contains(what));
            found.filter_map(|edit| edit.split(" = ").nth(1)).collect()
        };
        assert_eq!(of("@busNr"), ["254", "251"]);
        assert_eq!(of("node/text()"), ["0", "1"]);
        assert_eq!(of("hostdev[3]/address/@bus"), ["0x02"]);
        assert_eq!(of("hostdev[2]/address/@bus"), ["0x05"]);
        assert_eq!(of("[@index='5']/address/@slot"), ["0x01"]);
    }

    #[test]
    fn trap_35_no_node_is_not_node_0() {
        let mut case = Case::plain();
        case.place_on(&[0, 1]);
        case.pass("0000:c1:00.2", None);
        let Verdict::Unknown { why, .. } = case.verdict(&RULE) else {
            panic!("{:?}", case.verdict(&RULE));
        };
        assert_eq!(why, "0000:c1:00.2: numa_node is -1");
        case.pass("0000:c1:00.3", Some(1));
        assert_eq!(case.said(&RULE), why, "the other one moves");
    }

    #[test]
    fn a_device_away_from_the_guest_stays() {
        let mut case = case();
        case.pass("0000:01:00.0", Some(7));
        assert!(case.said(&RULE).contains("no node of its own"));
        assert!(!case.changes(&RULE).iter().any(|e| e.contains("hostdev[2]")));
    }

    #[test]
    fn other_guests_have_nothing_to_see() {
        let mut case = case();
        case.place_on(&[1]);
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        case.place_on(&[0, 1]);
        case.domain.machine = Some("pc-i440fx-9.2".into());
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }

    #[test]
    fn interfaces_move_as_interfaces() {
        let mut case = case();
        let hostdev = &mut case.domain.devices.hostdevs[0];
        (hostdev.is_interface, hostdev.position) = (true, 2);
        let moved = "/domain/devices/interface[2]/address/@bus = 0x02";
        assert!(case.changes(&RULE).iter().any(|edit| edit == moved));
    }
}
