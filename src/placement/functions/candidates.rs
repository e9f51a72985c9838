//! Functions that would do, and what is in the way of the others.

use super::{Functions, names};
use crate::base::{DomainName, PciAddress};
use crate::model::Fact;
use crate::model::domain::Domain;
use crate::model::facts::{PciClass, PciFunction};
use crate::model::policy::{NicName, NicSource};

/// Drivers that leave a function to VFIO, or that VFIO does not mind.
const HARMLESS: [&str; 3] = ["vfio-pci", "pci-stub", "pcieport"];

/// Functions that a sentence says cannot be had, at most.
const SAID: usize = 3;

impl Functions<'_> {
    /// Returns the functions that would do, or why none: those first that are
    /// there, of these those that the host has no interface of, then the
    /// lowest.
    pub(super) fn candidates(
        &self,
        domain: &Domain,
        from: &NicSource,
    ) -> Result<Vec<PciAddress>, String> {
        let all = self.facts.pci.value().ok_or_else(|| {
            self.facts.pci.reason().unwrap_or_default().to_owned()
        })?;
        let is_own = |function: &PciFunction| {
            let mut own = domain.devices.hostdevs.iter();
            own.any(|has| has.source == function.address)
        };
        let mut free = Vec::new();
        let mut obstacles = Vec::new();
        for function in all.iter().filter(|f| self.is_of(f, from)) {
            if !is_own(function) {
                match self.obstacle(domain, function) {
                    None => free.push(function),
                    Some(why) => obstacles.push(why),
                }
            }
        }
        let is_hosts = |f: &PciFunction| !f.interfaces.is_empty();
        let is_to_come = |f: &PciFunction| self.facts.is_to_come(f.address);
        free.sort_by_key(|f| (is_to_come(f), is_hosts(f), f.address));
        match (free.is_empty(), obstacles.len()) {
            (false, _) => Ok(free.iter().map(|f| f.address).collect()),
            (true, 0) => Err(self.none_of(all, from)),
            (true, count) => {
                obstacles.truncate(SAID);
                let more = match count.saturating_sub(SAID) {
                    0 => String::new(),
                    more => format!("; and {more} more like these"),
                };
                Err(obstacles.join("; ") + &more)
            }
        }
    }

    /// Says why no function is there to look at.
    fn none_of(&self, all: &[PciFunction], from: &NicSource) -> String {
        let named = |function: &&PciFunction| match from {
            NicSource::Auto => true,
            NicSource::Named(NicName::Address(address)) => {
                function.address == *address
            }
            NicSource::Named(NicName::Interface(name)) => {
                function.interfaces.iter().any(|n| n == name.as_str())
            }
        };
        let cards: Vec<_> = all
            .iter()
            .filter(|f| f.class.is_network() && f.physfn.is_none())
            .filter(named)
            .collect();
        let able: Vec<_> = cards.iter().filter(|c| c.sriov.is_some()).collect();
        match (&able[..], from) {
            ([], NicSource::Auto) => {
                "no network card of the host has SR-IOV".to_owned()
            }
            ([], _) if cards.is_empty() => {
                format!("{from} is no network card of this host")
            }
            ([], _) => format!("{from} has no SR-IOV"),
            (able, _) if able.iter().all(|c| has_none(c)) => {
                let able: Vec<_> = able.iter().map(|c| c.address).collect();
                format!(
                    "{} has no virtual functions yet: give [nic] its name and \
                     a count",
                    names(&able)
                )
            }
            _ => "the VM has all the functions that there are".to_owned(),
        }
    }

    /// Says why a VM cannot have a function.
    fn obstacle(
        &self,
        domain: &Domain,
        function: &PciFunction,
    ) -> Option<String> {
        let address = function.address;
        if let Some(holder) = self.other_holder(domain, address) {
            return Some(format!("{holder} has {address}"));
        }
        if self.facts.is_to_come(address) {
            return self.obstacle_to_come(function);
        }
        let group = match &function.iommu_group {
            Fact::Unknown { unknown } => {
                return Some(format!(
                    "the IOMMU group of {address} is not known: {unknown}"
                ));
            }
            Fact::Known { value: None, .. } => {
                return Some(format!(
                    "{address} has no IOMMU group: the host's IOMMU is off"
                ));
            }
            Fact::Known { value: Some(group), .. } => *group,
        };
        self.companions(function).into_iter().find_map(|other| {
            let why = self.in_the_way(domain, function, other)?;
            Some(format!(
                "{address} shares IOMMU group {group} with {other}, {why}"
            ))
        })
    }

    /// Says why a function that is not there yet will not do. The kernel gives
    /// each a group of its own unless what is above the card joins all below;
    /// then the card is not alone in its group either.
    fn obstacle_to_come(&self, function: &PciFunction) -> Option<String> {
        let card = self.function(function.physfn?)?;
        let at = card.address;
        match &card.iommu_group {
            Fact::Unknown { unknown } => Some(format!(
                "the IOMMU group of {at}, whose functions are to be made, is \
                 not known: {unknown}"
            )),
            Fact::Known { value: None, .. } => Some(format!(
                "{at} has no IOMMU group: the host's IOMMU is off"
            )),
            Fact::Known { value: Some(group), .. } => {
                let mut others = self.companions(card).into_iter();
                let other = others.find(|other| !other.is_beside(at))?;
                Some(format!(
                    "{at} shares IOMMU group {group} with {other}, and so will \
                     its functions"
                ))
            }
        }
    }

    /// Says why a member of a function's group keeps it from being given.
    fn in_the_way(
        &self,
        domain: &Domain,
        function: &PciFunction,
        other: PciAddress,
    ) -> Option<String> {
        if let Some(holder) = self.other_holder(domain, other) {
            return Some(format!("which {holder} has"));
        }
        let mut own = domain.devices.hostdevs.iter();
        if own.any(|has| has.source == other) {
            return None;
        }
        let Some(known) = self.function(other) else {
            // A port above the card goes with nobody.
            let own = function.address;
            let same = own.is_beside(other);
            return same.then(|| "which is not known".to_owned());
        };
        match &known.driver {
            _ if known.class == PciClass::Bridge => None,
            Fact::Known { value: None, .. } => None,
            Fact::Known { value: Some(driver), .. } => {
                let harmless = HARMLESS.contains(&driver.as_str());
                (!harmless).then(|| format!("which {driver} drives"))
            }
            Fact::Unknown { .. } => {
                Some("whose driver is not known".to_owned())
            }
        }
    }

    fn other_holder(
        &self,
        domain: &Domain,
        address: PciAddress,
    ) -> Option<&DomainName> {
        let mut holders = self.holders.iter();
        let other = holders
            .find(|(name, held)| *held == address && *name != domain.name);
        other.map(|(name, _)| name)
    }
}

fn has_none(card: &PciFunction) -> bool {
    card.sriov.as_ref().is_some_and(|sriov| sriov.virtfns.is_empty())
}
