//! Hardware addresses of Ethernet.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// The hardware address of an interface: `c4:70:bd:16:64:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Returns its octets, in the order in which they are sent.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let mac: MacAddress = "C4:70:BD:16:64:32".parse().unwrap();
        assert_eq!(mac.to_string(), "c4:70:bd:16:64:32");
        for bad in [
            "",
            "c4:70:bd:16:64",
            "c4:70:bd:16:64:32:00",
            "c4-70-bd-16-64-32",
            "c4:70:bd:16:64:+2",
            "c4:70:bd:16:64:é",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
