//! A plan for a VM and its host, from `vmtune plan` to `vmtune rollback`: it
//! is applied, the VM runs as it says, the host starts again with it, and in
//! the end all is as before, byte for byte.
//!
//! With GRUB first, by slices and by kernel arguments, and then with boot
//! loader entries.

mod judge;
mod look;
mod snapshot;
mod threads;

use std::fs;

use anyhow::Result;

use crate::inside::{self, Lab, loader};
use crate::judge::{Judge, Results};
use crate::scenario::{Fault, Scenario};
use snapshot::Snapshot;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "apply",
    about: "a plan is applied, holds after a boot, and is undone to the byte",
    shapes: &["systemd"],
    alone: true,
    patience: 400,
    faults: &[
        Fault {
            name: "moved",
            shape: "systemd",
            found_by: "by slices, each vCPU thread may run on its own CPU",
        },
        Fault {
            name: "edited",
            shape: "systemd",
            found_by: "by slices, status finds nothing while the VM runs",
        },
        Fault {
            name: "old-menu",
            shape: "systemd",
            found_by: "by kernel arguments, the kernel was started with",
        },
        Fault {
            name: "left-over",
            shape: "systemd",
            found_by: "by slices, rolled back: each file",
        },
    ],
    run,
    judge,
};

/// The VM. Its vCPUs belong on CPUs 2 and 3, which are node 1's. Node 0 has
/// CPU 0, so that its core is the host's.
const VM: &str = "tuned";
/// Another VM, which has no pins and is not planned.
const OTHER: &str = "other";

/// Whatever else is there, the administrator has KSM on.
const KSM: &str = "/sys/kernel/mm/ksm/run";

/// What vmtune writes for the host's services, by slices.
const DROP_IN: &str = "/etc/systemd/system/system.slice.d/90-vmtune.conf";

/// One plan, from `vmtune plan` to `vmtune rollback`.
struct Round {
    /// The beginning of its files' names.
    name: &'static str,
    /// How CPUs are kept for the VM, as checks call it.
    by: &'static str,
    policy: &'static str,
    /// The size of the VM's pages in KiB, and how many it takes.
    pages: (u64, u64),
    /// The number of the start of the host in which the VM runs.
    boot: u32,
    /// The CPUs that the kernel itself isolates by then.
    isolated: &'static str,
    /// The rules that have something to change about the host.
    rules: &'static [&'static str],
}

const SLICES: Round = Round {
    name: "slices",
    by: "by slices",
    policy: "cpu.isolation = 'partition'\nmemory.pages = '2M'\n",
    pages: (2048, 32),
    boot: 0,
    isolated: "",
    rules: &[
        "cpu-isolation",
        "hugepage-reservation",
        "irq-affinity",
        "ksm",
        "numa-balancing",
    ],
};
const ARGUMENTS: Round = Round {
    name: "arguments",
    by: "by kernel arguments",
    policy: "preset = 'latency'
cpu.isolation = 'kernel'
cpu.smt = 'siblings'
cpu.emulator = 'housekeeping'
devices.locality = 'prefer'
memory.pages = '2M'
",
    pages: (2048, 32),
    boot: 1,
    isolated: "2-3",
    rules: &[
        "cpu-isolation",
        "hugepage-reservation",
        "irq-affinity",
        "ksm",
        "numa-balancing",
        "transparent-hugepages",
    ],
};
const ENTRY: Round = Round {
    name: "entry",
    by: "with an entry",
    policy: "cpu.isolation = 'partition'\nmemory.pages = '1G'\n",
    pages: (1_048_576, 1),
    boot: 3,
    isolated: "",
    rules: &[
        "cpu-isolation",
        "hugepage-mount",
        "hugepage-reservation",
        "irq-affinity",
        "ksm",
        "numa-balancing",
    ],
};

const ROUNDS: [&Round; 3] = [&SLICES, &ARGUMENTS, &ENTRY];
/// The file with the name of the last one. What is done wrong on purpose has
/// been seen by the end of its round, and no other follows.
const LAST: &str = "last";

fn run(lab: &Lab) -> Result<()> {
    lab.libvirtd()?;
    match lab.boot {
        0 => {
            lab.install_grub()?;
            lab.update_grub("update-grub")?;
            lab.keep("plain", &loader::grub_arguments()?)?;
            lab.define(VM, &xml(VM, 64, ""))?;
            neighbour(lab)?;
            inside::set(KSM, "1")?;
            Snapshot::keep(lab, "grub")?;
            plan(lab, &SLICES)?;
            try_it(lab, &SLICES)?;
            back(lab, &SLICES)?;
            if ["moved", "edited", "left-over"].map(|f| lab.does_wrong(f))
                != [false; 3]
            {
                return Ok(());
            }
            plan(lab, &ARGUMENTS)?;
            if lab.does_wrong("old-menu") {
                let menu = inside::get(loader::MENU)?;
                fs::write(loader::MENU, menu.replace(" nohz_full=2-3", ""))?;
            }
            start_again(lab, &loader::grub_arguments()?)
        }
        1 => {
            try_it(lab, &ARGUMENTS)?;
            back(lab, &ARGUMENTS)?;
            if lab.does_wrong("old-menu") {
                return Ok(());
            }
            start_again(lab, &loader::grub_arguments()?)
        }
        2 => {
            inside::set(KSM, "1")?;
            Snapshot::keep(lab, "grub-again")?;
            lab.remove_grub()?;
            lab.install_entries()?;
            fs::write("/etc/kernel/cmdline", "root=/dev/vda ro quiet\n")?;
            lab.write_entry("kernel-install")?;
            lab.virsh("undefine", &["undefine", VM])?;
            lab.define(VM, &xml(VM, 1024, ""))?;
            Snapshot::keep(lab, "entries")?;
            plan(lab, &ENTRY)?;
            start_again(lab, &loader::entry_arguments()?)
        }
        _ => {
            try_it(lab, &ENTRY)?;
            back(lab, &ENTRY)
        }
    }
}

/// Makes the plan and applies it.
fn plan(lab: &Lab, round: &Round) -> Result<()> {
    let name = |what: &str| format!("{}-{what}", round.name);
    let policy = name("policy.toml");
    lab.keep(&policy, round.policy)?;
    let policy = lab.path(&policy);
    let policy = policy.to_str().unwrap();
    let line = ["plan", VM, "--policy", policy, "--format", "json"];
    lab.vmtune(&name("plan.json"), &line)?;
    lab.vmtune(&name("apply"), &["apply", "--yes", "--verbose"])?;
    Snapshot::keep_less(lab, &name("applied"))
}

/// Starts the VM, and keeps where it is and what vmtune says of it.
fn try_it(lab: &Lab, round: &Round) -> Result<()> {
    let name = |what: &str| format!("{}-{what}", round.name);
    status(lab, &name("waits"))?;
    lab.virsh("start", &["start", VM])?;
    if lab.does_wrong("moved") && round.name == SLICES.name {
        threads::move_a_vcpu(lab)?;
    }
    look::keep(lab, round)?;
    let edited = lab.does_wrong("edited") && round.name == SLICES.name;
    let former = edited.then(|| fs::read_to_string(DROP_IN)).transpose()?;
    if let Some(text) = &former {
        fs::write(DROP_IN, text.replace("=0-1", "=0-2"))?;
    }
    status(lab, &name("runs"))?;
    if let Some(text) = former {
        fs::write(DROP_IN, text)?;
    }
    Snapshot::keep_less(lab, &name("runs"))?;
    lab.virsh("destroy", &["destroy", VM]).map(drop)
}

/// Undoes it all.
fn back(lab: &Lab, round: &Round) -> Result<()> {
    let name = |what: &str| format!("{}-{what}", round.name);
    lab.vmtune(&name("rollback"), &["rollback", "--yes", "--verbose"])?;
    if lab.does_wrong("left-over") {
        fs::write("/etc/tmpfiles.d/left.conf", "")?;
    }
    Snapshot::keep(lab, &name("back"))?;
    lab.keep(LAST, round.name)
}

fn status(lab: &Lab, name: &str) -> Result<()> {
    let line = ["status", "--format", "json"];
    let (code, _) = lab.try_vmtune(&format!("{name}.status"), &line)?;
    lab.keep(&format!("{name}.code"), &code.to_string())
}

fn start_again(lab: &Lab, arguments: &str) -> Result<()> {
    lab.keep(&format!("next.{}", lab.boot), arguments)?;
    lab.start_again(arguments)
}

/// Starts another VM, which runs on while vmtune is at work: systemd gives
/// its units cpusets as soon as one of them has any. It gains by nothing that
/// vmtune may switch off.
fn neighbour(lab: &Lab) -> Result<()> {
    let bound = "<memoryBacking><nosharepages/></memoryBacking>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <cputune>
    <vcpupin vcpu='0' cpuset='0-1'/>
    <vcpupin vcpu='1' cpuset='0-1'/>
  </cputune>";
    lab.define(OTHER, &xml(OTHER, 64, bound))?;
    lab.virsh("start", &["start", "--paused", OTHER]).map(drop)
}

/// Returns what the owner of a VM defines: sizes, and nothing of this host.
fn xml(name: &str, mib: u32, more: &str) -> String {
    format!(
        "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{mib}</memory>
  {more}
  <vcpu placement='static'>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
"
    )
}

fn judge(results: &Results, judge: &mut Judge) -> Result<()> {
    judge::all(results, judge)
}
