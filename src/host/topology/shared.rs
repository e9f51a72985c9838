//! What CPUs share: a core, a cache, a die, a package.

use super::CPUS;
use crate::base::{CpuId, CpuSet};
use crate::host::{Root, text};
use crate::model::facts::{Cache, Die, Package};

/// Most caches of one CPU that are looked at; the kernel numbers them from 0
/// without gaps and knows four levels, the first of them twice.
const MAX_CACHES: u32 = 16;

/// Parts the online CPUs by the first of these sets that the kernel has. A
/// CPU that no set holds is a part of its own. Parts never overlap.
pub(super) fn groups(
    root: &Root,
    online: &CpuSet,
    names: &[&str],
) -> Vec<CpuSet> {
    parts(online, |cpu| {
        let file =
            |name| set(root, &format!("{CPUS}/cpu{cpu}/topology/{name}"));
        names.iter().find_map(file).or(Some(cpu.into()))
    })
}

/// Reads the packages. Their numbers are the firmware's, or counted where it
/// gives none (-1).
pub(super) fn packages(root: &Root, online: &CpuSet) -> Vec<Package> {
    let sets = groups_known(root, online, &["package_cpus", "core_siblings"]);
    let package = |(n, cpus): (u32, CpuSet)| {
        let id = number(root, &cpus, "physical_package_id").unwrap_or(n);
        Package { id, cpus }
    };
    (0..).zip(sets).map(package).collect()
}

/// Reads the dies; none where a die is always a whole package, or where the
/// firmware does not number them (-1).
pub(super) fn dies(root: &Root, online: &CpuSet) -> Vec<Die> {
    let sets = groups_known(root, online, &["die_cpus"]);
    let packages = groups_known(root, online, &["package_cpus"]);
    if sets.len() <= packages.len() {
        return Vec::new();
    }
    let die = |cpus: CpuSet| {
        let id = number(root, &cpus, "die_id")?;
        Some(Die { id, cpus })
    };
    sets.into_iter().filter_map(die).collect()
}

/// Reads the caches of a level, those for instructions alone left out.
pub(super) fn caches(root: &Root, online: &CpuSet, level: u32) -> Vec<Cache> {
    let folder_of = |cpu: CpuId| {
        (0..MAX_CACHES).map(|n| format!("{CPUS}/cpu{cpu}/cache/index{n}")).find(
            |folder| {
                let file = |name| root.read(&format!("{folder}/{name}")).ok();
                let is = file("level").and_then(|l| l.trim().parse().ok());
                is == Some(level)
                    && file("type").is_none_or(|t| t.trim() != "Instruction")
            },
        )
    };
    let size = |cpus: &CpuSet| {
        let folder = folder_of(cpus.first()?)?;
        text::cache_size(&root.read(&format!("{folder}/size")).ok()?)
    };
    let sets = parts(online, |cpu| {
        set(root, &format!("{}/shared_cpu", folder_of(cpu)?))
    });
    sets.into_iter()
        .map(|cpus| Cache { size: size(&cpus).unwrap_or_default(), cpus })
        .collect()
}

fn groups_known(root: &Root, online: &CpuSet, names: &[&str]) -> Vec<CpuSet> {
    parts(online, |cpu| {
        let file =
            |name| set(root, &format!("{CPUS}/cpu{cpu}/topology/{name}"));
        names.iter().find_map(file)
    })
}

/// Walks the CPUs and takes the part of each that is in none yet.
fn parts(
    online: &CpuSet,
    part_of: impl Fn(CpuId) -> Option<CpuSet>,
) -> Vec<CpuSet> {
    let mut rest = online.clone();
    let mut parts = Vec::new();
    for cpu in online.iter() {
        if !rest.contains(cpu) {
            continue;
        }
        let Some(mut part) = part_of(cpu) else { continue };
        part.insert(cpu);
        let part = part.intersection(&rest);
        rest = rest.difference(&part);
        parts.push(part);
    }
    parts
}

/// Reads a set of CPUs: the mask, which has the bare name or for caches ends
/// in `_map`, else the list. hwloc reads masks alone, so trees that were made
/// or cut for it are right there first.
fn set(root: &Root, path: &str) -> Option<CpuSet> {
    let mask = root.read(path).or_else(|_| root.read(&format!("{path}_map")));
    match mask {
        Ok(mask) => CpuSet::of_mask(&mask),
        Err(_) => root.read(&format!("{path}_list")).ok()?.parse().ok(),
    }
}

fn number(root: &Root, cpus: &CpuSet, name: &str) -> Option<u32> {
    let cpu = cpus.first()?;
    let path = format!("{CPUS}/cpu{cpu}/topology/{name}");
    root.read(&path).ok()?.trim().parse().ok()
}
