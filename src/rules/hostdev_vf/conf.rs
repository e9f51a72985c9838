//! Virtual functions, as Proxmox has them: `hostpciN: ADDRESS,pcie=1`.
//!
//! Without `pcie=1` a function is on a conventional bus, and the guest cannot
//! reach its PCI Express registers; only a machine q35 has the slots. A new
//! function gets one at once; those that the VM has already, and a machine
//! that is not q35, are machine-type's. Proxmox sets no MAC address.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::model::Fact;

/// How many functions Proxmox passes to a VM.
const MOST: usize = 16;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let (mut edits, mut advice) = (Vec::new(), Vec::new());
    let nics = &cx.placement.nics;
    if let (Fact::Unknown { unknown }, false) = (&cx.facts.pci, nics.is_empty())
    {
        return Verdict::Unknown {
            fact: "PCI functions",
            why: unknown.clone(),
        };
    }
    // Where the rule only advises, the VM does not count them yet.
    let devices = cx.domain.devices.with_nics(nics);
    for nic in nics {
        let mut all = devices.hostdevs.iter();
        let device = all.find(|device| nic.function == Some(device.source));
        let why = &nic.because;
        match device {
            None => advice.push(format!("no function can be attached: {why}")),
            Some(device) if !nic.attached && device.position >= MOST => {
                advice.push(format!(
                    "Proxmox passes no more than {MOST} functions to a VM, \
                     and {} would be one more",
                    device.source
                ));
            }
            Some(device) if !nic.attached => {
                let place = key(&format!("hostpci{}/host", device.position));
                let source = device.source.to_string();
                edits.push(Edit::set(place, source, why.clone()));
                let place = key(&format!("hostpci{}/pcie", device.position));
                let because = "the guest sees the function's PCI Express \
                               registers (read request size, ATS)";
                let slot = Edit::set(place, "1", because);
                edits.extend(cx.domain.is_q35().then_some(slot));
            }
            Some(_) => {}
        }
        if let (Some(mac), Some(function)) = (nic.mac, nic.function) {
            advice.push(format!(
                "Proxmox sets no MAC address of a function: {mac} is for the \
                 host to set at {function}, before the VM starts (vf-identity)"
            ));
        }
    }
    if nics.is_empty() {
        return Verdict::NotApplicable("the policy asks for no function");
    }
    Verdict::of(edits, advice, "the functions are attached")
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::super::machine_type;
    use super::super::RULE;
    use crate::model::NicPlacement;

    /// A VM that has `hostpci0` and is given one more function.
    fn case(function: Option<&str>) -> Case {
        let mut case = Case::plain().proxmox();
        case.pass("0000:c1:00.2", Some(0));
        case.domain.devices.hostdevs[0].position = 0;
        case.domain.devices.taken_slots = Some([0].into());
        case.placement.nics = vec![NicPlacement {
            function: function.map(|one| one.parse().unwrap()),
            attached: false,
            is_interface: true,
            mac: "52:54:00:12:34:56".parse().ok(),
            because: "it is near".to_owned(),
        }];
        case
    }

    #[test]
    fn a_new_function_has_the_next_key_and_a_slot() {
        let mut case = case(Some("0000:c1:00.3"));
        assert_eq!(
            case.edits(&RULE),
            ["hostpci1/host = 0000:c1:00.3", "hostpci1/pcie = 1"]
        );
        assert!(case.advice(&RULE)[0].contains("52:54:00:12:34:56"));
        // What the VM had before is another rule's.
        let nics = case.placement.nics.clone();
        case.domain.devices = case.domain.devices.with_nics(&nics);
        assert_eq!(case.edits(&machine_type::RULE), ["hostpci0/pcie = 1"]);
        case.domain.machine = Some("pc".to_owned());
        assert_eq!(case.edits(&RULE), ["hostpci1/host = 0000:c1:00.3"]);
        let both =
            ["machine/type = q35", "hostpci0/pcie = 1", "hostpci1/pcie = 1"];
        assert_eq!(case.edits(&machine_type::RULE), both);
    }

    #[test]
    fn what_cannot_be_attached_is_said() {
        let none = case(None);
        assert!(none.edits(&RULE).is_empty());
        assert!(none.advice(&RULE)[0].contains("it is near"));
        let mut full = case(Some("0000:c1:00.3"));
        full.domain.devices.taken_slots = Some((0..16).collect());
        assert!(full.edits(&RULE).is_empty());
        assert!(full.advice(&RULE)[0].contains("no more than 16"));
        full.placement.nics.clear();
        assert!(full.advice(&RULE).is_empty());
    }
}
