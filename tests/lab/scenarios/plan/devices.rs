//! Cards and IOMMU groups of the facts, against the kernel's.

use std::collections::{BTreeMap, BTreeSet};

use vmtune::model::facts::{Facts, PciFunction};

use super::facts::set;
use super::kernel::{Kernel, Set};
use crate::judge::Judge;

const PCI: &str = "/sys/bus/pci/devices";
const GROUPS: &str = "/sys/kernel/iommu_groups";

/// Network, storage, accelerators: what a VM could get.
const CLASSES: [&str; 4] = ["0x01", "0x02", "0x03", "0x12"];

/// What is to be known of a function.
#[derive(Debug, PartialEq)]
struct Card {
    id: String,
    node: Option<Set>,
    driver: Option<String>,
    group: Option<String>,
    physfn: Option<String>,
    functions: Option<String>,
    virtfns: Vec<String>,
    interfaces: Vec<String>,
}

/// Judges them.
pub(super) fn judge(facts: &Facts, kernel: &Kernel, judge: &mut Judge) {
    let cards = facts.pci.value().into_iter().flatten();
    let found: BTreeMap<_, _> =
        cards.map(|card| (card.address.to_string(), known(card))).collect();
    let matters = |name: &&str| {
        let class = kernel.get(&format!("{PCI}/{name}/class"));
        CLASSES.iter().any(|c| class.is_some_and(|class| class.starts_with(c)))
    };
    let names = kernel.names(PCI, "class");
    let expected: BTreeMap<_, _> = names
        .into_iter()
        .filter(matters)
        .map(|name| (name.to_owned(), told(kernel, name)))
        .collect();
    for (address, card) in &expected {
        judge.same(
            format!(
                "the card {address} is true: id, node, driver, group, \
                 functions, interfaces"
            ),
            &found.get(address),
            &Some(card),
        );
    }
    judge.same(
        "no cards but these are known",
        &found.keys().collect::<Vec<_>>(),
        &expected.keys().collect(),
    );
    let iommu = &facts.kernel.iommu;
    let groups = iommu.groups.value().into_iter().flatten();
    let found = groups.map(|group| {
        let names = group.functions.iter().map(ToString::to_string);
        (group.id.to_string(), names.collect())
    });
    let mut expected = BTreeMap::<_, BTreeSet<_>>::new();
    for path in kernel.below(GROUPS) {
        let (group, card) = path.split_once("/devices/").unwrap();
        let cards = expected.entry(group.to_owned()).or_default();
        cards.insert(card.to_owned());
    }
    judge.same("the IOMMU's groups are true", &found.collect(), &expected);
    judge.same(
        "an IOMMU is known where there is one",
        &iommu.enabled.value().copied(),
        &Some(kernel.below("/sys/class/iommu").next().is_some()),
    );
}

fn known(card: &PciFunction) -> Card {
    let text = |number: &u32| number.to_string();
    let sriov = card.sriov.as_ref();
    Card {
        id: card.id.value().map(ToString::to_string).unwrap_or_default(),
        node: card.nodes.value().map(set),
        driver: card.driver.value().cloned().flatten(),
        group: card.iommu_group.value().and_then(|g| g.as_ref().map(text)),
        physfn: card.physfn.map(|address| address.to_string()),
        functions: sriov.and_then(|s| s.total.value().map(text)),
        virtfns: sriov.map_or_else(Vec::new, |sriov| {
            sriov.virtfns.iter().map(ToString::to_string).collect()
        }),
        interfaces: card.interfaces.clone(),
    }
}

fn told(kernel: &Kernel, name: &str) -> Card {
    let at = |file: &str| kernel.get(&format!("{PCI}/{name}/{file}"));
    let owned = |file: &str| at(file).map(str::to_owned);
    let hex = |file: &str| at(file).unwrap_or_default().replace("0x", "");
    let nodes = kernel.nodes();
    // Where there is one node, a card that does not tell is at that one.
    let node = match at("numa_node").unwrap_or("-1") {
        "-1" if nodes.len() == 1 => Some(nodes),
        "-1" => None,
        node => Some(Set::from([node.parse().unwrap()])),
    };
    let virtfns = (0..2).filter_map(|n| owned(&format!("virtfn{n}")));
    let interfaces = kernel.below(&format!("{PCI}/{name}/net"));
    Card {
        id: format!("{}:{}", hex("vendor"), hex("device")),
        node,
        driver: owned("driver"),
        group: owned("iommu_group"),
        physfn: owned("physfn"),
        functions: owned("sriov_totalvfs"),
        virtfns: virtfns.collect(),
        interfaces: interfaces.map(str::to_owned).collect(),
    }
}
