//! How long the other side is waited for.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A point in time after which the other side is given up, whatever it does:
/// one that sends a byte now and then does not move it.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    until: Instant,
}

impl Patience {
    /// Waits this long from now.
    #[must_use]
    pub fn of(span: Duration) -> Self {
        Self { until: Instant::now() + span }
    }

    /// Returns what is left; `None` where nothing is.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// Returns whether the other side of a connection has said something that was
/// not read yet, or has gone.
pub(super) fn is_heard(talk: &TcpStream) -> bool {
    let mut waited = [PollFd::new(talk.as_fd(), PollFlags::POLLIN)];
    poll(&mut waited, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Returns whether a wait on a socket ended without the other side being at
/// fault: there is the time to look at, and what is left of it to try again.
pub(super) fn is_again(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::WouldBlock | K::TimedOut | K::Interrupted)
}
