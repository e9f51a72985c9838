//! From hwloc's objects to CPUs, cores, caches and nodes.
//!
//! Only the kernel's numbers (hwloc: `os_index`) come out of here.

use std::collections::BTreeMap;

use hwlocality::Topology as Hwloc;
use hwlocality::cpu::cpuset::CpuSet as HwlocSet;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::distance::DistancesKind;
use hwlocality::object::types::ObjectType;

use crate::base::{Bytes, CpuId, CpuSet, NodeId, PageSize};
use crate::host::CollectError;
use crate::model::Fact;
use crate::model::facts::{
    Cache, Core, CpuKind, Die, HugepagePool, Node, Package, Topology,
};

/// Reads all but the devices.
pub(super) fn topology(
    hwloc: &Hwloc,
    origin: &str,
) -> Result<Topology, CollectError> {
    let online = cpus_of(&hwloc.cpuset());
    let online = online.filter(|cpus| !cpus.is_empty());
    let online = online.ok_or(CollectError::NoCpus)?;
    let complete = cpus_of(&hwloc.complete_cpuset());
    let allowed = cpus_of(&hwloc.allowed_cpuset());
    let of_type = |kind| sets(hwloc, kind);
    let mut cores: Vec<Core> =
        of_type(ObjectType::Core).map(|(cpus, _)| Core { cpus }).collect();
    let in_cores = cores.iter().fold(CpuSet::new(), |a, c| a.union(&c.cpus));
    let alone = online.difference(&in_cores);
    cores.extend(alone.iter().map(|cpu| Core { cpus: cpu.into() }));
    cores.sort_by_key(|core| core.cpus.first());
    Ok(Topology {
        origin: origin.to_owned(),
        offline: match complete.map(|all| all.difference(&online)) {
            Some(none) if none.is_empty() => Fact::known(none, origin),
            // An XML that was written without the CPUs that a control group
            // forbade shows them like offline ones.
            Some(gone) => Fact::unknown(format!(
                "{origin} does not tell whether CPUs {gone} are offline or \
                 were kept from who wrote it"
            )),
            None => Fact::unknown(format!("{origin} does not tell")),
        },
        disallowed: allowed
            .map_or_else(CpuSet::new, |allowed| online.difference(&allowed)),
        isolated: Fact::unknown(format!(
            "{origin} does not tell which CPUs the kernel isolates"
        )),
        packages: numbered(of_type(ObjectType::Package))
            .map(|(id, cpus)| Package { id, cpus })
            .collect(),
        dies: numbered(of_type(ObjectType::Die))
            .map(|(id, cpus)| Die { id, cpus })
            .collect(),
        nodes: nodes(hwloc, origin),
        l3: caches(of_type(ObjectType::L3Cache)),
        l2: caches(of_type(ObjectType::L2Cache)),
        cores,
        kinds: kinds(hwloc),
        online,
    })
}

/// Reads the pools of huge pages: every page size of a node but the smallest.
pub(super) fn hugepages(
    hwloc: &Hwloc,
    origin: &str,
) -> Fact<Vec<HugepagePool>> {
    let mut pools = Vec::new();
    for object in hwloc.objects_with_type(ObjectType::NUMANode) {
        let Some(node) = node_id(object) else { continue };
        let Some(ObjectAttributes::NUMANode(numa)) = object.attributes() else {
            continue;
        };
        let mut sizes: Vec<_> = numa
            .page_types()
            .iter()
            .filter_map(|page| {
                let size = PageSize::from_bytes(page.size().get())?;
                Some((size, page.count()))
            })
            .collect();
        sizes.sort_unstable();
        let unknown = || Fact::unknown(format!("{origin} has totals only"));
        pools.extend(sizes.into_iter().skip(1).map(|(size, total)| {
            HugepagePool {
                node,
                size,
                total,
                free: unknown(),
                surplus: unknown(),
            }
        }));
    }
    if pools.is_empty() {
        return Fact::unknown(format!("{origin} has no huge page sizes"));
    }
    pools.sort_by_key(|pool| (pool.node, pool.size));
    Fact::known(pools, origin)
}

/// Returns the number of a node object.
pub(super) fn node_id(object: &TopologyObject) -> Option<NodeId> {
    object.os_index().and_then(number).map(NodeId)
}

fn number(index: usize) -> Option<u32> {
    u32::try_from(index).ok().filter(|n| *n <= CpuSet::MAX_NUMBER)
}

/// Reads a set of CPUs; `None` where it is infinite or beyond vmtune's
/// numbers, as nothing that hwloc wrote is.
fn cpus_of(set: &HwlocSet) -> Option<CpuSet> {
    set.weight()?;
    set.iter_set().map(|i| number(usize::from(i)).map(CpuId)).collect()
}

/// Lists the objects of a type with their CPUs, by the lowest CPU; those
/// without CPUs online are left out.
fn sets(
    hwloc: &Hwloc,
    kind: ObjectType,
) -> impl Iterator<Item = (CpuSet, &TopologyObject)> {
    let mut found: Vec<_> = hwloc
        .objects_with_type(kind)
        .filter_map(|object| {
            let near = object.cpuset()?;
            Some((cpus_of(&near)?, object))
        })
        .filter(|(cpus, _)| !cpus.is_empty())
        .collect();
    found.sort_by_key(|(cpus, _)| cpus.first());
    found.into_iter()
}

/// Numbers objects as the firmware does, or by their order where it does not.
fn numbered<'a>(
    objects: impl Iterator<Item = (CpuSet, &'a TopologyObject)>,
) -> impl Iterator<Item = (u32, CpuSet)> {
    (0..).zip(objects).map(|(n, (cpus, object))| {
        let id = object.os_index().and_then(|i| u32::try_from(i).ok());
        (id.unwrap_or(n), cpus)
    })
}

fn caches<'a>(
    objects: impl Iterator<Item = (CpuSet, &'a TopologyObject)>,
) -> Vec<Cache> {
    let cache = |(cpus, object): (CpuSet, &TopologyObject)| {
        let size = match object.attributes() {
            Some(ObjectAttributes::Cache(cache)) => cache.size(),
            _ => None,
        };
        Cache { cpus, size: Bytes(size.map_or(0, |size| size.get())) }
    };
    objects.map(cache).collect()
}

fn nodes(hwloc: &Hwloc, origin: &str) -> Vec<Node> {
    let distances = distances(hwloc);
    let mut found: Vec<_> = hwloc
        .objects_with_type(ObjectType::NUMANode)
        .filter_map(|object| Some((node_id(object)?, object)))
        .collect();
    // hwloc gives a node the CPUs that are near to it; to the kernel a CPU
    // is of one node. That is the ordinary memory before any special one
    // (HBM, CXL, a GPU's: hwloc marks these by a subtype), then the first.
    found.sort_by_key(|(id, object)| (object.subtype().is_some(), *id));
    let memory = |object: &TopologyObject| match object.attributes() {
        Some(ObjectAttributes::NUMANode(numa)) => numa.local_memory(),
        _ => None,
    };
    let any = found.iter().any(|(_, object)| memory(object).is_some());
    let mut taken = CpuSet::new();
    let mut nodes: Vec<_> = found
        .into_iter()
        .map(|(id, object)| {
            let near = object.cpuset().and_then(|set| cpus_of(&set));
            let cpus = near.unwrap_or_default().difference(&taken);
            taken = taken.union(&cpus);
            let memory = match memory(object) {
                None if !any => {
                    Fact::unknown(format!("{origin} does not tell"))
                }
                size => Fact::known(
                    Bytes(size.map_or(0, |size| size.get())),
                    origin,
                ),
            };
            let distances = match distances.get(&id) {
                Some(row) => Fact::known(row.clone(), origin),
                None => Fact::unknown(format!("{origin} has no distances")),
            };
            Node { id, cpus, memory, distances }
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    nodes
}

/// Reads the firmware's table of distances among nodes. Distances that were
/// measured or made up, and bandwidths, are not of its kind.
fn distances(hwloc: &Hwloc) -> BTreeMap<NodeId, BTreeMap<NodeId, u32>> {
    let wanted = DistancesKind::FROM_OS | DistancesKind::MEANS_LATENCY;
    let all = hwloc
        .distances_with_type(None, ObjectType::NUMANode)
        .unwrap_or_default();
    let firmware = all.iter().find(|table| table.kind().contains(wanted));
    let mut rows: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let Some(table) = firmware else { return rows };
    let ids: Vec<_> =
        table.objects().map(|object| object.and_then(node_id)).collect();
    for ((from, to), distance) in table.enumerate_distances() {
        let id = |index: usize| ids.get(index).copied().flatten();
        let distance = u32::try_from(distance);
        if let (Some(from), Some(to), Ok(d)) = (id(from), id(to), distance) {
            rows.entry(from).or_default().insert(to, d);
        }
    }
    rows
}

/// Lists the kinds of core, slowest first as hwloc ranks them; none where
/// all are alike.
fn kinds(hwloc: &Hwloc) -> Vec<CpuKind> {
    let Ok(all) = hwloc.cpu_kinds() else { return Vec::new() };
    let online = hwloc.cpuset();
    let mut found: Vec<CpuKind> = (0..)
        .zip(all)
        .filter_map(|(n, kind): (u32, _)| {
            // Its type where hwloc knows one, else what sets it apart.
            let texts = kind.infos.iter().map(|info| {
                (info.name().to_string_lossy(), info.value().to_string_lossy())
            });
            let texts: Vec<_> = texts.collect();
            let core_type = texts.iter().find(|(key, _)| key == "CoreType");
            let name = match (core_type, texts.first()) {
                (Some((_, value)), _) => value.to_string(),
                (None, Some((key, value))) => format!("{key} {value}"),
                (None, None) => format!("kind {n}"),
            };
            let cpus = cpus_of(&(kind.cpuset & online))?;
            (!cpus.is_empty()).then_some(CpuKind { name, cpus })
        })
        .collect();
    // The same name twice (cores of one type with other clocks) would not
    // tell them apart.
    let names: Vec<_> = found.iter().map(|kind| kind.name.clone()).collect();
    for (n, kind) in (0..).zip(&mut found) {
        if names.iter().filter(|name| **name == kind.name).count() > 1 {
            let n: u32 = n;
            kind.name = format!("{} {n}", kind.name);
        }
    }
    if found.len() < 2 { Vec::new() } else { found }
}
