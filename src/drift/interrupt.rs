//! Where an interrupt really goes.

use super::setting::Read;
use super::{Finding, State};
use crate::base::{CpuSet, HostPath};
use crate::model::{Change, Target};

/// Returns the list of CPUs that an interrupt goes to, where the change says
/// which it may go to: `/proc/irq/24/smp_affinity_list`.
#[must_use]
pub fn effective_path(change: &Change) -> Option<HostPath> {
    let Target::Kernel(path) = &change.target else { return None };
    let folder = path.as_str().strip_suffix("/smp_affinity_list")?;
    folder.strip_prefix("/proc/irq/")?;
    format!("{folder}/effective_affinity_list").parse().ok()
}

/// Compares the CPUs that an interrupt goes to with those that it may go to.
/// The kernel chooses among these, most often one. It may wait with a move
/// until the interrupt is raised; `None` where it does not tell.
#[must_use]
pub fn interrupt(change: &Change, effective: &Read) -> Option<Finding> {
    let path = effective_path(change)?;
    let wanted: CpuSet = change.to.as_deref()?.parse().ok()?;
    let state = match effective {
        Ok(None) => return None,
        Err(why) => State::Unknown { why: why.clone() },
        Ok(Some(list)) => match list.trim().parse::<CpuSet>() {
            Ok(found) if found.is_subset(&wanted) => State::Holds,
            Ok(found) => State::Drifted { found: found.to_string() },
            Err(_) => {
                State::Unknown { why: format!("{path} has a form of its own") }
            }
        },
    };
    Some(Finding {
        vm: change.vm.as_deref().and_then(|vm| vm.parse().ok()),
        what: path.to_string(),
        planned: format!("within {wanted}"),
        state,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stage;

    fn change(target: &str, to: &str) -> Change {
        Change {
            rule: "test".into(),
            vm: None,
            target: target.parse().unwrap(),
            from: None,
            to: Some(to.into()),
            because: String::new(),
            stage: Stage::Now,
            trade: None,
        }
    }

    #[test]
    fn an_interrupt_goes_where_it_may() {
        let irq = change("/proc/irq/24/smp_affinity_list", "0-1,8");
        let state = |list: &str| {
            let found = interrupt(&irq, &Ok(Some(list.into()))).unwrap();
            assert_eq!(found.what, "/proc/irq/24/effective_affinity_list");
            assert_eq!(found.planned, "within 0-1,8");
            found.state
        };
        assert_eq!(state("8"), State::Holds);
        assert_eq!(state("0-1"), State::Holds);
        // One that was never raised goes nowhere.
        assert_eq!(state(""), State::Holds);
        assert_eq!(state("3"), State::Drifted { found: "3".into() });
        assert_eq!(state("1-2"), State::Drifted { found: "1-2".into() });
        assert!(matches!(state("all"), State::Unknown { .. }));
        assert_eq!(interrupt(&irq, &Ok(None)), None);
    }

    #[test]
    fn other_values_are_no_interrupts() {
        for other in [
            "/sys/kernel/mm/ksm/run",
            "/proc/irq/default_smp_affinity",
            "/etc/a/smp_affinity_list",
        ] {
            assert_eq!(effective_path(&change(other, "0")), None, "{other}");
        }
    }
}
