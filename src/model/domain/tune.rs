//! `<cputune>`: pins, schedulers and quotas.

use std::collections::BTreeMap;

use crate::base::{CpuSet, VcpuId, VcpuSet};

/// `<cputune>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cputune {
    /// `<vcpupin>`.
    pub vcpupin: BTreeMap<VcpuId, CpuSet>,
    /// `<emulatorpin>`.
    pub emulatorpin: Option<CpuSet>,
    /// `<iothreadpin>` by thread id.
    pub iothreadpin: BTreeMap<u32, CpuSet>,
    /// `<vcpusched>`.
    pub vcpusched: Vec<Scheduler>,
    /// `shares`, `period`, `quota`, `global_quota`, `emulator_quota`, … by
    /// element name.
    pub limits: BTreeMap<String, i64>,
    /// Whether there is any `<cachetune>` or `<memorytune>`.
    pub has_cachetune: bool,
    /// `<cachetune>`.
    pub cachetune: Vec<Cachetune>,
}

/// `<cachetune>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cachetune {
    /// `vcpus=…`.
    pub vcpus: VcpuSet,
    /// `id=…` of each `<cache>`.
    pub caches: Vec<u32>,
}

/// `<vcpusched>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// `vcpus=…`.
    pub vcpus: VcpuSet,
    /// `scheduler=…`: `fifo`, `rr`, `batch` or `idle`.
    pub scheduler: String,
    /// `priority=…`.
    pub priority: Option<u32>,
}
