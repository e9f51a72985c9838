//! What rules for the host look at, made up, and what a plan makes of it.

use std::collections::BTreeMap;

use vmtune::base::{CpuId, CpuSet};
use vmtune::model::facts::{
    BootArgument, BootArguments, Facts, IdleState, Interrupt, ServiceFacts,
};
use vmtune::model::{Change, Fact, Target};

use super::Seeded;

const READ: &str = "made up";
const CPUS: &str = "/sys/devices/system/cpu";

/// Draws all that a host may be tuned by.
pub fn draw(seeded: &mut Seeded, facts: &mut Facts) {
    facts.services = ServiceFacts {
        systemd: Fact::known(seeded.chance(90), READ),
        cgroup_controllers: Fact::known(vec!["cpuset".to_owned()], READ),
        tuners: Fact::known(
            match seeded.chance(10) {
                true => vec!["tuned".to_owned()],
                false => Vec::new(),
            },
            READ,
        ),
        lines_of_others: Fact::known(BTreeMap::new(), READ),
        ..ServiceFacts::unknown(READ)
    };
    let kernel = &mut facts.kernel;
    kernel.irqbalance = Fact::known(seeded.chance(50), READ);
    kernel.nohz_full = Fact::known(CpuSet::new(), READ);
    kernel.boot_arguments = Fact::known(
        BootArguments {
            file: "/etc/kernel/cmdline".parse().unwrap(),
            arguments: Vec::new(),
        },
        READ,
    );
    let governors = ["performance", "powersave"].map(str::to_owned);
    let power = &mut kernel.power;
    power.available_governors = Fact::known(governors.to_vec(), READ);
    let states = [("POLL", 0), ("C1", 2), ("C6", 170)];
    let states = states.map(|(name, latency_us)| IdleState {
        name: name.to_owned(),
        latency_us,
        disabled: false,
    });
    power.idle_states = Fact::known(states.to_vec(), READ);
    let domain = |cpu: CpuId| (cpu.0, CpuSet::from(cpu));
    let domains: BTreeMap<_, _> =
        facts.topology.online.iter().map(domain).collect();
    power.frequency_domains = Fact::known(domains, READ);
    interrupts(seeded, facts);
    settings(seeded, facts);
}

/// Gives each function two interrupts.
fn interrupts(seeded: &mut Seeded, facts: &mut Facts) {
    let functions = facts.pci.value().cloned().unwrap_or_default();
    let devices = functions.iter().flat_map(|f| [f.address, f.address]);
    let all = (24..).zip(devices).map(|(number, device)| Interrupt {
        number,
        device,
        effective: Fact::unknown(READ),
        movable: Fact::known(seeded.chance(80), READ),
    });
    facts.interrupts = Fact::known(all.collect(), READ);
}

fn settings(seeded: &mut Seeded, facts: &mut Facts) {
    let online = facts.topology.online.clone();
    let mut stands = |path: String, text: Option<String>| {
        let fact = Fact::known(text, READ);
        facts.settings.insert(path.parse().unwrap(), fact);
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
        stands(format!("/etc/{file}"), None);
    }
    if seeded.chance(50) {
        for unit in ["init.scope", "system.slice", "user.slice"] {
            let path = format!("/sys/fs/cgroup/{unit}/cpuset.cpus");
            stands(path, Some(online.to_string()));
        }
    }
    let mask = online.to_mask("");
    stands("/proc/irq/default_smp_affinity".to_owned(), Some(mask));
    for cpu in online.iter() {
        let policy = format!("{CPUS}/cpufreq/policy{cpu}");
        let governor = *seeded.pick(&["powersave", "performance"]);
        stands(format!("{policy}/scaling_governor"), Some(governor.into()));
        let limit = format!("{CPUS}/cpu{cpu}/power/pm_qos_resume_latency_us");
        let now = *seeded.pick(&["0", "0", "1", "n/a"]);
        stands(limit, Some(now.to_owned()));
    }
    let interrupts = facts.interrupts.value().cloned().unwrap_or_default();
    for interrupt in interrupts {
        let fact = Fact::known(Some(online.to_string()), READ);
        let path = interrupt.setting().parse().unwrap();
        facts.settings.insert(path, fact);
    }
}

/// Returns the facts of the same host after a plan's changes were made, and
/// it was started anew where they wait for that.
pub fn settled(facts: &Facts, changes: &[Change]) -> Facts {
    let mut facts = facts.clone();
    for change in changes {
        match &change.target {
            Target::Definition(_) | Target::Conf(_) => {}
            Target::Kernel(path) | Target::File(path) => {
                let fact = Fact::known(change.to.clone(), READ);
                facts.settings.insert(path.clone(), fact);
            }
            Target::Argument { file, name } => {
                let boot = &mut facts.kernel.boot_arguments;
                let Fact::Known { value: boot, .. } = boot else { continue };
                boot.arguments
                    .retain(|one| (&one.file, &one.name) != (file, name));
                boot.arguments.extend(change.to.clone().map(|value| {
                    let (file, name) = (file.clone(), name.clone());
                    BootArgument { file, name, value }
                }));
            }
        }
    }
    facts
}
