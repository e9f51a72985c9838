//! An isolated partition for each vCPU: in the group that libvirt makes for
//! its thread.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::state::{self, machines};
use super::{ALL, HOUSE, State, VM, exclusive, partition, vcpus};
use crate::inside::Lab;
use crate::judge::{Judge, Results};

pub(super) fn run(lab: &Lab) -> Result<()> {
    let scope = state::scope(VM)?;
    for (group, _) in vcpus(&scope) {
        partition(&group, "isolated")?;
    }
    State::keep(lab, "no-way")?;
    for (group, _) in vcpus(&scope) {
        partition(&group, "member")?;
    }
    if !lab.does_wrong("no-way") {
        way(&scope, "2-3")?;
    }
    isolate(&scope)?;
    State::keep(lab, "partitions")?;
    lab.vmtune("facts.json", &["facts", "--format", "json"])?;
    lab.vmtune("plan.json", &["plan", VM, "--format", "json"])?;
    lab.virsh("wide-pin", &["vcpupin", "other", "0", ALL])?;
    State::keep(lab, "wide-pin")?;
    lab.run("reload", &["systemctl", "daemon-reload"])?;
    lab.run("restart", &["systemctl", "restart", "libvirtd"])?;
    let wide = ["systemctl", "set-property", "--runtime", "system.slice"];
    lab.run("set-property", &[&wide[..], &["AllowedCPUs=0-3"]].concat())?;
    lab.libvirtd()?;
    State::keep(lab, "restarted")?;
    pin(lab, &scope)?;
    isolate(&scope)?;
    lab.virsh("destroy", &["destroy", VM])?;
    State::keep(lab, "stopped")?;
    lab.virsh("start", &["start", "--paused", VM])?;
    State::keep(lab, "started")?;
    exclusive(&machines(), "")
}

/// Has libvirt pin the threads of a VM with partitions anew.
fn pin(lab: &Lab, scope: &Path) -> Result<()> {
    lab.virsh("pin", &["vcpupin", VM, "0", "2"])?;
    lab.virsh("pin", &["emulatorpin", VM, "0"])?;
    State::keep(lab, "pinned-same")?;
    let line = ["virsh", "-q", "-c", "qemu:///system", "vcpupin", VM, "0", "1"];
    let (code, _) = lab.try_run("pin-away", &line)?;
    lab.keep("pin-away.code", &code.to_string())?;
    State::keep(lab, "pinned-away")?;
    lab.virsh("pin", &["vcpupin", VM, "0", "2"])?;
    // The way to do it: out of the partition, to the new CPU, and in again.
    undo(scope)?;
    lab.virsh("pin", &["vcpupin", VM, "0", "1"])?;
    way(scope, "1-3")?;
    let [(first, _), (second, own)] = vcpus(scope);
    for (group, cpu) in [(first, "1"), (second, own)] {
        exclusive(&group, cpu)?;
        partition(&group, "isolated")?;
    }
    State::keep(lab, "moved")?;
    undo(scope)?;
    lab.virsh("pin", &["vcpupin", VM, "0", "2"])?;
    lab.virsh("pin", &["emulatorpin", VM, HOUSE])?;
    State::keep(lab, "undone")?;
    way(scope, "2-3")
}

/// Lets partitions below take these CPUs, on each level down to libvirt's.
pub(super) fn way(scope: &Path, cpus: &str) -> Result<()> {
    exclusive(&machines(), cpus)?;
    exclusive(scope, cpus)?;
    exclusive(&scope.join("libvirt"), cpus)
}

/// Makes the group of each vCPU a partition of its CPU.
pub(super) fn isolate(scope: &Path) -> Result<()> {
    for (group, cpu) in vcpus(scope) {
        exclusive(&group, cpu)?;
        partition(&group, "isolated")?;
    }
    Ok(())
}

/// Undoes partitions and the way to them, the deepest first.
fn undo(scope: &Path) -> Result<()> {
    for (group, _) in vcpus(scope) {
        partition(&group, "member")?;
        exclusive(&group, "")?;
    }
    exclusive(&scope.join("libvirt"), "")?;
    exclusive(scope, "")?;
    exclusive(&machines(), "")
}

pub(super) fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    let state = |name: &str| results.json::<State>(&format!("{name}.json"));
    let first = state("first")?;
    let alone = state("no-way")?;
    judge.holds(
        "without exclusive CPUs on each level above, a partition is invalid",
        both(&alone).iter().all(|p| p.starts_with("isolated invalid")),
        || format!("{:?}", both(&alone)),
    );

    let on = state("partitions")?;
    judge.same(
        "the groups of both vCPUs are isolated partitions",
        &both(&on),
        &["isolated", "isolated"],
    );
    judge.same(
        "the kernel names their CPUs as isolated",
        &(on.isolated.as_str(), on.group("").effective.as_str()),
        &("2-3", HOUSE),
    );
    judge.same(
        "vCPUs have their CPU, and the emulator stays outside",
        &on.vm(VM),
        &["2", "3", HOUSE].map(Into::into),
    );
    judge.same(
        "no process of the host may run on their CPUs, whatever its slice \
         allows",
        &on.host(),
        &[HOUSE].into(),
    );
    judge.same(
        "no movable kernel thread may run on their CPUs",
        &on.kernel(),
        &[HOUSE].into(),
    );
    judge.same(
        "the scheduler balances their CPUs with no others",
        &on.unbalanced,
        &[2, 3].into(),
    );
    judge.same(
        "interrupts are left where they were",
        &on.interrupts,
        &first.interrupts,
    );
    judge.same(
        "a VM without pins is moved off their CPUs",
        &on.vm("other"),
        &[HOUSE; 3].map(Into::into),
    );
    let wide = state("wide-pin")?;
    judge.same(
        "pins of another VM that cover their CPUs count for the rest of them",
        &(wide.vm("other"), both(&wide)),
        &([HOUSE; 3].map(Into::into), ["isolated", "isolated"]),
    );
    let again = state("restarted")?;
    judge.same(
        "daemon-reload, libvirtd's restart and AllowedCPUs= on a slice leave \
         partitions alone",
        &(both(&again), again.isolated.as_str(), again.host()),
        &(["isolated", "isolated"], "2-3", [HOUSE].into()),
    );
    judge_facts(results, judge)?;
    judge_pins(results, judge)?;
    judge_end(results, judge)
}

fn both(state: &State) -> [&str; 2] {
    ["vcpu0", "vcpu1"].map(|name| state.group(name).partition.as_str())
}

fn judge_facts(results: &Results, judge: &mut Judge) -> Result<()> {
    let facts: Value = results.json("facts.json")?;
    let topology = &facts["topology"];
    judge.same(
        "vmtune knows the CPUs of partitions as isolated",
        &topology["isolated"]["value"].as_str(),
        &Some("2-3"),
    );
    judge.same(
        "vmtune knows them as the VMs' all the same",
        &topology["disallowed"].as_str(),
        &Some(""),
    );
    let plan: Value = results.json("plan.json")?;
    judge.same(
        "vmtune plans the vCPUs where they are",
        &plan["vms"][0]["placement"]["vcpus"],
        &json!({"0": "2", "1": "3"}),
    );
    Ok(())
}

fn judge_pins(results: &Results, judge: &mut Judge) -> Result<()> {
    let state = |name: &str| results.json::<State>(&format!("{name}.json"));
    let same = state("pinned-same")?;
    judge.same(
        "libvirt's pins to the same CPU, and the emulator's among the host's, \
         leave partitions alone",
        &(both(&same), same.vm(VM)),
        &(["isolated", "isolated"], ["2", "3", "0"].map(Into::into)),
    );
    let away = state("pinned-away")?;
    judge.holds(
        "libvirt's pin of a vCPU out of its partition is refused",
        results.text("pin-away.code")? != "0",
        || "it is not".into(),
    );
    judge.same(
        "after that the vCPU is where it was, in its partition",
        &(both(&away), away.vm(VM), away.isolated.as_str()),
        &(["isolated", "isolated"], ["2", "3", "0"].map(Into::into), "2-3"),
    );
    let moved = state("moved")?;
    judge.same(
        "a vCPU moves when its partition is undone first",
        &(both(&moved), moved.vm(VM), moved.isolated.as_str()),
        &(["isolated", "isolated"], ["1", "3", "0"].map(Into::into), "1,3"),
    );
    Ok(())
}

fn judge_end(results: &Results, judge: &mut Judge) -> Result<()> {
    let state = |name: &str| results.json::<State>(&format!("{name}.json"));
    let undone = state("undone")?;
    judge.same(
        "undone, partitions leave nothing: all CPUs are everybody's",
        &(both(&undone), undone.isolated.as_str(), undone.kernel()),
        &(["member", "member"], "", [ALL].into()),
    );
    let stopped = state("stopped")?;
    judge.same(
        "the end of a VM is the end of its partitions",
        &(stopped.isolated.as_str(), stopped.group("").effective.as_str()),
        &("", ALL),
    );
    let started = state("started")?;
    judge.same(
        "a VM that starts again has its pins, and no partition",
        &(both(&started), started.vm(VM), started.isolated.as_str()),
        &(["member", "member"], ["2", "3", HOUSE].map(Into::into), ""),
    );
    Ok(())
}
