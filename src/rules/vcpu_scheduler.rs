//! Real-time scheduling of vCPUs.
//!
//! A FIFO or RR thread is not preempted by ordinary ones. On a CPU that has
//! nothing else to do this gains little; on any other it starves the kernel's
//! own threads there, and the host stalls. So this rule sets it only where the
//! policy asks for it and the CPUs are isolated, and warns of what is there.

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::{CpuSet, VcpuId, VcpuSet, XmlPath};
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "vcpu-scheduler",
    group: Group::GuestCpu,
    why: "A real-time vCPU is never preempted by ordinary threads, which is \
          safe only on isolated CPUs.",
    hurts: "A vCPU that spins under FIFO starves kernel threads on its CPU \
            (RCU, migration, timers): the host reports stalls and may hang.",
    folklore: "Guides give vCPUs FIFO priority against jitter; isolation \
               removes the jitter, the priority adds the danger.",
    sources: &[
        "libvirt, Domain XML format, \"CPU Tuning\": vcpusched",
        "Linux, scheduler/sched-rt-group: real-time tasks can take 95 % of a \
         CPU by default",
    ],
    level: Level::Advise,
    owns: &["/domain/cputune/vcpusched"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let real_time = cx.domain.cputune.vcpusched.iter();
    let real_time: Vec<_> =
        real_time.filter(|s| is_real_time(&s.scheduler)).collect();
    let isolated = cx.facts.topology.isolated.value();
    let cpus_of = |vcpus: &mut dyn Iterator<Item = VcpuId>| {
        vcpus
            .filter_map(|vcpu| cx.placement.vcpus.get(&vcpu))
            .fold(CpuSet::new(), |all, cpus| all.union(cpus))
    };
    if !real_time.is_empty() {
        let vcpus =
            real_time.iter().fold(VcpuSet::new(), |all, s| all.union(&s.vcpus));
        let cpus = cpus_of(&mut vcpus.iter());
        let exposed = match isolated {
            Some(isolated) => cpus.difference(isolated),
            None => cpus,
        };
        if exposed.is_empty() {
            let seen = format!("vCPUs {vcpus} are real-time on isolated CPUs");
            return Verdict::Satisfied(seen);
        }
        return Verdict::Advise(vec![format!(
            "vCPUs {vcpus} run with a real-time scheduler, and CPUs {exposed} \
             are not known to be isolated: a vCPU that spins starves the \
             kernel's threads there. Take <vcpusched> away, or isolate them."
        )]);
    }
    if cx.policy.rules.get(RULE.id) != Some(&Level::Plan) {
        return Verdict::NotApplicable(
            "no vCPU is real-time, none is asked to",
        );
    }
    let Some(isolated) = isolated else {
        let why = cx.facts.topology.isolated.reason().unwrap_or_default();
        return Verdict::Unknown { fact: "isolated CPUs", why: why.to_owned() };
    };
    let cpus = cx.placement.cpus();
    if !cx.placement.exclusive || !cpus.is_subset(isolated) {
        return Verdict::NotApplicable("the VM's CPUs are not isolated");
    }
    let vcpus: VcpuSet = cx.placement.vcpus.keys().copied().collect();
    let tune = XmlPath::domain().child("cputune");
    let place = tune.child("vcpusched").with("vcpus", vcpus);
    let because = format!("the policy asks for it, CPUs {cpus} are isolated");
    let trade = "a vCPU that spins keeps the kernel's threads off its CPU";
    let edits = vec![
        Edit::set(
            place.clone().attribute("scheduler"),
            "fifo",
            because.as_str(),
        )
        .trading(trade),
        Edit::set(place.attribute("priority"), "1", because),
    ];
    Verdict::of(edits, Vec::new(), "")
}

fn is_real_time(scheduler: &str) -> bool {
    matches!(scheduler, "fifo" | "rr")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, cpus};
    use super::*;
    use crate::model::Fact;
    use crate::model::domain::Scheduler;

    fn real_time() -> Case {
        let mut case = Case::intel(&[1, 2], 1);
        case.domain.cputune.vcpusched.push(Scheduler {
            vcpus: "0-1".parse().unwrap(),
            scheduler: "fifo".to_owned(),
            priority: Some(1),
        });
        case
    }

    #[test]
    fn real_time_without_isolation_is_advised_against() {
        let mut case = real_time();
        assert!(case.advice(&RULE)[0].contains("CPUs 1-2 are not known"));
        case.facts.topology.isolated = Fact::known(cpus("1-2"), "isolcpus");
        assert!(case.satisfied(&RULE));
        case.facts.topology.isolated = Fact::unknown("no sysfs");
        assert!(!case.advice(&RULE).is_empty());
        case.domain.cputune.vcpusched[0].scheduler = "batch".to_owned();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }

    #[test]
    fn it_is_planned_where_asked_for_and_safe() {
        let mut case = Case::intel(&[1, 2], 1);
        case.policy.rules.insert(RULE.id.to_owned(), Level::Plan);
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        case.facts.topology.isolated = Fact::known(cpus("1-4"), "isolcpus");
        let place = "/domain/cputune/vcpusched[@vcpus='0-1']";
        assert_eq!(
            case.edits(&RULE),
            [
                format!("{place}/@scheduler = fifo"),
                format!("{place}/@priority = 1"),
            ]
        );
        case.facts.topology.isolated = Fact::unknown("no sysfs");
        assert!(matches!(case.verdict(&RULE), Verdict::Unknown { .. }));
    }
}
