//! Holds the house together: floors, file sizes, and nothing forgotten.
//!
//! The scans read text, so they are a guard and no proof. `scan.rs` holds the
//! table of floors; `guard.rs` feeds violations to each scan.

#![allow(
    clippy::disallowed_methods,
    reason = "this test reads the source tree, which no floor does"
)]

#[path = "architecture/guard.rs"]
mod guard;
#[path = "architecture/scan.rs"]
mod scan;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scan::{
    FLOORS, MEDIAN_LINES, P90_LINES, UNSAFE, covers, forbidden_imports,
    forbidden_prints, forbidden_unsafe, is_one_sentence, malformed, percentile,
};
use source::Source;
use vmtune::base::XmlPath;
use vmtune::model::Target;
use vmtune::rules::RULES;
use vmtune::rules::conf::CONF_RULES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Returns all files below a folder, relative to the package, sorted.
fn files(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        // Links of captured hosts lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the Rust files below some folders, those for tests alone marked.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut sources: Vec<Source> = folders
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.ends_with(".rs"))
        .map(|path| Source::new(&path, &read(&path)))
        .collect();
    let tests: Vec<String> =
        sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let module = source.path.trim_end_matches(".rs");
        source.is_test = tests.iter().any(|test| covers(test, module));
    }
    sources
}

#[track_caller]
fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn floors_stand_on_floors_below() {
    for (i, (floor, allowed)) in FLOORS.iter().enumerate() {
        for name in *allowed {
            let below = FLOORS[..i].iter().any(|(floor, _)| floor == name);
            assert!(below, "{floor} may import {name}, which is not below it");
        }
    }
    assert_none(sources(&["src"]).iter().flat_map(forbidden_imports).collect());
}

#[test]
fn only_the_command_line_prints() {
    assert_none(sources(&["src"]).iter().flat_map(forbidden_prints).collect());
}

#[test]
fn unsafe_code_is_listed() {
    let sources = sources(&["src"]);
    assert_none(sources.iter().flat_map(forbidden_unsafe).collect());
    for path in UNSAFE {
        let listed = sources.iter().find(|source| source.path == *path);
        let used = listed.is_some_and(|s| s.code.contains("unsafe "));
        assert!(used, "{path} is listed and has no unsafe code");
    }
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let all = sources(&["src", "tests", "benches", "fuzz/fuzz_targets"]);
    assert_none(all.iter().flat_map(malformed).collect());
    let lengths: Vec<usize> = all
        .iter()
        .filter(|source| source.path.starts_with("src/"))
        .map(|source| source.text.lines().count())
        .collect();
    let p90 = percentile(lengths.clone(), 90);
    let median = percentile(lengths, 50);
    assert!(p90 <= P90_LINES, "90 % of the files have up to {p90} lines");
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn every_rule_is_registered_under_its_files_name() {
    let ids: BTreeSet<String> =
        RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(ids.len(), RULES.len(), "two rules have one id");
    let files: BTreeSet<String> = sources(&["src/rules"])
        .iter()
        .filter(|source| !source.is_test && !source.path.ends_with("/mod.rs"))
        // What holds them together, and their words for Proxmox.
        .filter(|source| !source.path.ends_with("/conf.rs"))
        .map(|source| {
            let name = source.path.trim_start_matches("src/rules/");
            name.trim_end_matches(".rs").replace('_', "-")
        })
        .collect();
    assert_eq!(ids, files, "left: RULES; right: files under src/rules");
}

#[test]
fn every_rule_in_proxmoxs_words_is_registered() {
    let words = CONF_RULES.iter().filter(|words| !words.owns.is_empty());
    let ids: BTreeSet<String> =
        words.map(|words| words.rule.id.to_owned()).collect();
    let named = |source: &Source| {
        let path = source.path.strip_prefix("src/rules/")?;
        Some(path.strip_suffix("/conf.rs")?.replace('_', "-"))
    };
    let files: BTreeSet<String> =
        sources(&["src/rules"]).iter().filter_map(named).collect();
    assert_eq!(ids, files, "left: CONF_RULES; right: files");
    for (n, words) in CONF_RULES.iter().enumerate() {
        assert!(RULES.iter().any(|rule| rule.id == words.rule.id));
        let evidence = words.owns.is_empty() == words.sources.is_empty();
        assert!(evidence, "{}: no source for its keys", words.rule.id);
        for other in &CONF_RULES[n + 1..] {
            let shared = words.owns.iter().find(|o| other.owns.contains(o));
            assert_eq!(shared, None, "{}", words.rule.id);
        }
    }
}

#[test]
fn every_rule_says_why_and_from_where() {
    for rule in RULES {
        let id = rule.id;
        assert!(is_one_sentence(rule.why), "{id}: {:?}", rule.why);
        assert!(!rule.hurts.is_empty(), "{id} does not say when it hurts");
        assert!(!rule.sources.is_empty(), "{id} has no source");
        assert!(rule.sources.iter().all(|s| !s.trim().is_empty()), "{id}");
    }
}

#[test]
fn no_two_rules_own_one_place() {
    for rule in RULES {
        for place in rule.owns {
            if !place.starts_with('#') {
                assert_eq!(spelled(place), *place, "{} owns it", rule.id);
            }
            for other in RULES.iter().filter(|other| other.id != rule.id) {
                let shared = other.owns.iter().find(|o| covers(place, o));
                assert!(
                    shared.is_none(),
                    "{} owns {place}, {} owns {shared:?}",
                    rule.id,
                    other.id
                );
            }
        }
    }
}

/// Spells a place that a rule owns, or something else where it is none.
fn spelled(place: &str) -> String {
    if let Some(argument) = place.strip_prefix('#') {
        let target: Target =
            format!("/etc/kernel/cmdline#{argument}").parse().expect(place);
        return target.pattern();
    }
    match place.starts_with("/domain") {
        true => place.parse::<XmlPath>().expect(place).pattern(),
        false => place.parse::<Target>().expect(place).pattern(),
    }
}

#[test]
fn nothing_is_forgotten() {
    let tests: String =
        sources(&["tests", "src"]).iter().map(|s| s.text.as_str()).collect();
    let known = tests.clone() + &read("README.md");
    let mut found = Vec::new();
    for path in files("examples") {
        if !known.contains(&path) {
            found.push(format!("{path}: no test and no README names it"));
        }
    }
    for path in files("tests") {
        let mut parts = path.split('/').skip(1);
        let (Some(folder), Some(file)) = (parts.next(), parts.next()) else {
            continue;
        };
        // insta keeps its files here, named after the test file.
        let used = if folder == "snapshots" {
            let owner = file.split("__").next().unwrap_or_default();
            root().join(format!("tests/{owner}.rs")).exists()
        } else {
            let names = ["tests/", "\""].map(|c| format!("{c}{folder}/"));
            names.iter().any(|name| tests.contains(name))
                || root().join(format!("tests/{folder}/main.rs")).exists()
        };
        if !used {
            found.push(format!("{path}: no test uses tests/{folder}"));
        }
    }
    assert_none(found);
}
