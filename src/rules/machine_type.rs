//! Says when another machine type would serve the guest better.
//!
//! q35 has PCI Express, an IOMMU for the guest and expander buses; i440fx
//! has none of them. The type of an existing guest is never changed here:
//! its devices move to other addresses, so that interfaces get other names
//! and Windows asks for activation. Advice only.

pub(super) mod conf;

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::domain::{Controller, Hostdev};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "machine-type",
    group: Group::GuestIo,
    why: "Only q35 has PCI Express slots, a guest IOMMU and expander buses.",
    hurts: "In an installed guest a new machine type renames interfaces and \
            may need drivers before it boots.",
    folklore: "Guides say to use q35 and not that an installed guest may \
               not come up afterwards. l3-cache=on is default since machine \
               types of version 2.8.",
    sources: &[
        "QEMU docs/pcie.txt",
        "libvirt formatdomain: BIOS bootloader, Controllers",
        "QEMU hw/i386/pc.c, compatibility properties of version 2.7",
    ],
    level: Level::Advise,
    owns: &["/domain/os/type/@machine"],
    evaluate: Evaluate::Vm(evaluate),
};

/// The first version whose guests see a third-level cache.
const SHOWS_L3: (u32, u32) = (2, 8);

fn evaluate(cx: &Context<'_>) -> Verdict {
    if !cx.domain.is_x86_64() {
        return Verdict::NotApplicable("only x86 has the choice");
    }
    let Some(machine) = cx.domain.machine.as_deref() else {
        return Verdict::Unknown {
            fact: "machine type",
            why: "the definition leaves it to libvirt".into(),
        };
    };
    let mut advice = Vec::new();
    if machine == "pc" || machine.starts_with("pc-i440fx") {
        if cx.domain.has_passthrough() {
            advice.push(format!(
                "{machine} has no PCI Express: the guest sees its {} \
                 passed-through function(s) without the extended registers \
                 (read request size, ATS). Make new guests q35; an installed \
                 one gets new PCI addresses by the change",
                cx.domain.devices.hostdevs.len()
            ));
        }
        if cx.needs_guest_iommu() {
            advice
                .push(format!("{machine} has no IOMMU for the guest: q35 has"));
        }
    }
    if let Some((major, minor)) =
        version(machine).filter(|version| *version < SHOWS_L3)
    {
        advice.push(format!(
            "{machine} hides the third-level cache: types from {}.{} on \
             show it, {major}.{minor} does not",
            SHOWS_L3.0, SHOWS_L3.1
        ));
    }
    let devices = &cx.domain.devices;
    let hidden = devices
        .hostdevs
        .iter()
        .filter(|h| conventional(h, &devices.controllers));
    advice.extend(hidden.map(|hostdev| {
        format!(
            "{} is on a conventional PCI bus of the guest, which hides its \
             PCI Express registers: a pcie-root-port shows them",
            hostdev.source
        )
    }));
    if advice.is_empty() {
        return Verdict::Satisfied(format!(
            "{machine} has what is asked of it"
        ));
    }
    Verdict::Advise(advice)
}

/// Returns whether a device sits behind a bridge to conventional PCI, where
/// others on the machine have PCI Express.
fn conventional(hostdev: &Hostdev, controllers: &[Controller]) -> bool {
    const BRIDGES: [&str; 3] =
        ["pcie-to-pci-bridge", "dmi-to-pci-bridge", "pci-bridge"];
    let is_its = |c: &&Controller| {
        c.kind == "pci" && c.index == hostdev.guest_bus.map(u32::from)
    };
    let model = hostdev
        .guest_bus
        .and_then(|_| controllers.iter().find(is_its))
        .and_then(|controller| controller.model.as_deref());
    model.is_some_and(|model| BRIDGES.contains(&model))
}

/// Reads the version of QEMU's own types; distributions name theirs freely.
fn version(machine: &str) -> Option<(u32, u32)> {
    let own = ["pc-i440fx-", "pc-q35-"].iter();
    let text = own.filter_map(|prefix| machine.strip_prefix(prefix)).next()?;
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::GuestIommu;
    use crate::rules::fixture::Case;

    #[test]
    fn a_machine_that_does_what_is_asked_is_right() {
        let mut case = Case::plain();
        assert!(case.satisfied(&RULE));
        case.domain.machine = Some("pc-i440fx-9.2".into());
        assert!(case.satisfied(&RULE), "nothing asks for q35");
    }

    #[test]
    fn trap_23_only_q35_has_an_iommu() {
        let mut case = Case::plain();
        case.policy.iommu.guest = GuestIommu::On;
        assert!(case.satisfied(&RULE));
        case.domain.machine = Some("pc".into());
        assert!(case.said(&RULE).contains("no IOMMU"));
    }

    #[test]
    fn trap_33_devices_on_conventional_buses() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", None);
        case.domain.devices.hostdevs[0].guest_bus = Some(4);
        case.domain.devices.controllers = vec![Controller {
            kind: "pci".into(),
            index: Some(4),
            model: Some("pcie-to-pci-bridge".into()),
            node: None,
            bus_number: None,
            guest_bus: None,
            iothread: None,
        }];
        assert!(case.said(&RULE).contains("conventional PCI bus"));
        case.domain.machine = Some("pc-i440fx-9.2".into());
        assert!(case.said(&RULE).contains("no PCI Express"));
    }

    #[test]
    fn old_types_hide_the_cache() {
        let mut case = Case::plain();
        for (machine, old) in [
            ("pc-q35-2.7", true),
            ("pc-q35-2.12", false),
            ("pc-q35-4.0.1", false),
            ("pc-i440fx-xenial", false),
            ("pc-q35-rhel7.6.0", false),
        ] {
            case.domain.machine = Some(machine.into());
            assert_eq!(case.satisfied(&RULE), !old, "{machine}");
        }
    }
}
