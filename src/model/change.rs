//! One edit of a plan: what it sets, from what to what, why and when.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{
    ConfPath, HostPath, ParseValueError, XmlPath, serde_as_text,
};

/// One edit.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The rule that wants it.
    pub rule: String,
    /// The VM whose definition is edited; `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// What is edited.
    pub target: Target,
    /// What stands there; `None` where nothing does.
    pub from: Option<String>,
    /// What shall stand there; `None` to take it away. The empty string for
    /// an element that has only to be there.
    pub to: Option<String>,
    /// Why, in this case, with the facts that it rests on.
    pub because: String,
    /// When it takes effect.
    pub stage: Stage,
    /// What it costs in safety; `None` where it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade: Option<String>,
}

/// What a change edits. Its text is the target of the plan's JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A place in a domain definition: `/domain/vcpu/@placement`.
    Definition(XmlPath),
    /// A place in a definition of Proxmox: `numa0/hostnodes`.
    Conf(ConfPath),
    /// A value of the running kernel, which lasts until the host boots next:
    /// `/sys/kernel/mm/ksm/run`.
    Kernel(HostPath),
    /// A file below `/etc`, as a whole: `/etc/sysctl.d/90-vmtune.conf`.
    File(HostPath),
    /// An argument of the kernel's command line, in the file that keeps it:
    /// `/etc/kernel/cmdline#isolcpus`. The empty value is an argument by its
    /// name alone.
    Argument {
        /// The file.
        file: HostPath,
        /// The argument's name. What follows a pair of arguments belongs to
        /// it: the value of `hugepagesz=1G` is that of its `hugepages=`.
        name: String,
    },
}

impl Target {
    /// Returns whether it is part of a VM's definition; else of the host.
    #[must_use]
    pub const fn is_of_vm(&self) -> bool {
        matches!(self, Self::Definition(_) | Self::Conf(_))
    }

    /// Returns the target without what tells it from its like, as rules name
    /// what they own: an XPath without predicates, a path, `#NAME`.
    #[must_use]
    pub fn pattern(&self) -> String {
        match self {
            Self::Definition(path) => path.pattern(),
            Self::Conf(path) => path.pattern(),
            Self::Kernel(path) | Self::File(path) => path.to_string(),
            Self::Argument { name, .. } => format!("#{name}"),
        }
    }
}

impl From<XmlPath> for Target {
    fn from(path: XmlPath) -> Self {
        Self::Definition(path)
    }
}

impl From<ConfPath> for Target {
    fn from(path: ConfPath) -> Self {
        Self::Conf(path)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(path) => path.fmt(f),
            Self::Conf(path) => path.fmt(f),
            Self::Kernel(path) | Self::File(path) => path.fmt(f),
            Self::Argument { file, name } => write!(f, "{file}#{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "/domain"
            || text.starts_with("/domain/")
            || text.starts_with("/domain[")
        {
            return text.parse().map(Self::Definition);
        }
        // Whatever else there is starts at a root.
        if !text.starts_with('/') {
            return text.parse().map(Self::Conf);
        }
        if let Some((file, name)) = text.split_once('#') {
            let file = file.parse()?;
            let odd = |c: char| c.is_whitespace() || c.is_control();
            if name.is_empty() || name.contains(odd) {
                let what = "an argument of the kernel's command line";
                return Err(ParseValueError::new(text, what));
            }
            return Ok(Self::Argument { file, name: name.to_owned() });
        }
        let path: HostPath = text.parse()?;
        if path.is_below("/etc") {
            Ok(Self::File(path))
        } else if ["/sys", "/proc/sys", "/proc/irq"]
            .iter()
            .any(|folder| path.is_below(folder))
        {
            Ok(Self::Kernel(path))
        } else {
            let what = "a place in a definition, below /sys or /etc";
            Err(ParseValueError::new(text, what))
        }
    }
}

serde_as_text!(
    Target,
    "^(/|[a-z])",
    "a place in a definition as XPath, KEY or KEY/PROPERTY of a definition of \
     Proxmox, a value of the running kernel or a file of the host as a path, \
     or FILE#NAME for an argument of the kernel's command line"
);

/// When a change takes effect.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// At once.
    Now,
    /// When the VM starts next.
    VmStart,
    /// When the host boots next.
    HostBoot,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "now",
            Self::VmStart => "vm-start",
            Self::HostBoot => "host-boot",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart_by_their_text() {
        for (text, expected) in [
            ("/domain/vcpu/@cpuset", "definition"),
            ("numa0/hostnodes", "conf"),
            ("/sys/kernel/mm/ksm/run", "kernel"),
            ("/proc/sys/kernel/numa_balancing", "kernel"),
            ("/proc/irq/24/smp_affinity_list", "kernel"),
            ("/etc/sysctl.d/90-vmtune.conf", "file"),
            ("/etc/kernel/cmdline#hugepagesz=1G", "argument"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            let kind = match target {
                Target::Definition(_) => "definition",
                Target::Conf(_) => "conf",
                Target::Kernel(_) => "kernel",
                Target::File(_) => "file",
                Target::Argument { .. } => "argument",
            };
            assert_eq!(kind, expected, "{text}");
        }
        for bad in [
            "/home/me/x",
            "/proc/1/mem",
            "/etc/../root/x",
            "etc/x/y",
            "/etc/kernel/cmdline#",
            "/etc/kernel/cmdline#a b",
            "/sys",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
