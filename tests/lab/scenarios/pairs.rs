//! vmtune-probe beside perftest on the same devices, in turn: the probe's
//! figures as parts of perftest's, pair by pair. It is a measurement and takes
//! minutes, so it runs where it is asked for. In emulation ratios alone mean
//! something.

use std::process::Child;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmtune::model::probe::Median;

use super::rdma::{ENDS, cable, remove};
use crate::inside::Lab;
use crate::inside::rdma::{figures, gid, listens};
use crate::judge::{Judge, Results};
use crate::scenario::Scenario;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "pairs",
    about: "vmtune-probe beside perftest over RDMA",
    shapes: &["small-vf"],
    alone: true,
    patience: 900,
    faults: &[],
    run,
    judge,
};

const PROBE: &str = "/lab/programs/vmtune-probe";
/// What the two sides know. It is no secret here.
const SECRET: &str = "known-to-the-lab";
/// The least number of pairs of which an interval of 95 % leaves none out.
const PAIRS: usize = 7;

/// A test of perftest's, and the same of the probe's.
struct Test {
    program: &'static str,
    verb: &'static str,
    size: &'static str,
    /// How many messages perftest sends.
    messages: &'static str,
}

const fn test(
    program: &'static str,
    verb: &'static str,
    size: &'static str,
    messages: &'static str,
) -> Test {
    Test { program, verb, size, messages }
}

const TESTS: [Test; 7] = [
    test("ib_write_bw", "write", "64", "5000"),
    test("ib_write_bw", "write", "65536", "400"),
    test("ib_read_bw", "read", "64", "5000"),
    test("ib_read_bw", "read", "65536", "400"),
    test("ib_send_bw", "send", "64", "5000"),
    test("ib_send_bw", "send", "65536", "400"),
    test("ib_write_lat", "write", "64", "1000"),
];

/// One pair: messages a second, or nanoseconds of half a round trip.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
struct Pair {
    perftest: f64,
    probe: f64,
}

fn run(lab: &Lab) -> Result<()> {
    cable(lab)?;
    for (device, on, _) in ENDS {
        lab.soft_roce(device, on)?;
    }
    lab.keep("secret", SECRET)?;
    let secret = lab.path("secret").display().to_string();
    let [(a, _, at_a), (b, _, at_b)] = ENDS;
    let gids = [gid(a, at_a)?, gid(b, at_b)?];
    let line = [PROBE, "serve", "--listen", "127.0.0.1:18600", "--device", b];
    let own = ["--secret-file", &secret];
    let mut server = lab.start("server", &[&line[..], &own].concat())?;
    listens(18600)?;
    let mut port = 20_000;
    for test in &TESTS {
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            port += 1;
            let perftest = perftest(lab, test, &gids, port)?;
            let probe = probe(lab, test, &secret)?;
            pairs.push(Pair { perftest, probe });
        }
        lab.keep_json(&name(test), &pairs)?;
    }
    server.kill()?;
    server.wait()?;
    remove(lab)?;
    lab.ip("uncable", &["link", "delete", ENDS[0].1])?;
    Ok(())
}

fn perftest(
    lab: &Lab,
    test: &Test,
    [gid_a, gid_b]: &[String; 2],
    port: u16,
) -> Result<f64> {
    let [(a, ..), (b, ..)] = ENDS;
    let number = port.to_string();
    let line = |device, gid| {
        let what = ["-n", test.messages, "-s", test.size, "-p", &number];
        let from = ["-d", device, "-x", gid];
        let program = ["timeout", "60", test.program, "-F"];
        [&program[..], &what, &from].concat()
    };
    let mut server: Child = lab.start("perftest.server", &line(b, gid_b))?;
    listens(port)?;
    let client = [line(a, gid_a), vec!["127.0.0.1"]].concat();
    let found = figures(&lab.run("perftest", &client)?)?;
    ensure!(server.wait()?.success(), "{} has failed", test.program);
    let figure = found.get(4).context("perftest says too little")?;
    // The typical time in microseconds, or millions of messages a second.
    Ok(figure * if is_latency(test) { 1e3 } else { 1e6 })
}

fn probe(lab: &Lab, test: &Test, secret: &str) -> Result<f64> {
    let pattern = if is_latency(test) { "round-trip" } else { "one-way" };
    let line = ["timeout", "60", PROBE, "run", "127.0.0.1", "--only", "rdma"];
    let from = ["--device", ENDS[0].0, "--secret-file", secret];
    let what = ["--verbs", test.verb, "--sizes", test.size];
    let how = ["--patterns", pattern, "--seconds", "1", "--repeats", "1"];
    let as_json = ["--format", "json"];
    let text =
        lab.run("probe", &[&line[..], &from, &what, &how, &as_json].concat())?;
    let report: Value = serde_json::from_str(&text)?;
    let found = &report["rdma"]["value"]["runs"][0]["found"];
    let value = |key: &str| found[key]["value"].as_f64();
    let figure = match is_latency(test) {
        true => value("median").map(|ns| ns / 2.0),
        false => value("messages"),
    };
    figure.context("the probe says nothing")
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    for test in &TESTS {
        let pairs: Vec<Pair> = results.json(&name(test))?;
        let ratio = |pair: &Pair| pair.probe / pair.perftest;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a ratio of two positive figures, in thousandths"
        )]
        let ratios = pairs.iter().map(|pair| (ratio(pair) * 1e3) as u64);
        let median = Median::of(ratios.collect()).context("no pairs")?;
        let Median { value, low, high, .. } = median;
        let part = |ratio: u64| format!("{}.{:03}", ratio / 1000, ratio % 1000);
        judge.holds(
            format!(
                "{}, beside the probe in {PAIRS} pairs: {} ({} to {})",
                name(test),
                part(value),
                part(low),
                part(high)
            ),
            pairs.len() == PAIRS
                && pairs.iter().all(|p| p.perftest > 0.0 && p.probe > 0.0),
            || format!("{pairs:?}"),
        );
    }
    Ok(())
}

fn is_latency(test: &Test) -> bool {
    test.program.ends_with("lat")
}

fn name(test: &Test) -> String {
    format!("{} {}", test.program, test.size)
}
