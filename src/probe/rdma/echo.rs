//! One message after the other, and the answer to each.

use std::time::{Duration, Instant};

use super::fabric::{Done, Link, RdmaError};
use super::fit::ROUND_TRIP;
use super::flow::Windows;
use crate::model::probe::Verb;
use crate::probe::Histogram;
use crate::probe::thread::nanoseconds;

/// An answer that takes longer does not come.
const LOST: Duration = Duration::from_secs(5);
/// How often it is asked while waiting whether the other side is still there:
/// seldom, for a call to the kernel takes as long as a part of a round trip.
const LOOK: u32 = 1 << 16;
/// The mark of the last message; the others go through the numbers before it.
const LAST: u8 = 255;

/// What waiting has come to.
enum Came {
    Message,
    End,
}

/// Asks until the time is over, or the other side `is_over`; returns the times
/// of each repeat, and how often it asked.
///
/// # Errors
/// When the connection is lost, or an answer does not come.
pub(super) fn ask(
    link: &mut dyn Link,
    verb: Verb,
    windows: Windows,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<(Vec<Histogram>, u64), RdmaError> {
    let mut turn = Turn::new(verb);
    let mut times = vec![Histogram::new(); windows.repeats as usize];
    let mut asked = 0;
    let start = Instant::now();
    let mut sent = start;
    loop {
        let is_last = sent - start >= windows.all();
        turn.say(link, turn.next(is_last))?;
        let Came::Message = turn.hear(link, is_over)? else {
            return Ok((times, asked));
        };
        let now = Instant::now();
        asked += 1;
        if is_last {
            return Ok((times, asked));
        }
        let repeat = windows.repeat(now - start);
        if let Some(times) = repeat.and_then(|n| times.get_mut(n)) {
            times.add(nanoseconds(now - sent));
        }
        sent = now;
    }
}

/// Answers each message until the last, or until the other side `is_over`;
/// returns how many.
///
/// # Errors
/// When the connection is lost.
pub(super) fn answer(
    link: &mut dyn Link,
    verb: Verb,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<u64, RdmaError> {
    let mut turn = Turn::new(verb);
    let mut answered = 0;
    loop {
        let Came::Message = turn.hear(link, is_over)? else {
            return Ok(answered);
        };
        let mark = link.arrived();
        turn.say(link, mark)?;
        answered += 1;
        if mark == LAST {
            turn.settle(link, 0)?;
            return Ok(answered);
        }
    }
}

/// One side of it, as far as it has come.
struct Turn {
    verb: Verb,
    /// The mark of what arrived last.
    mark: u8,
    /// Messages on the way.
    open: u32,
    done: Vec<Done>,
    /// Messages that came and were not heard.
    came: u32,
}

impl Turn {
    fn new(verb: Verb) -> Self {
        Self { verb, mark: 0, open: 0, done: Vec::with_capacity(64), came: 0 }
    }

    /// Returns the mark of the next message: another than that of the one
    /// before, and never that of memory which nothing came to.
    const fn next(&self, is_last: bool) -> u8 {
        match (is_last, self.mark) {
            (true, _) => LAST,
            (false, 254..) => 1,
            (false, mark) => mark + 1,
        }
    }

    fn say(&mut self, link: &mut dyn Link, mark: u8) -> Result<(), RdmaError> {
        if self.verb != Verb::Read {
            link.mark(mark);
        }
        let (_, depth, _) = ROUND_TRIP;
        self.settle(link, depth - 1)?;
        link.post(0)?;
        self.open += 1;
        // Costs nothing now: the message is on its way.
        self.look(link)
    }

    /// Waits for a message, or for what was asked to be read.
    fn hear(
        &mut self,
        link: &mut dyn Link,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Came, RdmaError> {
        let mut looks = 0_u32;
        let mut since = None;
        loop {
            let heard = match self.verb {
                Verb::Write => link.arrived() != self.mark,
                Verb::Read => {
                    self.look(link)?;
                    self.open == 0
                }
                Verb::Send => {
                    self.look(link)?;
                    self.came > 0
                }
            };
            if heard {
                self.mark = link.arrived();
                if self.verb == Verb::Send {
                    self.came -= 1;
                    link.keep_places(0)?;
                }
                return Ok(Came::Message);
            }
            looks = looks.wrapping_add(1);
            if !looks.is_multiple_of(LOOK) {
                continue;
            }
            // A connection that is lost shows here alone.
            self.look(link)?;
            if is_over() {
                return Ok(Came::End);
            }
            let now = Instant::now();
            if now - *since.get_or_insert(now) > LOST {
                return Err(RdmaError::Stalled { seconds: LOST.as_secs() });
            }
        }
    }

    /// Waits until no more than so many messages are on the way.
    fn settle(
        &mut self,
        link: &mut dyn Link,
        most: u32,
    ) -> Result<(), RdmaError> {
        let mut since = None;
        while self.open > most {
            self.look(link)?;
            let now = Instant::now();
            if now - *since.get_or_insert(now) > LOST {
                return Err(RdmaError::Stalled { seconds: LOST.as_secs() });
            }
        }
        Ok(())
    }

    fn look(&mut self, link: &mut dyn Link) -> Result<(), RdmaError> {
        self.done.clear();
        link.poll(&mut self.done)?;
        for one in &self.done {
            match one {
                Done::List(_) => self.open = self.open.saturating_sub(1),
                Done::Message(_) => self.came += 1,
                Done::Grant => {}
            }
        }
        Ok(())
    }
}
