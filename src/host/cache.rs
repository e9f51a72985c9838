//! Third-level caches that the kernel can divide among groups of tasks.

use super::{Root, text};
use crate::base::CpuSet;
use crate::model::Fact;
use crate::model::facts::{Cache, CacheControl, DividedCache};

const RESCTRL: &str = "sys/fs/resctrl";
const CPUS: &str = "sys/devices/system/cpu";

/// Reads what the kernel's file system for it says, once that is mounted.
///
/// What groups there are is not read: libvirt names them after VMs, and
/// makes and removes them as these come and go.
pub(super) fn read(root: &Root, l3: &[Cache]) -> Fact<CacheControl> {
    let info = format!("{RESCTRL}/info/L3");
    if !root.exists(&info) {
        return Fact::unknown(if root.exists(&format!("{RESCTRL}/info")) {
            format!("/{RESCTRL}/info has no L3, or code and data apart")
        } else {
            format!("/{RESCTRL} is not there, or nothing is mounted on it")
        });
    }
    match divided(root, &info, l3) {
        Ok(control) => Fact::known(control, format!("/{info}")),
        Err(why) => Fact::unknown(why),
    }
}

fn divided(
    root: &Root,
    info: &str,
    l3: &[Cache],
) -> Result<CacheControl, String> {
    let number = |name: &str| {
        known(root.fact(&format!("{info}/{name}"), |text| text.parse().ok()))
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let ways = known(root.fact(&format!("{info}/cbm_mask"), hex))?;
    let common =
        known(root.fact(&format!("{RESCTRL}/schemata"), text::l3_masks))?;
    let caches: Result<Vec<DividedCache>, String> = l3
        .iter()
        .map(|cache| {
            let id = id(root, &cache.cpus)?;
            let own = common.iter().find(|(of, _)| *of == id);
            let (_, common) = own.ok_or_else(|| {
                format!("/{RESCTRL}/schemata has no L3 of number {id}")
            })?;
            let (cpus, size) = (cache.cpus.clone(), cache.size);
            Ok(DividedCache { id, cpus, size, ways, common: *common })
        })
        .collect();
    let mut caches = caches?;
    caches.sort_by_key(|cache| cache.id);
    Ok(CacheControl {
        groups: number("num_closids")?,
        fewest_ways: number("min_cbm_bits")?,
        caches,
    })
}

fn known<T>(fact: Fact<T>) -> Result<T, String> {
    match fact {
        Fact::Known { value, .. } => Ok(value),
        Fact::Unknown { unknown } => Err(unknown),
    }
}

/// Returns the kernel's number of the third-level cache of some CPUs.
fn id(root: &Root, cpus: &CpuSet) -> Result<u32, String> {
    let cpu = cpus.first().ok_or("a third-level cache has no CPU")?;
    let folder = format!("{CPUS}/cpu{cpu}/cache");
    let indexes = root.list(&folder).map_err(|e| e.reason())?;
    let third = indexes.iter().find(|index| {
        let level = root.read(&format!("{folder}/{index}/level"));
        level.is_ok_and(|level| level.trim() == "3")
    });
    let third = third.ok_or_else(|| format!("/{folder} has no level 3"))?;
    known(root.fact(&format!("{folder}/{third}/id"), |t| t.parse().ok()))
}
