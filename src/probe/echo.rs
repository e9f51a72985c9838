//! A message and its answer, one after the other.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::patience::is_again;
use super::stream::buffer;
use super::thread::nanoseconds;
use super::wire::Token;
use super::{Histogram, Patience};

/// Messages that are sent before it counts: caches and the congestion window
/// are warm then.
const WARM_UP: u32 = 200;
/// After this long an answer over UDP is lost.
const LOST: Duration = Duration::from_millis(250);
/// Bytes of a datagram that number it.
const NUMBER: usize = 8;

/// What the side that asks saw.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) times: Histogram,
    pub(super) lost: u64,
}

/// Answers each message of a connection with itself, until the other side
/// ends it.
///
/// # Errors
/// When the time is over, or the connection breaks in a message.
pub(super) fn answer_tcp(
    mut stream: TcpStream,
    size: u32,
    patience: Patience,
) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let mut message = buffer(size);
    let mut answered = 0;
    loop {
        let left = patience.left().ok_or(io::ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left))?;
        match stream.read_exact(&mut message) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(answered);
            }
            Err(e) => return Err(e),
        }
        stream.write_all(&message)?;
        answered += 1;
    }
}

/// Asks over a connection for so long.
///
/// # Errors
/// When it breaks, or an answer does not come.
pub(super) fn ask_tcp(
    mut stream: TcpStream,
    size: u32,
    span: Duration,
) -> io::Result<Answered> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut message = buffer(size);
    let mut found = Answered::default();
    for _ in 0..WARM_UP {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
    }
    let start = Instant::now();
    let mut sent = start;
    while sent.duration_since(start) < span {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        let now = Instant::now();
        found.times.add(nanoseconds(now.duration_since(sent)));
        sent = now;
    }
    Ok(found)
}

/// Answers the datagrams of whoever sends the token first, until he sends it
/// again or the time is over. Nobody else is answered, and no answer is longer
/// than what was sent.
///
/// # Errors
/// When the socket fails.
pub(super) fn answer_udp(
    socket: &UdpSocket,
    token: Token,
    patience: Patience,
) -> io::Result<u64> {
    let mut message = vec![0; 1 << 16];
    let mut known = false;
    let mut answered = 0;
    loop {
        let left = patience.left().ok_or(io::ErrorKind::TimedOut)?;
        socket.set_read_timeout(Some(left))?;
        let (n, from) = match socket.recv_from(&mut message) {
            Ok(received) => received,
            Err(e) if is_again(&e) => continue,
            Err(e) => return Err(e),
        };
        let got = message.get(..n).unwrap_or_default();
        if got == token.bytes() {
            if known && answered > 0 {
                return Ok(answered);
            }
            // From here on the kernel drops what others send.
            socket.connect(from)?;
            known = true;
        } else if !known {
            continue;
        } else {
            answered += 1;
        }
        socket.send(got)?;
    }
}

/// Asks over UDP for so long.
///
/// # Errors
/// When the socket fails.
pub(super) fn ask_udp(
    socket: &UdpSocket,
    token: Token,
    size: u32,
    span: Duration,
) -> io::Result<Answered> {
    socket.set_read_timeout(Some(LOST))?;
    let mut answer = vec![0; 1 << 16];
    if !greet(socket, token, &mut answer)? {
        return Ok(Answered::default());
    }
    let mut message = buffer(size.max(8));
    let mut found = Answered::default();
    let mut number = 0_u64;
    let mut start = Instant::now();
    loop {
        number += 1;
        if number == u64::from(WARM_UP) {
            start = Instant::now();
            found = Answered::default();
        }
        for (at, byte) in message.iter_mut().zip(number.to_be_bytes()) {
            *at = byte;
        }
        let sent = Instant::now();
        if number > u64::from(WARM_UP) && sent.duration_since(start) >= span {
            break;
        }
        socket.send(&message)?;
        match receive(socket, number, &mut answer)? {
            true => found.times.add(nanoseconds(sent.elapsed())),
            false => found.lost += 1,
        }
        // One that answers nothing at all is not asked for ever.
        if found.lost > 20 && found.times.told().is_none() {
            break;
        }
    }
    // Says that it is over; where that is lost, time ends the other side.
    socket.send(token.bytes())?;
    Ok(found)
}

/// Sends the token until it comes back.
fn greet(
    socket: &UdpSocket,
    token: Token,
    answer: &mut [u8],
) -> io::Result<bool> {
    for _ in 0..20 {
        socket.send(token.bytes())?;
        match socket.recv(answer) {
            Ok(n) if answer.get(..n) == Some(token.bytes()) => {
                return Ok(true);
            }
            Ok(_) => {}
            Err(e) if is_again(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

/// Waits for the answer of this number; late ones of others are passed over.
fn receive(
    socket: &UdpSocket,
    number: u64,
    answer: &mut [u8],
) -> io::Result<bool> {
    loop {
        match socket.recv(answer) {
            Ok(n) if n >= NUMBER => {
                if answer.get(..NUMBER) == Some(&number.to_be_bytes()) {
                    return Ok(true);
                }
            }
            Ok(_) => {}
            Err(e) if is_again(&e) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}
