//! Page pools and the kernel's memory policies.

use std::collections::BTreeMap;

use super::{Root, text};
use crate::base::{Bytes, NodeId, PageSize};
use crate::model::Fact;
use crate::model::facts::{HugepagePool, MemoryFacts, Node, Zone};

const MM: &str = "sys/kernel/mm";
const NODES: &str = "sys/devices/system/node";

/// Reads all that concerns memory, of these nodes.
pub(super) fn read(root: &Root, nodes: &[Node]) -> MemoryFacts {
    MemoryFacts {
        free: free(root, nodes),
        hugepages: pools(root, nodes),
        transparent_hugepages: root
            .fact(&format!("{MM}/transparent_hugepage/enabled"), |text| {
                text::selected(text).map(str::to_owned)
            }),
        ksm: root.fact(&format!("{MM}/ksm/run"), |text| text.parse().ok()),
        ksm_sharing: root
            .fact(&format!("{MM}/ksm/pages_sharing"), |text| text.parse().ok()),
        numa_balancing: root
            .fact("proc/sys/kernel/numa_balancing", |text| text.parse().ok()),
        zones: zones(root),
        hugetlbfs: mounts(root),
    }
}

/// Reads which sizes of huge pages are mounted where libvirt is, beside the
/// first process. A capture holds no other mounts.
fn mounts(root: &Root) -> Fact<Vec<PageSize>> {
    const MOUNTS: &str = "proc/1/mounts";
    let is_huge = |line: &str| line.split(' ').nth(2) == Some("hugetlbfs");
    match root.lines(MOUNTS, is_huge) {
        Ok(lines) => {
            let sizes = lines.iter().filter_map(|line| mounted_size(line));
            let mut sizes: Vec<_> = sizes.collect();
            sizes.sort_unstable();
            sizes.dedup();
            Fact::known(sizes, format!("/{MOUNTS}"))
        }
        Err(e) => Fact::unknown(e.reason()),
    }
}

/// `hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0`
fn mounted_size(line: &str) -> Option<PageSize> {
    let mut options = line.split(' ').nth(3)?.split(',');
    options.find_map(|one| one.strip_prefix("pagesize="))?.parse().ok()
}

/// Reads how free memory lies. The blocks are for root to read: without them
/// the pieces are known all the same.
fn zones(root: &Root) -> Fact<Vec<Zone>> {
    let blocks = root.fact("proc/pagetypeinfo", |text| {
        Some(text::page_blocks(text)).filter(|blocks| !blocks.is_empty())
    });
    let parse = |text: &str| {
        let zones: Option<Vec<Zone>> = text
            .lines()
            .map(|line| {
                let (node, name, free_pieces) = text::zone_line(line)?;
                let of_zone =
                    |(id, zone): &(u32, String)| *id == node && *zone == name;
                let blocks = match &blocks {
                    Fact::Unknown { unknown } => Fact::unknown(unknown),
                    Fact::Known { value, origin } => {
                        match value.iter().find(|(zone, _)| of_zone(zone)) {
                            Some((_, own)) => {
                                Fact::known(own.clone(), &origin.0)
                            }
                            None => Fact::unknown(format!(
                                "{origin} has no zone {name} of node {node}"
                            )),
                        }
                    }
                };
                let node = NodeId(node);
                Some(Zone { node, name, free_pieces, blocks })
            })
            .collect();
        zones.filter(|zones| !zones.is_empty())
    };
    root.fact("proc/buddyinfo", parse)
}

/// Returns the text that tells a node's memory: the node's own, or the
/// machine's where the kernel was built without NUMA.
pub(super) fn meminfo(root: &Root, id: NodeId) -> (String, Fact<String>) {
    let path = format!("{NODES}/node{id}/meminfo");
    let whole = |text: &str| Some(text.to_owned());
    if root.exists(NODES) {
        let text = root.fact(&path, whole);
        (path, text)
    } else {
        let path = "proc/meminfo";
        (path.into(), root.fact(path, whole))
    }
}

fn free(root: &Root, nodes: &[Node]) -> Fact<BTreeMap<NodeId, Bytes>> {
    let mut free = BTreeMap::new();
    for node in nodes {
        let (path, text) = meminfo(root, node.id);
        match text {
            Fact::Unknown { unknown } => return Fact::unknown(unknown),
            Fact::Known { value, .. } => {
                let Some(bytes) = text::meminfo(&value, "MemFree") else {
                    return Fact::unknown(format!("/{path} has no MemFree"));
                };
                free.insert(node.id, bytes);
            }
        }
    }
    let origin = format!("/{NODES}/node*/meminfo: MemFree");
    Fact::known(free, origin)
}

/// Reads the page pools of these nodes.
pub(super) fn pools(root: &Root, nodes: &[Node]) -> Fact<Vec<HugepagePool>> {
    let machine = format!("{MM}/hugepages");
    let mut pools = Vec::new();
    for node in nodes {
        let folder = match root.exists(NODES) {
            true => format!("{NODES}/node{}/hugepages", node.id),
            false => machine.clone(),
        };
        let names = match root.list(&folder) {
            Ok(names) => names,
            Err(e) => return Fact::unknown(e.reason()),
        };
        for size in names.iter().filter_map(|name| page_size(name)) {
            let kib = size.kib();
            let reserved =
                format!("{machine}/hugepages-{kib}kB/resv_hugepages");
            let folder = format!("{folder}/hugepages-{kib}kB");
            match pool(root, node.id, size, &folder, &reserved) {
                Fact::Known { value, .. } => pools.push(value),
                Fact::Unknown { unknown } => return Fact::unknown(unknown),
            }
        }
    }
    pools.sort_by_key(|pool| (pool.node, pool.size));
    Fact::known(pools, format!("/{NODES}/node*/hugepages"))
}

fn pool(
    root: &Root,
    node: NodeId,
    size: PageSize,
    folder: &str,
    reserved: &str,
) -> Fact<HugepagePool> {
    let count = |name: &str| {
        root.fact(&format!("{folder}/{name}_hugepages"), |t| t.parse().ok())
    };
    // Pages that a mapping has reserved count as free until it touches them.
    // The kernel counts them for the machine, not for a node, so each node
    // may hold them all: what is left is free in any case.
    let reserved_pages: u64 =
        root.fact(reserved, |t| t.parse().ok()).value().copied().unwrap_or(0);
    let free = match count("free") {
        Fact::Known { value, origin } if reserved_pages > 0 => Fact::known(
            u64::saturating_sub(value, reserved_pages),
            format!("{origin} less /{reserved}"),
        ),
        other => other,
    };
    let surplus = count("surplus");
    count("nr").map(|total| HugepagePool { node, size, total, free, surplus })
}

fn page_size(name: &str) -> Option<PageSize> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
    PageSize::from_bytes(kib.parse::<u64>().ok()?.checked_mul(1024)?)
}
