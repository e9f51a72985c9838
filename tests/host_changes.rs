//! Plans that tune the host: what they change on whole hosts, and that a
//! second plan finds nothing left to change.

mod support;

use support::cpu_settings::settled;
use support::vms::{Vm, subject};
use vmtune::base::CpuSet;
use vmtune::host::{Source, collect};
use vmtune::model::facts::{BootArguments, Facts};
use vmtune::model::policy::{Isolation, Level, Policy};
use vmtune::model::{Change, Fact, Plan, Stage, Target};
use vmtune::planner::{Inputs, Neighbour, plan};
use vmtune::policy::preset;
use vmtune::rules::{Evaluate, RULES};

const SYSTEM: &str = "/etc/systemd/system/system.slice.d/90-vmtune.conf";

/// Where arguments of the example host's kernel go.
const DROP_IN: &str = "/etc/default/grub.d/zz-vmtune.cfg";

fn host(name: &str) -> Facts {
    let text = match name {
        "epyc" => include_str!("../examples/host.json"),
        "desktop" => include_str!("hosts/desktop-1s.json"),
        "hybrid" => include_str!("hosts/hybrid.json"),
        "no-smt" => include_str!("hosts/no-smt.json"),
        _ => include_str!("hosts/cxl.json"),
    };
    let (name, text) = (format!("{name}.json"), text.to_owned());
    let mut facts = collect(&Source::FactsJson { name, text }).unwrap();
    if facts.kernel.boot_arguments.value().is_none() {
        let file = "/etc/kernel/cmdline".parse().unwrap();
        let boot = BootArguments { file, arguments: Vec::new() };
        facts.kernel.boot_arguments = Fact::known(boot, "made up");
    }
    facts
}

fn planned(
    facts: &Facts,
    policy: &Policy,
    text: &str,
    neighbours: &[Neighbour],
) -> Plan {
    let inputs = Inputs {
        facts,
        policy,
        subjects: &[subject(text)],
        neighbours,
        connection: "files",
    };
    plan(&inputs).unwrap().plan
}

/// The example that `make run` plans.
fn example(facts: &Facts, policy: &Policy) -> Plan {
    planned(facts, policy, include_str!("../examples/vm1.xml"), &[])
}

fn of_host(plan: &Plan) -> Vec<&Change> {
    plan.changes.iter().filter(|change| change.vm.is_none()).collect()
}

fn to<'p>(plan: &'p Plan, target: &str) -> Option<&'p str> {
    let mut changes = plan.changes.iter();
    let change = changes.find(|c| c.target.to_string() == target)?;
    change.to.as_deref()
}

#[test]
fn the_example_host_is_tuned_at_once() {
    let facts = host("epyc");
    let plan = example(&facts, &Policy::default());
    let mut rules: Vec<_> =
        of_host(&plan).iter().map(|change| change.rule.as_str()).collect();
    rules.dedup();
    assert_eq!(
        rules,
        [
            "cpu-isolation",
            "irqbalance-ban",
            "irq-affinity",
            "cpu-governor",
            "numa-balancing",
            "iommu-passthrough"
        ]
    );
    for change in of_host(&plan) {
        let stage = match change.rule == "iommu-passthrough" {
            true => Stage::HostBoot,
            false => Stage::Now,
        };
        assert_eq!(change.stage, stage, "{}", change.target);
    }
    let cpus = plan.vms[0].placement.as_ref().unwrap().cpus();
    assert_eq!(cpus.to_string(), "12-15,44-47");
    let text = to(&plan, SYSTEM).unwrap();
    assert!(text.ends_with("\nAllowedCPUs=0-11,16-43,48-63\n"), "{text}");
    let mask = to(&plan, "/proc/irq/default_smp_affinity");
    assert_eq!(mask, Some("ffff0fff,ffff0fff"));
}

#[test]
fn a_second_plan_changes_no_host_again() {
    let vm = Vm::new("vm", 4, 2048).xml();
    for name in ["epyc", "desktop", "hybrid", "no-smt", "cxl"] {
        for isolation in
            [Isolation::Partition, Isolation::Kernel, Isolation::None]
        {
            let mut policy = Policy::default();
            policy.cpu.isolation = isolation;
            policy.rules.insert("c-states".to_owned(), Level::Plan);
            let facts = host(name);
            let first = planned(&facts, &policy, &vm, &[]);
            let facts = settled(&facts, &first.changes);
            let second = planned(&facts, &policy, &vm, &[]);
            let left = of_host(&second);
            assert!(left.is_empty(), "{name}, {isolation:?}: {left:?}");
            assert_eq!(first.vms[0].placement, second.vms[0].placement);
        }
    }
}

#[test]
fn changes_know_what_stands_there() {
    let facts = host("desktop");
    let plan =
        planned(&facts, &Policy::default(), &Vm::new("vm", 4, 2048).xml(), &[]);
    for change in of_host(&plan) {
        let (Target::Kernel(path) | Target::File(path)) = &change.target else {
            panic!("{} is none of both", change.target);
        };
        let stands = facts.settings[path].value().unwrap();
        assert_eq!(&change.from, stands, "{path}");
        assert_ne!(change.from, change.to, "{path}");
        let rule = RULES.iter().find(|rule| rule.id == change.rule).unwrap();
        assert!(rule.may_edit(&change.target.pattern()), "{path}");
        assert!(matches!(rule.evaluate, Evaluate::Host(_)));
    }
    let hints = |change: &&&Change| {
        change.target.to_string().ends_with("energy_performance_preference")
    };
    assert_eq!(of_host(&plan).iter().filter(hints).count(), 4);
}

#[test]
fn the_kernel_isolates_where_the_policy_asks() {
    let facts = host("epyc");
    let mut policy = preset("latency").unwrap();
    let plan = example(&facts, &policy);
    let isolated = plan.vms[0].placement.as_ref().unwrap();
    let cpus = isolated.cpus().union(&isolated.reserved);
    let argument =
        |name: &str| to(&plan, &format!("{DROP_IN}#{name}")).map(str::to_owned);
    assert_eq!(
        argument("isolcpus"),
        Some(format!("managed_irq,domain,{cpus}"))
    );
    assert_eq!(argument("nohz_full"), Some(cpus.to_string()));
    assert_eq!(argument("irqaffinity"), Some(plan.housekeeping.to_string()));
    assert_eq!(to(&plan, SYSTEM), None);
    // The preset also keeps the CPUs awake, which balanced does not.
    let awake = |plan: &Plan| plan.changes.iter().any(|c| c.rule == "c-states");
    assert!(awake(&plan));
    policy = Policy::default();
    assert!(!awake(&example(&facts, &policy)));
}

#[test]
fn rules_that_are_off_are_silent_and_those_that_advise_advise() {
    let facts = host("epyc");
    let mut policy = Policy::default();
    for rule in RULES {
        if let Evaluate::Host(_) = rule.evaluate {
            policy.rules.insert(rule.id.to_owned(), Level::Off);
        }
    }
    let plan = example(&facts, &policy);
    assert!(of_host(&plan).is_empty());
    assert!(plan.advice.iter().all(|advice| advice.vm.is_some()));
    assert!(plan.unknown.iter().all(|missing| missing.vm.is_some()));

    policy.rules.insert("cpu-isolation".to_owned(), Level::Advise);
    let plan = example(&facts, &policy);
    assert!(of_host(&plan).is_empty());
    let advice = plan.advice.iter().filter(|advice| advice.vm.is_none());
    let texts: Vec<_> = advice.map(|advice| advice.text.as_str()).collect();
    assert!(texts[0].starts_with("set /sys/fs/cgroup/system.slice/"));
    assert!(texts[1].starts_with(&format!("write {SYSTEM}: VMs have CPUs")));
}

#[test]
fn a_source_that_tells_nothing_of_it_changes_nothing() {
    let source = Source::Synthetic("pack:2 numa:1 l3:2 core:4 pu:2".to_owned());
    let facts = collect(&source).unwrap();
    let vm = Vm::new("vm", 4, 256).xml();
    let plan = planned(&facts, &Policy::default(), &vm, &[]);
    assert!(of_host(&plan).is_empty());
    let missing = plan.unknown.iter().filter(|missing| missing.vm.is_none());
    let rules: Vec<_> = missing.map(|missing| missing.rule.as_str()).collect();
    assert_eq!(
        rules,
        [
            "cpu-isolation",
            "irqbalance-ban",
            "irq-affinity",
            "cpu-governor",
            "ksm",
            "transparent-hugepages",
            "numa-balancing",
            "rdma-memlock"
        ]
    );
}

/// The emulator of another VM is on CPUs that are the host's.
#[test]
fn other_vms_cpus_are_theirs_and_their_emulators_are_not() {
    let facts = host("epyc");
    let db1 = subject(include_str!("../examples/db1.xml")).domain;
    let mut neighbour = Neighbour {
        name: db1.name.clone(),
        definitions: vec![db1.clone()],
        running: true,
    };
    let vm1 = include_str!("../examples/vm1.xml");
    let kept = |neighbours: &[Neighbour]| -> CpuSet {
        let plan = planned(&facts, &Policy::default(), vm1, neighbours);
        let line = to(&plan, SYSTEM).unwrap().trim_end().lines().last();
        let list = line.unwrap().strip_prefix("AllowedCPUs=").unwrap();
        facts.topology.online.difference(&list.parse().unwrap())
    };
    let list = |text: &str| text.parse::<CpuSet>().unwrap();
    let both = kept(std::slice::from_ref(&neighbour));
    assert_eq!(both, list("9-10,12-15,41-42,44-47"));

    // vCPUs that share CPUs have none to themselves.
    let mut floating = db1;
    for pin in floating.cputune.vcpupin.values_mut() {
        *pin = list("9-10,41-42");
    }
    neighbour.definitions = vec![floating];
    assert_eq!(kept(&[neighbour]), list("12-15,44-47"));
}

#[test]
fn somebody_elses_settings_are_told() {
    let facts = host("no-smt");
    let vm = Vm::new("vm", 4, 2048).xml();
    let plan = planned(&facts, &Policy::default(), &vm, &[]);
    let said = plan.advice.iter().find(|a| a.rule == "cpu-isolation").unwrap();
    assert!(said.text.contains("50-AllowedCPUs.conf says AllowedCPUs=0-11"));
    assert_eq!(said.vm, None);
    let units = of_host(&plan);
    let units = units.iter().filter(|c| c.rule == "cpu-isolation");
    let mine = |c: &&&Change| c.target.to_string().contains("user.slice");
    assert_eq!(units.filter(mine).count(), 0);
}
