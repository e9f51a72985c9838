//! Nouns: what was read, what is wanted, what a VM is, and what a plan says.

mod argument;
mod change;
pub mod domain;
mod fact;
pub mod facts;
pub mod guest;
mod nic;
mod nic_setting;
mod place;
mod plan;
pub mod policy;
pub mod probe;
mod running;

pub use argument::{first_counts, is_same_argument, is_same_size};
pub use change::{Change, Stage, Target};
pub use fact::{Fact, Origin};
pub use nic::NicPlacement;
pub use nic_setting::NicSetting;
pub use place::{FileAccess, Footing, Place, Program, Service, Standing};
pub use plan::{
    Advice, CellPlacement, Missing, Objective, Plan, VmPlacement, VmPlan,
};
pub use running::{Role, RunningVm, Scheduling, Thread};
