//! Pages that a plan reserves: where, how many, and that it is once.

mod support;

use support::hosts::Shape;
use support::tuned;
use support::vms::{Vm, planned};
use vmtune::base::{Bytes, NodeId, PageSize};
use vmtune::model::facts::Facts;
use vmtune::model::policy::{Level, Pages, Policy, Reserve};
use vmtune::model::{Change, Fact, Stage};
use vmtune::planner::{PlanError, Planned};

const HUGE: PageSize = PageSize::ONE_GIB;
const LARGE: PageSize = PageSize::TWO_MIB;

/// Two nodes of four cores and 16 GiB, with so many free pages of 1 GiB.
fn host(free: [u64; 2]) -> Facts {
    let shape = Shape::plain(2, 1, 4, 2);
    let mut facts = Shape { memory: Bytes(16 << 30), ..shape }.facts();
    tuned::known(&mut facts, &[LARGE, HUGE]);
    let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages else {
        unreachable!()
    };
    for pool in pools.iter_mut().filter(|pool| pool.size == HUGE) {
        pool.total = free[pool.node.0 as usize];
        pool.free = Fact::known(pool.total, "made up");
    }
    for (node, free) in (0..).map(NodeId).zip(free) {
        let place = tuned::pool(node, HUGE);
        let text = Fact::known(Some(free.to_string()), "made up");
        facts.settings.insert(place, text);
    }
    facts
}

fn policy(size: PageSize) -> Policy {
    let mut policy = Policy::default();
    policy.memory.pages = Pages::Size(size);
    policy
}

fn reserved(planned: &Planned) -> Vec<String> {
    let of = |change: &&Change| change.rule == "hugepage-reservation";
    let changes = planned.plan.changes.iter().filter(of);
    changes
        .map(|c| format!("{} = {}", c.target, c.to.as_deref().unwrap()))
        .collect()
}

fn node_of(planned: &Planned) -> NodeId {
    let placement = planned.plan.vms[0].placement.as_ref().unwrap();
    placement.cells[0].memory_node
}

const ARGUMENT: &str = "/etc/default/grub.d/vmtune.cfg#hugepagesz=1G";

#[test]
fn a_size_that_is_named_is_reserved_where_pools_lack_it() {
    let mut facts = host([3, 0]);
    let vm = Vm::new("vm", 2, 8 << 10).xml();
    let first = planned(&facts, &policy(HUGE), &[&vm]).unwrap();
    assert_eq!(reserved(&first), [format!("{ARGUMENT} = 0:8")]);
    let because = &first.plan.vms[0].placement.as_ref().unwrap().because;
    let said = because.last().unwrap();
    assert!(said.contains("8 of 3 free and 5 to be reserved"), "{said}");

    // It waits for the boot, and nothing is planned twice.
    tuned::settle(&mut facts, &first.plan);
    let text = first.definitions.values().next().unwrap();
    let second = planned(&facts, &policy(HUGE), &[text]).unwrap();
    assert_eq!(reserved(&second), [""; 0]);
    assert_eq!(node_of(&second), NodeId(0));
}

#[test]
fn what_can_be_had_now_is_had_now() {
    let mut facts = host([0, 0]);
    tuned::free_pieces(&mut facts, NodeId(0), 3000);
    let vm = Vm::new("vm", 2, 4 << 10).xml();
    let first = planned(&facts, &policy(LARGE), &[&vm]).unwrap();
    let mine = |c: &&Change| c.rule == "hugepage-reservation";
    let stages: Vec<_> =
        first.plan.changes.iter().filter(mine).map(|c| c.stage).collect();
    assert_eq!(stages, [Stage::Now, Stage::Now]);
    tuned::settle(&mut facts, &first.plan);
    let text = first.definitions.values().next().unwrap();
    let second = planned(&facts, &policy(LARGE), &[text]).unwrap();
    assert_eq!(second.plan.changes, []);
}

#[test]
fn pages_that_are_free_elsewhere_are_taken_as_they_are() {
    let vm = Vm::new("vm", 2, 8 << 10).xml();
    let there = planned(&host([0, 8]), &policy(HUGE), &[&vm]).unwrap();
    assert_eq!(node_of(&there), NodeId(1));
    // Only for a better place are others reserved: one node, not two.
    let split = planned(&host([4, 4]), &policy(HUGE), &[&vm]).unwrap();
    let placement = split.plan.vms[0].placement.as_ref().unwrap();
    assert_eq!(placement.cells.len(), 1);
    assert_eq!(reserved(&split), [format!("{ARGUMENT} = 0:8")]);
}

#[test]
fn several_vms_add_up() {
    let mut facts = host([0, 0]);
    let vms = ["a", "b", "c"].map(|name| Vm::new(name, 2, 6 << 10).xml());
    let texts: Vec<&str> = vms.iter().map(String::as_str).collect();
    let first = planned(&facts, &policy(HUGE), &texts).unwrap();
    let all = &reserved(&first)[0];
    assert!(all == &format!("{ARGUMENT} = 0:12,1:6"), "{all}");
    tuned::settle(&mut facts, &first.plan);
    let texts: Vec<&str> =
        first.definitions.values().map(String::as_str).collect();
    let second = planned(&facts, &policy(HUGE), &texts).unwrap();
    assert_eq!(reserved(&second), [""; 0]);
}

#[test]
fn the_host_keeps_its_part_of_a_node() {
    // A sixteenth of 16 GiB.
    let vm = |gib: u64| Vm { cells: 1, ..Vm::new("vm", 2, gib << 10) }.xml();
    assert!(planned(&host([0, 0]), &policy(HUGE), &[&vm(15)]).is_ok());
    let error = planned(&host([0, 0]), &policy(HUGE), &[&vm(16)]).unwrap_err();
    let PlanError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!(
        refusal.shortage,
        "node 0 has 0 free 1G pages and could be given 15 more, 16 are needed"
    );
}

#[test]
fn nothing_is_reserved_unasked() {
    let vm = Vm::new("vm", 2, 8 << 10).xml();
    let facts = host([3, 3]);
    // The largest size whose free pages suffice, else ordinary ones.
    let auto = planned(&facts, &Policy::default(), &[&vm]).unwrap();
    assert_eq!(auto.plan.vms[0].placement.as_ref().unwrap().pages, None);
    assert_eq!(reserved(&auto), [""; 0]);
    for change in [
        |policy: &mut Policy| policy.memory.reserve = Reserve::Off,
        |policy: &mut Policy| {
            let rule = "hugepage-reservation".to_owned();
            policy.rules.insert(rule, Level::Advise);
        },
    ] {
        let mut policy = policy(HUGE);
        change(&mut policy);
        let one = Vm { cells: 1, ..Vm::new("vm", 2, 8 << 10) }.xml();
        let error = planned(&facts, &policy, &[&one]).unwrap_err();
        let PlanError::Refused(refusal) = error else { panic!("{error}") };
        let expected = "node 0 has 3 free 1G pages, 8 are needed";
        assert_eq!(refusal.shortage, expected);
        assert_eq!(refusal.remedies[0], "5 more 1G pages on node 0");
        let reserve = "[memory] reserve = \"auto\"".to_owned();
        let off = policy.memory.reserve == Reserve::Off;
        assert_eq!(refusal.remedies.contains(&reserve), off, "{refusal}");
    }
}

#[test]
fn a_pool_that_could_not_be_kept_is_not_counted_on() {
    let mut facts = host([3, 0]);
    facts.kernel.boot_arguments = Fact::unknown("GRUB legacy is not edited");
    let vm = Vm { cells: 1, ..Vm::new("vm", 2, 8 << 10) }.xml();
    let error = planned(&facts, &policy(HUGE), &[&vm]).unwrap_err();
    assert!(matches!(error, PlanError::Refused(_)), "{error}");
}
