//! The commands of the QEMU guest agent that a visit takes.
//!
//! Their form is that of qga/qapi-schema.json in QEMU's source.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::hypervisor::HypervisorError;

/// Gives a command to the agent of a guest, and returns its answer. The agent
/// has so long.
pub type Ask<'a> =
    dyn Fn(&str, Duration) -> Result<String, HypervisorError> + 'a;

/// How long the agent has for a command; each is short work.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a file in one command. libvirt would pass on 4 MiB, but an agent
/// reads JSON letter by letter, and has to be done in time in any guest.
pub(super) const CHUNK: usize = 64 << 10;
/// The longest answer that is looked at: what libvirt passes on.
const LONGEST_ANSWER: usize = 4 << 20;
/// What may be shown of what a guest says.
const SHOWN: usize = 400;

/// Why an agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It could not be asked, or refused.
    #[error(transparent)]
    Unasked(#[from] HypervisorError),
    /// It answered what nobody asked.
    #[error("the guest's agent answered {command} with {what}")]
    Nonsense {
        /// The command.
        command: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
}

/// The agent in one guest.
#[derive(Clone, Copy)]
pub(super) struct Agent<'a> {
    ask: &'a Ask<'a>,
}

/// A file that the agent has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Handle(i64);

/// A program that the agent has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Pid(i64);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How a program in the guest has ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub(super) code: Option<i64>,
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
    /// Whether it said more than the agent keeps.
    pub(super) cut: bool,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(rename = "return")]
    value: T,
}

#[derive(Deserialize)]
struct Info {
    supported_commands: Vec<Offer>,
}

#[derive(Deserialize)]
struct Offer {
    name: String,
    enabled: bool,
}

#[derive(Deserialize)]
struct Written {
    count: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Piece {
    count: usize,
    buf_b64: String,
    eof: bool,
}

#[derive(Deserialize)]
struct Started {
    pid: Pid,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    exited: bool,
    exitcode: Option<i64>,
    out_data: Option<String>,
    err_data: Option<String>,
    #[serde(default)]
    out_truncated: bool,
}

impl<'a> Agent<'a> {
    pub(super) const fn new(ask: &'a Ask<'a>) -> Self {
        Self { ask }
    }

    /// Returns which of these commands the agent does not take.
    pub(super) fn missing(
        self,
        needed: &[&'static str],
    ) -> Result<Vec<&'static str>, AgentError> {
        let info: Info = self.ask("guest-info", &json!({}))?;
        let offers = info.supported_commands.into_iter();
        let taken: BTreeSet<String> =
            offers.filter(|one| one.enabled).map(|one| one.name).collect();
        let mut missing = needed.to_vec();
        missing.retain(|command| !taken.contains(*command));
        Ok(missing)
    }

    /// Opens a file, as fopen does with this mode.
    pub(super) fn open(
        self,
        path: &str,
        mode: &'static str,
    ) -> Result<Handle, AgentError> {
        self.ask("guest-file-open", &json!({ "path": path, "mode": mode }))
    }

    /// Writes all of a piece that is not longer than [`CHUNK`].
    pub(super) fn write(
        self,
        Handle(handle): Handle,
        piece: &[u8],
    ) -> Result<(), AgentError> {
        let command = "guest-file-write";
        let buffer = BASE64.encode(piece);
        let arguments = json!({ "handle": handle, "buf-b64": buffer });
        let Written { count } = self.ask(command, &arguments)?;
        if count != piece.len() {
            let what = format!("{count} of {} bytes written", piece.len());
            return Err(AgentError::Nonsense { command, what });
        }
        Ok(())
    }

    /// Reads the next piece, not longer than [`CHUNK`]; `None` at the end.
    pub(super) fn read(
        self,
        Handle(handle): Handle,
    ) -> Result<Option<Vec<u8>>, AgentError> {
        let command = "guest-file-read";
        let arguments = json!({ "handle": handle, "count": CHUNK });
        let piece: Piece = self.ask(command, &arguments)?;
        let bytes = decode(command, &piece.buf_b64)?;
        if bytes.len() != piece.count || bytes.len() > CHUNK {
            let what =
                format!("{} bytes that it counts otherwise", bytes.len());
            return Err(AgentError::Nonsense { command, what });
        }
        Ok((!bytes.is_empty() || !piece.eof).then_some(bytes))
    }

    pub(super) fn close(
        self,
        Handle(handle): Handle,
    ) -> Result<(), AgentError> {
        let done: Value =
            self.ask("guest-file-close", &json!({ "handle": handle }))?;
        drop(done);
        Ok(())
    }

    /// Starts a program with these arguments; there is no shell between.
    pub(super) fn start(
        self,
        program: &str,
        arguments: &[&str],
    ) -> Result<Pid, AgentError> {
        let started: Started = self.ask(
            "guest-exec",
            &json!({
                "path": program,
                "arg": arguments,
                "capture-output": true,
            }),
        )?;
        Ok(started.pid)
    }

    /// Returns how a program has ended; `None` while it runs.
    pub(super) fn ended(
        self,
        Pid(pid): Pid,
    ) -> Result<Option<Ended>, AgentError> {
        let command = "guest-exec-status";
        let status: Status = self.ask(command, &json!({ "pid": pid }))?;
        if !status.exited {
            return Ok(None);
        }
        let said = |data: Option<String>| {
            decode(command, data.as_deref().unwrap_or_default())
        };
        Ok(Some(Ended {
            code: status.exitcode,
            out: said(status.out_data)?,
            err: said(status.err_data)?,
            cut: status.out_truncated,
        }))
    }

    fn ask<T: DeserializeOwned>(
        self,
        command: &'static str,
        arguments: &Value,
    ) -> Result<T, AgentError> {
        let line = json!({ "execute": command, "arguments": arguments });
        let answer = (self.ask)(&line.to_string(), PATIENCE)?;
        if answer.len() > LONGEST_ANSWER {
            let what = format!("{} bytes", answer.len());
            return Err(AgentError::Nonsense { command, what });
        }
        let answer: Answer<T> =
            serde_json::from_str(&answer).map_err(|error| {
                let what = format!("{} ({error})", shown(answer.as_bytes()));
                AgentError::Nonsense { command, what }
            })?;
        Ok(answer.value)
    }
}

fn decode(command: &'static str, text: &str) -> Result<Vec<u8>, AgentError> {
    BASE64.decode(text).map_err(|error| AgentError::Nonsense {
        command,
        what: format!("bad base64 ({error})"),
    })
}

/// Spells the beginning of what a guest says so that no terminal minds it.
pub(super) fn shown(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let mut short: String = text.trim().chars().take(SHOWN).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short.escape_debug().collect()
}
