//! `[[vm.NAME.nics]]`: virtual functions that a VM shall have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::NicName;
use crate::base::{MacAddress, ParseValueError, serde_as_text};

/// One virtual function of a network card.
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
pub struct VmNic {
    /// Which card or function it is taken from.
    pub from: NicSource,
    /// The MAC address of the guest's interface; one that libvirt makes, and
    /// keeps, where there is none.
    #[serde(deserialize_with = "of_one_interface")]
    pub mac: Option<MacAddress>,
    /// How it is written in the definition.
    pub element: NicElement,
}

/// Which card or function a virtual function is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NicSource {
    /// Any card, the one nearest to the VM first.
    #[default]
    Auto,
    /// This physical function, or this virtual one.
    Named(NicName),
}

/// How a virtual function is written in the definition.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NicElement {
    /// `<interface>` for Ethernet, `<hostdev>` for InfiniBand.
    #[default]
    Auto,
    /// `<interface type='hostdev'>`: libvirt sets the MAC address through the
    /// physical function.
    Interface,
    /// `<hostdev>`: the function keeps what the host has set.
    Hostdev,
}

impl fmt::Display for NicSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl FromStr for NicSource {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let what = "\"auto\", a PCI address or a network interface";
        let bad = |_| ParseValueError::new(text, what);
        text.parse().map(Self::Named).map_err(bad)
    }
}

serde_as_text!(
    NicSource,
    "^([0-9a-fA-F:]+\\.[0-7]|[A-Za-z0-9_][A-Za-z0-9._-]{0,14})$",
    "\"auto\", the PCI address of a physical or a virtual function, or the \
     network interface of a physical function"
);

/// Refuses addresses that stand for many interfaces or for none.
fn of_one_interface<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<MacAddress>, D::Error> {
    let mac = MacAddress::deserialize(from)?;
    let is_group = mac.octets()[0] & 1 == 1;
    if is_group || mac.octets() == [0; 6] {
        let what = format!("{mac} is not the address of one interface");
        return Err(serde::de::Error::custom(what));
    }
    Ok(Some(mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(text: &str) -> Result<VmNic, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn sources_are_told_apart_by_their_text() {
        let from = |text| nic(&format!("from = {text:?}")).map(|n| n.from);
        assert_eq!(nic("").map(|n| n.from), Ok(NicSource::Auto));
        assert_eq!(from("auto"), Ok(NicSource::Auto));
        let address = NicName::Address("0000:81:00.0".parse().unwrap());
        assert_eq!(from("0000:81:00.0"), Ok(NicSource::Named(address)));
        let name = NicName::Interface("enp129s0f0np0".parse().unwrap());
        assert_eq!(from("enp129s0f0np0"), Ok(NicSource::Named(name)));
        for bad in ["", "../x", "a b", "a\nb", "a:b", "sixteen-letters-"] {
            assert!(from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mac_address_is_of_one_interface() {
        let mac = |text| nic(&format!("mac = {text:?}"));
        assert!(mac("52:54:00:12:34:56").unwrap().mac.is_some());
        for bad in ["01:00:5e:00:00:01", "00:00:00:00:00:00", "52:54"] {
            assert!(mac(bad).is_err(), "{bad}");
        }
        assert_eq!(
            mac("ff:ff:ff:ff:ff:ff").unwrap_err(),
            "ff:ff:ff:ff:ff:ff is not the address of one interface"
        );
    }
}
