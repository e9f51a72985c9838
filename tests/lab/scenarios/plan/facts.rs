//! Facts, against what others say of the same host.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use vmtune::base::{Bytes, Id, IdSet, NodeId, PageSize};
use vmtune::model::facts::{Facts, Node};

use super::devices;
use super::kernel::{Kernel, Set, groups};
use super::tools::{self, Lscpu, Lstopo, Numactl};
use crate::judge::{Judge, Results};

/// Judges the facts of the host that this kernel runs.
pub(super) fn judge(
    results: &Results,
    kernel: &Kernel,
    judge: &mut Judge,
) -> Result<()> {
    let facts: Facts = results.json("facts.json")?;
    cpus(&facts, kernel, judge);
    nodes(&facts, kernel, judge);
    let after = results.json("kernel-after.json")?;
    free_memory(&facts, [kernel, &after], judge);
    devices::judge(&facts, kernel, judge);
    lstopo(&facts, &Lstopo::read(&results.text("lstopo.xml")?)?, judge);
    lscpu(&facts, results, judge)?;
    numactl(&facts, &results.text("numactl")?, judge);
    Ok(())
}

fn cpus(facts: &Facts, kernel: &Kernel, judge: &mut Judge) {
    let topology = &facts.topology;
    let online = kernel.online();
    judge.same("the online CPUs are true", &set(&topology.online), &online);
    let offline = topology.offline.value().map(set);
    judge.same("the offline CPUs are true", &offline, &Some(kernel.offline()));
    let isolated = topology.isolated.value().map(set);
    judge.same(
        "the isolated CPUs are true",
        &isolated,
        &Some(kernel.isolated()),
    );
    let found = topology.cores.iter().map(|core| set(&core.cpus)).collect();
    let siblings = groups(&online, |cpu| kernel.siblings(cpu));
    judge.same("cores are the kernel's groups of siblings", &found, &siblings);
    let found = topology.l3.iter().map(|l3| set(&l3.cpus)).collect();
    let shared = groups(&online, |cpu| kernel.l3(cpu));
    judge.same("CPUs share an L3 where the kernel says so", &found, &shared);
    let found = topology.packages.iter().map(|one| set(&one.cpus)).collect();
    let packages = groups(&online, |cpu| kernel.package(cpu));
    judge.same("packages are the kernel's", &found, &packages);
    judge.same(
        "the kernel's release is true",
        &facts.kernel.release.value().map(String::as_str),
        &kernel.get("/proc/sys/kernel/osrelease"),
    );
}

fn nodes(facts: &Facts, kernel: &Kernel, judge: &mut Judge) {
    let nodes = &facts.topology.nodes;
    let found: Set = nodes.iter().map(|node| node.id.0).collect();
    judge.same("the nodes are those that are online", &found, &kernel.nodes());
    for node in nodes {
        let id = node.id.0;
        judge.same(
            format!("the CPUs of node {id} are true"),
            &set(&node.cpus),
            &kernel.node_cpus(id),
        );
        judge.same(
            format!("the distances of node {id} are true"),
            &distances(node),
            &kernel.distances(id),
        );
        judge.same(
            format!("the memory of node {id} is true"),
            &node.memory.value().map(|memory| memory.kib()),
            &kernel.memory(id, "MemTotal"),
        );
        let pools = facts.memory.hugepages.value().into_iter().flatten();
        let of_node = pools.filter(|pool| pool.node == node.id);
        let found: BTreeMap<_, _> = of_node
            .map(|pool| {
                let free = pool.free.value().copied().unwrap_or(u64::MAX);
                (pool.size.kib(), (pool.total, free))
            })
            .collect();
        judge.same(
            format!("the huge pages of node {id} are true, and those free"),
            &found,
            &kernel.pages(id),
        );
    }
    let pools = facts.memory.hugepages.value().into_iter().flatten();
    let some = pools
        .filter(|pool| pool.size == PageSize::TWO_MIB && pool.total > 0)
        .map(|pool| pool.node.0);
    judge.same(
        "each node has pages of 2 MiB, as its administrator wanted",
        &some.collect(),
        &kernel.nodes(),
    );
}

/// Judges free memory by what the kernel said before and after: files that
/// are read take some, vmtune's own among them.
fn free_memory(facts: &Facts, kernel: [&Kernel; 2], judge: &mut Judge) {
    const SLACK: u64 = Bytes(64 << 20).kib();
    let free = facts.memory.free.value();
    let near = |id: &u32| {
        let [before, after] = kernel.map(|one| one.memory(*id, "MemFree"));
        let (before, after) = (before?, after?);
        let free = free?.get(&NodeId(*id))?.kib();
        let least = before.min(after).saturating_sub(SLACK);
        Some((least..=before.max(after) + SLACK).contains(&free))
    };
    let far: Vec<_> = kernel[0]
        .nodes()
        .into_iter()
        .filter(|id| near(id) != Some(true))
        .collect();
    judge.holds("free memory is what the kernel says", far.is_empty(), || {
        format!("nodes {far:?} have another free memory than {free:?}")
    });
}

fn lstopo(facts: &Facts, lstopo: &Lstopo, judge: &mut Judge) {
    let topology = &facts.topology;
    let kinds = [
        ("Package", topology.packages.iter().map(|p| set(&p.cpus)).collect()),
        ("L3Cache", topology.l3.iter().map(|l3| set(&l3.cpus)).collect()),
        ("L2Cache", topology.l2.iter().map(|l2| set(&l2.cpus)).collect()),
        ("Core", topology.cores.iter().map(|core| set(&core.cpus)).collect()),
        ("NUMANode", topology.nodes.iter().map(|n| set(&n.cpus)).collect()),
    ];
    for (kind, found) in kinds {
        let what = format!("lstopo draws the same objects: {kind}");
        judge.same(what, &found, &lstopo.groups(kind));
    }
    let memory = |node: &Node| Some((node.id.0, node.memory.value()?.0));
    judge.same(
        "lstopo finds the same memory on each node",
        &topology.nodes.iter().filter_map(memory).collect(),
        &lstopo.nodes(),
    );
}

fn lscpu(facts: &Facts, results: &Results, judge: &mut Judge) -> Result<()> {
    let topology = &facts.topology;
    let cpus = tools::lscpu(&results.text("lscpu")?)?;
    let which = |online: bool| -> Set {
        cpus.iter().filter(|c| c.online == online).map(|c| c.cpu).collect()
    };
    let known = topology.offline.value().map_or_else(Set::new, set);
    judge.same(
        "lscpu lists the same CPUs, online and offline",
        &(set(&topology.online), known),
        &(which(true), which(false)),
    );
    let shared = |of: &dyn Fn(&Lscpu) -> Option<u32>| {
        let mut groups = BTreeMap::<u32, Set>::new();
        for cpu in cpus.iter().filter(|cpu| cpu.online) {
            groups.entry(of(cpu).unwrap()).or_default().insert(cpu.cpu);
        }
        groups.into_values().collect::<BTreeSet<_>>()
    };
    judge.same(
        "lscpu numbers the same cores",
        &topology.cores.iter().map(|core| set(&core.cpus)).collect(),
        &shared(&|cpu| cpu.core),
    );
    judge.same(
        "lscpu numbers the same sockets",
        &topology.packages.iter().map(|one| set(&one.cpus)).collect(),
        &shared(&|cpu| cpu.socket),
    );
    judge.same(
        "lscpu puts each CPU on the same node",
        &topology.nodes.iter().map(|node| set(&node.cpus)).collect(),
        &shared(&|cpu| cpu.node),
    );
    let text = results.text("lscpu.json")?;
    judge.same(
        "lscpu names the same vendor and model",
        &(facts.cpu_vendor.value(), facts.cpu_model.value()),
        &(
            tools::lscpu_line(&text, "Vendor ID:").as_ref(),
            tools::lscpu_line(&text, "Model name:").as_ref(),
        ),
    );
    Ok(())
}

fn numactl(facts: &Facts, text: &str, judge: &mut Judge) {
    let found = facts.topology.nodes.iter().map(|node| {
        let mib = node.memory.value().map_or(0, |memory| memory.0 >> 20);
        let cpus = set(&node.cpus);
        (node.id.0, Numactl { cpus, mib, distances: distances(node) })
    });
    judge.same(
        "numactl finds the same nodes: CPUs, MiB, distances",
        &found.collect(),
        &tools::numactl(text),
    );
}

fn distances(node: &Node) -> Vec<u32> {
    let known = node.distances.value();
    known.map(|all| all.values().copied().collect()).unwrap_or_default()
}

/// Returns the plain numbers of a set.
pub(super) fn set<T: Id>(ids: &IdSet<T>) -> Set {
    ids.iter().map(Id::number).collect()
}
