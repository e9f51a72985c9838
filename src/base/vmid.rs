//! The number by which Proxmox knows a VM.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// The number of a VM of Proxmox, one in a cluster; its definition is the
/// file `VMID.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

impl Vmid {
    /// Proxmox keeps the numbers below for itself.
    const SMALLEST: u32 = 100;
    /// The largest number of nine digits.
    const LARGEST: u32 = 999_999_999;

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Reads the number from the name of a definition's file, `101.conf`;
    /// none where it is no such name.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        name.strip_suffix(".conf")?.parse().ok()
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vmid {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|n| (Self::SMALLEST..=Self::LARGEST).contains(n))
            .filter(|_| plain && !text.starts_with('0'))
            .map(Self)
            .ok_or_else(|| {
                let what = "a VMID, a number from 100 to 999999999";
                ParseValueError::new(text, what)
            })
    }
}

serde_as_text!(Vmid, "^[1-9][0-9]{2,8}$", "the number of a VM of Proxmox");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vmids_are_plain_numbers() {
        assert_eq!("101".parse::<Vmid>().unwrap().number(), 101);
        for text in ["", "99", "0101", "+101", "1000000000", "101 ", "x"] {
            assert!(text.parse::<Vmid>().is_err(), "{text:?}");
        }
        assert_eq!(Vmid::of_file("101.conf").map(Vmid::number), Some(101));
        for name in ["101", "vm.conf", "99.conf", "../101.conf", "101.conf~"] {
            assert_eq!(Vmid::of_file(name), None, "{name}");
        }
    }
}
