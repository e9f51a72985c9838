//! How CPUs are kept for VMs at run time: by the CPUs that systemd allows its
//! units, and by isolated partitions; and what libvirt does to both.

mod broken;
mod scope;
mod slices;
mod state;
mod vcpus;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::inside::Lab;
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};
use state::State;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cgroups",
    about: "CPUs kept for VMs by slices and by isolated partitions",
    shapes: &["systemd"],
    alone: true,
    patience: 300,
    faults: &[
        Fault {
            name: "wide-slice",
            shape: "systemd",
            found_by: "by set-property, no process of the host may run on a VM",
        },
        Fault {
            name: "no-way",
            shape: "systemd",
            found_by: "the groups of both vCPUs are isolated partitions",
        },
    ],
    run,
    judge,
};

/// The VM of which the scenario tells. Its vCPUs are on CPUs 2 and 3.
const VM: &str = "probe";
/// Where its emulator and the host shall be.
const HOUSE: &str = "0-1";
const ALL: &str = "0-3";

fn run(lab: &Lab) -> Result<()> {
    lab.run("kernel", &["uname", "-r"])?;
    lab.libvirtd()?;
    let pins = "<cputune>
    <vcpupin vcpu='0' cpuset='2'/>
    <vcpupin vcpu='1' cpuset='3'/>
    <emulatorpin cpuset='0-1'/>
  </cputune>";
    lab.define(VM, &xml(VM, pins))?;
    lab.define("other", &xml("other", ""))?;
    State::keep(lab, "first")?;
    slices::run(lab)?;
    vcpus::run(lab)?;
    scope::run(lab)?;
    broken::run(lab)
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    slices::judge(results, judge)?;
    vcpus::judge(results, judge)?;
    scope::judge(results, judge)?;
    broken::judge(results, judge)
}

fn xml(name: &str, tune: &str) -> String {
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  {tune}
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
"
    )
}

/// Writes a file of a group's.
fn set(group: &Path, file: &str, value: &str) -> Result<()> {
    let path = group.join(file);
    crate::inside::set(path.to_str().unwrap(), &format!("{value}\n"))
}

/// Gives a group CPUs that partitions below it may take; none, if empty.
fn exclusive(group: &Path, cpus: &str) -> Result<()> {
    set(group, "cpuset.cpus.exclusive", cpus)
}

/// Makes a group an `isolated` partition, or a `member` of the one above.
/// The kernel takes that in any case, and says in the file what became of it.
fn partition(group: &Path, kind: &str) -> Result<()> {
    set(group, "cpuset.cpus.partition", kind)
}

/// The groups in which the vCPUs of the VM are, with the CPU of each.
fn vcpus(scope: &Path) -> [(PathBuf, &'static str); 2] {
    let libvirt = scope.join("libvirt");
    [(libvirt.join("vcpu0"), "2"), (libvirt.join("vcpu1"), "3")]
}

/// Whether this is the kernel that the faults in [`broken`] were seen on.
fn is_6_12(results: &Results) -> Result<bool> {
    Ok(results.text("kernel")?.starts_with("6.12."))
}
