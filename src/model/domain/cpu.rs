//! `<cpu>`: model, topology, caches, features and guest NUMA cells.

use std::collections::BTreeMap;

use crate::base::{Bytes, CellId, VcpuSet};

/// `<cpu>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuElement {
    /// `mode=…`; `None` where the attribute is missing (libvirt: custom).
    pub mode: Option<CpuMode>,
    /// `<model>`.
    pub model: Option<String>,
    /// `<model vendor_id=…>`: the vendor that the guest is told.
    pub vendor_id: Option<String>,
    /// `migratable=…`.
    pub migratable: Option<String>,
    /// `<topology>`.
    pub topology: Option<CpuTopology>,
    /// `<cache>`.
    pub cache: Option<CpuCache>,
    /// `<feature>`s in order.
    pub features: Vec<CpuFeature>,
    /// `<numa><cell>`s in order.
    pub cells: Vec<GuestCell>,
}

impl CpuElement {
    /// Returns the policy of a feature, as `require`.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&str> {
        let feature = self.features.iter().find(|f| f.name == name)?;
        Some(feature.policy.as_deref().unwrap_or("require"))
    }
}

/// `<cpu mode=…>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuMode {
    /// A named model.
    Custom,
    /// A named model as near to the host's as libvirt knows.
    HostModel,
    /// The host's own.
    HostPassthrough,
    /// All that the accelerator can.
    Maximum,
    /// Something newer than this program.
    Other(String),
}

impl CpuMode {
    /// Reads the attribute's value.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text {
            "custom" => Self::Custom,
            "host-model" => Self::HostModel,
            "host-passthrough" => Self::HostPassthrough,
            "maximum" => Self::Maximum,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Returns the attribute's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom => "custom",
            Self::HostModel => "host-model",
            Self::HostPassthrough => "host-passthrough",
            Self::Maximum => "maximum",
            Self::Other(other) => other,
        }
    }
}

/// `<topology>`; attributes that are missing count as 1, as in libvirt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTopology {
    /// Sockets.
    pub sockets: u32,
    /// Dies per socket; `None` where the attribute is missing.
    pub dies: Option<u32>,
    /// Clusters per die; `None` where the attribute is missing.
    pub clusters: Option<u32>,
    /// Cores per cluster.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
}

impl CpuTopology {
    /// Returns whether both topologies are one, whichever attributes of
    /// value 1 they spell out.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        let full = |t: &Self| Self {
            dies: Some(t.dies.unwrap_or(1)),
            clusters: Some(t.clusters.unwrap_or(1)),
            ..*t
        };
        full(self) == full(other)
    }

    /// Returns how many vCPUs the topology makes; saturates.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        [self.dies.unwrap_or(1), self.clusters.unwrap_or(1), self.cores]
            .into_iter()
            .fold(self.sockets.saturating_mul(self.threads), |n, part| {
                n.saturating_mul(part)
            })
    }
}

/// `<cache>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuCache {
    /// `mode=…`: `emulate`, `passthrough` or `disable`.
    pub mode: String,
    /// `level=…`.
    pub level: Option<String>,
}

/// `<feature>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuFeature {
    /// `name=…`.
    pub name: String,
    /// `policy=…`.
    pub policy: Option<String>,
}

/// `<cell>`: a guest NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCell {
    /// `id=…`, or its place in the list where the attribute is missing.
    pub id: CellId,
    /// `cpus=…`; empty for cells of memory alone.
    pub vcpus: VcpuSet,
    /// `memory=…` in its unit.
    pub memory: Bytes,
    /// `memAccess=…`.
    pub mem_access: Option<String>,
    /// Distances to other cells, where `<distances>` tells.
    pub distances: BTreeMap<CellId, u32>,
}
