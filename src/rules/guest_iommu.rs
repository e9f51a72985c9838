//! Gives the guest an IOMMU where it needs one, and completes one that it has.
//!
//! A guest needs it to pass devices on to guests of its own, to drive them
//! from user space, or to interrupt more than 255 vCPUs. Everywhere else it
//! only costs: QEMU traps each mapping that the guest makes. So it is added
//! where the policy says `on` or the vCPUs ask for it, and never otherwise.
//! Under `off` nothing is added and one that is there is advised against, not
//! removed: the guest may be set up for it. What keeps such a guest from
//! starting is mended in any case.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict, at};
use crate::base::Bytes;
use crate::model::domain::IommuDevice;
use crate::model::policy::{GuestIommu, Level};

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-iommu",
    group: Group::GuestIo,
    why: "Nested passthrough and more than 255 vCPUs need an IOMMU in the \
          guest.",
    hurts: "Each mapping that the guest makes and unmakes traps to QEMU; the \
            guest needs intel_iommu=on iommu=pt to stay fast, and each \
            passed-through device locks the guest's memory once more.",
    folklore: "The recipe of the guides lacks eim and <ioapic \
               driver='qemu'/>; libvirt refuses interrupt remapping without \
               the latter, or, if recent, adds it. The guest's vmx flag and \
               iommu=pt on the host have nothing to do with it.",
    sources: &[
        "libvirt formatdomain: IOMMU devices, Hypervisor features (ioapic)",
        "QEMU wiki: Features/VT-d",
        "QEMU hw/i386/intel_iommu.c; commit 'intel_iommu: Set default \
         aw_bits to 48 starting from QEMU 9.2'",
        "Linux Documentation/arch/x86/iommu.rst",
    ],
    level: Level::Plan,
    owns: &["/domain/devices/iommu", "/domain/features/ioapic"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let Some(own) = &cx.domain.devices.iommu else {
        return absent(cx);
    };
    if own.model == "intel" {
        return if cx.domain.is_q35() {
            complete(cx, own)
        } else {
            Verdict::Advise(vec![
                "libvirt refuses an intel IOMMU on a machine other than q35: \
                 remove it, or see machine-type"
                    .into(),
            ])
        };
    }
    if cx.domain.vcpus > Context::PLAIN_APIC_IDS && cx.domain.is_x86_64() {
        return Verdict::Advise(vec![format!(
            "{} vCPUs need interrupt remapping with eim, which a {} IOMMU \
             does not have: replace it by an intel one",
            cx.domain.vcpus, own.model
        )]);
    }
    if cx.policy.iommu.guest == GuestIommu::Off {
        return Verdict::Advise(vec![against(&own.model)]);
    }
    Verdict::Satisfied(format!("the guest has a {} IOMMU", own.model))
}

fn against(model: &str) -> String {
    format!(
        "the policy says iommu.guest = off, and the guest has a {model} \
         IOMMU: remove it if nothing in the guest uses it"
    )
}

/// Decides for a guest without an IOMMU.
fn absent(cx: &Context<'_>) -> Verdict {
    let many = cx.domain.vcpus > Context::PLAIN_APIC_IDS;
    if !cx.domain.is_x86_64() {
        return Verdict::NotApplicable("the recipe is for x86");
    }
    if !cx.needs_guest_iommu() {
        return if many {
            Verdict::Advise(vec![format!(
                "{} vCPUs need an IOMMU in the guest, which the policy \
                 forbids; libvirt 11.3 adds one by itself",
                cx.domain.vcpus
            )])
        } else {
            Verdict::NotApplicable("neither policy nor vCPUs ask for one")
        };
    }
    if !cx.domain.is_q35() {
        return Verdict::Advise(vec![
            "an IOMMU for the guest needs machine type q35: see machine-type"
                .into(),
        ]);
    }
    if let Some(models) = models(cx).filter(|m| !m.iter().any(|m| m == "intel"))
    {
        let models = models.join(", ");
        return Verdict::Advise(vec![format!(
            "this QEMU has no intel IOMMU (it has: {models})"
        )]);
    }
    let because = if many {
        format!("{} vCPUs cannot be interrupted without it", cx.domain.vcpus)
    } else {
        "the policy says iommu.guest = on".to_owned()
    };
    let target = at("devices/iommu").attribute("model");
    let mut add = Edit::set(target, "intel", because);
    add.trade = trade(cx);
    let mut edits = vec![add];
    edits.extend(driver(cx, &IommuDevice::default()));
    Verdict::Change { edits, advice: advice(cx) }
}

/// Completes an intel IOMMU that is there.
fn complete(cx: &Context<'_>, own: &IommuDevice) -> Verdict {
    let edits = driver(cx, own);
    let off = cx.policy.iommu.guest == GuestIommu::Off;
    let advice = if off { vec![against("intel")] } else { Vec::new() };
    match (edits.is_empty(), off) {
        (false, _) => Verdict::Change { edits, advice },
        (true, true) => Verdict::Advise(advice),
        (true, false) => {
            Verdict::Satisfied("the guest's IOMMU is complete".into())
        }
    }
}

/// Returns what is missing of the recipe: all of it where the policy asks
/// for the IOMMU, else what keeps the guest from starting.
fn driver(cx: &Context<'_>, own: &IommuDevice) -> Vec<Edit> {
    let value = |name: &str| {
        let found = own.driver.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let on = |name| value(name) == Some("on");
    let wanted = cx.policy.iommu.guest == GuestIommu::On;
    let many = cx.domain.vcpus > Context::PLAIN_APIC_IDS;
    let eim = wanted || many || on("eim");
    let intremap = eim || on("intremap");
    let passes = cx.domain.has_passthrough();
    let recipe = [
        (
            "intremap",
            "on",
            eim && !on("intremap"),
            "the guest's own guests and eim need interrupt remapping",
        ),
        (
            "caching_mode",
            "on",
            (wanted || passes) && !on("caching_mode"),
            if passes {
                "QEMU refuses to pass devices through behind an IOMMU without"
            } else {
                "QEMU will not plug in a host device later without"
            },
        ),
        (
            "eim",
            "on",
            (wanted || many) && !on("eim"),
            "lets an interrupt name any vCPU, those beyond 255 too",
        ),
        (
            "iotlb",
            "on",
            wanted && value("iotlb").is_none(),
            "lets devices with ATS keep translations; others ignore it",
        ),
        (
            "aw_bits",
            "48",
            wanted && value("aw_bits").is_none(),
            "39 bits, the default of machine types before 9.2, end at 512 GiB",
        ),
    ];
    let path = || at("devices/iommu").child("driver");
    let mut edits: Vec<Edit> = recipe
        .into_iter()
        .filter(|(_, _, missing, _)| *missing)
        .map(|(name, to, _, why)| Edit::set(path().attribute(name), to, why))
        .collect();
    if intremap && cx.domain.feature("ioapic@driver") != Some("qemu") {
        edits.push(Edit::set(
            at("features/ioapic").attribute("driver"),
            "qemu",
            "interrupt remapping needs the I/O APIC in QEMU (split irqchip)",
        ));
    }
    edits
}

/// Returns the IOMMU models of this VM's QEMU, where it tells.
fn models<'a>(cx: &Context<'a>) -> Option<&'a [String]> {
    let hypervisor = cx.facts.hypervisor.value()?;
    let domains = hypervisor.domains.get(&cx.domain.virt_type)?;
    domains.value()?.iommu_models.as_deref()
}

fn trade(cx: &Context<'_>) -> Option<String> {
    let devices = cx.domain.devices.hostdevs.len() as u64;
    let ram = cx.domain.memory.total;
    (devices > 1).then(|| {
        let locked = Bytes(ram.0.saturating_mul(devices));
        format!("QEMU may lock {locked} of the host: {ram} for each device")
    })
}

fn advice(cx: &Context<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    let virtio = |model: &Option<String>| {
        model.as_deref().is_some_and(|model| model.starts_with("virtio"))
    };
    if cx.domain.devices.interfaces.iter().any(|i| virtio(&i.model)) {
        advice.push(
            "virtio devices bypass the guest's IOMMU unless their <driver> \
             says iommu='on' ats='on'; a nested guest cannot have them \
             before"
                .into(),
        );
    }
    if cx.domain.has_passthrough() && cx.policy.iommu.guest == GuestIommu::On {
        advice.push(
            "if QEMU says that aw-bits 48 is more than the host's, the \
             host's IOMMU has three levels: set aw_bits='39'"
                .into(),
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::domain::Interface;
    use crate::model::facts::{CpuCapabilities, HypervisorFacts};
    use crate::rules::fixture::Case;

    const IOAPIC: &str = "/domain/features/ioapic/@driver = qemu";

    fn own(case: &mut Case, driver: &[(&str, &str)]) {
        let text = |(k, v): &(&str, &str)| ((*k).into(), (*v).into());
        case.domain.devices.iommu = Some(IommuDevice {
            model: "intel".into(),
            driver: driver.iter().map(text).collect(),
        });
    }

    fn set(name: &str, value: &str) -> String {
        format!("/domain/devices/iommu/driver/@{name} = {value}")
    }

    #[test]
    fn none_is_added_unasked() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", Some(0));
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }

    #[test]
    fn trap_23_the_whole_recipe() {
        for virt_type in ["kvm", "qemu"] {
            let mut case = Case::plain();
            case.domain.virt_type = virt_type.into();
            case.policy.iommu.guest = GuestIommu::On;
            let edits = [
                "/domain/devices/iommu/@model = intel".into(),
                set("intremap", "on"),
                set("caching_mode", "on"),
                set("eim", "on"),
                set("iotlb", "on"),
                set("aw_bits", "48"),
                IOAPIC.into(),
            ];
            assert_eq!(case.changes(&RULE), edits);
            own(
                &mut case,
                &[
                    ("intremap", "on"),
                    ("caching_mode", "on"),
                    ("eim", "on"),
                    ("iotlb", "off"),
                    ("aw_bits", "39"),
                ],
            );
            assert_eq!(case.changes(&RULE), [IOAPIC]);
            let ioapic = ("ioapic@driver".into(), "qemu".into());
            case.domain.features.extend([ioapic]);
            assert!(case.satisfied(&RULE), "the user's own widths stay");
        }
    }

    #[test]
    fn trap_23_many_vcpus_need_eim() {
        let mut case = Case::plain();
        case.domain.vcpus = 255;
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        case.domain.vcpus = 256;
        let eim = [set("intremap", "on"), set("eim", "on"), IOAPIC.into()];
        assert_eq!(case.changes(&RULE)[1..], eim);
        own(&mut case, &[]);
        assert_eq!(case.changes(&RULE), eim);
        case.domain.devices.iommu.as_mut().unwrap().model = "virtio".into();
        assert!(case.said(&RULE).contains("eim"));
        case.domain.devices.iommu = None;
        case.policy.iommu.guest = GuestIommu::Off;
        assert!(case.said(&RULE).contains("forbids"));
    }

    #[test]
    fn trap_23_only_on_q35() {
        let mut case = Case::plain();
        case.policy.iommu.guest = GuestIommu::On;
        case.domain.machine = Some("pc-i440fx-9.2".into());
        assert!(case.said(&RULE).contains("q35"));
        own(&mut case, &[]);
        assert!(case.said(&RULE).contains("q35"));
    }

    #[test]
    fn trap_24_devices_need_caching_mode() {
        let mut case = Case::plain();
        own(&mut case, &[]);
        assert!(case.satisfied(&RULE));
        case.pass("0000:c1:00.2", Some(0));
        let mended = [set("caching_mode", "on")];
        assert_eq!(case.changes(&RULE), mended);
        case.policy.iommu.guest = GuestIommu::Off;
        assert_eq!(case.changes(&RULE), mended, "else it does not start");
        assert!(case.said(&RULE).contains("off"));
    }

    #[test]
    fn trap_23_eim_needs_remapping_and_remapping_the_ioapic() {
        let mut case = Case::plain();
        own(&mut case, &[("eim", "on"), ("intremap", "off")]);
        let mended = [set("intremap", "on"), IOAPIC.into()];
        assert_eq!(case.changes(&RULE), mended);
    }

    #[test]
    fn traps_21_25_26_are_said() {
        let mut case = Case::plain();
        case.policy.iommu.guest = GuestIommu::On;
        case.pass("0000:c1:00.2", Some(0));
        case.pass("0000:c1:00.3", Some(0));
        let model = Some("virtio".into());
        let interface = Interface { kind: "bridge".into(), model };
        case.domain.devices.interfaces.push(interface);
        let advice = case.said(&RULE);
        for said in ["ats='on'", "aw_bits='39'"] {
            assert!(advice.contains(said), "{advice}");
        }
        let Verdict::Change { edits, .. } = case.verdict(&RULE) else {
            panic!()
        };
        let trade = edits[0].trade.as_deref().unwrap();
        assert!(trade.contains("16 GiB"), "{trade}");
    }

    #[test]
    fn what_qemu_lacks_is_not_planned() {
        let mut case = Case::plain();
        case.policy.iommu.guest = GuestIommu::On;
        let capabilities = |models| CpuCapabilities {
            cpu_modes: Vec::new(),
            machine: "q35".into(),
            iommu_models: models,
            max_vcpus: None,
        };
        let mut tell = |models| {
            let domains = Fact::known(capabilities(models), "libvirt");
            case.facts.hypervisor = Fact::known(
                HypervisorFacts {
                    libvirt: Fact::unknown("case"),
                    qemu: Fact::unknown("case"),
                    domains: [("kvm".into(), domains)].into(),
                },
                "libvirt",
            );
            matches!(case.verdict(&RULE), Verdict::Change { .. })
        };
        assert!(tell(None), "not told is not forbidden");
        assert!(tell(Some(vec!["intel".into()])));
        assert!(!tell(Some(vec!["smmuv3".into()])));
    }
}
