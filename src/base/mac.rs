//! Hardware addresses of Ethernet, and the switch id that some cards make of
//! theirs.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// The hardware address of an interface: `c4:70:bd:16:64:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Makes an address of its octets.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Returns its octets, in the order in which they are sent.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Returns whether it is the address that stands for none.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || ParseValueError::new(text, "a MAC address as c4:70:bd:16:64:32");
        let mut parts = text.split(':');
        let mut octets = [0; 6];
        for octet in &mut octets {
            let part = parts.next().ok_or_else(bad)?;
            let plain =
                part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| plain)
                .ok_or_else(bad)?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(octets)) }
    }
}

serde_as_text!(
    MacAddress,
    "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$",
    "a MAC address, as c4:70:bd:16:64:32"
);

/// The number of the switch in a card, by which its ports are known to belong
/// together: `3264160003bd70c4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwitchId(String);

impl SwitchId {
    /// Most digits: the kernel's MAX_PHYS_ITEM_ID_LEN is 32 bytes.
    const MAX_DIGITS: usize = 64;

    /// Returns the switch id of a card that mlx5_core drives, from the
    /// address that the card was made with: its EUI-64, last byte first. The
    /// card puts 03:00 in the middle.
    #[must_use]
    pub fn of_mlx5(base: MacAddress) -> Self {
        let [a, b, c, d, e, f] = base.octets();
        let bytes = [f, e, d, 0, 3, c, b, a];
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for SwitchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SwitchId {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|b| b.is_ascii_hexdigit());
        if !plain || !(1..=Self::MAX_DIGITS).contains(&text.len()) {
            return Err(ParseValueError::new(text, "the id of a switch"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

serde_as_text!(SwitchId, "^[0-9a-f]{1,64}$", "the id of the switch in a card");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let mac: MacAddress = "C4:70:BD:16:64:32".parse().unwrap();
        assert_eq!(mac.to_string(), "c4:70:bd:16:64:32");
        assert!(!mac.is_zero());
        assert!("00:00:00:00:00:00".parse::<MacAddress>().unwrap().is_zero());
        for bad in ["", "c4:70:bd:16:64", "c4:70:bd:16:64:32:00", "c4-70", "+4"]
        {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
        assert!("c4:70:bd:16:64:+2".parse::<MacAddress>().is_err());
    }

    /// Two cards, each with the address and the id that they told.
    #[test]
    fn the_switch_of_a_card_follows_from_its_address() {
        for (mac, id) in [
            ("c4:70:bd:16:64:32", "3264160003bd70c4"),
            ("c4:70:bd:12:ac:52", "52ac120003bd70c4"),
        ] {
            let made = SwitchId::of_mlx5(mac.parse().unwrap());
            assert_eq!(made, id.parse().unwrap());
            assert_eq!(made.to_string(), id);
        }
        for bad in ["", "xyz", "-1", &"0".repeat(65)] {
            assert!(bad.parse::<SwitchId>().is_err(), "{bad}");
        }
    }
}
