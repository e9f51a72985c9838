//! Limits on the time that vCPUs may run.
//!
//! A quota stops a vCPU for the rest of each period once it has used its
//! share. On a CPU that is the VM's alone the time is lost to everybody.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::XmlPath;
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "vcpu-quota",
    group: Group::GuestCpu,
    why: "A quota on CPUs that nobody else may use only makes the VM stop \
          and start.",
    hurts: "A quota may be what a customer pays for: [rules] vcpu-quota = \
            \"off\" keeps it.",
    folklore: "Guides call kernel.perf_cpu_time_max_percent and \
               perf_event_max_sample_rate CPU throttling; these limit perf's \
               sampling, and no VM runs faster for them.",
    sources: &[
        "libvirt, Domain XML format, \"CPU Tuning\": period, quota, \
         global_quota; 0 and negative quotas are none",
        "Linux, scheduler/sched-bwc",
    ],
    level: Level::Plan,
    owns: &[
        "/domain/cputune/period",
        "/domain/cputune/quota",
        "/domain/cputune/global_period",
        "/domain/cputune/global_quota",
    ],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    if !cx.placement.exclusive {
        return Verdict::NotApplicable("the VM shares its CPUs");
    }
    let limits = &cx.domain.cputune.limits;
    let cpus = cx.placement.cpus();
    let mut edits = Vec::new();
    for (quota, period) in
        [("quota", "period"), ("global_quota", "global_period")]
    {
        let Some(limit) = limits.get(quota).filter(|limit| **limit > 0) else {
            continue;
        };
        let because = format!(
            "{quota} {limit} stops vCPUs on CPUs {cpus}, which nobody else \
             may use"
        );
        let there = [quota, period].into_iter();
        edits.extend(there.filter(|n| limits.contains_key(*n)).map(|name| {
            let place = XmlPath::domain().child("cputune").child(name);
            Edit::remove(place, because.as_str())
        }));
    }
    Verdict::of(edits, Vec::new(), "no quota stops the vCPUs")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;

    fn limited(limits: &[(&str, i64)]) -> Case {
        let mut case = Case::intel(&[1, 2], 1);
        let owned = limits.iter().map(|(n, limit)| ((*n).to_owned(), *limit));
        case.domain.cputune.limits = owned.collect();
        case
    }

    #[test]
    fn quotas_on_cpus_of_its_own_go() {
        let case = limited(&[
            ("shares", 1024),
            ("quota", 50_000),
            ("period", 100_000),
            ("global_quota", 90_000),
            ("emulator_quota", 10_000),
        ]);
        assert_eq!(
            case.edits(&RULE),
            [
                "/domain/cputune/quota removed",
                "/domain/cputune/period removed",
                "/domain/cputune/global_quota removed",
            ]
        );
    }

    #[test]
    fn no_limit_is_no_quota() {
        for quota in [0, -1] {
            let case = limited(&[("quota", quota), ("period", 100_000)]);
            assert!(case.satisfied(&RULE));
        }
    }

    #[test]
    fn quotas_on_shared_cpus_stay() {
        let mut case = limited(&[("quota", 50_000)]);
        case.placement.exclusive = false;
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
