//! The side that is asked.

use std::net::TcpStream;
use std::time::Duration;

use super::fabric::{Link, RdmaError, Shape};
use super::flow::{self, Part, Windows};
use super::{Station, echo, fit};
use crate::model::probe::{Pattern, Verb};
use crate::probe::Patience;
use crate::probe::patience::is_heard;
use crate::probe::thread::{cpu_time, nanoseconds};
use crate::probe::wire::{self, Answer, RdmaSeen, RdmaWish, WireError, Word};

/// How much longer than he asked for a client may take: what is on the way
/// has to come.
const GRACE: Duration = Duration::from_secs(10);

/// Does this side's part of a measurement, and says what it saw. A client has
/// so long for a word.
///
/// # Errors
/// When the client is silent for too long or says something else: the session
/// is over.
pub(in crate::probe) fn answer(
    station: &Station,
    talk: &mut TcpStream,
    wish: &RdmaWish,
    word: Duration,
) -> Result<(), WireError> {
    let windows = windows(wish);
    let say = |talk: &mut TcpStream, answer| {
        wire::write(talk, &answer, Patience::of(word))
    };
    let failed = |why| Answer::Failed { why };
    let prepared = prepare(station, talk, wish).map_err(|e| said(&e));
    let (mut link, shape, own) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return say(talk, failed(why)),
    };
    let before = station.counted(&own.end);
    say(talk, Answer::Linked(Box::new(own)))?;
    match wire::read(talk, Patience::of(word))? {
        Word::Go => {}
        Word::Over => return say(talk, failed("it was given up".to_owned())),
    }
    let used = cpu_time();
    let patience = Patience::of(windows.all() + GRACE);
    let seen = work(link.as_mut(), &shape, wish, windows, talk);
    let cpu = cpu_time();
    if let Err(error) = &seen {
        say(talk, failed(said(error)))?;
    }
    match wire::read(talk, patience)? {
        Word::Over => {}
        Word::Go => return say(talk, failed("it has begun".to_owned())),
    }
    let Ok((lists, all)) = seen else { return Ok(()) };
    let end = link.offer().end;
    // The client has what it wanted: nothing is on the way any more.
    drop(link);
    let seen = RdmaSeen {
        cpu_ns: nanoseconds(cpu.saturating_sub(used)),
        lists,
        all,
        counters: station.grown(&end, &before),
    };
    say(talk, Answer::Seen(seen))
}

type Prepared = (Box<dyn Link>, Shape, wire::Offer);

/// Makes queue pairs, and connects them to the client's.
fn prepare(
    station: &Station,
    talk: &TcpStream,
    wish: &RdmaWish,
) -> Result<Prepared, RdmaError> {
    let refused = |source| RdmaError::Refused {
        what: "asking where the client talks to".to_owned(),
        source,
    };
    let local = talk.local_addr().map_err(refused)?.ip().to_canonical();
    let pairs = u32::try_from(wish.offer.pairs.len()).unwrap_or(u32::MAX);
    let shape = fit::shape(
        wish.verb,
        wish.pattern,
        (wish.size, pairs),
        (wish.depth, wish.list),
    )?;
    let at = station.address(local)?;
    let mtu = fit::offer(&at.end, &shape, &wish.offer)?;
    let mut link = station.fabric.link(&at, &shape)?;
    link.connect(&wish.offer, mtu, wish.traffic_class)?;
    flow::keep_places(link.as_mut(), &shape)?;
    let own = link.offer();
    Ok((link, shape, own))
}

/// Does what there is to do on this side; returns what was done of its own.
fn work(
    link: &mut dyn Link,
    shape: &Shape,
    wish: &RdmaWish,
    windows: Windows,
    talk: &TcpStream,
) -> Result<(Vec<u64>, u64), RdmaError> {
    let mut is_over = || is_heard(talk);
    match (wish.pattern, wish.verb) {
        // The device does it alone.
        (Pattern::RoundTrip | Pattern::OneWay, Verb::Read)
        | (Pattern::OneWay, Verb::Write) => Ok((Vec::new(), 0)),
        (Pattern::RoundTrip, verb) => {
            let answered = echo::answer(link, verb, &mut is_over)?;
            Ok((Vec::new(), answered))
        }
        (pattern, verb) => {
            let part = Part {
                sends: pattern == Pattern::BothWays,
                receives: verb == Verb::Send,
            };
            let places = wish.offer.places;
            flow::run(link, shape, (part, places), windows, &mut is_over)
        }
    }
}

/// Returns when it counts.
fn windows(wish: &RdmaWish) -> Windows {
    Windows {
        around: Duration::from_millis(wish.warm_up_ms.into()),
        count: Duration::from_millis(wish.count_ms.max(1).into()),
        repeats: wish.repeats,
    }
}

/// Returns how long a measurement takes.
pub(in crate::probe) fn takes(wish: &RdmaWish) -> Duration {
    windows(wish).all()
}

/// Spells an error with its cause: it is for the other side's screen.
fn said(error: &RdmaError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
