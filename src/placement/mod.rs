//! The joint decision: which CPUs, nodes and pages serve which VM.
//!
//! A [`Board`] is what the host can give: cores by NUMA node and L3 domain,
//! and memory by node, less what others hold. A [`Demand`] is what one VM
//! needs. [`place`] decides for all VMs together, under the objective of
//! [`Objective`](crate::model::Objective), and says below what no placement
//! could go.
//!
//! [`Functions`] gives out the virtual functions of network cards: placement
//! knows where those are that would do, and which it is follows from where the
//! VM went.
//!
//! One VM is exact: for each node a dynamic programme over its L3 domains
//! gives the least cost of every number of cores, and a branch and bound
//! assigns the guest's cells to nodes. Several VMs are branch and bound over
//! the same costs, started from the greedy answer.

mod assign;
mod board;
mod curve;
mod damage;
mod demand;
mod exact;
mod functions;
mod held;
mod homes;
mod housekeeping;
mod joint;
mod keep;
mod memory;
mod pairs;
mod relax;
mod settle;
mod shape;
mod shortage;
mod solve;
mod table;

pub use board::Board;
pub use demand::{CellDemand, CellWish, Demand, DeviceDemand, Kept};
pub use functions::{Functions, Wish, WishAt};
pub use held::Held;
pub use housekeeping::housekeeping;
pub use joint::{Solution, place};
pub use memory::Reservations;
pub use shortage::{Short, Shortage};
