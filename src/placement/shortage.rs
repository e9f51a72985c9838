//! Why a VM does not fit.

use std::fmt;

use crate::base::{Bytes, DomainName, NodeId, PageSize, PciAddress};

/// What is short for one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The VM.
    pub vm: DomainName,
    /// What is short.
    pub what: Short,
}

/// What is short, on the node that comes nearest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Short {
    /// No node has the cores.
    Cores {
        /// The node that has the most.
        node: Option<NodeId>,
        /// Guest cores that fit there.
        free: u32,
        /// Guest cores that one cell needs.
        needed: u32,
        /// Guest threads per core.
        threads: u32,
    },
    /// A node has the cores for a cell, and none besides for the emulator.
    Spare {
        /// That node.
        node: NodeId,
        /// Guest cores that the cell needs.
        needed: u32,
    },
    /// No node has the memory.
    Memory {
        /// The node that has the most, of those with the cores.
        node: NodeId,
        /// What it has, with what its pool could be given.
        free: Bytes,
        /// What one cell needs.
        needed: Bytes,
        /// The page size; `None` for ordinary pages.
        size: Option<PageSize>,
        /// What of `free` its pool could be given.
        more: Bytes,
    },
    /// Each cell fits somewhere, but not all of them at once.
    Nodes {
        /// Cells that there are.
        cells: u32,
        /// How many of them can be placed at once.
        placed: u32,
    },
    /// There are not as many nodes with CPUs as cells were asked for.
    TooManyCells {
        /// Cells that were asked for.
        cells: u32,
        /// Nodes with CPUs to give.
        nodes: u32,
    },
    /// There are not as many vCPUs as cells were asked for.
    EmptyCells {
        /// Cells that were asked for.
        cells: u32,
        /// vCPUs that there are.
        vcpus: u32,
    },
    /// No CPU is kept for the host, where emulator and I/O threads could run.
    NoHome,
    /// It would fit, but not near the device.
    Locality {
        /// The device.
        device: PciAddress,
        /// Its node; `None` where that is not known.
        node: Option<NodeId>,
    },
    /// The memory is no multiple of the page size.
    Granularity {
        /// The memory.
        memory: Bytes,
        /// The page size that the policy names.
        size: PageSize,
    },
    /// The guest's threads per core do not divide its vCPUs, or the host's
    /// cores are not so wide.
    Threads {
        /// Threads asked for.
        threads: u32,
        /// Why they cannot be.
        why: &'static str,
    },
    /// Each cell fits alone, but not all of them together.
    CellsTogether {
        /// How many cells there are.
        cells: u32,
    },
    /// Each VM fits alone, but not all of them together.
    Together,
    /// The search was cut off before it found a placement.
    CutOff,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cores { node: Some(node), free, needed, threads } => {
                let cores = match threads {
                    1 => "CPUs".to_owned(),
                    n => format!("cores with {n} free siblings"),
                };
                write!(
                    f,
                    "node {node} comes nearest and has {free} {cores} to \
                     give, {needed} are needed"
                )
            }
            Self::Cores { node: None, needed, .. } => write!(
                f,
                "no node has a CPU to give besides housekeeping and what \
                 others hold, {needed} are needed"
            ),
            Self::Spare { node, needed } => write!(
                f,
                "node {node} has room for the {needed} guest cores of a cell, \
                 and no whole core besides for the emulator"
            ),
            Self::Memory { node, free, needed, size: Some(size), more } => {
                let pages = |memory: u64| memory / size.bytes();
                let own = pages(free.0.saturating_sub(more.0));
                write!(f, "node {node} has {own} free {size} pages")?;
                if more.0 > 0 {
                    let more = pages(more.0);
                    write!(f, " and could be given {more} more")?;
                }
                write!(f, ", {} are needed", size.pages(*needed))
            }
            Self::Memory { node, free, needed, size: None, .. } => write!(
                f,
                "node {node} has {free} of memory to give, {needed} are needed"
            ),
            Self::Nodes { cells, placed } => write!(
                f,
                "only {placed} of its {cells} cells can be placed at once"
            ),
            Self::TooManyCells { cells, nodes } => write!(
                f,
                "{cells} cells are asked for, each on a node of its own, and \
                 {nodes} nodes have CPUs to give"
            ),
            Self::EmptyCells { cells, vcpus } => write!(
                f,
                "{cells} cells are asked for, and it has {vcpus} vCPUs to \
                 share out"
            ),
            Self::NoHome => f.write_str(
                "housekeeping has no CPU of this host, and its emulator would \
                 run on the CPUs of its vCPUs",
            ),
            Self::Locality { device, node: Some(node) } => write!(
                f,
                "no cell fits on node {node}, where its device {device} is"
            ),
            Self::Locality { device, node: None } => write!(
                f,
                "the node of its device {device} is not known, and the policy \
                 requires to be near it"
            ),
            Self::Granularity { memory, size } => write!(
                f,
                "its memory of {memory} is no multiple of {size} pages"
            ),
            Self::Threads { threads, why } => {
                write!(f, "{threads} threads per core cannot be: {why}")
            }
            Self::CellsTogether { cells } => write!(
                f,
                "each of its {cells} cells fits alone, but not all of them \
                 together"
            ),
            Self::Together => {
                f.write_str("each VM fits alone, but not all of them together")
            }
            Self::CutOff => f.write_str(
                "no placement was found within the search limit; there may \
                 be one",
            ),
        }
    }
}
