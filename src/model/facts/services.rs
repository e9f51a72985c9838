//! What runs beside VMs: the host's services, and who else changes settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NetworkConfigurator;
use crate::base::HostPath;
use crate::model::Fact;

/// What was read of the host's services.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct ServiceFacts {
    /// Whether systemd runs them.
    pub systemd: Fact<bool>,
    /// Controllers of cgroup v2 that the root group has, sorted; empty where
    /// the groups are those of version 1.
    pub cgroup_controllers: Fact<Vec<String>>,
    /// Programs that change settings by themselves, while they run or when
    /// the host boots, sorted.
    pub tuners: Fact<Vec<String>>,
    /// Lines of files that are not vmtune's and set what vmtune sets, as
    /// `AllowedCPUs=0-3`.
    pub lines_of_others: Fact<BTreeMap<HostPath, Vec<String>>>,
    /// Lines of drop-ins, not vmtune's own, that set a value of the kernel at
    /// boot; in the order in which they take effect.
    pub claims: Fact<Vec<Claim>>,
    /// Programs that make files take effect and are installed, sorted.
    pub programs: Fact<Vec<String>>,
    /// What configures the network when the host boots, sorted.
    #[serde(default = "Fact::<Vec<NetworkConfigurator>>::not_read")]
    pub network: Fact<Vec<NetworkConfigurator>>,
}

/// A line of a file that sets a place.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The place, as a path of the running kernel.
    pub place: HostPath,
    /// What it is set to.
    pub value: String,
    /// The file.
    pub file: HostPath,
}

impl ServiceFacts {
    /// Makes facts that are all unknown, for the same reason.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self {
            systemd: Fact::unknown(reason),
            cgroup_controllers: Fact::unknown(reason),
            tuners: Fact::unknown(reason),
            lines_of_others: Fact::unknown(reason),
            claims: Fact::unknown(reason),
            programs: Fact::unknown(reason),
            network: Fact::unknown(reason),
        }
    }

    /// Returns the lines that set a place, in the order in which they take
    /// effect.
    pub fn claims_of<'a>(
        &'a self,
        place: &'a str,
    ) -> impl Iterator<Item = &'a Claim> {
        let all = self.claims.value().into_iter().flatten();
        all.filter(move |claim| claim.place.as_str() == place)
    }

    /// Returns whether a program runs, or will at boot, that changes settings
    /// by itself.
    #[must_use]
    pub fn runs(&self, tuner: &str) -> bool {
        let known = self.tuners.value().into_iter().flatten();
        known.into_iter().any(|name| name == tuner)
    }

    /// Returns whether a program that makes files take effect is installed.
    #[must_use]
    pub fn has(&self, program: &str) -> bool {
        let known = self.programs.value().into_iter().flatten();
        known.into_iter().any(|name| name == program)
    }

    /// For facts that were written before these were read.
    pub(super) fn not_read() -> Self {
        Self::unknown("it was not read")
    }
}
