//! Functions of the host that VMs have: each is one VM's, and so is its
//! IOMMU group.

use super::flaw::Flaw;
use super::locality::line;
use super::scene::Scene;
use super::vm::Vm;
use crate::base::PciAddress;
use crate::model::domain::Hostdev;
use crate::model::facts::{PciClass, PciFunction};

const RULE: &str = "hostdev-vf";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    for hostdev in &vm.domain.devices.hostdevs {
        let what = held_twice(vm, hostdev)
            .or_else(|| held_by_other(scene, vm, hostdev))
            .or_else(|| group_held(scene, vm, hostdev))
            .or_else(|| group_driven(scene, vm, hostdev));
        if let Some((what, remedy)) = what {
            let flaw = Flaw::refused(RULE, what, remedy);
            found.push(flaw.at(line(vm, hostdev)));
        }
    }
}

/// What is wrong, and what to do.
type Found = (String, String);

/// One definition names a function once.
fn held_twice(vm: &Vm<'_>, hostdev: &Hostdev) -> Option<Found> {
    let source = hostdev.source;
    let mut before = vm.domain.devices.hostdevs.iter();
    before.find(|one| one.source == source && *one != hostdev)?;
    let what = format!("{source} is there twice");
    Some((what, "Take one away.".to_owned()))
}

/// Of two VMs with one function, the second does not start.
fn held_by_other(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    hostdev: &Hostdev,
) -> Option<Found> {
    let source = hostdev.source;
    let holds = |name: &str| format!("{name} has {source} too");
    let mut others = scene.others(vm);
    let other = others.find(|other| other.functions.contains(&source))?;
    Some((holds(other.name), "Give one of them another function.".to_owned()))
}

/// VFIO gives a group to one VM.
fn group_held(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    hostdev: &Hostdev,
) -> Option<Found> {
    let group = group_of(scene, hostdev.source)?;
    scene.others(vm).find_map(|other| {
        let mut held = other.functions.iter();
        let shared = held.find(|one| group_of(scene, **one) == Some(group))?;
        let what = format!(
            "{} has {shared}, which is in IOMMU group {group} with {}",
            other.name, hostdev.source
        );
        let remedy = "Give all of the group to one VM.".to_owned();
        Some((what, remedy))
    })
}

/// VFIO gives a group to a VM only when the host drives nothing in it.
fn group_driven(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    hostdev: &Hostdev,
) -> Option<Found> {
    let source = hostdev.source;
    let group = group_of(scene, source)?;
    let functions = scene.host.facts.pci.value()?;
    let own = &vm.domain.devices.hostdevs;
    let mut members = functions.iter().filter(|function| {
        function.iommu_group.value() == Some(&Some(group))
            && function.class != PciClass::Bridge
            && own.iter().all(|one| one.source != function.address)
    });
    let (other, driver) = members.find_map(|function| {
        let driver = function.driver.value()?.as_deref()?;
        let is_hosts = !matches!(driver, "vfio-pci" | "pci-stub" | "pcieport");
        is_hosts.then_some((function.address, driver))
    })?;
    let what = format!(
        "{source} is in IOMMU group {group} with {other}, which {driver} drives"
    );
    let remedy = format!("Give {other} to the VM too, or unbind {driver}.");
    Some((what, remedy))
}

fn group_of(scene: &Scene<'_>, address: PciAddress) -> Option<u32> {
    let mut functions = scene.host.facts.pci.value()?.iter();
    let function = functions.find(|f: &&PciFunction| f.address == address)?;
    *function.iommu_group.value()?
}
