//! Which virtual functions VMs are given.
//!
//! A policy asks for functions of a card, and two VMs can want the same one.
//! A function that a definition has already stays. Of the others the one near
//! the VM comes first, then one that is there and not only planned, then one
//! that the host has no interface of, then the lowest. A function cannot be given that another VM has, or whose IOMMU group
//! holds something that others use: VFIO takes a group as a whole.

mod attached;
mod candidates;

use super::demand::DeviceDemand;
use crate::base::{DomainName, NodeSet, PciAddress};
use crate::model::domain::{Domain, Hostdev};
use crate::model::facts::{Facts, PciClass, PciFunction};
use crate::model::policy::{NicElement, NicName, NicSource, VmNic};
use crate::model::{Fact, NicPlacement, VmPlacement};

/// The host's virtual functions, and which VM has which.
#[derive(Debug, Clone)]
pub struct Functions<'a> {
    facts: &'a Facts,
    holders: Vec<(DomainName, PciAddress)>,
}

/// A function that a VM shall have.
#[derive(Debug, Clone)]
pub struct Wish {
    nic: VmNic,
    state: State,
}

/// How far a wish has come.
#[derive(Debug, Clone)]
enum State {
    /// The definition has a function for it.
    Has(Hostdev),
    /// These would do, the best first.
    Open(Vec<PciAddress>),
    /// None would, for this reason.
    Unmet(String),
}

/// A VM's place among the VMs, and its wish's among its wishes.
pub type WishAt = (usize, usize);

impl Wish {
    /// Returns what placement has to know of the function before it is known
    /// which it is: it may be at the node of any that would do.
    #[must_use]
    pub fn device(&self, functions: &Functions<'_>) -> Option<DeviceDemand> {
        let State::Open(candidates) = &self.state else { return None };
        let nodes: Vec<_> =
            candidates.iter().filter_map(|c| functions.nodes(*c)).collect();
        let joined = nodes.iter().fold(NodeSet::new(), |all, n| all.union(n));
        Some(DeviceDemand {
            address: *candidates.first()?,
            nodes: (!nodes.is_empty()).then_some(joined),
        })
    }

    /// Gives it up: the function that is left has no place for the VM.
    pub fn give_up(&mut self, why: &str) {
        if let State::Open(candidates) = &self.state {
            let names = names(candidates);
            self.state = State::Unmet(format!("{names} would do: {why}"));
        }
    }
}

impl<'a> Functions<'a> {
    /// Takes the host's functions and the VMs that have some.
    #[must_use]
    pub const fn of(
        facts: &'a Facts,
        holders: Vec<(DomainName, PciAddress)>,
    ) -> Self {
        Self { facts, holders }
    }

    /// Returns what a VM wishes, in the policy's order.
    #[must_use]
    pub fn wishes(&self, domain: &Domain, nics: &[VmNic]) -> Vec<Wish> {
        let state = |nic: &VmNic, has: Option<&Hostdev>| match has {
            Some(has) => State::Has(has.clone()),
            None => match self.candidates(domain, &nic.from) {
                Ok(candidates) => State::Open(candidates),
                Err(why) => State::Unmet(why),
            },
        };
        nics.iter()
            .zip(self.attached(domain, nics))
            .map(|(nic, has)| Wish { nic: nic.clone(), state: state(nic, has) })
            .collect()
    }

    /// Returns the wishes for any card, those with the least choice last:
    /// they are to be given up first where the VMs have no place with them.
    /// Who names a card has no place without it.
    #[must_use]
    pub fn of_any_card(wishes: &[Vec<Wish>]) -> Vec<WishAt> {
        let mut open = order(wishes);
        open.retain(|&(vm, at)| wishes[vm][at].nic.from == NicSource::Auto);
        open.reverse();
        open
    }

    /// Gives the VMs, which are placed so, what they wish.
    ///
    /// # Errors
    /// When there was a choice, or not enough: the choice is made now, and the
    /// VMs are to be placed anew, for these functions. The wishes that were
    /// decided are named, those last that are to be given up first where no
    /// such place exists: they could only be met away from their VM.
    pub fn give(
        &self,
        wishes: &mut [Vec<Wish>],
        placements: &[VmPlacement],
    ) -> Result<Vec<Vec<NicPlacement>>, Vec<WishAt>> {
        let mut open = order(wishes);
        let mut given = Vec::new();
        let mut decided = Vec::new();
        let mut changed = false;
        // Nobody takes from afar what another VM has near.
        for from_afar in [false, true] {
            open.retain(|&(vm, at)| {
                let wish = &mut wishes[vm][at];
                let State::Open(candidates) = &wish.state else { return false };
                let is_left = |one: &PciAddress| {
                    self.is_left(*one, vm, &given)
                        && (from_afar || self.is_near(*one, &placements[vm]))
                };
                let one = candidates.iter().copied().find(is_left);
                if let Some(one) = one {
                    let is_news = candidates.len() > 1;
                    changed |= is_news;
                    decided.extend((is_news || from_afar).then_some((vm, at)));
                    given.push((vm, one));
                    wish.state = State::Open(vec![one]);
                }
                one.is_none()
            });
        }
        for (vm, at) in open {
            let why = "all functions that would do are given already";
            wishes[vm][at].state = State::Unmet(why.to_owned());
            changed = true;
        }
        if changed {
            return Err(decided);
        }
        let placed = |own: &Vec<Wish>| {
            own.iter().map(|wish| self.placed(wish)).collect()
        };
        Ok(wishes.iter().map(placed).collect())
    }

    /// Returns whether nobody was given a function, or what VFIO gives out
    /// with it.
    fn is_left(
        &self,
        candidate: PciAddress,
        vm: usize,
        given: &[(usize, PciAddress)],
    ) -> bool {
        given.iter().all(|(to, other)| {
            let grouped = || self.are_grouped(candidate, *other);
            candidate != *other && (*to == vm || !grouped())
        })
    }

    fn is_near(&self, candidate: PciAddress, placement: &VmPlacement) -> bool {
        let mut cells = placement.cells.iter();
        let nodes = self.nodes(candidate);
        nodes.is_some_and(|nodes| cells.any(|c| nodes.contains(c.node)))
    }

    /// Says what became of a wish.
    fn placed(&self, wish: &Wish) -> NicPlacement {
        let nothing = |because: &str| NicPlacement {
            function: None,
            attached: false,
            is_interface: false,
            mac: wish.nic.mac,
            because: because.to_owned(),
        };
        let candidates = match &wish.state {
            State::Open(candidates) => candidates.iter(),
            State::Unmet(why) => return nothing(why),
            State::Has(has) => {
                return NicPlacement {
                    function: Some(has.source),
                    attached: true,
                    is_interface: has.is_interface,
                    ..nothing("it is attached")
                };
            }
        };
        let mut functions = candidates.filter_map(|one| self.function(*one));
        let Some(function) = functions.next() else {
            return nothing("no function would do");
        };
        NicPlacement {
            function: Some(function.address),
            is_interface: match wish.nic.element {
                NicElement::Auto => function.class != PciClass::Infiniband,
                NicElement::Interface => true,
                NicElement::Hostdev => false,
            },
            ..nothing(&self.because(function))
        }
    }

    fn because(&self, function: &PciFunction) -> String {
        let mut parts = Vec::new();
        if let Some(card) = function.physfn.and_then(|f| self.function(f)) {
            let names = match &card.interfaces[..] {
                [] => String::new(),
                names => format!(" ({})", names.join(", ")),
            };
            let is = match self.facts.is_to_come(function.address) {
                true => "will be, once the host has booted,",
                false => "is",
            };
            parts.push(format!("{is} a function of {}{names}", card.address));
        }
        match &function.nodes {
            Fact::Known { value, .. } => {
                parts.push(format!("is at node {value}"));
            }
            Fact::Unknown { unknown } => {
                parts
                    .push(format!("is at a node that is not known: {unknown}"));
            }
        }
        if let Some(Some(group)) = function.iommu_group.value() {
            parts.push(format!("is in IOMMU group {group}"));
        }
        format!(
            "{} {}, and no other VM has it",
            function.address,
            parts.join(", ")
        )
    }

    /// Returns whether this is a virtual function of a network card, and of
    /// the one that is asked for.
    fn is_of(&self, function: &PciFunction, from: &NicSource) -> bool {
        let Some(card) = function.physfn else { return false };
        function.class.is_network()
            && match from {
                NicSource::Auto => true,
                NicSource::Named(NicName::Address(address)) => {
                    [card, function.address].contains(address)
                }
                NicSource::Named(NicName::Interface(name)) => {
                    let card = self.function(card);
                    let own = card.into_iter().chain([function]);
                    own.flat_map(|f| &f.interfaces).any(|n| n == name.as_str())
                }
            }
    }

    /// Returns what else is in a function's IOMMU group.
    fn companions(&self, function: &PciFunction) -> Vec<PciAddress> {
        if function.iommu_group.value().is_none() {
            return Vec::new();
        }
        let own = function.address;
        let groups = self.facts.kernel.iommu.groups.value();
        let mut groups = groups.into_iter().flatten();
        let listed = groups.find(|group| group.functions.contains(&own));
        let mut all: Vec<_> = match listed {
            Some(group) => group.functions.clone(),
            None => self
                .facts
                .pci
                .value()
                .into_iter()
                .flatten()
                .filter(|f| {
                    f.iommu_group.value() == function.iommu_group.value()
                })
                .map(|f| f.address)
                .collect(),
        };
        all.retain(|other| *other != own);
        all
    }

    fn are_grouped(&self, one: PciAddress, other: PciAddress) -> bool {
        self.function(one).is_some_and(|f| self.companions(f).contains(&other))
    }

    fn function(&self, address: PciAddress) -> Option<&'a PciFunction> {
        let mut all = self.facts.pci.value().into_iter().flatten();
        all.find(|function| function.address == address)
    }

    fn nodes(&self, address: PciAddress) -> Option<&'a NodeSet> {
        self.function(address)?.nodes.value()
    }
}

/// Returns the wishes that are open; who has the least choice comes first.
fn order(wishes: &[Vec<Wish>]) -> Vec<WishAt> {
    let mut open = Vec::new();
    for (vm, own) in wishes.iter().enumerate() {
        for (at, wish) in own.iter().enumerate() {
            if let State::Open(candidates) = &wish.state {
                open.push((candidates.len(), (vm, at)));
            }
        }
    }
    open.sort_unstable();
    open.into_iter().map(|(_, at)| at).collect()
}

fn names(addresses: &[PciAddress]) -> String {
    let names: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    names.join(", ")
}
