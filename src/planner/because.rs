//! Why a VM is where it is, in sentences that cite the facts.

use std::collections::BTreeSet;

use super::Inputs;
use crate::base::{Bytes, CpuSet, NodeId};
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::{Advice, Objective, VmPlacement};
use crate::placement::Reservations;

/// Says why a placement is as it is.
pub(super) fn placement(
    facts: &Facts,
    domain: &Domain,
    placement: &VmPlacement,
    objective: &Objective,
    reservations: &Reservations,
) -> Vec<String> {
    let mut because = Vec::new();
    because.extend(devices(facts, domain, placement));
    because.push(nodes(placement, objective));
    if placement.exclusive {
        because.extend(caches(facts, placement, objective));
        because.push(cores(facts, placement, objective));
    } else {
        because.push(
            "its vCPUs float over the CPUs of their node that no VM has to \
             itself"
                .to_owned(),
        );
    }
    because.extend(pages(facts, placement, reservations));
    because
}

fn devices<'a>(
    facts: &'a Facts,
    domain: &'a Domain,
    placement: &'a VmPlacement,
) -> impl Iterator<Item = String> + 'a {
    domain.devices.hostdevs.iter().map(|hostdev| {
        let address = hostdev.source;
        let known = facts.pci.value().into_iter().flatten();
        let function = known.into_iter().find(|f| f.address == address);
        let Some(function) = function else {
            return format!(
                "the node of {address} is not known: {} does not list it",
                facts.source
            );
        };
        let Some(nodes) = function.nodes.value() else {
            let why = function.nodes.reason().unwrap_or("no reason given");
            return format!("the node of {address} is not known: {why}");
        };
        let near = placement.cells.iter().all(|c| nodes.contains(c.node));
        let some = placement.cells.iter().any(|c| nodes.contains(c.node));
        let origin = match function.nodes.origin() {
            Some(origin) => format!(" ({origin})"),
            None => String::new(),
        };
        let how = match (near, some) {
            (true, _) => "is at the VM's node",
            (_, true) => "is at one of the VM's nodes, node",
            _ => "is away from the VM, at node",
        };
        format!("{address} {how} {nodes}{origin}")
    })
}

fn nodes(placement: &VmPlacement, objective: &Objective) -> String {
    let used: BTreeSet<NodeId> =
        placement.cells.iter().map(|cell| cell.node).collect();
    let names: Vec<_> = used.iter().map(ToString::to_string).collect();
    let fewest = match objective.0[0] {
        0 => "the fewest that hold it".to_owned(),
        n => format!("{n} more than an empty host would need"),
    };
    match used.len() {
        1 => format!("all of it is on node {}", names.join(", ")),
        n => format!("it is on {n} nodes ({}), {fewest}", names.join(", ")),
    }
}

fn caches(
    facts: &Facts,
    placement: &VmPlacement,
    objective: &Objective,
) -> Option<String> {
    let cpus = placement.cpus();
    let entered =
        facts.topology.l3.iter().filter(|l3| l3.cpus.intersects(&cpus));
    let names: Vec<_> = entered.map(|l3| l3.cpus.to_string()).collect();
    let beyond = match objective.0[2] {
        ..=0 => "the fewest that hold it".to_owned(),
        n => format!("{n} more than an empty host would need"),
    };
    match names.len() {
        0 => None,
        1 => Some(format!("all its vCPUs share the L3 of CPUs {}", names[0])),
        n => Some(format!(
            "its vCPUs are in {n} L3 domains, {beyond}: CPUs {}",
            names.join("; ")
        )),
    }
}

fn cores(
    facts: &Facts,
    placement: &VmPlacement,
    objective: &Objective,
) -> String {
    let cpus = placement.cpus();
    let cores = facts.topology.cores.iter();
    let used = cores.filter(|core| core.cpus.intersects(&cpus)).count();
    let shared = match objective.0[3] {
        0 => "none shared with another VM".to_owned(),
        n => format!("{n} shared with another VM"),
    };
    let threads = match placement.threads {
        1 => "one guest thread per guest core".to_owned(),
        n => format!("{n} guest threads on the siblings of each"),
    };
    format!("{used} cores, {shared}, {threads}")
}

fn pages(
    facts: &Facts,
    placement: &VmPlacement,
    reservations: &Reservations,
) -> Option<String> {
    let size = placement.pages?;
    let mut parts = Vec::new();
    for node in placement.memory_nodes().iter() {
        let cells = placement.cells.iter().filter(|c| c.memory_node == node);
        let needed: u64 = cells.map(|cell| size.pages(cell.memory)).sum();
        let pools = facts.memory.hugepages.value().into_iter().flatten();
        let pool = pools.into_iter().find(|p| p.node == node && p.size == size);
        let of = match pool.map(|pool| (pool.free.value(), pool.total)) {
            Some((Some(free), _)) => format!("{free} free"),
            Some((None, total)) => {
                format!("{total} in all; how many are free is assumed")
            }
            None => "an unknown number".to_owned(),
        };
        let more = reservations.get(&(node, size)).map_or(0, |pages| *pages);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} to be reserved"),
        };
        parts.push(format!("{needed} of {of}{more} on node {node}"));
    }
    Some(format!("its memory is {size} pages: {}", parts.join(", ")))
}

/// Says where ordinary memory is bound to a node that has less of it free
/// now: the kernel must give up caches first, or the VM does not start.
pub(super) fn crowded(
    facts: &Facts,
    placement: &VmPlacement,
) -> Option<Advice> {
    let free = facts.memory.free.value()?;
    if placement.pages.is_some() {
        return None;
    }
    let short = placement.memory_nodes().iter().find_map(|node| {
        let cells = placement.cells.iter().filter(|c| c.memory_node == node);
        let wanted = Bytes(cells.map(|cell| cell.memory.0).sum());
        let free = *free.get(&node)?;
        (wanted > free).then_some((node, wanted, free))
    });
    let (node, wanted, free) = short?;
    Some(Advice {
        rule: "numa-memory".to_owned(),
        vm: Some(placement.name.to_string()),
        text: format!(
            "{wanted} come from node {node}, which has {free} free now: see \
             that caches or other work can make room before the VM starts"
        ),
    })
}

/// Says which neighbours may run on anybody's CPUs.
pub(super) fn neighbours(inputs: &Inputs<'_>) -> Vec<Advice> {
    let online: &CpuSet = &inputs.facts.topology.online;
    let floats = |domain: &Domain| {
        let pinned = |vcpu| {
            let own = domain.cputune.vcpupin.get(&crate::base::VcpuId(vcpu));
            own.or(domain.vcpu_cpuset.as_ref())
                .is_some_and(|cpus| !online.is_subset(cpus))
        };
        !(0..domain.vcpus).all(pinned)
    };
    let loose: Vec<_> = inputs
        .neighbours
        .iter()
        .filter(|n| n.definitions.iter().any(floats))
        .map(|neighbour| neighbour.name.to_string())
        .collect();
    if loose.is_empty() {
        return Vec::new();
    }
    let text = format!(
        "{} {} not pinned and may run on the CPUs of this plan; plan them \
         too, or give them CPUs of their own",
        loose.join(", "),
        if loose.len() == 1 { "is" } else { "are" }
    );
    vec![Advice { rule: "vcpu-pin".to_owned(), vm: None, text }]
}
