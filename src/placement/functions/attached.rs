//! Functions that a definition has already.

use super::Functions;
use crate::model::domain::{Domain, Hostdev};
use crate::model::policy::{NicSource, VmNic};

impl Functions<'_> {
    /// Finds for each wish a function that the definition has: by its MAC
    /// address, else by where it is from.
    pub(super) fn attached<'d>(
        &self,
        domain: &'d Domain,
        nics: &[VmNic],
    ) -> Vec<Option<&'d Hostdev>> {
        let mut found: Vec<Option<&Hostdev>> = vec![None; nics.len()];
        let by_mac = |nic: &VmNic, has: &Hostdev| {
            nic.mac.is_some() && nic.mac == has.mac
        };
        let by_name = |nic: &VmNic, has: &Hostdev| {
            nic.from != NicSource::Auto && self.serves(has, &nic.from)
        };
        let any = |nic: &VmNic, has: &Hostdev| self.serves(has, &nic.from);
        let ways: [&dyn Fn(&VmNic, &Hostdev) -> bool; 3] =
            [&by_mac, &by_name, &any];
        for way in ways {
            for (at, nic) in nics.iter().enumerate() {
                if found[at].is_some() {
                    continue;
                }
                let taken = |has: &&Hostdev| {
                    found.iter().flatten().any(|t| t.source == has.source)
                };
                let mut all = domain.devices.hostdevs.iter();
                found[at] = all.find(|has| !taken(has) && way(nic, has));
            }
        }
        found
    }

    /// Returns whether an attached function is one that was asked for. One
    /// that the host does not have now, as after a boot, is known by being an
    /// interface.
    fn serves(&self, has: &Hostdev, from: &NicSource) -> bool {
        match self.function(has.source) {
            Some(function) => self.is_of(function, from),
            None => match from {
                NicSource::Auto => has.is_interface,
                NicSource::Function(address) => has.source == *address,
                NicSource::Interface(_) => false,
            },
        }
    }
}
