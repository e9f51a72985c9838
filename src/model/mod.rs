//! Nouns: what was read, what is wanted, what a VM is, and what a plan says.

mod change;
pub mod domain;
mod fact;
pub mod facts;
pub mod guest;
mod place;
mod plan;
pub mod policy;
mod running;

pub use change::{Change, Stage, Target};
pub use fact::{Fact, Origin};
pub use place::{Place, Program, Service};
pub use plan::{
    Advice, CellPlacement, Missing, Objective, Plan, VmPlacement, VmPlan,
};
pub use running::{Role, RunningVm, Scheduling, Thread};
