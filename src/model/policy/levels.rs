//! The keys of a policy and the values that they take.

use serde::{Deserialize, Serialize};

use crate::base::{CpuSet, PageSize, ParseValueError, serde_as_text};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Default, Serialize,
            Deserialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
    };
}

choice! {
    /// What a rule may do.
    Level {
        /// Plans its changes.
        #[default]
        Plan,
        /// Says what it would change.
        Advise,
        /// Is silent.
        Off,
    }
}

choice! {
    /// Whether CPUs are given to one VM alone.
    PlacementMode {
        /// Each vCPU has one CPU, and nobody else has it.
        #[default]
        Dedicated,
        /// vCPUs float over the free CPUs of their node.
        Shared,
    }
}

choice! {
    /// How guest threads meet host threads.
    Smt {
        /// Guest threads of a core are SMT siblings of a host core.
        #[default]
        Siblings,
        /// One vCPU on a core; its siblings stay idle.
        Isolate,
        /// Anywhere.
        Any,
    }
}

choice! {
    /// Where emulator and I/O threads run.
    Emulator {
        /// On the housekeeping CPUs, those of the VM's nodes first.
        #[default]
        Housekeeping,
        /// On a core of their own beside the VM.
        Dedicated,
    }
}

choice! {
    /// How the VM's CPUs are kept free of other work.
    Isolation {
        /// By cgroups, without a reboot.
        #[default]
        Partition,
        /// By kernel arguments.
        Kernel,
        /// Not at all.
        None,
    }
}

choice! {
    /// What becomes of pins that are in a definition already.
    Pins {
        /// They are computed anew.
        #[default]
        Replan,
        /// They stay.
        Keep,
    }
}

choice! {
    /// Whether a guest gets an IOMMU of its own.
    GuestIommu {
        /// Where it needs one.
        #[default]
        Auto,
        /// Always.
        On,
        /// Never.
        Off,
    }
}

choice! {
    /// Whether pages of a size that is asked for by name are reserved where
    /// the pools are short of them.
    Reserve {
        /// At once where the memory is likely to be free in one piece, else
        /// when the host boots next.
        #[default]
        Auto,
        /// When the host boots next.
        Boot,
        /// Never: what is free must suffice.
        Off,
    }
}

choice! {
    /// Whether the host's own devices go through its IOMMU.
    HostIommu {
        /// Past it where VMs have devices of the host, else as it is.
        #[default]
        Auto,
        /// Past it.
        Passthrough,
        /// Through it, or as it is: nothing is done about it.
        Translate,
    }
}

choice! {
    /// How near a VM must be to its devices.
    DeviceLocality {
        /// A guest cell on the device's node, or no plan.
        Require,
        /// Near where that costs no node more.
        #[default]
        Prefer,
        /// Does not matter.
        Ignore,
    }
}

/// CPUs that are kept for the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Housekeeping {
    /// The core of CPU 0, and the first core of every other node that has at
    /// least four.
    #[default]
    Auto,
    /// These.
    Cpus(CpuSet),
}

impl std::fmt::Display for Housekeeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpus(cpus) => cpus.fmt(f),
        }
    }
}

impl std::str::FromStr for Housekeeping {
    type Err = ParseValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Cpus)
    }
}

serde_as_text!(
    Housekeeping,
    "^(auto|[0-9,^:/ -]*)$",
    "\"auto\" or host CPUs, as \"0,32\""
);

/// The size of the guest's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pages {
    /// The largest size whose free pages suffice, else ordinary pages.
    #[default]
    Auto,
    /// Ordinary pages.
    None,
    /// This size, or no plan.
    Size(PageSize),
}

impl std::fmt::Display for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Size(size) => size.fmt(f),
        }
    }
}

impl std::str::FromStr for Pages {
    type Err = ParseValueError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            size => size.parse().map(Self::Size),
        }
    }
}

serde_as_text!(
    Pages,
    "^(auto|none|[0-9]+[KMG])$",
    "\"auto\", \"none\" or a page size, as \"1G\" or \"2M\""
);

/// `[cpu]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cpu {
    /// Whether CPUs are given to one VM alone.
    pub placement: PlacementMode,
    /// How guest threads meet host threads.
    pub smt: Smt,
    /// CPUs that are kept for the host.
    pub housekeeping: Housekeeping,
    /// Where emulator and I/O threads run.
    pub emulator: Emulator,
    /// How the VM's CPUs are kept free of other work.
    pub isolation: Isolation,
    /// What becomes of pins that are there already.
    pub pins: Pins,
}

/// `[memory]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Memory {
    /// The size of the guest's pages.
    pub pages: Pages,
    /// Whether pages that are asked for by name are reserved.
    pub reserve: Reserve,
}

/// `[iommu]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IommuPolicy {
    /// Whether a guest gets an IOMMU of its own.
    pub guest: GuestIommu,
    /// Whether the host's own devices go through its IOMMU.
    pub host: HostIommu,
}

/// `[devices]`
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Devices {
    /// How near a VM must be to its devices.
    pub locality: DeviceLocality,
}
