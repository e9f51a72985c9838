//! Devices of the host near the VM, and where the guest is told they are.

use super::flaw::Flaw;
use super::host::Host;
use super::scene::Scene;
use super::vm::Vm;
use super::words;
use crate::base::{CellId, NodeSet, PciAddress};
use crate::model::domain::{Controller, Domain, Hostdev};
use crate::model::policy::DeviceLocality;

const RULE: &str = "pci-numa";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    expanders(vm, found);
    for hostdev in &vm.domain.devices.hostdevs {
        let nodes = nodes_of(&scene.host, hostdev.source);
        if !nodes.is_empty() {
            distance(vm, hostdev, &nodes, found);
            claim(scene, vm, hostdev, &nodes, found);
        }
    }
}

/// Returns the nodes with CPUs that a device is near to; none where nobody
/// knows.
fn nodes_of(host: &Host<'_>, device: PciAddress) -> NodeSet {
    let functions = host.facts.pci.value();
    let mut functions = functions.into_iter().flatten();
    let function = functions.find(|function| function.address == device);
    let Some(nodes) = function.and_then(|f| f.nodes.value()) else {
        return NodeSet::new();
    };
    nodes.intersection(&host.nodes(&host.usable))
}

/// The VM has vCPUs where its devices are.
fn distance(
    vm: &Vm<'_>,
    hostdev: &Hostdev,
    nodes: &NodeSet,
    found: &mut Vec<Flaw>,
) {
    let locality = vm.policy.devices.locality;
    let is_near = vm.nodes.intersects(nodes) || vm.nodes.is_empty();
    if is_near || locality == DeviceLocality::Ignore {
        return;
    }
    let what = format!(
        "vCPUs on {}, {} is at {}",
        words::nodes(&vm.nodes),
        hostdev.source,
        words::nodes(nodes),
    );
    let remedy = format!("Pin vCPUs to {}.", words::nodes(nodes));
    let flaw = Flaw::broken(RULE, what, remedy);
    let preferred = locality != DeviceLocality::Require;
    found.push(flaw.slow_if(preferred).at(line(vm, hostdev)));
}

/// A device behind an expander bus of a cell is near that cell's CPUs.
fn claim(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    hostdev: &Hostdev,
    nodes: &NodeSet,
    found: &mut Vec<Flaw>,
) {
    let Some(told) = cell_of(vm.domain, hostdev.guest_bus) else { return };
    let cell = vm.domain.cells().iter().find(|cell| cell.id == told);
    let cpus = cell.and_then(|cell| vm.cpus_of(&cell.vcpus));
    let actual = cpus.map(|cpus| scene.host.nodes(&cpus)).unwrap_or_default();
    if !actual.is_empty() && !actual.intersects(nodes) {
        let what = format!(
            "the guest sees {} at cell {told}, on {}; it is at {}",
            hostdev.source,
            words::nodes(&actual),
            words::nodes(nodes),
        );
        let remedy = "Put it behind an expander bus of the right cell.";
        let flaw = Flaw::broken(RULE, what, remedy);
        found.push(flaw.at(line(vm, hostdev)));
    }
}

/// Returns the cell of the expander bus that a guest bus hangs off.
fn cell_of(domain: &Domain, bus: Option<u8>) -> Option<CellId> {
    let controllers = &domain.devices.controllers;
    let mut bus = bus?;
    // Each step goes up one bus; a loop ends after as many as there are.
    for _ in controllers {
        let above = controllers.iter().find(|controller| {
            controller.kind == "pci" && controller.index == Some(bus.into())
        })?;
        if above.node.is_some() {
            return above.node;
        }
        bus = above.guest_bus?;
    }
    None
}

/// An expander bus is of a cell that the guest has.
fn expanders(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let controllers = vm.domain.devices.controllers.iter();
    let with_cell = (1..).zip(controllers).filter_map(
        |(place, controller): (u32, &Controller)| {
            Some((place, controller.node?))
        },
    );
    for (place, cell) in with_cell {
        if vm.domain.cells().iter().all(|known| known.id != cell) {
            let what = format!(
                "an expander bus of cell {cell}, which the guest does not have"
            );
            let remedy = "Name a cell of the guest.";
            let path = format!("devices/controller[{place}]");
            found.push(Flaw::refused(RULE, what, remedy).at(vm.line(&path)));
        }
    }
}

/// Returns the line of a device.
pub(super) fn line(vm: &Vm<'_>, hostdev: &Hostdev) -> Option<u32> {
    let name = if hostdev.is_interface { "interface" } else { "hostdev" };
    vm.line(&format!("devices/{name}[{}]", hostdev.position))
}
