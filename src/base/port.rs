//! Names of ports of the switch in a card, in the kernel's spelling.

use std::fmt;
use std::str::FromStr;

use super::{ParseValueError, serde_as_text};

/// What a port of the switch in a card stands for (`phys_port_name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortName {
    /// The wire: `p0`; `p0s1` where one connector was split.
    Physical {
        /// The number of the connector.
        port: u16,
        /// The part of it.
        split: Option<u16>,
    },
    /// A function: `pf0`, `pf0vf3`, `c1pf0sf88`.
    Function {
        /// The controller, where the card serves several hosts.
        controller: Option<u16>,
        /// The number of the physical function.
        physical: u16,
        /// Which of its parts; `None` for the physical function itself.
        part: Option<Part>,
    },
}

/// A part of a physical function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A virtual function, by its number.
    Virtual(u16),
    /// A subfunction, by its number.
    Sub(u32),
}

impl PortName {
    /// Returns whether the port stands for a virtual function or a
    /// subfunction: its interface is the switch's end, not a card's.
    #[must_use]
    pub const fn is_representor(self) -> bool {
        matches!(self, Self::Function { part: Some(_), .. })
    }

    /// Returns the number of the virtual function of this host that it
    /// stands for.
    #[must_use]
    pub const fn virtual_function(self) -> Option<u16> {
        match self {
            Self::Function {
                controller: None | Some(0),
                part: Some(Part::Virtual(number)),
                ..
            } => Some(number),
            _ => None,
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Physical { port, split } => {
                write!(f, "p{port}")?;
                split.map_or(Ok(()), |split| write!(f, "s{split}"))
            }
            Self::Function { controller, physical, part } => {
                if let Some(controller) = controller {
                    write!(f, "c{controller}")?;
                }
                write!(f, "pf{physical}")?;
                match part {
                    None => Ok(()),
                    Some(Part::Virtual(n)) => write!(f, "vf{n}"),
                    Some(Part::Sub(n)) => write!(f, "sf{n}"),
                }
            }
        }
    }
}

impl FromStr for PortName {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseValueError::new(text, "a port of a switch as pf0vf3");
        let (name, rest) = Self::read(text).ok_or_else(bad)?;
        if rest.is_empty() { Ok(name) } else { Err(bad()) }
    }
}

impl PortName {
    fn read(text: &str) -> Option<(Self, &str)> {
        let (controller, text) = match text.strip_prefix('c') {
            Some(rest) => number(rest).map(|(n, rest)| (Some(n), rest))?,
            None => (None, text),
        };
        if let Some(rest) = text.strip_prefix("pf") {
            let (physical, rest) = number(rest)?;
            let (part, rest) = if let Some(rest) = rest.strip_prefix("vf") {
                let (n, rest) = number(rest)?;
                (Some(Part::Virtual(n)), rest)
            } else if let Some(rest) = rest.strip_prefix("sf") {
                let (n, rest) = number(rest)?;
                (Some(Part::Sub(n)), rest)
            } else {
                (None, rest)
            };
            return Some((Self::Function { controller, physical, part }, rest));
        }
        let (port, rest) = number(text.strip_prefix('p')?)?;
        let (split, rest) = match rest.strip_prefix('s') {
            Some(rest) => number(rest).map(|(n, rest)| (Some(n), rest))?,
            None => (None, rest),
        };
        let name = Self::Physical { port, split };
        controller.is_none().then_some((name, rest))
    }
}

/// Reads a number in the one way that the kernel writes it.
fn number<N: FromStr>(text: &str) -> Option<(N, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let plain = digits == "0" || !digits.starts_with('0');
    Some((digits.parse().ok().filter(|_| plain)?, rest))
}

serde_as_text!(
    PortName,
    "^(p[0-9]+(s[0-9]+)?|(c[0-9]+)?pf[0-9]+([vs]f[0-9]+)?)$",
    "a port of the switch in a card, as p0 or pf0vf3"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_one_spelling() {
        for text in
            ["p0", "p1s3", "pf0", "c2pf1", "pf0vf3", "c1pf0vf127", "pf0sf88"]
        {
            let port: PortName = text.parse().unwrap();
            assert_eq!(port.to_string(), text);
            let is_part = text.contains("vf") || text.contains("sf");
            assert_eq!(port.is_representor(), is_part, "{text}");
        }
        for bad in [
            "",
            "p",
            "pf",
            "pf0vf",
            "vf3",
            "c",
            "c1p0",
            "p00",
            "pf0vf+3",
            "pf0vf3/../x",
            "-pf0",
            "p0 ",
            "é",
            "pf0vf99999999",
        ] {
            assert!(bad.parse::<PortName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn functions_of_other_hosts_are_not_ours() {
        let of =
            |text: &str| text.parse::<PortName>().unwrap().virtual_function();
        assert_eq!(of("pf1vf3"), Some(3));
        assert_eq!(of("c0pf1vf3"), Some(3));
        assert_eq!(of("c1pf1vf3"), None);
        assert_eq!(of("pf1sf3"), None);
    }
}
