//! Lines of other people's drop-ins that set a value of the kernel at boot.

use std::collections::BTreeMap;

use crate::host::Root;
use crate::model::Fact;
use crate::model::facts::Claim;

/// Sysctls that are set for a whole host, and their places.
const SYSCTLS: [(&str, &str); 2] = [
    ("kernel.numa_balancing", "/proc/sys/kernel/numa_balancing"),
    ("vm.nr_hugepages", "/proc/sys/vm/nr_hugepages"),
];

/// Where limits of login sessions are set, and so the place of all of them.
const LIMITS: &str = "/etc/security/limits.conf";

/// Reads one line of a kind of file: the place that it sets, and to what.
type Line = fn(&str) -> Option<(String, String)>;

/// Collects them.
pub(super) fn read(root: &Root) -> Fact<Vec<Claim>> {
    if !root.exists("etc") {
        return Fact::unknown("/etc does not exist");
    }
    let kinds: [(Vec<String>, Line); 5] = [
        (drop_ins(root, "sysctl.d"), sysctl),
        (drop_ins(root, "tmpfiles.d"), tmpfile),
        (drop_ins(root, "modprobe.d"), module_option),
        (with_folder(root, "etc/sysfs.conf", "etc/sysfs.d"), sysfs),
        (with_folder(root, &LIMITS[1..], "etc/security/limits.d"), limit),
    ];
    // Which programs leave files here is nobody's business: a capture holds
    // those alone that say something.
    let unlogged = root.unlogged();
    let mut claims = Vec::new();
    for (files, line) in kinds {
        for file in files {
            let matters = |text: &str| line(text).is_some();
            let mut lines = unlogged.lines(&file, matters);
            if lines.as_ref().is_ok_and(|lines| !lines.is_empty()) {
                lines = root.lines(&file, matters);
            }
            // What cannot be read claims nothing that could be told.
            for (place, value) in
                lines.iter().flatten().filter_map(|text| line(text))
            {
                let file = format!("/{file}").parse();
                if let (Ok(place), Ok(file)) = (place.parse(), file) {
                    claims.push(Claim { place, value, file });
                }
            }
        }
    }
    Fact::known(claims, "drop-ins below /etc, /run and /usr/lib")
}

/// Lists the drop-ins of a kind by their names: one below /etc hides its
/// namesake below /run, and both hide the one below /usr/lib. Those of vmtune
/// are no rivals.
fn drop_ins(root: &Root, kind: &str) -> Vec<String> {
    let mut files = BTreeMap::new();
    for parent in ["usr/lib", "run", "etc"] {
        let folder = format!("{parent}/{kind}");
        for name in root.unlogged().list(&folder).unwrap_or_default() {
            let own = name.starts_with("vmtune-") || name.contains("-vmtune-");
            if name.ends_with(".conf") && !own {
                files.insert(name.clone(), format!("{folder}/{name}"));
            }
        }
    }
    files.into_values().collect()
}

/// Lists a file and the drop-ins of its folder.
fn with_folder(root: &Root, file: &str, folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    if root.unlogged().exists(file) {
        files.push(file.to_owned());
    }
    for name in root.unlogged().list(folder).unwrap_or_default() {
        if name.ends_with(".conf") && !name.contains("-vmtune-") {
            files.push(format!("{folder}/{name}"));
        }
    }
    files
}

/// `kernel.numa_balancing = 0`, with a minus before it where errors do not
/// matter.
fn sysctl(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim().trim_start_matches('-').replace('/', ".");
    let known = SYSCTLS.iter().find(|(name, _)| *name == key)?;
    Some((known.1.to_owned(), value.trim().to_owned()))
}

/// `w /sys/kernel/mm/ksm/run - - - - 0`
fn tmpfile(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let writes = words.next()?.starts_with('w');
    let place = words.next()?;
    let value = words.nth(4)?;
    (writes && is_ours(place)).then(|| (place.to_owned(), value.to_owned()))
}

/// `kernel/mm/ksm/run = 0`, below /sys.
fn sysfs(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let place = format!("/sys/{}", key.trim());
    is_ours(&place).then(|| (place, value.trim().to_owned()))
}

/// Returns whether a place of sysfs is one that vmtune may set.
fn is_ours(place: &str) -> bool {
    place == "/sys/kernel/mm/ksm/run"
        || place == "/sys/kernel/mm/transparent_hugepage/enabled"
        || (place.starts_with("/sys/") && place.ends_with("/nr_hugepages"))
}

/// `options vhost_net experimental_zcopytx=1`
fn module_option(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let module = (words.next()? == "options").then(|| words.next())??;
    let module = module.replace('-', "_");
    let value =
        words.find_map(|word| word.strip_prefix("experimental_zcopytx="))?;
    let place = "/sys/module/vhost_net/parameters/experimental_zcopytx";
    (module == "vhost_net").then(|| (place.to_owned(), value.to_owned()))
}

/// `@rdma - memlock unlimited`
fn limit(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [who, kind, "memlock", value, ..] = words.as_slice() else {
        return None;
    };
    // Users have names of their own, which are nobody's business.
    let general = *who == "*" || who.starts_with('@');
    let value = format!("{who} {kind} memlock {value}");
    general.then(|| (LIMITS.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_a_place_and_a_value() {
        type Expected = Option<(&'static str, &'static str)>;
        let cases: [(Line, &str, Expected); 13] = [
            (
                sysctl,
                "-kernel/numa_balancing= 0",
                Some(("/proc/sys/kernel/numa_balancing", "0")),
            ),
            (sysctl, "# kernel.numa_balancing = 0", None),
            (sysctl, "vm.swappiness = 1", None),
            (
                tmpfile,
                "w! /sys/kernel/mm/ksm/run - - - - 1",
                Some(("/sys/kernel/mm/ksm/run", "1")),
            ),
            (tmpfile, "r /sys/kernel/mm/ksm/run - - - - 1", None),
            (tmpfile, "w /sys/kernel/mm/ksm/run", None),
            (
                sysfs,
                "kernel/mm/transparent_hugepage/enabled = never",
                Some(("/sys/kernel/mm/transparent_hugepage/enabled", "never")),
            ),
            (
                module_option,
                "options vhost-net experimental_zcopytx=1",
                Some((
                    "/sys/module/vhost_net/parameters/experimental_zcopytx",
                    "1",
                )),
            ),
            (module_option, "options kvm nested=1", None),
            (
                limit,
                "@rdma\t- memlock unlimited",
                Some((LIMITS, "@rdma - memlock unlimited")),
            ),
            (limit, "#@rdma - memlock unlimited", None),
            (limit, "alice - memlock unlimited", None),
            (limit, "* soft nofile 1024", None),
        ];
        for (line, text, expected) in cases {
            let found = line(text);
            let found = found.as_ref().map(|(p, v)| (p.as_str(), v.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
