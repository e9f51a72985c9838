//! The side that is asked.
//!
//! Whoever connects has a few seconds to say what for, and to prove that he
//! knows the secret; until then nothing of his is kept and nothing started.
//! One client is served at a time.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::echo::{answer_tcp, answer_udp};
use super::rdma::{self, Station, Wish};
use super::stream::{Window, receive, send};
use super::thread::{cpu_time, nanoseconds};
use super::wire::{
    self, Answer, Ask, Challenge, Nonce, Opening, Proof, RdmaWish, Role,
    Secret, Token, VERSION, Welcome, WireError,
};
use super::{Patience, ProbeError};
use crate::model::probe::{CpuCost, Transport};

/// How often it is looked whether serving shall end.
const LOOK: u16 = 100;

/// What a server bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a stranger has to prove himself.
    pub greeting: Duration,
    /// How long a client may be silent between two measurements.
    pub idle: Duration,
    /// The longest measurement.
    pub longest: Duration,
    /// The greatest message of one, in bytes.
    pub size: u32,
    /// The most connections for data of one.
    pub connections: u32,
    /// The most connections that are open at a time, of all kinds.
    pub open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(3),
            idle: Duration::from_secs(60),
            longest: Duration::from_secs(600),
            size: 8 << 20,
            connections: 256,
            open: 320,
        }
    }
}

/// Something that happened, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client proved himself and is served.
    Begun(SocketAddr),
    /// He has gone.
    Ended(SocketAddr),
    /// Somebody was not served.
    Refused {
        /// Who.
        peer: SocketAddr,
        /// Why.
        why: String,
    },
}

/// A probe that serves.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    secret: Secret,
    limits: Limits,
    station: Station,
    /// The client that is served, and what data connections he may open.
    current: Mutex<Option<Current>>,
    open: AtomicUsize,
}

/// The client that is served.
#[derive(Debug)]
struct Current {
    /// The measurement that waits for data connections.
    expects: Option<(Token, Sender<TcpStream>)>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// When it may not.
    pub fn bind(
        at: SocketAddr,
        secret: Secret,
        limits: Limits,
    ) -> Result<Self, ProbeError> {
        let listen = |source| ProbeError::Listen { at, source };
        let listener = TcpListener::bind(at).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let (current, open) = (Mutex::new(None), AtomicUsize::new(0));
        let station = Station::here(Wish::default());
        Ok(Self { listener, secret, limits, station, current, open })
    }

    /// Serves RDMA by these devices.
    #[must_use]
    pub fn at(self, station: Station) -> Self {
        Self { station, ..self }
    }

    /// Returns where it listens.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is set; then ends when the last client has gone.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub fn serve(
        &self,
        stop: &AtomicBool,
        watch: &(dyn Fn(Event) + Sync),
    ) -> io::Result<()> {
        std::thread::scope(|scope| {
            while !stop.load(Ordering::Relaxed) {
                let Some((stream, peer)) = self.accept()? else { continue };
                if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.open
                {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    let why = "too many connections are open".to_owned();
                    watch(Event::Refused { peer, why });
                    continue;
                }
                scope.spawn(move || {
                    let _open = Counted(&self.open);
                    if let Err(error) = self.greet(stream, peer, watch) {
                        let why = why(&error);
                        watch(Event::Refused { peer, why });
                    }
                });
            }
            Ok(())
        })
    }

    fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let mut waited =
            [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(LOOK)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self.listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false)?;
                Ok(Some((stream, peer)))
            }
            // It has gone again, or the process has no descriptor left for
            // a moment: neither is a reason to stop serving.
            Err(_) => Ok(None),
        }
    }

    /// Hears what a connection is for.
    fn greet(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        watch: &(dyn Fn(Event) + Sync),
    ) -> Result<(), WireError> {
        let patience = Patience::of(self.limits.greeting);
        match wire::read(&mut stream, patience)? {
            Opening::Data { token } => {
                self.hand_over(stream, token);
                Ok(())
            }
            Opening::Talk { version, nonce } => {
                stream.set_nodelay(true).map_err(WireError::Ended)?;
                if version != VERSION {
                    let own = Challenge::Version { version: VERSION };
                    return wire::write(&mut stream, &own, patience);
                }
                let own = Nonce::draw()
                    .map_err(|e| WireError::Ended(io::Error::other(e)))?;
                let challenge =
                    Challenge::Prove { version: VERSION, nonce: own };
                wire::write(&mut stream, &challenge, patience)?;
                let Proof { proof } = wire::read(&mut stream, patience)?;
                let role = Role::Client;
                if !self.secret.is_proved(&proof, role, &own, &nonce) {
                    wire::write(&mut stream, &Welcome::Refused, patience)?;
                    let why = "it does not know the secret".to_owned();
                    watch(Event::Refused { peer, why });
                    return Ok(());
                }
                let Some(_turn) = self.take_turn() else {
                    let why = "another client is being served".to_owned();
                    watch(Event::Refused { peer, why });
                    return wire::write(&mut stream, &Welcome::Busy, patience);
                };
                let proof = self.secret.proof(Role::Server, &own, &nonce);
                let welcome = Welcome::Proved { proof };
                wire::write(&mut stream, &welcome, patience)?;
                watch(Event::Begun(peer));
                self.talk(&mut stream, peer.ip());
                watch(Event::Ended(peer));
                Ok(())
            }
        }
    }

    /// Does what a client asks for until he goes, is silent for too long, or
    /// says what is not of the protocol.
    fn talk(&self, stream: &mut TcpStream, client: IpAddr) {
        loop {
            let idle = Patience::of(self.limits.idle);
            let Ok(ask) = wire::read::<Ask>(stream, idle) else { return };
            if self.answer(stream, ask, client).is_err() {
                return;
            }
        }
    }

    fn answer(
        &self,
        talk: &mut TcpStream,
        ask: Ask,
        client: IpAddr,
    ) -> Result<(), WireError> {
        let done = match ask {
            Ask::Rdma(wish) => return self.answer_rdma(talk, &wish),
            Ask::Stream {
                connections,
                size,
                reverse,
                warm_up_ms,
                count_ms,
            } => {
                let window = Window {
                    warm_up: Duration::from_millis(warm_up_ms.into()),
                    count: Duration::from_millis(count_ms.into()),
                };
                let work = if reverse { send } else { receive };
                self.check(size, connections, window.warm_up + window.count)
                    .and_then(|()| self.collect(talk, connections, client))
                    .and_then(|streams| {
                        let done = work(streams, size, window);
                        let flow = done.map_err(|e| format!("streaming: {e}"));
                        flow.map(|flow| (flow.cost, flow.counted))
                    })
            }
            Ask::Echo { transport, size, within_ms } => {
                let within = Duration::from_millis(within_ms.into());
                self.check(size, 1, within).and_then(|()| {
                    self.echo(talk, client, transport, size, within)
                })
            }
        };
        let answer = match done {
            Ok((cost, counted)) => Answer::Done { cost, counted },
            Err(why) => Answer::Failed { why },
        };
        self.say(talk, &answer)
    }

    /// Answers messages, and returns what that cost.
    fn echo(
        &self,
        talk: &mut TcpStream,
        client: IpAddr,
        transport: Transport,
        size: u32,
        within: Duration,
    ) -> Result<(CpuCost, u64), String> {
        let patience = Patience::of(within);
        let before = cpu_time();
        let answered = match transport {
            Transport::Tcp => {
                let mut streams = self.collect(talk, 1, client)?;
                let stream = streams.pop().ok_or("no connection")?;
                answer_tcp(stream, size, patience)
            }
            Transport::Udp => {
                let (socket, token) = self.open_udp(talk)?;
                answer_udp(&socket, token, patience)
            }
        };
        let answered = answered.map_err(|e| format!("answering: {e}"))?;
        let used = cpu_time().saturating_sub(before);
        let bytes = answered.saturating_mul(size.into());
        Ok((CpuCost { bytes, cpu_ns: nanoseconds(used) }, 0))
    }

    fn say(
        &self,
        stream: &mut TcpStream,
        answer: &Answer,
    ) -> Result<(), WireError> {
        wire::write(stream, answer, Patience::of(self.limits.greeting))
    }

    fn answer_rdma(
        &self,
        stream: &mut TcpStream,
        wish: &RdmaWish,
    ) -> Result<(), WireError> {
        match self.check(wish.size, 1, rdma::takes(wish)) {
            Ok(()) => {
                let word = self.limits.greeting;
                rdma::answer(&self.station, stream, wish, word)
            }
            Err(why) => self.say(stream, &Answer::Failed { why }),
        }
    }

    /// Refuses what is more than the server bears.
    fn check(
        &self,
        size: u32,
        connections: u32,
        within: Duration,
    ) -> Result<(), String> {
        let limits = &self.limits;
        if size == 0 || size > limits.size {
            return Err(format!("a message has 1 to {} bytes", limits.size));
        }
        if connections == 0 || connections > limits.connections {
            let most = limits.connections;
            return Err(format!("there are 1 to {most} connections"));
        }
        if within > limits.longest {
            let most = limits.longest.as_secs();
            return Err(format!("a measurement takes {most} s at most"));
        }
        Ok(())
    }

    /// Says that it is ready, and takes the data connections as they come.
    fn collect(
        &self,
        talk: &mut TcpStream,
        connections: u32,
        client: IpAddr,
    ) -> Result<Vec<TcpStream>, String> {
        let token = Token::draw().map_err(|e| e.to_string())?;
        let (sender, receiver) = channel();
        self.expect(Some((token, sender)));
        let ready = Answer::Ready { token, port: None };
        let patience = Patience::of(self.limits.greeting);
        let said = wire::write(talk, &ready, patience);
        let streams = said
            .map_err(|e| e.to_string())
            .and_then(|()| of_client(&receiver, connections, client, patience));
        self.expect(None);
        streams
    }

    fn open_udp(
        &self,
        talk: &mut TcpStream,
    ) -> Result<(UdpSocket, Token), String> {
        let token = Token::draw().map_err(|e| e.to_string())?;
        let mut own = talk.local_addr().map_err(|e| e.to_string())?;
        own.set_port(0);
        let socket = UdpSocket::bind(own)
            .map_err(|e| format!("opening a UDP socket: {e}"))?;
        let at = socket.local_addr().map_err(|e| e.to_string())?;
        let ready = Answer::Ready { token, port: Some(at.port()) };
        let patience = Patience::of(self.limits.greeting);
        wire::write(talk, &ready, patience).map_err(|e| e.to_string())?;
        Ok((socket, token))
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        // A thread that panicked left nothing half done in there.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_turn(&self) -> Option<Turn<'_>> {
        let mut current = self.current();
        if current.is_some() {
            return None;
        }
        *current = Some(Current { expects: None });
        Some(Turn(self))
    }

    fn expect(&self, what: Option<(Token, Sender<TcpStream>)>) {
        if let Some(current) = self.current().as_mut() {
            current.expects = what;
        }
    }

    /// Gives a data connection to the measurement that waits for it.
    fn hand_over(&self, stream: TcpStream, token: Token) {
        let current = self.current();
        let expects = current.as_ref().and_then(|one| one.expects.as_ref());
        if let Some((wanted, sender)) = expects
            && *wanted == token
        {
            // Where nobody waits any more, the connection ends here.
            let _ = sender.send(stream);
        }
    }
}

/// The right to be served, given back at the end, however that comes.
struct Turn<'a>(&'a Server);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.current() = None;
    }
}

/// An open connection, which is counted until it is closed.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the data connections of a client.
fn of_client(
    receiver: &Receiver<TcpStream>,
    connections: u32,
    client: IpAddr,
    patience: Patience,
) -> Result<Vec<TcpStream>, String> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let came = patience.left().and_then(|l| receiver.recv_timeout(l).ok());
        let stream = came.ok_or("the data connections did not come in time")?;
        let peer = stream.peer_addr().map_err(|e| e.to_string())?;
        if peer.ip() != client {
            return Err("a data connection came from elsewhere".to_owned());
        }
        streams.push(stream);
    }
    Ok(streams)
}

fn why(error: &WireError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
