//! RDMA between two devices of one host: what vmtune says of them against
//! rdma, verbs and the kernel, and that perftest and vmtune-probe move data
//! between them.

mod facts;
mod moved;
mod probe;

use std::net::Ipv4Addr;

use anyhow::{Result, bail, ensure};

use crate::inside::rdma::{figures, gid, listens};
use crate::inside::{Lab, set};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "rdma",
    about: "RDMA devices are told as they are, and move data",
    shapes: &["epyc-2s-4n", "small-vf"],
    alone: false,
    patience: 420,
    faults: &[
        Fault {
            name: "swapped",
            shape: "small-vf",
            found_by: "rdma names the same interfaces",
        },
        Fault {
            name: "looped",
            shape: "small-vf",
            found_by: "each message of ib_write_bw went through",
        },
        Fault {
            name: "unsent",
            shape: "small-vf",
            found_by: "the probe has chosen the address of rxe-a",
        },
    ],
    run,
    judge,
};

/// The devices, each with its end of a cable and the address of that.
pub(crate) const ENDS: [(&str, &str, Ipv4Addr); 2] = [
    ("rxe-a", "cable-a", Ipv4Addr::new(10, 9, 0, 1)),
    ("rxe-b", "cable-b", Ipv4Addr::new(10, 9, 0, 2)),
];
/// The cable's MTU: the least that carries RoCE packets of 4096 bytes, and a
/// little more, as on real switches.
const MTU: &str = "4200";
/// How many messages are sent each time.
const MESSAGES: u64 = 200;
/// How long a test may take, in seconds, before it is ended.
const PATIENCE: &str = "100";

fn run(lab: &Lab) -> Result<()> {
    cable(lab)?;
    let [(a, on_a, _), (b, on_b, _)] = ENDS;
    let swapped = lab.does_wrong("swapped");
    let (for_a, for_b) = if swapped { (on_b, on_a) } else { (on_a, on_b) };
    lab.soft_roce(a, for_a)?;
    lab.soft_roce(b, for_b)?;
    lab.vmtune("facts.json", &["facts", "--format", "json"])?;
    if swapped {
        remove(lab)?;
        lab.soft_roce(a, on_a)?;
        lab.soft_roce(b, on_b)?;
    }
    lab.run("rdma.json", &["rdma", "-j", "link", "show"])?;
    lab.run("devinfo", &["ibv_devinfo"])?;
    lab.keep_json("sysfs.json", &facts::sysfs()?)?;
    test(lab, "ib_write_bw", 18515)?;
    test(lab, "ib_send_lat", 18516)?;
    probe::run(lab)?;
    remove(lab)?;
    lab.ip("uncable", &["link", "delete", on_a])?;
    Ok(())
}

/// Connects the two ends. What leaves one enters the other, although both
/// addresses are this host's.
pub(crate) fn cable(lab: &Lab) -> Result<()> {
    let [(_, a, _), (_, b, _)] = ENDS;
    let line = ["link", "add", a, "type", "veth", "peer", "name", b];
    lab.ip("cable", &line)?;
    set("/proc/sys/net/ipv4/conf/all/rp_filter", "0")?;
    set("/proc/sys/net/ipv4/conf/all/arp_ignore", "1")?;
    for (_, end, address) in ENDS {
        set(&format!("/proc/sys/net/ipv4/conf/{end}/rp_filter"), "0")?;
        set(&format!("/proc/sys/net/ipv4/conf/{end}/accept_local"), "1")?;
        lab.ip("up", &["link", "set", end, "mtu", MTU, "up"])?;
        let address = format!("{address}/24");
        lab.ip("address", &["address", "add", &address, "dev", end])?;
    }
    Ok(())
}

pub(crate) fn remove(lab: &Lab) -> Result<()> {
    for (device, ..) in ENDS {
        lab.run("remove", &["rdma", "link", "delete", device])?;
    }
    Ok(())
}

/// Runs a test of perftest from the first device to the second, and keeps its
/// figures, and the counters before and after.
fn test(lab: &Lab, program: &str, port: u16) -> Result<()> {
    let [(a, _, at_a), (b, _, at_b)] = ENDS;
    let (b, at_b) =
        if lab.does_wrong("looped") { (a, at_a) } else { (b, at_b) };
    let (messages, number) = (MESSAGES.to_string(), port.to_string());
    let line = |device, gid| {
        let program = ["timeout", PATIENCE, program, "-F"];
        let what = ["-n", &messages, "-p", &number, "-d", device, "-x", gid];
        [&program[..], &what].concat()
    };
    let (gid_a, gid_b) = (gid(a, at_a)?, gid(b, at_b)?);
    lab.keep_json(&format!("{program}.before"), &moved::counters()?)?;
    let server = line(b, &gid_b);
    let mut server = lab.start(&format!("{program}.server"), &server)?;
    listens(port)?;
    let client = [line(a, &gid_a), vec!["127.0.0.1"]].concat();
    let text = lab.run(program, &client)?;
    ensure!(server.wait()?.success(), "the server of {program} has failed");
    lab.keep_json(&format!("{program}.after"), &moved::counters()?)?;
    lab.keep_json(&format!("{program}.json"), &figures(&text)?)
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    facts::judge(results, judge)?;
    for (program, bytes) in [("ib_write_bw", 65536), ("ib_send_lat", 2)] {
        moved::judge(results, judge, program, bytes)?;
    }
    let times: Vec<f64> = results.json("ib_send_lat.json")?;
    let [_, _, least, most, typical, mean, ..] = times[..] else {
        bail!("ib_send_lat has printed {times:?}");
    };
    judge.holds(
        "ib_send_lat's times are in order: shortest, typical, mean, longest",
        0.0 < least && least <= typical && typical <= most && mean <= most,
        || format!("{times:?}"),
    );
    probe::judge(results, judge)
}
