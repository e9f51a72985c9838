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

/// Where rules for udev are.
const UDEV: &str = "etc/udev/rules.d";
/// What a rule for udev says that makes virtual functions, changes the mode of
/// a switch or goes by its id.
const CARDS: [&str; 3] = ["sriov_numvfs", "eswitch", "phys_switch_id"];

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
    all.extend(udev(root));
    Fact::known(all, "/etc, /run/systemd")
}

/// Collects the lines of rules for udev that have to do with the switches of
/// network cards. A capture holds no others.
fn udev(root: &Root) -> BTreeMap<HostPath, Vec<String>> {
    let matters = |line: &str| {
        !line.starts_with('#') && CARDS.iter().any(|word| line.contains(word))
    };
    let unlogged = root.unlogged();
    let names = unlogged.list(UDEV).unwrap_or_default().into_iter();
    let others = names.filter(|name| !name.contains("-vmtune-"));
    let rules = others.filter(|name| name.ends_with(".rules"));
    let lines = rules.filter_map(|name| {
        let path = format!("{UDEV}/{name}");
        let found = unlogged.lines(&path, matters).ok()?;
        let found = match found.is_empty() {
            true => return None,
            false => root.lines(&path, matters).ok()?,
        };
        Some((format!("/{path}").parse().ok()?, found))
    });
    lines.collect()
}
