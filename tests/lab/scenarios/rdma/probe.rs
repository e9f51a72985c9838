//! What vmtune-probe measures between the two devices, against what the
//! kernel has counted; and what is left when one side dies.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::moved::{Counters, counters};
use super::{ENDS, MESSAGES};
use crate::inside::rdma::listens;
use crate::inside::{Lab, wait};
use crate::judge::{Judge, Results};

const PROGRAM: &str = "/lab/programs/vmtune-probe";
const PORT: u16 = 18600;
/// What the two sides know. It is no secret here.
const SECRET: &str = "known-to-the-lab";
/// The sizes of messages, small ones and one of several packets.
const SIZES: [u64; 2] = [64, 64 << 10];

/// Measures each verb, and then again with a side that dies.
pub(super) fn run(lab: &Lab) -> Result<()> {
    lab.keep("secret", SECRET)?;
    let secret = lab.path("secret").display().to_string();
    let [(a, ..), (b, ..)] = ENDS;
    let serve = |name: &str| {
        let line = ["serve", "--listen", "127.0.0.1:18600", "--clients", "1"];
        let own = ["--device", b, "--secret-file", &secret];
        let server =
            lab.start(name, &[&[PROGRAM], &line[..], &own].concat())?;
        listens(PORT).map(|()| server)
    };
    // A looped one sends to itself, and the other device sees nothing.
    let to = if lab.does_wrong("unsent") { b } else { a };
    let line =
        ["timeout", "100", PROGRAM, "run", "127.0.0.1", "--only", "rdma"];
    let own = ["--device", to, "--secret-file", &secret, "--format", "json"];
    let sizes = SIZES.map(|size| size.to_string()).join(",");
    let what = ["--sizes", &sizes, "--seconds", "2", "--repeats", "3"];
    let patterns = ["--patterns", "round-trip,one-way,both-ways"];

    lab.run("resources.before", &["rdma", "-j", "resource", "show"])?;
    lab.keep_json("probe.before", &counters()?)?;
    let mut server = serve("probe.server")?;
    lab.run("probe.json", &[&line[..], &own, &what, &patterns].concat())?;
    ensure!(server.wait()?.success(), "the probe that served has failed");
    lab.keep_json("probe.after", &counters()?)?;

    let mut server = serve("dying.server")?;
    let long = ["--verbs", "write", "--patterns", "one-way", "--seconds", "60"];
    let mut client = lab.start("dying", &[&line[..], &own, &long].concat())?;
    let sent = || -> Result<u64> {
        Ok(counters()?.values().map(|device| device["sent_pkts"]).sum())
    };
    let before = sent()?;
    wait("the probe sends", 60, || {
        (sent().ok()? > before + MESSAGES).then_some(())
    })?;
    server.kill()?;
    server.wait()?;
    let ended = client.wait()?.code();
    lab.keep_json("dying.json", &json!({ "ended": ended }))?;
    lab.run("resources.after", &["rdma", "-j", "resource", "show"])?;
    Ok(())
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let report: Value = results.json("probe.json")?;
    let rdma = &report["rdma"]["value"];
    let [(a, _, at_a), (b, _, at_b)] = ENDS;
    for (side, device, at) in [("own", a, at_a), ("peer", b, at_b)] {
        let end = &rdma[side];
        let gid: Option<std::net::Ipv6Addr> =
            end["gid"].as_str().and_then(|gid| gid.parse().ok());
        judge.same(
            format!("the probe has chosen the address of {device}"),
            &(end["device"].as_str(), end["kind"].as_str(), gid),
            &(Some(device), Some("RoCE v2"), Some(at.to_ipv6_mapped())),
        );
    }
    let runs = rdma["runs"].as_array().context("no measurements")?;
    let mut found: Vec<String> = runs.iter().map(name).collect();
    found.sort();
    let mut expected = Vec::new();
    for verb in ["write", "read", "send"] {
        for size in SIZES {
            for pattern in ["flow false", "flow true", "round-trip null"] {
                expected.push(format!("{verb} {size} {pattern}"));
            }
        }
    }
    expected.sort();
    judge.same("the probe has measured what was asked", &found, &expected);
    let before: Counters = results.json("probe.before")?;
    let after: Counters = results.json("probe.after")?;
    let mut sent = 0;
    for run in runs {
        let what = name(run);
        let tuning = &run["tuning"];
        judge.same(
            format!("packets of {what} are as large as the cable allows"),
            &tuning["mtu"].as_u64(),
            &Some(4096),
        );
        let figures = ["messages", "rate", "median"].map(|key| {
            run["found"][key]["value"].as_u64().filter(|value| *value > 0)
        });
        judge.holds(
            format!("{what} has found something"),
            figures.iter().flatten().count() > 0,
            || run["found"].to_string(),
        );
        let bytes = run["own_cost"]["bytes"].as_u64().unwrap_or(0);
        let counter = |side: &str, name: &str| {
            run[side][name].as_u64().unwrap_or_default()
        };
        let packets = counter("own_counters", "sent_pkts")
            + counter("peer_counters", "sent_pkts");
        judge.holds(
            format!("the counters have seen the bytes of {what}"),
            bytes > 0 && packets >= bytes.div_ceil(4096),
            || format!("{packets} packets for {bytes} bytes"),
        );
        sent += counter("own_counters", "sent_pkts");
    }
    let grown = after[a]["sent_pkts"] - before[a]["sent_pkts"];
    judge.same(
        "the probe tells of each packet that the kernel has counted",
        &sent,
        &grown,
    );
    let dying: Value = results.json("dying.json")?;
    judge.same(
        "a probe whose other side dies says so and ends",
        &dying["ended"],
        &json!(1),
    );
    let left = |name: &str| -> Result<Value> { results.json(name) };
    judge.same(
        "no queue pair is left, nor anything else",
        &left("resources.after")?,
        &left("resources.before")?,
    );
    Ok(())
}

fn name(run: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = &run["found"];
    let (verb, size) = (text(&run["verb"]), &run["size"]);
    format!("{verb} {size} {} {}", text(&found["kind"]), found["both_ways"])
}
