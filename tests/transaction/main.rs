//! Transactions over more than twenty places: definitions, files, values of
//! the kernel and programs, in folders of the test's own. Everything that can
//! go wrong does, at every step, and afterwards every byte is compared.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the tests damage files, run themselves again and kill that, \
              and say what they lack"
)]

mod child;
mod damaged;
mod disk;
mod fault;
mod faults;
mod hostile;
mod killed;
mod limit;
mod mounts;
mod node;
mod scene;
mod twice;
