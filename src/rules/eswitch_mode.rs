//! Sets how the switch in a network card works.
//!
//! In switchdev mode a bridge of the host gives the card its rules, and the
//! card switches between functions and wire by itself. In legacy mode it goes
//! by addresses and VLANs, and no bridge of the host sees the traffic.

use super::nic::{self, Card};
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::NicSetting;
use crate::model::facts::EswitchMode;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "eswitch-mode",
    group: Group::Network,
    why: "A bridge can hand its work to the switch in a network card only \
          while that is in switchdev mode.",
    hurts: "In switchdev mode a function reaches nobody until its representor \
            is at a bridge, and VLANs are the bridge's to set.",
    folklore: "Guides change the mode by a udev rule while functions may be \
               in use or coming up, which the card refuses, or on one port of \
               two, which rules a bond of both out.",
    sources: &[
        "devlink-dev(8)",
        "the kernel's Documentation/networking/switchdev.rst and \
         networking/representors.rst",
        "k8snetworkplumbingwg/sriov-network-operator, pull request 1019: the \
         mode is changed when all functions are there and none has a driver",
    ],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/20-eswitch.conf"],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let wanted = cx.policy.nic.mode;
    if cx.policy.nic.functions.is_empty() || wanted.is_none() {
        return cx.without(RULE.owns, "the policy names no mode");
    }
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    for card in &cards {
        // Where the switch does not tell its mode it has none to set.
        let mode = &card.nic.eswitch;
        if mode.value().is_none() {
            let why = mode.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "the mode of a switch", why };
        }
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let switchdev = wanted == Some(EswitchMode::Switchdev);
    // A card begins in legacy mode.
    let commands: Vec<_> = match switchdev {
        true => cards.iter().flat_map(commands).collect(),
        false => Vec::new(),
    };
    let because = "a bridge can hand its work to the card; the mode changes \
                   while no function has a driver";
    let edits = changed(cx, vec![nic::step(path, &commands, because)]);
    let mut advice = Vec::new();
    if switchdev {
        advice.extend(cards.iter().filter_map(|card| lonely(cx, &cards, card)));
    } else {
        let other =
            |card: &&Card<'_>| card.nic.eswitch.is(&EswitchMode::Switchdev);
        advice.extend(cards.iter().filter(other).map(|card| {
            format!(
                "{} is in switchdev mode, and [nic] wants legacy: take away \
                 what sets it at boot",
                card.nic.function
            )
        }));
    }
    Verdict::of(edits, advice, "the switch has its mode")
}

/// Sets the mode, and waits for the interface, which some kernels make anew.
fn commands(card: &Card<'_>) -> [String; 2] {
    let function = card.nic.function;
    let mode = EswitchMode::Switchdev;
    let name = &card.uplink.interface;
    [
        NicSetting::Mode { function, mode }.to_string(),
        format!("udevadm wait --timeout=60 /sys/class/net/{name}"),
    ]
}

/// Says where another port of the same card stays in the other mode.
fn lonely(
    cx: &HostContext<'_>,
    cards: &[Card<'_>],
    card: &Card<'_>,
) -> Option<String> {
    let own = card.nic.function;
    let others = cx.facts.nics.value().into_iter().flatten();
    let left = others.map(|nic| nic.function).find(|at| {
        at.is_beside(own) && cards.iter().all(|card| card.nic.function != *at)
    })?;
    Some(format!(
        "{left} is another port of the card of {own}: name it in [nic] \
         functions too, or a bond of both ports cannot be the card's"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::nic_fixture::case;

    #[test]
    fn all_ports_change_their_mode() {
        let mut case = case(
            "functions = ['0000:81:00.0', 'enp129s0f1np1']\n\
                             count = 4\nmode = 'switchdev'",
        );
        let [edit] = &case.edits(&RULE)[..] else { panic!("one file") };
        for port in [0, 1] {
            let line = format!("set pci/0000:81:00.{port} mode switchdev|");
            assert!(edit.contains(&line), "{edit}");
        }
        assert_eq!(case.advice(&RULE), [""; 0]);
        case.settle(&RULE);
        case.policy.nic.mode = Some(EswitchMode::Legacy);
        let gone = format!("{} removed", RULE.owns[0]);
        assert_eq!(case.edits(&RULE), [gone]);
        assert!(case.advice(&RULE)[0].contains("take away what sets it"));
    }

    #[test]
    fn a_port_that_stays_behind_is_named() {
        let case = case("functions = ['enp129s0f0np0']\nmode = 'switchdev'");
        assert!(case.advice(&RULE)[0].starts_with("0000:81:00.1 is another"));
    }

    #[test]
    fn without_a_mode_or_a_unit_there_is_no_step() {
        let mut case = case("functions = ['enp129s0f0np0']\ncount = 4");
        assert_eq!(case.edits(&RULE), [""; 0]);
        case.policy.nic.mode = Some(EswitchMode::Switchdev);
        case.policy.rules.insert("sriov-vfs".into(), Level::Off);
        assert_eq!(case.edits(&RULE), [""; 0]);
    }
}
