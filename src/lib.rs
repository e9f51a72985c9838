//! vmtune takes a VM from its defaults to the limit of its host.

pub mod apply;
pub mod base;
pub mod cli;
pub mod definition;
pub mod files;
pub mod host;
pub mod hypervisor;
pub mod model;
pub mod placement;
pub mod planner;
pub mod policy;
pub mod rules;
