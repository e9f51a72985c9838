//! Sets how much a network card asks of memory at once.

use super::nic;
use super::sriov_vfs::changed;
use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::NicSetting;
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "pcie-mrrs",
    group: Group::Network,
    why: "A card that asks memory for more at once needs fewer requests to \
          send as much.",
    hurts: "Large reads of one card make others on the same bridge wait.",
    folklore: "Guides write 5936 to the register 68 of the card. setpci reads \
               that as hexadecimal and writes all of the register: packet \
               size, ordering, snooping and error reports besides. The place \
               differs from card to card; CAP_EXP+8 is where it is on each, \
               and a mask leaves the other bits alone.",
    sources: &[
        "setpci(8)",
        "PCI Express Base Specification, 7.5.3.4 Device Control Register: bits \
         14 to 12; those of a virtual function are its physical one's",
    ],
    level: Level::Plan,
    owns: &["/etc/systemd/system/vmtune-nic.service.d/80-mrrs.conf"],
    evaluate: Evaluate::Host(evaluate),
};

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let policy = &cx.policy.nic;
    let named = !policy.functions.is_empty();
    let Some(size) = policy.read_request.filter(|_| named) else {
        return cx.without(RULE.owns, "the policy names no size of reads");
    };
    let Some(cards) = nic::steps(cx) else {
        return Verdict::NotApplicable(nic::ELSEWHERE);
    };
    if let Some(verdict) = nic::lacks(cx, "setpci") {
        return verdict;
    }
    let mut commands = Vec::new();
    for card in &cards {
        // Without the capability there is no such register.
        let now = &card.nic.pcie.max_read_request;
        if now.value().is_none() {
            let why = now.reason().unwrap_or_default().to_owned();
            return Verdict::Unknown { fact: "how much a card reads", why };
        }
        let function = card.nic.function;
        let Some(setting) = NicSetting::read_request(function, size) else {
            return Verdict::Advise(vec![format!(
                "[nic] read-request is {size}, and a card reads 128, 256, 512, \
                 1024, 2048 or 4096 bytes at once"
            )]);
        };
        commands.push(setting.to_string());
    }
    let [path] = RULE.owns else { return Verdict::NotApplicable("") };
    let because = format!("the policy wants reads of {size} bytes");
    let edits = changed(cx, vec![nic::step(path, &commands, &because)]);
    Verdict::of(edits, Vec::new(), "the card reads so much at each boot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::nic_fixture::{case, nic};

    #[test]
    fn three_bits_are_written_and_no_others() {
        let mut case =
            case("functions = ['0000:81:00.0']\nread-request = 4096");
        for (size, value) in [(128, "0000"), (512, "2000"), (4096, "5000")] {
            case.policy.nic.read_request = Some(size);
            let edit = case.edits(&RULE).remove(0);
            let command = format!(
                "|ExecStart=setpci -s 0000:81:00.0 CAP_EXP+8.w={value}:7000"
            );
            assert!(edit.ends_with(&command), "{edit}");
        }
        case.settle(&RULE);
        case.policy.nic.read_request = Some(5936);
        assert!(case.advice(&RULE)[0].contains("or 4096 bytes"));
        case.policy.nic.read_request = Some(1024);
        nic(&mut case, 0, |nic| {
            nic.pcie.max_read_request = Fact::unknown("no such capability");
        });
        assert_eq!(case.unknown(&RULE), Some("how much a card reads"));
    }
}
