//! What kind of CPU it is, from the first processor of `/proc/cpuinfo`.

use procfs::{CpuInfo, FromRead as _};

use super::Root;
use crate::model::Fact;

/// The facts of one processor, which stand for all.
pub(super) struct Identity {
    pub(super) arch: Fact<String>,
    pub(super) vendor: Fact<String>,
    pub(super) model: Fact<String>,
    pub(super) flags: Fact<Vec<String>>,
}

const CPUINFO: &str = "proc/cpuinfo";
/// `uname -m` as a file, since Linux 6.1.
const ARCH: &str = "proc/sys/kernel/arch";

/// Reads the identity. Where the kernel does not name its architecture,
/// `hwloc_arch` does.
pub(super) fn read(root: &Root, hwloc_arch: Fact<String>) -> Identity {
    let first = root.read_paragraph(CPUINFO).map_err(|e| e.reason());
    let info = first.and_then(|text| {
        CpuInfo::from_read(text.as_bytes())
            .map_err(|_| format!("/{CPUINFO} has a form of its own"))
    });
    // Names differ by architecture: x86, then Arm, then POWER and s390.
    let field = |keys: &[&str]| match &info {
        Err(reason) => Fact::unknown(reason),
        Ok(info) => keys
            .iter()
            .find_map(|key| info.fields.get(*key))
            .filter(|value| !value.is_empty())
            .map_or_else(
                || Fact::unknown(format!("/{CPUINFO} has no {}", keys[0])),
                |value| Fact::known(value.clone(), format!("/{CPUINFO}")),
            ),
    };
    let flags = field(&["flags", "Features", "features"]).map(|text| {
        let mut flags: Vec<_> =
            text.split_whitespace().map(str::to_owned).collect();
        flags.sort_unstable();
        flags.dedup();
        flags
    });
    let arch = match root.fact(ARCH, |text| Some(text.to_owned())) {
        Fact::Unknown { .. } if hwloc_arch.value().is_some() => hwloc_arch,
        unknown @ Fact::Unknown { .. } => match flags.value() {
            // "long mode": only a 64-bit x86 kernel shows it.
            Some(flags) if flags.binary_search(&"lm".into()).is_ok() => {
                Fact::known("x86_64".into(), format!("/{CPUINFO}: flag lm"))
            }
            _ => unknown,
        },
        known => known,
    };
    Identity {
        arch,
        vendor: field(&["vendor_id"]),
        model: field(&["model name", "cpu"]),
        flags,
    }
}
