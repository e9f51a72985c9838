//! `vmtune-probe run`: measures.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;

use super::args::{PORT, Part, RunArgs};
use super::{rdma, report, secret};
use crate::cli::args::TextOrJson;
use crate::cli::exit::{CliError, Done};
use crate::cli::screen::Screen;
use crate::host::Root;
use crate::model::Fact;
use crate::model::probe::{ProbeReport, Rdma, SocketRun, Transport};
use crate::probe::{EchoAsk, ProbeError, Session, StreamAsk, jitter};

/// How long the other side has to answer the first time.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a stream runs before it counts: TCP has found its speed then.
const WARM_UP: Duration = Duration::from_millis(500);
/// Bytes a call of a stream: more gains nothing on any machine seen.
const STREAM_SIZE: u32 = 128 << 10;

/// Measures what was asked for, one after the other, and prints it.
pub(super) fn run(
    args: &RunArgs,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let parts = parts(args)?;
    let mut session = match &args.peer {
        None => None,
        Some(peer) => Some(open(args, peer)?),
    };
    let span = Duration::from_secs(args.seconds.into());
    let each = span / args.repeats.max(1);
    let mut found = ProbeReport {
        schema_version: ProbeReport::SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        jitter: None,
        sockets: Vec::new(),
        rdma: None,
    };
    for part in parts {
        let echo = |transport| EchoAsk {
            transport,
            size: args.size,
            count: each,
            repeats: args.repeats,
        };
        tell(part, args.seconds, screen);
        let sockets = match (part, session.as_mut()) {
            (Part::Jitter, _) => {
                let cpus = args.cpus.as_ref();
                let measured = jitter::measure(&Root::live(), cpus, span);
                found.jitter = Some(measured.map_err(failed)?);
                continue;
            }
            (_, None) => continue,
            (Part::Rdma, Some(session)) => {
                found.rdma = Some(over_rdma(args, session)?);
                continue;
            }
            (Part::Tcp, Some(session)) => {
                session.echo(&echo(Transport::Tcp)).map(SocketRun::Echo)
            }
            (Part::Udp, Some(session)) => {
                session.echo(&echo(Transport::Udp)).map(SocketRun::Echo)
            }
            (Part::Stream, Some(session)) => session
                .stream(&StreamAsk {
                    connections: args.connections,
                    size: STREAM_SIZE,
                    reverse: false,
                    warm_up: WARM_UP,
                    count: each,
                    repeats: args.repeats,
                })
                .map(SocketRun::Stream),
        };
        found.sockets.push(sockets.map_err(failed)?);
    }
    if args.format == TextOrJson::Json {
        let json = serde_json::to_string_pretty(&found)
            .context("writing the report as JSON")?;
        screen.print_raw(&format!("{json}\n"))?;
    } else {
        let mut page = screen.page();
        report::report(&mut page, &found);
        screen.print(&page.into_text())?;
    }
    Ok(Done::Done)
}

/// Measures over RDMA. Who has asked for nothing in particular is told why
/// there is none, and the rest is done.
fn over_rdma(
    args: &RunArgs,
    session: &mut Session,
) -> Result<Fact<Rdma>, CliError> {
    match rdma::measure(args, session) {
        Ok(found) => Ok(Fact::known(found, "verbs")),
        Err(error @ (ProbeError::Rdma(_) | ProbeError::Peer { .. }))
            if args.only.is_empty() =>
        {
            Ok(Fact::unknown(format!("{:#}", anyhow::Error::new(error))))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Returns what is to be measured, in order.
fn parts(args: &RunArgs) -> Result<Vec<Part>, CliError> {
    let all = [Part::Jitter, Part::Tcp, Part::Udp, Part::Stream, Part::Rdma];
    let mut parts = all.to_vec();
    if !args.only.is_empty() {
        parts.retain(|part| args.only.contains(part));
    } else if args.peer.is_none() {
        parts.retain(|part| *part == Part::Jitter);
    }
    if args.peer.is_none() && parts.iter().any(|part| *part != Part::Jitter) {
        let error = CliError::usage("that takes another probe to talk to");
        return Err(error.hint(
            "`vmtune-probe serve` on the other machine, and its address here",
        ));
    }
    Ok(parts)
}

fn open(args: &RunArgs, peer: &str) -> Result<Session, CliError> {
    let file = args.secret_file.as_deref();
    let Some(secret) = secret::given(file)? else {
        let error = CliError::usage(format!("no secret to give to {peer}"));
        return Err(error.hint(format!(
            "`vmtune-probe serve` prints it there; put it into {} or name a \
             file by --secret-file",
            secret::VARIABLE
        )));
    };
    Session::open(address(peer)?, &secret, CONNECT).map_err(failed)
}

/// Finds out where a probe serves; the port may be left out.
fn address(peer: &str) -> Result<SocketAddr, CliError> {
    if let Ok(address) = peer.parse::<SocketAddr>() {
        return Ok(address);
    }
    let host = peer.trim_start_matches('[').trim_end_matches(']');
    let all = match host.parse::<std::net::IpAddr>() {
        Ok(ip) => return Ok(SocketAddr::new(ip, PORT)),
        Err(_) if peer.contains(':') => peer.to_socket_addrs(),
        Err(_) => (peer, PORT).to_socket_addrs(),
    };
    let all = all.with_context(|| format!("looking up {peer}"))?;
    let mut all: Vec<_> = all.collect();
    // A name that has both is served by 0.0.0.0 on the older one alone.
    all.sort_by_key(SocketAddr::is_ipv6);
    let first = all.first().copied();
    Ok(first.with_context(|| format!("{peer} has no address"))?)
}

fn tell(part: Part, seconds: u32, screen: &mut Screen) {
    if !screen.is_terminal() {
        return;
    }
    let what = match part {
        Part::Jitter => "what CPUs lose",
        Part::Tcp => "round trips over TCP",
        Part::Udp => "round trips over UDP",
        Part::Stream => "a stream over TCP",
        Part::Rdma => "RDMA, each verb and pattern",
    };
    screen.say(&format!("measuring {what}, {seconds} s"));
}

fn failed(error: ProbeError) -> CliError {
    let hint = match &error {
        ProbeError::Connect { .. } => {
            Some("is `vmtune-probe serve` running there, and the port open?")
        }
        ProbeError::Busy { .. } => Some("it serves one client at a time"),
        ProbeError::Secret { .. } => {
            Some("the secret is the one that `serve` printed last")
        }
        ProbeError::Version { .. } => {
            Some("copy the same vmtune-probe to both machines")
        }
        _ => None,
    };
    let error = CliError::from(anyhow::Error::new(error));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
