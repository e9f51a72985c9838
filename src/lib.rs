//! vmtune takes a VM from its defaults to the limit of its host.

// What the floors below `cli` must not do; tests may.
#![warn(unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(
        clippy::disallowed_methods,
        clippy::exit,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

pub mod apply;
pub mod base;
pub mod boot;
pub mod cli;
pub mod definition;
pub mod drift;
pub mod files;
pub mod host;
pub mod hypervisor;
pub mod model;
pub mod placement;
pub mod planner;
pub mod policy;
pub mod probe;
pub mod rules;
pub mod system;
pub mod verify;
