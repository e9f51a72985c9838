//! Frequency scaling and idle states.

use std::collections::BTreeMap;

use crate::base::CpuSet;
use crate::host::{Root, text};
use crate::model::Fact;
use crate::model::facts::{CpuPower, IdleState};

const CPUFREQ: &str = "sys/devices/system/cpu/cpufreq";
const CPUIDLE: &str = "sys/devices/system/cpu/cpu0/cpuidle";

/// Reads governors and idle states.
pub(super) fn read(root: &Root) -> CpuPower {
    let policies = match root.list(CPUFREQ) {
        Ok(names) => numbered(&names, "policy"),
        Err(e) => {
            let unknown = e.reason();
            return CpuPower {
                driver: Fact::unknown(&unknown),
                governors: Fact::unknown(&unknown),
                available_governors: Fact::unknown(&unknown),
                frequency_domains: match root.is_complete() {
                    true => Fact::known(BTreeMap::new(), unknown),
                    false => Fact::unknown(unknown),
                },
                idle_states: idle_states(root),
            };
        }
    };
    let of_first = |name: &str| {
        policies.first().map_or_else(
            || Err(format!("/{CPUFREQ} has no policy")),
            |n| Ok(format!("{CPUFREQ}/policy{n}/{name}")),
        )
    };
    let words = |text: &str| {
        let mut words: Vec<_> =
            text.split_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        Some(words)
    };
    CpuPower {
        driver: match of_first("scaling_driver") {
            Ok(path) => root.fact(&path, |text| Some(text.to_owned())),
            Err(unknown) => Fact::unknown(unknown),
        },
        governors: governors(root, &policies),
        available_governors: match of_first("scaling_available_governors") {
            Ok(path) => root.fact(&path, words),
            Err(unknown) => Fact::unknown(unknown),
        },
        frequency_domains: domains(root, &policies),
        idle_states: idle_states(root),
    }
}

fn domains(root: &Root, policies: &[u32]) -> Fact<BTreeMap<u32, CpuSet>> {
    let mut domains = BTreeMap::new();
    for n in policies {
        let path = format!("{CPUFREQ}/policy{n}/affected_cpus");
        match root.fact(&path, text::cpu_words) {
            Fact::Known { value, .. } => {
                domains.insert(*n, value);
            }
            Fact::Unknown { unknown } => return Fact::unknown(unknown),
        }
    }
    // A policy whose CPUs are all offline changes nobody's frequency.
    domains.retain(|_, cpus| !cpus.is_empty());
    Fact::known(domains, format!("/{CPUFREQ}/policy*/affected_cpus"))
}

fn governors(root: &Root, policies: &[u32]) -> Fact<BTreeMap<String, CpuSet>> {
    let mut governors: BTreeMap<String, CpuSet> = BTreeMap::new();
    for n in policies {
        let folder = format!("{CPUFREQ}/policy{n}");
        let governor = root.read(&format!("{folder}/scaling_governor"));
        let cpus =
            root.fact(&format!("{folder}/affected_cpus"), text::cpu_words);
        // A policy whose CPUs are all offline has neither.
        if let (Ok(governor), Some(cpus)) = (governor, cpus.value()) {
            let of = governors.entry(governor.trim().to_owned()).or_default();
            *of = of.union(cpus);
        }
    }
    if governors.is_empty() {
        return Fact::unknown(format!("/{CPUFREQ} has no governor"));
    }
    Fact::known(governors, format!("/{CPUFREQ}/policy*/scaling_governor"))
}

fn idle_states(root: &Root) -> Fact<Vec<IdleState>> {
    let states = match root.list(CPUIDLE) {
        Ok(names) => numbered(&names, "state"),
        Err(e) => return Fact::unknown(e.reason()),
    };
    let read = |n: u32, name: &str| {
        let text = root.read(&format!("{CPUIDLE}/state{n}/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    let state = |n: u32| {
        Some(IdleState {
            name: read(n, "name")?,
            latency_us: read(n, "latency")?.parse().ok()?,
            disabled: read(n, "disable")? != "0",
        })
    };
    match states.iter().map(|n| state(*n)).collect() {
        Some(states) => Fact::known(states, format!("/{CPUIDLE}")),
        None => Fact::unknown(format!("/{CPUIDLE} has a form of its own")),
    }
}

fn numbered(names: &[String], prefix: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = names
        .iter()
        .filter_map(|name| text::number_after(name, prefix))
        .collect();
    numbers.sort_unstable();
    numbers
}
