//! The guest's IOMMU, as Proxmox has it: `viommu=intel` brings interrupt
//! remapping and caching mode with it.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    if let Some(own) = &cx.domain.devices.iommu {
        let seen = format!("the guest has a {} IOMMU", own.model);
        return Verdict::Satisfied(seen);
    }
    if !cx.needs_guest_iommu() {
        return Verdict::NotApplicable("neither policy nor vCPUs ask for one");
    }
    if !cx.domain.is_q35() {
        return Verdict::Advise(vec![
            "an IOMMU for the guest needs machine type q35: see machine-type"
                .to_owned(),
        ]);
    }
    let because = match cx.domain.vcpus > Context::PLAIN_APIC_IDS {
        true => "so many vCPUs cannot be interrupted without it",
        false => "the policy says iommu.guest = on",
    };
    let mut edit = Edit::set(key("machine/viommu"), "intel", because);
    edit.trade = super::trade(cx);
    Verdict::Change { edits: vec![edit], advice: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;
    use crate::model::policy::GuestIommu;

    #[test]
    fn an_iommu_only_where_it_is_asked_for() {
        let mut case = Case::plain().proxmox();
        assert!(case.edits(&RULE).is_empty());
        case.policy.iommu.guest = GuestIommu::On;
        assert_eq!(case.edits(&RULE), ["machine/viommu = intel"]);
        case.domain.machine = Some("pc".to_owned());
        assert!(case.advice(&RULE)[0].contains("machine-type"));
    }
}
