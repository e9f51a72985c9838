//! How the process ends: each kind of error has its exit code.

use std::io;
use std::process::ExitCode;

use super::screen::Screen;

/// A command that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing more to say.
    Done,
    /// Changes are planned, and the exit code shall say so.
    Changes,
    /// What was checked has findings.
    Findings,
}

/// What kind of error it is: what the caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something did not work.
    Failed,
    /// The command line is wrong.
    Usage,
    /// `apply` failed, and all that it did was undone.
    RolledBack,
    /// Something could not be undone: a person must act.
    RollbackIncomplete,
    /// No plan can be made.
    Refused,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    /// What was being done, to what; its sources say why that failed.
    error: anyhow::Error,
    /// What to do next.
    hint: Option<String>,
    /// What programs are told in place of all this.
    json: Option<String>,
}

impl CliError {
    /// Makes an error of a kind.
    pub fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into(), hint: None, json: None }
    }

    /// Says that the command line is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, anyhow::Error::msg(what.into()))
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says what programs are told.
    #[must_use]
    pub fn json(self, json: String) -> Self {
        Self { json: Some(json), ..self }
    }

    /// Returns the error as a clause of another sentence.
    pub(super) fn in_short(&self) -> String {
        let causes: Vec<_> =
            self.error.chain().map(ToString::to_string).collect();
        causes.join(": ")
    }

    /// Returns whether whoever read our output has gone away, which is how
    /// `| head` ends and no error.
    fn is_broken_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        })
    }

    fn show(&self, screen: &mut Screen) {
        if let Some(json) = &self.json {
            screen.say(json);
            return;
        }
        screen.complain("error", &self.error.to_string());
        for cause in self.error.chain().skip(1) {
            screen.complain("because", &cause.to_string());
        }
        if let Some(hint) = &self.hint {
            screen.complain("hint", hint);
        }
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Kind::Failed, error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::new(Kind::Failed, error)
    }
}

/// Reports an outcome and returns its exit code.
#[must_use]
pub fn exit_code(
    outcome: Result<Done, CliError>,
    screen: &mut Screen,
) -> ExitCode {
    let code = match outcome {
        Ok(Done::Done) => 0,
        Ok(Done::Changes) => 3,
        Ok(Done::Findings) => 6,
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            error.show(screen);
            match error.kind {
                Kind::Failed => 1,
                Kind::Usage => 2,
                Kind::RolledBack => 4,
                Kind::RollbackIncomplete => 5,
                Kind::Refused => 7,
            }
        }
    };
    ExitCode::from(code)
}
