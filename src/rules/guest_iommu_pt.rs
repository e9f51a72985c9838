//! Says what the guest's kernel needs to be told of its own IOMMU.
//!
//! vmtune changes nothing inside a guest. A guest with an IOMMU that maps
//! each transfer traps to QEMU each time, and each mapping is one more entry
//! that VFIO keeps; with `iommu=pt` only devices that the guest gives away
//! are mapped.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-iommu-pt",
    group: Group::GuestIo,
    why: "A guest whose own devices go through its IOMMU traps to QEMU at \
          each transfer.",
    hurts: "Devices that the guest keeps reach all of the guest's memory, as \
            they do without an IOMMU.",
    folklore: "Guides set iommu=pt on the host to have passthrough within \
               guests. It is the guest's kernel that needs it, besides \
               intel_iommu=on, without which the guest does not use its \
               IOMMU at all.",
    sources: &[
        "QEMU wiki: Features/VT-d",
        "Linux Documentation/admin-guide/kernel-parameters: iommu=pt",
        "Linux drivers/vfio/vfio_iommu_type1.c: dma_entry_limit",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let own = cx.domain.devices.iommu.as_ref();
    let added = own.is_none() && cx.needs_guest_iommu() && cx.domain.is_q35();
    let model = match own {
        Some(own) => own.model.as_str(),
        None if added => "intel",
        None => return Verdict::NotApplicable("the guest has no IOMMU"),
    };
    let arguments = match model {
        "intel" => "intel_iommu=on iommu=pt",
        "smmuv3" => "iommu.passthrough=1",
        _ => "iommu=pt",
    };
    let mut said = format!(
        "in the guest, boot with {arguments}: without it each transfer of \
         its own devices maps and traps"
    );
    if cx.domain.has_passthrough() {
        const LIMIT: &str = "vfio_iommu_type1.dma_entry_limit";
        let limit = cx.facts.kernel.module_parameters.get(LIMIT);
        let limit = limit.and_then(|fact| fact.value());
        let limit = limit.map_or_else(
            || "65535 unless set".to_owned(),
            |limit| limit.clone(),
        );
        said += &format!(
            ", and mappings end at {LIMIT} of the host ({limit}): the device \
             then fails with \"No space left on device\""
        );
    }
    Verdict::Advise(vec![said])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::domain::IommuDevice;
    use crate::model::policy::GuestIommu;
    use crate::rules::fixture::Case;

    #[test]
    fn a_guest_with_an_iommu_is_told() {
        let mut case = Case::plain();
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.policy.iommu.guest = GuestIommu::On;
        assert!(case.said(&RULE).contains("intel_iommu=on iommu=pt"));
        assert!(!case.said(&RULE).contains("dma_entry_limit"));
        case.pass("0000:c1:00.2", Some(0));
        assert!(case.said(&RULE).contains("(65535 unless set)"));
        let model = "smmuv3".to_owned();
        case.domain.devices.iommu =
            Some(IommuDevice { model, driver: Vec::new() });
        assert!(case.said(&RULE).contains("iommu.passthrough=1"));
    }
}
