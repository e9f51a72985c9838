//! Functions that a definition has already.

use super::Functions;
use crate::model::domain::{Domain, Hostdev};
use crate::model::policy::{NicName, NicSource, VmNic};

impl Functions<'_> {
    /// Finds for each wish a function that the definition has: by its MAC
    /// address, else by where it is from.
    pub(super) fn attached<'d>(
        &self,
        domain: &'d Domain,
        nics: &[VmNic],
    ) -> Vec<Option<&'d Hostdev>> {
        let mut found: Vec<Option<&Hostdev>> = vec![None; nics.len()];
        for way in [Self::has_mac, Self::is_named, Self::serves] {
            for (at, nic) in nics.iter().enumerate() {
                if found[at].is_some() {
                    continue;
                }
                let taken = |has: &&Hostdev| {
                    found.iter().flatten().any(|t| t.source == has.source)
                };
                let mut all = domain.devices.hostdevs.iter();
                found[at] = all.find(|has| !taken(has) && way(self, has, nic));
            }
        }
        found
    }

    #[expect(clippy::unused_self, reason = "one of three ways")]
    fn has_mac(&self, has: &Hostdev, nic: &VmNic) -> bool {
        nic.mac.is_some() && nic.mac == has.mac
    }

    fn is_named(&self, has: &Hostdev, nic: &VmNic) -> bool {
        nic.from != NicSource::Auto && self.serves(has, nic)
    }

    /// Returns whether an attached function is one that was asked for. One
    /// that the host does not have now, as after a boot, is known by being an
    /// interface.
    fn serves(&self, has: &Hostdev, nic: &VmNic) -> bool {
        match self.function(has.source) {
            Some(function) => self.is_of(function, &nic.from),
            None => match &nic.from {
                NicSource::Auto => has.is_interface,
                NicSource::Named(NicName::Address(address)) => {
                    has.source == *address
                }
                NicSource::Named(NicName::Interface(_)) => false,
            },
        }
    }
}
