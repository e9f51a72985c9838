//! Amounts of memory, what backs it and which nodes it comes from.

use std::collections::BTreeMap;

use crate::base::{Bytes, CellId, NodeSet, PageSize};

/// `<memory>` and its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryAmounts {
    /// `<memory>`.
    pub total: Bytes,
    /// `<currentMemory>`.
    pub current: Option<Bytes>,
    /// `<maxMemory>`: room for memory that is plugged in later.
    pub max: Option<Bytes>,
    /// `<memtune><hard_limit>`.
    pub hard_limit: Option<Bytes>,
    /// Sum of `<devices><memory>` modules.
    pub modules: Bytes,
}

/// `<memoryBacking>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryBacking {
    /// `<hugepages>` with its pages; empty for the system's default size.
    pub hugepages: Option<Vec<BackingPage>>,
    /// `<nosharepages/>`.
    pub nosharepages: bool,
    /// `<locked/>`.
    pub locked: bool,
    /// `<discard/>`.
    pub discard: bool,
    /// `<source type=…>`: `file`, `anonymous` or `memfd`.
    pub source: Option<String>,
    /// `<access mode=…>`: `shared` or `private`.
    pub access: Option<String>,
    /// `<allocation mode=…>`: `immediate` or `ondemand`.
    pub allocation: Option<String>,
}

/// `<page>` of `<hugepages>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingPage {
    /// Its size; `None` where it is not a power of two.
    pub size: Option<PageSize>,
    /// `nodeset=…`: **guest** nodes.
    pub nodeset: Option<String>,
}

/// `<numatune>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numatune {
    /// `<memory>`.
    pub memory: Option<MemoryPolicy>,
    /// `<memnode>` by guest cell.
    pub memnodes: BTreeMap<CellId, Memnode>,
}

/// `<numatune><memory>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `mode=…`: `strict`, `interleave`, `preferred` or `restrictive`.
    pub mode: Option<String>,
    /// `nodeset=…`: host nodes.
    pub nodeset: Option<NodeSet>,
    /// `placement=…`: `static` or `auto`.
    pub placement: Option<String>,
}

/// `<memnode>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memnode {
    /// `mode=…`.
    pub mode: Option<String>,
    /// `nodeset=…`: host nodes.
    pub nodeset: NodeSet,
}
