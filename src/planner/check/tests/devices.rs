//! Faulty IOMMUs, machines and places of devices.

use super::fixture::{Case, Error, OTHER, Warning, unknown};
use crate::model::policy::DeviceLocality;

const RULE: &str = "guest-iommu";

/// The other VM with devices of its own.
fn with(devices: &str) -> Case {
    let devices = format!("<devices>\n{devices}\n</devices></domain>");
    Case::of(OTHER).edit("</domain>", &devices)
}

fn hostdev(bus: &str) -> Case {
    with(&format!(
        "<hostdev type='pci'><source><address bus='{bus}' slot='0' \
         function='{}'/></source></hostdev>\n<memballoon model='none'/>",
        if bus == "0xc1" { 2 } else { 0 },
    ))
}

#[test]
fn trap_23_an_intel_iommu_is_for_q35() {
    let case =
        with("<iommu model='intel'/>").edit("machine='q35'", "machine='pc'");
    case.finds(RULE, Error, "other than q35", "<iommu");
}

#[test]
fn trap_23_interrupt_remapping_is_qemus() {
    let case = Case::good().edit("driver='qemu'", "driver='kvm'");
    case.finds(RULE, Error, "QEMU's own ioapic", "<ioapic");
    let case = Case::good().edit("<ioapic driver='qemu'/>", "");
    case.finds(RULE, Error, "QEMU's own ioapic", "<iommu");
}

#[test]
fn trap_23_extended_mode_needs_remapping() {
    let case = Case::good().edit("intremap='on'", "intremap='off'");
    case.finds(RULE, Error, "without interrupt remapping", "<iommu");
}

#[test]
fn trap_23_many_vcpus_need_extended_mode() {
    let many = |iommu: &str| {
        with(iommu)
            .edit("<vcpu>2", "<vcpu>256")
            .edit("cores='1' threads='2'", "cores='128' threads='2'")
            .policy(|policy| {
                let shared = crate::model::policy::PlacementMode::Shared;
                policy.cpu.placement = shared;
                let off = crate::model::policy::Level::Off;
                policy.rules.insert("vcpu-topology".to_owned(), off);
            })
    };
    let says = "256 vCPUs without extended";
    many("").finds(RULE, Error, says, "");
    many("<iommu model='virtio'/>").finds(RULE, Error, says, "<iommu");
    let full = "<iommu model='intel'><driver intremap='on' eim='on'/></iommu>";
    let full = many(full)
        .edit("<os>", "<features><ioapic driver='qemu'/></features><os>");
    full.silent();
}

#[test]
fn trap_24_host_devices_need_caching_mode() {
    let case = Case::good().edit("caching_mode='on' ", "");
    case.finds(RULE, Error, "without caching mode", "<iommu");
}

#[test]
fn trap_33_host_devices_on_an_old_machine() {
    hostdev("0xc1").silent();
    for machine in ["machine='pc'", "machine='pc-i440fx-9.2'", ""] {
        let case = hostdev("0xc1").edit("machine='q35'", machine);
        case.finds("machine-type", Warning, "PCI Express", "<os>");
    }
}

#[test]
fn devices_are_near() {
    let far = || hostdev("0x41");
    let says = "vCPUs on node 1, 0000:41:00.0 is at node 0";
    far().finds("pci-numa", Warning, says, "<hostdev");
    let required =
        far().policy(|p| p.devices.locality = DeviceLocality::Require);
    required.finds("pci-numa", Error, says, "<hostdev");
    far().policy(|p| p.devices.locality = DeviceLocality::Ignore).silent();
    far().facts(|f| f.pci = unknown()).silent();
}

#[test]
fn trap_35_a_device_without_a_node_is_anywhere() {
    let case = hostdev("0x41").facts(|facts| {
        let crate::model::Fact::Known { value, .. } = &mut facts.pci else {
            panic!("functions")
        };
        value[0].nodes = unknown();
    });
    case.policy(|p| p.devices.locality = DeviceLocality::Require).silent();
}

#[test]
fn expander_buses_tell_the_truth() {
    let case = Case::good().edit("<node>1</node>", "<node>0</node>");
    let says = "at cell 0, on node 0; it is at node 1";
    case.finds("pci-numa", Error, says, "<hostdev");
    let case = Case::good().edit("<node>1</node>", "<node>5</node>");
    case.finds("pci-numa", Error, "of cell 5", "<controller");
}

#[test]
fn buses_in_a_loop_end() {
    let case = Case::good().edit(
        "<target busNr='200'><node>1</node></target>",
        "<address bus='0x02' slot='0' function='0' type='pci'/>",
    );
    case.silent();
}
