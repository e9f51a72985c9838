//! The side that asks.

use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::echo::{ask_tcp, ask_udp};
use super::stream::{Window, rate, receive, send};
use super::thread::nanoseconds;
use super::wire::{
    self, Answer, Ask, Challenge, Nonce, Opening, Proof, Role, Secret,
    SecretError, Token, VERSION, Welcome, WireError,
};
use super::{Histogram, Patience, ProbeError};
use crate::model::probe::{CpuCost, Echo, Median, Stream, Transport};

/// How long one step of talk may take.
pub(super) const TALK: Duration = Duration::from_secs(10);

/// A connection to a probe that serves, both sides having proved themselves.
#[derive(Debug)]
pub struct Session {
    talk: TcpStream,
    peer: SocketAddr,
}

/// What to stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamAsk {
    /// How many connections at a time.
    pub connections: u32,
    /// Bytes a call.
    pub size: u32,
    /// Whether the server sends.
    pub reverse: bool,
    /// How long before it counts.
    pub warm_up: Duration,
    /// How long each repeat counts.
    pub count: Duration,
    /// How often.
    pub repeats: u32,
}

/// What to have answered.
#[derive(Debug, Clone, Copy)]
pub struct EchoAsk {
    /// How it is sent.
    pub transport: Transport,
    /// Bytes a message.
    pub size: u32,
    /// How long each repeat takes.
    pub count: Duration,
    /// How often.
    pub repeats: u32,
}

impl Session {
    /// Connects, and proves to know the secret.
    ///
    /// # Errors
    /// When nobody is there, he serves somebody else, speaks otherwise, or
    /// one of the two does not know the secret.
    pub fn open(
        peer: SocketAddr,
        secret: &Secret,
        within: Duration,
    ) -> Result<Self, ProbeError> {
        let connect = |source| ProbeError::Connect { peer, source };
        let talk =
            TcpStream::connect_timeout(&peer, within).map_err(connect)?;
        talk.set_nodelay(true).map_err(connect)?;
        let mut session = Self { talk, peer };
        let own = drawn(Nonce::draw())?;
        let opening = Opening::Talk { version: VERSION, nonce: own };
        session.say(&opening)?;
        let theirs = match session.hear(TALK)? {
            Challenge::Prove { version: VERSION, nonce } => nonce,
            Challenge::Prove { version, .. }
            | Challenge::Version { version } => {
                let (theirs, own) = (version, VERSION);
                return Err(ProbeError::Version { peer, theirs, own });
            }
        };
        let proof = secret.proof(Role::Client, &theirs, &own);
        session.say(&Proof { proof })?;
        match session.hear(TALK)? {
            Welcome::Proved { proof }
                if secret.is_proved(&proof, Role::Server, &theirs, &own) =>
            {
                Ok(session)
            }
            Welcome::Proved { .. } | Welcome::Refused => {
                Err(ProbeError::Secret { peer })
            }
            Welcome::Busy => Err(ProbeError::Busy { peer }),
        }
    }

    /// Measures how much goes through.
    ///
    /// # Errors
    /// When a side cannot do its part.
    pub fn stream(&mut self, ask: &StreamAsk) -> Result<Stream, ProbeError> {
        let window = Window { warm_up: ask.warm_up, count: ask.count };
        let mut rates = Vec::new();
        let (mut sender, mut receiver) = <(CpuCost, CpuCost)>::default();
        for _ in 0..ask.repeats.max(1) {
            let (token, _) = self.agree(&Ask::Stream {
                connections: ask.connections,
                size: ask.size,
                reverse: ask.reverse,
                warm_up_ms: milliseconds(ask.warm_up),
                count_ms: milliseconds(ask.count),
            })?;
            let each = 0..ask.connections;
            let streams: Result<Vec<_>, _> =
                each.map(|_| self.data(token)).collect();
            let work = if ask.reverse { receive } else { send };
            let own = work(streams?, ask.size, window).map_err(|source| {
                ProbeError::system("streaming to the other side", source)
            });
            // What the other side says explains more than a broken pipe.
            let patience = ask.warm_up + ask.count + TALK;
            let (cost, counted) = self.done(patience)?;
            let own = own?;
            let within = nanoseconds(ask.count);
            if ask.reverse {
                rates.push(rate(own.counted, within));
                (sender, receiver) =
                    (sender.plus(cost), receiver.plus(own.cost));
            } else {
                rates.push(rate(counted, within));
                (sender, receiver) =
                    (sender.plus(own.cost), receiver.plus(cost));
            }
        }
        let silence = ProbeError::Silence { peer: self.peer };
        Ok(Stream {
            connections: ask.connections,
            size: ask.size,
            reverse: ask.reverse,
            rate: Median::of(rates).ok_or(silence)?,
            sender,
            receiver,
        })
    }

    /// Measures how long answers take.
    ///
    /// # Errors
    /// When a side cannot do its part, or nothing is answered.
    pub fn echo(&mut self, ask: &EchoAsk) -> Result<Echo, ProbeError> {
        let mut medians = Vec::new();
        let mut all = Histogram::new();
        let mut lost = 0;
        for _ in 0..ask.repeats.max(1) {
            let (token, port) = self.agree(&Ask::Echo {
                transport: ask.transport,
                size: ask.size,
                within_ms: milliseconds(ask.count + TALK),
            })?;
            let asked = match (ask.transport, port) {
                (Transport::Tcp, _) => {
                    ask_tcp(self.data(token)?, ask.size, ask.count)
                }
                (Transport::Udp, Some(port)) => self
                    .datagrams(port)
                    .and_then(|to| ask_udp(&to, token, ask.size, ask.count)),
                (Transport::Udp, None) => {
                    return Err(self.peer_says("it named no UDP port"));
                }
            };
            let found = asked.map_err(|source| {
                ProbeError::system("asking the other side", source)
            })?;
            self.done(TALK + ask.count)?;
            lost += found.lost;
            if found.times.told().is_some() {
                medians.push(found.times.median());
            }
            all.join(&found.times);
        }
        let peer = self.peer;
        let silence = || ProbeError::Silence { peer };
        Ok(Echo {
            transport: ask.transport,
            size: ask.size,
            round_trip: all.told().ok_or_else(silence)?,
            median: Median::of(medians).ok_or_else(silence)?,
            lost,
        })
    }

    /// Asks for a measurement, and returns what its data is opened with.
    fn agree(&mut self, ask: &Ask) -> Result<(Token, Option<u16>), ProbeError> {
        self.say(ask)?;
        match self.hear(TALK)? {
            Answer::Ready { token, port } => Ok((token, port)),
            Answer::Failed { why } => Err(self.peer_says(&why)),
            _ => Err(self.peer_says("it did not get ready")),
        }
    }

    /// Waits for the other side to say that a measurement is over.
    fn done(&mut self, within: Duration) -> Result<(CpuCost, u64), ProbeError> {
        match self.hear(within)? {
            Answer::Done { cost, counted } => Ok((cost, counted)),
            Answer::Failed { why } => Err(self.peer_says(&why)),
            _ => Err(self.peer_says("it did not say what it saw")),
        }
    }

    fn data(&self, token: Token) -> Result<TcpStream, ProbeError> {
        let peer = self.peer;
        let connect = |source| ProbeError::Connect { peer, source };
        let mut stream =
            TcpStream::connect_timeout(&peer, TALK).map_err(connect)?;
        wire::write(&mut stream, &Opening::Data { token }, Patience::of(TALK))
            .map_err(|source| ProbeError::Wire { peer, source })?;
        stream.set_write_timeout(None).map_err(connect)?;
        Ok(stream)
    }

    fn datagrams(&self, port: u16) -> io::Result<UdpSocket> {
        let mut own = self.talk.local_addr()?;
        own.set_port(0);
        let mut peer = self.peer;
        peer.set_port(port);
        let socket = UdpSocket::bind(own)?;
        socket.connect(peer)?;
        Ok(socket)
    }

    /// Returns the connection for talk.
    pub(super) const fn talk(&self) -> &TcpStream {
        &self.talk
    }

    pub(super) fn say<T: serde::Serialize>(
        &mut self,
        what: &T,
    ) -> Result<(), ProbeError> {
        let said = wire::write(&mut self.talk, what, Patience::of(TALK));
        said.map_err(|source| self.wire(source))
    }

    pub(super) fn hear<T: serde::de::DeserializeOwned>(
        &mut self,
        within: Duration,
    ) -> Result<T, ProbeError> {
        let heard = wire::read(&mut self.talk, Patience::of(within));
        heard.map_err(|source| self.wire(source))
    }

    const fn wire(&self, source: WireError) -> ProbeError {
        ProbeError::Wire { peer: self.peer, source }
    }

    /// Keeps of what the other side says what can be printed.
    pub(super) fn peer_says(&self, why: &str) -> ProbeError {
        const MOST: usize = 300;
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let why = why.chars().take(MOST).map(plain).collect();
        ProbeError::Peer { peer: self.peer, why }
    }
}

/// Turns the want of random numbers into an error of this machine.
pub(super) fn drawn<T>(drawn: Result<T, SecretError>) -> Result<T, ProbeError> {
    drawn.map_err(|error| {
        ProbeError::system("drawing a random number", io::Error::other(error))
    })
}

pub(super) fn milliseconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
