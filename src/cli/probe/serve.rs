//! `vmtune-probe serve`: answers other probes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::args::ServeArgs;
use super::secret::{self, VARIABLE};
use crate::cli::exit::{CliError, Done};
use crate::cli::report::{FAINT, KEY};
use crate::cli::screen::Screen;
use crate::probe::wire::Secret;
use crate::probe::{Event, Limits, Server};

/// Serves until as many clients as asked for were there, or none came for as
/// long as asked.
pub(super) fn run(
    args: &ServeArgs,
    screen: &mut Screen,
) -> Result<Done, CliError> {
    let given = secret::given(args.secret_file.as_deref())?;
    let secret = match &given {
        Some(secret) => secret.clone(),
        None => Secret::draw().context("drawing a secret")?,
    };
    let server = Server::bind(args.listen, secret.clone(), Limits::default())
        .map_err(anyhow::Error::new)?
        .at(args.device.station());
    let at = server.local_addr().context("asking where it listens")?;
    if given.is_none() {
        // It is what this command was started for, so it goes where programs
        // look: `serve > file` keeps it from the screen.
        let mut page = screen.page();
        let line = format!(
            "{VARIABLE}={} vmtune-probe run ADDRESS:{}",
            secret.reveal(),
            at.port()
        );
        page.line(&[(FAINT, "the other side runs".to_owned())]);
        page.line(&[(KEY, format!("  {line}"))]);
        screen.print(&page.into_text())?;
    }
    screen.say(&format!("listening at {at}"));
    let stop = AtomicBool::new(false);
    let seen =
        Mutex::new(Seen { screen, begun: 0, open: 0, last: Instant::now() });
    let served = std::thread::scope(|scope| {
        if let Some(idle) = args.idle {
            let (seen, stop) = (&seen, &stop);
            scope.spawn(move || end_when_idle(seen, idle, stop));
        }
        let watch = |event: Event| {
            let mut seen = lock(&seen);
            seen.take(&event);
            let enough = args.clients.is_some_and(|n| seen.begun >= n);
            if enough && seen.open == 0 {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let served = server.serve(&stop, &watch);
        stop.store(true, Ordering::Relaxed);
        served
    });
    served.context("waiting for clients")?;
    Ok(Done::Done)
}

/// What was seen of clients.
struct Seen<'a> {
    screen: &'a mut Screen,
    /// How many were served.
    begun: u32,
    /// How many of them are still there.
    open: u32,
    /// When one came or went last.
    last: Instant,
}

impl Seen<'_> {
    fn take(&mut self, event: &Event) {
        self.last = Instant::now();
        let line = match event {
            Event::Begun(peer) => {
                self.begun += 1;
                self.open += 1;
                format!("{peer} is served")
            }
            Event::Ended(peer) => {
                self.open = self.open.saturating_sub(1);
                format!("{peer} has gone")
            }
            Event::Refused { peer, why } => {
                format!("{peer} was refused: {why}")
            }
        };
        self.screen.say(&line);
    }
}

fn end_when_idle(seen: &Mutex<Seen<'_>>, idle: Duration, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let seen = lock(seen);
        if seen.open == 0 && seen.last.elapsed() >= idle {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

fn lock<'a, 'b>(seen: &'a Mutex<Seen<'b>>) -> MutexGuard<'a, Seen<'b>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
