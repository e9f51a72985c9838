//! Says what a card's firmware must allow before it can have virtual
//! functions.
//!
//! How many there can be is read by the kernel when it finds the card. The
//! number is in the card's own memory: a program of its vendor writes it, and
//! the card heeds it when its firmware starts anew.

use super::nic::{self, Card};
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::facts::PciFunction;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "sriov-firmware",
    group: Group::Network,
    why: "A card has no more virtual functions than its own firmware allows, \
          whatever the machine's firmware and the kernel say.",
    hurts: "Each function that is allowed takes address space at each boot, \
            used or not; a machine that runs out of it may not start, or not \
            show the card.",
    folklore: "Guides switch SR-IOV on in the machine's firmware and take the \
               card's for granted. With SRIOV_EN off there is no \
               sriov_totalvfs, and a udev rule that asks for it never holds.",
    sources: &[
        "mstflint, mstconfig(1): SRIOV_EN, NUM_OF_VFS",
        "the kernel's Documentation/ABI/testing/sysfs-bus-pci \
         (sriov_totalvfs)",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let named = !cx.policy.nic.functions.is_empty();
    let Some(count) = cx.policy.nic.count.filter(|n| named && *n > 0) else {
        return Verdict::NotApplicable("the policy asks for no functions");
    };
    let Ok(cards) = nic::cards(cx.facts, cx.policy) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let said = cards.iter().filter_map(|card| lacks(cx, card, count));
    let said = said.collect();
    Verdict::of(Vec::new(), said, "the cards can have as many functions")
}

/// Says what to set where a card cannot have so many functions.
fn lacks(cx: &HostContext<'_>, card: &Card<'_>, count: u16) -> Option<String> {
    let function = card.nic.function;
    let has = match card.sriov {
        None => "no virtual functions".to_owned(),
        // What is not known is said by the rule that makes them.
        Some(sriov) => match sriov.total.value()? {
            total if u32::from(count) <= *total => return None,
            total => format!("{total} virtual functions"),
        },
    };
    let how = match is_mlx5(cx, card) {
        true => format!(
            "mstconfig -d {function} set SRIOV_EN=1 NUM_OF_VFS={count} (or \
             mlxconfig, with the same words), then start the machine anew; \
             look that its own firmware has SR-IOV on, and room for large \
             addresses (Above 4G Decoding)"
        ),
        false => "switch SR-IOV on in the firmware of the machine; what the \
                  card itself allows, its vendor's program sets"
            .to_owned(),
    };
    Some(format!("{function} can have {has}, and [nic] wants {count}: {how}"))
}

fn is_mlx5(cx: &HostContext<'_>, card: &Card<'_>) -> bool {
    let mut all = cx.facts.pci.value().into_iter().flatten();
    let own = all.find(|f: &&PciFunction| f.address == card.nic.function);
    let driver = own.and_then(|own| own.driver.value()?.as_deref());
    driver == Some("mlx5_core")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::host_fixture::HostCase;
    use crate::rules::nic_fixture::case;

    fn card(case: &mut HostCase) -> &mut PciFunction {
        let Fact::Known { value, .. } = &mut case.facts.pci else {
            panic!("not known")
        };
        let at = "0000:81:00.0".parse().unwrap();
        value.iter_mut().find(|f| f.address == at).unwrap()
    }

    #[test]
    fn a_number_that_the_card_does_not_allow_is_raised_in_it() {
        let few = case("functions = ['0000:81:00.0']\ncount = 8");
        assert!(few.satisfied(&RULE));
        let mut many = case("functions = ['0000:81:00.0']\ncount = 9");
        let said = many.advice(&RULE).remove(0);
        let start = "0000:81:00.0 can have 8 virtual functions, and [nic] \
                     wants 9: mstconfig -d 0000:81:00.0 set SRIOV_EN=1 \
                     NUM_OF_VFS=9 (";
        assert!(said.starts_with(start), "{said}");
        card(&mut many).sriov = None;
        let said = many.advice(&RULE).remove(0);
        assert!(said.contains("can have no virtual functions, and"), "{said}");
        // Another vendor's card takes other words.
        card(&mut many).driver = Fact::known(Some("ice".to_owned()), "x");
        let said = many.advice(&RULE).remove(0);
        assert!(said.contains("its vendor's program"), "{said}");
        assert!(!said.contains("mstconfig"), "{said}");
    }

    #[test]
    fn without_functions_to_make_nothing_is_said() {
        let case = case("functions = ['0000:81:00.0']\nmtu = 9000");
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
