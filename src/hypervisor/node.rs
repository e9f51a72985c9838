//! A node of Proxmox in the place of a hypervisor.

use super::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    LivePins, Validate,
};
use crate::base::{CpuSet, DomainName, DomainUuid, NodeId, PageSize};
use crate::model::Role;
use crate::model::facts::HypervisorFacts;

/// A machine whose VMs are Proxmox' and not a hypervisor's: their definitions
/// are files that the system has, so there is no domain to be asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    uri: String,
}

impl Node {
    /// Makes a node that is known by this URI.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into() }
    }

    fn cause(&self) -> Cause {
        let message = format!("{} has no domains of libvirt", self.uri);
        Cause::new(CauseKind::Unsupported, message)
    }

    fn read<T>(
        &self,
        which: &'static str,
        domain: &DomainUuid,
    ) -> Result<T, HypervisorError> {
        let source = self.cause();
        Err(HypervisorError::Read { which, domain: *domain, source })
    }
}

impl Hypervisor for Node {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn is_node(&self) -> bool {
        true
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        Ok(Vec::new())
    }

    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError> {
        self.read("inactive", domain)
    }

    fn live_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError> {
        self.read("live", domain)
    }

    fn define(
        &self,
        domain: &DomainName,
        _: &str,
        _: Validate,
    ) -> Result<(), HypervisorError> {
        let (domain, source) = (domain.clone(), self.cause());
        Err(HypervisorError::Define { domain, source })
    }

    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError> {
        let source = self.cause();
        Err(HypervisorError::Pins { domain: *domain, source })
    }

    fn pin(
        &self,
        domain: &DomainUuid,
        thread: Role,
        _: &CpuSet,
    ) -> Result<(), HypervisorError> {
        let (thread, source) = (thread.to_string(), self.cause());
        Err(HypervisorError::Pin { domain: *domain, thread, source })
    }

    fn free_pages(
        &self,
        _: &[NodeId],
        _: &[PageSize],
    ) -> Result<FreePages, HypervisorError> {
        Ok(FreePages::new())
    }

    fn facts(&self) -> Result<HypervisorFacts, HypervisorError> {
        let uri = self.uri.clone();
        Err(HypervisorError::Capabilities { uri, source: self.cause() })
    }
}
