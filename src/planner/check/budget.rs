//! Memory on each node: pages of a pool, and what is left beside the pools.
//!
//! A VM is judged against what those before it leave. Memory that is bound
//! to one node counts there; memory that may come from several counts last,
//! against what all of them have left.

use std::collections::BTreeMap;

use super::flaw::Flaw;
use super::host::Host;
use super::memory::{Binding, Pages, binding, pages as pages_of, parts};
use super::scene::Scene;
use super::vm::Vm;
use super::words;
use crate::base::{Bytes, NodeId, NodeSet, PageSize};
use crate::model::domain::Domain;
use crate::model::facts::HugepagePool;

/// What is taken of one node: huge pages of a size, by number, or bytes of
/// ordinary memory.
type Shelf = (Option<PageSize>, NodeId);

/// What one definition takes.
#[derive(Default)]
struct Wants {
    /// From one node.
    bound: BTreeMap<Shelf, u64>,
    /// From any of some nodes.
    floating: BTreeMap<(Option<PageSize>, NodeSet), u64>,
}

impl Wants {
    fn of(host: &Host<'_>, domain: &Domain) -> Self {
        let mut wants = Self::default();
        for part in parts(domain) {
            let (size, amount) = match pages_of(host, domain, part.cell) {
                Pages::Ordinary => (None, part.memory.0),
                Pages::Huge(size) => (Some(size), size.pages(part.memory)),
                Pages::Unknown => continue,
            };
            let nodes = match binding(domain, part.cell) {
                Binding::Nodes { nodes, strict: true } => nodes.clone(),
                _ => host.all_nodes(),
            };
            let sum = match nodes.first() {
                Some(node) if nodes.len() == 1 => {
                    wants.bound.entry((size, node)).or_default()
                }
                _ => wants.floating.entry((size, nodes)).or_default(),
            };
            *sum = sum.saturating_add(amount);
        }
        wants
    }

    fn on(&self, shelf: Shelf) -> u64 {
        self.bound.get(&shelf).copied().unwrap_or(0)
    }

    /// Returns the most that may come from there.
    fn at_most_on(&self, shelf: Shelf) -> u64 {
        let (size, node) = shelf;
        let mut most = self.on(shelf);
        for ((of_size, nodes), amount) in &self.floating {
            if *of_size == size && nodes.contains(node) {
                most = most.saturating_add(*amount);
            }
        }
        most
    }
}

/// What all definitions of a scene take.
pub(super) struct Budget<'a> {
    /// In the order of the VMs.
    judged: Vec<(&'a str, Wants)>,
    /// What judged VMs hold now, by name.
    live: BTreeMap<&'a str, Wants>,
    /// What neighbours bind, each by the largest of its definitions.
    neighbours: BTreeMap<Shelf, u64>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(
        host: &Host<'_>,
        vms: &[Vm<'a>],
        neighbours: &[&'a Domain],
    ) -> Self {
        let mut largest: BTreeMap<(&str, Shelf), u64> = BTreeMap::new();
        for domain in neighbours {
            for (shelf, amount) in Wants::of(host, domain).bound {
                let key = (domain.name.as_str(), shelf);
                let most = largest.entry(key).or_default();
                *most = amount.max(*most);
            }
        }
        let mut sums: BTreeMap<Shelf, u64> = BTreeMap::new();
        for ((_, shelf), amount) in largest {
            let sum = sums.entry(shelf).or_default();
            *sum = sum.saturating_add(amount);
        }
        let judged = vms.iter().map(|vm| (vm.name(), vm.domain));
        let live = vms.iter().filter_map(|vm| Some((vm.name(), vm.live?)));
        Self {
            judged: judged.map(|(n, d)| (n, Wants::of(host, d))).collect(),
            live: live.map(|(n, d)| (n, Wants::of(host, d))).collect(),
            neighbours: sums,
        }
    }

    fn of(&self, vm: &Vm<'_>) -> &Wants {
        &self.judged[vm.place].1
    }

    /// Returns what the VMs before this one bind, or all others.
    fn others_on(&self, vm: &Vm<'_>, all: bool, shelf: Shelf) -> u64 {
        let count = if all { self.judged.len() } else { vm.place };
        let others = self.judged[..count].iter();
        others
            .filter(|(name, _)| *name != vm.name())
            .fold(0, |sum, (_, wants)| sum.saturating_add(wants.on(shelf)))
    }

    /// Returns what the VMs before this one take from any of these nodes,
    /// and from no others.
    fn floating_before(
        &self,
        vm: &Vm<'_>,
        size: PageSize,
        nodes: &NodeSet,
    ) -> u64 {
        let others = self.judged[..vm.place].iter();
        others
            .filter(|(name, _)| *name != vm.name())
            .flat_map(|(_, wants)| &wants.floating)
            .filter(|((of, from), _)| {
                *of == Some(size) && from.is_subset(nodes)
            })
            .fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    fn neighbours_on(&self, shelf: Shelf) -> u64 {
        self.neighbours.get(&shelf).copied().unwrap_or(0)
    }

    /// Returns the pages of a pool that the judged VMs can have, and whether
    /// that is an assumption.
    fn pages_in(&self, pool: &HugepagePool) -> (u64, bool) {
        let shelf = (Some(pool.size), pool.node);
        let Some(&free) = pool.free.value() else {
            let held = self.neighbours_on(shelf);
            return (pool.total.saturating_sub(held), true);
        };
        // What a judged VM holds now comes free when it starts anew.
        let pages = self
            .live
            .values()
            .fold(free, |sum, live| sum.saturating_add(live.at_most_on(shelf)));
        (pages.min(pool.total.max(free)), false)
    }
}

/// Huge pages: the host has the size, and enough of them on each node.
pub(super) fn pages(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    const RULE: &str = "hugepages";
    let Some(pools) = scene.host.facts.memory.hugepages.value() else { return };
    let budget = &scene.budget;
    let own = budget.of(vm);
    let line = || vm.line("memoryBacking/hugepages");
    let pool_of = |size: PageSize, node: NodeId| {
        pools.iter().find(|pool| pool.node == node && pool.size == size)
    };
    for (&shelf, &wanted) in &own.bound {
        let (Some(size), node) = shelf else { continue };
        if pools.iter().all(|pool| pool.size != size) {
            let what = format!("{size} pages, which this host does not have");
            let remedy = "Write a page size of the host.";
            found.push(Flaw::refused(RULE, what, remedy).at(line()));
            continue;
        }
        let pool = pool_of(size, node).map(|pool| budget.pages_in(pool));
        let (pages, assumed) = pool.unwrap_or((0, false));
        let taken = budget.others_on(vm, false, shelf);
        let left = pages.saturating_sub(taken);
        if wanted > left {
            let free = if assumed { "free, as is assumed" } else { "free" };
            let what = format!(
                "{wanted} {size} pages wanted on node {node}, {left} {free}"
            );
            let more = wanted - left;
            let remedy =
                format!("Reserve {more} more {size} pages on node {node}.");
            found.push(Flaw::refused(RULE, what, remedy).at(line()));
        }
    }
    for ((size, nodes), wanted) in &own.floating {
        let Some(size) = *size else { continue };
        let left = nodes.iter().fold(0_u64, |sum, node| {
            let shelf = (Some(size), node);
            let pool = pool_of(size, node).map(|pool| budget.pages_in(pool));
            let taken = budget.others_on(vm, true, shelf);
            let taken = taken.saturating_add(own.on(shelf));
            let pages = pool.map_or(0, |(pages, _)| pages);
            sum.saturating_add(pages.saturating_sub(taken))
        });
        let taken = budget.floating_before(vm, size, nodes);
        let left = left.saturating_sub(taken);
        if *wanted > left {
            let what = format!(
                "{wanted} {size} pages wanted on {}, {left} free",
                words::nodes(nodes),
            );
            let remedy =
                format!("Reserve {} more {size} pages.", wanted - left);
            found.push(Flaw::refused(RULE, what, remedy).at(line()));
        }
    }
}

/// Ordinary memory that is bound to a node fits beside the node's pools.
pub(super) fn ordinary(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let budget = &scene.budget;
    for (&shelf, &wanted) in &budget.of(vm).bound {
        let (None, node) = shelf else { continue };
        let Some(supply) = ordinary_supply(&scene.host, node) else { continue };
        let taken = budget.others_on(vm, false, shelf);
        let beside = supply.saturating_sub(taken);
        let left = beside.saturating_sub(budget.neighbours_on(shelf));
        if wanted > left {
            let what = format!(
                "{} of ordinary memory wanted on node {node}, which has {} \
                 left beside page pools and other VMs",
                Bytes(wanted),
                Bytes(left),
            );
            let remedy = "Bind it to another node, or shrink a page pool.";
            let flaw = Flaw::broken("numa-memory", what, remedy);
            // Neighbours need not all run, nor use all that they may.
            let flaw = flaw.slow_if(wanted <= beside);
            found.push(flaw.at(vm.line("numatune")));
        }
    }
}

/// Returns the memory of a node that is in no page pool, where it is known.
fn ordinary_supply(host: &Host<'_>, node: NodeId) -> Option<u64> {
    let memory = host.facts.topology.node(node)?.memory.value()?.0;
    let pools = host.facts.memory.hugepages.value().into_iter().flatten();
    Some(pools.filter(|pool| pool.node == node).fold(memory, |left, pool| {
        left.saturating_sub(pool.total.saturating_mul(pool.size.bytes()))
    }))
}
