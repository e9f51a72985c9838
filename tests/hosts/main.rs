//! Hosts: what is read of real and made-up machines.
#![allow(clippy::disallowed_methods, reason = "tests read and write files")]

mod capture;
mod corpus;
mod machine;
mod root;
mod shapes;
mod sources;

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
