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

mod corpus;
mod daemon;
mod host;
mod node;
mod plans;
mod system;
