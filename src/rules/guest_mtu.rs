//! Says what MTU the guest must give a function of its own.
//!
//! vmtune changes nothing inside a guest. A virtual function starts with an
//! MTU of 1500, whatever its card has; the card drops what is longer than its
//! own. RoCE takes the largest of 256, 512, 1024, 2048 and 4096 bytes that
//! fits the MTU with 96 bytes of headers.

use super::{Context, Evaluate, Group, Rule, Verdict, nic};
use crate::base::PciAddress;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-mtu",
    group: Group::GuestIo,
    why: "A function does not take over the MTU of its card: the guest sets \
          its own, or sends small packets.",
    hurts: "An MTU that some switch or peer on the way does not have loses \
            packets without a word.",
    folklore: "Guides set an MTU of 9000 on the bridge, and neither on the \
               card nor in the guest. Others say that RoCE needs 2152 or \
               9000: 2144 is enough for packets of 2048 bytes, 4192 for 4096, \
               and no MTU gives more than that.",
    sources: &[
        "Linux include/rdma/ib_addr.h, iboe_get_mtu; ib_pack.h: 40 bytes of \
         GRH, 8 of UDP, 12 of BTH, 4 of XRC, 28 of AtomicETH, 4 of ICRC",
        "ip-link(8): mtu; systemd.link(5): MTUBytes=",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let functions = cx.network_functions();
    if functions.is_empty() {
        return Verdict::NotApplicable("no network card is passed through");
    }
    let rdma = cx.rdma_functions();
    let name = |function: &PciAddress| match mtu_of_card(cx, *function) {
        Some(mtu) => format!("{function} (its card has {mtu})"),
        None => function.to_string(),
    };
    let names: Vec<_> = functions.iter().map(name).collect();
    let mut said = format!(
        "in the guest, set the MTU of {}: it starts at 1500, and may be that \
         of its card at most, and of each switch and peer",
        names.join(", ")
    );
    if functions.iter().any(|function| rdma.contains(function)) {
        said += "; for RoCE, 4192 is as good as 9000";
    }
    Verdict::Advise(vec![said])
}

/// Returns the MTU of the card of a function: that which the policy gives it,
/// else that which it has.
fn mtu_of_card(cx: &Context<'_>, function: PciAddress) -> Option<u32> {
    let mut all = cx.facts.pci.value()?.iter();
    let own = all.find(|one| one.address == function)?;
    let at = own.physfn.unwrap_or(function);
    let nic = cx.facts.nics.value()?.iter().find(|nic| nic.function == at)?;
    let policy = &cx.policy.nic;
    let mut named = policy.functions.iter();
    let planned = policy.mtu.filter(|_| named.any(|n| nic::is_called(nic, n)));
    planned.or_else(|| nic.uplink.value()?.mtu.value().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::{Facts, PciClass};
    use crate::rules::fixture::Case;

    #[test]
    fn each_network_function_is_told_of() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.2", Some(0));
        case.pass("0000:c1:00.3", Some(0));
        let said = case.said(&RULE);
        assert!(said.contains("MTU of 0000:c1:00.2, 0000:c1:00.3: it starts"));
        assert!(!said.contains("RoCE"), "{said}");
        let Fact::Known { value: functions, .. } = &mut case.facts.pci else {
            panic!("functions are known");
        };
        for function in functions {
            function.class = PciClass::Accelerator;
        }
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
    }

    #[test]
    fn what_the_card_has_or_will_have_is_said() {
        let text = include_str!("../../tests/hosts/connectx-ovs.json");
        let facts: Facts = serde_json::from_str(text).unwrap();
        let mut case = Case::plain();
        case.pass("0000:81:00.2", Some(0));
        (case.facts.pci, case.facts.nics) = (facts.pci, facts.nics);
        let card = "MTU of 0000:81:00.2 (its card has 9000): it starts";
        assert!(case.said(&RULE).contains(card));
        case.policy.nic.mtu = Some(4200);
        assert!(case.said(&RULE).contains(card), "another card is named");
        case.policy.nic.functions = vec!["enp129s0f0np0".parse().unwrap()];
        assert!(case.said(&RULE).contains("(its card has 4200)"));
    }

    #[test]
    fn trap_37_roce_gains_nothing_above_4192() {
        let mut case = Case::plain();
        case.rdma("0000:c1:00.0");
        assert!(case.said(&RULE).contains("4192 is as good as 9000"));
    }
}
