//! What whole plans say of the host: once, and by whom it may be said.

mod support;

use std::collections::BTreeMap;

use support::hosts::{Shape, add_nic};
use support::tuned;
use support::vms::{Vm, subject};
use vmtune::base::{NodeId, PageSize};
use vmtune::definition;
use vmtune::model::facts::Facts;
use vmtune::model::policy::{Level, Pages, Policy};
use vmtune::model::{Change, Fact, Plan};
use vmtune::planner::{Inputs, Neighbour, Planned, plan};
use vmtune::policy::PRESETS;
use vmtune::rules::RULES;

/// Two nodes of eight cores with a card on node 1, on which nothing is tuned
/// and all is known.
fn host() -> Facts {
    let shape = Shape::plain(2, 2, 4, 2);
    let mut facts = Shape { pages: Some((0, 0)), ..shape }.facts();
    add_nic(&mut facts, &[NodeId(1)]);
    tuned::known(&mut facts, &[PageSize::TWO_MIB, PageSize::ONE_GIB]);
    tuned::free_pieces(&mut facts, NodeId(1), 12_000);
    let iommu = &mut facts.kernel.iommu;
    iommu.enabled = Fact::known(false, "made up");
    iommu.described = Fact::known(true, "made up");
    let name = "vhost_net.experimental_zcopytx".to_owned();
    let value = Fact::known("1".to_owned(), "made up");
    facts.kernel.module_parameters.insert(name, value);
    facts
}

fn planned(facts: &Facts, policy: &Policy, text: &str) -> Planned {
    let subjects = [subject(text)];
    plan(&Inputs {
        facts,
        policy,
        subjects: &subjects,
        neighbours: &[],
        connection: "files",
    })
    .unwrap()
}

fn vm() -> String {
    Vm { devices: vec![1], ..Vm::new("vm", 4, 4096) }.xml()
}

fn of_host(plan: &Plan) -> Vec<&Change> {
    plan.changes.iter().filter(|change| change.vm.is_none()).collect()
}

fn preset(name: &str) -> Policy {
    let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    let text = format!("preset = '{name}'\n[memory]\npages = '1G'\n");
    vmtune::policy::read(&text, "policy", &ids).unwrap()
}

#[test]
fn a_plan_that_was_done_is_not_made_again() {
    for one in PRESETS {
        let (mut facts, policy) = (host(), preset(one.name));
        let first = planned(&facts, &policy, &vm());
        assert!(!of_host(&first.plan).is_empty(), "{}", one.name);
        tuned::settle(&mut facts, &first.plan);
        let text = first.definitions.values().next().unwrap();
        let second = planned(&facts, &policy, text);
        assert_eq!(second.plan.changes, [], "{}", one.name);
    }
}

#[test]
fn each_place_of_the_host_has_one_owner() {
    let mut policy = preset("latency");
    for rule in RULES {
        policy.rules.insert(rule.id.to_owned(), Level::Plan);
    }
    let first = planned(&host(), &policy, &vm());
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for change in of_host(&first.plan) {
        let place = change.target.to_string();
        let before = owners.insert(place.clone(), &change.rule);
        assert_eq!(before, None, "{place}");
        let rule = RULES.iter().find(|rule| rule.id == change.rule).unwrap();
        assert!(rule.may_edit(&change.target.pattern()), "{place}");
    }
    for rule in ["ksm", "numa-balancing", "iommu-passthrough", "vhost-zerocopy"]
    {
        assert!(owners.values().any(|owner| *owner == rule), "{rule}");
    }
}

#[test]
fn a_rule_that_is_off_says_nothing_and_one_that_advises_changes_nothing() {
    let ids = ["ksm", "numa-balancing", "iommu-passthrough"];
    for level in [Level::Off, Level::Advise] {
        let mut policy = preset("balanced");
        for id in ids {
            policy.rules.insert(id.to_owned(), level);
        }
        let plan = planned(&host(), &policy, &vm()).plan;
        assert!(plan.changes.iter().all(|c| !ids.contains(&c.rule.as_str())));
        for id in ids {
            let says = plan.advice.iter().any(|advice| advice.rule == id);
            assert_eq!(says, level == Level::Advise, "{id}");
        }
    }
}

#[test]
fn what_was_not_read_is_not_changed() {
    let mut facts = host();
    facts.settings.clear();
    let mut policy = preset("balanced");
    policy.memory.pages = Pages::Auto;
    let plan = planned(&facts, &policy, &vm()).plan;
    let files = of_host(&plan)
        .into_iter()
        .filter(|change| !change.target.to_string().contains('#'));
    assert_eq!(files.count(), 0);
    assert!(plan.unknown.iter().any(|missing| missing.rule == "ksm"));
}

#[test]
fn a_neighbour_that_floats_keeps_what_serves_it() {
    let facts = host();
    let policy = preset("balanced");
    let loose = definition::read(&Vm::new("loose", 2, 1024).xml()).unwrap();
    let neighbours = [Neighbour {
        name: loose.name.clone(),
        definitions: vec![loose],
        running: false,
    }];
    let subjects = [subject(&vm())];
    let plan = plan(&Inputs {
        facts: &facts,
        policy: &policy,
        subjects: &subjects,
        neighbours: &neighbours,
        connection: "files",
    });
    let plan = plan.unwrap().plan;
    let rules: Vec<_> =
        of_host(&plan).iter().map(|change| change.rule.as_str()).collect();
    assert!(!rules.contains(&"ksm"), "{rules:?}");
    assert!(!rules.contains(&"numa-balancing"), "{rules:?}");
}
