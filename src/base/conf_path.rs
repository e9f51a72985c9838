//! A place in a definition of Proxmox: `numa0/hostnodes`.
//!
//! A key has one value, or one of several properties: `hostpci0:
//! 0000:c1:00.2,pcie=1` has the property that is written without its name
//! (`hostpci0/host`) and `hostpci0/pcie`.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// A key of a definition of Proxmox, or one property of its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfPath {
    key: String,
    property: Option<String>,
}

impl ConfPath {
    /// Returns the key: `numa0`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the property; `None` where the whole value is meant.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        self.property.as_deref()
    }

    /// Returns the path without what tells it from its like:
    /// `numa*/hostnodes`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let stem = self.key.trim_end_matches(|c: char| c.is_ascii_digit());
        let many = if stem.len() < self.key.len() { "*" } else { "" };
        match &self.property {
            Some(property) => format!("{stem}{many}/{property}"),
            None => format!("{stem}{many}"),
        }
    }

    /// Returns whether Proxmox could write such a key.
    #[must_use]
    pub fn is_key(text: &str) -> bool {
        let stem = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let plain = |c: char| c.is_ascii_lowercase() || "_-".contains(c);
        stem.starts_with(|c: char| c.is_ascii_lowercase())
            && stem.chars().all(plain)
    }
}

/// Returns whether a text can be the name of a property.
fn is_property(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

impl fmt::Display for ConfPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        match &self.property {
            Some(property) => write!(f, "/{property}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ConfPath {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, property) = match text.split_once('/') {
            Some((key, property)) => (key, Some(property)),
            None => (text, None),
        };
        if !Self::is_key(key) || !property.is_none_or(is_property) {
            let what = "a key such as balloon or numa0/hostnodes";
            return Err(ParseValueError::new(text, what));
        }
        let property = property.map(ToOwned::to_owned);
        Ok(Self { key: key.to_owned(), property })
    }
}

serde_as_text!(ConfPath, "^[a-z]", "a key of a Proxmox definition");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip_and_have_patterns() {
        for (text, pattern) in [
            ("balloon", "balloon"),
            ("numa", "numa"),
            ("numa0", "numa*"),
            ("numa0/hostnodes", "numa*/hostnodes"),
            ("allow-ksm", "allow-ksm"),
            ("machine/aw-bits", "machine/aw-bits"),
        ] {
            let path: ConfPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
            assert_eq!(path.pattern(), pattern);
        }
        for bad in ["", "7", "Cores", "a b", "a/", "a/b/c", "a\n", "a/b=c"] {
            assert!(bad.parse::<ConfPath>().is_err(), "{bad:?}");
        }
    }
}
