//! What is generated from the code is up to date.

#![allow(
    clippy::disallowed_methods,
    reason = "this test reads and writes files of the package"
)]

use std::path::Path;

use vmtune::cli::report::markdown;
use vmtune::rules::RULES;

#[test]
fn the_rules_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = markdown(RULES);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/rules.md is not what src/rules says; UPDATE=1 writes it anew"
    );
}
