//! The value of the kernel's argument `isolcpus`.

use std::fmt;
use std::str::FromStr;

use super::{CpuSet, ParseValueError};

/// CPUs that the kernel keeps work off, and which work:
/// `managed_irq,domain,2-7`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Isolcpus {
    /// No timer tick while one task runs.
    pub nohz: bool,
    /// Interrupts that the kernel spreads by itself go elsewhere, if they
    /// can.
    pub managed_irq: bool,
    /// The scheduler moves no tasks to or from the CPUs.
    pub domain: bool,
    /// The CPUs.
    pub cpus: CpuSet,
}

impl Isolcpus {
    /// Returns what keeps off both what this and what the other keeps off.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            nohz: self.nohz || other.nohz,
            managed_irq: self.managed_irq || other.managed_irq,
            domain: self.domain || other.domain,
            cpus: self.cpus.union(&other.cpus),
        }
    }
}

impl FromStr for Isolcpus {
    type Err = ParseValueError;

    /// Reads flags and a list. Without a flag, `domain` is meant. Flags that
    /// later kernels may have, and `N` and `all` in the list, are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || ParseValueError::new(text, "flags and CPUs, as domain,2-7");
        let mut value = Self::default();
        let mut rest = text;
        while rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (flag, after) = rest.split_once(',').ok_or_else(bad)?;
            match flag {
                "nohz" => value.nohz = true,
                "managed_irq" => value.managed_irq = true,
                "domain" => value.domain = true,
                _ => return Err(bad()),
            }
            rest = after;
        }
        value.cpus = rest.parse().map_err(|_| bad())?;
        if !(value.nohz || value.managed_irq) {
            value.domain = true;
        }
        Ok(value)
    }
}

impl fmt::Display for Isolcpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is, flag) in [
            (self.nohz, "nohz,"),
            (self.managed_irq, "managed_irq,"),
            (self.domain, "domain,"),
        ] {
            f.write_str(if is { flag } else { "" })?;
        }
        self.cpus.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Isolcpus {
        text.parse().unwrap()
    }

    #[test]
    fn values_are_read_as_the_kernel_does() {
        for (text, spelled) in [
            ("2-7", "domain,2-7"),
            ("domain,2-7", "domain,2-7"),
            ("domain,managed_irq,7,2-6", "managed_irq,domain,2-7"),
            ("managed_irq,2-7", "managed_irq,2-7"),
            ("nohz,domain,0-15:1/4", "nohz,domain,0,4,8,12"),
        ] {
            assert_eq!(read(text).to_string(), spelled);
            assert_eq!(read(&read(text).to_string()), read(text));
        }
        for bad in ["domain", "later,2-7", "2-N", "all", "domain,2-"] {
            assert!(bad.parse::<Isolcpus>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_union_loses_nothing() {
        let both = read("nohz,1-2").union(&read("managed_irq,domain,2-3"));
        assert_eq!(both.to_string(), "nohz,managed_irq,domain,1-3");
    }
}
