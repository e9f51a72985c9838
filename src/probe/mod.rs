//! Measures from inside of a machine: what its CPUs lose, and what it and
//! another machine carry between them, over sockets and over RDMA.
//!
//! It is what `vmtune-probe` does in a guest, and serves alone as well. The
//! two sides speak by frames of bounded length ([`wire`]); each has proved to
//! the other that it knows the secret of this run before a word is taken for
//! what it says.

mod echo;
mod error;
mod histogram;
pub mod jitter;
mod patience;
pub mod rdma;
mod serve;
mod session;
mod stream;
mod thread;
mod verbs;
pub mod wire;

pub use error::ProbeError;
pub use histogram::Histogram;
pub use patience::Patience;
pub use serve::{Event, Limits, Server};
pub use session::{EchoAsk, Session, StreamAsk};
pub use verbs::Verbs;
