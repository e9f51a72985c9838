//! Two probes that measure over RDMA, and those who lie, stall or die.

#![allow(
    clippy::disallowed_methods,
    reason = "threads of this test wait for each other"
)]

#[path = "rdma/air.rs"]
mod air;
#[path = "rdma/talk.rs"]
mod talk;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use air::{Air, address};
use vmtune::model::probe::{Pattern, RdmaFound, Verb};
use vmtune::probe::rdma::{RdmaAsk, RdmaError, depth_and_list};
use vmtune::probe::wire::{Answer, RdmaSeen, Secret, Word};
use vmtune::probe::{Limits, ProbeError, Server, Session};

const WITHIN: Duration = Duration::from_secs(20);
const VERBS: [Verb; 3] = [Verb::Write, Verb::Read, Verb::Send];

fn secret() -> Secret {
    "a-secret-of-this-test".parse().unwrap()
}

/// Serves while `work` runs; packets of the server's have this size.
fn while_serving(air: &Air, mtu: u32, work: impl FnOnce(SocketAddr)) {
    let greeting = Duration::from_millis(500);
    let limits = Limits { greeting, ..Limits::default() };
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(any, secret(), limits).unwrap();
    let server = server.at(air.station(mtu));
    let at = server.local_addr().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, stop) = (&server, &stop);
        let serving = scope.spawn(move || server.serve(stop, &|_| {}));
        let ended =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(at)));
        stop.store(true, Ordering::Relaxed);
        serving.join().unwrap().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(air.alive(), 0, "something was not given back");
}

fn ask(verb: Verb, pattern: Pattern, size: u32) -> RdmaAsk {
    let (depth, list) = depth_and_list(size, 128);
    RdmaAsk {
        verb,
        pattern,
        size,
        queue_pairs: 2,
        depth,
        list,
        traffic_class: 106,
        warm_up: Duration::from_millis(15),
        count: Duration::from_millis(15),
        repeats: 3,
    }
}

#[test]
fn each_verb_is_measured_in_each_pattern() {
    let air = Air::default();
    while_serving(&air, 4096, |at| {
        let own = air.station(1024);
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        let patterns = [Pattern::RoundTrip, Pattern::OneWay, Pattern::BothWays];
        for (verb, pattern, size) in VERBS.into_iter().flat_map(|verb| {
            let each =
                move |pattern| [(verb, pattern, 64), (verb, pattern, 65536)];
            patterns.into_iter().flat_map(each)
        }) {
            let asked = ask(verb, pattern, size);
            let (run, near, far) = session.rdma(&own, &asked).unwrap();
            assert_eq!((run.verb, run.size), (verb, size));
            assert_eq!((near.mtu, far.mtu, near.gid_index), (1024, 4096, 3));
            assert_eq!(near.gid, address());
            let tuning = run.tuning;
            assert_eq!((tuning.mtu, tuning.traffic_class), (1024, 106));
            let bytes = run.own_cost.bytes;
            assert_eq!(run.peer_cost.bytes, bytes);
            // What both have counted is what has moved, and there is no more.
            let moved = run.own_counters["moved"] * u64::from(size);
            let answers = pattern == Pattern::RoundTrip && verb != Verb::Read;
            assert_eq!(moved, if answers { 2 * bytes } else { bytes });
            assert!(!run.own_counters.contains_key("still"));
            match (pattern, run.found) {
                (
                    Pattern::RoundTrip,
                    RdmaFound::RoundTrip { round_trip, median },
                ) => {
                    assert_eq!((tuning.queue_pairs, tuning.list), (1, 1));
                    assert!((1..=3).contains(&median.repeats));
                    assert!(round_trip.least_ns <= median.value);
                    assert!(median.value <= round_trip.most_ns);
                }
                (_, RdmaFound::Flow { both_ways, messages, rate }) => {
                    assert_eq!(both_ways, pattern == Pattern::BothWays);
                    assert_eq!(tuning.queue_pairs, 2);
                    assert_eq!((messages.repeats, rate.repeats), (3, 3));
                    let counted = rate.low * 3 * 15 / 1000;
                    assert!(counted <= bytes && bytes > 0, "{counted}");
                }
                (pattern, found) => panic!("{pattern:?}: {found:?}"),
            }
        }
    });
}

#[test]
fn a_side_without_a_device_says_so() {
    let air = Air::default();
    while_serving(&air, 0, |at| {
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        let asked = ask(Verb::Write, Pattern::OneWay, 64);
        let own = session.rdma(&air.station(0), &asked).unwrap_err();
        let is_none = matches!(own, ProbeError::Rdma(RdmaError::NoDevice));
        assert!(is_none, "{own:?}");
        let theirs = session.rdma(&air.station(1024), &asked).unwrap_err();
        let text = theirs.to_string();
        assert!(text.ends_with("gave up: there is no RDMA device"), "{text}");
    });
}

#[test]
fn more_than_is_borne_is_refused_and_the_session_goes_on() {
    let air = Air::default();
    while_serving(&air, 1024, |at| {
        let own = air.station(1024);
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        let good = ask(Verb::Send, Pattern::OneWay, 64);
        for (bad, why) in [
            (RdmaAsk { queue_pairs: 65, ..good }, "not 1 to 64"),
            (RdmaAsk { queue_pairs: 0, ..good }, "not 1 to 64"),
            (RdmaAsk { depth: 100, ..good }, "no multiple of 32"),
            (RdmaAsk { size: 9 << 20, ..good }, "1 to 8388608 bytes"),
            (RdmaAsk { size: 0, ..good }, "1 to 8388608 bytes"),
            (RdmaAsk { repeats: 1_000_000, ..good }, "600 s at most"),
        ] {
            let error = session.rdma(&own, &bad).unwrap_err();
            let text = match std::error::Error::source(&error) {
                Some(source) => source.to_string(),
                None => error.to_string(),
            };
            assert!(text.contains(why), "{text}");
        }
        session.rdma(&own, &good).unwrap();
    });
}

#[test]
fn a_client_that_stalls_lies_or_dies_leaves_nothing() {
    let air = Air::default();
    while_serving(&air, 1024, |at| {
        for pattern in [Pattern::RoundTrip, Pattern::OneWay, Pattern::BothWays]
        {
            for verb in VERBS {
                // Goes when the other side has connected, and when it works.
                let mut client = talk::client(at, &secret());
                let linked = client.ask(verb, pattern, |_| {});
                assert!(matches!(linked, Answer::Linked(_)), "{linked:?}");
                drop(client);
                let mut client = talk::client(at, &secret());
                client.ask(verb, pattern, |_| {});
                client.say(&Word::Go);
                drop(client);
            }
        }
        // Gives up, and may ask again.
        let mut client = talk::client(at, &secret());
        client.ask(Verb::Send, Pattern::BothWays, |_| {});
        client.say(&Word::Over);
        let answer = client.hear();
        assert!(matches!(answer, Some(Answer::Failed { .. })), "{answer:?}");
        let again = client.ask(Verb::Send, Pattern::BothWays, |wish| {
            wish.offer.end.device = "../../etc".into();
        });
        let Answer::Failed { why } = again else { panic!("{again:?}") };
        assert!(why.contains("a name that is none"), "{why}");
        // Says nothing more: the server does not wait for ever.
        client.ask(Verb::Write, Pattern::OneWay, |_| {});
        assert_eq!(client.hear(), None);
        let own = air.station(1024);
        let mut session = talk::next(at, &secret());
        session.rdma(&own, &ask(Verb::Send, Pattern::OneWay, 64)).unwrap();
    });
}

#[test]
fn a_server_that_lies_or_dies_is_an_error() {
    let air = Air::default();
    let own = air.station(1024);
    let offer = talk::offer();
    let seen = |lists: &[u64], all| {
        Answer::Seen(RdmaSeen {
            cpu_ns: 1,
            lists: lists.to_vec(),
            all,
            counters: Default::default(),
        })
    };
    let mut narrow = offer.clone();
    narrow.end.mtu = 1000;
    let linked = |offer: &_| Answer::Linked(Box::new(Clone::clone(offer)));
    for (answers, why) in [
        (vec![], "the connection ended"),
        (vec![linked(&offer)], "the connection ended"),
        (vec![seen(&[], 0)], "it did not connect"),
        (
            vec![linked(&narrow), Answer::Failed { why: "given up".into() }],
            "packets of 1000 bytes do not exist",
        ),
        (vec![linked(&offer), linked(&offer)], "it did not say what it saw"),
        (
            vec![linked(&offer), seen(&[1, 1, 1], 2)],
            "figures contradict each other",
        ),
        (
            vec![linked(&offer), seen(&[1; 9], 9)],
            "figures contradict each other",
        ),
    ] {
        let at = talk::server(&secret(), answers);
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        let asked = ask(Verb::Write, Pattern::OneWay, 64);
        let error = session.rdma(&own, &asked).unwrap_err();
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}: {source}");
        }
        assert!(text.contains(why), "{text}: {why}");
        assert_eq!(air.alive(), 0, "{why}");
    }
}
