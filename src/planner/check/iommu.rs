//! The guest's IOMMU, and the machine that it and host devices need.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::Vm;
use crate::model::domain::IommuDevice;

const RULE: &str = "guest-iommu";

/// Most vCPUs that interrupts reach without extended interrupt mode: the
/// number of an xAPIC has 8 bits, and 255 means all.
const XAPIC_VCPUS: u32 = 255;

pub(super) fn check(_: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    if !vm.domain.is_x86_64() {
        return;
    }
    let iommu = vm.domain.devices.iommu.as_ref();
    if let Some(iommu) = iommu.filter(|iommu| iommu.model == "intel") {
        intel(vm, iommu, found);
    }
    many_vcpus(vm, iommu, found);
    machine(vm, found);
}

/// Intel's needs q35, a split interrupt controller for remapping, remapping
/// for extended mode, and caching mode for host devices.
fn intel(vm: &Vm<'_>, iommu: &IommuDevice, found: &mut Vec<Flaw>) {
    let mut refuse = |what: &str, remedy: &str, path: &str| {
        let flaw = Flaw::refused(RULE, what, remedy);
        found.push(flaw.at(vm.line(path)));
    };
    let element = "devices/iommu";
    if !vm.domain.is_q35() {
        let what = "an Intel IOMMU on a machine other than q35";
        refuse(what, "Write machine='q35'.", element);
    }
    let ioapic = vm.domain.feature("ioapic@driver");
    if is_on(iommu, "intremap") && ioapic != Some("qemu") {
        let what = "interrupt remapping without QEMU's own ioapic";
        let path = if ioapic.is_some() { "features/ioapic" } else { element };
        refuse(what, "Write <ioapic driver='qemu'/>.", path);
    }
    if is_on(iommu, "eim") && !is_on(iommu, "intremap") {
        let what = "extended interrupt mode without interrupt remapping";
        refuse(what, "Write intremap='on'.", element);
    }
    if vm.domain.has_passthrough() && !is_on(iommu, "caching_mode") {
        let what = "host devices behind an IOMMU without caching mode";
        refuse(what, "Write caching_mode='on'.", element);
    }
}

/// Beyond 255 vCPUs, an IOMMU delivers the interrupts.
fn many_vcpus(vm: &Vm<'_>, iommu: Option<&IommuDevice>, found: &mut Vec<Flaw>) {
    let vcpus = vm.domain.vcpus;
    // AMD's has a mode of its own for that, under another name.
    let delivers = iommu.is_some_and(|i| is_on(i, "eim") || i.model == "amd");
    if vcpus > XAPIC_VCPUS && !delivers {
        let what = format!("{vcpus} vCPUs without extended interrupt mode");
        let remedy = "Write an Intel IOMMU with intremap='on' eim='on'.";
        let flaw = Flaw::refused(RULE, what, remedy);
        found.push(flaw.at(vm.line("devices/iommu")));
    }
}

/// i440fx has no PCI Express, and host devices lose what they have of it.
/// It is what libvirt takes where no machine is named.
fn machine(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let machine = vm.domain.machine.as_deref().unwrap_or("pc");
    let is_conventional =
        machine == "pc" || (machine.starts_with("pc-") && !vm.domain.is_q35());
    if vm.domain.has_passthrough() && is_conventional {
        let what = format!("host devices on {machine}, without PCI Express");
        let flaw = Flaw::slow("machine-type", what, "Write machine='q35'.");
        found.push(flaw.at(vm.line("os/type")));
    }
}

fn is_on(iommu: &IommuDevice, setting: &str) -> bool {
    let driver = &iommu.driver;
    driver.iter().any(|(name, value)| name == setting && value == "on")
}
