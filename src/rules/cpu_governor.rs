//! Full frequency on the CPUs that VMs have to themselves.
//!
//! A governor sees how busy a CPU is and follows. A guest that waits for an
//! answer looks idle, and gets its answer on a slow CPU. Only the VMs' CPUs
//! are set: the others may save power, which is room for turbo. Where the
//! hardware chooses (HWP, CPPC) the hint is set before the governor, because
//! under `performance` the drivers refuse it.

use super::{
    AFTER_BOOT, Edit, Evaluate, Group, HostContext, Rule, Verdict, filled,
    place,
};
use crate::base::{CpuSet, HostPath};
use crate::model::policy::Level;
use crate::model::{Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "cpu-governor",
    group: Group::HostCpu,
    why: "A CPU that is slowed down between requests answers the next one \
          late.",
    hurts: "The CPUs draw more power whenever they are not in an idle state, \
            and leave less of the package's turbo to others. CPUs of one \
            frequency domain are set together.",
    folklore: "Guides write `performance` with > to cpu*/cpufreq/\
               scaling_governor, which a shell refuses where that is more \
               than one file, and which is gone after a boot; a sysctl cannot \
               set it. Values of scaling_cur_freq cannot be written, and one \
               reading of it says nothing. cpupower and cpufreq-set change \
               all CPUs of the host.",
    sources: &[
        "Linux, admin-guide/pm/cpufreq",
        "Linux, admin-guide/pm/intel_pstate: energy vs performance hints",
        "Linux, admin-guide/pm/amd-pstate",
        "tmpfiles.d(5): w",
    ],
    level: Level::Plan,
    owns: &[
        "/sys/devices/system/cpu/cpufreq/*/energy_performance_preference",
        "/sys/devices/system/cpu/cpufreq/*/scaling_governor",
        FILE,
    ],
    evaluate: Evaluate::Host(evaluate),
};

const FILE: &str = "/etc/tmpfiles.d/vmtune-governor.conf";
const TEMPLATE: &str = include_str!("../../templates/host/tmpfiles.conf");
/// The governor, and the hint to the hardware.
const FAST: &str = "performance";
/// Programs that set governors, for all CPUs.
const OWNERS: [&str; 6] = [
    "auto-cpufreq",
    "cpufrequtils",
    "cpupower",
    "power-profiles-daemon",
    "tlp",
    "tuned",
];

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let cpus = cx.exclusive_cpus();
    if cpus.is_empty() {
        return cx.without(&[FILE], "no VM has CPUs to itself");
    }
    let unknown = |fact, why: Option<&str>| Verdict::Unknown {
        fact,
        why: why.unwrap_or("it was not read").to_owned(),
    };
    let power = &cx.facts.kernel.power;
    let Some(domains) = power.frequency_domains.value() else {
        return unknown("frequency domains", power.frequency_domains.reason());
    };
    let mine = || domains.iter().filter(|(_, own)| own.intersects(&cpus));
    if mine().next().is_none() {
        return Verdict::NotApplicable("the CPUs have no frequency scaling");
    }
    let governors = &power.available_governors;
    match governors.value() {
        Some(names) if names.iter().any(|name| name == FAST) => {}
        Some(_) => {
            return Verdict::NotApplicable("there is no such governor");
        }
        None => return unknown("governors", governors.reason()),
    }
    let set = mine().fold(CpuSet::new(), |all, (_, own)| all.union(own));
    let trade = match set.difference(&cpus) {
        more if more.is_empty() => "more power is drawn".to_owned(),
        more => format!(
            "more power is drawn, by CPUs {more} too: they change their \
             frequency with the VMs'"
        ),
    };
    let (mut edits, mut lines) = (Vec::new(), Vec::new());
    for (n, _) in mine() {
        for name in ["energy_performance_preference", "scaling_governor"] {
            let path = setting(*n, name);
            let Some(now) = cx.setting(&path) else {
                // Only drivers of hardware that chooses have the hint.
                match name {
                    "scaling_governor" => return unknown("governors", None),
                    _ => continue,
                }
            };
            lines.push(format!("w {path} - - - - {FAST}"));
            if now != FAST {
                let because = format!(
                    "{now} slows CPUs down while their guest waits; VMs have \
                     CPUs {cpus} to themselves"
                );
                let edit = Edit::set(Target::Kernel(path), FAST, because);
                edits.push(edit.at(Stage::Now).trading(&trade));
            }
        }
    }
    let file = place(FILE);
    let seen = format!("CPUs {set} have the governor {FAST}");
    if edits.is_empty() && cx.setting(&file).is_none() {
        return Verdict::Satisfied(seen);
    }
    let tuners = &cx.facts.services.tuners;
    let Some(tuners) = tuners.value() else {
        return unknown("programs that tune", tuners.reason());
    };
    let owner = tuners.iter().find(|name| OWNERS.contains(&name.as_str()));
    if let Some(owner) = owner {
        return Verdict::Advise(vec![format!(
            "set the governor of CPUs {set} to {FAST} by {owner}, which sets \
             governors on this host and would undo what vmtune sets; or \
             disable it, and plan again"
        )]);
    }
    let what = format!("CPUs {cpus} are VMs' and run at full frequency.");
    let lines = lines.join("\n");
    let text = filled(TEMPLATE, &[("what", &what), ("lines", &lines)]);
    if cx.setting(&file) != Some(&text) {
        let edit = Edit::set(Target::File(file), text, AFTER_BOOT);
        edits.push(edit.at(Stage::Now));
    }
    Verdict::of(edits, Vec::new(), seen)
}

fn setting(policy: u32, name: &str) -> HostPath {
    place(format!("/sys/devices/system/cpu/cpufreq/policy{policy}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CpuId;
    use crate::model::Fact;
    use crate::rules::fixture::cpus;
    use crate::rules::host_fixture::HostCase;

    fn path(n: u32, name: &str) -> String {
        setting(n, name).to_string()
    }

    #[test]
    fn the_vms_cpus_are_fast_and_stay_so() {
        let mut case = HostCase::new();
        let edits = case.edits(&RULE);
        let governors: Vec<_> = (4..8)
            .map(|n| format!("{} = {FAST}", path(n, "scaling_governor")))
            .collect();
        assert_eq!(edits[..4], governors);
        assert!(edits[4].starts_with(&format!(
            "{FILE} = w {} - - - - {FAST}|w ",
            path(4, "scaling_governor")
        )));
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn what_is_fast_already_gets_no_file() {
        let mut case = HostCase::new();
        for n in 4..8 {
            case.stands(&path(n, "scaling_governor"), Some(FAST));
        }
        assert!(case.satisfied(&RULE));
    }

    /// Under the governor the drivers refuse the hint, so when all is undone
    /// from the last to the first, the governor must go first.
    #[test]
    fn the_hint_is_set_before_the_governor() {
        let mut case = HostCase::new();
        case.placement.vcpus.retain(|vcpu, _| vcpu.0 == 0);
        let hint = path(4, "energy_performance_preference");
        case.stands(&hint, Some("balance_performance"));
        let edits = case.edits(&RULE);
        assert_eq!(edits[0], format!("{hint} = {FAST}"));
        assert!(edits[1].contains("scaling_governor"));
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
    }

    #[test]
    fn cpus_that_go_along_are_told() {
        let mut case = HostCase::new();
        let domain = (4, cpus("3-7"));
        case.facts.kernel.power.frequency_domains =
            Fact::known([domain].into(), "made up");
        let Verdict::Change { edits, .. } = case.verdict(&RULE) else {
            panic!("nothing is changed");
        };
        assert_eq!(edits.len(), 2);
        assert!(edits[0].trade.as_deref().unwrap().contains("CPUs 3 too"));
        case.settle(&RULE);
    }

    #[test]
    fn a_program_that_sets_governors_is_asked_to() {
        for owner in ["tuned", "power-profiles-daemon", "cpupower"] {
            let mut case = HostCase::new();
            case.facts.services.tuners =
                Fact::known(vec![owner.to_owned()], "made up");
            assert_eq!(case.edits(&RULE), [""; 0]);
            assert!(case.advice(&RULE)[0].contains(&format!("by {owner},")));
        }
        let mut case = HostCase::new();
        case.facts.services.tuners =
            Fact::known(vec!["ksmtuned".to_owned()], "made up");
        assert_eq!(case.edits(&RULE).len(), 5);
    }

    #[test]
    fn there_may_be_nothing_to_set() {
        let mut case = HostCase::new();
        let power = &mut case.facts.kernel.power;
        power.frequency_domains = Fact::known([].into(), "made up");
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = HostCase::new();
        let power = &mut case.facts.kernel.power;
        power.available_governors =
            Fact::known(vec!["powersave".to_owned()], "made up");
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = HostCase::new();
        case.placement.exclusive = false;
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        case.stands(FILE, Some("w"));
        assert_eq!(case.edits(&RULE), [format!("{FILE} removed")]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut case = HostCase::new();
        case.facts.kernel.power.frequency_domains = Fact::unknown("no sysfs");
        assert_eq!(case.unknown(&RULE), Some("frequency domains"));
        let mut case = HostCase::new();
        case.facts.settings.clear();
        assert_eq!(case.unknown(&RULE), Some("governors"));
        let mut case = HostCase::new();
        case.facts.services.tuners = Fact::unknown("no /proc");
        assert_eq!(case.unknown(&RULE), Some("programs that tune"));
        let mut case = HostCase::new();
        let domain = (4, CpuSet::from(CpuId(9)));
        case.facts.kernel.power.frequency_domains =
            Fact::known([domain].into(), "made up");
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
    }
}
