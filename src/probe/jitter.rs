//! What CPUs lose: threads that do nothing but look at the clock.
//!
//! A thread that has a CPU to itself sees the clock advance by some tens of
//! nanoseconds from one look to the next. Where it sees more, something else
//! had the CPU: another thread, an interrupt, the hypervisor, or firmware.

use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::thread::{allowed, keep_on, nanoseconds, preempted};
use super::{Histogram, ProbeError};
use crate::base::{CpuId, CpuSet};
use crate::host::{Root, stolen};
use crate::model::Fact;
use crate::model::probe::{CpuJitter, Jitter};

/// The least gap: an interrupt takes about as long, a look at the clock a
/// twentieth of it.
const GAP: Duration = Duration::from_micros(1);

/// Looks at the clock on each of these CPUs for so long, or on all that the
/// process may use.
///
/// # Errors
/// When a CPU may not be used.
pub fn measure(
    root: &Root,
    cpus: Option<&CpuSet>,
    span: Duration,
) -> Result<Jitter, ProbeError> {
    let all = match cpus {
        Some(cpus) => cpus.clone(),
        None => allowed().map_err(|source| {
            ProbeError::system("asking which CPUs may be used", source)
        })?,
    };
    let before = stolen(root);
    let cpus: Vec<CpuId> = all.iter().collect();
    let together = Barrier::new(cpus.len());
    let looked: Vec<_> = std::thread::scope(|scope| {
        let looks: Vec<_> = cpus
            .iter()
            .map(|cpu| scope.spawn(|| look(*cpu, span, &together)))
            .collect();
        looks.into_iter().map(ScopedJoinHandle::join).collect()
    });
    let after = stolen(root);
    let mut found = Vec::new();
    for (cpu, look) in cpus.into_iter().zip(looked) {
        let look = look.unwrap_or_else(|_| {
            Err(ProbeError::system(
                format!("looking at the clock on CPU {cpu}"),
                std::io::ErrorKind::Other.into(),
            ))
        })?;
        let stolen_ns = match (&before, &after) {
            (
                Fact::Known { value: before, origin },
                Fact::Known { value, .. },
            ) => match (before.get(&cpu), value.get(&cpu)) {
                (Some(before), Some(after)) => {
                    Fact::known(after.saturating_sub(*before), &origin.0)
                }
                _ => Fact::unknown(format!("{origin} has no CPU {cpu}")),
            },
            (Fact::Unknown { unknown }, _) | (_, Fact::Unknown { unknown }) => {
                Fact::unknown(unknown)
            }
        };
        found.push(CpuJitter {
            cpu,
            looked_ns: nanoseconds(look.looked),
            lost_ns: nanoseconds(look.lost),
            gaps: look.gaps.told(),
            stolen_ns,
            preempted: look.preempted,
        });
    }
    Ok(Jitter { gap_from_ns: nanoseconds(GAP), cpus: found })
}

/// What one thread saw.
struct Look {
    looked: Duration,
    lost: Duration,
    gaps: Histogram,
    preempted: u64,
}

fn look(
    cpu: CpuId,
    span: Duration,
    together: &Barrier,
) -> Result<Look, ProbeError> {
    let kept = keep_on(cpu);
    // The memory of the histogram is touched before the clock starts.
    let mut gaps = Histogram::new();
    together.wait();
    kept.map_err(|source| {
        ProbeError::system(format!("keeping a thread on CPU {cpu}"), source)
    })?;
    let before = preempted();
    let mut lost = Duration::ZERO;
    let start = Instant::now();
    let mut last = start;
    loop {
        let now = Instant::now();
        let gap = now.duration_since(last);
        if gap >= GAP {
            gaps.add(nanoseconds(gap));
            lost += gap;
        }
        last = now;
        if now.duration_since(start) >= span {
            break;
        }
    }
    let looked = last.duration_since(start);
    let preempted = preempted().saturating_sub(before);
    Ok(Look { looked, lost, gaps, preempted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_is_looked_at_for_as_long_as_asked() {
        let span = Duration::from_millis(30);
        let found = measure(&Root::live(), None, span).unwrap();
        let cpus: CpuSet = found.cpus.iter().map(|one| one.cpu).collect();
        assert_eq!(cpus, allowed().unwrap());
        for one in &found.cpus {
            assert!(one.looked_ns >= nanoseconds(span), "{one:?}");
            assert!(one.lost_ns <= one.looked_ns, "{one:?}");
            let gaps = one.gaps.as_ref();
            let most = gaps.map_or(0, |gaps| gaps.most_ns);
            assert!(most <= one.lost_ns, "{one:?}");
            assert!(one.stolen_ns.value().is_some(), "{one:?}");
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        let none = CpuSet::from(CpuId(1023));
        let span = Duration::from_millis(1);
        let error = measure(&Root::live(), Some(&none), span).unwrap_err();
        assert_eq!(error.to_string(), "keeping a thread on CPU 1023");
    }
}
