//! Network cards with virtual functions, for hosts made of numbers.

use vmtune::base::{NodeId, NodeSet, PciAddress};
use vmtune::model::Fact;
use vmtune::model::facts::{Facts, PciClass, PciFunction, Sriov};

/// A card with one physical function.
pub struct Card {
    /// Its address without the function: `0000:c1:00`.
    slot: String,
    node: NodeId,
    /// How many virtual functions it has; it could have seven.
    functions: u8,
}

impl Card {
    pub fn new(slot: &str, node: u32, functions: u8) -> Self {
        Self { slot: slot.to_owned(), node: NodeId(node), functions }
    }
}

/// Adds a card. Its interface is `nic` and its bus; each function is in an
/// IOMMU group of its own.
pub fn add_card(facts: &mut Facts, card: &Card) {
    let Fact::Known { value: all, .. } = &mut facts.pci else { return };
    let at = |function: u8| -> PciAddress {
        format!("{}.{function}", card.slot).parse().unwrap()
    };
    let function = |number: u8, driver: Option<&str>| PciFunction {
        address: at(number),
        id: Fact::known("15b3:101e".parse().unwrap(), "made up"),
        class: PciClass::Network,
        nodes: Fact::known(NodeSet::from(card.node), "made up"),
        driver: Fact::known(driver.map(str::to_owned), "made up"),
        iommu_group: Fact::known(
            Some(u32::from(at(0).bus()) - 1 + u32::from(number)),
            "made up",
        ),
        physfn: (number > 0).then(|| at(0)),
        sriov: None,
        interfaces: Vec::new(),
    };
    let mut physical = function(0, Some("mlx5_core"));
    physical.interfaces = vec![format!("nic{:02x}", at(0).bus())];
    physical.sriov = Some(Sriov {
        total: Fact::known(7, "made up"),
        virtfns: (1..=card.functions).map(at).collect(),
    });
    all.push(physical);
    all.extend((1..=card.functions).map(|number| function(number, None)));
    all.sort_by_key(|function| function.address);
}
