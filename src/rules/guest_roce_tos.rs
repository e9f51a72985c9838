//! Says how the guest marks its RoCE packets.
//!
//! vmtune changes nothing inside a guest. Which priority a packet has on the
//! wire follows from the DSCP in its header, and that is written by the card
//! for each queue pair as the program, or the guest's kernel for it, has asked.
//! No setting of the host reaches the guest's queue pairs.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-roce-tos",
    group: Group::GuestIo,
    why: "Switches keep RoCE packets from being lost by their DSCP, and a \
          guest's packets have the one that the guest asks for.",
    hurts: "A DSCP that the switches do not know, or give another priority, \
            is worse than none: the packets wait with others, or push them \
            out.",
    folklore: "Guides write 26 to /sys/class/infiniband/mlx5_0/tc/1/\
               traffic_class. That file is MLNX_OFED's and not Linux's, the \
               host's does nothing for a guest, and the value is the whole \
               byte: 26 is DSCP 6 with ECN, DSCP 26 with ECN is 106. They \
               switch flow control on by `dcbtool sc mlx5_0 pfc e:1 a:1 w:1 \
               p:00100000`: dcbtool takes a network interface and speaks the \
               old CEE to lldpad, its argument is pfcup:, and the digits mean \
               priority 2 where 3 is told of. `dcb pfc set dev NAME prio-pfc \
               3:on` does it, on the physical function: a virtual one has \
               none of its own.",
    sources: &[
        "Linux Documentation/ABI/testing/configfs-rdma_cm: default_roce_tos",
        "Linux Documentation/ABI/stable/sysfs-class-infiniband: no \
         traffic_class",
        "RFC 2474 and RFC 3168: six bits of DSCP, two of ECN",
        "ibv_modify_qp(3): ah_attr.grh.traffic_class; rdma_set_option(3): \
         RDMA_OPTION_ID_TOS",
        "dcb-pfc(8); dcbtool(8)",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let functions = cx.rdma_functions();
    if functions.is_empty() {
        return Verdict::NotApplicable("no RDMA device is passed through");
    }
    let names: Vec<_> = functions.iter().map(ToString::to_string).collect();
    Verdict::Advise(vec![format!(
        "in the guest, mark what {} sends by RoCE, where the switches go by \
         DSCP: the byte is four times the DSCP, and 2 for ECN, so 106 for \
         DSCP 26. Programs that connect by rdma_cm take it from \
         rdma_cm/DEVICE/ports/1/default_roce_tos in configfs, others have an \
         option (UCX_IB_TRAFFIC_CLASS, NCCL_IB_TC, perftest --tclass)",
        names.join(", ")
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Case;

    #[test]
    fn trap_39_the_byte_is_not_the_dscp() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.0", Some(0));
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.rdma("0000:c1:00.2");
        let said = case.said(&RULE);
        assert!(said.contains("what 0000:c1:00.2 sends"), "{said}");
        assert!(said.contains("106 for DSCP 26"), "{said}");
    }
}
