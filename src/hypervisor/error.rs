//! What went wrong with a hypervisor, in its own words, and what to do next.

use crate::base::{DomainName, DomainUuid, ParseValueError};

/// What the hypervisor said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Cause {
    /// What kind of answer it is, as far as vmtune tells them apart.
    pub kind: CauseKind,
    /// The message, as it came.
    pub message: String,
}

impl Cause {
    /// Makes a cause.
    pub fn new(kind: CauseKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The answers that call for different next steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseKind {
    /// Nobody listens: the daemon does not run.
    NotRunning,
    /// The caller may not.
    Permission,
    /// The domain is gone.
    NoDomain,
    /// The text was refused.
    Refused,
    /// This hypervisor cannot do that.
    Unsupported,
    /// Anything else.
    Other,
}

/// Why a hypervisor did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HypervisorError {
    /// No connection.
    #[error("connecting to libvirt at {uri}")]
    Connect {
        /// The URI; "its default URI" where none was given.
        uri: String,
        /// What libvirt said.
        source: Cause,
    },
    /// No list of domains.
    #[error("listing the domains of {uri}")]
    List {
        /// The connection.
        uri: String,
        /// What the hypervisor said.
        source: Cause,
    },
    /// A domain that vmtune cannot name.
    #[error("listing the domains: the domain {uuid} has an unusable name")]
    Name {
        /// The domain, as far as it can be told.
        uuid: String,
        /// What is wrong with the name.
        source: ParseValueError,
    },
    /// No domain of that name, UUID or number.
    #[error("there is no domain {wanted:?}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Names that are spelled much like it, best first.
        nearest: Vec<DomainName>,
    },
    /// A text that means two domains.
    #[error("{wanted:?} is the name of one domain and the ID of {other}")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The one that has it as its ID.
        other: DomainName,
    },
    /// A definition could not be read.
    #[error("reading the {which} definition of {domain}")]
    Read {
        /// "inactive" or "live".
        which: &'static str,
        /// The domain.
        domain: DomainUuid,
        /// What the hypervisor said.
        source: Cause,
    },
    /// A definition was refused.
    #[error("defining {domain}")]
    Define {
        /// The domain.
        domain: DomainName,
        /// What the hypervisor said.
        source: Cause,
    },
    /// It is not known where the threads of a domain run.
    #[error("reading where the threads of {domain} run")]
    Pins {
        /// The domain.
        domain: DomainUuid,
        /// What the hypervisor said.
        source: Cause,
    },
    /// A thread stayed where it was.
    #[error("pinning {thread} of {domain}")]
    Pin {
        /// The domain.
        domain: DomainUuid,
        /// The thread: "vCPU 3".
        thread: String,
        /// What the hypervisor said.
        source: Cause,
    },
    /// The agent in a guest did nothing.
    #[error("asking the agent in the guest {domain}")]
    Agent {
        /// The domain.
        domain: DomainUuid,
        /// What the hypervisor said, or the agent by way of it.
        source: Cause,
    },
    /// No page counts.
    #[error("reading the free pages of node {node}")]
    FreePages {
        /// The node.
        node: u32,
        /// What the hypervisor said.
        source: Cause,
    },
    /// No capabilities.
    #[error("reading the capabilities of {uri}")]
    Capabilities {
        /// The connection.
        uri: String,
        /// What the hypervisor said.
        source: Cause,
    },
}

impl HypervisorError {
    /// Returns what the hypervisor said, where it said something.
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Connect { source, .. }
            | Self::List { source, .. }
            | Self::Read { source, .. }
            | Self::Define { source, .. }
            | Self::Pins { source, .. }
            | Self::Pin { source, .. }
            | Self::Agent { source, .. }
            | Self::FreePages { source, .. }
            | Self::Capabilities { source, .. } => Some(source),
            Self::Name { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. } => None,
        }
    }

    /// Returns whether the domain is not there.
    #[must_use]
    pub fn is_no_domain(&self) -> bool {
        matches!(self, Self::NotFound { .. })
            || self.cause().is_some_and(|c| c.kind == CauseKind::NoDomain)
    }

    /// Returns what a person can do next, as a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { nearest, .. } if nearest.is_empty() => {
                return Some("`virsh list --all` shows all domains".into());
            }
            Self::NotFound { nearest, .. } => {
                let names: Vec<_> =
                    nearest.iter().map(|name| format!("\"{name}\"")).collect();
                return Some(format!("did you mean {}?", names.join(" or ")));
            }
            Self::Ambiguous { .. } => {
                return Some("name the domain by its UUID".into());
            }
            Self::Name { .. } => {
                return Some("rename it with `virsh domrename`".into());
            }
            Self::Agent { source, .. }
                if source.message.contains("not configured") =>
            {
                return Some(
                    "give the VM a channel org.qemu.guest_agent.0, and the \
                     guest the package qemu-guest-agent"
                        .into(),
                );
            }
            Self::Agent { source, .. }
                if ["not connected", "not responding"]
                    .iter()
                    .any(|word| source.message.contains(word)) =>
            {
                return Some(
                    "start qemu-guest-agent in the guest; has it booted?"
                        .into(),
                );
            }
            // The kernel's no, in libvirt's words.
            Self::Pin { source, .. }
                if ["cpuset", "affinity", "Invalid argument"]
                    .iter()
                    .any(|word| source.message.contains(word)) =>
            {
                return Some(
                    "the kernel does not let the thread onto these CPUs: are \
                     they online, and is the VM in an isolated partition? \
                     That one has to be undone first (docs/isolation.md)"
                        .into(),
                );
            }
            _ => {}
        }
        let hint = match self.cause()?.kind {
            CauseKind::NotRunning => {
                "start libvirt (`systemctl start libvirtd`, or `virtqemud` \
                 where libvirt is split into several daemons), or name the \
                 host's URI with --connect"
            }
            CauseKind::Permission => {
                "run vmtune as root, or join the group that libvirt's socket \
                 belongs to (mostly `libvirt`)"
            }
            CauseKind::NoDomain => "plan again: the domain has gone meanwhile",
            CauseKind::Refused => {
                "nothing was defined; the definition before stays in force"
            }
            CauseKind::Unsupported => {
                "this needs libvirt's QEMU driver (qemu:///system)"
            }
            CauseKind::Other => return None,
        };
        Some(hint.into())
    }
}
