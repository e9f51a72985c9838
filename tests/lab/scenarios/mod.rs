//! The scenarios, in the order in which they run in one host.

use crate::scenario::Scenario;

mod cgroups;
mod plan;
mod reboot;

/// All scenarios.
pub(crate) const SCENARIOS: [&Scenario; 3] =
    [&plan::SCENARIO, &cgroups::SCENARIO, &reboot::SCENARIO];

/// Returns the scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.into_iter().find(|scenario| scenario.name == name)
}
