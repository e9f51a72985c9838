//! Reads amounts of memory, `<memoryBacking>` and `<numatune>`.

use std::collections::BTreeMap;

use super::error::{ReadError, ReadProblem};
use super::node::Node;
use crate::base::{Bytes, CellId, PageSize};
use crate::model::domain::{
    BackingPage, CpuElement, Memnode, MemoryAmounts, MemoryBacking,
    MemoryPolicy, Numatune,
};

pub(super) fn amounts(
    root: Node<'_>,
    cpu: Option<&CpuElement>,
) -> Result<MemoryAmounts, ReadError> {
    let amount =
        |names: &[&str]| root.all(names).next().map(Node::memory).transpose();
    let too_much = || root.fault(ReadProblem::TooMuchMemory);
    let mut modules = Bytes::default();
    for size in root.all(&["devices", "memory", "target", "size"]) {
        let sum = modules.0.checked_add(size.memory()?.0);
        modules = Bytes(sum.ok_or_else(too_much)?);
    }
    // Where `<memory>` is missing, libvirt adds up the cells and modules.
    let total = match amount(&["memory"])? {
        Some(total) => total,
        None => {
            let cells = cpu.map_or(&[][..], |cpu| &cpu.cells);
            if cells.is_empty() {
                return Err(root.missing("memory"));
            }
            let sum = cells.iter().try_fold(modules.0, |sum, cell| {
                sum.checked_add(cell.memory.0)
            });
            Bytes(sum.ok_or_else(too_much)?)
        }
    };
    Ok(MemoryAmounts {
        total,
        current: amount(&["currentMemory"])?,
        max: amount(&["maxMemory"])?,
        hard_limit: amount(&["memtune", "hard_limit"])?,
        modules,
    })
}

pub(super) fn backing(
    root: Node<'_>,
) -> Result<Option<MemoryBacking>, ReadError> {
    let Some(backing) = root.child("memoryBacking") else { return Ok(None) };
    let has = |name| backing.child(name).is_some();
    let said = |name, attribute| {
        backing.child(name).and_then(|child| child.attribute(attribute))
    };
    let hugepages = backing.child("hugepages").map(|hugepages| {
        let pages = hugepages.all(&["page"]).map(|page| {
            let size = page.memory_attribute("size")?;
            let nodeset = page.attribute("nodeset");
            Ok(BackingPage { size: PageSize::from_bytes(size.0), nodeset })
        });
        pages.collect::<Result<_, ReadError>>()
    });
    Ok(Some(MemoryBacking {
        hugepages: hugepages.transpose()?,
        nosharepages: has("nosharepages"),
        locked: has("locked"),
        discard: has("discard"),
        source: said("source", "type"),
        access: said("access", "mode"),
        allocation: said("allocation", "mode"),
    }))
}

pub(super) fn numatune(root: Node<'_>) -> Result<Numatune, ReadError> {
    let memory = root.all(&["numatune", "memory"]).next().map(|memory| {
        Ok::<_, ReadError>(MemoryPolicy {
            mode: memory.attribute("mode"),
            nodeset: memory.parse("nodeset")?,
            placement: memory.attribute("placement"),
        })
    });
    let mut memnodes = BTreeMap::new();
    for memnode in root.all(&["numatune", "memnode"]) {
        let cell = CellId(memnode.required_number("cellid", u32::MAX)?);
        let nodeset = memnode.parse("nodeset")?;
        let nodeset = nodeset.ok_or_else(|| memnode.missing("nodeset"))?;
        let policy = Memnode { mode: memnode.attribute("mode"), nodeset };
        if memnodes.insert(cell, policy).is_some() {
            let what = format!("the policy of cell {cell}");
            return Err(memnode.fault(ReadProblem::Twice(what)));
        }
    }
    Ok(Numatune { memory: memory.transpose()?, memnodes })
}
