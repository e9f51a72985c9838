//! A host with a ConnectX-6 Lx of two ports, for the tests of rules about
//! network cards.

use super::host_fixture::HostCase;
use crate::model::Fact;
use crate::model::facts::{Facts, Nic};

/// The host of [`HostCase`] with the card, and a policy whose `[nic]` is this.
/// What the card has now is what its guide made; nothing is of vmtune's.
pub(super) fn case(nic: &str) -> HostCase {
    let mut case = HostCase::new();
    let text = include_str!("../../tests/hosts/connectx-ovs.json");
    let card: Facts = serde_json::from_str(text).unwrap();
    case.facts.pci = card.pci;
    case.facts.nics = card.nics;
    case.facts.services.programs = card.services.programs;
    for (place, fact) in card.settings {
        if place.as_str().contains("vmtune-nic")
            || place.as_str().contains("vmtune-representors")
            || place.is_below("/etc/vmtune")
            || place.as_str().contains("multi-user")
        {
            case.facts.settings.insert(place, fact);
        }
    }
    let ids: Vec<_> = super::RULES.iter().map(|rule| rule.id).collect();
    let text = format!("[nic]\n{nic}\n");
    case.policy = crate::policy::read(&text, "a test", &ids).unwrap();
    case
}

/// Changes a card of the host.
pub(super) fn nic(case: &mut HostCase, n: usize, change: impl Fn(&mut Nic)) {
    let Fact::Known { value, .. } = &mut case.facts.nics else {
        panic!("cards are not known");
    };
    change(&mut value[n]);
}
