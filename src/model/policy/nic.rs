//! `[nic]`: network cards, and what shall come of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{InterfaceName, ParseValueError, PciAddress, serde_as_text};
use crate::model::facts::EswitchMode;

/// `[nic]`
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
pub struct NicPolicy {
    /// Physical functions, by PCI address or interface. Without any, network
    /// cards are left alone.
    pub functions: Vec<NicName>,
    /// How many virtual functions each shall have; as many as the host makes
    /// by itself where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// How the switch in the card shall work; as the card's driver starts it
    /// where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<EswitchMode>,
    /// The bridge of the host that functions are plugged into, in switchdev
    /// mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<InterfaceName>,
    /// The MTU of each, from the wire to the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// How many descriptors its ring buffers have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<u32>,
    /// The priority that is paused rather than lost, for RDMA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roce_priority: Option<u8>,
    /// How many bytes the card reads at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_request: Option<u32>,
}

/// What a physical network function is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicName {
    /// By where it is.
    Address(PciAddress),
    /// By the interface of its wire.
    Interface(InterfaceName),
}

impl fmt::Display for NicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
        }
    }
}

impl FromStr for NicName {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No interface has a colon in its name, and every address has one.
        match text.contains(':') {
            true => text.parse().map(Self::Address),
            false => text.parse().map(Self::Interface),
        }
    }
}

serde_as_text!(
    NicName,
    "^([0-9a-f:]+\\.[0-7]|[A-Za-z0-9_][A-Za-z0-9._-]{0,14})$",
    "a PCI address, as 0000:81:00.0, or a network interface"
);
