//! A visit by way of the real agent. It runs on this machine instead of in a
//! guest and is asked through a socket: what it does is the same.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use vmtune::hypervisor::{Cause, CauseKind, HypervisorError};
use vmtune::model::probe::ProbeReport;
use vmtune::verify::{Step, VisitError, visit};

use crate::host;

struct Agent {
    process: Child,
    _folder: tempfile::TempDir,
    stream: UnixStream,
}

impl Agent {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let process = Command::new("/usr/sbin/qemu-ga")
            .args(["--method", "unix-listen", "--path"])
            .arg(&socket)
            .arg("--statedir")
            .arg(folder.path())
            .arg("--pidfile")
            .arg(folder.path().join("pid"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let connect = || UnixStream::connect(&socket).ok();
        let tries = std::iter::repeat_with(connect).take(100);
        let stream = tries
            .inspect(|_| std::thread::sleep(Duration::from_millis(50)))
            .flatten()
            .next()
            .expect("the agent listens");
        Self { process, _folder: folder, stream }
    }

    /// Asks as libvirt does, which makes an error of the agent's own.
    fn ask(
        &self,
        command: &str,
        patience: Duration,
    ) -> Result<String, HypervisorError> {
        let mut stream = &self.stream;
        stream.set_read_timeout(Some(patience)).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        let value: Value = serde_json::from_str(&answer).unwrap();
        match value["error"]["desc"].as_str() {
            None => Ok(answer),
            Some(message) => Err(HypervisorError::Agent {
                domain: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap(),
                source: Cause::new(CauseKind::Other, message),
            }),
        }
    }

    fn visit(
        &self,
        program: &[u8],
        arguments: &[&str],
        time: Duration,
    ) -> Result<Vec<u8>, VisitError> {
        let ask = |command: &str, patience| self.ask(command, patience);
        let mut steps = Vec::new();
        let outcome = visit(&ask, program, arguments, time, &mut |step| {
            steps.push(step);
        });
        assert!(steps.contains(&Step::Bringing(0, program.len())));
        assert_eq!(left(), 0, "{outcome:?}");
        outcome
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Counts what a visit would have left.
fn left() -> usize {
    ["/var/tmp", "/tmp", "/root", "/opt", "/dev/shm"]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("vmtune-probe.")
        })
        .count()
}

/// One test, for what one visit leaves another would count.
#[test]
fn the_probe_comes_and_goes() {
    if !host::ready(0) {
        return;
    }
    let agent = Agent::start();
    let long = Duration::from_secs(60);

    let probe = stripped(Path::new(env!("CARGO_BIN_EXE_vmtune-probe")));
    let line = "run --only jitter --seconds 1 --format json";
    let line: Vec<&str> = line.split(' ').collect();
    let said = agent.visit(&probe, &line, long).unwrap();
    let report: ProbeReport = serde_json::from_slice(&said).unwrap();
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert_eq!(report.jitter.unwrap().cpus.len(), cpus);

    let failing = b"#!/bin/sh\necho \"no $1\" >&2\nexit 3\n";
    let error = agent.visit(failing, &["luck; id"], long).unwrap_err();
    let said = error.to_string();
    assert_eq!(said, "the probe in the guest ended with 3: no luck; id");

    let endless = b"#!/bin/sh\nexec sleep 987654\n";
    let error = agent.visit(endless, &[], Duration::ZERO).unwrap_err();
    assert!(matches!(error, VisitError::Late(_)), "{error:?}");
    std::thread::sleep(Duration::from_millis(200));
    assert!(!runs("987654"), "it was killed");

    let error = agent.visit(b"#!/no/such\n", &[], long).unwrap_err();
    assert!(matches!(error, VisitError::NoPlace { .. }), "{error:?}");
}

/// Reads a program without what only debuggers need: most of it.
fn stripped(program: &Path) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut strip = Command::new("strip");
    assert!(
        strip
            .arg("-o")
            .args([file.path(), program])
            .status()
            .unwrap()
            .success()
    );
    fs::read(file.path()).unwrap()
}

/// Returns whether a program runs with this argument.
fn runs(argument: &str) -> bool {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| {
        let is_process = entry.file_name().to_str()?.parse::<u32>().is_ok();
        let path = Path::new("/proc").join(entry.file_name()).join("cmdline");
        is_process.then(|| fs::read(path).ok()).flatten()
    });
    let mut lines = lines
        .map(|line| line.split(|b| *b == 0).map(Vec::from).collect::<Vec<_>>());
    lines.any(|words| words.iter().any(|word| word == argument.as_bytes()))
}
