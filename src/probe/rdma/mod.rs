//! RDMA between two machines: write, read and send over reliable connections.
//!
//! Each side chooses a port and an address by itself ([`choose`]), and the two
//! agree on the rest over the connection that they talk by. What is done is
//! the same whatever devices there are: a [`Fabric`] makes a [`Link`], which
//! is moved by `flow` or `echo`.

mod answer;
mod ask;
mod choice;
mod echo;
mod fabric;
mod fit;
mod flow;
mod sizing;
mod station;

pub(super) use answer::{answer, takes};
pub use ask::RdmaAsk;
pub use choice::{Wish, choose};
pub use fabric::{Address, Done, Fabric, Link, Port, RdmaError, Shape};
pub use sizing::{DEPTH, depth_and_list, sweep};
pub use station::Station;
