//! Keeps irqbalance off the CPUs that VMs have to themselves.
//!
//! irqbalance spreads interrupts over all CPUs every ten seconds, and undoes
//! what was set by hand. It is useful for all other CPUs, so it is told which
//! ones to leave alone, and not stopped.

use super::{Edit, Evaluate, Group, HostContext, Rule, Verdict, filled, place};
use crate::base::{CpuSet, HostPath};
use crate::model::policy::{Isolation, Level};
use crate::model::{Stage, Target};

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "irqbalance-ban",
    group: Group::HostIo,
    why: "Interrupts that irqbalance moves around must not land on a vCPU's \
          CPU.",
    hurts: "The other CPUs serve all interrupts. With a list of its own \
            irqbalance no longer finds isolated CPUs by itself; the list has \
            them too.",
    folklore: "Guides stop and disable irqbalance and run a vendor's script \
               once: new interrupts then stay where they begin, nobody moves \
               them when the load changes, and nothing undoes it. Some set \
               the mask IRQBALANCE_BANNED_CPUS, which later versions drop for \
               IRQBALANCE_BANNED_CPULIST.",
    sources: &[
        "irqbalance(1), ENVIRONMENT VARIABLES",
        "irqbalance, cputree.c, setup_banned_cpus: a list that is given \
         replaces isolated and nohz_full CPUs",
        "systemd.exec(5): EnvironmentFile= overrides Environment=",
    ],
    level: Level::Plan,
    owns: &[FILE],
    evaluate: Evaluate::Host(evaluate),
};

const FILE: &str = "/etc/systemd/system/irqbalance.service.d/90-vmtune.conf";
const TEMPLATE: &str = include_str!("../../templates/host/irqbalance.conf");
/// Files from which the service takes variables, and which win over a
/// drop-in.
const OTHERS: [&str; 2] =
    ["/etc/default/irqbalance", "/etc/sysconfig/irqbalance"];
const LIST: &str = "IRQBALANCE_BANNED_CPULIST";

fn evaluate(cx: &HostContext<'_>) -> Verdict {
    let cpus = cx.isolated_by(|how| how != Isolation::None);
    if cpus.is_empty() {
        return cx.without(&[FILE], "the policy isolates no VM's CPUs");
    }
    let unknown = |fact, why: Option<&str>| Verdict::Unknown {
        fact,
        why: why.unwrap_or_default().to_owned(),
    };
    let kernel = &cx.facts.kernel;
    match kernel.irqbalance.value() {
        Some(true) => {}
        Some(false) => {
            return Verdict::NotApplicable("irqbalance does not run");
        }
        None => return unknown("irqbalance", kernel.irqbalance.reason()),
    }
    let services = &cx.facts.services;
    let Some(systemd) = services.systemd.value() else {
        return unknown("systemd", services.systemd.reason());
    };
    let others = &services.lines_of_others;
    let Some(others) = others.value() else {
        return unknown("settings of others", others.reason());
    };
    let none = CpuSet::new();
    let isolated = cx.facts.topology.isolated.value().unwrap_or(&none);
    let tickless = kernel.nohz_full.value().unwrap_or(&none);
    let banned = cpus.union(isolated).union(tickless);
    for (file, lines) in others {
        if !OTHERS.contains(&file.as_str()) {
            continue;
        }
        let said = |line: &String| {
            let (name, value) = line.split_once('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            (name == LIST).then(|| value.parse::<CpuSet>().ok()).flatten()
        };
        if lines.iter().filter_map(said).any(|set| banned.is_subset(&set)) {
            return Verdict::Satisfied(format!("{file} bans CPUs {banned}"));
        }
        return Verdict::Advise(vec![format!(
            "{file} says {}, which wins over what vmtune could write: make it \
             {LIST}={banned} and restart irqbalance",
            lines.join(", ")
        )]);
    }
    if !systemd {
        return Verdict::Advise(vec![format!(
            "start irqbalance with {LIST}={banned} in its environment: it \
             sends interrupts to CPUs that VMs have to themselves"
        )]);
    }
    let file: HostPath = place(FILE);
    let values = [("cpus", banned.to_string()), ("mask", banned.to_mask(""))];
    let values = values.each_ref().map(|(name, text)| (*name, text.as_str()));
    let text = filled(TEMPLATE, &values);
    let seen = format!("irqbalance leaves CPUs {banned} alone");
    let origin = kernel.irqbalance.origin().map(ToString::to_string);
    let because = format!(
        "irqbalance runs ({}), VMs have CPUs {cpus} to themselves",
        origin.unwrap_or_default()
    );
    let mut edits = Vec::new();
    if cx.setting(&file) != Some(&text) {
        let edit = Edit::set(Target::File(file), text, because);
        edits.push(edit.at(Stage::Now));
    }
    Verdict::of(edits, Vec::new(), seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::rules::fixture::cpus;
    use crate::rules::host_fixture::HostCase;

    fn balanced() -> HostCase {
        let mut case = HostCase::new();
        case.facts.kernel.irqbalance = Fact::known(true, "/proc/*/comm");
        case
    }

    fn bans(cpus: &str, mask: &str) -> String {
        format!(
            "{FILE} = [Service]|Environment={LIST}={cpus}|\
             Environment=IRQBALANCE_BANNED_CPUS={mask}"
        )
    }

    #[test]
    fn it_is_told_by_a_list_and_by_a_mask() {
        let mut case = balanced();
        assert_eq!(case.edits(&RULE), [bans("4-7", "f0")]);
        case.settle(&RULE);
        assert!(case.satisfied(&RULE));
        case.policy.cpu.isolation = Isolation::None;
        assert_eq!(case.edits(&RULE), [format!("{FILE} removed")]);
        case.settle(&RULE);
    }

    /// A list of its own makes irqbalance forget what it finds by itself.
    #[test]
    fn cpus_that_the_kernel_isolated_stay_banned() {
        let mut case = balanced();
        case.facts.topology.isolated = Fact::known(cpus("12"), "sysfs");
        case.facts.kernel.nohz_full = Fact::known(cpus("13"), "sysfs");
        assert_eq!(case.edits(&RULE), [bans("4-7,12-13", "30f0")]);
    }

    #[test]
    fn where_it_does_not_run_it_needs_no_telling() {
        let case = HostCase::new();
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        let mut case = balanced();
        case.facts.kernel.irqbalance = Fact::unknown("no /proc");
        assert_eq!(case.unknown(&RULE), Some("irqbalance"));
        let mut case = balanced();
        case.facts.services.lines_of_others = Fact::unknown("no /etc");
        assert_eq!(case.unknown(&RULE), Some("settings of others"));
    }

    #[test]
    fn a_file_that_wins_is_for_its_owner_to_change() {
        let file = "/etc/default/irqbalance";
        let mut case = balanced();
        case.other(file, &format!("{LIST}=4-5"));
        assert_eq!(case.edits(&RULE), [""; 0]);
        let said = format!("{file} says {LIST}=4-5, which wins");
        assert!(case.advice(&RULE)[0].starts_with(&said));
        case.other(file, &format!("{LIST}=\"2-7\""));
        assert!(case.satisfied(&RULE));
        case.other(file, "IRQBALANCE_BANNED_CPUS=f0");
        assert_eq!(case.advice(&RULE).len(), 1, "later versions drop it");
    }

    #[test]
    fn without_systemd_it_is_advice() {
        let mut case = balanced();
        case.facts.services.systemd = Fact::known(false, "/run");
        assert!(case.advice(&RULE)[0].contains(&format!("{LIST}=4-7")));
    }
}
