//! Machines with odd but real traits.

use std::path::Path;

use crate::machine::{Cpu, Function, Machine};

/// Two sockets without SMT and without L3; CPU 7 is offline, 4 to 6 are
/// isolated and kept from the slice of VMs; somebody limits the users' CPUs
/// and irqbalance's; a virtual function shows no physical one, as inside of a
/// VM.
pub(super) fn no_smt(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "no-smt");
    let cpu = |id: u32| Cpu { package: id / 8, core: id, l2: id / 2, l3: None };
    let online = (0..16).filter(|id| *id != 7);
    machine.cpus(&online.map(|id| (id, cpu(id))).collect(), (6144, 0));
    let cpus = "sys/devices/system/cpu";
    machine.file(&format!("{cpus}/present"), "0-15");
    machine.file(&format!("{cpus}/isolated"), "4-6");
    machine.folder(&format!("{cpus}/cpu7"));
    let slice = "sys/fs/cgroup/machine.slice";
    machine.file(&format!("{slice}/cpuset.cpus.effective"), "0-3,8-15");
    machine.node(0, "0-7", 16, "10 21");
    machine.node(1, "8-15", 16, "21 10");
    for node in 0..2 {
        machine.pool(node, 2048, 512, 512);
    }
    let pages = "sys/kernel/mm/hugepages/hugepages-2048kB";
    machine.file(&format!("{pages}/resv_hugepages"), 12);
    machine.cpuinfo(
        "GenuineIntel",
        "Intel(R) Xeon(R) CPU           X5472  @ 3.00GHz",
        "fpu tsc msr apic sse sse2 lm vmx",
    );
    machine.files(
        "proc",
        &[
            ("cmdline", "root=ZFS=rpool/ROOT/pve-1 boot=zfs isolcpus=4-6"),
            ("sys/kernel/osrelease", "6.8.12-4-pve"),
        ],
    );
    machine.systemd("0-6,8-15");
    let control = "etc/systemd/system.control/user.slice.d";
    let limit = "[Slice]\nAllowedCPUs=0-11";
    machine.file(&format!("{control}/50-AllowedCPUs.conf"), limit);
    let banned = "#IRQBALANCE_BANNED_CPUS=\nIRQBALANCE_BANNED_CPULIST=4-6";
    machine.file("etc/default/irqbalance", banned);
    machine.file("etc/kernel/proxmox-boot-uuids", "");
    machine.file("etc/kernel/cmdline", "");
    machine.folder("etc/default/grub.d");
    let function = Function {
        place: "pci0000:00/0000:00:04.0",
        id: (0x8086, 0x154c),
        class: 0x02_00_00,
        numa_node: -1,
        driver: Some("iavf"),
        group: None,
    };
    let place = machine.function(&function);
    machine.interface(&place, "ens4", "");
    machine
}

/// Two sockets, the second split into two nodes of which one has no memory,
/// and a node of memory without CPUs behind CXL; systemd does not run it.
pub(super) fn cxl(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "cxl");
    let cpu = |id: u32| {
        let core = id % 8;
        let l3 = Some(core / 4);
        Cpu { package: core / 4, core, l2: core, l3 }
    };
    machine.cpus(&(0..16).map(|id| (id, cpu(id))).collect(), (2048, 61440));
    machine.node(0, "0-3,8-11", 64, "10 21 21 24");
    machine.node(1, "4-5,12-13", 64, "21 10 12 34");
    machine.node(2, "6-7,14-15", 0, "21 12 10 34");
    machine.node(3, "", 256, "24 34 34 10");
    for node in [0, 1, 3] {
        machine.pool(node, 1 << 20, 8, 8);
    }
    machine.cpuinfo(
        "GenuineIntel",
        "Intel(R) Xeon(R) Gold 6548Y+",
        "fpu tsc msr apic sse sse2 ht nx pdpe1gb lm vmx ept avx512f",
    );
    machine
}
