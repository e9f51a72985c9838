//! Lines of other people's files that set what vmtune sets.

use std::collections::BTreeMap;

use crate::base::HostPath;
use crate::host::Root;
use crate::model::Fact;

/// Folders of units whose drop-ins an administrator or a program makes; the
/// distribution's own say nothing about CPUs.
const UNITS: [&str; 4] = [
    "etc/systemd/system",
    "etc/systemd/system.control",
    "run/systemd/system",
    "run/systemd/system.control",
];

/// Units, and the settings that matter in their drop-ins.
const DROP_INS: [(&str, &str); 3] = [
    ("init.scope", "AllowedCPUs="),
    ("system.slice", "AllowedCPUs="),
    ("user.slice", "AllowedCPUs="),
];

/// Files of their own, and the settings that matter in them.
const FILES: [(&str, &str); 2] = [
    ("etc/default/irqbalance", "IRQBALANCE_BANNED_CPU"),
    ("etc/sysconfig/irqbalance", "IRQBALANCE_BANNED_CPU"),
];

/// What vmtune's own drop-ins are called.
const OWN: &str = "90-vmtune.conf";

/// Collects the lines.
pub(super) fn read(root: &Root) -> Fact<BTreeMap<HostPath, Vec<String>>> {
    if !root.exists("etc") {
        return Fact::unknown("/etc does not exist");
    }
    let mut all = BTreeMap::new();
    let mut add = |path: &str, begins: &str| {
        let Ok(text) = root.read(path) else { return };
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| line.starts_with(begins));
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        if let (false, Ok(path)) =
            (lines.is_empty(), format!("/{path}").parse())
        {
            all.insert(path, lines);
        }
    };
    for folder in UNITS {
        for (unit, begins) in DROP_INS {
            let folder = format!("{folder}/{unit}.d");
            for name in root.list(&folder).unwrap_or_default() {
                if name.ends_with(".conf") && name != OWN {
                    add(&format!("{folder}/{name}"), begins);
                }
            }
        }
    }
    for (path, begins) in FILES {
        add(path, begins);
    }
    Fact::known(all, "/etc, /run/systemd")
}
