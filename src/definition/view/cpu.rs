//! Reads `<cpu>`.

use std::collections::BTreeMap;

use super::error::{ReadError, ReadProblem};
use super::node::{Node, number_in};
use crate::base::{CellId, VcpuSet};
use crate::model::domain::{
    CpuCache, CpuElement, CpuFeature, CpuMode, CpuTopology, GuestCell,
};

pub(super) fn read(cpu: Node<'_>) -> Result<CpuElement, ReadError> {
    let features = cpu.all(&["feature"]).map(|feature| {
        let policy = feature.attribute("policy");
        Ok(CpuFeature { name: feature.required("name")?, policy })
    });
    let cache = cpu.child("cache").map(|cache| {
        let level = cache.attribute("level");
        Ok::<_, ReadError>(CpuCache { mode: cache.required("mode")?, level })
    });
    let model = cpu.child("model");
    Ok(CpuElement {
        mode: cpu.attribute("mode").as_deref().map(CpuMode::of),
        model: model.and_then(Node::text),
        vendor_id: model.and_then(|model| model.attribute("vendor_id")),
        migratable: cpu.attribute("migratable"),
        topology: cpu.child("topology").map(topology).transpose()?,
        cache: cache.transpose()?,
        features: features.collect::<Result<_, ReadError>>()?,
        cells: cells(cpu)?,
    })
}

fn topology(topology: Node<'_>) -> Result<CpuTopology, ReadError> {
    let part = |name| {
        let parse = number_in(1..=u32::MAX, "a number from 1");
        topology.parse_with(name, parse)
    };
    Ok(CpuTopology {
        sockets: part("sockets")?.unwrap_or(1),
        dies: part("dies")?,
        clusters: part("clusters")?,
        cores: part("cores")?.unwrap_or(1),
        threads: part("threads")?.unwrap_or(1),
    })
}

fn cells(cpu: Node<'_>) -> Result<Vec<GuestCell>, ReadError> {
    let mut cells: Vec<GuestCell> = Vec::new();
    for (place, cell) in (0..).zip(cpu.all(&["numa", "cell"])) {
        let id = CellId(cell.number("id")?.unwrap_or(place));
        if cells.iter().any(|other| other.id == id) {
            return Err(cell.fault(ReadProblem::Twice(format!("cell {id}"))));
        }
        cells.push(GuestCell {
            id,
            vcpus: cell.parse("cpus")?.unwrap_or_else(VcpuSet::new),
            memory: cell.memory_attribute("memory")?,
            mem_access: cell.attribute("memAccess"),
            distances: distances(cell)?,
        });
    }
    Ok(cells)
}

fn distances(cell: Node<'_>) -> Result<BTreeMap<CellId, u32>, ReadError> {
    let siblings = cell.all(&["distances", "sibling"]).map(|sibling| {
        let id = sibling.required_number("id", u32::MAX)?;
        Ok((CellId(id), sibling.required_number("value", u32::MAX)?))
    });
    siblings.collect()
}
