//! Says when a guest's RDMA programs need to be told of huge pages.
//!
//! vmtune changes nothing inside a guest. `RDMAV_HUGEPAGES_SAFE` makes
//! libibverbs look up the page size of each buffer that it protects from
//! fork. A program that never asked for that protection needs neither, and
//! where the kernel copies such pages on fork nobody does.

use super::{Context, Evaluate, Group, Rule, Verdict};
use crate::model::policy::Level;

/// The rule.
pub const RULE: Rule = Rule {
    id: "guest-hugepages-rdma",
    group: Group::GuestIo,
    why: "A buffer in huge pages fails to register where fork protection \
          works on pages of another size.",
    hurts: "Each registration looks through /proc/PID/smaps, which takes \
            longer the more mappings a program has.",
    folklore: "Guides say that RDMA with huge pages must have \
               RDMAV_HUGEPAGES_SAFE=1. That is so only under fork protection \
               (ibv_fork_init, RDMAV_FORK_SAFE or IBV_FORK_SAFE), and since \
               Linux 5.12 with rdma-core 35 not even then.",
    sources: &[
        "ibv_fork_init(3), ibv_is_fork_initialized(3): IBV_FORK_UNNEEDED",
        "rdma-core libibverbs/memory.c, get_page_size",
    ],
    level: Level::Advise,
    owns: &[],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    if cx.rdma_functions().is_empty() {
        return Verdict::NotApplicable("no RDMA device is passed through");
    }
    Verdict::Advise(vec![
        "in the guest, RDMA buffers in huge pages need RDMAV_HUGEPAGES_SAFE=1 \
         only for programs that ask for fork protection (RDMAV_FORK_SAFE, \
         ibv_fork_init), and not on Linux 5.12 or later with rdma-core 35 or \
         later; elsewhere leave it unset, for it slows down registration"
            .into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Case;

    #[test]
    fn it_is_for_guests_with_rdma() {
        let mut case = Case::plain();
        case.pass("0000:c1:00.0", Some(0));
        let verdict = case.verdict(&RULE);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
        case.rdma("0000:c1:00.2");
        assert!(case.said(&RULE).contains("only for programs that ask"));
    }
}
