//! Definitions that Proxmox takes, and those that must be refused.

use super::*;
use crate::base::{Bytes, CellId, PageSize};
use crate::model::domain::{CpuArgument, CpuMode};

fn vm(text: &str) -> Domain {
    read(text, "101".parse().ok()).unwrap()
}

fn refusal(text: &str) -> String {
    read(text, "101".parse().ok()).unwrap_err().to_string()
}

#[test]
fn what_is_missing_has_proxmoxs_default() {
    let domain = vm("");
    assert_eq!(domain.name.as_str(), "vm101");
    assert_eq!((domain.vcpus, domain.memory.total), (1, Bytes(512 << 20)));
    assert_eq!(domain.machine.as_deref(), Some("pc"));
    assert_eq!(domain.devices.memballoon.as_deref(), Some("virtio"));
    let cpu = domain.cpu.unwrap();
    assert_eq!(cpu.model.as_deref(), Some("kvm64"));
    assert!(cpu.cells.is_empty() && domain.memory_backing.is_none());
    let nameless = read("cores: 2\n", None).unwrap_err().to_string();
    assert!(nameless.contains("VMID.conf"), "{nameless}");
}

#[test]
fn cpus_and_nodes() {
    let domain = vm("affinity: 0-3,8\ncores: 4\ncpu: host,flags=+aes;-pcid,\
                     hidden=1\nnuma: 1\nnuma0: cpus=0-1;4,hostnodes=1,\
                     memory=1024,policy=bind\nnuma1: cpus=2;3;5-7,memory=3072\
                     \nsockets: 2\nvcpus: 6\n");
    assert_eq!((domain.vcpus, domain.current_vcpus), (8, Some(6)));
    assert_eq!(domain.vcpu_cpuset, "0-3,8".parse().ok());
    assert_eq!(domain.feature("kvm/hidden@state"), Some("on"));
    let cpu = domain.cpu.as_ref().unwrap();
    assert_eq!(cpu.mode, Some(CpuMode::HostPassthrough));
    assert_eq!(cpu.feature("pcid"), Some("disable"));
    assert_eq!(cpu.cells[0].vcpus, "0-1,4".parse().unwrap());
    assert_eq!(cpu.cells[1].memory, Bytes(3 << 30));
    let bound = &domain.numatune.memnodes[&CellId(0)];
    assert_eq!(bound.mode.as_deref(), Some("strict"));
    assert_eq!(bound.nodeset, "1".parse().unwrap());
    assert_eq!(domain.numatune.memnodes.len(), 1);
}

#[test]
fn without_a_list_each_socket_is_a_node_and_nothing_is_bound() {
    let domain = vm("cores: 2\nmemory: 4096\nnuma: 1\nsockets: 2\n");
    let cells = domain.cells();
    assert_eq!(cells[1].vcpus, "2-3".parse().unwrap());
    assert_eq!(cells[1].memory, Bytes(2 << 30));
    assert!(domain.numatune.memnodes.is_empty());
    let off = vm("cores: 2\nnuma0: cpus=0-1,memory=512\nsockets: 2\n");
    assert!(off.cells().is_empty(), "numa: 1 is what makes numaN count");
}

#[test]
fn memory_and_its_pages() {
    let domain = vm("allow-ksm: 0\nballoon: 0\nhugepages: 1024\nmemory: \
                     current=2048\nhotplug: disk,memory\n");
    let backing = domain.memory_backing.as_ref().unwrap();
    assert!(backing.nosharepages && domain.has_hugepages());
    let pages = backing.hugepages.as_ref().unwrap();
    assert_eq!(pages[0].size, Some(PageSize::ONE_GIB));
    assert_eq!(domain.memory.total, Bytes(2 << 30));
    assert!(domain.memory.max.is_some());
    assert_eq!(domain.devices.memballoon.as_deref(), Some("none"));
}

#[test]
fn devices() {
    let domain = vm("hostpci0: 00:02.0;0000:c1:00.3,pcie=1\nhostpci1: \
                     mapping=nic,pcie=1\nhostpci10: 0000:05:00\nhostpci2: \
                     0000:06:00.0,mdev=x\nmachine: q35,viommu=intel,\
                     aw-bits=48\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\
                     \nscsi0: a:b,iothread=1\nscsihw: virtio-scsi-single\n\
                     virtio1: a:c,iothread=1\nvirtiofs0: x\n");
    let devices = &domain.devices;
    let sources: Vec<_> =
        devices.hostdevs.iter().map(|d| d.source.to_string()).collect();
    assert_eq!(sources, ["0000:00:02.0", "0000:c1:00.3", "0000:05:00.0"]);
    assert_eq!(devices.mapped[0].mapping, "nic");
    assert_eq!(devices.mapped[0].position, 1);
    assert_eq!(devices.other_hostdevs, 1);
    assert_eq!(domain.iothreads, [1, 2]);
    assert_eq!(devices.disks[1].iothread, Some(2));
    assert!(domain.is_q35() && devices.needs_shared_memory);
    let iommu = devices.iommu.as_ref().unwrap();
    assert_eq!(iommu.driver.len(), 4);
    assert_eq!(devices.interfaces[0].model.as_deref(), Some("virtio"));
    let none = vm("scsi0: a:b,iothread=1\n");
    assert!(none.iothreads.is_empty(), "the controller gives it none");
    assert!(vm("hostpci0: mapping=nic\n").has_passthrough());
}

#[test]
fn arguments_are_split_as_a_shell_does() {
    let args = r#"-cpu 'host,+a b' -smbios type="1 2" \- ''"#;
    let domain = vm(&format!("args: {args}\n"));
    let expected = ["-cpu", "host,+a b", "-smbios", "type=1 2", "-", ""];
    assert_eq!(domain.qemu_arguments, expected);
    assert_eq!(CpuArgument::of(&domain).unwrap().model, "host");
}

#[test]
fn a_value_that_cannot_be_read_is_named_with_its_line() {
    for (text, expected) in [
        ("#x\ncores: two\n", "line 2: cores: \"two\" is not"),
        ("cores: 0\n", "line 1: cores:"),
        ("cores: 4096\nsockets: 2\n", "line 1: cores:"),
        ("affinity: 0-\n", "line 1: affinity:"),
        ("cores: 2\nvcpus: 3\n", "line 2: vcpus:"),
        ("numa: 1\nnuma0: memory=1\n", "line 2: numa0/cpus is missing"),
        (
            "numa: 1\nnuma0: cpus=0,memory=1,hostnodes=0\n",
            "line 2: numa0/policy",
        ),
        ("hugepages: 3\n", "line 1: hugepages:"),
        ("hostpci0: ../../etc\n", "line 1: hostpci0:"),
        ("memory: 99999999999999999999\n", "line 1: memory:"),
        ("name: a/b\n", "line 1: name:"),
        ("smbios1: uuid=x\n", "line 1: smbios1:"),
        ("numa: maybe\n", "line 1: numa:"),
    ] {
        let said = refusal(text);
        assert!(said.starts_with(expected), "{said}");
    }
}
