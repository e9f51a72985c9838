//! `memory`, `balloon`, `hugepages`, `numaN`: how much, of what, from where.

use super::super::error::ConfError;
use super::value::Reader;
use crate::base::{Bytes, CellId, Id, IdSet, PageSize, ParseValueError};
use crate::model::domain::{
    BackingPage, Memnode, MemoryAmounts, MemoryBacking, Numatune,
};

/// What a VM has whose definition does not say.
const DEFAULT: Bytes = Bytes(512 << 20);

/// Reads a list of numbers and ranges, which Proxmox parts by `;` within a
/// value that has properties.
pub(super) fn list<T: Id>(text: &str) -> Result<IdSet<T>, ParseValueError> {
    text.replace(';', ",").parse()
}

/// Reads an amount in MiB.
pub(super) fn mib(
    at: &Reader<'_>,
    path: &str,
) -> Result<Option<Bytes>, ConfError> {
    let most = u64::MAX >> 20;
    Ok(at.number(path, 0..=most)?.map(|mib| Bytes(mib << 20)))
}

pub(super) fn amounts(at: &Reader<'_>) -> Result<MemoryAmounts, ConfError> {
    let total = mib(at, "memory/current")?.unwrap_or(DEFAULT);
    let hotplug = at.text("hotplug").unwrap_or_default();
    let plugs = hotplug.split([',', ';', ' ']).any(|what| what == "memory");
    Ok(MemoryAmounts {
        total,
        // How much could be plugged in is the host's business.
        max: plugs.then_some(total),
        ..MemoryAmounts::default()
    })
}

pub(super) fn backing(
    at: &Reader<'_>,
) -> Result<Option<MemoryBacking>, ConfError> {
    let shared = at.flag("allow-ksm", true)?;
    let pages = at.parse("hugepages", |text| match text {
        "any" => Ok(Vec::new()),
        "2" => Ok(vec![PageSize::TWO_MIB]),
        "1024" => Ok(vec![PageSize::ONE_GIB]),
        _ => Err(ParseValueError::new(text, "any, 2 or 1024")),
    })?;
    let filesystem = at.numbered("virtiofs").next().is_some();
    if pages.is_none() && shared && !filesystem {
        return Ok(None);
    }
    // So that others can map it: Proxmox makes all such memory shared.
    let mapped = pages.is_some() || filesystem;
    let page = |size| BackingPage { size: Some(size), nodeset: None };
    Ok(Some(MemoryBacking {
        hugepages: pages.map(|sizes| sizes.into_iter().map(page).collect()),
        nosharepages: !shared,
        access: mapped.then(|| "shared".to_owned()),
        ..MemoryBacking::default()
    }))
}

/// Reads which host nodes the memory of each guest node comes from.
pub(super) fn numatune(at: &Reader<'_>) -> Result<Numatune, ConfError> {
    let mut tune = Numatune::default();
    if !at.flag("numa", false)? {
        return Ok(tune);
    }
    for (id, key) in at.numbered("numa") {
        let nodes = at.parse(&format!("{key}/hostnodes"), list)?;
        let Some(nodeset) = nodes else { continue };
        let mode = at.text(&format!("{key}/policy"));
        let mode = mode.ok_or_else(|| at.missing(key, "policy"))?;
        let mode = Some(if mode == "bind" { "strict".into() } else { mode });
        tune.memnodes.insert(CellId(id), Memnode { mode, nodeset });
    }
    Ok(tune)
}
