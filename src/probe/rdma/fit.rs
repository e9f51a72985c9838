//! Whether what the other side says can be connected to. Nothing of it is
//! trusted: what does not fit is refused before a device hears of it.

use std::collections::BTreeMap;

use super::fabric::{RdmaError, Shape};
use super::flow::Windows;
use crate::model::probe::{Pattern, RdmaEnd, Verb};
use crate::probe::wire::{Offer, RdmaSeen};

/// The most queue pairs of a measurement.
const PAIRS: u32 = 64;
/// The most messages that a queue pair has on the way.
const MESSAGES: u32 = 4096;
/// The most lists that a queue pair keeps places for.
const PLACES: u32 = 2 * MESSAGES;
/// The longest name of a device or a counter.
const NAME: usize = 64;
/// The most counters of a port.
const COUNTERS: usize = 512;

/// Makes the shape of a measurement.
///
/// # Errors
/// When it is more than a probe bears.
pub(super) fn shape(
    verb: Verb,
    pattern: Pattern,
    (size, pairs): (u32, u32),
    (depth, list): (u32, u32),
) -> Result<Shape, RdmaError> {
    if pairs == 0 || pairs > PAIRS {
        return unfit(format!("{pairs} queue pairs are not 1 to {PAIRS}"));
    }
    if depth == 0 || depth > MESSAGES || list == 0 || depth % list != 0 {
        return unfit(format!(
            "depth of {depth} is not 1 to {MESSAGES}, or no multiple of {list}"
        ));
    }
    if pattern == Pattern::RoundTrip && (pairs, depth, list) != ROUND_TRIP {
        return unfit("round trips are not of one message".to_owned());
    }
    // Twice as many as may be on the way: while the half of them is filled,
    // the sender learns that the others are kept.
    let places = match verb {
        Verb::Send => 2 * (depth / list),
        Verb::Write | Verb::Read => 0,
    };
    Ok(Shape { verb, size, pairs, depth, list, places })
}

/// Queue pairs, depth and list of round trips. There is one message at a time;
/// that those before it have come the device may tell when it likes.
pub(super) const ROUND_TRIP: (u32, u32, u32) = (1, 64, 1);

/// Checks what the other side connects from, and returns the packets' size.
///
/// # Errors
/// When it does not fit.
pub(super) fn offer(
    own: &RdmaEnd,
    shape: &Shape,
    theirs: &Offer,
) -> Result<u32, RdmaError> {
    let end = &theirs.end;
    if !is_name(&end.device) || !is_text(&end.kind) {
        return unfit("device has a name that is none".to_owned());
    }
    if !end.mtu.is_power_of_two() || !(256..=4096).contains(&end.mtu) {
        return unfit(format!("packets of {} bytes do not exist", end.mtu));
    }
    let family = |end: &RdmaEnd| end.gid.to_ipv4_mapped().is_some();
    if family(own) != family(end) {
        return unfit(format!(
            "address {} and this side's {} are not of one family",
            end.gid, own.gid
        ));
    }
    if theirs.pairs.len() != shape.pairs as usize {
        let (count, pairs) = (theirs.pairs.len(), shape.pairs);
        return unfit(format!("{count} queue pairs are not {pairs}"));
    }
    let places = match shape.verb {
        Verb::Send => 1..=PLACES,
        Verb::Write | Verb::Read => 0..=0,
    };
    if !places.contains(&theirs.places) || theirs.reads == 0 {
        return unfit(
            "places for messages or reads are too many or few".into(),
        );
    }
    Ok(own.mtu.min(end.mtu))
}

/// Checks what the other side saw.
///
/// # Errors
/// When it cannot have seen that.
pub(super) fn seen(
    windows: Windows,
    theirs: &RdmaSeen,
) -> Result<(), RdmaError> {
    let is_long = theirs.lists.len() > windows.repeats as usize;
    let counted: u64 =
        theirs.lists.iter().fold(0, |all, n| all.saturating_add(*n));
    if is_long || counted > theirs.all {
        return unfit("figures contradict each other".to_owned());
    }
    if !is_counters(&theirs.counters) {
        return unfit("counters have names that are none".to_owned());
    }
    Ok(())
}

fn is_counters(counters: &BTreeMap<String, u64>) -> bool {
    counters.len() <= COUNTERS && counters.keys().all(|name| is_name(name))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    (1..=NAME).contains(&name.len()) && name.chars().all(plain)
}

fn is_text(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    text.len() <= NAME && text.chars().all(plain)
}

fn unfit<T>(what: String) -> Result<T, RdmaError> {
    Err(RdmaError::Unfit { what })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn end() -> RdmaEnd {
        RdmaEnd {
            device: "rxe0".into(),
            port: 1,
            gid_index: 1,
            gid: "::ffff:10.9.0.1".parse().unwrap(),
            kind: "RoCE v2".into(),
            mtu: 1024,
        }
    }

    fn of() -> Offer {
        Offer {
            end: RdmaEnd { mtu: 4096, ..end() },
            lid: 0,
            pairs: vec![17, 18],
            address: 1 << 40,
            key: 7,
            reads: 16,
            places: 8,
        }
    }

    #[test]
    fn the_smaller_packets_are_agreed_on() {
        let verb = Verb::Send;
        let shape = shape(verb, Pattern::OneWay, (64, 2), (128, 32)).unwrap();
        assert_eq!(shape.places, 8);
        assert_eq!(offer(&end(), &shape, &of()).unwrap(), 1024);
    }

    #[test]
    fn an_offer_that_does_not_fit_is_refused() {
        let shape =
            shape(Verb::Send, Pattern::OneWay, (64, 2), (128, 32)).unwrap();
        let with = |change: &dyn Fn(&mut Offer)| {
            let mut offer = of();
            change(&mut offer);
            offer
        };
        for (bad, why) in [
            (with(&|o| o.end.device = "../x".into()), "a name that is none"),
            (with(&|o| o.end.device = String::new()), "a name that is none"),
            (with(&|o| o.end.kind = "\u{1b}[2J".into()), "a name that is none"),
            (with(&|o| o.end.mtu = 1500), "1500 bytes do not exist"),
            (with(&|o| o.end.mtu = 0), "0 bytes do not exist"),
            (
                with(&|o| o.end.gid = "2001:db8::1".parse().unwrap()),
                "not of one family",
            ),
            (with(&|o| o.pairs = vec![1; 9]), "9 queue pairs are not 2"),
            (with(&|o| o.places = 0), "too many or few"),
            (with(&|o| o.places = u32::MAX), "too many or few"),
            (with(&|o| o.reads = 0), "too many or few"),
        ] {
            let error = offer(&end(), &shape, &bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn more_than_a_probe_bears_is_refused() {
        let shape =
            |pattern, pairs, of| shape(Verb::Write, pattern, (64, pairs), of);
        assert!(shape(Pattern::OneWay, PAIRS, (MESSAGES, 32)).is_ok());
        for (pairs, of) in [
            (0, (128, 32)),
            (PAIRS + 1, (128, 32)),
            (1, (0, 1)),
            (1, (MESSAGES + 32, 32)),
            (1, (128, 0)),
            (1, (100, 32)),
        ] {
            assert!(shape(Pattern::BothWays, pairs, of).is_err(), "{of:?}");
        }
        assert!(shape(Pattern::RoundTrip, 1, (64, 1)).is_ok());
        assert!(shape(Pattern::RoundTrip, 1, (4, 1)).is_err());
    }

    #[test]
    fn figures_that_contradict_each_other_are_refused() {
        let second = Duration::from_secs(1);
        let windows = Windows { around: second, count: second, repeats: 2 };
        let told = |lists: &[u64], all, name: &str| RdmaSeen {
            cpu_ns: 1,
            lists: lists.to_vec(),
            all,
            counters: BTreeMap::from([(name.to_owned(), 1)]),
        };
        assert!(seen(windows, &told(&[1, 2], 4, "rcvd_pkts")).is_ok());
        assert!(seen(windows, &told(&[], 4, "rcvd_pkts")).is_ok());
        for bad in [
            told(&[1, 2, 3], 9, "rcvd_pkts"),
            told(&[1, 2], 2, "rcvd_pkts"),
            told(&[u64::MAX, 2], 2, "rcvd_pkts"),
            told(&[1], 2, "rcvd pkts\n"),
        ] {
            assert!(seen(windows, &bad).is_err(), "{bad:?}");
        }
    }
}
