//! Says where a network card is slower than it could be.

use super::nic;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::Fact;
use crate::model::facts::PcieLink;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "pcie-link",
    group: Group::Network,
    why: "A card in a slot with fewer or slower lanes than its own cannot \
          send and receive at its rate.",
    hurts: "A card of which less than all is needed may do well in such a \
            slot.",
    folklore: "",
    sources: &[
        "the kernel's Documentation/ABI/testing/sysfs-bus-pci \
         (current_link_speed, max_link_speed)",
        "PCI Express Base Specification, 7.5.3.8 Link Status Register",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    if cx.policy.nic.functions.is_empty() {
        return Verdict::NotApplicable("the policy names no network card");
    }
    // What is wrong with the names is said by another rule.
    let Ok(cards) = nic::cards(cx.facts, cx.policy) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let mut advice = Vec::new();
    for card in &cards {
        let PcieLink { speed, max_speed, width, max_width, .. } =
            &card.nic.pcie;
        let link = |speed: &Fact<String>, width: &Fact<u32>| {
            Some(format!("{} x{}", speed.value()?, width.value()?))
        };
        let both = (link(speed, width), link(max_speed, max_width));
        let (Some(now), Some(most)) = both else {
            let whys = [speed.reason(), max_speed.reason(), width.reason()];
            let why = whys.into_iter().flatten().next().unwrap_or_default();
            let why = why.to_owned();
            return Verdict::Unknown { fact: "the link of a card", why };
        };
        if now != most {
            advice.push(format!(
                "{} runs at {now} and could run at {most}: look for a slot \
                 with as many and as fast lanes, and for a limit in the \
                 machine's firmware",
                card.nic.function
            ));
        }
    }
    Verdict::of(Vec::new(), advice, "the card has the link that it can have")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn a_slower_slot_is_named() {
        let mut case = case("functions = ['0000:81:00.0']");
        let said = case.advice(&RULE).remove(0);
        assert!(said.contains("8.0 GT/s PCIe x8 and could run at 16.0"));
        nic(&mut case, 0, |nic| {
            nic.pcie.speed = nic.pcie.max_speed.clone();
        });
        assert!(case.satisfied(&RULE));
        nic(&mut case, 0, |nic| nic.pcie.width = Fact::unknown("virtual"));
        assert_eq!(case.unknown(&RULE), Some("the link of a card"));
    }
}
