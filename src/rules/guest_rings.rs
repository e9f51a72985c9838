//! Says where the guest finds packets that its rings had no room for.
//!
//! vmtune changes nothing inside a guest. A function of its own has rings of
//! its own, as long as the guest's driver makes them.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-rings",
    group: Group::GuestIo,
    why: "A burst that is longer than the receive ring is lost while the \
          guest is busy.",
    hurts: "Long rings fall out of the cache: packets wait longer, and each \
            queue takes memory.",
    folklore: "Guides set rings of 8192 at once, and once more with \
               `ethtool -G mlx5_0`: that is the name of an RDMA device, which \
               ethtool does not know. RDMA has queues of its own, which the \
               program makes as long as it wants; rings are of the kernel's \
               packets only.",
    sources: &[
        "ethtool(8): --show-ring, --set-ring, --statistics",
        "systemd.link(5): RxBufferSize=, TxBufferSize=",
        "Linux Documentation/networking/device_drivers/ethernet/mellanox/\
         mlx5/counters.rst: rx_out_of_buffer",
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
    let names: Vec<_> = functions.iter().map(ToString::to_string).collect();
    Verdict::Advise(vec![format!(
        "in the guest, lengthen the rings of {} only where `ethtool -S` counts \
         packets without a buffer (rx_out_of_buffer, rx_no_buffer_count): \
         `ethtool -g` says how long they can be, `ethtool -G` sets it, \
         RxBufferSize= and TxBufferSize= of a .link file keep it",
        names.join(", ")
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Case;

    #[test]
    fn long_rings_need_a_reason() {
        let mut case = Case::plain();
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.pass("0000:c1:00.2", Some(0));
        let said = case.said(&RULE);
        assert!(said.contains("rings of 0000:c1:00.2 only where"), "{said}");
    }
}
