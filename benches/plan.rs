//! How long placement and planning take; run by `make bench`.
//!
//! The bounds that these are held against are in `docs/performance.md`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot run must stop")]

#[path = "../tests/support/mod.rs"]
mod support;

use divan::{Bencher, black_box};
use support::hosts::{Shape, add_nic};
use support::vms::Vm;
use vmtune::base::{Bytes, NodeId};
use vmtune::model::facts::Facts;
use vmtune::model::policy::{Policy, VmPolicy};
use vmtune::placement::{Board, Demand, Held, housekeeping, place};
use vmtune::planner::{Inputs, plan};

fn main() {
    divan::main();
}

/// 8 packages of 2 nodes of 4 L3 domains of 8 cores: 1024 CPUs.
fn large() -> Facts {
    let mut shape = Shape::plain(8, 4, 8, 2);
    shape.nodes = 2;
    shape.memory = Bytes(256 << 30);
    let mut facts = shape.facts();
    add_nic(&mut facts, &[NodeId(6)]);
    facts
}

/// 2 packages of 4 nodes of 2 L3 domains of 8 cores: 256 CPUs.
fn middle() -> Facts {
    let mut shape = Shape::plain(2, 2, 8, 2);
    shape.nodes = 4;
    shape.memory = Bytes(128 << 30);
    shape.facts()
}

fn boards(facts: &Facts) -> (Board, Board) {
    let policy = Policy::default();
    let kept = housekeeping(&facts.topology, &policy.cpu.housekeeping);
    let none = Held::default();
    let board = Board::of(facts, kept, &none, &none, &none);
    (board.clone(), board)
}

fn demands(facts: &Facts, policy: &Policy, vms: &[Vm]) -> Vec<Demand> {
    let demand = |vm: &Vm| {
        let domain = vm.subject().domain;
        Demand::of(&domain, facts, &policy.for_vm(&vm.name))
    };
    vms.iter().map(demand).collect()
}

#[divan::bench]
fn one_vm_with_a_function_on_1024_cpus(bencher: Bencher) {
    let facts = large();
    let mut vm = Vm::new("vm", 16, 16 << 10);
    vm.devices = vec![6];
    let demands = demands(&facts, &Policy::default(), &[vm]);
    let (now, bare) = boards(&facts);
    bencher.bench(|| {
        place(black_box(&facts.topology), &now, &bare, &demands).unwrap()
    });
}

#[divan::bench]
fn refusal_of_four_cells_on_16_nodes(bencher: Bencher) {
    let facts = large();
    let mut policy = Policy::default();
    let cells = VmPolicy { cells: Some(4), ..VmPolicy::default() };
    policy.vm.insert("vm".to_owned(), cells);
    // Each cell is one core larger than what a node can give.
    let subjects = [Vm::new("vm", 4 * 64, 64 << 10).subject()];
    bencher.bench(|| {
        let inputs = Inputs {
            facts: &facts,
            policy: &policy,
            subjects: &subjects,
            neighbours: &[],
            connection: "files",
        };
        plan(black_box(&inputs)).unwrap_err()
    });
}

#[divan::bench(sample_count = 10)]
fn sixty_four_vms_on_256_cpus(bencher: Bencher) {
    let facts = middle();
    let vms: Vec<_> = (0..64)
        .map(|n| Vm::new(&format!("vm{n:02}"), 2 + 2 * (n % 2), 2 << 10))
        .collect();
    let demands = demands(&facts, &Policy::default(), &vms);
    let (now, bare) = boards(&facts);
    bencher.bench(|| {
        place(black_box(&facts.topology), &now, &bare, &demands).unwrap()
    });
}

#[divan::bench]
fn a_whole_plan_on_256_cpus(bencher: Bencher) {
    let facts = middle();
    let subjects = [Vm::new("vm", 16, 16 << 10).subject()];
    let policy = Policy::default();
    bencher.bench(|| {
        let inputs = Inputs {
            facts: &facts,
            policy: &policy,
            subjects: &subjects,
            neighbours: &[],
            connection: "files",
        };
        plan(black_box(&inputs)).unwrap()
    });
}
