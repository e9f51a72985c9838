//! What is not in a file is asked of the programs that show it: by an
//! argument vector, without a shell, and not for ever.
//!
//! A captured tree has the answers in `programs/`, each in a file that is
//! called by the words of the question: `programs/ethtool -g eth0`. Words are
//! literals and values of `base` that cannot be read as options or climb.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Root;
use crate::model::Fact;

/// Where programs are looked for.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The folder of a captured tree that holds answers.
const ANSWERS: &str = "programs";
/// Longest answer: a card with some hundred functions tells a tenth of it.
const MAX_ANSWER: usize = 1 << 20;
/// How long a program may think; they ask the kernel, which is not slow.
const PATIENCE: Duration = Duration::from_secs(5);

impl Root {
    /// Asks a program and keeps what `keep` makes of its answer; a capture
    /// holds nothing else of it. Says why where there is no answer.
    pub(super) fn ask(
        &self,
        words: &[&str],
        keep: impl Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        let question = words.join(" ");
        let place = format!("{ANSWERS}/{question}");
        let answer = match self.is_live() {
            true => run(words).map_err(|why| format!("`{question}` {why}"))?,
            false => self.unlogged().read(&place).map_err(|_| {
                format!("the tree holds no answer of `{question}`")
            })?,
        };
        let kept = keep(&answer).ok_or_else(|| {
            format!("`{question}` answers in a form of its own")
        })?;
        self.note_answer(&place, kept.as_bytes());
        Ok(kept)
    }

    /// Asks a program that answers in JSON; only what `T` names is kept.
    pub(super) fn ask_json<T: DeserializeOwned + Serialize>(
        &self,
        words: &[&str],
    ) -> Result<T, String> {
        let keep = |text: &str| {
            let value: T = serde_json::from_str(text).ok()?;
            serde_json::to_string_pretty(&value).ok()
        };
        let kept = self.ask(words, keep)?;
        serde_json::from_str(&kept).map_err(|e| e.to_string())
    }

    /// Asks a program, and makes a fact of those lines of its answer that
    /// `matters` takes.
    pub(super) fn ask_lines<T>(
        &self,
        words: &[&str],
        matters: impl Fn(&str) -> bool,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Fact<T> {
        let keep = |text: &str| {
            let lines = text.lines().filter(|line| matters(line));
            Some(lines.map(|line| format!("{line}\n")).collect())
        };
        let question = words.join(" ");
        match self.ask(words, keep) {
            Err(why) => Fact::unknown(why),
            Ok(kept) => parse(&kept).map_or_else(
                || Fact::unknown(format!("`{question}` does not tell")),
                |value| Fact::known(value, format!("`{question}`")),
            ),
        }
    }
}

/// Runs a program and takes what it writes to its standard output.
fn run(words: &[&str]) -> Result<String, String> {
    let (name, arguments) = words.split_first().ok_or("names no program")?;
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    let path = found
        .into_iter()
        .find(|path| path.is_file())
        .ok_or("cannot be asked: it is not installed")?;
    let failed = |e: io::Error| format!("could not be run: {e}");
    let (mut output, writer) = io::pipe().map_err(failed)?;
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let answer = listen(&mut output);
    if answer.is_err() {
        // It may have ended meanwhile, which is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let answer = answer?;
    if !status.success() {
        return Err(format!("has failed ({status})"));
    }
    String::from_utf8(answer).map_err(|_| "does not answer in UTF-8".into())
}

/// Reads to the end, unless that is long or late.
fn listen(output: &mut PipeReader) -> Result<Vec<u8>, String> {
    let failed = |e: io::Error| e.to_string();
    let end = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, left) {
            Ok(0) => {
                let seconds = PATIENCE.as_secs();
                return Err(format!("had not answered after {seconds} s"));
            }
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        match output.read(&mut chunk).map_err(failed)? {
            0 => return Ok(answer),
            n => answer.extend_from_slice(&chunk[..n]),
        }
        if answer.len() > MAX_ANSWER {
            return Err("answers without an end".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_by_its_words() {
        assert_eq!(run(&["echo", "a b", "$HOME"]), Ok("a b $HOME\n".into()));
        let why = run(&["false"]).unwrap_err();
        assert!(why.contains("failed"), "{why}");
        let why = run(&["no-such-program"]).unwrap_err();
        assert!(why.contains("not installed"), "{why}");
        assert!(run(&["../bin/echo-nothing"]).is_err());
    }

    #[test]
    fn an_answer_has_an_end() {
        assert_eq!(run(&["yes"]), Err("answers without an end".into()));
    }

    #[test]
    fn a_tree_answers_from_its_folder() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join(ANSWERS);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("yes no"), "a: 1\nsecret: 2\n").unwrap();
        let root = Root::tree(temp.path());
        let ask = |words: &[&str]| {
            let matters = |line: &str| line.starts_with("a:");
            root.ask_lines(words, matters, |text| Some(text.to_owned()))
        };
        let fact = ask(&["yes", "no"]);
        assert_eq!(fact.value().map(String::as_str), Some("a: 1\n"));
        // A tree never runs what it has no answer for.
        let why = ask(&["yes"]);
        assert_eq!(why.reason(), Some("the tree holds no answer of `yes`"));
    }
}
