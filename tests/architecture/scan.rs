//! What the house allows, and the scans that find what it does not.

use super::source::{Source, starts_word};

/// The floors from the ground up, and what each may import. A floor imports
/// only floors that stand before it in the table.
pub(super) const FLOORS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("model", &["base"]),
    ("definition", &["base", "model"]),
    ("placement", &["base", "model"]),
    ("rules", &["base", "model", "placement"]),
    ("planner", &["base", "model", "definition", "placement", "rules"]),
    ("boot", &["base", "model"]),
    ("host", &["base", "model", "boot"]),
    ("hypervisor", &["base", "model"]),
    ("drift", &["base", "model"]),
    ("files", &["base", "model"]),
    ("system", &["base", "model", "files"]),
    ("policy", &["base", "model"]),
    ("probe", &["base", "model", "host"]),
    (
        "apply",
        &[
            "base",
            "model",
            "boot",
            "definition",
            "hypervisor",
            "files",
            "system",
        ],
    ),
    ("verify", &["base", "model", "hypervisor"]),
    ("cli", EVERYTHING),
];

/// What the uppermost floor may import.
const EVERYTHING: &[&str] = &[
    "base",
    "model",
    "definition",
    "placement",
    "rules",
    "planner",
    "boot",
    "drift",
    "host",
    "hypervisor",
    "files",
    "system",
    "policy",
    "probe",
    "apply",
    "verify",
];

/// What test code of any floor may import besides: the readers that turn a
/// fixture (a definition, a host, a policy) into values.
const TESTS_MAY: &[&str] = &["definition", "host", "policy"];

/// The only files that may say `unsafe`; each says why at its top.
pub(super) const UNSAFE: &[&str] = &[
    "src/hypervisor/pin.rs",
    "src/probe/verbs/device.rs",
    "src/probe/verbs/library.rs",
    "src/probe/verbs/memory.rs",
    "src/probe/verbs/pair.rs",
    "src/probe/verbs/queue.rs",
    "src/probe/verbs/request.rs",
];

/// Where printing macros are allowed.
const PRINTS: &[&str] = &["src/cli/", "src/main.rs"];

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Lines per file that a reader takes in at one sitting, for nine files of
/// ten, and for the file in the middle. Unit tests count.
pub(super) const MAX_LINES: usize = 600;
pub(super) const P90_LINES: usize = 400;
pub(super) const MEDIAN_LINES: usize = 150;

/// Finds imports that the table of floors does not allow.
pub(super) fn forbidden_imports(source: &Source) -> Vec<String> {
    let Some(floor) = source.floor() else { return Vec::new() };
    let path = &source.path;
    let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == floor)
    else {
        return vec![format!("{path}: {floor} is not in the table of floors")];
    };
    let mut found = Vec::new();
    for (number, line, test) in source.lines() {
        for (at, _) in line.match_indices("crate::") {
            if !starts_word(line, at) {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() {
                found.push(format!(
                    "{path}:{number}: a `use` names one floor, no group"
                ));
            } else if name != floor
                && !allowed.contains(&name)
                && !(test && TESTS_MAY.contains(&name))
            {
                found.push(format!("{path}:{number}: {floor} imports {name}"));
            }
        }
    }
    found.extend(climbs(source).into_iter().map(|number| {
        format!("{path}:{number}: `super` climbs out of {floor}")
    }));
    found
}

/// Returns the lines where a chain of `super` leaves the floor.
fn climbs(source: &Source) -> Vec<usize> {
    let mut found = Vec::new();
    let mut braces = 0_usize;
    let mut modules: Vec<usize> = Vec::new();
    for (number, line, _) in source.lines() {
        let depth = source.depth() + modules.len();
        let mut rest = line;
        while let Some(at) = rest.find("super::") {
            let mut chain = 0;
            let is_word = starts_word(rest, at);
            rest = &rest[at..];
            while let Some(after) = rest.strip_prefix("super::") {
                chain += 1;
                rest = after.trim_start_matches('{');
            }
            if is_word && chain >= depth {
                found.push(number);
            }
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.contains(&"mod") && words.last() == Some(&"{") {
            modules.push(braces);
        }
        for c in line.chars() {
            match c {
                '{' => braces += 1,
                '}' => {
                    braces = braces.saturating_sub(1);
                    if modules.last() == Some(&braces) {
                        modules.pop();
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Finds printing macros outside of the floor that prints.
pub(super) fn forbidden_prints(source: &Source) -> Vec<String> {
    if PRINTS.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let macros = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
    let prints = |line: &str| {
        macros.iter().any(|name| {
            line.match_indices(name).any(|(at, _)| starts_word(line, at))
        })
    };
    source
        .lines()
        .filter(|(_, line, test)| !test && prints(line))
        .map(|(number, ..)| format!("{}:{number}: prints", source.path))
        .collect()
}

/// Finds `unsafe` in files that are not listed.
pub(super) fn forbidden_unsafe(source: &Source) -> Vec<String> {
    if UNSAFE.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let word = |c: char| c.is_alphanumeric() || c == '_';
    source
        .lines()
        .filter(|(_, line, _)| {
            line.split(|c| !word(c)).any(|part| part == "unsafe")
        })
        .map(|(number, ..)| format!("{}:{number}: unsafe", source.path))
        .collect()
}

/// Finds files that are too long or do not say what they are.
pub(super) fn malformed(source: &Source) -> Vec<String> {
    let path = &source.path;
    let lines = source.text.lines().count();
    let mut found = Vec::new();
    if lines > MAX_LINES {
        found.push(format!("{path}: {lines} lines, {MAX_LINES} are allowed"));
    }
    if !source.text.starts_with("//! ") {
        found.push(format!("{path}: does not open with a `//!` sentence"));
    }
    let mut parts = path.trim_end_matches(".rs").split('/');
    if let Some(part) = parts.find(|part| EMPTY_NAMES.contains(part)) {
        found.push(format!("{path}: {part} names nothing"));
    }
    found
}

/// Returns the length that `share` percent of the files do not exceed.
pub(super) fn percentile(mut lengths: Vec<usize>, share: usize) -> usize {
    lengths.sort_unstable();
    let rank = (lengths.len() * share).div_ceil(100).max(1);
    lengths.get(rank - 1).copied().unwrap_or(0)
}

pub(super) fn is_one_sentence(text: &str) -> bool {
    text.chars().next().is_some_and(|c| !c.is_lowercase())
        && text.ends_with('.')
        && !text.trim_end_matches('.').contains(". ")
        && !text.contains('\n')
}

/// Returns whether a pattern stands for the other's place too: the same, or
/// an element above it.
pub(super) fn covers(pattern: &str, other: &str) -> bool {
    let below = other.strip_prefix(pattern);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
