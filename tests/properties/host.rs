//! Judges what a plan changes on the host.

use vmtune::base::{CpuId, CpuSet};
use vmtune::model::VmPlan;
use vmtune::model::policy::Isolation;
use vmtune::planner::Planned;
use vmtune::rules::{Edit, RULES};

use super::{Case, owned};

/// Judges what changes on the host: each rule its own, and the host keeps
/// CPUs that no VM has.
pub(super) fn judge(case: &Case, planned: &Planned) -> Result<(), String> {
    let online = &case.facts.topology.online;
    let alone = |vm: &VmPlan| {
        let placement = vm.placement.as_ref().unwrap();
        let policy = case.policy.for_vm(vm.name.as_str());
        match placement.exclusive && policy.cpu.isolation != Isolation::None {
            true => placement.cpus().union(&placement.reserved),
            false => CpuSet::new(),
        }
    };
    let alone = planned.plan.vms.iter().map(alone);
    let alone = alone.fold(CpuSet::new(), |all, cpus| all.union(&cpus));
    for change in planned.plan.changes.iter().filter(|c| c.vm.is_none()) {
        let rule = RULES.iter().find(|rule| rule.id == change.rule).unwrap();
        let to = change.to.clone();
        let edit = Edit { to, ..Edit::set(change.target.clone(), "", "") };
        owned(rule, &edit)?;
        let text = change.to.as_deref().unwrap_or_default();
        let lines = text.lines();
        let allowed = lines.filter_map(|l| l.strip_prefix("AllowedCPUs="));
        for list in allowed.filter(|list| !list.is_empty()) {
            let cpus: CpuSet = list.parse().unwrap();
            if !cpus.is_subset(online) || cpus.intersects(&alone) {
                return Err(format!("the host gets CPUs {cpus}"));
            }
        }
        if change.target.pattern() == "#isolcpus"
            && !text.ends_with(&alone.to_string())
            && !alone.contains(CpuId(0))
            && case.neighbours.is_empty()
        {
            return Err(format!("{text} are isolated, not {alone}"));
        }
    }
    Ok(())
}
