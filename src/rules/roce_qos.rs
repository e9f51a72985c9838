//! Keeps packets of RDMA over Ethernet from being dropped.

use super::nic::{self, Card};
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::NicSetting;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "roce-qos",
    group: Group::Network,
    why: "RDMA over Ethernet slows down by orders of magnitude when packets \
          are lost, and a switch that is told to can pause a priority instead.",
    hurts: "A priority that is paused on this side and not at the switch, or \
            the other way round, loses packets as before; a paused priority \
            can hold up others behind it.",
    folklore: "Guides write 26 to traffic_class: that is the whole TOS byte, \
               and so DSCP 6. DSCP 26 with ECN is 106. The attribute is the \
               vendor's own driver's, and rdma_cm does not heed it. dcbtool \
               speaks an older protocol, takes an interface and no RDMA \
               device, and the third digit of p:00100000 is priority 2.",
    sources: &[
        "dcb-pfc(8) and dcb-app(8)",
        "the kernel's drivers/net/ethernet/mellanox/mlx5/core/en_dcbnl.c: the \
         first DSCP that has a priority makes the card go by DSCP",
        "RFC 2474 and RFC 3168: the byte is the DSCP in six bits and ECN in \
         two",
    ],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/70-qos.conf"],
    evaluate: Evaluate::Host(evaluate),
};

/// The class of service that guides and switches use for RDMA.
const DSCP: u8 = 26;
/// That a packet may be marked rather than dropped.
const ECT: u8 = 2;
/// The highest priority of Ethernet.
const HIGHEST: u8 = 7;

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let policy = &cx.policy.nic;
    let named = !policy.functions.is_empty();
    let Some(priority) = policy.roce_priority.filter(|_| named) else {
        return cx.without(RULE.owns, "the policy names no priority for RDMA");
    };
    if priority > HIGHEST {
        return Verdict::Advise(vec![format!(
            "[nic] roce-priority is {priority}, and Ethernet has priorities \
             from 0 to {HIGHEST}"
        )]);
    }
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    if let Some(verdict) = nic::lacks(cx, "dcb") {
        return verdict;
    }
    for card in &cards {
        let pause = &card.uplink.pause;
        if pause.value().is_none() {
            let why = pause.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "lossless priorities", why };
        }
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let commands: Vec<_> =
        cards.iter().flat_map(|card| commands(card, priority)).collect();
    let because = format!(
        "packets with DSCP {DSCP} have priority {priority}, which is paused \
         rather than lost"
    );
    let edits = changed(cx, vec![nic::step(path, &commands, &because)]);
    let advice = match edits.is_empty() {
        true => Vec::new(),
        false => said(&cards, priority),
    };
    Verdict::of(edits, advice, "the card has its priorities at each boot")
}

fn commands(card: &Card<'_>, priority: u8) -> [String; 2] {
    let interface = card.uplink.interface.clone();
    let lossless = NicSetting::Lossless { interface, priority };
    let interface = card.uplink.interface.clone();
    let by_dscp = NicSetting::Dscp { interface, dscp: DSCP, priority };
    [lossless.to_string(), by_dscp.to_string()]
}

/// Says what is left to the switch and to who sends.
fn said(cards: &[Card<'_>], priority: u8) -> Vec<String> {
    let tos = DSCP << 2 | ECT;
    let mut said = vec![format!(
        "pause priority {priority} and mark DSCP {DSCP} at the network's \
         switches too; programs send it by the traffic class {tos}, which is \
         the whole byte"
    )];
    let devices = cards.iter().flat_map(|card| &card.nic.rdma);
    said.extend(devices.map(|port| {
        let (device, port) = (&port.device, port.port);
        format!(
            "for connections by rdma_cm: cma_roce_tos -d {device} -p {port} \
             -t {tos}, on this host and in each guest"
        )
    }));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn one_priority_is_lossless_and_goes_by_dscp() {
        let mut case = case("functions = ['enp129s0f0np0']\nroce-priority = 3");
        assert_eq!(
            case.edits(&RULE),
            ["/etc/systemd/system/vmtune-nic.service.d/70-qos.conf = \
              [Service]|\
              ExecStart=dcb pfc set dev enp129s0f0np0 prio-pfc all:off 3:on|\
              ExecStart=dcb app replace dev enp129s0f0np0 dscp-prio 26:3"]
        );
        let advice = case.advice(&RULE).join("\n");
        assert!(advice.contains("traffic class 106"), "{advice}");
        assert!(advice.contains("-d mlx5_0 -p 1 -t 106"), "{advice}");
        case.settle(&RULE);
        nic(&mut case, 0, |nic| {
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.pause = Fact::unknown("no answer");
            }
        });
        assert_eq!(case.unknown(&RULE), Some("lossless priorities"));
    }

    #[test]
    fn what_is_no_priority_is_said() {
        let mut case = case("functions = ['enp129s0f0np0']\nroce-priority = 8");
        assert_eq!(case.edits(&RULE), [""; 0]);
        assert!(case.advice(&RULE)[0].contains("from 0 to 7"));
        case.policy.nic.roce_priority = Some(3);
        let some = ["devlink", "ip", "systemd-tmpfiles", "udevadm"];
        let some = some.map(str::to_owned).to_vec();
        case.facts.services.programs = Fact::known(some, "made up");
        assert!(case.advice(&RULE)[0].starts_with("install dcb"));
    }
}
