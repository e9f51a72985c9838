//! Definitions that libvirt takes, and those that must be refused.

use super::*;
use crate::base::{Bytes, CellId, CpuId, CpuSet, PageSize};
use crate::model::domain::CpuMode;

/// Lays a body into a definition that is complete but for it.
fn vm(body: &str) -> String {
    format!(
        "<domain type='kvm' xmlns:qemu='{}'>\n<name>vm1</name>\n\
         <memory unit='GiB'>4</memory>\n<vcpu>4</vcpu>\n{body}</domain>",
        super::super::xml::QEMU_URI,
    )
}

fn read_vm(body: &str) -> Domain {
    read(&vm(body)).unwrap()
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn what_is_missing_has_libvirts_default() {
    let text = "<domain type='qemu'><name>x</name><memory>1024</memory>\
                </domain>";
    let domain = read(text).unwrap();
    assert_eq!(domain.vcpus, 1);
    assert_eq!(domain.memory.total, Bytes(1 << 20));
    assert_eq!(domain.digest, Digest::of(text.as_bytes()));
    assert!(domain.cpu.is_none() && domain.memory_backing.is_none());
    assert!(domain.is_x86_64() && !domain.uefi);
}

#[test]
fn vcpus_and_their_pins() {
    let domain = read(
        "<domain type='kvm'><name> a b </name><memory>1</memory>
         <vcpu placement='static' cpuset='0-7,^3' current='2'> 4 </vcpu>
         <vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='no'/></vcpus>
         <iothreads>1</iothreads>
         <cputune><vcpupin vcpu='1' cpuset='1,0'/><quota>-1</quota></cputune>
         <cputune><vcpupin vcpu='0' cpuset='2'/><cachetune vcpus='0'/>
           <vcpusched vcpus='0-1' scheduler='fifo' priority='1'/>
           <emulatorpin cpuset='5'/><iothreadpin iothread='1' cpuset='6'/>
         </cputune></domain>",
    )
    .unwrap();
    assert_eq!(domain.name.as_str(), " a b ");
    assert_eq!((domain.vcpus, domain.current_vcpus), (4, Some(2)));
    assert_eq!(domain.vcpu_cpuset, "0-2,4-7".parse().ok());
    assert_eq!(domain.disabled_vcpus, VcpuSet::from(VcpuId(3)));
    assert_eq!(domain.iothreads, [1]);
    let tune = domain.cputune;
    assert_eq!(tune.vcpupin.len(), 2, "both <cputune> count, as in libvirt");
    assert_eq!(tune.vcpupin.get(&VcpuId(1)), "0-1".parse().ok().as_ref());
    assert_eq!(tune.emulatorpin, Some(CpuSet::from(CpuId(5))));
    assert_eq!(tune.iothreadpin.get(&1), Some(&CpuSet::from(CpuId(6))));
    assert_eq!(tune.limits.get("quota"), Some(&-1));
    assert!(tune.has_cachetune && tune.vcpusched.len() == 1);
}

#[test]
fn cpu_and_its_cells() {
    let domain = read_vm(
        "<cpu mode='host-passthrough' migratable='off'>
           <model vendor_id='GenuineIntel'>Penryn</model>
           <topology sockets='1' dies='2' cores='2' threads='1'/>
           <cache mode='emulate' level='3'/>
           <feature name='svm'/><feature policy='disable' name='vmx'/>
           <numa><cell cpus='0-1' memory='1' unit='GiB' memAccess='shared'>
             <distances><sibling id='1' value='21'/></distances></cell>
           <cell id='1' cpus='2,3' memory='3145728'/></numa></cpu>",
    );
    let cpu = domain.cpu.as_ref().unwrap();
    assert_eq!(cpu.mode, Some(CpuMode::HostPassthrough));
    assert_eq!(cpu.model.as_deref(), Some("Penryn"));
    assert_eq!(cpu.vendor_id.as_deref(), Some("GenuineIntel"));
    assert_eq!(cpu.topology.unwrap().vcpus(), 4);
    assert_eq!(cpu.topology.unwrap().clusters, None);
    assert_eq!(cpu.feature("svm"), Some("require"));
    assert_eq!(cpu.feature("vmx"), Some("disable"));
    assert_eq!(cpu.cache.as_ref().unwrap().level.as_deref(), Some("3"));
    let [first, second] = domain.cells() else { panic!("two cells") };
    assert_eq!(first.id, CellId(0), "without an id, its place");
    assert_eq!(first.distances.get(&CellId(1)), Some(&21));
    assert_eq!(second.memory, Bytes(3 << 30), "without a unit, KiB");
}

#[test]
fn memory_and_where_it_is_from() {
    let domain = read_vm(
        "<maxMemory slots='4' unit='GiB'>8</maxMemory>
         <memtune><hard_limit unit='KiB'>9007199254740991</hard_limit></memtune>
         <memoryBacking><hugepages><page size='1' unit='G' nodeset='0'/>
           <page size='3' unit='M'/></hugepages><locked/>
           <access mode='shared'/></memoryBacking>
         <numatune><memory mode='strict' nodeset='0-1'/>
           <memnode cellid='1' mode='preferred' nodeset='1'/></numatune>
         <devices><memory model='dimm'><target><size>1024</size></target>
         </memory></devices>",
    );
    let backing = domain.memory_backing.unwrap();
    let pages = backing.hugepages.unwrap();
    assert_eq!(pages[0].size, Some(PageSize::ONE_GIB));
    assert_eq!(pages[1].size, None, "no page has 3 MiB");
    assert!(backing.locked && !backing.nosharepages);
    assert_eq!(backing.access.as_deref(), Some("shared"));
    assert_eq!(domain.memory.modules, Bytes(1 << 20));
    assert_eq!(domain.memory.max, Some(Bytes(8 << 30)));
    assert_eq!(domain.numatune.memnodes.len(), 1);
}

#[test]
fn features_stand_under_their_path() {
    let domain = read_vm(
        "<features><acpi/><apic eoi='on'/><ioapic driver='qemu'/>
         <kvm><hint-dedicated state='on'/></kvm></features>",
    );
    for (path, value) in [
        ("acpi", Some("")),
        ("apic@eoi", Some("on")),
        ("apic", None),
        ("ioapic@driver", Some("qemu")),
        ("kvm/hint-dedicated@state", Some("on")),
    ] {
        assert_eq!(domain.feature(path), value, "{path}");
    }
}

#[test]
fn devices() {
    let domain = read_vm(
        "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>
         <devices>
         <hostdev mode='subsystem' type='usb'/>
         <hostdev mode='subsystem' type='pci' managed='yes'><source>
           <address domain='0x0000' bus='0xc1' slot='0x00' function='0x2'/>
           </source><address type='pci' bus='0x05' slot='0' function='0'/>
         </hostdev>
         <interface type='network'><model type='virtio'/></interface>
         <interface type='hostdev'><source>
           <address type='pci' bus='0x41' slot='0' function='1'/></source>
         </interface>
         <disk type='file'><driver iothread='2'/><target dev='a' bus='virtio'/>
         </disk><disk><driver><iothreads><iothread id='4'/></iothreads>
         </driver></disk>
         <controller type='pci' index='1' model='pcie-expander-bus'>
           <target busNr='254'><node>1</node></target></controller>
         <filesystem><driver type='virtiofs'/></filesystem>
         <memballoon model='none'/>
         <iommu model='intel'><driver intremap='on' eim='on'/></iommu>
         </devices>
         <qemu:commandline><qemu:arg value='-cpu'/><qemu:env name='A'/>
         </qemu:commandline><launchSecurity type='sev'/>",
    );
    let devices = &domain.devices;
    let [pci, vf] = devices.hostdevs.as_slice() else { panic!("two") };
    assert_eq!(pci.source.to_string(), "0000:c1:00.2");
    assert_eq!((pci.position, pci.guest_bus), (2, Some(5)));
    assert!(pci.managed && !pci.is_interface);
    assert_eq!(vf.source.to_string(), "0000:41:00.1");
    assert!(vf.is_interface && vf.position == 2);
    let elements = (devices.hostdev_elements, devices.interface_elements);
    assert_eq!(elements, (2, 2));
    assert_eq!(devices.other_hostdevs, 1);
    assert_eq!(devices.interfaces.len(), 1);
    assert_eq!(devices.disks[0].iothread, Some(2));
    assert_eq!(devices.disks[1].iothread, Some(4));
    assert_eq!(devices.controllers[0].node, Some(CellId(1)));
    assert_eq!(devices.controllers[0].bus_number, Some(254));
    assert_eq!(devices.memballoon.as_deref(), Some("none"));
    assert_eq!(devices.iommu.as_ref().unwrap().driver.len(), 2);
    assert!(devices.needs_shared_memory && domain.uefi && domain.is_q35());
    assert_eq!(domain.qemu_arguments, ["-cpu"]);
    assert!(domain.qemu_environment);
    assert_eq!(domain.launch_security.as_deref(), Some("sev"));
}

#[test]
fn other_documents_are_refused() {
    for (text, says) in [
        ("<network/>", "line 1, column 1: /network: not a domain"),
        ("<domstatus><domain type='kvm'/></domstatus>", "dumpxml --inactive"),
        ("<domainsnapshot/>", "holds a definition but is none"),
        ("<domain xmlns='urn:x' type='kvm'/>", "not a domain definition"),
        ("<domain/>", "/domain: type is missing"),
        ("<domain type='xen'/>", "/domain/@type: virt type \"xen\""),
        ("<domain type='kvm'/>", "/domain: name is missing"),
        ("name: vm1", "reading the definition as XML"),
    ] {
        let message = refusal(text);
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn values_that_cannot_be_read_are_named() {
    for (body, says) in [
        (
            "<cputune><vcpupin vcpu='0' cpuset='x'/></cputune>",
            "line 5, column 28: /domain/cputune/vcpupin/@cpuset: \"x\" is not",
        ),
        ("<cputune><vcpupin vcpu='0' cpuset=''/></cputune>", "at least one"),
        ("<cputune><vcpupin vcpu='9999' cpuset='0'/></cputune>", "@vcpu: "),
        ("<cputune><vcpupin vcpu='0'/></cputune>", "cpuset is missing"),
        (
            "<cputune><vcpupin vcpu='0' cpuset='0-99999999'/></cputune>",
            "@cpuset",
        ),
        (
            "<cputune><emulatorpin cpuset='0'/><emulatorpin cpuset='1'/>\
             </cputune>",
            "emulatorpin[2]: this pin is there twice",
        ),
        ("<iothreads>99999999</iothreads>", "/domain/iothreads: "),
        ("<cpu><topology sockets='0'/></cpu>", "topology/@sockets"),
        ("<cpu><numa><cell cpus='0'/></numa></cpu>", "memory is missing"),
        (
            "<cpu><numa><cell id='1' memory='1'/><cell memory='1'/></numa>\
             </cpu>",
            "cell 1 is there twice",
        ),
        ("<maxMemory unit='parsec'>1</maxMemory>", "parsec"),
        (
            "<devices><hostdev type='pci'><source><address bus='0xfff'/>\
             </source></hostdev></devices>",
            "hostdev/source/address",
        ),
    ] {
        let message = refusal(&vm(body));
        assert!(message.contains(says), "{body}: {message}");
    }
    let text = "<domain type='kvm'><name>x</name><vcpu current='3'>2</vcpu>";
    assert!(refusal(&format!("{text}</domain>")).contains("vcpu/@current"));
}

/// Real definitions, where `VMTUNE_CORPUS` says where they are.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test reads its own inputs")]
fn corpus() {
    let Some(root) = std::env::var_os("VMTUNE_CORPUS") else { return };
    let mut folders = vec![std::path::PathBuf::from(root).join("domains")];
    let (mut good, mut refused) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "xml") {
                let text = std::fs::read_to_string(&path).unwrap();
                match read(&text) {
                    Ok(_) => good += 1,
                    Err(error) => refused.push(format!("{path:?}: {error}")),
                }
            }
        }
    }
    assert!(good > 10 * refused.len(), "{good} good, {refused:#?}");
}
