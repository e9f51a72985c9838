//! Sets the MTU of a network card, and names the rest of the way.

use super::nic::{self, Card};
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::NicSetting;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "mtu",
    group: Group::Network,
    why: "A packet is as large as the smallest MTU on its way lets it be.",
    hurts: "Who is on the same network with a smaller MTU loses large packets \
            without a word; switches must carry them too.",
    folklore: "Guides set 9000 at the bridge and forget the card, its \
               representors or the guest. RDMA over Ethernet has packets of \
               4096 bytes at most, for which 4192 is enough.",
    sources: &[
        "the kernel's include/rdma/ib_addr.h, iboe_get_mtu(): the largest of \
         256, 512, … 4096 that fits the interface's MTU less 96 bytes of \
         headers",
        "ip-link(8)",
    ],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/30-mtu.conf"],
    evaluate: Evaluate::Host(evaluate),
};

/// What RDMA over Ethernet puts around its packets.
const HEADERS: u32 = 96;

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let policy = &cx.policy.nic;
    let Some(mtu) = policy.mtu.filter(|_| !policy.functions.is_empty()) else {
        return cx.without(RULE.owns, "the policy names no MTU");
    };
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let mut commands = Vec::new();
    let mut advice = Vec::new();
    for card in &cards {
        let most = &card.uplink.max_mtu;
        let Some(most) = most.value() else {
            let why = most.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "the largest MTU of a card", why };
        };
        let name = &card.uplink.interface;
        if mtu > *most || mtu < LEAST {
            return Verdict::Advise(vec![format!(
                "{name} takes an MTU from {LEAST} to {most}, and [nic] mtu is \
                 {mtu}"
            )]);
        }
        let interface = name.clone();
        commands.push(NicSetting::Mtu { interface, mtu }.to_string());
        advice.extend(way(card, mtu));
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let because = format!(
        "packets of {mtu} bytes; RDMA over Ethernet then has {} of data in \
         each",
        roce(mtu)
    );
    let edits = changed(cx, vec![nic::step(path, &commands, &because)]);
    Verdict::of(edits, advice, "the card has its MTU at each boot")
}

/// Smallest MTU that carries IPv6.
const LEAST: u32 = 1280;

/// Returns how much data a packet of RDMA over Ethernet has.
fn roce(mtu: u32) -> u32 {
    let sizes = [4096, 2048, 1024, 512, 256];
    let fits = |size: &u32| size + HEADERS <= mtu;
    sizes.into_iter().find(fits).unwrap_or(256)
}

/// Says what else has another MTU between the wire and the guest, in the order
/// in which that can be changed: what is outside grows first and shrinks last.
fn way(card: &Card<'_>, mtu: u32) -> Option<String> {
    let way = card.nic.way().into_iter();
    let mut stations: Vec<(&str, Option<u32>)> =
        way.map(|(name, mtu)| (name, mtu.value().copied())).collect();
    stations.retain(|(_, there)| *there != Some(mtu));
    if stations.is_empty() {
        return None;
    }
    let shrinks = stations.iter().any(|(_, there)| *there > Some(mtu));
    if shrinks {
        stations.reverse();
    }
    let names: Vec<_> = stations.into_iter().map(|(name, _)| name).collect();
    let order = match shrinks {
        true => "the guest's own interface first, then",
        false => "in this order, and the guest's own interface last:",
    };
    Some(format!(
        "set the MTU {mtu} in the host's network configuration too, {order} {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn packets_of_rdma_are_powers_of_two() {
        for (mtu, data) in [
            (1280, 1024),
            (1500, 1024),
            (2143, 1024),
            (2144, 2048),
            (4191, 2048),
            (4192, 4096),
            (9000, 4096),
        ] {
            assert_eq!(roce(mtu), data, "{mtu}");
        }
    }

    #[test]
    fn the_wire_grows_first_and_shrinks_last() {
        let mut case = case("functions = ['0000:81:00.0']\nmtu = 9000");
        let edit = case.edits(&RULE).remove(0);
        assert!(
            edit.ends_with("|ExecStart=ip link set dev enp129s0f0np0 mtu 9000")
        );
        assert_eq!(case.advice(&RULE), [""; 0], "all have it");
        nic(&mut case, 0, |nic| {
            nic.representors.truncate(1);
            nic.representors[0].mtu = Fact::known(1500, "made up");
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.mtu = Fact::known(1500, "made up");
            }
        });
        let said = case.advice(&RULE).remove(0);
        assert!(said.ends_with("last: enp129s0f0np0, ovs-sw1pf0vf0"), "{said}");
        case.policy.nic.mtu = Some(1400);
        let said = case.advice(&RULE).remove(0);
        assert!(said.ends_with("then ovs-sw1pf0vf0, enp129s0f0np0"), "{said}");
    }

    #[test]
    fn more_than_the_card_takes_is_refused() {
        let mut case = case("functions = ['0000:81:00.0']\nmtu = 9979");
        assert_eq!(case.edits(&RULE), [""; 0]);
        assert!(case.advice(&RULE)[0].contains("from 1280 to 9978"));
        nic(&mut case, 0, |nic| {
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.max_mtu = Fact::unknown("no answer");
            }
        });
        assert_eq!(case.unknown(&RULE), Some("the largest MTU of a card"));
    }
}
