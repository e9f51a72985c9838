//! VMs are planned, started, looked at, and as they were before.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::kernel::Kernel;
use super::vms::{Vm, Vms};
use crate::inside::{self, Lab};

/// Defines the VMs, has them planned and starts them; writes down where all
/// their threads and pages are; and has it all undone.
pub(super) fn run(lab: &Lab, vms: &Vms) -> Result<()> {
    lab.libvirtd()?;
    for vm in vms.all() {
        lab.define(vm.name, &vm.xml())?;
        dump(lab, "before", vm.name)?;
    }
    lab.keep("policy.toml", vms.policy)?;
    let policy = lab.path("policy.toml");
    let policy = ["--policy", policy.to_str().unwrap()];
    for (i, group) in vms.groups.iter().enumerate() {
        let names: Vec<_> = group.iter().map(|vm| vm.name).collect();
        let line = [&["plan"], &names[..], &policy].concat();
        let as_json = [&line[..], &["--format", "json"]].concat();
        lab.vmtune(&format!("plan-{i}.txt"), &line)?;
        lab.vmtune(&format!("plan-{i}.json"), &as_json)?;
        lab.vmtune(&format!("apply-{i}"), &["apply", "--yes"])?;
        for vm in group {
            dump(lab, "applied", vm.name)?;
            lab.virsh(&format!("start-{}", vm.name), &["start", vm.name])?;
        }
    }
    for vm in vms.all() {
        look(lab, vm)?;
    }
    lab.keep_json("kernel-running.json", &Kernel::read())?;
    let (code, _) =
        lab.try_vmtune("check", &[&["check"], &policy[..]].concat())?;
    lab.keep("check.code", &code.to_string())?;
    for vm in vms.all() {
        lab.virsh(&format!("destroy-{}", vm.name), &["destroy", vm.name])?;
    }
    for i in (0..vms.groups.len()).rev() {
        lab.vmtune(&format!("rollback-{i}"), &["rollback", "--yes"])?;
    }
    for vm in vms.all() {
        dump(lab, "after", vm.name)?;
        lab.virsh(&format!("undefine-{}", vm.name), &["undefine", vm.name])?;
    }
    forget()
}

/// Keeps a VM's definition as libvirt has it.
fn dump(lab: &Lab, when: &str, name: &str) -> Result<()> {
    let line = ["dumpxml", "--inactive", "--security-info", name];
    lab.virsh(&format!("{when}-{name}.xml"), &line)?;
    Ok(())
}

/// Keeps where the threads and pages of a VM are, and what libvirt says.
fn look(lab: &Lab, vm: &Vm) -> Result<()> {
    let name = vm.name;
    let pid = inside::get(&format!("/run/libvirt/qemu/{name}.pid"))?;
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let task = task.display();
        let status = inside::get(&format!("{task}/status"))?;
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
        let allowed = allowed.unwrap_or_default().to_owned();
        threads.push((inside::get(&format!("{task}/comm"))?, allowed));
    }
    lab.keep_json(&format!("threads-{name}.json"), &threads)?;
    let maps = inside::get(&format!("/proc/{pid}/numa_maps"))?;
    lab.keep(&format!("numa-maps-{name}"), &maps)?;
    lab.virsh(&format!("live-{name}.xml"), &["dumpxml", name])?;
    Ok(())
}

/// Leaves nothing to the scenarios that follow.
fn forget() -> Result<()> {
    for entry in fs::read_dir(Path::new("/var/lib/vmtune"))? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
