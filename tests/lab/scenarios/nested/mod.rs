//! The whole way, once: a VM that is to have a function of a card is planned,
//! given one, changed, started under KVM, looked at from both sides while RDMA
//! runs between the host and it, ended, and given back its former definition.

mod guest;
mod host;
mod judge;

use std::net::Ipv4Addr;

use anyhow::{Result, bail};

use crate::guest::ARCHIVE;
use crate::inside::cards::{bind, in_xml};
use crate::inside::{Lab, get, wait};
use crate::scenario::{Fault, Scenario};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "nested",
    about: "a VM is given a function, runs with it, and is put back",
    shapes: &["nested"],
    alone: true,
    patience: 420,
    faults: &[
        Fault {
            name: "moved",
            shape: "nested",
            found_by: "each vCPU thread is on its planned CPU",
        },
        Fault {
            name: "freed",
            shape: "nested",
            found_by: "the plan gives the VM the first function",
        },
    ],
    run,
    judge: judge::judge,
};

const VM: &str = "inner";
const VCPUS: usize = 2;
/// The guest's memory in MiB: its kernel and archive take half of it.
const MEMORY: u64 = 256;
/// A VM that has the card's first function, and never runs.
const OTHER: &str = "other";
/// The function's hardware address in the guest, and before.
const MAC: &str = "52:54:00:00:a1:00";
const FORMER_MAC: &str = "52:54:00:00:b1:00";
/// The addresses of the card's port and of the guest's function.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
/// What the guest prints. It is a file in this host's memory: with one of the
/// machine's, behind 9p, a vCPU was seen to hang.
const CONSOLE: &str = "/run/inner.log";
/// The devices in software on these.
const RDMA: &str = "rxe0";
/// How many messages RDMA moves.
const MESSAGES: u64 = 100;

fn run(lab: &Lab) -> Result<()> {
    let ports = lab.ports()?;
    let port = &ports[0];
    let functions = port.make_functions(2)?;
    let [held, function] = &functions[..] else { bail!("{functions:?}") };
    let own = [&port.interface[..], "vf", "1", "mac", FORMER_MAC];
    lab.ip("identity", &[&["link", "set"], &own[..]].concat())?;
    bind(function)?;
    let address = format!("{HOST}/24");
    let line = ["address", "add", &address, "dev", &port.interface];
    lab.ip("address", &line)?;
    lab.run("modprobe", &["modprobe", "-a", "vfio-pci", "kvm_amd"])?;
    host::reserve(MEMORY / 2)?;
    lab.keep_json("function.json", &function)?;

    lab.libvirtd()?;
    lab.define(VM, &definition())?;
    if !lab.does_wrong("freed") {
        lab.define(OTHER, &holder(held))?;
    }
    dump(lab, "former.xml")?;
    // This host was not started by what /etc says of its boot loader.
    let text = format!(
        "rules.iommu-passthrough = 'advise'\n\
         [[vm.{VM}.nics]]\nfrom = '{}'\nmac = '{MAC}'\n",
        port.interface
    );
    lab.keep("policy.toml", &text)?;
    let policy = lab.path("policy.toml");
    let policy = ["--policy", policy.to_str().unwrap()];
    let plan = ["plan", VM, "--connect", "qemu:///system", "--format", "json"];
    lab.vmtune("plan.json", &[&plan[..], &policy].concat())?;
    lab.vmtune("apply", &["apply", "--yes"])?;
    dump(lab, "applied.xml")?;

    lab.keep_json("before.json", &host::State::read(function)?)?;
    let show = ["-j", "link", "show", "dev", &port.interface];
    lab.ip("port.before", &show)?;
    lab.virsh("start", &["start", VM])?;
    if lab.does_wrong("moved") {
        lab.virsh("move", &["vcpupin", VM, "0", "0", "--live"])?;
    }
    let ready = wait("the guest is ready", 180, || {
        get(CONSOLE).ok().filter(|log| log.contains("ready"))
    });
    lab.keep("guest.log", &get(CONSOLE)?)?;
    ready?;
    lab.keep_json("running.json", &host::State::read(function)?)?;
    lab.keep_json("process.json", &host::Process::read(VM)?)?;
    let check = ["check", VM, "--connect", "qemu:///system"];
    lab.keep_json("check.json", &lab.try_vmtune("check", &check)?.0)?;
    guest::run(lab, port)?;

    lab.virsh("destroy", &["destroy", VM])?;
    lab.keep_json("after.json", &host::State::read(function)?)?;
    lab.ip("port.after", &show)?;
    lab.vmtune("rollback", &["rollback", "--yes"])?;
    dump(lab, "restored.xml")
}

/// Keeps what libvirt will start the VM with.
fn dump(lab: &Lab, name: &str) -> Result<()> {
    lab.virsh(name, &["dumpxml", "--inactive", VM])?;
    Ok(())
}

/// A VM that has a function.
fn holder(function: &str) -> String {
    let address = in_xml(function);
    format!(
        "<domain type='kvm'>
  <name>{OTHER}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address {address}/></source>
    </hostdev>
  </devices>
</domain>
"
    )
}

fn definition() -> String {
    format!(
        "<domain type='kvm'>
  <name>{VM}</name>
  <memory unit='MiB'>{MEMORY}</memory>
  <vcpu>{VCPUS}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/lab/kernel/vmlinux</kernel>
    <initrd>/lab/kernel/{ARCHIVE}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable \
     lab.address={GUEST}/24</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <serial type='file'><source path='{CONSOLE}'/></serial>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <video><model type='none'/></video>
  </devices>
</domain>
"
    )
}
