//! Plans of small cases that once went wrong, each by its name.

mod support;

use support::hosts::{Shape, add_nic};
use support::vms::{Vm, planned};
use vmtune::base::{Bytes, CpuSet, NodeId, PageSize};
use vmtune::definition;
use vmtune::model::facts::Facts;
use vmtune::model::policy::{
    DeviceLocality, Emulator, Housekeeping, Level, Pages, Pins, PlacementMode,
    Policy, Smt, VmPolicy,
};
use vmtune::model::{Fact, VmPlacement};
use vmtune::placement::{Held, housekeeping};
use vmtune::planner::{PlanError, Planned, Refusal};

fn refused(facts: &Facts, policy: &Policy, text: &str) -> Refusal {
    match planned(facts, policy, &[text]) {
        Err(PlanError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn placement(planned: &Planned) -> &VmPlacement {
    planned.plan.vms[0].placement.as_ref().unwrap()
}

fn keep() -> Policy {
    let mut policy = Policy::default();
    policy.cpu.pins = Pins::Keep;
    policy
}

/// Two sockets of eight cores with 64 GiB and pages on each.
fn host() -> Facts {
    let shape = Shape::plain(2, 2, 4, 2);
    Shape { pages: Some((8, 2048)), ..shape }.facts()
}

#[test]
fn a_vm_without_pins_gets_some_although_pins_are_kept() {
    let vm = Vm::new("vm", 4, 2048).xml();
    let planned = planned(&host(), &keep(), &[&vm]).unwrap();
    let text = planned.definitions.values().next().unwrap();
    let after = definition::read(text).unwrap();
    assert_eq!(after.cputune.vcpupin, placement(&planned).vcpus);
}

#[test]
fn a_vm_with_kept_pins_takes_its_pages() {
    let mut policy = keep();
    policy.memory.pages = Pages::Size(PageSize::ONE_GIB);
    let vm = |name: &str, gib: u64, cpu: u32| {
        let vm = Vm::new(name, 2, gib << 10);
        Vm { pins: vec![cpu, cpu + 16], ..vm }.xml()
    };
    let six = vm("a", 6, 2);
    let first = planned(&host(), &policy, &[&six]).unwrap();
    assert_eq!(placement(&first).pages, Some(PageSize::ONE_GIB));
    assert!(placement(&first).exclusive);

    let both = planned(&host(), &policy, &[&six, &vm("b", 3, 3)]);
    let Err(PlanError::Refused(refusal)) = both else {
        panic!("9 of 8 pages are given out");
    };
    assert_eq!(refusal.shortage, "node 0 has 2 free 1G pages, 3 are needed");
}

#[test]
fn kept_pins_on_anothers_cpu_are_not_exclusive() {
    let vm = Vm::new("vm", 2, 2048);
    for (pins, exclusive) in [
        (vec![2, 18], true),
        (vec![2, 2], false),
        // Housekeeping has the core of CPU 0.
        (vec![2, 16], false),
    ] {
        let text = Vm { pins, ..vm.clone() }.xml();
        let planned = planned(&host(), &keep(), &[&text]).unwrap();
        assert_eq!(placement(&planned).exclusive, exclusive, "{text}");
    }
    let mut shared = keep();
    shared.cpu.placement = PlacementMode::Shared;
    let text = Vm { pins: vec![2, 18], ..vm }.xml();
    let planned = planned(&host(), &shared, &[&text]).unwrap();
    assert!(!placement(&planned).exclusive);
}

#[test]
fn kept_pins_keep_the_cells_that_go_with_them() {
    let mut policy = keep();
    let table = VmPolicy { cells: Some(2), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), table);
    let vm = Vm::new("vm", 4, 2048).xml();
    let first = planned(&host(), &policy, &[&vm]).unwrap();
    assert_eq!(placement(&first).cells.len(), 2);
    let text = first.definitions.values().next().unwrap();
    let second = planned(&host(), &policy, &[text]).unwrap();
    assert_eq!(second.plan.changes, []);
}

#[test]
fn kept_pins_keep_guest_cores_of_four_threads() {
    let facts = Shape::plain(1, 1, 4, 4).facts();
    let vm = Vm::new("vm", 8, 2048).xml();
    let first = planned(&facts, &keep(), &[&vm]).unwrap();
    assert_eq!(placement(&first).threads, 4);
    let text = first.definitions.values().next().unwrap();
    let second = planned(&facts, &keep(), &[text]).unwrap();
    assert_eq!(second.plan.changes, []);
}

#[test]
fn more_pages_are_named_only_where_they_would_do() {
    let mut facts = host();
    facts.topology.nodes[0].memory = Fact::known(Bytes(16 << 30), "made up");
    let mut policy = Policy::default();
    policy.memory.pages = Pages::Size(PageSize::ONE_GIB);
    let vm = Vm { cells: 1, ..Vm::new("vm", 4, 10 << 10) }.xml();
    let refusal = refused(&facts, &policy, &vm);
    assert_eq!(refusal.shortage, "node 0 has 8 free 1G pages, 10 are needed");
    assert_eq!(refusal.remedies[0], "2 more 1G pages on node 0");

    // Without a core for the emulator no page helps.
    policy.cpu.emulator = Emulator::Dedicated;
    let vm = Vm { cells: 1, ..Vm::new("vm", 14, 10 << 10) }.xml();
    let refusal = refused(&facts, &policy, &vm);
    let pages = refusal.remedies.iter().filter(|r| r.contains("more"));
    assert_eq!(pages.count(), 0, "{refusal}");
}

#[test]
fn a_core_that_the_emulator_lacks_is_named() {
    let facts = Shape::plain(1, 1, 4, 2).facts();
    let mut policy = Policy::default();
    policy.cpu.emulator = Emulator::Dedicated;
    let refusal = refused(&facts, &policy, &Vm::new("vm", 6, 1024).xml());
    assert_eq!(
        refusal.shortage,
        "node 0 has room for the 3 guest cores of a cell, and no whole core \
         besides for the emulator"
    );
    assert_eq!(refusal.remedies, ["[cpu] emulator = \"housekeeping\""]);
}

#[test]
fn cells_that_fit_only_alone_are_named() {
    let facts = Shape::plain(1, 1, 4, 2).facts();
    let vm = Vm { cells: 2, ..Vm::new("vm", 8, 1024) };
    let refusal = refused(&facts, &Policy::default(), &vm.xml());
    assert_eq!(
        refusal.shortage,
        "each of its 2 cells fits alone, but not all of them together"
    );
}

#[test]
fn a_cell_without_a_vcpu_is_refused() {
    let mut policy = Policy::default();
    let table = VmPolicy { cells: Some(2), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), table);
    let refusal = refused(&host(), &policy, &Vm::new("vm", 1, 1024).xml());
    assert_eq!(
        refusal.shortage,
        "2 cells are asked for, and it has 1 vCPUs to share out"
    );
    assert_eq!(refusal.remedies, ["cells = 1"]);
}

#[test]
fn vms_that_are_spread_to_fit_together_stay_where_they_are() {
    let shape = Shape::plain(1, 1, 2, 2);
    let mut facts =
        Shape { nodes: 3, adjacent: true, pages: Some((2, 1006)), ..shape }
            .facts();
    for node in &mut facts.topology.nodes {
        node.memory = Fact::known(Bytes(13 << 30), "made up");
    }
    let vm = |name, vcpus, gib: u64| Vm::new(name, vcpus, gib << 10);
    let vms = [
        vm("vm0", 3, 2).xml(),
        vm("vm1", 4, 8).xml(),
        Vm { cells: 1, ..vm("vm2", 3, 6) }.xml(),
    ];
    let texts: Vec<&str> = vms.iter().map(String::as_str).collect();
    let first = planned(&facts, &Policy::default(), &texts).unwrap();
    let mut placements =
        first.plan.vms.iter().filter_map(|vm| vm.placement.as_ref());
    assert!(placements.any(|placement| placement.cells.len() > 1));
    let texts: Vec<&str> =
        first.definitions.values().map(String::as_str).collect();
    let second = planned(&facts, &Policy::default(), &texts).unwrap();
    assert_eq!(second.plan.changes, []);
}

fn idle(rule: &str) -> Policy {
    let mut policy = Policy::default();
    policy.rules.insert(rule.to_owned(), Level::Off);
    policy
}

/// Returns a definition with something put before an element.
fn with(text: &str, before: &str, more: &str) -> String {
    text.replacen(before, &format!("{more}{before}"), 1)
}

#[test]
fn a_node_that_is_all_pools_is_home_of_its_memory() {
    let mut facts = host();
    for node in &mut facts.topology.nodes {
        node.memory = Fact::known(Bytes(12 << 30), "made up");
    }
    let planned =
        planned(&facts, &Policy::default(), &[&Vm::new("vm", 4, 4096).xml()])
            .unwrap();
    let cell = &placement(&planned).cells[0];
    assert_eq!(cell.memory_node, cell.node);
}

#[test]
fn threads_of_neighbours_hold_the_cpus_of_their_vcpu_element() {
    let held = Vm { iothreads: 1, pins: vec![1], ..Vm::new("held", 1, 512) };
    let text = held.xml().replace(
        "<vcpu placement='static'>",
        "<vcpu placement='static' cpuset='2'>",
    );
    let domain = definition::read(&text).unwrap();
    let held = Held::by(&domain, &host().topology, &Policy::default());
    assert_eq!(held.cpus.to_string(), "1-2");
}

#[test]
fn memory_of_an_unpinned_neighbour_is_held_where_there_is_one_node() {
    let facts = Shape::plain(1, 1, 4, 2).facts();
    let domain = definition::read(&Vm::new("held", 1, 512).xml()).unwrap();
    let held = Held::by(&domain, &facts.topology, &Policy::default());
    let memory = held.memory.get(&(NodeId(0), None));
    assert_eq!(memory, Some(&Bytes(512 << 20)));
}

#[test]
fn a_node_whose_first_core_is_half_allowed_has_the_home_of_its_first_cpu() {
    let mut facts = host();
    facts.topology.disallowed = "8".parse().unwrap();
    let kept = housekeeping(&facts.topology, &Housekeeping::Auto);
    assert_eq!(kept.to_string(), "0,9,16,25");
}

#[test]
fn without_cells_of_its_own_memory_is_bound_as_a_whole() {
    let vm = Vm::new("vm", 24, 8 << 10).xml();
    let planned = planned(&host(), &idle("numa-cells"), &[&vm]).unwrap();
    assert_eq!(placement(&planned).cells.len(), 2);
    let text = planned.definitions.values().next().unwrap();
    assert!(text.contains("<memory mode='strict' nodeset='0-1'/>"), "{text}");
    assert!(!text.contains("memnode"), "{text}");
}

#[test]
fn a_floating_vm_keeps_no_topology_that_crosses_its_cells() {
    let mut policy = Policy::default();
    policy.cpu.placement = PlacementMode::Shared;
    let vm = Vm { cells: 2, ..Vm::new("vm", 2, 1024) }.xml();
    let threads = "    <topology sockets='1' cores='1' threads='2'/>\n";
    let vm = with(&vm, "    <numa>", threads);
    let planned = planned(&host(), &policy, &[&vm]).unwrap();
    let after = planned.definitions.values().next().unwrap();
    assert!(after.contains("threads='1'"), "{after}");
}

#[test]
fn ordinary_pages_that_are_named_are_no_ground_for_allocation_on_demand() {
    let mut policy = Policy::default();
    policy.memory.pages = Pages::None;
    let backing = "  <memoryBacking>\n    <hugepages>\n      \
                   <page size='4' unit='KiB'/>\n    </hugepages>\n    \
                   <allocation mode='ondemand'/>\n  </memoryBacking>\n";
    let vm = with(&Vm::new("vm", 2, 1024).xml(), "  <vcpu ", backing);
    let planned = planned(&host(), &policy, &[&vm]).unwrap();
    let after = planned.definitions.values().next().unwrap();
    assert!(after.contains("<allocation mode='immediate'/>"), "{after}");
}

#[test]
fn without_housekeeping_an_emulator_has_no_home() {
    let mut policy = Policy::default();
    policy.cpu.housekeeping = Housekeeping::Cpus(CpuSet::new());
    let vm = Vm::new("vm", 4, 1024).xml();
    let refusal = refused(&host(), &policy, &vm);
    assert!(refusal.shortage.starts_with("housekeeping has no CPU"));
    assert_eq!(
        refusal.remedies,
        ["[cpu] housekeeping = \"auto\"", "[cpu] emulator = \"dedicated\""]
    );
}

#[test]
fn threads_that_are_asked_for_are_siblings_anywhere() {
    let mut policy = Policy::default();
    policy.cpu.smt = Smt::Any;
    let table = VmPolicy { threads: Some(2), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), table);
    let vm = Vm::new("vm", 6, 1024).xml();
    let planned = planned(&host(), &policy, &[&vm]).unwrap();
    let after = planned.definitions.values().next().unwrap();
    assert!(after.contains("cores='3' threads='2'"), "{after}");
}

#[test]
fn an_emulator_that_stays_keeps_its_cpus() {
    let vm = Vm::new("vm", 4, 1024).xml();
    let tune = "  <cputune>\n    <emulatorpin cpuset='1,17'/>\n  </cputune>\n";
    let vm = with(&vm, "  <os>", tune);
    for policy in [keep(), idle("emulator-pin")] {
        let planned = planned(&host(), &policy, &[&vm]).unwrap();
        let cpus = placement(&planned).cpus();
        assert!(!cpus.intersects(&"1,17".parse().unwrap()), "{cpus}");
    }
}

#[test]
fn kept_pins_that_cannot_be_are_advice() {
    let vm = Vm { pins: vec![2, 99], ..Vm::new("vm", 2, 1024) }.xml();
    let planned = planned(&host(), &keep(), &[&vm]).unwrap();
    let advice = planned.plan.advice.iter().filter(|a| a.rule == "vcpu-pin");
    let texts: Vec<_> = advice.map(|a| a.text.as_str()).collect();
    assert!(texts.iter().any(|t| t.contains("CPU 99")), "{texts:?}");
}

#[test]
fn rules_that_may_not_plan_are_named_where_they_would_be_needed() {
    let numatune = "  <numatune>\n    <memory mode='strict' nodeset='9'/>\n  \
                    </numatune>\n";
    let mut policy = idle("numa-memory");
    policy.memory.pages = Pages::Size(PageSize::ONE_GIB);
    let vm = with(&Vm::new("vm", 2, 1024).xml(), "  <os>", numatune);
    let refusal = refused(&host(), &policy, &vm);
    assert!(refusal.shortage.contains("rules from planning: numa-memory"));
    assert_eq!(refusal.remedies, ["[rules] numa-memory = \"plan\""]);
}

#[test]
fn a_guest_that_gets_no_cells_gets_no_socket_for_each() {
    let vm = Vm::new("vm", 24, 8 << 10).xml();
    let planned = planned(&host(), &idle("numa-cells"), &[&vm]).unwrap();
    assert_eq!(placement(&planned).cells.len(), 2);
    let text = planned.definitions.values().next().unwrap();
    assert!(text.contains("sockets='1'"), "{text}");
}

#[test]
fn pieces_of_memory_are_held_in_whole_pages() {
    let vm = Vm { cells: 3, ..Vm::new("held", 3, 1536) }.xml();
    let backing = "  <memoryBacking>\n    <hugepages>\n      \
                   <page size='1' unit='G'/>\n    </hugepages>\n  \
                   </memoryBacking>\n";
    let numatune = "  <numatune>\n    <memory mode='strict' nodeset='1'/>\n  \
                    </numatune>\n";
    let vm = with(&with(&vm, "  <vcpu ", backing), "  <os>", numatune);
    let domain = definition::read(&vm).unwrap();
    let held = Held::by(&domain, &host().topology, &Policy::default());
    let memory = held.memory.get(&(NodeId(1), Some(PageSize::ONE_GIB)));
    assert_eq!(memory, Some(&Bytes(3 << 30)));
}

#[test]
fn pages_of_a_cell_that_goes_are_not_left_behind() {
    let mut facts = host();
    facts.memory.hugepages = Fact::unknown("not read");
    let mut policy = Policy::default();
    let table = VmPolicy { cells: Some(1), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), table);
    for (page, after) in [
        ("size='4' unit='KiB' nodeset='1'", None),
        ("size='2' unit='M' nodeset='1'", None),
        ("size='2' unit='M' nodeset='0-1'", Some("nodeset='0'")),
    ] {
        let backing = format!(
            "  <memoryBacking>\n    <hugepages>\n      <page {page}/>\n    \
             </hugepages>\n  </memoryBacking>\n"
        );
        let vm = Vm { cells: 2, ..Vm::new("vm", 4, 1024) }.xml();
        let vm = with(&vm, "  <vcpu ", &backing);
        let planned = planned(&facts, &policy, &[&vm]).unwrap();
        let text = planned.definitions.values().next().unwrap();
        match after {
            None => assert!(!text.contains("<hugepages>"), "{text}"),
            Some(after) => assert!(text.contains(after), "{text}"),
        }
    }
}

#[test]
fn threads_that_are_asked_for_do_not_bind_vcpus_that_float() {
    let mut policy = Policy::default();
    policy.cpu.placement = PlacementMode::Shared;
    let table = VmPolicy { threads: Some(2), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), table);
    let vm = Vm { cells: 2, ..Vm::new("vm", 10, 1024) }.xml();
    let planned = planned(&host(), &policy, &[&vm]).unwrap();
    assert_eq!(placement(&planned).threads, 1);
}

#[test]
fn housekeeping_cpus_that_the_host_lacks_are_refused() {
    let mut policy = Policy::default();
    let kept: CpuSet = "0,99".parse().unwrap();
    policy.cpu.housekeeping = Housekeeping::Cpus(kept);
    let vm = Vm::new("vm", 4, 2048).xml();
    let error = planned(&host(), &policy, &[&vm]).unwrap_err();
    assert!(error.to_string().contains("names CPUs 99"), "{error}");
}

#[test]
fn ordinary_memory_that_is_not_free_now_is_said() {
    let mut facts = host();
    let free = [NodeId(0), NodeId(1)].map(|node| (node, Bytes(1 << 30)));
    facts.memory.free = Fact::known(free.into_iter().collect(), "made up");
    let mut policy = Policy::default();
    policy.memory.pages = Pages::None;
    let said = |mib| {
        let vm = Vm::new("vm", 4, mib).xml();
        let plan = planned(&facts, &policy, &[&vm]).unwrap().plan;
        plan.advice.iter().any(|advice| advice.text.contains("free now"))
    };
    assert!(said(2048));
    assert!(!said(512));
}

#[test]
fn kept_pins_away_from_a_device_that_must_be_near_are_refused() {
    let mut facts = host();
    add_nic(&mut facts, &[NodeId(1)]);
    let mut policy = keep();
    policy.devices.locality = DeviceLocality::Require;
    let vm =
        Vm { pins: vec![2, 18], devices: vec![1], ..Vm::new("vm", 2, 512) };
    let refusal = refused(&facts, &policy, &vm.xml());
    assert!(refusal.shortage.starts_with("no cell fits on node 1"));
    assert_eq!(refusal.remedies[0], "[devices] locality = \"prefer\"");
}

/// Seed 1611: once the pins stood, the emulator's core was the host's again.
#[test]
fn what_kept_pins_leave_idle_stays_reserved() {
    let vm = Vm::new("vm", 4, 2048).xml();
    let again = |policy: &Policy| {
        let first = planned(&host(), policy, &[&vm]).unwrap();
        let text = first.definitions.values().next().unwrap();
        let second = planned(&host(), policy, &[text]).unwrap();
        let reserved = placement(&first).reserved.clone();
        assert!(!reserved.is_empty());
        assert_eq!(placement(&second).reserved, reserved);
    };
    let mut policy = keep();
    policy.cpu.emulator = Emulator::Dedicated;
    again(&policy);
    policy.cpu.smt = Smt::Isolate;
    again(&policy);
    policy.cpu.emulator = Emulator::Housekeeping;
    again(&policy);
    // An emulator on the host's CPUs has no core of its own.
    policy = keep();
    let text = planned(&host(), &policy, &[&vm]).unwrap();
    let text = text.definitions.values().next().unwrap().clone();
    policy.cpu.emulator = Emulator::Dedicated;
    let second = planned(&host(), &policy, &[&text]).unwrap();
    assert_eq!(placement(&second).reserved, CpuSet::new());
}
