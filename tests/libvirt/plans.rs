//! Plans: of edits by hand, and of the planner for this machine.

use std::time::Duration;

use vmtune::apply::Machine;
use vmtune::base::{CpuId, CpuSet, Digest, PageSize};
use vmtune::files::StateDir;
use vmtune::host::Source;
use vmtune::hypervisor::Hypervisor;
use vmtune::model::policy::{Housekeeping, Level, Pages, Policy, Smt};
use vmtune::model::{Change, Fact, Objective, Plan, Stage, Target, VmPlan};
use vmtune::planner::{Inputs, Subject};
use vmtune::rules::{Evaluate, RULES, Rule};
use vmtune::system::fake::Fake;

/// Returns what a plan is applied to; no plan here changes the host.
pub(crate) fn machine<'a>(
    hypervisor: &'a dyn Hypervisor,
    system: &'a Fake,
    state: &'a StateDir,
) -> Machine<'a> {
    let clock = &|| Duration::ZERO;
    Machine { hypervisor, system, state, now: 0, clock }
}

/// Makes a plan of these edits for one VM as it is now.
pub(crate) fn plan(
    hypervisor: &dyn Hypervisor,
    vm: &str,
    edits: &[(&str, Option<&str>)],
) -> Plan {
    let info = hypervisor.find(vm).unwrap();
    let text = hypervisor.inactive_definition(&info.uuid).unwrap();
    let change = |(target, to): &(&str, Option<&str>)| Change {
        rule: "by-hand".into(),
        vm: Some(vm.into()),
        target: Target::Definition(target.parse().unwrap()),
        from: None,
        to: to.map(Into::into),
        because: "a test".into(),
        stage: Stage::VmStart,
        trade: None,
    };
    Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b"facts"),
        host: "this machine".into(),
        connection: hypervisor.uri().into(),
        preset: "balanced".into(),
        housekeeping: CpuSet::new(),
        boot_loader: None,
        vms: vec![VmPlan {
            name: info.name,
            uuid: Some(info.uuid),
            vmid: None,
            digest: Digest::of(text.as_bytes()),
            placement: None,
            objective: Objective::default(),
            bound: Objective::default(),
        }],
        changes: edits.iter().map(change).collect(),
        advice: vec![],
        unknown: vec![],
    }
}

/// Has the planner plan a VM on this machine: CPU 0 is the host's, so that
/// even two CPUs have one to give, and the memory is pages of 2 MiB. The
/// machine itself is not tuned: it is whoever's runs the test.
pub(crate) fn planned(hypervisor: &dyn Hypervisor, vm: &str) -> Plan {
    let mut facts = vmtune::host::collect(&Source::Live).unwrap();
    let capabilities = hypervisor.facts().unwrap();
    facts.hypervisor = Fact::known(capabilities, hypervisor.uri());
    let mut policy = Policy::default();
    policy.cpu.housekeeping = Housekeeping::Cpus(CpuSet::from(CpuId(0)));
    policy.cpu.smt = Smt::Any;
    policy.memory.pages = Pages::Size(PageSize::TWO_MIB);
    let host = |rule: &&&Rule| matches!(rule.evaluate, Evaluate::Host(_));
    for rule in RULES.iter().filter(host) {
        policy.rules.insert(rule.id.to_owned(), Level::Off);
    }
    let info = hypervisor.find(vm).unwrap();
    let text = hypervisor.inactive_definition(&info.uuid).unwrap();
    let domain = vmtune::definition::read(&text).unwrap();
    let inputs = Inputs {
        facts: &facts,
        policy: &policy,
        subjects: &[Subject { text, domain, live: None }],
        neighbours: &[],
        connection: hypervisor.uri(),
    };
    vmtune::planner::plan(&inputs).unwrap().plan
}
