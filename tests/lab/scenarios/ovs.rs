//! Open vSwitch with the kernel's datapath, over the ports of a card: the
//! ground for rules about offload and bonds. What the daemon says is compared
//! with the kernel, and packets go from bridge to bridge over the wire.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::inside::{Lab, get};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "ovs",
    about: "Open vSwitch bridges a port and a bond in the kernel",
    shapes: &["small-vf"],
    alone: false,
    patience: 240,
    faults: &[
        Fault {
            name: "userspace",
            shape: "small-vf",
            found_by: "each bridge's datapath is the kernel's",
        },
        Fault {
            name: "unplugged",
            shape: "small-vf",
            found_by: "pings are answered",
        },
    ],
    run,
    judge,
};

/// The bridges, each with the namespace at it. The first has a port of the
/// card, the second a bond with the other port: what goes from one namespace
/// to the other goes over the wire that both ports are plugged into.
const BRIDGES: [(&str, &str); 2] = [("lab0", "left"), ("lab1", "right")];
const BOND: &str = "lag";
const DATABASE: &str = "/etc/openvswitch/conf.db";
const PINGS: usize = 5;

fn run(lab: &Lab) -> Result<()> {
    let ports: Vec<_> = lab.ports()?.into_iter().map(|p| p.interface).collect();
    daemons(lab)?;
    bond(lab, &ports[1])?;
    let uplinks = [ports[0].as_str(), BOND];
    for ((bridge, space), uplink) in BRIDGES.into_iter().zip(uplinks) {
        plug(lab, bridge, space, uplink)?;
    }
    if lab.does_wrong("unplugged") {
        lab.ip("unplug", &["link", "set", &ports[1], "nomaster"])?;
    }
    ping(lab)?;
    look(lab, &ports)?;
    lab.vmtune("facts.json", &["facts", "--format", "json"])?;
    remove(lab)
}

/// Starts the daemons by hand. Offload is asked for first: the daemon reads
/// that once.
fn daemons(lab: &Lab) -> Result<()> {
    let modules = ["openvswitch", "bonding", "veth", "cls_flower"];
    lab.run("modprobe", &[&["modprobe", "-a"], &modules[..]].concat())?;
    fs::create_dir_all("/run/openvswitch")?;
    let schema = "/usr/share/openvswitch/vswitch.ovsschema";
    lab.run("create", &["ovsdb-tool", "create", DATABASE, schema])?;
    let remote = "--remote=punix:/run/openvswitch/db.sock";
    let detached = ["--detach", "--pidfile"];
    let line = [&["ovsdb-server", remote], &detached[..], &[DATABASE]];
    lab.run("ovsdb-server", &line.concat())?;
    let offload = "other_config:hw-offload=true";
    let line = ["--no-wait", "init", "--", "set", "Open_vSwitch", ".", offload];
    vsctl(lab, "init", &line)?;
    let log = format!("--log-file={}", lab.path("vswitchd.log").display());
    let line = [&["ovs-vswitchd", &log], &detached[..]].concat();
    lab.run("ovs-vswitchd", &line)?;
    Ok(())
}

fn vsctl(lab: &Lab, name: &str, line: &[&str]) -> Result<String> {
    lab.run(name, &[&["ovs-vsctl"], line].concat())
}

/// Asks the daemon; what it does not like is for the judge.
fn appctl(lab: &Lab, name: &str, line: &[&str]) -> Result<()> {
    lab.try_run(name, &[&["ovs-appctl"], line].concat())?;
    Ok(())
}

/// Makes a bond of the kernel's own: cards know of such alone.
fn bond(lab: &Lab, port: &str) -> Result<()> {
    let mode = ["mode", "active-backup", "miimon", "100"];
    let line = [&["link", "add", BOND, "type", "bond"], &mode[..]].concat();
    lab.ip("bond", &line)?;
    // A bond takes interfaces that are down.
    lab.ip("down", &["link", "set", port, "down"])?;
    lab.ip("enslave", &["link", "set", port, "master", BOND])?;
    lab.ip("up-bond", &["link", "set", BOND, "up"])?;
    Ok(())
}

/// Makes a bridge with its uplink, and a namespace that is plugged into it.
fn plug(lab: &Lab, bridge: &str, space: &str, uplink: &str) -> Result<()> {
    lab.ip("space", &["netns", "add", space])?;
    let inner = ["peer", "name", "inner", "netns", space];
    let line = [&["link", "add", space, "type", "veth"], &inner[..]].concat();
    lab.ip("veth", &line)?;
    lab.ip("up-veth", &["link", "set", space, "up"])?;
    let inside = ["-n", space];
    let address = format!("10.8.0.{}/24", 1 + u8::from(space == BRIDGES[1].1));
    let line = ["address", "add", &address, "dev", "inner"];
    lab.ip("address", &[&inside[..], &line].concat())?;
    let line = ["link", "set", "inner", "up"];
    lab.ip("up-inner", &[&inside[..], &line].concat())?;
    let mut line = vec!["add-br", bridge];
    if lab.does_wrong("userspace") {
        line.extend(["--", "set", "Bridge", bridge, "datapath_type=netdev"]);
    }
    line.extend(["--", "add-port", bridge, uplink]);
    line.extend(["--", "add-port", bridge, space]);
    vsctl(lab, &format!("add-{bridge}"), &line)?;
    Ok(())
}

/// Pings from one namespace to the other, a few times until it is answered,
/// and then as often as is judged.
fn ping(lab: &Lab) -> Result<()> {
    let ping = ["netns", "exec", BRIDGES[0].1, "busybox", "ping", "10.8.0.2"];
    let line =
        |count| [&["ip"], &ping[..], &["-W", "10", "-c", count]].concat();
    for _ in 0..2 {
        if lab.try_run("first-ping", &line("1"))?.0 == 0 {
            break;
        }
    }
    lab.try_run("ping", &line(&PINGS.to_string()))?;
    Ok(())
}

/// Writes down what the daemon, the kernel and the card say.
fn look(lab: &Lab, ports: &[String]) -> Result<()> {
    lab.keep_json("ports.json", &ports)?;
    let columns = "--columns=name,datapath_type";
    let line = ["--format=json", columns, "list", "Bridge"];
    vsctl(lab, "bridges.json", &line)?;
    for (bridge, _) in BRIDGES {
        vsctl(lab, &format!("ports-{bridge}"), &["list-ports", bridge])?;
    }
    let line = ["get", "Open_vSwitch", ".", "other_config:hw-offload"];
    vsctl(lab, "hw-offload", &line)?;
    appctl(lab, "datapaths", &["dpctl/dump-dps"])?;
    appctl(lab, "datapath", &["dpctl/show"])?;
    appctl(lab, "flows", &["dpctl/dump-flows"])?;
    appctl(lab, "offloaded", &["dpctl/dump-flows", "type=offloaded"])?;
    lab.ip("ip.json", &["-j", "-d", "link", "show"])?;
    lab.run("features", &["ethtool", "-k", &ports[0]])?;
    let bond = get(&format!("/proc/net/bonding/{BOND}"))?;
    lab.keep("bonding", &bond)
}

fn remove(lab: &Lab) -> Result<()> {
    appctl(lab, "stop", &["exit", "--cleanup"])?;
    appctl(lab, "stop-database", &["-t", "ovsdb-server", "exit"])?;
    for (_, space) in BRIDGES {
        lab.ip("remove", &["netns", "delete", space])?;
    }
    lab.ip("remove-bond", &["link", "delete", BOND])?;
    Ok(())
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let bridges: Value = results.json("bridges.json")?;
    let rows = bridges["data"].as_array().context("no bridges")?;
    let types = rows.iter().map(|row| (row[0].to_string(), row[1].clone()));
    let system = |(bridge, _)| (json!(bridge).to_string(), json!(""));
    judge.each(
        "each bridge's datapath is the kernel's: none else was asked for",
        &types.collect(),
        &BRIDGES.map(system).into(),
    );
    judge.same(
        "the daemon runs the kernel's datapath alone",
        &results.text("datapaths")?.trim(),
        &"system@ovs-system",
    );
    judge.same(
        "hardware offload is asked for",
        &results.text("hw-offload")?.trim(),
        &"\"true\"",
    );
    let log = results.text("vswitchd.log")?;
    judge.holds(
        "hardware offload is heeded",
        log.contains("Flow API Enabled"),
        || log,
    );
    plugged(results, judge)?;
    bonded(results, judge)?;
    moved(results, judge)?;

    let facts: Value = results.json("facts.json")?;
    let modules = facts["kernel"]["modules"]["value"].as_array();
    judge.holds(
        "vmtune knows that the kernel has Open vSwitch",
        modules.is_some_and(|all| all.contains(&json!("openvswitch"))),
        || format!("{modules:?}"),
    );
    let bridges = &facts["bridges"]["value"];
    for (bridge, _) in BRIDGES {
        judge.same(
            format!("vmtune knows whose {bridge} is"),
            &bridges[bridge],
            &json!("open-vswitch"),
        );
    }
    judge.same(
        "vmtune knows that offload is asked for",
        &facts["open_vswitch"]["value"]["hw-offload"],
        &json!("true"),
    );
    Ok(())
}

/// Judges that each bridge has its ports, by the daemon and by the kernel.
fn plugged(results: &Results, judge: &mut Judge) -> Result<()> {
    let ports: Vec<String> = results.json("ports.json")?;
    let shown = results.text("datapath")?;
    let links: Vec<Value> = results.json("ip.json")?;
    for ((bridge, space), uplink) in BRIDGES.into_iter().zip([&ports[0], BOND])
    {
        let list = results.text(&format!("ports-{bridge}"))?;
        let list: BTreeSet<_> = list.lines().collect();
        let expected = BTreeSet::from([uplink, space]);
        judge.same(format!("{bridge} has its two ports"), &list, &expected);
        for port in expected {
            let line = format!(": {port}\n");
            judge.holds(
                format!("{port} is a port of the datapath"),
                shown.contains(&line),
                || shown.clone(),
            );
            let link = links.iter().find(|link| link["ifname"] == port);
            let link = link.with_context(|| format!("ip has no {port}"))?;
            judge.same(
                format!("{port} is the datapath's, by the kernel"),
                &(&link["master"], &link["linkinfo"]["info_slave_kind"]),
                &(&json!("ovs-system"), &json!("openvswitch")),
            );
        }
    }
    Ok(())
}

/// Judges that the bond has the other port, and uses it.
fn bonded(results: &Results, judge: &mut Judge) -> Result<()> {
    let ports: Vec<String> = results.json("ports.json")?;
    let text = results.text("bonding")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim_start_matches(':').trim())
    };
    judge.same(
        "the bond is of the kernel's kind that a card can see",
        &field("Bonding Mode"),
        &Some("fault-tolerance (active-backup)"),
    );
    let active = field("Currently Active Slave");
    judge.same("the bond uses the port", &active, &Some(ports[1].as_str()));
    Ok(())
}

/// Judges that packets went from bridge to bridge, and where their flows are.
fn moved(results: &Results, judge: &mut Judge) -> Result<()> {
    let ping = results.text("ping")?;
    // The emulated wire may lose one.
    let answers = ping.lines().filter(|line| line.contains("bytes from"));
    judge.holds(
        format!("pings are answered, over the wire ({PINGS})"),
        answers.count() + 1 >= PINGS,
        || ping.clone(),
    );
    let flows = results.text("flows")?;
    judge.holds(
        "the datapath has a flow of them",
        flows.lines().any(|line| {
            line.contains("eth_type(0x0800)") && !line.contains("actions:drop")
        }),
        || flows.clone(),
    );
    let features = results.text("features")?;
    let feature = features.lines().find(|line| line.contains("hw-tc-offload"));
    judge.same(
        "the card says that it takes no flows",
        &feature.map(str::trim),
        &Some("hw-tc-offload: off [fixed]"),
    );
    judge.same(
        "and none is said to be offloaded to it",
        &results.text("offloaded")?.trim(),
        &"",
    );
    Ok(())
}
