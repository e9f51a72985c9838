//! Limits of RDMA devices, which are no settings.
//!
//! Sets nothing, and has nothing to look at: the files that guides write to
//! do not exist.

use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "rdma-limits",
    group: Group::HostIo,
    why: "How many queues an RDMA device has room for is made with the \
          device; `ibv_devinfo -v` lists it.",
    hurts: "Nothing can be set, so nothing can be hurt.",
    folklore: "Guides write to max_cq, max_qp and umr_rkey_timeout below \
               /sys/class/infiniband/mlx5_0. None of them is there. max_cq \
               and max_qp are numbers of queues, not their depth, and \
               properties that a program reads; how deep a queue is the \
               program asks for when it makes it. A cache of registrations is \
               the program's too.",
    sources: &[
        "Linux Documentation/ABI/stable/sysfs-class-infiniband: none of these",
        "ibv_query_device(3): max_qp, max_cq, max_cqe, max_qp_wr; \
         ibv_create_cq(3): cqe; ibv_create_qp(3): cap",
    ],
    level: Level::Off,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

const fn evaluate(_: &HostContext<'_>) -> Verdict {
    Verdict::NotApplicable("there is no such setting")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::host_fixture::HostCase;

    #[test]
    fn there_is_nothing_to_set() {
        let verdict = HostCase::new().verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        assert!(RULE.owns.is_empty());
    }
}
