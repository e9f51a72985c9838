//! What of a host has to do with its network cards.

use std::collections::BTreeMap;

use super::{Interrupt, Nic, PciFunction};
use crate::model::Fact;

/// The part of the facts in which a network card shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// PCI functions, without the nodes that they are near to.
    pub pci: Fact<Vec<PciFunction>>,
    /// Physical network functions; see [`super::Facts::nics`].
    pub nics: Fact<Vec<Nic>>,
    /// Settings of Open vSwitch; see [`super::Facts::open_vswitch`].
    pub open_vswitch: Fact<BTreeMap<String, String>>,
    /// Interrupts of PCI functions; see [`super::Facts::interrupts`].
    pub interrupts: Fact<Vec<Interrupt>>,
}
