//! Two probes that talk to each other, and those who should not.

#![allow(
    clippy::disallowed_methods,
    reason = "threads of this test wait for each other"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vmtune::model::probe::Transport;
use vmtune::probe::wire::Secret;
use vmtune::probe::{
    EchoAsk, Event, Limits, ProbeError, Server, Session, StreamAsk,
};

const WITHIN: Duration = Duration::from_secs(20);

fn secret() -> Secret {
    "a secret of this test".replace(' ', "-").parse().unwrap()
}

/// Serves on the loopback interface while `work` runs, and returns what the
/// server saw.
fn while_serving(limits: Limits, work: impl FnOnce(SocketAddr)) -> Vec<Event> {
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(any, secret(), limits).unwrap();
    let at = server.local_addr().unwrap();
    let stop = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let watch = |event| seen.lock().unwrap().push(event);
        let (server, stop) = (&server, &stop);
        let serving = scope.spawn(move || server.serve(stop, &watch));
        let ended =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(at)));
        stop.store(true, Ordering::Relaxed);
        serving.join().unwrap().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    seen.into_inner().unwrap()
}

fn echo(transport: Transport, size: u32) -> EchoAsk {
    let count = Duration::from_millis(50);
    EchoAsk { transport, size, count, repeats: 3 }
}

fn stream(connections: u32, reverse: bool) -> StreamAsk {
    StreamAsk {
        connections,
        size: 64 << 10,
        reverse,
        warm_up: Duration::from_millis(20),
        count: Duration::from_millis(60),
        repeats: 3,
    }
}

#[test]
fn messages_are_answered_over_tcp_and_udp() {
    let seen = while_serving(Limits::default(), |at| {
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        for (transport, size) in
            [(Transport::Tcp, 1), (Transport::Udp, 16), (Transport::Tcp, 9000)]
        {
            let found = session.echo(&echo(transport, size)).unwrap();
            assert_eq!((found.transport, found.size), (transport, size));
            assert_eq!((found.median.repeats, found.lost), (3, 0));
            let times = &found.round_trip;
            assert!(times.count > 10, "{times:?}");
            assert!(times.least_ns <= found.median.value, "{found:?}");
            assert!(found.median.value <= times.most_ns, "{found:?}");
        }
    });
    assert!(matches!(seen[..], [Event::Begun(_), Event::Ended(_)]), "{seen:?}");
}

#[test]
fn streams_go_both_ways() {
    while_serving(Limits::default(), |at| {
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        for (connections, reverse) in [(1, false), (1, true), (3, false)] {
            let ask = stream(connections, reverse);
            let found = session.stream(&ask).unwrap();
            assert_eq!(found.rate.repeats, 3);
            assert!(found.rate.value > 1_000_000, "{found:?}");
            // What arrived was sent, and what was counted is part of it.
            let arrived = found.receiver.bytes;
            assert!(found.sender.bytes >= arrived, "{found:?}");
            let counted = found.rate.low * 3 * 60 / 1000;
            assert!(counted <= arrived, "{found:?}");
        }
    });
}

#[test]
fn strangers_are_turned_away_and_change_nothing() {
    let limits =
        Limits { greeting: Duration::from_millis(300), ..Limits::default() };
    let seen = while_serving(limits, |at| {
        let wrong: Secret = "another-secret".parse().unwrap();
        let refused = Session::open(at, &wrong, WITHIN);
        assert!(matches!(refused, Err(ProbeError::Secret { .. })));
        for said in [
            &b""[..],
            b"GET / HTTP/1.0\r\n\r\n",
            b"\0\0\0\x02{}",
            b"\xff\xff\xff\xff",
            // Too short for what it announces, and then nothing.
            b"\0\0\x10\0{\"for\":",
            // Data of a measurement that nobody asked for.
            b"\0\0\0\x3d{\"for\":\"data\",\"token\":\
              \"00000000000000000000000000000000\"}",
        ] {
            let mut stranger = TcpStream::connect(at).unwrap();
            stranger.write_all(said).unwrap();
            stranger.set_read_timeout(Some(WITHIN)).unwrap();
            let mut answer = Vec::new();
            // The server ends it, with or without a word to the client.
            let _ = stranger.read_to_end(&mut answer);
            assert!(answer.is_empty(), "{said:?}: {answer:?}");
        }
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        session.echo(&echo(Transport::Tcp, 16)).unwrap();
    });
    let refused =
        seen.iter().filter(|e| matches!(e, Event::Refused { .. })).count();
    assert!(refused >= 5, "{seen:?}");
}

#[test]
fn one_client_is_served_at_a_time() {
    while_serving(Limits::default(), |at| {
        let first = Session::open(at, &secret(), WITHIN).unwrap();
        let second = Session::open(at, &secret(), WITHIN);
        assert!(matches!(second, Err(ProbeError::Busy { .. })));
        drop(first);
        // The turn is free as soon as the server has seen the first go.
        let free = (0..200).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            Session::open(at, &secret(), WITHIN).ok()
        });
        assert!(free.is_some());
    });
}

#[test]
fn more_than_the_server_bears_is_refused_with_the_reason() {
    while_serving(Limits::default(), |at| {
        let mut session = Session::open(at, &secret(), WITHIN).unwrap();
        let long = session.stream(&StreamAsk {
            count: Duration::from_secs(4000),
            ..stream(1, false)
        });
        let text = long.unwrap_err().to_string();
        assert!(text.ends_with("a measurement takes 600 s at most"), "{text}");
        let many = session.stream(&stream(5000, false)).unwrap_err();
        assert!(many.to_string().ends_with("1 to 256 connections"), "{many}");
        let big = session.echo(&echo(Transport::Tcp, u32::MAX)).unwrap_err();
        assert!(big.to_string().contains("1 to 8388608 bytes"), "{big}");
        // The session goes on after each.
        session.echo(&echo(Transport::Tcp, 16)).unwrap();
    });
}

/// Clients that die at each point, many at a time; the next is served.
#[test]
fn the_server_survives_clients_that_die() {
    let limits =
        Limits { greeting: Duration::from_millis(500), ..Limits::default() };
    while_serving(limits, |at| {
        std::thread::scope(|scope| {
            for client in 0..24_u32 {
                scope.spawn(move || {
                    let Ok(mut session) = Session::open(at, &secret(), WITHIN)
                    else {
                        return;
                    };
                    if client % 2 == 0 {
                        let _ = session.stream(&stream(2, false));
                    }
                });
            }
        });
        let mut left = 200;
        let mut session = loop {
            match Session::open(at, &secret(), WITHIN) {
                Ok(session) => break session,
                Err(ProbeError::Busy { .. }) if left > 0 => left -= 1,
                Err(error) => panic!("{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        session.echo(&echo(Transport::Tcp, 16)).unwrap();
    });
}
