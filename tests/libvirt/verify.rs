//! `vmtune verify`, with libvirt's test driver: it has VMs that run, and no
//! agent in them.

use std::fs;

use serde_json::{Value, json};

use crate::command::Bench;

/// A report as the probe prints it: one CPU that lost so much of a second.
fn report(lost_ns: u64) -> Value {
    json!({
        "schema_version": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "jitter": {
            "gap_from_ns": 1000,
            "cpus": [{
                "cpu": 0,
                "looked_ns": 1_000_000_000,
                "lost_ns": lost_ns,
                "gaps": {
                    "count": 9, "least_ns": 1500, "most_ns": 9000,
                    "mean_ns": 2000, "deviation_ns": 7,
                    "percentiles": [{ "of_100_000": 50000, "ns": 1600 }],
                    "buckets": [{ "from_ns": 1024, "count": 9 }],
                },
                "stolen_ns": { "value": 490_000_000, "origin": "/proc/stat" },
                "preempted": 1,
            }],
        },
    })
}

fn judged(bench: &Bench, report: &Value) -> (i32, String, String) {
    fs::write(bench.path("r.json"), report.to_string()).unwrap();
    let uri = bench.uri();
    let output =
        bench.run(&format!("verify vm1 --from r.json --connect {uri}"));
    (output.code, output.out, output.err)
}

#[test]
fn a_report_is_judged() {
    let bench = Bench::new();
    let (code, out, err) = judged(&bench, &report(2_000_000));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("vm1 is as it should be.\n"), "{out}");

    let (code, out, _) = judged(&bench, &report(500_000_000));
    assert_eq!(code, 6, "{out}");
    assert!(out.contains("vm1: 1 finding"), "{out}");
    assert!(out.contains("vCPU 0"), "{out}");
    assert!(out.contains("rules: vcpu-pin, cpu-isolation"), "{out}");

    let uri = bench.uri();
    let json = bench.run(&format!(
        "verify vm1 --from r.json --connect {uri} --format json"
    ));
    let verdict: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(verdict["findings"][0]["kind"], "cpu-lost");
    assert_eq!(verdict["report"], report(500_000_000));
}

#[test]
fn a_look_is_shown_beside_the_one_before() {
    let bench = Bench::new();
    let lines = |out: &str| -> Vec<String> {
        let lines = out.lines().skip_while(|line| !line.starts_with("since"));
        lines.skip(1).take(1).map(|line| line.trim().to_owned()).collect()
    };
    let uri = bench.uri();
    let look = |lost, more: &str| {
        fs::write(bench.path("r.json"), report(lost).to_string()).unwrap();
        let line = format!("verify vm1 --from r.json --connect {uri} {more}");
        lines(&bench.run(&line).out)
    };
    assert_eq!(look(500_000_000, "--baseline"), [""; 0], "the first");
    assert_eq!(look(90_000, ""), ["0     50.0 %  → 90 ppm"]);
    assert_eq!(look(30_000_000, ""), ["0     50.0 %  → 3.00 %"]);
    assert_eq!(look(70_000, "--baseline"), ["0     50.0 %  → 70 ppm"]);
    assert_eq!(look(80_000, ""), ["0     70 ppm  → 80 ppm"]);
}

/// Whatever numbers a guest gives, they are numbers.
#[test]
fn no_number_of_a_guest_is_too_much() {
    let bench = Bench::new();
    let numbers = numbers(&report(1), "");
    assert!(numbers.len() > 10, "{numbers:?}");
    assert_eq!(judged(&bench, &report(1)).0, 0);
    for pointer in numbers {
        for odd in [json!(0), json!(u64::MAX), json!(u32::MAX), json!(-1)] {
            let mut report = report(1);
            *report.pointer_mut(&pointer).unwrap() = odd.clone();
            let (code, out, err) = judged(&bench, &report);
            assert!([0, 1, 6].contains(&code), "{pointer} {odd}: {err}");
            assert!(!err.contains("panicked"), "{pointer} {odd}: {err}");
            assert_eq!(code == 1, out.is_empty(), "{pointer} {odd}: {out}");
        }
    }
}

/// Returns the places of all numbers.
fn numbers(value: &Value, path: &str) -> Vec<String> {
    let inside: Vec<(String, &Value)> = match value {
        Value::Number(_) => return vec![path.to_owned()],
        Value::Array(all) => {
            all.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect()
        }
        Value::Object(all) => {
            all.iter().map(|(key, v)| (key.clone(), v)).collect()
        }
        _ => return Vec::new(),
    };
    let each = inside.into_iter();
    each.flat_map(|(key, v)| numbers(v, &format!("{path}/{key}"))).collect()
}

#[test]
fn what_is_no_report_of_this_probe_is_refused() {
    let bench = Bench::new();
    let mut other = report(1);
    other["version"] = "9.9\u{1b}[2J".into();
    let (code, _, err) = judged(&bench, &other);
    assert_eq!(code, 1);
    assert!(err.contains("is of vmtune-probe 9.9\\u{1b}[2J"), "{err}");
    let mut more = report(1);
    more["command"] = "reboot".into();
    let (code, _, err) = judged(&bench, &more);
    assert_eq!(code, 1);
    assert!(err.contains("reading what the probe in vm1 found"), "{err}");

    let uri = bench.uri();
    let none = bench.run(&format!("verify vm1 --from none --connect {uri}"));
    assert_eq!(none.code, 1);
    assert!(none.err.contains("reading none"), "{}", none.err);
}

#[test]
fn a_guest_without_an_agent_is_visited_by_hand() {
    let bench = Bench::new();
    let uri = bench.uri();
    let asked = bench.run(&format!("verify vm1 --connect {uri}"));
    assert_eq!(asked.code, 1);
    let err = asked.err;
    assert!(err.contains("looking at vm1 from inside"), "{err}");
    let hint = "hint: this needs libvirt's QEMU driver (qemu:///system)\n";
    assert!(err.ends_with(hint), "{err}");
    let by_hand = bench.run("verify vm1 --manual");
    assert_eq!(by_hand.code, 0, "{}", by_hand.err);
    assert!(by_hand.out.contains("vmtune-probe run --only jitter"));
    assert!(by_hand.out.contains("vmtune verify vm1 --from report.json"));
    let none = bench.run(&format!("verify vm7 --connect {uri}"));
    assert_eq!(none.code, 1);
    assert!(none.err.contains("there is no domain \"vm7\""), "{}", none.err);
}
