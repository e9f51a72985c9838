//! Sockets and cores, as Proxmox has them: it knows no dies and no threads.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::model::guest;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let wanted = guest::topology(cx.facts, cx.domain, cx.policy, cx.placement);
    let sockets = wanted.sockets.max(1);
    let cores = cx.domain.vcpus / sockets;
    let because = match sockets {
        1 => "the vCPUs share one socket, and so its caches".to_owned(),
        n => format!("{n} sockets, so that no guest node splits one"),
    };
    let given = cx.domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let mut edits = Vec::new();
    if given.is_none_or(|t| (t.sockets, t.cores) != (sockets, cores)) {
        let set =
            |name, to: u32| Edit::set(key(name), to.to_string(), &because);
        edits = vec![set("sockets", sockets), set("cores", cores)];
    }
    let mut advice = Vec::new();
    if wanted.threads > 1 {
        advice.push(format!(
            "Proxmox has no key for guest threads: the guest takes {} threads \
             of a core for as many cores. [cpu] smt = \"isolate\" gives each \
             vCPU a core.",
            wanted.threads
        ));
    }
    Verdict::of(edits, advice, format!("sockets {sockets}, cores {cores}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Case;
    use super::super::RULE;

    #[test]
    fn sockets_are_guest_nodes_and_threads_are_cores() {
        let even = Case::amd(&[2, 3, 4, 5, 10, 11, 12, 13], 1).proxmox();
        assert_eq!(even.edits(&RULE), ["sockets = 2", "cores = 4"]);
        let pairs = Case::intel(&[1, 17, 2, 18], 2).proxmox();
        assert_eq!(pairs.edits(&RULE), ["sockets = 1", "cores = 4"]);
        assert!(pairs.advice(&RULE)[0].contains("no key for guest threads"));
    }
}
