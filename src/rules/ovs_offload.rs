//! Says how Open vSwitch hands its work to a network card.

use std::collections::BTreeMap;

use super::nic;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::facts::EswitchMode;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "ovs-offload",
    group: Group::Network,
    why: "Open vSwitch gives its flows to the switch in a card only when it is \
          told to, and only when it starts.",
    hurts: "A restart of Open vSwitch interrupts what goes over its bridges; \
            flows that the card cannot do stay with the host.",
    folklore: "Guides patch ovs-ctl so that it sets hw-offload at each start, \
               and hold the package back for it: the database keeps the \
               setting by itself. They set lacp-fallback-ab for the whole \
               switch, where it has no effect: it is a port's. With tc-policy \
               skip_sw a flow that the card cannot do takes the slow way \
               through user space.",
    sources: &[
        "ovs-vswitchd.conf.db(5): other_config of Open_vSwitch (hw-offload, \
         tc-policy) and of Port (lacp-fallback-ab)",
        "docs.openvswitch.org, howto/tc-offload",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    if cx.policy.nic.mode != Some(EswitchMode::Switchdev) {
        return Verdict::NotApplicable("the policy asks for no switch");
    }
    let Ok(cards) = nic::cards(cx.facts, cx.policy) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    if !cards.iter().any(|card| card.nic.is_at_open_vswitch()) {
        return Verdict::NotApplicable("no port is at Open vSwitch");
    }
    let settings = &cx.facts.open_vswitch;
    let Some(set) = settings.value() else {
        let why = settings.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "settings of Open vSwitch", why };
    };
    let advice = advice(set);
    Verdict::of(Vec::new(), advice, "Open vSwitch hands flows to the card")
}

fn advice(set: &BTreeMap<String, String>) -> Vec<String> {
    let mut advice = Vec::new();
    if set.get("hw-offload").map(String::as_str) != Some("true") {
        advice.push(
            "let Open vSwitch hand flows to the card: ovs-vsctl set \
             Open_vSwitch . other_config:hw-offload=true, and restart it when \
             its bridges can be interrupted; then `ovs-appctl \
             dpctl/dump-flows type=offloaded` lists such flows"
                .to_owned(),
        );
    }
    if set.contains_key("lacp-fallback-ab") {
        advice.push(
            "lacp-fallback-ab has no effect where it is set: ovs-vsctl remove \
             Open_vSwitch . other_config lacp-fallback-ab; of a bond it is set \
             by ovs-vsctl set Port BOND other_config:lacp-fallback-ab=true"
                .to_owned(),
        );
    }
    if set.get("tc-policy").map(String::as_str) == Some("skip_sw") {
        advice.push(
            "with tc-policy skip_sw what the card cannot do goes through user \
             space: ovs-vsctl remove Open_vSwitch . other_config tc-policy, \
             unless you have seen that the card does all of it"
                .to_owned(),
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    fn set(pairs: &[(&str, &str)]) -> Fact<BTreeMap<String, String>> {
        let pair = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Fact::known(pairs.iter().map(pair).collect(), "made up")
    }

    #[test]
    fn what_a_guide_set_is_judged_key_by_key() {
        let mut case = case("functions = ['0000:81:00.0']\nmode = 'switchdev'");
        case.facts.open_vswitch = set(&[("hw-offload", "true")]);
        assert!(case.satisfied(&RULE));
        case.facts.open_vswitch =
            set(&[("lacp-fallback-ab", "true"), ("tc-policy", "skip_sw")]);
        let said = case.advice(&RULE);
        assert_eq!(said.len(), 3, "{said:?}");
        for (text, word) in
            said.iter().zip(["hw-offload=true", "set Port BOND", "user space"])
        {
            assert!(text.contains(word), "{text}");
        }
        case.facts.open_vswitch = Fact::unknown("it does not run");
        assert_eq!(case.unknown(&RULE), Some("settings of Open vSwitch"));
        nic(&mut case, 0, |nic| {
            nic.representors.clear();
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.master = Fact::known(None, "made up");
            }
        });
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)), "{verdict:?}");
    }
}
