//! `vmtune-probe` as it is typed.

#![allow(
    clippy::disallowed_methods,
    reason = "this test starts the program that it tests"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use vmtune::model::probe::{ProbeReport, SocketRun, Transport};

fn probe() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtune-probe"));
    command.env_remove("VMTUNE_PROBE_SECRET");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A probe that serves one client; ended with the test.
struct Serving {
    child: Child,
    secret: String,
    at: String,
}

impl Serving {
    fn start() -> Self {
        let mut child = probe()
            .args(["serve", "--listen", "127.0.0.1:0", "--clients", "1"])
            .args(["--idle", "60s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = out.nth(1).unwrap().unwrap();
        let mut words = line.split_whitespace();
        let (_, secret) = words.next().unwrap().split_once('=').unwrap();
        let (_, port) = line.rsplit_once(':').unwrap();
        let at = format!("127.0.0.1:{port}");
        Self { child, secret: secret.to_owned(), at }
    }

    fn run(&self, secret: &str, args: &[&str]) -> std::process::Output {
        probe()
            .env("VMTUNE_PROBE_SECRET", secret)
            .args(["run", &self.at, "--seconds", "1", "--repeats", "3"])
            .args(args)
            .output()
            .unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_probes_measure_what_lies_between_them() {
    let mut serving = Serving::start();
    let stranger = serving.run("not-the-secret", &["--only", "tcp"]);
    assert_eq!(stranger.status.code(), Some(1));
    let said = text(&stranger.stderr);
    assert!(said.contains("has another secret than this one"), "{said}");
    assert!(said.contains("hint: the secret is the one that"), "{said}");

    let args = ["--only", "udp,stream", "--format", "json", "--size", "64"];
    let run = serving.run(&serving.secret, &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let report: ProbeReport = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report.jitter, None);
    let [SocketRun::Echo(echo), SocketRun::Stream(stream)] =
        &report.sockets[..]
    else {
        panic!("{report:?}");
    };
    assert_eq!((echo.transport, echo.size), (Transport::Udp, 64));
    assert_eq!((echo.median.repeats, stream.rate.repeats), (3, 3));
    // It was asked to serve one client.
    assert!(serving.child.wait().unwrap().success());
}

#[test]
fn where_there_is_no_rdma_the_rest_is_measured() {
    // Whatever devices this machine has, none is called so.
    let none = ["--device", "no-such-device", "--format", "json"];
    let serving = Serving::start();
    let run = serving.run(&serving.secret, &none);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let report: ProbeReport = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report.sockets.len(), 3);
    let why = report.rdma.as_ref().and_then(|rdma| rdma.reason());
    assert!(why.is_some_and(|why| why.contains("RDMA")), "{why:?}");

    let serving = Serving::start();
    let asked = [&none[..], &["--only", "rdma"]].concat();
    let run = serving.run(&serving.secret, &asked);
    assert_eq!((run.status.code(), run.stdout.len()), (Some(1), 0));
    let said = text(&run.stderr);
    assert!(said.contains("measuring over RDMA"), "{said}");
}

#[test]
fn sizes_and_verbs_are_those_that_there_are() {
    for (option, bad) in
        [("--sizes", "9MiB"), ("--verbs", "atomic"), ("--patterns", "twice")]
    {
        let run = probe().args(["run", option, bad]).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{option}");
        assert!(text(&run.stderr).contains("it is ") || option == "--sizes");
    }
}

/// The libraries that the program does not start without.
#[test]
fn it_needs_no_library_but_those_of_every_system() {
    let program = env!("CARGO_BIN_EXE_vmtune-probe");
    let told = Command::new("readelf").args(["-d", program]).output().unwrap();
    let told = text(&told.stdout);
    let mut needed = told.lines().filter(|line| line.contains("(NEEDED)"));
    let every = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
    let other = needed.find(|line| !every.iter().any(|n| line.contains(n)));
    assert_eq!(other, None);
    assert!(told.contains("[libc.so.6]"), "{told}");
}

#[test]
fn what_needs_another_probe_says_so() {
    for args in [&["run", "--only", "tcp"][..], &["run", "192.0.2.1"]] {
        let run = probe().args(args).output().unwrap();
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains("vmtune-probe serve"), "{said}");
    }
}

#[test]
fn a_secret_is_read_from_a_file_and_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "has blanks in it\n").unwrap();
    let run = probe()
        .args(["serve", "--secret-file"])
        .arg(file.path())
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("8 to 256 printable characters"), "{said}");
    assert!(!said.contains("blanks"), "{said}");
}
