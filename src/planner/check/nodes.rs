//! Host nodes that a guest's memory is from.

use super::flaw::Flaw;
use super::memory::{Binding, binding, parts};
use super::scene::Scene;
use super::vm::Vm;
use super::words;
use crate::base::{Bytes, NodeId, NodeSet};

const RULE: &str = "numa-memory";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    policies(vm, found);
    memnodes(vm, found);
    host_nodes(scene, vm, found);
    places(scene, vm, found);
}

/// `<memory>` of `<numatune>` says what libvirt can follow.
fn policies(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let numatune = &vm.domain.numatune;
    let Some(memory) = &numatune.memory else { return };
    let is_auto = memory.placement.as_deref() == Some("auto");
    let line = || vm.line("numatune/memory");
    let mut refuse = |what: &str, remedy: &str| {
        found.push(Flaw::refused(RULE, what, remedy).at(line()));
    };
    if is_auto && !numatune.memnodes.is_empty() {
        let what = "nodes of single cells beside placement='auto'";
        refuse(what, "Write placement='static' and a nodeset.");
    }
    let may_lack = vm.domain.vcpu_placement.as_deref() == Some("auto");
    if !is_auto && !may_lack && memory.nodeset.is_none() {
        refuse("no nodeset", "Name the nodes.");
    }
    let is = |mode: &Option<String>| mode.as_deref() == Some("restrictive");
    let odd = numatune
        .memnodes
        .values()
        .any(|node| is(&node.mode) && !is(&memory.mode));
    if odd {
        let what = "restrictive for a cell and not for all memory";
        refuse(what, "Write mode='strict' for the cell.");
    }
    if is_auto && memory.nodeset.is_some() {
        let what = "a nodeset beside placement='auto': numad chooses";
        let remedy = "Write placement='static'.";
        found.push(Flaw::slow(RULE, what, remedy).at(line()));
    }
}

/// Every `<memnode>` is of a guest cell.
fn memnodes(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let cells = vm.domain.cells();
    for id in vm.domain.numatune.memnodes.keys() {
        if cells.iter().any(|cell| cell.id == *id) {
            continue;
        }
        let what = format!("nodes of cell {id}, which the guest does not have");
        let remedy = "Write <cell>s, or <memory nodeset> for all memory.";
        let line = vm.line(&format!("numatune/memnode[@cellid='{id}']"));
        found.push(Flaw::refused(RULE, what, remedy).at(line));
    }
}

/// Every node that is named is on the host, and strict memory is on one
/// that has some.
fn host_nodes(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let topology = &scene.host.facts.topology;
    if topology.nodes.is_empty() {
        return;
    }
    let is_empty = |id: NodeId| {
        topology.node(id).is_some_and(|node| node.memory.is(&Bytes(0)))
    };
    let mut judge = |nodes: &NodeSet, path: &str| {
        let absent = nodes.difference(&scene.host.all_nodes());
        let remedy = "Name nodes of this host that have memory.";
        let problem = if !absent.is_empty() {
            format!("{}, not on this host", words::nodes(&absent))
        } else if !nodes.is_empty() && nodes.iter().all(is_empty) {
            format!("{} without memory", words::nodes(nodes))
        } else {
            return;
        };
        let what = format!("memory of {problem}");
        found.push(Flaw::refused(RULE, what, remedy).at(vm.line(path)));
    };
    let numatune = &vm.domain.numatune;
    if let Some(nodes) =
        numatune.memory.as_ref().and_then(|m| m.nodeset.as_ref())
    {
        judge(nodes, "numatune/memory/@nodeset");
    }
    for (id, memnode) in &numatune.memnodes {
        let path = format!("numatune/memnode[@cellid='{id}']/@nodeset");
        judge(&memnode.nodeset, &path);
    }
}

/// The memory of each part is bound to where its vCPUs are.
fn places(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let host = &scene.host;
    for part in parts(vm.domain) {
        let whose = part.cell.map_or_else(
            || "memory".to_owned(),
            |cell| format!("memory of cell {cell}"),
        );
        let line = || {
            let own = part.cell.and_then(|cell| {
                vm.line(&format!("numatune/memnode[@cellid='{cell}']"))
            });
            own.or_else(|| vm.line("numatune/memory"))
        };
        let cpus = vm.cpus_of(&part.vcpus).unwrap_or_default();
        let near: NodeSet = host
            .nodes(&cpus)
            .iter()
            .flat_map(|node| host.memory_near(node).iter().collect::<Vec<_>>())
            .collect();
        let (nodes, strict) = match binding(vm.domain, part.cell) {
            Binding::Nodes { nodes, strict } => (nodes, strict),
            Binding::None | Binding::Auto => {
                if vm.is_dedicated() && !near.is_empty() {
                    let what = format!(
                        "{whose} is not bound, the vCPUs are on {}",
                        words::nodes(&host.nodes(&cpus)),
                    );
                    let remedy =
                        format!("Bind it to {} (strict).", words::nodes(&near));
                    found.push(Flaw::slow(RULE, what, remedy).at(line()));
                }
                continue;
            }
        };
        if !near.is_empty() && !nodes.is_subset(&near) {
            let what = format!(
                "{whose} is on {}, the vCPUs are on {}",
                words::nodes(nodes),
                words::nodes(&host.nodes(&cpus)),
            );
            let remedy = format!("Bind it to {}.", words::nodes(&near));
            let untold = part.cell.is_none();
            let flaw = Flaw::broken(RULE, what, remedy).slow_if(untold);
            found.push(flaw.at(line()));
        } else if vm.is_dedicated() && !strict {
            let what = format!("{whose} may come from other nodes");
            let flaw = Flaw::slow(RULE, what, "Write mode='strict'.");
            found.push(flaw.at(line()));
        }
    }
}
