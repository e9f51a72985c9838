//! PCI addresses and identities, in the kernel's and libvirt's spellings.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// Where a PCI function is: `0000:c1:00.2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    segment: u32,
    bus: u8,
    slot: u8,
    function: u8,
}

impl PciAddress {
    /// Largest slot: five bits of the routing id.
    const MAX_SLOT: u8 = 31;
    /// Largest function: three bits of the routing id.
    const MAX_FUNCTION: u8 = 7;

    /// Makes an address; `None` where a number does not fit its field. The
    /// segment may have 32 bits: Linux numbers VMD and Hyper-V segments so.
    #[must_use]
    pub const fn new(
        segment: u32,
        bus: u8,
        slot: u8,
        function: u8,
    ) -> Option<Self> {
        if slot > Self::MAX_SLOT || function > Self::MAX_FUNCTION {
            return None;
        }
        Some(Self { segment, bus, slot, function })
    }

    /// Returns the PCI segment (libvirt: `domain`).
    #[must_use]
    pub const fn segment(self) -> u32 {
        self.segment
    }

    /// Returns the bus.
    #[must_use]
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// Returns the slot on the bus.
    #[must_use]
    pub const fn slot(self) -> u8 {
        self.slot
    }

    /// Returns the function of the slot.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.function
    }

    /// Returns whether the other is in the same slot: a port of the same card.
    #[must_use]
    pub fn is_beside(self, other: Self) -> bool {
        let slot = |at: Self| (at.segment, at.bus, at.slot);
        slot(self) == slot(other)
    }

    /// Returns the address that is so many routing ids on: where a virtual
    /// function is, from its physical one. `None` beyond the segment.
    #[must_use]
    pub fn routed(self, by: u32) -> Option<Self> {
        let own = u32::from(self.bus) << 8
            | u32::from(self.slot) << 3
            | u32::from(self.function);
        let id = u16::try_from(own.checked_add(by)?).ok()?;
        let [bus, rest] = id.to_be_bytes();
        Self::new(self.segment, bus, rest >> 3, rest & 7)
    }

    /// Reads the four attributes of libvirt's `<address>`, each decimal or
    /// hexadecimal with `0x`; a missing segment is 0.
    ///
    /// # Errors
    /// When an attribute is not a number or does not fit its field.
    pub fn from_libvirt(
        segment: Option<&str>,
        bus: &str,
        slot: &str,
        function: &str,
    ) -> Result<Self, ParseValueError> {
        fn number(text: &str) -> Result<u32, ParseValueError> {
            let parsed = match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => text.parse(),
            };
            parsed.map_err(|_| {
                ParseValueError::new(text, "a number of a PCI address")
            })
        }
        let byte = |text: &str| {
            number(text).and_then(|n| {
                u8::try_from(n).map_err(|_| {
                    ParseValueError::new(text, "a byte of a PCI address")
                })
            })
        };
        let segment = segment.map_or(Ok(0), number)?;
        let (bus, slot, function) = (byte(bus)?, byte(slot)?, byte(function)?);
        Self::new(segment, bus, slot, function).ok_or_else(|| {
            ParseValueError::new(
                &format!("slot {slot} function {function}"),
                "a slot up to 31 with a function up to 7",
            )
        })
    }

    /// Returns the attributes `domain`, `bus`, `slot` and `function` as
    /// libvirt writes them.
    #[must_use]
    pub fn libvirt_attributes(self) -> [(&'static str, String); 4] {
        [
            ("domain", format!("0x{:04x}", self.segment)),
            ("bus", format!("0x{:02x}", self.bus)),
            ("slot", format!("0x{:02x}", self.slot)),
            ("function", format!("0x{:x}", self.function)),
        ]
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, bus, slot, function } = self;
        write!(f, "{segment:04x}:{bus:02x}:{slot:02x}.{function:x}")
    }
}

impl fmt::Debug for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PciAddress {
    type Err = ParseValueError;

    /// Reads `0000:c1:00.2`, or `c1:00.2` of segment 0.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || ParseValueError::new(text, "a PCI address such as 0000:c1:00.2");
        let hex = |part: &str, digits: std::ops::RangeInclusive<usize>| {
            let plain = part.bytes().all(|b| b.is_ascii_hexdigit());
            if !plain || !digits.contains(&part.len()) {
                return Err(bad());
            }
            u32::from_str_radix(part, 16).map_err(|_| bad())
        };
        let byte = |n: u32| u8::try_from(n).map_err(|_| bad());
        let (rest, function) = text.rsplit_once('.').ok_or_else(bad)?;
        let (rest, slot) = rest.rsplit_once(':').ok_or_else(bad)?;
        let (segment, bus) = rest.split_once(':').unwrap_or(("0000", rest));
        let segment = hex(segment, 4..=8)?;
        let bus = byte(hex(bus, 1..=2)?)?;
        let slot = byte(hex(slot, 1..=2)?)?;
        let function = byte(hex(function, 1..=1)?)?;
        Self::new(segment, bus, slot, function).ok_or_else(bad)
    }
}

serde_as_text!(
    PciAddress,
    "^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$",
    "a PCI address, as 0000:c1:00.2"
);

/// What a PCI function is: vendor and device number, `15b3:101e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId {
    /// Vendor number; 0x15b3 is Mellanox, now NVIDIA networking.
    pub vendor: u16,
    /// Device number, given by the vendor.
    pub device: u16,
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

impl FromStr for PciId {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseValueError::new(text, "a PCI id such as 15b3:101e");
        let hex = |part: &str| {
            let part = part.strip_prefix("0x").unwrap_or(part);
            if part.len() != 4 {
                return Err(bad());
            }
            u16::from_str_radix(part, 16).map_err(|_| bad())
        };
        let (vendor, device) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self { vendor: hex(vendor)?, device: hex(device)? })
    }
}

serde_as_text!(PciId, "^[0-9a-f]{4}:[0-9a-f]{4}$", "vendor and device number");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["0000:c1:00.2", "10000:e1:1f.7", "0001:00:02.0"] {
            let address: PciAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let a = address.libvirt_attributes().map(|(_, v)| v);
            let [domain, bus, slot, function] = &a;
            let again =
                PciAddress::from_libvirt(Some(domain), bus, slot, function);
            assert_eq!(again, Ok(address));
        }
        assert_eq!("c1:00.2".parse(), "0000:c1:00.2".parse::<PciAddress>());
    }

    #[test]
    fn virtual_functions_are_counted_from_the_physical_one() {
        let at = |text: &str, by| {
            let from: PciAddress = text.parse().unwrap();
            from.routed(by).map(|to| to.to_string())
        };
        assert_eq!(at("0000:81:00.0", 2).unwrap(), "0000:81:00.2");
        assert_eq!(at("0000:81:00.1", 9).unwrap(), "0000:81:01.2");
        assert_eq!(at("0000:81:1f.7", 1).unwrap(), "0000:82:00.0");
        assert_eq!(at("0000:ff:1f.7", 1), None);
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for text in [
            "",
            "c1",
            "0000:c1:20.0",
            "0000:c1:00.8",
            "0000:1c1:00.0",
            "+0:c1:00.0",
        ] {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?}");
        }
        assert!(PciAddress::from_libvirt(None, "256", "0", "0").is_err());
        assert!(PciAddress::from_libvirt(None, "0x01", "32", "0").is_err());
    }
}
