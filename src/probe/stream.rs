//! As much as goes through TCP connections, on either side of them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::thread::{cpu_time, nanoseconds};
use crate::model::probe::CpuCost;

/// How long a sender goes on after it should be over, so that the receiver,
/// whose clock started later, has all its time full; and how long the
/// receiver waits for a sender that has stopped.
const GRACE: Duration = Duration::from_secs(2);

/// When it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) warm_up: Duration,
    pub(super) count: Duration,
}

/// What went through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// What it cost, from first to last.
    pub(super) cost: CpuCost,
    /// Bytes that arrived within the window; zero of a sender.
    pub(super) counted: u64,
}

/// Receives on all connections. Ends them when the window does.
///
/// # Errors
/// When one ends before.
pub(super) fn receive(
    streams: Vec<TcpStream>,
    size: u32,
    window: Window,
) -> io::Result<Flow> {
    let start = Instant::now();
    each(streams, |mut stream| {
        let mut buffer = buffer(size);
        let mut flow = Flow::default();
        stream.set_read_timeout(Some(GRACE))?;
        loop {
            let n = stream.read(&mut buffer)?;
            let at = start.elapsed();
            if at >= window.warm_up + window.count {
                return Ok(flow);
            }
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let n = u64::try_from(n).unwrap_or_default();
            flow.cost.bytes += n;
            if at >= window.warm_up {
                flow.counted += n;
            }
        }
    })
}

/// Sends on all connections until the other side ends them.
///
/// # Errors
/// When one breaks before the window is over, or the other side does not end
/// it.
pub(super) fn send(
    streams: Vec<TcpStream>,
    size: u32,
    window: Window,
) -> io::Result<Flow> {
    let start = Instant::now();
    let over = window.warm_up + window.count;
    each(streams, |mut stream| {
        let buffer = buffer(size);
        let mut flow = Flow::default();
        stream.set_write_timeout(Some(GRACE))?;
        loop {
            let at = start.elapsed();
            if at >= over + GRACE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match stream.write(&buffer) {
                Ok(n) => {
                    let n = u64::try_from(n).unwrap_or_default();
                    flow.cost.bytes += n;
                }
                // The receiver counts by its own clock.
                Err(e) if is_end(&e) && at + GRACE >= over => return Ok(flow),
                Err(e) => return Err(e),
            }
        }
    })
}

/// Returns bytes a second.
pub(super) fn rate(counted: u64, within_ns: u64) -> u64 {
    let bytes = u128::from(counted) * 1_000_000_000;
    let rate = bytes / u128::from(within_ns.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionReset | K::BrokenPipe)
}

/// Returns something of this size to send, or room for as much.
pub(super) fn buffer(size: u32) -> Vec<u8> {
    vec![0x5a; usize::try_from(size.max(1)).unwrap_or(usize::MAX)]
}

/// Has a thread work on each connection, and adds up what they did.
fn each(
    streams: Vec<TcpStream>,
    work: impl Fn(TcpStream) -> io::Result<Flow> + Sync,
) -> io::Result<Flow> {
    let before = cpu_time();
    let done: Vec<io::Result<Flow>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = streams
            .into_iter()
            .map(|stream| scope.spawn(move || work(stream)))
            .collect();
        let panicked = |_| Err(io::ErrorKind::Other.into());
        let join = threads.into_iter().map(|one| one.join());
        join.map(|done| done.unwrap_or_else(panicked)).collect()
    });
    let mut all = Flow::default();
    for flow in done {
        let flow = flow?;
        all.cost.bytes += flow.cost.bytes;
        all.counted += flow.counted;
    }
    all.cost.cpu_ns = nanoseconds(cpu_time().saturating_sub(before));
    Ok(all)
}
