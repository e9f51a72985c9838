//! The threads of the VM and of the host, as /proc shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};

use super::VM;
use crate::inside::{Lab, get};

/// Returns where each thread of the VM may run, by the thread's name.
pub(super) fn of_vm() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let folder = format!("/proc/{}/task", pid()?);
    for thread in fs::read_dir(folder)? {
        let path = thread?.path();
        let path = path.to_str().unwrap();
        // One that has ended meanwhile is nobody's.
        let name = get(&format!("{path}/comm"));
        if let (Ok(name), Ok(allowed)) = (name, allowed(path)) {
            found.entry(name).or_default().insert(allowed);
        }
    }
    Ok(found)
}

/// Returns where the processes of the host may run, each with its program:
/// all that are neither VMs nor the kernel's.
pub(super) fn of_host() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let id = entry?.file_name().into_string().unwrap_or_default();
        let path = format!("/proc/{id}");
        let group = get(&format!("{path}/cgroup")).unwrap_or_default();
        let is_host = ["/init.scope", "/system.slice/", "/user.slice/"]
            .iter()
            .any(|unit| group.contains(&format!("0::{unit}")));
        if !id.starts_with(|c: char| c.is_ascii_digit()) || !is_host {
            continue;
        }
        let name = get(&format!("{path}/comm"));
        if let (Ok(name), Ok(allowed)) = (name, allowed(&path)) {
            found.insert(format!("{name} {id}"), allowed);
        }
    }
    Ok(found)
}

/// Returns the number of the VM's QEMU.
pub(super) fn pid() -> Result<String> {
    get(&format!("/run/libvirt/qemu/{VM}.pid"))
}

/// Lets the VM's first vCPU run where its second does.
pub(super) fn move_a_vcpu(lab: &Lab) -> Result<()> {
    for thread in fs::read_dir(format!("/proc/{}/task", pid()?))? {
        let path = thread?.path();
        let id = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = get(&format!("/proc/{id}/comm"))?;
        if name.starts_with("CPU 0/") {
            lab.virsh("pin", &["vcpupin", VM, "0", "3", "--live"])?;
            let line = ["taskset", "-c", "-p", "3", &id];
            lab.run("taskset", &line)?;
        }
    }
    Ok(())
}

fn allowed(path: &str) -> Result<String> {
    let status = get(&format!("{path}/status"))?;
    let mut lines = status.lines();
    let list = lines.find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
    Ok(list.context("a thread without CPUs")?.trim().to_owned())
}
