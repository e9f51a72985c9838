//! Frames: messages of bounded length, in bounded time.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::probe::patience::{Patience, is_again};

/// The longest message, in bytes: more than any that a probe sends.
pub const MAX_FRAME: usize = 64 * 1024;

/// Why a message was not taken or not given.
#[derive(Debug, Error)]
pub enum WireError {
    /// The other side closed the connection, or it broke.
    #[error("the connection ended")]
    Ended(#[source] io::Error),
    /// The other side did not answer in time.
    #[error("no whole message came in time")]
    Slow,
    /// The other side announces more than it may say.
    #[error(
        "a message of {length} bytes was announced, {MAX_FRAME} is the most"
    )]
    Long {
        /// How much.
        length: usize,
    },
    /// It is no message of this protocol.
    #[error("what came is no message of this protocol")]
    Form(#[source] serde_json::Error),
}

/// Sends a message.
///
/// # Errors
/// When the other side does not take it in time.
pub fn write<T: Serialize>(
    stream: &mut TcpStream,
    message: &T,
    patience: Patience,
) -> Result<(), WireError> {
    let body = serde_json::to_vec(message).map_err(WireError::Form)?;
    let length = body.len();
    let announced = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let Some(announced) = announced else {
        return Err(WireError::Long { length });
    };
    let mut bytes = announced.to_be_bytes().to_vec();
    bytes.extend(body);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let left = patience.left().ok_or(WireError::Slow)?;
        stream.set_write_timeout(Some(left)).map_err(WireError::Ended)?;
        match stream.write(rest) {
            Ok(0) => return Err(WireError::Ended(ended())),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(e) if is_again(&e) => {}
            Err(e) => return Err(WireError::Ended(e)),
        }
    }
    Ok(())
}

/// Receives a message.
///
/// # Errors
/// When none comes in time, or it is none of this protocol.
pub fn read<T: DeserializeOwned>(
    stream: &mut TcpStream,
    patience: Patience,
) -> Result<T, WireError> {
    let mut length = [0; 4];
    fill(stream, &mut length, patience)?;
    let length = u32::from_be_bytes(length);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(WireError::Long { length });
    }
    let mut body = vec![0; length];
    fill(stream, &mut body, patience)?;
    serde_json::from_slice(&body).map_err(WireError::Form)
}

/// Reads until `buffer` is full, and no byte more: what follows may be data.
fn fill(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    patience: Patience,
) -> Result<(), WireError> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|r| !r.is_empty()) {
        let left = patience.left().ok_or(WireError::Slow)?;
        stream.set_read_timeout(Some(left)).map_err(WireError::Ended)?;
        match stream.read(rest) {
            Ok(0) => return Err(WireError::Ended(ended())),
            Ok(n) => done += n,
            Err(e) if is_again(&e) => {}
            Err(e) => return Err(WireError::Ended(e)),
        }
    }
    Ok(())
}

fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let near = TcpStream::connect(at).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn soon() -> Patience {
        Patience::of(Duration::from_secs(20))
    }

    #[test]
    fn messages_come_as_they_went() {
        let (mut near, mut far) = pair();
        write(&mut near, &vec!["one", "two"], soon()).unwrap();
        write(&mut near, &7, soon()).unwrap();
        let texts: Vec<String> = read(&mut far, soon()).unwrap();
        assert_eq!(texts, ["one", "two"]);
        assert_eq!(read::<u32>(&mut far, soon()).unwrap(), 7);
        drop(near);
        let end = read::<u32>(&mut far, soon());
        assert!(matches!(end, Err(WireError::Ended(_))), "{end:?}");
    }

    #[test]
    fn long_and_shapeless_messages_are_refused() {
        let (mut near, mut far) = pair();
        near.write_all(&u32::MAX.to_be_bytes()).unwrap();
        let long = read::<u32>(&mut far, soon());
        assert!(matches!(long, Err(WireError::Long { .. })), "{long:?}");
        near.write_all(b"\0\0\0\x02no").unwrap();
        let form = read::<u32>(&mut far, soon());
        assert!(matches!(form, Err(WireError::Form(_))), "{form:?}");
        let long = write(&mut near, &"x".repeat(MAX_FRAME), soon());
        assert!(matches!(long, Err(WireError::Long { .. })), "{long:?}");
    }

    #[test]
    fn dribbling_does_not_extend_the_time() {
        let (mut near, mut far) = pair();
        let dribble = std::thread::spawn(move || {
            while near.write_all(b"\0").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // More than comes in that time.
        let mut many = vec![0; 1 << 20];
        let patience = Patience::of(Duration::from_millis(60));
        let slow = fill(&mut far, &mut many, patience);
        assert!(matches!(slow, Err(WireError::Slow)), "{slow:?}");
        drop(far);
        dribble.join().unwrap();
    }
}
