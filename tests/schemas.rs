//! The published schemas are those of the types, and policies are what they
//! say.

#![allow(
    clippy::disallowed_methods,
    reason = "this test reads and writes files of the package"
)]

use std::fs;
use std::path::{Path, PathBuf};

use schemars::{Schema, schema_for};
use vmtune::drift::Report;
use vmtune::model::Plan;
use vmtune::model::facts::Facts;
use vmtune::model::policy::Policy;
use vmtune::model::probe::ProbeReport;
use vmtune::planner::Refusal;
use vmtune::planner::check::Finding;
use vmtune::policy;
use vmtune::rules::RULES;
use vmtune::verify::Verdict;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_published(name: &str, schema: &Schema) {
    let path = root().join(format!("schemas/{name}.schema.json"));
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == text,
        "{} is not the schema of the type; UPDATE=1 writes it anew",
        path.display()
    );
}

#[test]
fn schemas_are_those_of_the_types() {
    assert_published("facts", &schema_for!(Facts));
    assert_published("plan", &schema_for!(Plan));
    assert_published("policy", &schema_for!(Policy));
    assert_published("refusal", &schema_for!(Refusal));
    assert_published("findings", &schema_for!(Vec<Finding>));
    assert_published("status", &schema_for!(Report));
    assert_published("probe-report", &schema_for!(ProbeReport));
    assert_published("verdict", &schema_for!(Verdict));
}

fn samples(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = root().join(format!("tests/policies/{folder}"));
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn read(text: &str) -> Result<Policy, policy::PolicyError> {
    let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    policy::read(text, "policy", &ids)
}

#[test]
fn valid_policies_are_read() {
    for (path, text) in samples("valid") {
        let policy = read(&text);
        assert!(policy.is_ok(), "{}: {policy:?}", path.display());
    }
}

/// The first line of each sample says how it is refused.
#[test]
fn invalid_policies_are_refused_with_their_reason() {
    for (path, text) in samples("invalid") {
        let said = read(&text).expect_err(&path.display().to_string());
        let first = text.lines().next().unwrap_or_default();
        let expected = first.trim_start_matches("# ");
        let said = said.to_string();
        assert!(
            !expected.is_empty() && said.starts_with(expected),
            "{}:\n  says     {said}\n  expected {expected}",
            path.display()
        );
    }
}

#[test]
fn presets_name_rules_that_there_are() {
    for preset in policy::PRESETS {
        let policy = read(preset.text);
        assert!(policy.is_ok(), "{}: {policy:?}", preset.name);
    }
}
