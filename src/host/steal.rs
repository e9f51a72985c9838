//! The time that a hypervisor gave to others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Root;
use crate::base::CpuId;
use crate::model::Fact;

const STAT: &str = "proc/stat";
/// A tick of /proc/stat: USER_HZ is 100 on all machines that vmtune runs on.
const TICK: Duration = Duration::from_millis(10);
/// The column of the stolen time behind the CPU's name; proc_stat(5).
const STEAL: usize = 8;

/// Reads how much time each CPU was not given though it had work, since the
/// machine booted, in nanoseconds.
#[must_use]
pub fn stolen(root: &Root) -> Fact<BTreeMap<CpuId, u64>> {
    root.fact(STAT, |text| {
        let cpus: BTreeMap<_, _> = text.lines().filter_map(line).collect();
        (!cpus.is_empty()).then_some(cpus)
    })
}

/// `cpu3 1 2 3 4 5 6 7 8 9 10`
fn line(text: &str) -> Option<(CpuId, u64)> {
    let mut words = text.split_whitespace();
    let number = words.next()?.strip_prefix("cpu")?.parse().ok()?;
    let ticks: u64 = words.nth(STEAL - 1)?.parse().ok()?;
    let tick = u64::try_from(TICK.as_nanos()).ok()?;
    Some((CpuId(number), ticks.checked_mul(tick)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_column_of_a_cpu() {
        assert_eq!(
            line("cpu3 1 2 3 4 5 6 7 8 9 10"),
            Some((CpuId(3), 80_000_000))
        );
        for other in ["cpu  1 2 3 4 5 6 7 8 9 10", "intr 9", "cpu1 1 2", ""] {
            assert_eq!(line(other), None, "{other}");
        }
    }
}
