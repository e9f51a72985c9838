//! Amounts of memory and page sizes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ParseValueError, serde_as_text};

/// An amount of memory in bytes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Converts from KiB, libvirt's unit. Saturates.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1024))
    }

    /// Returns whole KiB, rounded down.
    #[must_use]
    pub const fn kib(self) -> u64 {
        self.0 / 1024
    }

    /// Reads an amount with a unit of libvirt's (`KiB`, `MB`, `G`, `b`, …).
    /// libvirt reads no unit as KiB, and so does this.
    ///
    /// # Errors
    /// When the number or the unit is not one, or the amount overflows.
    pub fn with_unit(
        number: &str,
        unit: Option<&str>,
    ) -> Result<Self, ParseValueError> {
        let expected = "an amount of memory with one of libvirt's units";
        let bad = || ParseValueError::new(number, expected);
        let factor: u64 = match unit.unwrap_or("KiB") {
            "b" | "byte" | "bytes" => 1,
            "KB" => 1_000,
            "k" | "K" | "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "M" | "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "G" | "GiB" => 1 << 30,
            "TB" => 1_000_000_000_000,
            "T" | "TiB" => 1 << 40,
            other => return Err(ParseValueError::new(other, expected)),
        };
        let number: u64 = number.trim().parse().map_err(|_| bad())?;
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Bytes {
    /// Writes the largest binary unit that needs no fraction, else one digit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let exact = (self.0.trailing_zeros() / 10).min(4) as usize;
        let large = (self.0.max(1).ilog2() / 10).min(4) as usize;
        if self.0 == 0 {
            return f.write_str("0 B");
        }
        if large > exact && large - exact >= 2 {
            let shift = 10 * large;
            let tenths = (u128::from(self.0) * 10) >> shift;
            return write!(
                f,
                "{}.{} {}",
                tenths / 10,
                tenths % 10,
                UNITS[large]
            );
        }
        write!(f, "{} {}", self.0 >> (10 * exact), UNITS[exact])
    }
}

/// The size of a memory page; always a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u64);

impl PageSize {
    /// 4 KiB, the ordinary page of x86.
    pub const SMALL: Self = Self(4 << 10);
    /// 2 MiB.
    pub const TWO_MIB: Self = Self(2 << 20);
    /// 1 GiB.
    pub const ONE_GIB: Self = Self(1 << 30);

    /// Makes a page size of that many bytes; `None` unless a power of two.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() { Some(Self(bytes)) } else { None }
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Returns the size in KiB, as libvirt and sysfs write it.
    #[must_use]
    pub const fn kib(self) -> u64 {
        self.0 / 1024
    }

    /// Returns how many pages hold that much memory, rounded up.
    #[must_use]
    pub const fn pages(self, memory: Bytes) -> u64 {
        memory.0.div_ceil(self.0)
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shift, unit) = match self.0.trailing_zeros() {
            0..10 => (0, ""),
            10..20 => (10, "K"),
            20..30 => (20, "M"),
            _ => (30, "G"),
        };
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

impl FromStr for PageSize {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || ParseValueError::new(text, "a page size such as 1G, 2M or 4K");
        let (number, shift) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let n: u64 = number.parse().map_err(|_| bad())?;
        n.checked_mul(1 << shift).and_then(Self::from_bytes).ok_or_else(bad)
    }
}

serde_as_text!(PageSize, "^[0-9]+[KMG]?$", "a page size, as 1G, 2M or 4K");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_a_person_would_write_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4 << 20, "4 MiB"),
            (1 << 30, "1 GiB"),
            (3 << 29, "1536 MiB"),
            (134_800_000_000, "125.5 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn units_are_libvirts() {
        assert_eq!(Bytes::with_unit("2", None), Ok(Bytes(2048)));
        assert_eq!(Bytes::with_unit("1", Some("GB")), Ok(Bytes(1_000_000_000)));
        assert!(Bytes::with_unit("1", Some("parsec")).is_err());
        assert!(Bytes::with_unit("99999999999", Some("TiB")).is_err());
    }

    #[test]
    fn page_sizes_round_trip() {
        for text in ["4K", "64K", "2M", "512M", "1G", "16G"] {
            assert_eq!(text.parse::<PageSize>().unwrap().to_string(), text);
        }
        assert!("3M".parse::<PageSize>().is_err());
        assert!("".parse::<PageSize>().is_err());
        assert_eq!(PageSize::TWO_MIB.pages(Bytes(1)), 1);
    }
}
