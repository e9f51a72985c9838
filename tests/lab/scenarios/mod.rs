//! The scenarios, in the order in which they run in one host.

use crate::scenario::Scenario;

mod plan;
mod sriov;

/// All scenarios.
pub(crate) const SCENARIOS: [&Scenario; 2] =
    [&plan::SCENARIO, &sriov::SCENARIO];

/// Returns the scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.into_iter().find(|scenario| scenario.name == name)
}
