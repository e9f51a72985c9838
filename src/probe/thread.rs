//! Threads: where they run, and what they cost.

use std::io;
use std::time::Duration;

use nix::sched::{CpuSet as Mask, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

use crate::base::{CpuId, CpuSet};

/// The thread that calls.
const THIS: Pid = Pid::from_raw(0);

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// When the CPU is offline, or this thread may not run on it.
pub(super) fn keep_on(cpu: CpuId) -> io::Result<()> {
    let mut mask = Mask::new();
    let number = usize::try_from(cpu.0).unwrap_or(usize::MAX);
    mask.set(number).and_then(|()| sched_setaffinity(THIS, &mask))?;
    Ok(())
}

/// Returns the CPUs that the calling thread may run on.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn allowed() -> io::Result<CpuSet> {
    let mask = sched_getaffinity(THIS)?;
    let is_in = |at: &usize| mask.is_set(*at).unwrap_or(false);
    let numbers = (0..Mask::count()).filter(is_in);
    Ok(numbers.filter_map(|at| u32::try_from(at).ok()).map(CpuId).collect())
}

/// Returns the CPU time of the process so far, user's and kernel's.
pub(super) fn cpu_time() -> Duration {
    let used =
        |usage: Usage| span(usage.user_time()) + span(usage.system_time());
    getrusage(UsageWho::RUSAGE_SELF).map(used).unwrap_or_default()
}

/// Returns how often the calling thread had to leave its CPU to another.
pub(super) fn preempted() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    let times = usage.map(|usage| usage.involuntary_context_switches());
    times.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}

fn span(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Returns a span in whole nanoseconds.
pub(super) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_kept() {
        let cpus = allowed().unwrap();
        let last = cpus.iter().last().unwrap();
        std::thread::spawn(move || {
            keep_on(last).unwrap();
            assert_eq!(allowed().unwrap(), CpuSet::from(last));
            assert!(keep_on(CpuId(u32::MAX)).is_err());
        })
        .join()
        .unwrap();
        assert_eq!(allowed().unwrap(), cpus);
    }
}
