//! What the guest says of itself, and RDMA between the host and it.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{GUEST, HOST, MESSAGES, RDMA, VM};
use crate::guest::PROBE;
use crate::inside::cards::Port;
use crate::inside::rdma::{figures, gid};
use crate::inside::{Lab, get, wait};

/// What a guest is asked about itself.
const LOOK: &str = "nproc
cat /sys/devices/system/cpu/cpu0/topology/thread_siblings_list
cat /sys/bus/pci/drivers/igbvf/*/net/*/address";

/// Where the GID of the guest's address is.
const GIDS: &str = "/sys/class/infiniband/rxe0/ports/1/gids";

pub(super) fn run(lab: &Lab, port: &Port) -> Result<()> {
    let info = wait("the agent answers", 60, || {
        lab.agent(VM, &json!({"execute": "guest-info"})).ok()
    })?;
    lab.keep_json("agent.json", &info)?;
    shell(lab, "guest.look", LOOK)?;
    let probe = format!("/lab/kernel/{PROBE}");
    let verify = ["verify", VM, "--probe", &probe, "--seconds", "3"];
    let (code, verdict) = lab.try_vmtune(
        "verdict",
        &[&verify[..], &["--format", "json"]].concat(),
    )?;
    ensure!(
        [0, 6].contains(&code),
        "vmtune verify failed with {code}: {verdict}"
    );
    shell(lab, "guest.left", "ls -d /var/tmp/* /tmp/* || true")?;
    lab.try_run(
        "ping",
        &["busybox", "ping", "-c", "5", "-W", "10", &GUEST.to_string()],
    )?;

    lab.soft_roce(RDMA, &port.interface)?;
    keep_counters(lab, "before")?;
    let [a, b, c, d] = GUEST.octets();
    let end = format!("{a:02x}{b:02x}:{c:02x}{d:02x}$");
    let find = format!("cd {GIDS} && grep -l '{end}' *");
    let there = shell(lab, "guest.gid", &find)?;
    let messages = MESSAGES.to_string();
    let line = |gid| {
        ["ib_write_bw", "-F", "-n", &messages, "-d", RDMA, "-x", gid].to_vec()
    };
    let server = lab.guest_start(VM, &line(there.trim()))?;
    wait("the guest listens", 60, || {
        // 4853 is perftest's port, 18515, and 0A a socket that listens.
        let listens = "grep -q ':4853 .* 0A ' /proc/net/tcp /proc/net/tcp6";
        shell(lab, "guest.listens", listens).ok()
    })?;
    let (here, to) = (gid(RDMA, HOST)?, GUEST.to_string());
    let client = [vec!["timeout", "120"], line(&here), vec![&to]].concat();
    let text = lab.run("ib_write_bw", &client)?;
    lab.guest_wait("guest.ib_write_bw", &server)?;
    keep_counters(lab, "after")?;
    lab.keep_json("figures.json", &figures(&text)?)
}

fn shell(lab: &Lab, name: &str, command: &str) -> Result<String> {
    lab.guest_run(VM, name, &["/bin/sh", "-c", command])
}

/// Keeps the packets that host and guest have counted.
fn keep_counters(lab: &Lab, when: &str) -> Result<()> {
    let folder = format!("/sys/class/infiniband/{RDMA}/ports/1/hw_counters");
    let sent = get(&format!("{folder}/sent_pkts"))?;
    lab.keep(&format!("sent.{when}"), &sent)?;
    let received = format!("cat {folder}/rcvd_pkts");
    shell(lab, &format!("received.{when}"), &received)?;
    Ok(())
}
