//! VMs are planned, started, looked at, and as they were before.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::kernel::Kernel;
use super::running::Thread;
use super::vms::{Vm, Vms};
use crate::inside::{self, Lab};

/// Where vmtune keeps plans and what undoes them.
const STATE: &str = "/var/lib/vmtune";
const INACTIVE: &str = "dumpxml --inactive --security-info";

/// Defines the VMs, has them planned and starts them; writes down where all
/// their threads and pages are; and has it all undone.
pub(super) fn run(lab: &Lab, vms: &Vms) -> Result<()> {
    lab.libvirtd()?;
    let all: Vec<_> = vms.groups.iter().flatten().collect();
    for vm in &all {
        lab.define(vm.name, &vm.xml())?;
    }
    each(lab, "before.xml", INACTIVE, &all)?;
    lab.keep("policy.toml", vms.policy)?;
    let policy = lab.path("policy.toml");
    let policy = ["--policy", policy.to_str().unwrap()];
    for (i, group) in vms.groups.iter().enumerate() {
        let names: Vec<_> = group.iter().map(|vm| vm.name).collect();
        let line = [&["plan"], &names[..], &policy].concat();
        let as_json = [&line[..], &["--format", "json"]].concat();
        if i == 0 {
            lab.vmtune("plan-0.txt", &line)?;
        }
        lab.vmtune(&format!("plan-{i}.json"), &as_json)?;
        lab.vmtune(&format!("apply-{i}"), &["apply", "--yes"])?;
        let spoilt = if i == 0 { spoil(lab, &group[0])? } else { None };
        for vm in group {
            lab.virsh(&format!("start-{}", vm.name), &["start", vm.name])?;
        }
        if let Some(former) = spoilt {
            lab.define("restored", &former)?;
        }
    }
    for vm in &all {
        look(lab, vm)?;
    }
    each(lab, "live.xml", "dumpxml", &all)?;
    lab.keep_json("kernel-running.json", &Kernel::read())?;
    let (code, _) =
        lab.try_vmtune("check", &[&["check"], &policy[..]].concat())?;
    lab.keep("check.code", &code.to_string())?;
    each(lab, "destroy", "destroy", &all)?;
    for i in (0..vms.groups.len()).rev() {
        lab.vmtune(&format!("rollback-{i}"), &["rollback", "--yes"])?;
    }
    each(lab, "after.xml", INACTIVE, &all)?;
    each(lab, "undefine", "undefine", &all)?;
    // Nothing of it is left to the scenarios that follow.
    for entry in fs::read_dir(STATE)? {
        let path = entry?.path();
        match path.is_dir() {
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

/// Runs a command of virsh for each VM.
fn each(lab: &Lab, name: &str, command: &str, vms: &[&Vm]) -> Result<String> {
    let lines: Vec<_> =
        vms.iter().map(|vm| format!("{command} {}", vm.name)).collect();
    lab.virsh(name, &[&lines.join("; ")])
}

/// Keeps where the threads and pages of a VM are.
fn look(lab: &Lab, vm: &Vm) -> Result<()> {
    let name = vm.name;
    let pid = inside::get(&format!("/run/libvirt/qemu/{name}.pid"))?;
    // A thread that was told where to run goes there when it runs next.
    let settled = || {
        let threads = threads(&pid).ok()?;
        threads.iter().all(Thread::is_settled).then_some(threads)
    };
    let found = inside::wait("threads run where they may", 20, settled);
    lab.keep_json(
        &format!("threads-{name}.json"),
        &found.or_else(|_| threads(&pid))?,
    )?;
    let maps = inside::get(&format!("/proc/{pid}/numa_maps"))?;
    lab.keep(&format!("numa-maps-{name}"), &maps)
}

fn threads(pid: &str) -> Result<Vec<Thread>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    // One that ended meanwhile is nobody's.
    Ok(tasks.flatten().filter_map(|task| thread(&task.path())).collect())
}

fn thread(task: &Path) -> Option<Thread> {
    let get = |name| fs::read_to_string(task.join(name)).ok();
    let status = get("status")?;
    let mut lines = status.lines();
    let allowed = lines.find_map(|l| l.strip_prefix("Cpus_allowed_list:"))?;
    // The name, in parentheses, may hold blanks; 36 fields follow it.
    let stat = get("stat")?;
    let last = stat.rsplit(')').next()?.split_whitespace().nth(36)?;
    Some(Thread {
        name: get("comm")?.trim_end().to_owned(),
        allowed: allowed.trim().to_owned(),
        last: last.parse().ok()?,
    })
}

/// Does wrong what is asked for to a VM that was planned. Returns the
/// definition that it had, if so.
fn spoil(lab: &Lab, vm: &Vm) -> Result<Option<String>> {
    let name = vm.name;
    let pinned = |vcpu: &str| -> Result<u32> {
        let plan = lab.path("plan-0.json");
        let plan: Value = serde_json::from_slice(&fs::read(plan)?)?;
        let mut vms = plan["vms"].as_array().into_iter().flatten();
        let vm = vms.find(|one| one["name"] == name);
        let pin = vm.and_then(|vm| vm["placement"]["vcpus"][vcpu].as_str());
        Ok(pin.context("the plan pins no vCPU")?.parse()?)
    };
    let commands = if lab.does_wrong("pin") {
        let moved = pinned("0")? + 1;
        vec![format!("vcpupin {name} 0 {moved} --config")]
    } else if lab.does_wrong("sibling") {
        let (one, two) = (pinned("1")?, pinned("2")?);
        vec![
            format!("vcpupin {name} 1 {two} --config"),
            format!("vcpupin {name} 2 {one} --config"),
        ]
    } else if lab.does_wrong("pages") {
        let other = u32::from(vm.nodes[0] == 0);
        vec![format!("numatune {name} --nodeset {other} --config")]
    } else {
        return Ok(None);
    };
    let former = each(lab, "spoilt", INACTIVE, &[vm])?;
    lab.virsh("spoil", &[&commands.join("; ")])?;
    Ok(Some(former))
}
