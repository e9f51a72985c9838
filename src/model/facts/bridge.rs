//! How a host's network is put together: its bridges, and what configures
//! them.

use serde::{Deserialize, Serialize};

/// Whose a bridge is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeKind {
    /// The kernel's.
    Kernel,
    /// Of Open vSwitch, which keeps its ports in a database.
    OpenVswitch,
}

/// What configures a host's network when it boots.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkConfigurator {
    /// ifupdown, or ifupdown2 where it does not read
    /// `/etc/network/interfaces.d`.
    Ifupdown,
    /// ifupdown2, which reads that folder too.
    Ifupdown2,
    /// netplan, which writes the files of others.
    Netplan,
    /// `NetworkManager`.
    NetworkManager,
    /// systemd-networkd.
    Networkd,
}
