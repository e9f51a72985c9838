//! Whether VMs are where their plan says, and where they belong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::kernel::{Kernel, Set, set};
use super::running::{Definition, Threads, pages};
use super::vms::{Vm, Vms};
use crate::judge::{Judge, Results};

/// What is read of a plan here.
#[derive(Deserialize)]
struct Plan {
    vms: Vec<PlannedVm>,
}

#[derive(Deserialize)]
struct PlannedVm {
    name: String,
    placement: Placement,
}

#[derive(Deserialize)]
struct Placement {
    vcpus: BTreeMap<u32, String>,
    iothreads: BTreeMap<u32, String>,
    emulator: String,
}

/// A VM: what was wanted, planned, and is.
struct Running<'a> {
    vm: &'a Vm,
    plan: Placement,
    threads: Threads,
    live: Definition,
    /// Of each guest node, by the host's node.
    pages: BTreeMap<u32, BTreeMap<u32, u64>>,
}

/// Judges all VMs of a host.
pub(super) fn judge(
    results: &Results,
    vms: &Vms,
    judge: &mut Judge,
) -> Result<()> {
    let kernel: Kernel = results.json("kernel-running.json")?;
    let mut live = Definition::read_all(&results.text("live.xml")?)?;
    let mut running = Vec::new();
    for (i, group) in vms.groups.iter().enumerate() {
        let plan: Plan = results.json(&format!("plan-{i}.json"))?;
        if i == 0 {
            for_people(&plan, &results.text("plan-0.txt")?, judge);
        }
        let mut plans: BTreeMap<_, _> =
            plan.vms.into_iter().map(|vm| (vm.name, vm.placement)).collect();
        for vm in group {
            let plan = plans.remove(vm.name);
            let threads = results.json(&format!("threads-{}.json", vm.name))?;
            let maps = results.text(&format!("numa-maps-{}", vm.name))?;
            running.push(Running {
                vm,
                plan: plan.context("a VM is not in its plan")?,
                threads: Threads::of(threads),
                live: live.remove(vm.name).context("a VM does not run")?,
                pages: pages(&maps),
            });
        }
    }
    for vm in &running {
        as_planned(vm, judge);
        well(vm, &kernel, judge);
    }
    together(&running, &kernel, judge);
    judge.same(
        "vmtune check finds nothing in them",
        &results.text("check.code")?.as_str(),
        &"0",
    );
    judge.same(
        "undone, all definitions are the former ones, byte for byte",
        &results.text("after.xml")?,
        &results.text("before.xml")?,
    );
    Ok(())
}

/// Both forms of a plan have to say the same.
fn for_people(plan: &Plan, text: &str, judge: &mut Judge) {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  CPUs "));
    let found: BTreeSet<_> = lines
        .map(|line| set(line.trim().split(", ").next().unwrap_or_default()))
        .collect();
    let cpus = |vm: &PlannedVm| -> Set {
        vm.placement.vcpus.values().flat_map(|cpus| set(cpus)).collect()
    };
    judge.same(
        "the plan for people names the CPUs of the plan for programs",
        &found,
        &plan.vms.iter().map(cpus).collect(),
    );
}

/// Everything is where the plan says.
fn as_planned(running: &Running<'_>, judge: &mut Judge) {
    let Running { vm, plan, threads, live, .. } = running;
    let name = vm.name;
    let sets = |all: &BTreeMap<u32, String>| -> BTreeMap<u32, Set> {
        all.iter().map(|(number, cpus)| (*number, set(cpus))).collect()
    };
    let vcpus = sets(&plan.vcpus);
    judge.same(
        format!("{name}: each vCPU thread is on its planned CPU"),
        &threads.vcpus,
        &vcpus,
    );
    judge.same(
        format!("{name}: each vCPU thread has run there"),
        &threads.last,
        &vcpus,
    );
    judge.same(
        format!("{name}: each I/O thread is on its planned CPUs"),
        &threads.iothreads,
        &sets(&plan.iothreads),
    );
    judge.same(
        format!("{name}: there are {} vCPUs", vm.vcpus),
        &threads.vcpus.keys().copied().collect::<Vec<_>>(),
        &(0..vm.vcpus).collect(),
    );
    judge.same(
        format!("{name}: there are {} I/O threads", vm.iothreads),
        &threads.iothreads.keys().copied().collect::<Vec<_>>(),
        &(1..=vm.iothreads).collect(),
    );
    let emulator = set(&plan.emulator);
    // Threads that QEMU had to touch memory stay near to that.
    let astray = |(_, cpus): &&(_, Set)| !cpus.is_subset(&emulator);
    let astray: Vec<_> = threads.others.iter().filter(astray).collect();
    judge.holds(
        format!("{name}: QEMU's other threads are on the emulator's CPUs"),
        astray.is_empty() && !threads.others.is_empty(),
        || format!("{astray:?} are not on {emulator:?}"),
    );
    judge.same(
        format!("{name}: libvirt says so of vCPUs, I/O threads, emulator"),
        &(&live.vcpus, &live.iothreads, &live.emulator),
        &(&vcpus, &sets(&plan.iothreads), &emulator),
    );
}

/// Everything is where it belongs, by what the kernel says of the host.
fn well(running: &Running<'_>, kernel: &Kernel, judge: &mut Judge) {
    let Running { vm, threads, live, pages, .. } = running;
    let name = vm.name;
    let cores = live.threads;
    let siblings = |vcpu: &u32| -> BTreeSet<Set> {
        let cpus = threads.vcpus.get(vcpu).into_iter().flatten();
        cpus.map(|cpu| kernel.siblings(*cpu)).collect()
    };
    // Guests number threads first, then cores.
    let mut hosts = BTreeMap::<u32, BTreeSet<Set>>::new();
    for vcpu in threads.vcpus.keys() {
        hosts.entry(vcpu / cores).or_default().extend(siblings(vcpu));
    }
    let split = hosts.iter().find(|(_, host)| host.len() != 1);
    judge.holds(
        format!("{name}: guest siblings are host siblings"),
        split.is_none(),
        || format!("the guest's core {split:?} is on several"),
    );
    let all: BTreeSet<_> = hosts.values().flatten().collect();
    judge.same(
        format!("{name}: each guest core has a core of its own"),
        &all.len(),
        &hosts.len(),
    );
    let width = all.iter().map(|core| core.len()).max().unwrap_or(1);
    judge.holds(
        format!("{name}: a guest with full cores knows of their siblings"),
        cores as usize == width || vm.vcpus == 1,
        || format!("it has {cores} threads in a core, and the host {width}"),
    );
    let cpus = |vcpus: &Set| -> Set {
        let cpus = vcpus.iter().filter_map(|vcpu| threads.vcpus.get(vcpu));
        cpus.flatten().copied().collect()
    };
    let node = |cpu: &u32| kernel.node(*cpu);
    let vcpus: Set = threads.vcpus.keys().copied().collect();
    judge.same(
        format!("{name}: it runs on the nodes that are best for it"),
        &cpus(&vcpus).iter().filter_map(node).collect(),
        &vm.nodes.iter().copied().collect::<Set>(),
    );
    for (id, cell) in (0u32..).zip(&live.cells) {
        let cpus = cpus(&cell.vcpus);
        let nodes: Set = cpus.iter().filter_map(node).collect();
        let l3s: BTreeSet<_> = cpus.iter().map(|cpu| kernel.l3(*cpu)).collect();
        judge.same(
            format!("{name}: guest node {id} is on one node and one L3"),
            &(nodes.len(), l3s.len()),
            &(1, 1),
        );
        let home = nodes.first().map(|node| (*node, cell.pages));
        judge.same(
            format!("{name}: each page of guest node {id} is on its node"),
            &pages.get(&id),
            &Some(&home.into_iter().collect()),
        );
    }
}

/// VMs do not meet.
fn together(all: &[Running<'_>], kernel: &Kernel, judge: &mut Judge) {
    let mut cpus = BTreeMap::<u32, Vec<String>>::new();
    for running in all {
        for (vcpu, allowed) in &running.threads.vcpus {
            for cpu in allowed {
                let who = format!("{} {vcpu}", running.vm.name);
                cpus.entry(*cpu).or_default().push(who);
            }
        }
    }
    let twice: Vec<_> = cpus.iter().filter(|(_, who)| who.len() > 1).collect();
    judge.holds("no CPU has two vCPUs", twice.is_empty(), || {
        format!("{twice:?}")
    });
    let taken: Set = cpus.keys().copied().collect();
    judge.same(
        "all vCPUs are on CPUs that run",
        &(&taken - &kernel.online()),
        &Set::new(),
    );
    let of = |running: &Running<'_>| -> BTreeSet<Set> {
        let cpus = running.threads.vcpus.values().flatten();
        cpus.map(|cpu| kernel.siblings(*cpu)).collect()
    };
    let cores: Vec<_> = all.iter().flat_map(of).collect();
    let different: BTreeSet<_> = cores.iter().collect();
    judge.same("no core has two VMs", &different.len(), &cores.len());
    judge.holds(
        "no vCPU is on the core of CPU 0",
        kernel.siblings(0).is_disjoint(&taken),
        || format!("{cpus:?}"),
    );
    for Running { vm, threads, .. } in all {
        let others = threads.others.iter().map(|(_, cpus)| cpus);
        let mut service = threads.iothreads.values().chain(others);
        judge.holds(
            format!("{}: its other threads are off all vCPUs", vm.name),
            service.all(|cpus| cpus.is_disjoint(&taken)),
            || format!("vCPUs have {taken:?}"),
        );
    }
    for node in kernel.nodes() {
        let pages = all.iter().flat_map(|running| running.pages.values());
        let used: u64 = pages.filter_map(|cell| cell.get(&node)).sum();
        let pools = kernel.pages(node);
        let (total, free) = pools.get(&2048).copied().unwrap_or_default();
        judge.same(
            format!("node {node} has given so many pages"),
            &(total - free),
            &used,
        );
    }
}
