//! The scenarios, in the order in which they run in one host.

use crate::scenario::Scenario;

mod apply;
mod cards;
mod cgroups;
mod nested;
mod ovs;
mod pairs;
mod plan;
mod rdma;
mod reboot;
mod sriov;

/// All scenarios.
pub(crate) const SCENARIOS: [&Scenario; 10] = [
    &plan::SCENARIO,
    &sriov::SCENARIO,
    &rdma::SCENARIO,
    &ovs::SCENARIO,
    &cgroups::SCENARIO,
    &apply::SCENARIO,
    &reboot::SCENARIO,
    &cards::SCENARIO,
    &nested::SCENARIO,
    &pairs::SCENARIO,
];

/// Returns the scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.into_iter().find(|scenario| scenario.name == name)
}
