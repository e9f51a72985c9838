//! `AllowedCPUs=` on the units in which the host's own processes are.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{ALL, HOUSE, State, VM};
use crate::inside::Lab;
use crate::judge::{Judge, Results};

const UNITS: [&str; 3] = ["init.scope", "system.slice", "user.slice"];

pub(super) fn run(lab: &Lab) -> Result<()> {
    let house = if lab.does_wrong("wide-slice") { ALL } else { HOUSE };
    allow(lab, house)?;
    State::keep(lab, "allowed")?;
    // Paused, they have all their threads and take no time.
    lab.virsh("start", &["start", "--paused", VM])?;
    lab.virsh("start-other", &["start", "--paused", "other"])?;
    lab.run("machines", &["machinectl", "--no-legend", "list"])?;
    State::keep(lab, "allowed-vms")?;
    lab.run("revert", &[&["systemctl", "revert"], &UNITS[..]].concat())?;
    State::keep(lab, "reverted")?;
    for unit in UNITS {
        let kind = if unit.ends_with("slice") { "Slice" } else { "Scope" };
        fs::create_dir_all(folder(unit))?;
        let text = format!("[{kind}]\nAllowedCPUs=0-2\n");
        fs::write(Path::new(&folder(unit)).join("cpus.conf"), text)?;
    }
    lab.run("reload", &["systemctl", "daemon-reload"])?;
    State::keep(lab, "drop-in")?;
    for unit in UNITS {
        fs::remove_dir_all(folder(unit))?;
    }
    allow(lab, ALL)?;
    State::keep(lab, "allowed-all")
}

/// Sets the property until the next start of the host.
fn allow(lab: &Lab, cpus: &str) -> Result<()> {
    let value = format!("AllowedCPUs={cpus}");
    for unit in UNITS {
        let line = ["systemctl", "set-property", "--runtime", unit, &value];
        lab.run("set-property", &line)?;
    }
    Ok(())
}

fn folder(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.d")
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let first: State = results.json("first.json")?;
    judge.same(
        "at first, the host's processes may run on all CPUs",
        &first.host(),
        &[ALL].into(),
    );
    let allowed: State = results.json("allowed.json")?;
    judge.same(
        "by set-property, no process of the host may run on a VM's CPUs, the \
         first process included",
        &allowed.host(),
        &[HOUSE].into(),
    );
    judge.same(
        "slices keep no kernel thread off a VM's CPUs",
        &allowed.kernel(),
        &[ALL].into(),
    );
    judge.holds(
        "slices leave the VM's CPUs to the scheduler's balancing",
        allowed.unbalanced.is_empty(),
        || format!("{:?}", allowed.unbalanced),
    );
    let vms: State = results.json("allowed-vms.json")?;
    let machines = results.text("machines")?;
    judge.holds(
        "machined knows both VMs",
        machines.contains("-probe ") && machines.contains("-other "),
        || machines.clone(),
    );
    judge.same(
        "libvirtd in a narrow slice starts a VM on the CPUs that it is \
         pinned to",
        &vms.vm(VM),
        &["2", "3", HOUSE].map(Into::into),
    );
    judge.same(
        "libvirtd in a narrow slice starts a VM without pins on all CPUs",
        &vms.vm("other"),
        &[ALL; 3].map(Into::into),
    );
    let reverted: State = results.json("reverted.json")?;
    judge.same(
        "a property that is taken back leaves the CPUs as they were",
        &reverted.host(),
        &[HOUSE].into(),
    );
    let drop_in: State = results.json("drop-in.json")?;
    judge.same(
        "drop-ins count from daemon-reload on",
        &drop_in.host(),
        &["0-2"].into(),
    );
    let all: State = results.json("allowed-all.json")?;
    judge.same(
        "all CPUs as the property give all CPUs back",
        &all.host(),
        &[ALL].into(),
    );
    Ok(())
}
