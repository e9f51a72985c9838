//! The network's part of `status`: cards, as the unit that stands sets them.

use super::host::{boot, was_booted};
use crate::base::CpuSet;
use crate::cli::standing::Standing;
use crate::drift::{self, Finding, PlannedSetting};
use crate::host::{self, Root};
use crate::model::{NicSetting, Target};
use crate::system::System;

/// Where new interrupts begin.
const BEGIN: &str = "/proc/irq/default_smp_affinity";

/// Compares the cards with what the unit sets, and the interrupts of their
/// functions with where new ones begin. Where nothing stands of either, no
/// card is read.
pub(super) fn findings(
    standing: &Standing,
    system: &dyn System,
    root: &Root,
) -> Vec<Finding> {
    let now = boot(system);
    let (mut planned, mut begin) = (Vec::new(), None);
    for (change, header) in standing.host() {
        let Some(to) = &change.to else { continue };
        match &change.target {
            Target::File(_) => {
                let booted = was_booted(header, now.as_deref());
                let one = |setting| PlannedSetting { setting, booted };
                planned.extend(NicSetting::all_in(to).map(one));
            }
            Target::Kernel(path) if path.as_str() == BEGIN => {
                begin = CpuSet::of_mask(to);
            }
            _ => {}
        }
    }
    if planned.is_empty() && begin.is_none() {
        return Vec::new();
    }
    let network = host::network(root);
    let mut findings = drift::network(&planned, &network);
    let given = |begin: &CpuSet| drift::passed_through(begin, &network);
    findings.extend(begin.as_ref().map(given).unwrap_or_default());
    findings
}

#[cfg(test)]
mod tests;
