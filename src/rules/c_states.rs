//! A limit on how deep the CPUs that VMs have to themselves may sleep.
//!
//! A CPU that sleeps deeply needs up to a millisecond to come back, and the
//! guest waits for it. The kernel takes the limit for each CPU and at run
//! time (PM QoS): 0 is none, a number is microseconds, "n/a" allows no sleep
//! at all, and the CPU polls. The limit set here is what leaving the lightest
//! idle state takes, so that a CPU still halts, and its SMT sibling and the
//! package's turbo still gain from it.
//!
//! Off unless the policy asks for it, as the preset `latency` does: a guest
//! that is busy does not sleep, KVM polls for a moment before it lets a CPU
//! sleep, and deep sleep of some cores is what lets others run faster.

use super::{
    AFTER_BOOT, Edit, Evaluate, Group, HostContext, Rule, Verdict, filled,
    place,
};
use crate::base::{CpuSet, HostPath};
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "c-states",
    group: Group::HostCpu,
    why: "A CPU that sleeps lightly is back for its guest within \
          microseconds.",
    hurts: "CPUs that are never deeply asleep draw several watts each, and \
            the others lose turbo.",
    folklore: "Guides boot with processor.max_cstate=1 intel_idle.max_cstate=0 \
               and run cpupower idle-set -D 0. The second switches \
               intel_idle off, the third all idle states, the lightest too: \
               every CPU of the host then polls, which starves SMT siblings \
               and leaves no turbo. idle=poll does the same.",
    sources: &[
        "Linux, admin-guide/pm/cpuidle: power management quality of service \
         for CPUs",
        "Linux, ABI/testing/sysfs-devices-power: pm_qos_resume_latency_us",
        "Linux, admin-guide/pm/intel_idle: max_cstate",
    ],
    level: Level::Off,
    owns: &["/sys/devices/system/cpu/*/power/pm_qos_resume_latency_us", FILE],
    evaluate: Evaluate::Host(evaluate),
};

const FILE: &str = "/etc/tmpfiles.d/vmtune-latency.conf";
const TEMPLATE: &str = include_str!("../../templates/host/tmpfiles.conf");
/// What the kernel calls the state in which a CPU does not sleep.
const POLL: &str = "POLL";

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let cpus = cx.exclusive_cpus();
    if cpus.is_empty() {
        return cx.without(&[FILE], "no VM has CPUs to itself");
    }
    let states = &cx.facts.kernel.power.idle_states;
    let (Some(all), Some(origin)) = (states.value(), states.origin()) else {
        let why = states.reason().unwrap_or_default().to_owned();
        return Verdict::Unknown { fact: "idle states", why };
    };
    let sleeps = || all.iter().filter(|state| state.name != POLL);
    let Some(lightest) = sleeps().next() else {
        return Verdict::NotApplicable("the CPUs have no idle states");
    };
    // 0 would be no limit.
    let limit = lightest.latency_us.max(1);
    let deepest = sleeps().max_by_key(|state| state.latency_us);
    let Some(deepest) = deepest.filter(|state| state.latency_us > limit) else {
        return Verdict::NotApplicable("no idle state is deeper");
    };
    let because = format!(
        "leaving {} takes {} µs, {} {} µs ({origin}); VMs have CPUs {cpus} to \
         themselves",
        deepest.name, deepest.latency_us, lightest.name, lightest.latency_us
    );
    let trade = "the CPUs draw more power while their guests are idle";
    let (mut edits, mut limited) = (Vec::new(), CpuSet::new());
    for cpu in cpus.iter() {
        let path = setting(cpu.0);
        let Some(now) = cx.setting(&path) else {
            let why = format!("{path} was not read");
            return Verdict::Unknown { fact: "limits on idle states", why };
        };
        match now.parse() {
            // Another's limit is as strict, or stricter: "n/a".
            Err(_) => continue,
            Ok(now) if (1..limit).contains(&now) => continue,
            Ok(now) if now == limit => {}
            Ok(_) => {
                let target = Target::Kernel(path);
                let edit = Edit::set(target, limit.to_string(), &because);
                edits.push(edit.at(Stage::Now).trading(trade));
            }
        }
        limited.insert(cpu);
    }
    let file = place(FILE);
    let seen = format!("CPUs {cpus} sleep no deeper than {}", lightest.name);
    if edits.is_empty() && cx.setting(&file).is_none() {
        return Verdict::Satisfied(seen);
    }
    let line = |cpu: crate::base::CpuId| {
        format!("w {} - - - - {limit}", setting(cpu.0))
    };
    let lines = limited.iter().map(line).collect::<Vec<_>>().join("\n");
    let what = format!("CPUs {limited} are VMs' and wake up quickly.");
    let text = filled(TEMPLATE, &[("what", &what), ("lines", &lines)]);
    if cx.setting(&file) != Some(&text) {
        let edit = Edit::set(Target::File(file), text, AFTER_BOOT);
        edits.push(edit.at(Stage::Now));
    }
    Verdict::of(edits, Vec::new(), seen)
}

fn setting(cpu: u32) -> HostPath {
    place(format!(
        "/sys/devices/system/cpu/cpu{cpu}/power/pm_qos_resume_latency_us"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::host_fixture::HostCase;

    fn limit(cpu: u32, to: &str) -> String {
        format!("{} = {to}", setting(cpu))
    }

    #[test]
    fn the_lightest_idle_state_stays_allowed() {
        let mut case = HostCase::new();
        let edits = case.edits(&RULE);
        let limits: Vec<_> = (4..8).map(|cpu| limit(cpu, "2")).collect();
        assert_eq!(edits[..4], limits);
        let line = format!("{FILE} = w {} - - - - 2|w ", setting(4));
        assert!(edits[4].starts_with(&line), "{}", edits[4]);
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
        case.placement.exclusive = false;
        assert_eq!(case.edits(&RULE), [format!("{FILE} removed")]);
    }

    #[test]
    fn a_stricter_limit_is_kept() {
        let mut case = HostCase::new();
        case.stands(setting(4).as_str(), Some("n/a"));
        case.stands(setting(5).as_str(), Some("1"));
        case.stands(setting(6).as_str(), Some("50"));
        let edits = case.edits(&RULE);
        assert_eq!(edits[..2], [limit(6, "2"), limit(7, "2")]);
        assert!(!edits[2].contains("cpu4"));
        case.settle(&RULE);
    }

    #[test]
    fn where_nothing_sleeps_deeply_nothing_is_set() {
        for keep in [1, 2] {
            let mut case = HostCase::new();
            let power = &mut case.facts.kernel.power;
            if let Fact::Known { value, .. } = &mut power.idle_states {
                value.truncate(keep);
            }
            assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        }
        let mut case = HostCase::new();
        case.facts.kernel.power.idle_states = Fact::unknown("no cpuidle");
        assert_eq!(case.unknown(&RULE), Some("idle states"));
        let mut case = HostCase::new();
        case.facts.settings.clear();
        assert_eq!(case.unknown(&RULE), Some("limits on idle states"));
    }

    #[test]
    fn no_latency_at_all_would_be_no_limit() {
        let mut case = HostCase::new();
        let power = &mut case.facts.kernel.power;
        if let Fact::Known { value, .. } = &mut power.idle_states {
            value[1].latency_us = 0;
        }
        assert_eq!(case.edits(&RULE)[0], limit(4, "1"));
    }
}
