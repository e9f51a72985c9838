//! Numbers that must not be mixed up: host and guest CPUs, host and guest nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            Serialize, Deserialize, schemars::JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl super::Id for $name {
            fn number(self) -> u32 {
                self.0
            }
            fn from_number(number: u32) -> Self {
                Self(number)
            }
        }
    };
}

id! {
    /// A host logical CPU by the kernel's number (hwloc: PU `os_index`).
    CpuId
}
id! {
    /// A guest CPU as libvirt and QEMU number it.
    VcpuId
}
id! {
    /// A host NUMA node by the kernel's number.
    NodeId
}
id! {
    /// A guest NUMA node (libvirt: `<cell>`).
    CellId
}
