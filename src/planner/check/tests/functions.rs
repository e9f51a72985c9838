//! Functions of the host that more than one has.

use super::fixture::{Case, Error, OTHER};
use crate::base::PciAddress;
use crate::model::Fact;
use crate::model::facts::Facts;

const RULE: &str = "hostdev-vf";

/// Puts functions of the host in one IOMMU group.
fn group(facts: &mut Facts, addresses: &[&str]) {
    let Fact::Known { value, .. } = &mut facts.pci else { panic!("unknown") };
    for text in addresses {
        let address: PciAddress = text.parse().unwrap();
        let function = value.iter_mut().find(|f| f.address == address);
        function.unwrap().iommu_group = Fact::known(Some(7), "made up");
    }
}

/// The other VM with a function of its own, near it.
fn other(bus: &str, function: u8) -> String {
    OTHER.replace(
        "</domain>",
        &format!(
            "<devices><hostdev type='pci'><source><address bus='{bus}' \
             slot='0' function='{function}'/></source></hostdev>\
             <memballoon model='none'/></devices></domain>"
        ),
    )
}

#[test]
fn a_function_is_one_vms() {
    let says = "vm2 has 0000:c1:00.2 too";
    let shared = Case::good().neighbour(&other("0xc1", 2));
    shared.finds(RULE, Error, says, "<hostdev");
    assert!(shared.findings()[0].refused, "libvirt does not start the second");
    let both = Case::good().beside(&other("0xc1", 2)).findings();
    assert_eq!(both.iter().filter(|f| f.rule == RULE).count(), 2, "each");
}

#[test]
fn a_function_is_there_once() {
    let (start, end) = ("<hostdev", "</hostdev>");
    let text = super::fixture::GOOD;
    let from = text.find(start).unwrap();
    let to = text.find(end).unwrap() + end.len();
    let again = format!("{}{end}", &text[from..to - end.len()]);
    let again = again.replace(
        "<address type='pci' bus='0x02' slot='0x00' function='0x0'/>",
        "<address type='pci' bus='0x02' slot='0x01' function='0x0'/>",
    );
    let twice = Case::good().edit(end, &format!("{end}\n{again}"));
    let found = twice.findings();
    assert!(found.iter().any(|f| f.what == "0000:c1:00.2 is there twice"));
}

#[test]
fn a_group_is_one_vms() {
    let members = ["0000:41:00.0", "0000:c1:00.2"];
    let case = Case::good()
        .neighbour(&other("0x41", 0))
        .facts(|facts| group(facts, &members));
    let says = "vm2 has 0000:41:00.0, which is in IOMMU group 7";
    case.finds(RULE, Error, says, "<hostdev");
}

#[test]
fn the_host_drives_nothing_in_a_vms_group() {
    let members = ["0000:41:00.0", "0000:c1:00.2"];
    let driven = |driver: Option<&str>| {
        let driver = driver.map(str::to_owned);
        Case::good().facts(|facts| {
            group(facts, &members);
            let Fact::Known { value, .. } = &mut facts.pci else { return };
            value[0].driver = Fact::known(driver.clone(), "made up");
        })
    };
    let says = "with 0000:41:00.0, which nvme drives";
    driven(Some("nvme")).finds(RULE, Error, says, "<hostdev");
    driven(Some("vfio-pci")).silent();
    driven(None).silent();
}
