//! A visit to a guest: the probe is brought in, runs, and is taken out.

use std::time::{Duration, Instant};

use super::agent::{Agent, AgentError, Ask, CHUNK, Ended, Handle, Pid, shown};
use crate::hypervisor::HypervisorError;

/// What the agent has to be able to do. Some distributions forbid a part of
/// it in the agent's own configuration.
const NEEDED: [&str; 6] = [
    "guest-exec",
    "guest-exec-status",
    "guest-file-open",
    "guest-file-write",
    "guest-file-read",
    "guest-file-close",
];

/// Where the probe may go, in the order in which it is tried: programs must
/// be allowed to run from there, and a guest without a disk has /tmp alone.
const FOLDERS: [&str; 5] = ["/var/tmp", "/tmp", "/root", "/opt", "/dev/shm"];

/// What mktemp makes in them.
const NAME: &str = "vmtune-probe.";
/// How many letters it makes up.
const LETTERS: usize = 10;

/// How often it is asked whether a program has ended.
const POLL: Duration = Duration::from_millis(200);
/// How long a program of the system has.
const SHORT: Duration = Duration::from_secs(30);

/// How far a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The probe is brought in: so many bytes of so many.
    Bringing(usize, usize),
    /// It measures.
    Measuring,
}

/// Why a visit failed. Nothing of it is left in the guest, unless the error
/// says so.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The agent may not do what is needed.
    #[error("the guest's agent does not take {}", .0.join(", "))]
    Forbidden(Vec<&'static str>),
    /// The agent failed, or lied.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// There is no place in the guest that programs can be started from.
    #[error("nowhere in the guest can a program be put and started")]
    NoPlace {
        /// What the first of the places said.
        source: Box<VisitError>,
    },
    /// A program of the guest failed.
    #[error("{program} in the guest {how}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it did instead.
        how: String,
    },
    /// What arrived in the guest is not what was sent.
    #[error("the probe arrived in the guest as something else")]
    Altered,
    /// The probe did not come to an end.
    #[error("the probe in the guest still ran after {} s", .0.as_secs())]
    Late(Duration),
    /// All went well, and the probe could not be taken out.
    #[error("the probe is still in the guest, in {folder}")]
    Left {
        /// Where.
        folder: String,
        /// Why.
        source: Box<VisitError>,
    },
}

impl VisitError {
    /// Returns what the hypervisor said, where it was the one that failed.
    #[must_use]
    pub fn hypervisor(&self) -> Option<&HypervisorError> {
        match self {
            Self::Agent(AgentError::Unasked(error)) => Some(error),
            Self::NoPlace { source } | Self::Left { source, .. } => {
                source.hypervisor()
            }
            _ => None,
        }
    }
}

/// Brings a program into a guest, runs it with these arguments, takes it out,
/// and returns what it printed. It has `time`.
///
/// # Errors
/// When any of that fails. The program is taken out all the same.
pub fn visit(
    ask: &Ask<'_>,
    program: &[u8],
    arguments: &[&str],
    time: Duration,
    tell: &mut dyn FnMut(Step),
) -> Result<Vec<u8>, VisitError> {
    let agent = Agent::new(ask);
    let missing = agent.missing(&NEEDED)?;
    if !missing.is_empty() {
        return Err(VisitError::Forbidden(missing));
    }
    let mut first = None;
    for parent in FOLDERS {
        let folder = match make_folder(agent, parent) {
            Ok(folder) => folder,
            Err(error @ VisitError::Program { .. }) => {
                first.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let path = format!("{folder}/vmtune-probe");
        let started = bring(agent, &path, program, tell)
            .and_then(|()| Ok(agent.start(&path, arguments)?));
        let outcome = started.map(|pid| {
            tell(Step::Measuring);
            match wait(agent, pid, time)? {
                Some(ended) => printed(ended),
                None => Err(VisitError::Late(time)),
            }
        });
        let removed = run(agent, "rm", &["-r", "-f", "--", &folder]);
        match outcome {
            // Perhaps nothing may be started from there, or it is full.
            Err(error @ VisitError::Agent(AgentError::Unasked(_))) => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
            Ok(outcome) => {
                let out = outcome?;
                return match removed {
                    Ok(_) => Ok(out),
                    Err(source) => {
                        let source = Box::new(source);
                        Err(VisitError::Left { folder, source })
                    }
                };
            }
        }
    }
    let source = Box::new(first.unwrap_or(VisitError::Altered));
    Err(VisitError::NoPlace { source })
}

/// Makes a folder that nobody else in the guest can put anything into.
fn make_folder(agent: Agent<'_>, parent: &str) -> Result<String, VisitError> {
    let template = NAME.to_owned() + &"X".repeat(LETTERS);
    let made = run(agent, "mktemp", &["-d", "-p", parent, &template])?;
    let said = String::from_utf8_lossy(&made.out);
    let folder = said.trim_end();
    let name = folder.strip_prefix(parent).and_then(|f| f.strip_prefix('/'));
    let letters = name.and_then(|name| name.strip_prefix(NAME));
    let fits = letters.is_some_and(|letters| {
        letters.len() == LETTERS
            && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if !fits {
        let how = format!("said {}", shown(&made.out));
        return Err(VisitError::Program { program: "mktemp", how });
    }
    Ok(folder.to_owned())
}

/// Writes a program, and reads it again.
fn bring(
    agent: Agent<'_>,
    path: &str,
    program: &[u8],
    tell: &mut dyn FnMut(Step),
) -> Result<(), VisitError> {
    let handle = agent.open(path, "wb")?;
    let mut sent = 0;
    let written = program.chunks(CHUNK).try_for_each(|piece| {
        tell(Step::Bringing(sent, program.len()));
        sent += piece.len();
        agent.write(handle, piece)
    });
    agent.close(handle)?;
    written?;
    let handle = agent.open(path, "rb")?;
    let same = is_same(agent, handle, program);
    agent.close(handle)?;
    if !same? {
        return Err(VisitError::Altered);
    }
    run(agent, "chmod", &["700", path]).map(drop)
}

fn is_same(
    agent: Agent<'_>,
    handle: Handle,
    program: &[u8],
) -> Result<bool, AgentError> {
    let mut rest = program;
    while let Some(piece) = agent.read(handle)? {
        let Some(after) = rest.strip_prefix(&piece[..]) else {
            return Ok(false);
        };
        // An agent that goes on giving nothing is not waited for.
        if piece.is_empty() {
            break;
        }
        rest = after;
    }
    Ok(rest.is_empty())
}

/// Runs a program of the guest that has to succeed.
fn run(
    agent: Agent<'_>,
    program: &'static str,
    arguments: &[&str],
) -> Result<Ended, VisitError> {
    let pid = agent.start(program, arguments)?;
    let Some(ended) = wait(agent, pid, SHORT)? else {
        let how = format!("still ran after {} s", SHORT.as_secs());
        return Err(VisitError::Program { program, how });
    };
    match ended.code {
        Some(0) => Ok(ended),
        _ => Err(failed(program, &ended)),
    }
}

/// Waits for a program to end; ends it where it does not in that time, and
/// returns `None`.
fn wait(
    agent: Agent<'_>,
    pid: Pid,
    time: Duration,
) -> Result<Option<Ended>, AgentError> {
    let start = Instant::now();
    let outcome = loop {
        match agent.ended(pid) {
            Ok(None) if start.elapsed() < time => std::thread::sleep(POLL),
            Ok(Some(ended)) => return Ok(Some(ended)),
            other => break other,
        }
    };
    // What cannot be asked may run all the same.
    let killed = agent.start("kill", &["-KILL", &pid.to_string()]);
    outcome.and_then(|_| killed.map(|_| None))
}

fn printed(ended: Ended) -> Result<Vec<u8>, VisitError> {
    match ended.code {
        Some(0) if !ended.cut => Ok(ended.out),
        Some(0) => {
            let how = "printed more than the agent keeps".to_owned();
            Err(VisitError::Program { program: "the probe", how })
        }
        _ => Err(failed("the probe", &ended)),
    }
}

fn failed(program: &'static str, ended: &Ended) -> VisitError {
    let how = match ended.code {
        Some(code) => format!("ended with {code}: {}", shown(&ended.err)),
        None => "was ended by a signal".to_owned(),
    };
    VisitError::Program { program, how }
}

#[cfg(test)]
mod tests;
