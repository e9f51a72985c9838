//! Stops KSM where no VM of the host gains by it.
//!
//! KSM compares pages of VMs and keeps one of those that are alike. That
//! saves memory where many like guests are overcommitted. It costs the CPU
//! time of its daemon, a fault and a copy at the first write, and it lets one
//! guest learn by timing what another has in its memory. VMs with CPUs of
//! their own or huge pages take no part in it; if all are such, it only costs.

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict};
use crate::base::{Bytes, PageSize};
use crate::model::domain::Domain;
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule.
pub const RULE: Rule = Rule {
    id: "ksm",
    group: Group::HostMemory,
    why: "Merging pages takes CPU time and lets guests learn of each other, \
          and gains nothing where memory is not overcommitted.",
    hurts: "A host that is overcommitted with like guests needs more memory \
            without it.",
    folklore: "Guides call KSM a security risk, which between tenants it is, \
               and say that Debian does not have it. Debian's kernels do; \
               it is off until somebody writes 1 to /sys/kernel/mm/ksm/run, \
               as ksmtuned does on Proxmox, oVirt and Fedora: there the value \
               alone does not stay.",
    sources: &[
        "Linux Documentation/admin-guide/mm/ksm.rst",
        "Suzaki et al., Memory Deduplication as a Threat to the Guest OS, \
         EuroSec 2011",
        "Razavi et al., Flip Feng Shui, USENIX Security 2016",
        "CERN, OpenStack in production, 2015: 0.9 % of HS06 by KSM off",
    ],
    level: Level::Plan,
    owns: &["/sys/kernel/mm/ksm/run", "/etc/tmpfiles.d/vmtune-ksm.conf"],
    evaluate: Evaluate::Host(evaluate),
};

const PLACE: &str = "/sys/kernel/mm/ksm/run";
const FILE: &str = "/etc/tmpfiles.d/vmtune-ksm.conf";
const TEXT: &str = include_str!("../../templates/host/ksm.conf");

/// Merges pages.
const RUNS: u32 = 1;

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let ksm = &cx.facts.memory.ksm;
    let Some(run) = ksm.value() else {
        let why = ksm.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "whether KSM runs", why };
    };
    if *run != RUNS {
        return Verdict::Satisfied("KSM does not run".into());
    }
    let gaining = gaining(cx);
    let apart = cx.policy.preset == "security";
    if !gaining.is_empty() && !apart {
        return Verdict::Satisfied(format!(
            "KSM runs for {}, which may gain by it",
            gaining.join(", ")
        ));
    }
    if cx.facts.services.runs("ksmtuned") {
        return Verdict::Advise(vec![format!(
            "KSM runs, {}, and ksmtuned starts it again whenever memory gets \
             short: systemctl disable --now ksmtuned ksm",
            why(apart)
        )]);
    }
    let (to, advice) = if apart { unmerged(cx) } else { ("0", None) };
    let mut because = format!("KSM runs ({}), {}", origin(cx), why(apart));
    if to == "2" {
        because += "; 2 also takes apart what is merged";
    }
    let mut advice: Vec<String> = advice.into_iter().collect();
    let mut edits = Vec::new();
    if let Ok(place) = PLACE.parse() {
        let edit = Edit::set(Target::Kernel(place), to, &because);
        edits.push(edit.at(Stage::Now));
    }
    match cx.at_each_boot(FILE, TEXT) {
        Ok(edit) => edits.push(edit),
        Err(said) => advice.push(said),
    }
    advice.extend(cx.facts.services.claims_of(PLACE).map(|claim| {
        format!(
            "{} sets {PLACE} to {} at boot: remove that line",
            claim.file, claim.value
        )
    }));
    Verdict::of(edits, advice, "")
}

fn origin(cx: &HostContext<'_>) -> String {
    cx.facts.memory.ksm.origin().map_or_else(String::new, ToString::to_string)
}

const fn why(apart: bool) -> &'static str {
    match apart {
        true => "and merged pages let a guest learn what others have",
        false => "and all VMs have their pages to themselves",
    }
}

/// Returns the VMs whose pages may be merged.
fn gaining(cx: &HostContext<'_>) -> Vec<String> {
    let exempt = |domain: &Domain| {
        let backing = domain.memory_backing.as_ref();
        domain.has_hugepages() || backing.is_some_and(|b| b.nosharepages)
    };
    let planned = cx.vms.iter().filter(|vm| {
        let alone = vm.placement.exclusive || vm.placement.pages.is_some();
        let exempted = alone && vm.policy.plans(super::memory_backing::RULE.id);
        !exempted && !exempt(vm.domain)
    });
    let planned = planned.map(|vm| vm.domain.name.to_string());
    let others = cx.neighbours.iter().filter(|domain| !exempt(domain));
    let others = others.map(|domain| domain.name.to_string());
    let mut names: Vec<String> = planned.chain(others).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Takes merged pages apart where there is memory for it.
fn unmerged(cx: &HostContext<'_>) -> (&'static str, Option<String>) {
    let sharing = cx.facts.memory.ksm_sharing.value().copied();
    let free = cx.facts.memory.free.value();
    let free: Option<u64> =
        free.map(|nodes| nodes.values().map(|free| free.0).sum());
    let needed = sharing.map(|pages| pages * PageSize::SMALL.bytes());
    match (needed, free) {
        (Some(0), _) => ("0", None),
        // Twice, for what is free is not there for this alone.
        (Some(needed), Some(free)) if needed.saturating_mul(2) <= free => {
            ("2", None)
        }
        (needed, _) => {
            let much = needed.map_or_else(
                || "an unknown amount of memory".to_owned(),
                |needed| Bytes(needed).to_string(),
            );
            let said = format!(
                "pages that are merged stay so: taking them apart needs \
                 {much}; when that is free, write 2 to {PLACE}"
            );
            ("0", Some(said))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeId;
    use crate::model::Fact;
    use crate::model::facts::Claim;
    use crate::rules::fixture::{Case, domain};
    use crate::rules::memory_fixture::Beside;

    fn case() -> Case {
        let mut case = Case::plain();
        case.facts.memory.ksm = Fact::known(1, PLACE);
        case.facts.services.tuners = Fact::known(Vec::new(), "/proc");
        let programs = vec!["systemd-tmpfiles".to_owned()];
        case.facts.services.programs = Fact::known(programs, "/usr/bin");
        case.stands(PLACE, Some("1"));
        case.stands(FILE, None);
        case
    }

    const OFF: &str = "/sys/kernel/mm/ksm/run = 0, now";
    const KEPT: &str = "/etc/tmpfiles.d/vmtune-ksm.conf = \
                        w /sys/kernel/mm/ksm/run - - - - 0, now";

    #[test]
    fn nobody_gains_where_all_vms_are_alone() {
        let beside = Beside::default();
        let mut case = case();
        assert_eq!(case.host_edits(&RULE, &beside), [OFF, KEPT]);
        case.settle(&RULE, &beside);
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0], "once is enough");
        case.facts.memory.ksm = Fact::known(0, PLACE);
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Satisfied(_)));
        case.facts.memory.ksm = Fact::unknown("no CONFIG_KSM");
        let verdict = case.on_host(&RULE, &beside);
        assert!(matches!(verdict, Verdict::Unknown { .. }));
    }

    #[test]
    fn a_vm_that_gains_keeps_it() {
        let mut case = case();
        let mut beside = Beside::default();
        beside.neighbours.push(domain(2));
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        beside.neighbours[0].memory_backing =
            Some(crate::model::domain::MemoryBacking {
                nosharepages: true,
                ..Default::default()
            });
        assert_eq!(case.host_edits(&RULE, &beside), [OFF, KEPT]);
        case.placement.exclusive = false;
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
    }

    #[test]
    fn guests_that_must_not_learn_of_each_other_are_taken_apart() {
        let mut case = case();
        case.policy.preset = "security".into();
        let mut beside = Beside::default();
        beside.neighbours.push(domain(2));
        case.facts.memory.ksm_sharing = Fact::known(1 << 18, "sharing");
        let free = |gib: u64| [(NodeId(0), Bytes(gib << 30))].into();
        case.facts.memory.free = Fact::known(free(8), "meminfo");
        let apart = "/sys/kernel/mm/ksm/run = 2, now";
        assert_eq!(case.host_edits(&RULE, &beside), [apart, KEPT]);
        case.facts.memory.free = Fact::known(free(1), "meminfo");
        assert_eq!(case.host_edits(&RULE, &beside), [OFF, KEPT]);
        assert!(case.host_said(&RULE, &beside).contains("needs 1 GiB"));
    }

    #[test]
    fn who_would_start_it_again_is_named() {
        let mut case = case();
        let services = vec!["ksmtuned".to_owned()];
        case.facts.services.tuners = Fact::known(services, "/proc");
        let beside = Beside::default();
        assert_eq!(case.host_edits(&RULE, &beside), [""; 0]);
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("disable --now ksmtuned"), "{said}");

        case.facts.services.tuners = Fact::known(Vec::new(), "/proc");
        case.facts.services.programs = Fact::known(Vec::new(), "/usr/bin");
        assert_eq!(case.host_edits(&RULE, &beside), [OFF]);
        let said = case.host_said(&RULE, &beside);
        assert!(said.starts_with("a boot undoes"), "{said}");
        let claim = Claim {
            place: PLACE.parse().unwrap(),
            value: "1".into(),
            file: "/etc/sysfs.conf".parse().unwrap(),
        };
        case.facts.services.claims = Fact::known(vec![claim], "/etc");
        let said = case.host_said(&RULE, &beside);
        assert!(said.contains("/etc/sysfs.conf sets"), "{said}");
    }
}
