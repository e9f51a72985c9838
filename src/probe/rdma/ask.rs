//! The side that asks.

use std::time::Duration;

use super::fabric::{Link, RdmaError, Shape};
use super::flow::{self, Part, Windows};
use super::{Station, echo, fit};
use crate::model::probe::{
    CpuCost, Median, Pattern, RdmaEnd, RdmaFound, RdmaRun, RdmaTuning, Verb,
};
use crate::probe::patience::is_heard;
use crate::probe::session::{TALK, milliseconds};
use crate::probe::stream::rate;
use crate::probe::thread::{cpu_time, nanoseconds};
use crate::probe::wire::{Answer, Ask, Offer, RdmaSeen, RdmaWish, Word};
use crate::probe::{Histogram, ProbeError, Session};

/// What to measure over RDMA.
#[derive(Debug, Clone, Copy)]
pub struct RdmaAsk {
    /// What to ask of the cards.
    pub verb: Verb,
    /// How messages follow each other.
    pub pattern: Pattern,
    /// Bytes a message.
    pub size: u32,
    /// How many queue pairs.
    pub queue_pairs: u32,
    /// How many messages each has on the way.
    pub depth: u32,
    /// How many are given to the card at a time.
    pub list: u32,
    /// The traffic class of all packets.
    pub traffic_class: u8,
    /// How long before it counts.
    pub warm_up: Duration,
    /// How long each repeat counts.
    pub count: Duration,
    /// How often.
    pub repeats: u32,
}

/// What this side saw.
enum Saw {
    Flow { lists: Vec<u64>, all: u64 },
    RoundTrips { times: Vec<Histogram>, asked: u64 },
}

impl Session {
    /// Measures over RDMA; also returns from where to where.
    ///
    /// # Errors
    /// When a side has no device that will do, or cannot do its part.
    pub fn rdma(
        &mut self,
        station: &Station,
        ask: &RdmaAsk,
    ) -> Result<(RdmaRun, RdmaEnd, RdmaEnd), ProbeError> {
        let asking = |source| {
            ProbeError::system("asking where this side talks from", source)
        };
        let local = self.talk().local_addr().map_err(asking)?;
        let at = station.address(local.ip().to_canonical())?;
        let (pairs, depth, list) = match ask.pattern {
            Pattern::RoundTrip => fit::ROUND_TRIP,
            _ => (ask.queue_pairs, ask.depth, ask.list),
        };
        let (verb, pattern) = (ask.verb, ask.pattern);
        let shape =
            fit::shape(verb, pattern, (ask.size, pairs), (depth, list))?;
        let windows = Windows {
            around: ask.warm_up,
            count: ask.count,
            repeats: ask.repeats.max(1),
        };
        let mut link = station.fabric.link(&at, &shape)?;
        let before = station.counted(&at.end);
        self.say(&Ask::Rdma(Box::new(RdmaWish {
            verb,
            pattern,
            size: ask.size,
            depth,
            list,
            warm_up_ms: milliseconds(windows.around),
            count_ms: milliseconds(windows.count),
            repeats: windows.repeats,
            traffic_class: ask.traffic_class,
            offer: link.offer(),
        })))?;
        let theirs = match self.hear(TALK)? {
            Answer::Linked(theirs) => *theirs,
            Answer::Failed { why } => return Err(self.peer_says(&why)),
            _ => return Err(self.peer_says("it did not connect")),
        };
        let used = cpu_time();
        let saw = fit::offer(&at.end, &shape, &theirs)
            .and_then(|mtu| {
                link.connect(&theirs, mtu, ask.traffic_class)?;
                flow::keep_places(link.as_mut(), &shape)?;
                Ok(mtu)
            })
            .map_err(ProbeError::from)
            .and_then(|mtu| {
                self.say(&Word::Go)?;
                Ok((mtu, self.work(link.as_mut(), &shape, ask, &theirs)?))
            });
        let cpu_ns = nanoseconds(cpu_time().saturating_sub(used));
        self.say(&Word::Over)?;
        // What the other side says explains more than a lost connection.
        let seen = match self.hear(windows.around + TALK)? {
            Answer::Seen(seen) => seen,
            Answer::Failed { why } => {
                return Err(match saw {
                    Err(own @ ProbeError::Rdma(RdmaError::Unfit { .. })) => own,
                    _ => self.peer_says(&why),
                });
            }
            _ => return Err(self.peer_says("it did not say what it saw")),
        };
        let (mtu, saw) = saw?;
        fit::seen(windows, &seen)?;
        let tuning = RdmaTuning {
            mtu,
            traffic_class: ask.traffic_class,
            queue_pairs: pairs,
            depth,
            list,
            inline: link.is_inline(),
        };
        let own_counters = station.grown(&at.end, &before);
        let cost =
            |cpu_ns| CpuCost { bytes: moved(&saw, &seen, &shape), cpu_ns };
        let run = RdmaRun {
            verb,
            size: ask.size,
            tuning,
            own_cost: cost(cpu_ns),
            peer_cost: cost(seen.cpu_ns),
            found: self.found(&saw, &seen, &shape, ask)?,
            own_counters,
            peer_counters: seen.counters,
        };
        Ok((run, at.end, theirs.end))
    }

    fn work(
        &self,
        link: &mut dyn Link,
        shape: &Shape,
        ask: &RdmaAsk,
        theirs: &Offer,
    ) -> Result<Saw, RdmaError> {
        let windows = Windows {
            around: ask.warm_up,
            count: ask.count,
            repeats: ask.repeats.max(1),
        };
        let mut is_over = || is_heard(self.talk());
        if ask.pattern == Pattern::RoundTrip {
            let (times, asked) =
                echo::ask(link, ask.verb, windows, &mut is_over)?;
            return Ok(Saw::RoundTrips { times, asked });
        }
        // What the other side sends is placed as it comes; when it ends is
        // its own affair.
        let part = Part { sends: true, receives: false };
        let places = theirs.places;
        let (lists, all) =
            flow::run(link, shape, (part, places), windows, &mut is_over)?;
        Ok(Saw::Flow { lists, all })
    }

    fn found(
        &self,
        saw: &Saw,
        seen: &RdmaSeen,
        shape: &Shape,
        ask: &RdmaAsk,
    ) -> Result<RdmaFound, ProbeError> {
        let nothing = || self.peer_says("nothing went through");
        match saw {
            Saw::Flow { lists, .. } => {
                let theirs =
                    seen.lists.iter().copied().chain(std::iter::repeat(0));
                let messages: Vec<u64> = lists
                    .iter()
                    .zip(theirs)
                    .map(|(own, theirs)| own.saturating_add(theirs))
                    .map(|lists| lists.saturating_mul(shape.list.into()))
                    .collect();
                let within = nanoseconds(ask.count);
                let each = |of: u64| {
                    let all = messages.iter().map(|n| n.saturating_mul(of));
                    let rates = all.map(|n| rate(n, within)).collect();
                    Median::of(rates).ok_or_else(nothing)
                };
                Ok(RdmaFound::Flow {
                    both_ways: ask.pattern == Pattern::BothWays,
                    messages: each(1)?,
                    rate: each(shape.size.into())?,
                })
            }
            Saw::RoundTrips { times, .. } => {
                let mut all = Histogram::new();
                times.iter().for_each(|one| all.join(one));
                let some = times.iter().filter(|one| one.told().is_some());
                let medians = some.map(Histogram::median).collect();
                Ok(RdmaFound::RoundTrip {
                    round_trip: all.told().ok_or_else(nothing)?,
                    median: Median::of(medians).ok_or_else(nothing)?,
                })
            }
        }
    }
}

/// Returns how many bytes went through, in all.
fn moved(saw: &Saw, seen: &RdmaSeen, shape: &Shape) -> u64 {
    let messages = match saw {
        Saw::Flow { all, .. } => {
            all.saturating_add(seen.all).saturating_mul(shape.list.into())
        }
        Saw::RoundTrips { asked, .. } => *asked,
    };
    messages.saturating_mul(shape.size.into())
}
