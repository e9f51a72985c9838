//! Whether a host came up as its shape says: else all that follows would be
//! about another.

use std::collections::BTreeSet;

use super::kernel::{Kernel, Set, groups, set};
use crate::judge::Judge;
use crate::shape::Shape;

/// Judges what the kernel of a host says against the file of its shape.
pub(super) fn judge(shape: &Shape, kernel: &Kernel, judge: &mut Judge) {
    let offline: Set = shape.offline.iter().copied().collect();
    judge.same(
        "the shape: CPUs are offline as it says",
        &kernel.offline(),
        &offline,
    );
    let all: Set = (0..shape.cpus()).collect();
    let online = &all - &offline;
    judge.same("the shape: the others run", &kernel.online(), &online);
    let isolated = shape.kernel.split(' ').find_map(|word| {
        word.strip_prefix("isolcpus=")?.rsplit_once("domain,")
    });
    judge.same(
        "the shape: the kernel isolates what it is told to",
        &kernel.isolated(),
        &isolated.map_or_else(Set::new, |(_, cpus)| set(cpus)),
    );
    let nodes = shape.nodes.iter().map(|node| &set(&node.cpus) - &offline);
    let found = kernel.nodes().into_iter().map(|id| kernel.node_cpus(id));
    judge.same(
        "the shape: each node has its CPUs",
        &found.collect::<Vec<_>>(),
        &nodes.collect(),
    );
    let found = kernel.nodes().into_iter().map(|id| kernel.distances(id));
    let found: Vec<_> = found.collect();
    let told = shape.distances.iter();
    let mut distances: Vec<Vec<u32>> =
        told.map(|row| row.iter().map(|d| u32::from(*d)).collect()).collect();
    if distances.is_empty() {
        distances = vec![vec![10]];
    }
    judge.same("the shape: the nodes are so far apart", &found, &distances);
    // Siblings, dies and sockets are numbered one after the other.
    let each = |size: u32| -> BTreeSet<Set> {
        let starts = (0..shape.cpus()).step_by(size as usize);
        let all =
            starts.map(|start| &Set::from_iter(start..start + size) - &offline);
        all.filter(|group| !group.is_empty()).collect()
    };
    judge.same(
        "the shape: siblings share a core",
        &groups(&online, |cpu| kernel.siblings(cpu)),
        &each(shape.threads),
    );
    judge.same(
        "the shape: each die has an L3",
        &groups(&online, |cpu| kernel.l3(cpu)),
        &each(shape.threads * shape.cores),
    );
    judge.same(
        "the shape: the sockets",
        &groups(&online, |cpu| kernel.package(cpu)),
        &each(shape.threads * shape.cores * shape.dies),
    );
    // A card has two functions, each a device of its own.
    let cards = kernel.names("/sys/bus/pci/devices", "sriov_totalvfs");
    let at = cards.iter().map(|card| {
        let path = format!("/sys/bus/pci/devices/{card}/numa_node");
        // Where there is one node, nobody tells.
        kernel.get(&path).unwrap_or_default().replace("-1", "0")
    });
    let expected = shape.nics.iter().flat_map(|node| [node, node]);
    judge.same(
        "the shape: cards with functions are at their nodes",
        &at.collect::<Vec<_>>(),
        &expected.map(ToString::to_string).collect(),
    );
}
