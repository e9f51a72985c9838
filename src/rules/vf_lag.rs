//! Says whether a bond of both ports of a card is the card's own.
//!
//! A function of such a card sends through both ports, and a guest with one
//! function survives the loss of a cable.

use super::nic::{self, Card};
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::facts::{EswitchMode, MasterKind};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "vf-lag",
    group: Group::Network,
    why: "When both ports of a card are in a bond of the kernel, the card \
          lets each virtual function use both.",
    hurts: "Both ports then depend on one card; the bond's configuration is \
            the host's, and vmtune does not write it.",
    folklore: "Guides announce a bond in hardware and make one of Open \
               vSwitch (balance-tcp). The card hears of bonds of the kernel \
               alone; a bond of Open vSwitch is done in software, flow by \
               flow. They make functions on the first port only.",
    sources: &[
        "the kernel's drivers/net/ethernet/mellanox/mlx5/core/lag/lag.c: it \
         listens to bonds and teams of the kernel, with two ports of one card \
         in switchdev mode",
        "ovs-vswitchd.conf.db(5), on bond_mode and recirculation",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

/// Modes of a bond that a card can take over.
const MODES: [&str; 3] = ["802.3ad", "active-backup", "balance-xor"];

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    if cx.policy.nic.mode != Some(EswitchMode::Switchdev) {
        return Verdict::NotApplicable("the policy asks for no switch");
    }
    let Ok(cards) = nic::cards(cx.facts, cx.policy) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let mut advice = Vec::new();
    for (n, one) in cards.iter().enumerate() {
        for other in &cards[n + 1..] {
            if one.nic.function.is_beside(other.nic.function) {
                match pair(one, other) {
                    Ok(said) => advice.extend(said),
                    Err(verdict) => return verdict,
                }
            }
        }
    }
    Verdict::of(Vec::new(), advice, "no bond is in the way of the card")
}

/// Looks at what two ports of a card belong to.
fn pair(one: &Card<'_>, other: &Card<'_>) -> Result<Option<String>, Verdict> {
    let unknown = |card: &Card<'_>| Verdict::Unknown {
        fact: "what a port belongs to",
        why: card.uplink.master.reason().unwrap_or_default().to_owned(),
    };
    let first = one.uplink.master.value().ok_or_else(|| unknown(one))?;
    let second = other.uplink.master.value().ok_or_else(|| unknown(other))?;
    let (Some(first), Some(second)) = (first, second) else { return Ok(None) };
    let (a, b) = (&one.uplink.interface, &other.uplink.interface);
    Ok(match (&first.kind, &second.kind) {
        (MasterKind::Openvswitch, MasterKind::Openvswitch) => Some(format!(
            "{a} and {b} are both at Open vSwitch: a bond that it makes of \
             them is its own and never the card's. Make a bond of the kernel \
             of both (802.3ad), and give that to the bridge as one port"
        )),
        (MasterKind::Bond(mode), MasterKind::Bond(_))
            if first.name == second.name =>
        {
            (!MODES.contains(&mode.as_str())).then(|| {
                format!(
                    "the bond {} has the mode {mode}, which the card cannot \
                     take over: it can {}",
                    first.name,
                    MODES.join(", ")
                )
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::model::facts::Master;
    use crate::rules::host_fixture::HostCase;
    use crate::rules::nic_fixture::{case, nic};

    const BOTH: &str =
        "functions = ['0000:81:00.0', '0000:81:00.1']\nmode = 'switchdev'";

    fn bond(case: &mut HostCase, n: usize, name: &str, mode: &str) {
        nic(case, n, |nic| {
            let Fact::Known { value, .. } = &mut nic.uplink else {
                panic!("not known")
            };
            let master = Master {
                name: name.to_owned(),
                kind: MasterKind::Bond(mode.to_owned()),
                mtu: Fact::known(9000, "made up"),
                partner: Fact::unknown("made up"),
                above: None,
            };
            value.master = Fact::known(Some(master), "made up");
        });
    }

    #[test]
    fn a_bond_of_open_vswitch_is_not_the_cards() {
        let mut case = case(BOTH);
        let said = case.advice(&RULE).remove(0);
        assert!(said.contains("its own and never the card's"), "{said}");
        for n in 0..2 {
            bond(&mut case, n, "bond1", "802.3ad");
        }
        assert!(case.satisfied(&RULE));
        for n in 0..2 {
            bond(&mut case, n, "bond1", "balance-alb");
        }
        let said = case.advice(&RULE).remove(0);
        assert!(said.contains("balance-alb, which the card cannot"), "{said}");
        bond(&mut case, 1, "bond2", "802.3ad");
        assert!(case.satisfied(&RULE), "two bonds are not one");
    }

    #[test]
    fn one_port_is_no_bond() {
        let mut one = case("functions = ['0000:81:00.0']\nmode = 'switchdev'");
        assert!(one.satisfied(&RULE));
        one = case(BOTH);
        nic(&mut one, 1, |nic| {
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.master = Fact::unknown("not read");
            }
        });
        assert_eq!(one.unknown(&RULE), Some("what a port belongs to"));
    }
}
