//! Packages, NUMA nodes, caches, cores and CPUs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Bytes, CpuId, CpuSet, NodeId};
use crate::model::Fact;

/// Where the CPUs and the memory are. CPU sets hold the kernel's numbers of
/// online CPUs only, unless a field says otherwise. Lists are sorted by their
/// lowest CPU, nodes by their number.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Where the topology was read.
    pub origin: String,
    /// CPUs that are online, allowed or not.
    pub online: CpuSet,
    /// CPUs that exist but are offline.
    pub offline: Fact<CpuSet>,
    /// Online CPUs that VMs may not use: those outside of the cpuset of the
    /// slice in which VMs are started, or where it has none, of this process.
    pub disallowed: CpuSet,
    /// CPUs that the kernel isolated (`isolcpus=`, isolated partitions).
    pub isolated: Fact<CpuSet>,
    /// Sockets.
    pub packages: Vec<Package>,
    /// Dies, where the hardware tells; empty otherwise.
    pub dies: Vec<Die>,
    /// NUMA nodes, those without CPUs and those without memory too.
    pub nodes: Vec<Node>,
    /// Third-level caches; empty where there are none or none is known.
    pub l3: Vec<Cache>,
    /// Second-level caches.
    pub l2: Vec<Cache>,
    /// Cores with their SMT siblings.
    pub cores: Vec<Core>,
    /// Kinds of core (P and E), slowest first; empty where all are alike.
    pub kinds: Vec<CpuKind>,
}

/// A socket.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The firmware's number.
    pub id: u32,
    /// Its CPUs.
    pub cpus: CpuSet,
}

/// A die within a package.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Die {
    /// The firmware's number, unique within its package only.
    pub id: u32,
    /// Its CPUs.
    pub cpus: CpuSet,
}

/// A NUMA node.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The kernel's number.
    pub id: NodeId,
    /// Its CPUs; empty for memory-only nodes (CXL, HBM).
    pub cpus: CpuSet,
    /// Its memory; zero for nodes without.
    pub memory: Fact<Bytes>,
    /// Distance to each node, itself included, as the firmware's SLIT has
    /// it: 10 is local.
    pub distances: Fact<BTreeMap<NodeId, u32>>,
}

/// A cache that some CPUs share.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// The CPUs that share it.
    pub cpus: CpuSet,
    /// Its size; zero where the source does not tell.
    pub size: Bytes,
}

/// A core.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// Its online CPUs, which are SMT siblings of each other.
    pub cpus: CpuSet,
}

/// A kind of core.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CpuKind {
    /// What the source calls it: "IntelCore", "IntelAtom".
    pub name: String,
    /// Its CPUs.
    pub cpus: CpuSet,
}

impl Topology {
    /// Returns the CPUs that can be given out: online and allowed.
    #[must_use]
    pub fn usable(&self) -> CpuSet {
        self.online.difference(&self.disallowed)
    }

    /// Returns the core that a CPU belongs to.
    #[must_use]
    pub fn core_of(&self, cpu: CpuId) -> Option<&Core> {
        self.cores.iter().find(|core| core.cpus.contains(cpu))
    }

    /// Returns the third-level cache that a CPU uses.
    #[must_use]
    pub fn l3_of(&self, cpu: CpuId) -> Option<&Cache> {
        self.l3.iter().find(|l3| l3.cpus.contains(cpu))
    }

    /// Returns the node that a CPU belongs to.
    #[must_use]
    pub fn node_of(&self, cpu: CpuId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.cpus.contains(cpu))
    }

    /// Returns a node by number.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns how many SMT siblings the widest core has.
    #[must_use]
    pub fn smt_width(&self) -> u32 {
        let widths = self.cores.iter().map(|core| core.cpus.len());
        widths.max().and_then(|w| u32::try_from(w).ok()).unwrap_or(1)
    }

    /// Returns the distance between two nodes: what the firmware says, else
    /// the kernel's own assumption of 10 at home and 20 elsewhere
    /// (include/linux/topology.h: `LOCAL_DISTANCE`, `REMOTE_DISTANCE`).
    #[must_use]
    pub fn distance(&self, from: NodeId, to: NodeId) -> u32 {
        let told = self
            .node(from)
            .and_then(|node| node.distances.value())
            .and_then(|distances| distances.get(&to));
        told.copied().unwrap_or(if from == to { 10 } else { 20 })
    }
}
