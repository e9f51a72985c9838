//! Running a program: by its absolute path, with an argument vector, an
//! empty environment and no input, and not for ever.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::model::Program;

/// Where programs are looked for, in this order.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The same, for what the program itself starts.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of what a program says last is kept.
const KEPT: usize = 4096;
/// How many lines of it a message shows.
const SHOWN: usize = 3;
/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How often a program is looked at that has closed its output.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a program did not do its work.
#[derive(Debug)]
pub(super) enum Ended {
    /// It could not be started.
    Start(io::Error),
    /// It said that it has failed, or was ended; the last of what it said.
    Failed(String),
}

/// How long a program may take that asks others to do something.
pub(super) const PATIENCE: Duration = Duration::from_secs(2 * 60);

/// Returns how long a program may take: those that write boot files copy
/// kernels, and look at every disk for other systems.
pub(super) const fn limit(program: &Program) -> Duration {
    match program {
        Program::UpdateGrub
        | Program::GrubMkconfig
        | Program::Grub2Mkconfig
        | Program::ProxmoxBootTool
        | Program::KernelInstall => Duration::from_secs(15 * 60),
        Program::DaemonReload | Program::TryRestart(_) => PATIENCE,
    }
}

/// Finds a program by its name.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let paths = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    paths.into_iter().find(|path| {
        path.metadata().is_ok_and(|found| {
            found.is_file() && found.permissions().mode() & 0o111 != 0
        })
    })
}

/// Runs a program and waits until it has ended.
pub(super) fn run(
    path: &Path,
    arguments: &[String],
    limit: Duration,
) -> Result<(), Ended> {
    let (mut output, both) = io::pipe().map_err(Ended::Start)?;
    let errors = both.try_clone().map_err(Ended::Start)?;
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(both)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(Ended::Start)?;
    let mut said = Vec::new();
    let end = Instant::now() + limit;
    match wait(&mut child, &mut output, &mut said, end) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(Ended::Failed(last_words(&said, status))),
        Ok(None) => {
            stop(&mut child, &mut output, &mut said);
            let seconds = limit.as_secs();
            let text = format!("it had not ended after {seconds} s");
            Err(Ended::Failed(text))
        }
        Err(error) => {
            stop(&mut child, &mut output, &mut said);
            Err(Ended::Failed(error.to_string()))
        }
    }
}

/// Waits for the end and keeps what is said last; `None` where it is late.
fn wait(
    child: &mut Child,
    output: &mut PipeReader,
    said: &mut Vec<u8>,
    end: Instant,
) -> io::Result<Option<ExitStatus>> {
    let mut open = true;
    loop {
        if let Some(status) = child.try_wait()? {
            // What it said last may still be in the pipe. Whoever it has left
            // behind may keep the pipe open, and is not waited for.
            while open && listen(output, said, Duration::ZERO)? == Heard::Text {
            }
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if open {
            open = listen(output, said, left.min(10 * PAUSE))? != Heard::End;
        } else {
            std::thread::sleep(left.min(PAUSE));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Text,
    Nothing,
    End,
}

/// Reads once, where there is something to read within that time.
fn listen(
    output: &mut PipeReader,
    said: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<Heard> {
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, patience) {
        Ok(0) | Err(Errno::EINTR) => return Ok(Heard::Nothing),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut buffer = [0; KEPT];
    let count = output.read(&mut buffer)?;
    if count == 0 {
        return Ok(Heard::End);
    }
    said.extend_from_slice(&buffer[..count]);
    let surplus = said.len().saturating_sub(KEPT);
    said.drain(..surplus);
    Ok(Heard::Text)
}

/// Ends a program and all that it has started: first asked, then forced.
fn stop(child: &mut Child, output: &mut PipeReader, said: &mut Vec<u8>) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else {
        return;
    };
    // It may have ended by itself meanwhile, which is as good.
    let _ = killpg(group, Signal::SIGTERM);
    let end = Instant::now() + GRACE;
    if !matches!(wait(child, output, said, end), Ok(Some(_))) {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
    }
}

/// Returns the last lines that were said; without any, how it ended.
fn last_words(said: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return status.to_string();
    }
    let from = lines.len().saturating_sub(SHOWN);
    lines[from..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<(), String> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        run(&find("sh").unwrap(), &arguments, limit).map_err(|end| match end {
            Ended::Start(error) => error.to_string(),
            Ended::Failed(said) => said,
        })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gets_nothing_of_ours() {
        assert_eq!(sh("exit 0", LONG), Ok(()));
        let said = sh("env | sort | tr '\\n' ' '; exit 1", LONG);
        let said = said.unwrap_err();
        // What a shell sets by itself does not count.
        let own = ["PWD=/", "SHLVL=0", "_=/usr/bin/env", "OLDPWD=/"];
        let given: Vec<_> = said
            .split_whitespace()
            .filter(|line| !own.contains(line))
            .collect();
        assert_eq!(given, ["LC_ALL=C", &format!("PATH={PATH}")]);
        assert_eq!(sh("read x; exit 1", LONG).unwrap_err(), "exit status: 1");
    }

    #[test]
    fn the_last_of_what_it_says_is_kept() {
        let script = "yes | head -c 1000000; echo a; echo b >&2; echo; exit 3";
        assert_eq!(sh(script, LONG).unwrap_err(), "y; a; b");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("pid");
        // It would ignore being asked, as its child does.
        let script = format!(
            "trap '' TERM; sleep 600 & echo $! >{}; exec >&- 2>&-; wait",
            file.display()
        );
        let said = sh(&script, Duration::from_secs(1)).unwrap_err();
        assert_eq!(said, "it had not ended after 1 s");
        let pid = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let gone = |stat: &str| {
            let text = std::fs::read_to_string(stat).unwrap_or_default();
            text.is_empty() || text.contains(") Z ")
        };
        // The kernel ends it when it next runs.
        for _ in 0..600 {
            if gone(&stat) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("its child runs on");
    }

    #[test]
    fn a_child_that_stays_is_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("pid");
        // The child keeps the output open for longer than the limit.
        let script = format!("sleep 600 & echo $! >{}", file.display());
        assert_eq!(sh(&script, Duration::from_secs(5)), Ok(()));
        let pid = std::fs::read_to_string(&file).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap());
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn what_is_not_there_cannot_be_started() {
        assert_eq!(find("vmtune-no-such-program"), None);
        let path = Path::new("/nonexistent");
        assert!(matches!(run(path, &[], LONG), Err(Ended::Start(_))));
    }
}
