//! Apply and rollback through libvirt: its test driver, which needs nothing,
//! and a private libvirtd with QEMU, which needs root and packages.
#![cfg(feature = "libvirt")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the test starts a daemon, looks at its processes, and says \
              what it lacks"
)]

#[path = "../support/functions.rs"]
#[allow(unreachable_pub, reason = "the other tests share it")]
mod card;
mod command;
mod corpus;
mod daemon;
#[path = "../transaction/fault.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod fault;
mod functions;
mod host;
mod killed;
mod live;
mod node;
mod plans;
#[path = "../transaction/scene.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod scene;
mod status;
mod system;
mod verify;
mod visit;
