//! Gives each virtual function a hardware address that stays.

use super::nic::{self, Card};
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::base::{Digest, MacAddress};
use crate::model::NicSetting;
use crate::model::facts::{EswitchMode, Identity};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "vf-identity",
    group: Group::Network,
    why: "A virtual function without an address of its own gets another one \
          at each boot, or none.",
    hurts: "The addresses are in a file that all users of the host can read.",
    folklore: "Guides show functions with addresses and do not say whose they \
               are. On a ConnectX card a function that is bound before it has \
               an address has a node GUID of zeros, and connections by \
               rdma_cm fail. A zero address with the spoof check on sends \
               nothing.",
    sources: &[
        "ip-link(8)",
        "k8snetworkplumbingwg/sriov-network-operator, issue 267: the address \
         is set before the driver is bound",
        "IEEE 802-2014, 8.4: addresses that are locally administered",
    ],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/40-identity.conf"],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let count = cx.policy.nic.count.unwrap_or(0);
    if cx.policy.nic.functions.is_empty() || count == 0 {
        return cx.without(RULE.owns, "the policy makes no functions");
    }
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    let mut commands = Vec::new();
    let mut advice = Vec::new();
    for card in &cards {
        let base = &card.uplink.mac;
        let identities = &card.nic.identities;
        let (Some(base), Some(known)) = (base.value(), identities.value())
        else {
            let why = base.reason().or(identities.reason());
            let why = why.unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "addresses of functions", why };
        };
        let switchdev = cx.policy.nic.mode == Some(EswitchMode::Switchdev);
        let name = &card.uplink.interface;
        for n in 0..count {
            let own = known.iter().find(|one| one.vf == n);
            let kept = own.map(|one| one.mac).filter(|mac| !mac.is_zero());
            let mac = kept.unwrap_or_else(|| derived(*base, n));
            let mut identity = Identity::new(n, mac);
            if let Some(own) = own.filter(|_| !switchdev) {
                keep(&mut identity, own);
            }
            let interface = name.clone();
            let setting = NicSetting::Identity { interface, identity };
            commands.push(setting.to_string());
            advice.extend(own.and_then(|one| vlan(card, one, switchdev)));
        }
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let because = "each function keeps the address that it has, or gets one \
                   that follows from the card's, before its driver is bound";
    let edits = changed(cx, vec![nic::step(path, &commands, because)]);
    Verdict::of(edits, advice, "each function has its address at each boot")
}

/// Makes the address of a function: always the same for a card, and of those
/// that nobody is given.
fn derived(base: MacAddress, n: u16) -> MacAddress {
    let digest = Digest::of(format!("{base} vf {n}").as_bytes());
    let [a, b, c, d, e, ..] = *digest.bytes();
    MacAddress::new([0x02, a, b, c, d, e])
}

/// Keeps what else the card goes by in legacy mode, where that is not how it
/// begins.
fn keep(identity: &mut Identity, own: &Identity) {
    identity.vlan = own.vlan;
    identity.max_rate = own.max_rate.filter(|rate| *rate != 0);
    identity.min_rate = own.min_rate.filter(|rate| *rate != 0);
    identity.spoof_check = own.spoof_check.filter(|check| !check);
    identity.trust = own.trust.filter(|trust| *trust);
}

/// Says that a VLAN is lost in switchdev mode, where the card refuses it.
fn vlan(card: &Card<'_>, own: &Identity, switchdev: bool) -> Option<String> {
    let vlan = own.vlan.filter(|_| switchdev)?;
    Some(format!(
        "virtual function {} of {} is in VLAN {vlan}, which the card does not \
         set in switchdev mode: tag its representor at the bridge instead",
        own.vf, card.nic.function
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn addresses_are_kept_or_follow_from_the_cards() {
        let mut case = case("functions = ['enp129s0f0np0']\ncount = 5");
        nic(&mut case, 0, |nic| {
            let Fact::Known { value, .. } = &mut nic.identities else {
                panic!("not known")
            };
            value[1].mac = MacAddress::new([0; 6]);
            value[2].vlan = Some(7);
            value[2].trust = Some(true);
            value[2].max_rate = Some(100);
            value[2].min_rate = Some(10);
            value[2].spoof_check = Some(true);
        });
        let edit = case.edits(&RULE).remove(0);
        let lines: Vec<_> = edit.split('|').skip(1).collect();
        let zero = lines[1].rsplit("mac ").next().unwrap().to_owned();
        assert_eq!(
            lines[0],
            "ExecStart=ip link set dev enp129s0f0np0 vf 0 mac \
             c4:70:ff:ff:ff:e0 spoofchk off"
        );
        assert!(zero.starts_with("02:"), "{zero}");
        let kept = "e2 vlan 7 max_tx_rate 100 min_tx_rate 10 trust on";
        assert!(lines[2].ends_with(kept), "{}", lines[2]);
        assert!(lines[4].contains(" vf 4 mac 02:"), "{}", lines[4]);
        assert_eq!(lines.len(), 5);
        case.settle(&RULE);

        case.policy.nic.mode = Some(EswitchMode::Switchdev);
        let edit = case.edits(&RULE).remove(0);
        assert!(edit.contains(&zero[..17]), "the same card, the same address");
        assert!(!edit.contains("vlan"), "{edit}");
        assert!(case.advice(&RULE)[0].contains("is in VLAN 7"));
    }

    #[test]
    fn no_two_functions_get_one_address() {
        let cards = ["c4:70:bd:16:64:32", "c4:70:bd:16:64:33"];
        let each = cards.iter().flat_map(|card| {
            let card: MacAddress = card.parse().unwrap();
            (0..128).map(move |n| derived(card, n))
        });
        let all: std::collections::BTreeSet<_> = each.collect();
        assert_eq!(all.len(), 256);
        assert!(all.iter().all(|mac| mac.octets()[0] == 2));
    }

    #[test]
    fn unknown_addresses_are_not_made_up() {
        let mut case = case("functions = ['enp129s0f0np0']\ncount = 4");
        nic(&mut case, 0, |nic| nic.identities = Fact::unknown("no answer"));
        assert_eq!(case.unknown(&RULE), Some("addresses of functions"));
    }
}
