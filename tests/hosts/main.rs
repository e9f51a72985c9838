//! Hosts: what is read of real and made-up machines.
#![allow(clippy::disallowed_methods, reason = "tests read and write files")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says what it lacks")]

mod capture;
mod cards;
mod corpus;
mod lab;
mod machine;
mod root;
mod shapes;
mod sources;
mod tuning;

use std::path::Path;

use vmtune::host::{self, Source};
use vmtune::model::facts::Facts;

/// Collects from a path and checks what holds of all facts.
fn facts(path: impl AsRef<Path>) -> Facts {
    let source = Source::detect(path.as_ref()).unwrap();
    let facts = host::collect(&source).unwrap();
    assert_eq!(host::inconsistency(&facts.topology), None, "{}", facts.source);
    facts
}

/// Makes a folder, in memory where there is some: a machine is thousands of
/// tiny files.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
