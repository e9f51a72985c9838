//! vmtune takes a VM from its defaults to the limit of its host.

pub mod apply;
pub mod base;
pub mod definition;
pub mod host;
pub mod files;
pub mod hypervisor;
pub mod model;
pub mod placement;
pub mod planner;
pub mod rules;
