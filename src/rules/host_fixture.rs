//! A host with everything that rules for it look at, for their tests.

use std::collections::BTreeMap;

use super::fixture::{amd, cpus, domain, placement};
use super::{Edit, Evaluate, HostContext, HostedVm, Rule, Verdict};
use crate::base::{CpuId, CpuSet};
use crate::model::domain::Domain;
use crate::model::facts::{
    BootArgument, BootArguments, Facts, IdleState, ServiceFacts,
};
use crate::model::policy::Policy;
use crate::model::{Fact, Target, VmPlacement};
use crate::placement::Reservations;

/// Everything that a rule for the host looks at, to be changed by a test
/// before it asks.
pub(super) struct HostCase {
    pub(super) facts: Facts,
    pub(super) policy: Policy,
    pub(super) housekeeping: CpuSet,
    pub(super) others: CpuSet,
    pub(super) domain: Domain,
    pub(super) placement: VmPlacement,
}

impl HostCase {
    /// [`amd`] under systemd with schedutil and deep idle states; nobody else
    /// tunes it. vm1 has CPUs 4 to 7, the host keeps core 0.
    pub(super) fn new() -> Self {
        let mut facts = amd();
        let placement = placement(&facts, &[4, 5, 6, 7], 1);
        let read = "made up";
        facts.services = ServiceFacts {
            systemd: Fact::known(true, read),
            cgroup_controllers: Fact::known(vec!["cpuset".to_owned()], read),
            tuners: Fact::known(Vec::new(), read),
            lines_of_others: Fact::known(BTreeMap::new(), read),
            claims: Fact::known(Vec::new(), read),
            programs: Fact::known(Vec::new(), read),
            network: Fact::unknown("not part of this case"),
        };
        facts.interrupts = Fact::known(Vec::new(), read);
        let kernel = &mut facts.kernel;
        kernel.irqbalance = Fact::known(false, read);
        kernel.nohz_full = Fact::known(CpuSet::new(), read);
        kernel.command_line = Fact::known("quiet".to_owned(), read);
        kernel.boot_arguments = Fact::known(
            BootArguments {
                file: "/etc/kernel/cmdline".parse().unwrap(),
                arguments: Vec::new(),
            },
            read,
        );
        let power = &mut kernel.power;
        let governors = ["performance", "schedutil"].map(str::to_owned);
        power.available_governors = Fact::known(governors.to_vec(), read);
        let domain_of = |n| (n, CpuSet::from(CpuId(n)));
        power.frequency_domains =
            Fact::known((0..32).map(domain_of).collect(), read);
        let states = [("POLL", 0), ("C1", 2), ("C6", 170)];
        let states = states.map(|(name, latency_us)| IdleState {
            name: name.to_owned(),
            latency_us,
            disabled: false,
        });
        power.idle_states = Fact::known(states.to_vec(), read);
        let mut case = Self {
            facts,
            policy: Policy::default(),
            housekeeping: cpus("0,16"),
            others: CpuSet::new(),
            domain: domain(4),
            placement,
        };
        for file in [
            "systemd/system/init.scope.d/90-vmtune.conf",
            "systemd/system/irqbalance.service.d/90-vmtune.conf",
            "systemd/system/system.slice.d/90-vmtune.conf",
            "systemd/system/user.slice.d/90-vmtune.conf",
            "tmpfiles.d/vmtune-governor.conf",
            "tmpfiles.d/vmtune-irq.conf",
            "tmpfiles.d/vmtune-latency.conf",
        ] {
            case.stands(&format!("/etc/{file}"), None);
        }
        case.stands("/proc/irq/default_smp_affinity", Some("ffffffff"));
        const CPUS: &str = "/sys/devices/system/cpu";
        for n in 0..32 {
            let governor = format!("{CPUS}/cpufreq/policy{n}/scaling_governor");
            case.stands(&governor, Some("schedutil"));
            let limit = format!("{CPUS}/cpu{n}/power/pm_qos_resume_latency_us");
            case.stands(&limit, Some("0"));
        }
        case
    }

    /// Makes a place of the host hold this.
    pub(super) fn stands(&mut self, path: &str, text: Option<&str>) {
        let fact = Fact::known(text.map(str::to_owned), path);
        self.facts.settings.insert(path.parse().unwrap(), fact);
    }

    /// Gives the next boot an argument.
    pub(super) fn argument(&mut self, file: &str, name: &str, value: &str) {
        let file = file.parse().unwrap();
        let (name, value) = (name.to_owned(), value.to_owned());
        let argument = BootArgument { file, name, value };
        let Fact::Known { value: boot, .. } =
            &mut self.facts.kernel.boot_arguments
        else {
            panic!("arguments are not known");
        };
        boot.arguments.push(argument);
    }

    /// Says that somebody else's file has a line.
    pub(super) fn other(&mut self, file: &str, line: &str) {
        let Fact::Known { value, .. } =
            &mut self.facts.services.lines_of_others
        else {
            panic!("others are not known");
        };
        value.insert(file.parse().unwrap(), vec![line.to_owned()]);
    }

    pub(super) fn verdict(&self, rule: &Rule) -> Verdict {
        let Evaluate::Host(evaluate) = rule.evaluate else {
            panic!("{} is a rule for VMs", rule.id);
        };
        let policy = self.policy.for_vm(self.domain.name.as_str());
        let vm = HostedVm {
            domain: &self.domain,
            policy: &policy,
            placement: &self.placement,
        };
        evaluate(&HostContext {
            facts: &self.facts,
            policy: &self.policy,
            housekeeping: &self.housekeeping,
            vms: &[vm],
            others: &self.others,
            neighbours: &[],
            reservations: &Reservations::default(),
        })
    }

    fn all(&self, rule: &Rule) -> Vec<Edit> {
        match self.verdict(rule) {
            Verdict::Change { edits, .. } => edits,
            _ => Vec::new(),
        }
    }

    /// What a rule changes, as `/sys/kernel/mm/ksm/run = 0` or
    /// `/etc/x removed`; of a file its lines without comments, divided by
    /// bars. Empty unless it changes something.
    pub(super) fn edits(&self, rule: &Rule) -> Vec<String> {
        let line = |edit: Edit| {
            let Some(to) = edit.to else {
                return format!("{} removed", edit.target);
            };
            let lines = to.lines().filter(|line| !line.starts_with('#'));
            let to = lines.collect::<Vec<_>>().join("|");
            format!("{} = {to}", edit.target)
        };
        self.all(rule).into_iter().map(line).collect()
    }

    /// What a rule says without changing it.
    pub(super) fn advice(&self, rule: &Rule) -> Vec<String> {
        match self.verdict(rule) {
            Verdict::Change { advice, .. } | Verdict::Advise(advice) => advice,
            _ => Vec::new(),
        }
    }

    /// Says whether a rule finds all as it should be.
    pub(super) fn satisfied(&self, rule: &Rule) -> bool {
        matches!(self.verdict(rule), Verdict::Satisfied(_))
    }

    /// Returns the fact that a rule misses.
    pub(super) fn unknown(&self, rule: &Rule) -> Option<&'static str> {
        match self.verdict(rule) {
            Verdict::Unknown { fact, .. } => Some(fact),
            _ => None,
        }
    }

    /// Makes the host what a rule wants. Each place that the rule edits must
    /// be its own, and known; then the rule has nothing more to edit.
    pub(super) fn settle(&mut self, rule: &Rule) {
        for edit in self.all(rule) {
            let pattern = edit.target.pattern();
            assert!(rule.may_edit(&pattern), "{} edits {pattern}", rule.id);
            match edit.target {
                Target::Kernel(path) | Target::File(path) => {
                    let there = self.facts.settings.get(&path);
                    assert!(there.is_some(), "{path} is not known");
                    self.stands(path.as_str(), edit.to.as_deref());
                }
                Target::Argument { file, name } => {
                    let Fact::Known { value: boot, .. } =
                        &mut self.facts.kernel.boot_arguments
                    else {
                        panic!("arguments are not known");
                    };
                    boot.arguments.retain(|one| one.name != name);
                    let to = edit.to.unwrap();
                    self.argument(file.as_str(), &name, &to);
                }
                Target::Definition(path) => panic!("{path} is a VM's"),
                Target::Conf(path) => panic!("{path} is a VM's"),
            }
        }
        assert_eq!(self.edits(rule), Vec::<String>::new(), "planned again");
    }
}
