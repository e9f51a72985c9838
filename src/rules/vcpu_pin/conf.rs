//! The CPUs of the VM, as Proxmox has them: one set for all its threads.

use super::super::conf::key;
use super::super::{Context, Edit, Verdict};
use crate::base::CpuSet;

pub(in crate::rules) fn evaluate(cx: &Context<'_>) -> Verdict {
    let placement = cx.placement;
    let cpus = placement.cpus();
    let service = placement
        .iothreads
        .values()
        .fold(placement.emulator.clone(), |all, one| all.union(one));
    let all: CpuSet = cpus.union(&service);
    let mut advice = Vec::new();
    advice.extend(isolated(cx, &cpus));
    if cx.domain.vcpu_cpuset.as_ref() == Some(&all) {
        let seen = format!("all threads are on CPUs {all}");
        return Verdict::of(Vec::new(), advice, seen);
    }
    let because = format!(
        "the vCPUs have CPUs {cpus}, the other threads CPUs {service} ({})",
        cx.facts.topology.origin
    );
    if placement.exclusive {
        let nodes = placement.memory_nodes();
        let away = match nodes.len() {
            0 | 1 => String::new(),
            _ => format!(", between nodes {nodes} too"),
        };
        advice.push(format!(
            "Proxmox has one set of CPUs for all threads of a VM: no other VM \
             is on the vCPUs' CPUs, and the kernel moves the vCPUs among \
             them{away}."
        ));
    }
    let edits = vec![Edit::set(key("affinity"), all.to_string(), because)];
    Verdict::Change { edits, advice }
}

/// Says of which CPUs the vCPUs would all stay on one.
fn isolated(cx: &Context<'_>, cpus: &CpuSet) -> Option<String> {
    let isolated = &cx.facts.topology.isolated;
    let among = isolated.value()?.intersection(cpus);
    (among.len() > 1).then(|| {
        let origin = isolated.origin().map_or("", |origin| &origin.0);
        format!(
            "the kernel spreads no load over CPUs {among} ({origin}): threads \
             that share them stay on one. Take them out of isolcpus."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{Case, cpus};
    use super::super::RULE;
    use crate::model::Fact;

    #[test]
    fn one_set_holds_the_vcpus_and_the_emulator() {
        let mut case = Case::intel(&[1, 17, 2, 18], 2).proxmox();
        assert_eq!(case.edits(&RULE), ["affinity = 0-2,16-18"]);
        assert!(case.advice(&RULE)[0].contains("one set of CPUs"));
        case.domain.vcpu_cpuset = Some(cpus("0-2,16-18"));
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn several_nodes_are_told() {
        let case = Case::intel(&[1, 9], 1).proxmox();
        assert!(case.advice(&RULE)[0].ends_with("between nodes 0-1 too."));
    }

    /// Trap 11: a set of isolated CPUs is one CPU.
    #[test]
    fn isolated_cpus_are_told() {
        let mut case = Case::intel(&[1, 17, 2, 18], 2).proxmox();
        case.facts.topology.isolated = Fact::known(cpus("1-2"), "isolated");
        let said = case.advice(&RULE);
        assert!(said[0].contains("CPUs 1-2 (isolated)"), "{said:?}");
    }
}
