//! As many messages as go through.

use std::time::{Duration, Instant};

use super::fabric::{Done, Link, RdmaError, Shape};
use crate::model::probe::Verb;

/// Where nothing came for so long, nothing will.
const STALL: Duration = Duration::from_secs(5);
/// How often the clock is looked at where nothing happens.
const LOOK: u32 = 1024;
/// How often it is asked whether the other side has ended it.
const ASK: Duration = Duration::from_millis(10);

/// When it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// Before the first repeat and after the last, so that both sides work
    /// while either counts.
    pub(super) around: Duration,
    pub(super) count: Duration,
    pub(super) repeats: u32,
}

impl Windows {
    /// How long all of it takes.
    pub(super) fn all(&self) -> Duration {
        2 * self.around + self.count * self.repeats
    }

    /// Which repeat a moment belongs to.
    pub(super) fn repeat(&self, at: Duration) -> Option<usize> {
        let into = at.checked_sub(self.around)?;
        let repeat = into.as_nanos() / self.count.as_nanos().max(1);
        usize::try_from(repeat).ok()
    }
}

/// What one side does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) sends: bool,
    pub(super) receives: bool,
}

/// Keeps places for messages on each queue pair, before the other side knows
/// of them.
///
/// # Errors
/// When the device refuses.
pub(super) fn keep_places(
    link: &mut dyn Link,
    shape: &Shape,
) -> Result<(), RdmaError> {
    for pair in 0..shape.pairs as usize {
        for _ in 0..shape.places {
            link.keep_places(pair)?;
        }
    }
    Ok(())
}

/// One queue pair, as far as it has come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Lists that were given to the device, and are not done.
    open: u32,
    /// Lists that were given to it in all.
    given: u64,
    /// Messages that came since places were kept last.
    came: u32,
    /// Lists for which places were kept in all.
    kept: u64,
}

/// Sends, receives, or both. Whoever sends is done when his time is over and
/// nothing is on the way, whoever receives when `is_over`: the other side has
/// ended it. Returns how many lists were done in each repeat, and in all.
///
/// # Errors
/// When the connection is lost, or nothing goes through any more.
pub(super) fn run(
    link: &mut dyn Link,
    shape: &Shape,
    (part, places): (Part, u32),
    windows: Windows,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<(Vec<u64>, u64), RdmaError> {
    let mut counted = vec![0; windows.repeats as usize];
    let mut all = 0;
    let most = shape.depth / shape.list;
    let fresh = Progress { kept: shape.places.into(), ..Progress::default() };
    let mut pairs = vec![fresh; shape.pairs as usize];
    let mut done = Vec::with_capacity(64);
    let start = Instant::now();
    let (mut now, mut moved, mut asked) = (start, start, start);
    let (mut idle, mut over) = (0_u32, false);
    loop {
        let is_time = part.sends && !over && now - start < windows.all();
        if is_time {
            for (at, pair) in pairs.iter_mut().enumerate() {
                let may = match shape.verb {
                    Verb::Send => link.granted(at).max(places.into()),
                    Verb::Write | Verb::Read => u64::MAX,
                };
                while pair.open < most && pair.given < may {
                    link.post(at)?;
                    pair.open += 1;
                    pair.given += 1;
                }
            }
        }
        done.clear();
        link.poll(&mut done)?;
        if done.is_empty() {
            idle = idle.wrapping_add(1);
            if !idle.is_multiple_of(LOOK) {
                continue;
            }
        }
        now = Instant::now();
        let repeat = windows.repeat(now - start);
        for one in &done {
            match *one {
                Done::List(at) => {
                    if let Some(pair) = pairs.get_mut(at) {
                        pair.open = pair.open.saturating_sub(1);
                    }
                    all += 1;
                    let repeat = repeat.and_then(|n| counted.get_mut(n));
                    repeat.into_iter().for_each(|n| *n += 1);
                }
                Done::Message(at) => {
                    let Some(pair) = pairs.get_mut(at) else { continue };
                    pair.came += 1;
                    if pair.came == shape.list {
                        link.keep_places(at)?;
                        pair.kept += 1;
                        link.grant(at, pair.kept)?;
                        pair.came = 0;
                    }
                }
                Done::Grant => {}
            }
        }
        if !done.is_empty() {
            moved = now;
        }
        if now - asked > ASK {
            (asked, over) = (now, over || is_over());
        }
        let is_sent = !is_time && pairs.iter().all(|pair| pair.open == 0);
        if is_sent && (!part.receives || (over && done.is_empty())) {
            return Ok((counted, all));
        }
        if now - moved > STALL {
            return Err(RdmaError::Stalled { seconds: STALL.as_secs() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_belongs_to_one_repeat() {
        let ms = Duration::from_millis;
        let windows = Windows { around: ms(100), count: ms(10), repeats: 3 };
        assert_eq!(windows.all(), ms(230));
        for (at, expected) in [
            (99, None),
            (100, Some(0)),
            (109, Some(0)),
            (110, Some(1)),
            // Of no repeat that there is.
            (130, Some(3)),
        ] {
            assert_eq!(windows.repeat(ms(at)), expected, "{at}");
        }
    }
}
