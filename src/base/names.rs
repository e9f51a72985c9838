//! Names given by others: data to compare and to print, never a path.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// The name of a VM, as libvirt or Proxmox has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Longest name in bytes; libvirt's files carry it, and NAME_MAX is 255.
    pub const MAX_LEN: usize = 255;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DomainName {
    type Err = ParseValueError;

    /// Takes what libvirt takes: no slash, no line break, not empty, and for
    /// the sake of terminals no other control character either.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let odd = |c: char| c == '/' || c.is_control();
        if text.is_empty() || text.len() > Self::MAX_LEN || text.contains(odd) {
            return Err(ParseValueError::new(text, "a name of a VM"));
        }
        Ok(Self(text.to_owned()))
    }
}

serde_as_text!(DomainName, "^[^/]+$", "the name of a VM");

/// The UUID of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainUuid([u8; 16]);

impl fmt::Display for DomainUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for DomainUuid {
    type Err = ParseValueError;

    /// Reads 32 hexadecimal digits, with or without dashes, as libvirt does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseValueError::new(text, "a UUID");
        let mut digits = text.trim().chars().filter(|&c| c != '-');
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let mut nibble = || digits.next().and_then(|c| c.to_digit(16));
            let (high, low) =
                (nibble().ok_or_else(bad)?, nibble().ok_or_else(bad)?);
            *byte = u8::try_from(high << 4 | low).map_err(|_| bad())?;
        }
        if digits.next().is_some() { Err(bad()) } else { Ok(Self(bytes)) }
    }
}

serde_as_text!(DomainUuid, "^[0-9a-f-]{36}$", "the UUID of a VM");

/// The name of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Longest name in bytes; the kernel's IFNAMSIZ is 16 with a NUL.
    pub const MAX_LEN: usize = 15;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for InterfaceName {
    type Err = ParseValueError;

    /// Takes fewer names than the kernel does, which refuses only blanks,
    /// slashes and colons: these are also words of a command and of a unit
    /// that mean nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty()
            || text.len() > Self::MAX_LEN
            || text.starts_with(['-', '.'])
            || !text.chars().all(plain)
        {
            let what = "a network interface (letters, digits, dots, dashes \
                        and underscores, 15 at most)";
            return Err(ParseValueError::new(text, what));
        }
        Ok(Self(text.to_owned()))
    }
}

serde_as_text!(
    InterfaceName,
    "^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$",
    "the name of a network interface"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_words_and_nothing_more() {
        for text in ["enp129s0f0np0", "ovs-sw1pf0vf0", "br0.100", "eth_1"] {
            let name: InterfaceName = text.parse().unwrap();
            assert_eq!(name.as_str(), text);
        }
        for text in [
            "",
            "-h",
            "..",
            ".x",
            "a/b",
            "a b",
            "a:b",
            "$(x)",
            "%n",
            "a;b",
            "a\"b",
            "a\nb",
            "enp129s0f0np0vf12",
            "é",
        ] {
            assert!(text.parse::<InterfaceName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_harmless() {
        for text in ["", "a/b", "a\nb", "\u{1b}[2J"] {
            assert!(text.parse::<DomainName>().is_err(), "{text:?}");
        }
        assert!("vm 1 é".parse::<DomainName>().is_ok());
    }

    #[test]
    fn uuids_round_trip() {
        let text = "c7a5fdbd-edaf-9455-926a-d65c16db1809";
        let uuid: DomainUuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.replace('-', "").parse(), Ok(uuid));
        assert!("c7a5".parse::<DomainUuid>().is_err());
    }
}
