//! Sets the ring buffers of a network card.

use super::nic;
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::NicSetting;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "ring-buffers",
    group: Group::Network,
    why: "A card with no free descriptor drops what arrives until the host \
          has made room.",
    hurts: "Larger rings leave the CPU's cache, and let queues grow before \
            anybody notices. RDMA does not use them.",
    folklore: "Guides give ethtool the name of an RDMA device, which it does \
               not know: it takes the interface.",
    sources: &["ethtool(8)"],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/60-rings.conf"],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let policy = &cx.policy.nic;
    let named = !policy.functions.is_empty();
    let Some(size) = policy.rings.filter(|_| named) else {
        return cx.without(RULE.owns, "the policy names no size of rings");
    };
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    if let Some(verdict) = nic::lacks(cx, "ethtool") {
        return verdict;
    }
    let mut commands = Vec::new();
    for card in &cards {
        let (name, rings) = (&card.uplink.interface, &card.uplink.rings);
        let Some(known) = rings.value() else {
            let why = rings.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "ring buffers", why };
        };
        let most = known.max_rx.min(known.max_tx);
        if !(1..=most).contains(&size) {
            return Verdict::Advise(vec![format!(
                "{name} has rings of up to {most}, and [nic] rings is {size}"
            )]);
        }
        let interface = name.clone();
        commands.push(NicSetting::Rings { interface, size }.to_string());
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let because = format!("the policy wants rings of {size} descriptors");
    let edits = changed(cx, vec![nic::step(path, &commands, &because)]);
    Verdict::of(edits, Vec::new(), "the card has its rings at each boot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn rings_are_those_of_the_interface() {
        let mut case = case("functions = ['0000:81:00.0']\nrings = 4096");
        let edit = case.edits(&RULE).remove(0);
        let command = "|ExecStart=ethtool -G enp129s0f0np0 rx 4096 tx 4096";
        assert!(edit.ends_with(command), "{edit}");
        case.settle(&RULE);
        case.policy.nic.rings = Some(8193);
        assert!(case.advice(&RULE)[0].contains("up to 8192"));
        nic(&mut case, 0, |nic| {
            if let Fact::Known { value, .. } = &mut nic.uplink {
                value.rings = Fact::unknown("no answer");
            }
        });
        assert_eq!(case.unknown(&RULE), Some("ring buffers"));
    }
}
