//! Limits on the sampling of `perf`, which are not limits on VMs.
//!
//! Sets nothing. It says so where somebody has switched the safety off.

use super::{Evaluate, Group, HostContext, Rule, Verdict};
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "perf-sampling",
    group: Group::HostCpu,
    why: "What perf may sample changes nothing for a VM, as long as nobody \
          profiles the host.",
    hurts: "Without the limit, a profile of the host may take so much of a \
            CPU that its guest, and the host, seem to hang.",
    folklore: "Guides set kernel.perf_cpu_time_max_percent=0 and \
               kernel.perf_event_max_sample_rate under the name of CPU \
               throttling. The first is the share of time that perf's own \
               interrupts may take before the kernel lowers their rate, and 0 \
               switches that watch off; the second is the highest rate. \
               Neither throttles a CPU, and no VM runs faster for them.",
    sources: &["Linux, admin-guide/sysctl/kernel: perf_cpu_time_max_percent, \
         perf_event_max_sample_rate"],
    level: Level::Off,
    owns: &[],
    evaluate: Evaluate::Host(evaluate),
};

const LIMIT: &str = "kernel.perf_cpu_time_max_percent";
/// The kernel's own limit.
const DEFAULT: u32 = 25;

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let unknown =
        |why: &str| Verdict::Unknown { fact: LIMIT, why: why.to_owned() };
    let Some(fact) = cx.facts.kernel.sysctls.get(LIMIT) else {
        return unknown("it was not read");
    };
    match fact.value().map(|text| text.parse::<u32>()) {
        None => unknown(fact.reason().unwrap_or_default()),
        Some(Err(_)) => unknown("it is no number"),
        // The kernel takes both as "do not watch".
        Some(Ok(0 | 100)) => Verdict::Advise(vec![format!(
            "set {LIMIT} back to {DEFAULT}: VMs gain nothing from a perf that \
             nobody watches"
        )]),
        Some(Ok(percent)) => {
            Verdict::Satisfied(format!("perf may take {percent} % of a CPU"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::host_fixture::HostCase;

    fn with(percent: &str) -> HostCase {
        let mut case = HostCase::new();
        let fact = Fact::known(percent.to_owned(), "/proc/sys");
        case.facts.kernel.sysctls.insert(LIMIT.to_owned(), fact);
        case
    }

    #[test]
    fn a_perf_that_nobody_watches_is_advised_against() {
        assert!(with("25").satisfied(&RULE));
        for off in ["0", "100"] {
            let advice = with(off).advice(&RULE);
            assert!(advice[0].contains("back to 25"), "{advice:?}");
        }
        assert_eq!(with("x").unknown(&RULE), Some(LIMIT));
        assert_eq!(HostCase::new().unknown(&RULE), Some(LIMIT));
    }
}
