//! The plan: what shall change, why, and what it was made from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::domain::Domain;
use super::facts::BootLoader;
use super::{Change, NicPlacement};
use crate::base::{
    Bytes, CellId, CpuSet, Digest, DomainName, DomainUuid, NodeId, NodeSet,
    PageSize, VcpuId, VcpuSet, Vmid,
};

/// A plan for one or several VMs. It leaves no choice to whoever applies it,
/// and holds no clock: the same inputs give the same bytes.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this form; see [`Plan::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Digest of the facts that the plan cites.
    pub fingerprint: Digest,
    /// Where the facts come from, for people.
    pub host: String,
    /// Where the definitions come from: a libvirt URI or "files".
    pub connection: String,
    /// The policy's preset.
    pub preset: String,
    /// CPUs that are kept for the host.
    pub housekeeping: CpuSet,
    /// What starts the host's kernel, where the plan changes its command line:
    /// what has to be run then depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_loader: Option<BootLoader>,
    /// The VMs, sorted by name.
    pub vms: Vec<VmPlan>,
    /// What shall change, in the order in which the rules say it.
    pub changes: Vec<Change>,
    /// What is right but not vmtune's to do.
    pub advice: Vec<Advice>,
    /// What could not be judged because a fact is not known.
    pub unknown: Vec<Missing>,
}

impl Plan {
    /// The version of the plan's form that this program reads and writes.
    pub const SCHEMA_VERSION: u32 = 1;
}

/// Seven levels of cost, compared in order; smaller is better.
///
/// 1. NUMA nodes spanned beyond the minimum of the VM.
/// 2. vCPUs away from the VM's devices, counted for each device.
/// 3. L3 domains spanned beyond the minimum.
/// 4. Cores shared with another VM.
/// 5. Distance among the nodes used.
/// 6. Damage to what is left.
/// 7. Sum of the CPU numbers.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Objective(pub [i64; 7]);

impl Objective {
    /// Names of the levels, for people.
    pub const LEVELS: [&'static str; 7] = [
        "NUMA nodes beyond the minimum",
        "vCPUs away from devices",
        "L3 domains beyond the minimum",
        "cores shared with another VM",
        "distance among nodes",
        "damage to what is left",
        "sum of CPU numbers",
    ];
}

impl std::ops::Add for Objective {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        for (level, more) in self.0.iter_mut().zip(other.0) {
            *level += more;
        }
        self
    }
}

impl std::iter::Sum for Objective {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.0.map(|level| level.to_string());
        f.write_str(&levels.join(" "))
    }
}

/// One VM of a plan.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct VmPlan {
    /// Its name.
    pub name: DomainName,
    /// Its UUID; `None` where the definition has none yet.
    pub uuid: Option<DomainUuid>,
    /// The number that Proxmox knows it by; `None` for a VM of libvirt, and
    /// where the definition's file was not called by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<Vmid>,
    /// Digest of the definition that the changes are to be made to.
    pub digest: Digest,
    /// Where it goes; `None` where placement is off or does not apply.
    pub placement: Option<VmPlacement>,
    /// What the placement costs.
    pub objective: Objective,
    /// What no placement could go below.
    pub bound: Objective,
}

/// Where one VM goes.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct VmPlacement {
    /// The VM.
    pub name: DomainName,
    /// Whether the CPUs are the VM's alone.
    pub exclusive: bool,
    /// The CPUs of each vCPU; exactly one where the CPUs are exclusive.
    pub vcpus: BTreeMap<VcpuId, CpuSet>,
    /// The guest's NUMA nodes; at least one.
    pub cells: Vec<CellPlacement>,
    /// Guest threads per core.
    pub threads: u32,
    /// The page size of the guest's memory; `None` for ordinary memory.
    pub pages: Option<PageSize>,
    /// CPUs for the emulator's own threads.
    pub emulator: CpuSet,
    /// CPUs for each I/O thread.
    pub iothreads: BTreeMap<u32, CpuSet>,
    /// CPUs that nobody else may use although no vCPU runs on them: idle
    /// siblings under `isolate`, and the emulator's own core.
    pub reserved: CpuSet,
    /// The virtual functions that the policy asks for, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<NicPlacement>,
    /// Why it is here, a sentence each.
    pub because: Vec<String>,
}

impl VmPlacement {
    /// Returns the nodes that the guest's memory comes from.
    #[must_use]
    pub fn memory_nodes(&self) -> NodeSet {
        self.cells.iter().map(|cell| cell.memory_node).collect()
    }

    /// Returns whether a VM that runs by this definition has its memory bound
    /// to these nodes: then its threads can be moved there at once.
    #[must_use]
    pub fn has_memory_of(&self, live: &Domain) -> bool {
        let bound = live.numatune.memory.as_ref().filter(|memory| {
            matches!(memory.mode.as_deref(), None | Some("strict"))
        });
        self.cells.iter().all(|cell| {
            let nodes = match live.numatune.memnodes.get(&cell.id) {
                Some(own) => Some(&own.nodeset),
                None => bound.and_then(|memory| memory.nodeset.as_ref()),
            };
            nodes.is_some_and(|nodes| *nodes == NodeSet::from(cell.memory_node))
        })
    }

    /// Returns all CPUs that vCPUs run on.
    #[must_use]
    pub fn cpus(&self) -> CpuSet {
        self.vcpus.values().fold(CpuSet::new(), |all, one| all.union(one))
    }
}

/// Where one guest NUMA node goes.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CellPlacement {
    /// The guest's number of it.
    pub id: CellId,
    /// Its vCPUs.
    pub vcpus: VcpuSet,
    /// Its memory.
    pub memory: Bytes,
    /// The host node that its vCPUs run on.
    pub node: NodeId,
    /// The host node that its memory comes from: the same, unless that one
    /// has no memory.
    pub memory_node: NodeId,
}

/// Something that is right but not vmtune's to do.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// The rule that gives it.
    pub rule: String,
    /// The VM that it is about; `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// What to do and why, in one or two sentences.
    pub text: String,
}

/// Something that could not be judged.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// The rule that could not judge.
    pub rule: String,
    /// The VM that it was about; `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// Which fact is missing.
    pub fact: String,
    /// Why it is.
    pub why: String,
}
