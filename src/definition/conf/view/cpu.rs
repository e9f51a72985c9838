//! `cpu`, `sockets`, `numaN`: the guest's CPU and the nodes that it sees.

use std::collections::BTreeMap;

use super::super::error::ConfError;
use super::value::Reader;
use super::{MAX_VCPUS, memory};
use crate::base::{Bytes, CellId, VcpuId};
use crate::model::domain::{
    CpuElement, CpuFeature, CpuMode, CpuTopology, GuestCell,
};

/// The CPU of a VM whose definition names none.
const DEFAULT_MODEL: &str = "kvm64";

/// Returns the number of sockets; `smp` is what it was called once.
pub(super) fn sockets(at: &Reader<'_>) -> Result<u32, ConfError> {
    let own = at.number("sockets", 1..=MAX_VCPUS)?;
    let old = at.number("smp", 1..=MAX_VCPUS)?;
    Ok(own.or(old).unwrap_or(1))
}

pub(super) fn read(
    at: &Reader<'_>,
    sockets: u32,
    cores: u32,
    memory: Bytes,
) -> Result<CpuElement, ConfError> {
    let kind = at.text("cpu/cputype").unwrap_or_else(|| DEFAULT_MODEL.into());
    let (mode, model) = match kind.as_str() {
        "host" => (CpuMode::HostPassthrough, None),
        "max" => (CpuMode::Maximum, None),
        _ => (CpuMode::Custom, Some(kind)),
    };
    let flags = at.text("cpu/flags").unwrap_or_default();
    let features = flags.split(';').filter_map(|flag| {
        let (name, policy) = match flag.split_at_checked(1)? {
            ("+", name) => (name, "require"),
            ("-", name) => (name, "disable"),
            _ => return None,
        };
        let policy = Some(policy.to_owned());
        Some(CpuFeature { name: name.to_owned(), policy })
    });
    Ok(CpuElement {
        mode: Some(mode),
        model,
        vendor_id: None,
        migratable: None,
        topology: Some(CpuTopology {
            sockets,
            dies: None,
            clusters: None,
            cores,
            threads: 1,
        }),
        cache: None,
        features: features.collect(),
        cells: cells(at, sockets, cores, memory)?,
    })
}

/// Returns the guest's nodes: those that the definition lists, or one for
/// each socket. One node for all is none.
fn cells(
    at: &Reader<'_>,
    sockets: u32,
    cores: u32,
    memory: Bytes,
) -> Result<Vec<GuestCell>, ConfError> {
    if !at.flag("numa", false)? {
        return Ok(Vec::new());
    }
    let cell = |id, vcpus, memory| GuestCell {
        id: CellId(id),
        vcpus,
        memory,
        mem_access: None,
        distances: BTreeMap::new(),
    };
    let mut cells = Vec::new();
    for (id, key) in at.numbered("numa") {
        let vcpus = at.parse(&format!("{key}/cpus"), memory::list)?;
        let vcpus = vcpus.ok_or_else(|| at.missing(key, "cpus"))?;
        let amount = memory::mib(at, &format!("{key}/memory"))?;
        let amount = amount.ok_or_else(|| at.missing(key, "memory"))?;
        cells.push(cell(id, vcpus, amount));
    }
    if cells.is_empty() && sockets > 1 {
        let share = Bytes(memory.0 / u64::from(sockets));
        cells.extend((0..sockets).map(|id| {
            let first = id * cores;
            cell(id, (first..first + cores).map(VcpuId).collect(), share)
        }));
    }
    Ok(cells)
}
