//! Hypervisors: which domains there are, their definitions, and defining one;
//! and what stands in for one on a node of Proxmox.

#[cfg(any(test, feature = "libvirt"))]
mod capabilities;
mod error;
pub mod fake;
#[cfg(feature = "libvirt")]
mod libvirt;
mod names;
mod node;
#[cfg(feature = "libvirt")]
mod pin;
mod uri;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::{Cause, CauseKind, HypervisorError};
#[cfg(feature = "libvirt")]
pub use libvirt::{Access, Libvirt};
pub use names::find;
pub use node::Node;
pub use uri::is_remote;

use crate::base::{CpuSet, DomainName, DomainUuid, NodeId, PageSize};
use crate::model::Role;
use crate::model::facts::HypervisorFacts;

/// A domain as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainInfo {
    /// Its name.
    pub name: DomainName,
    /// Its UUID: what every other call names it by, since it cannot change.
    pub uuid: DomainUuid,
    /// Its number while it runs.
    pub id: Option<u32>,
    /// Whether it runs (or is paused: it holds its CPUs and pages).
    pub running: bool,
    /// Whether it has a definition that outlives it. One without is
    /// transient: there is nothing that an edit would be kept in.
    pub persistent: bool,
}

/// How strictly a definition is looked at when it is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validate {
    /// Against the schema: an edit that libvirt would drop without a word is
    /// an error.
    Schema,
    /// As far as libvirt reads it: for a text that libvirt gave out itself
    /// and that must go back even where the schema would not have it.
    Lenient,
}

/// How many pages of each size are free on each node.
pub type FreePages = BTreeMap<(NodeId, PageSize), u64>;

/// Where the threads of a running domain may run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LivePins {
    /// The domain's number, another one each time that it is started.
    pub run: u32,
    /// The CPUs of each vCPU, of each I/O thread, and of the emulator.
    pub cpus: BTreeMap<Role, CpuSet>,
}

/// What vmtune asks of a hypervisor. Nothing here decides anything.
pub trait Hypervisor {
    /// Returns the connection's URI as the hypervisor spells it.
    fn uri(&self) -> &str;

    /// Lists all domains, sorted by name.
    ///
    /// # Errors
    /// When the hypervisor does not answer.
    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError>;

    /// Returns the definition that the domain starts from next, with its
    /// secrets: defining a text without them would lose them.
    ///
    /// # Errors
    /// When there is no such domain, or it may not be read.
    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError>;

    /// Returns the definition that the domain runs by; `None` where it does
    /// not run.
    ///
    /// # Errors
    /// When there is no such domain, or it may not be read.
    fn live_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError>;

    /// Makes `text` the definition that `domain` starts from next. The text
    /// names the domain by its own name and UUID.
    ///
    /// # Errors
    /// When the hypervisor refuses the text.
    fn define(
        &self,
        domain: &DomainName,
        text: &str,
        validate: Validate,
    ) -> Result<(), HypervisorError>;

    /// Returns where the threads of a domain may run; `None` where it does
    /// not run. A thread without a pin has the CPUs that it may use then.
    ///
    /// # Errors
    /// When there is no such domain, or it may not be read.
    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError>;

    /// Moves a thread of a running domain to these CPUs, until it stops. All
    /// but vCPUs and I/O threads move together, as the emulator's.
    ///
    /// # Errors
    /// When the domain does not run, or has no such thread.
    fn pin(
        &self,
        domain: &DomainUuid,
        thread: Role,
        cpus: &CpuSet,
    ) -> Result<(), HypervisorError>;

    /// Gives a command to the agent in a running guest, and returns what it
    /// answers, which may be anything. It has `patience` to do so.
    ///
    /// # Errors
    /// When the domain does not run, has no agent, or the agent refuses.
    fn agent(
        &self,
        domain: &DomainUuid,
        command: &str,
        patience: Duration,
    ) -> Result<String, HypervisorError> {
        let (_, _) = (command, patience);
        let what = "no way to the agent of a guest is known here";
        let source = Cause::new(CauseKind::Unsupported, what);
        Err(HypervisorError::Agent { domain: *domain, source })
    }

    /// Returns how many pages of these sizes are free on these nodes.
    ///
    /// # Errors
    /// When a size or a node does not exist on the host.
    fn free_pages(
        &self,
        nodes: &[NodeId],
        sizes: &[PageSize],
    ) -> Result<FreePages, HypervisorError>;

    /// Returns what the connection reports of itself. What it does not report
    /// is unknown.
    ///
    /// # Errors
    /// When the hypervisor does not answer at all.
    fn facts(&self) -> Result<HypervisorFacts, HypervisorError>;

    /// Returns whether it stands for a node of Proxmox, which keeps the
    /// definitions of its VMs itself.
    fn is_node(&self) -> bool {
        false
    }

    /// Finds a domain by name, UUID or the number of a running one.
    ///
    /// # Errors
    /// When there is none, or the text means two of them.
    fn find(&self, wanted: &str) -> Result<DomainInfo, HypervisorError> {
        find(&self.domains()?, wanted).cloned()
    }
}
