//! Stops the kernel from moving pages where VMs are bound to their nodes.
//!
//! To learn who uses a page, the kernel takes it away for a moment and waits
//! for the fault. Memory of a VM that is bound with `strict`, and huge pages
//! of a pool, it leaves alone; memory that is bound by `restrictive` and all
//! that QEMU has besides, it does not. Where every VM is bound there is
//! nothing to gain. A VM that floats keeps near its memory only by this.

use super::{AFTER_BOOT, Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::domain::Domain;
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "numa-balancing",
    group: Group::HostMemory,
    why: "Faults by which the kernel learns who uses a page come at times \
          that nobody chose, and move nothing that is bound.",
    hurts: "Programs and VMs that are not bound stay away from their memory.",
    folklore: "Guides switch it off for every host with VMs. It skips memory \
               that is bound by mbind, as libvirt's `strict` does, and huge \
               pages of a pool: the gain is small; on a host with VMs that \
               float the loss is not.",
    sources: &[
        "Linux Documentation/admin-guide/sysctl/kernel.rst: numa_balancing",
        "Linux kernel/sched/fair.c, task_numa_work: skips what \
         vma_policy_mof says, and hugetlb",
        "libvirt formatdomain: NUMA Node Tuning (restrictive)",
    ],
    level: Level::Plan,
    owns: &[
        "/proc/sys/kernel/numa_balancing",
        "/etc/sysctl.d/90-vmtune-numa-balancing.conf",
    ],
    evaluate: Evaluate::Host(evaluate),
};

const PLACE: &str = "/proc/sys/kernel/numa_balancing";
const FILE: &str = "/etc/sysctl.d/90-vmtune-numa-balancing.conf";
const TEXT: &str = include_str!("../../templates/host/numa-balancing.conf");

/// Moves pages to who uses them. 2 moves them between fast and slow memory.
const BALANCES: u32 = 1;

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    if cx.facts.topology.nodes.len() < 2 {
        return Verdict::NotApplicable("there is one node");
    }
    let numad = cx.facts.services.runs("numad").then(|| {
        "numad runs and moves VMs and their memory as it sees fit, against \
         their pins: stop it, or leave placement to it"
            .to_owned()
    });
    let advice: Vec<String> = numad.into_iter().collect();
    let mode = &cx.facts.memory.numa_balancing;
    let Some(value) = mode.value() else {
        let why = mode.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "NUMA balancing", why };
    };
    if *value != BALANCES {
        let seen = format!("numa_balancing is {value}");
        return Verdict::of(Vec::new(), advice, seen);
    }
    let floating = floating(cx);
    if !floating.is_empty() {
        let seen = format!("it keeps {} near memory", floating.join(", "));
        return Verdict::of(Vec::new(), advice, seen);
    }
    let because = "all VMs are bound to their nodes, and faults by which the \
                   kernel learns who uses a page move nothing";
    let (Ok(place), Ok(file)) = (PLACE.parse(), FILE.parse()) else {
        return Verdict::NotApplicable("no such place");
    };
    let edits = vec![
        Edit::set(Target::Kernel(place), "0", because).at(Stage::Now),
        Edit::set(Target::File(file), TEXT, AFTER_BOOT).at(Stage::Now),
    ];
    Verdict::of(edits, advice.into_iter().chain(rivals(cx)).collect(), "")
}

/// Returns the VMs whose memory may come from anywhere.
fn floating(cx: &HostContext<'_>) -> Vec<String> {
    let planned = cx.vms.iter().filter(|vm| {
        let bound = vm.placement.exclusive
            && vm.policy.plans(super::numa_memory::RULE.id);
        vm.placement.pages.is_none() && !bound && !is_bound(vm.domain)
    });
    let planned = planned.map(|vm| vm.domain.name.to_string());
    let others = cx.neighbours.iter().filter(|domain| !is_bound(domain));
    let others = others.map(|domain| domain.name.to_string());
    let mut names: Vec<String> = planned.chain(others).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns whether a definition binds all memory to nodes. libvirt takes
/// `strict` where no mode is given.
fn is_bound(domain: &Domain) -> bool {
    let hard = |mode: Option<&str>| {
        matches!(mode, None | Some("strict" | "restrictive"))
    };
    let tune = &domain.numatune;
    let whole = tune
        .memory
        .as_ref()
        .is_some_and(|m| m.nodeset.is_some() && hard(m.mode.as_deref()));
    let cells = domain.cells();
    let each = !cells.is_empty()
        && cells.iter().all(|cell| {
            let own = tune.memnodes.get(&cell.id);
            own.is_some_and(|memnode| hard(memnode.mode.as_deref()))
        });
    domain.has_hugepages() || whole || each
}

/// Names files that are read after the drop-in and say something else.
fn rivals(cx: &HostContext<'_>) -> Vec<String> {
    let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
    let own = name(FILE);
    let claims = cx.facts.services.claims_of(PLACE);
    let later = claims
        .filter(|claim| claim.value != "0" && name(claim.file.as_str()) > own);
    let said = later.map(|claim| {
        format!(
            "{} is read after {FILE} and sets kernel.numa_balancing = {}: \
             remove that line",
            claim.file, claim.value
        )
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeId;
    use crate::model::Fact;
    use crate::model::domain::MemoryPolicy;
    use crate::model::facts::Claim;
    use crate::rules::fixture::{Case, domain};
    use crate::rules::memory_fixture::Beside;

    fn case() -> Case {
        let mut case = Case::plain();
        case.facts.memory.numa_balancing = Fact::known(1, PLACE);
        case.stands(PLACE, Some("1"));
        case.stands(FILE, None);
        case
    }

    const EDITS: [&str; 2] = [
        "/proc/sys/kernel/numa_balancing = 0, now",
        "/etc/sysctl.d/90-vmtune-numa-balancing.conf = \
         kernel.numa_balancing = 0, now",
    ];

    #[test]
    fn bound_vms_gain_nothing_by_it() {
        let beside = Beside::default();
        let mut case = case();
        assert_eq!(case.host_edits(&RULE, &beside), EDITS);
        case.settle(&RULE, &beside);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0], "once is enough");
        for (mode, verdict) in [(0, "Satisfied"), (2, "Satisfied")] {
            case.facts.memory.numa_balancing = Fact::known(mode, PLACE);
            let said = format!("{:?}", case.on_host(&RULE, &beside));
            assert!(said.starts_with(verdict), "{mode}: {said}");
        }
        case.facts.memory.numa_balancing = Fact::unknown("not read");
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Unknown { .. }));
        case.facts.topology.nodes.truncate(1);
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::NotApplicable(_)));
    }

    #[test]
    fn a_vm_that_floats_keeps_it() {
        let case = case();
        let mut beside = Beside::default();
        beside.neighbours.push(domain(2));
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        let mut memory = MemoryPolicy {
            mode: Some("preferred".into()),
            nodeset: Some(NodeId(1).into()),
            placement: None,
        };
        for (mode, bound) in [("preferred", false), ("strict", true)] {
            memory.mode = Some(mode.into());
            beside.neighbours[0].numatune.memory = Some(memory.clone());
            let edits = case.host_edits(&RULE, &beside);
            assert_eq!(!edits.is_empty(), bound, "{mode}");
        }
    }

    #[test]
    fn who_would_undo_it_is_named() {
        let beside = Beside::default();
        let mut case = case();
        let claim = |file: &str| Claim {
            place: PLACE.parse().unwrap(),
            value: "1".into(),
            file: file.parse().unwrap(),
        };
        let claims =
            ["/etc/sysctl.d/10-old.conf", "/etc/sysctl.d/99-sysctl.conf"];
        let claims = claims.map(claim).to_vec();
        case.facts.services.claims = Fact::known(claims, "/etc");
        let services = vec!["numad".to_owned()];
        case.facts.services.tuners = Fact::known(services, "/proc");
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("99-sysctl.conf is read after"), "{said}");
        assert!(!said.contains("10-old"), "{said}");
        assert!(said.starts_with("numad runs"), "{said}");
    }
}
