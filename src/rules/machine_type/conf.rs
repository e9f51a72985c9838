//! The machine and the slots of passed-through functions, as Proxmox has
//! them: `machine: q35` and `hostpciN: …,pcie=1`. Without pcie a function is
//! on a conventional bus, and the guest cannot reach its PCI Express
//! registers.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::base::PciAddress;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    if !cx.domain.is_x86_64() {
        return Verdict::NotApplicable("only x86 has the choice");
    }
    let devices = &cx.domain.devices;
    // What the VM is given now has its slot from hostdev-vf.
    let is_new = |source: PciAddress| {
        let mut nics = cx.placement.nics.iter();
        cx.domain.is_q35() && nics.any(|nic| nic.added() == Some(source))
    };
    let own = devices.hostdevs.iter().filter(|one| !is_new(one.source));
    let own = own.map(|hostdev| hostdev.position);
    let mapped = devices.mapped.iter().map(|device| device.position);
    let mut positions: Vec<_> = own.chain(mapped).collect();
    positions.sort_unstable();
    positions.dedup();
    let mut edits = Vec::new();
    let needs = !positions.is_empty() || cx.needs_guest_iommu();
    if needs && !cx.domain.is_q35() {
        let because = "it has PCI Express and an IOMMU for the guest; make \
                       new guests so, for the devices of an installed one get \
                       other addresses";
        edits.push(Edit::set(key("machine/type"), "q35", because));
    }
    for position in positions {
        let because = "the guest sees the function's PCI Express registers \
                       (read request size, ATS); it gets another address";
        let place = key(&format!("hostpci{position}/pcie"));
        edits.push(Edit::set(place, "1", because));
    }
    Verdict::of(edits, Vec::new(), "the machine has what is asked of it")
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;

    #[test]
    fn functions_ask_for_q35_and_pcie() {
        let mut case = Case::plain().proxmox();
        assert!(case.edits(&RULE).is_empty());
        case.pass("0000:c1:00.2", Some(0));
        case.domain.devices.hostdevs[0].position = 3;
        assert_eq!(case.edits(&RULE), ["hostpci3/pcie = 1"]);
        case.domain.machine = Some("pc".to_owned());
        let both = ["machine/type = q35", "hostpci3/pcie = 1"];
        assert_eq!(case.edits(&RULE), both);
    }
}
