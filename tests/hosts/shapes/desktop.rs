//! Machines with one socket and one node.

use std::path::Path;

use crate::machine::{Cpu, Function, Machine};

/// Eight cores with SMT at one L3, a GPU, and firmware that tells no node of
/// any device; the IOMMU is off. A disk behind a volume management device
/// has a 32-bit segment.
pub(super) fn desktop_1s(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "desktop-1s");
    let cpu = |id: u32| {
        let core = id % 8;
        Cpu { package: 0, core, l2: core, l3: Some(0) }
    };
    machine.cpus(&(0..16).map(|id| (id, cpu(id))).collect(), (512, 16384));
    machine.node(0, "0-15", 32, "10");
    machine.pool(0, 1 << 20, 0, 0);
    machine.pool(0, 2048, 0, 0);
    machine.cpuinfo(
        "GenuineIntel",
        "11th Gen Intel(R) Core(TM) i9-11900K @ 3.50GHz",
        "fpu tsc msr apic sse sse2 ht nx pdpe1gb lm vmx ept avx2",
    );
    machine.files(
        "proc",
        &[
            ("cmdline", "root=UUID=8f0c4a52-93d1-4a0e-8f43-0d3c55c0a1b7 rw"),
            ("sys/kernel/osrelease", "6.12.9-arch1-1"),
            ("sys/kernel/hostname", "wohnzimmer"),
            ("sys/kernel/numa_balancing", "0"),
        ],
    );
    let huge = "sys/kernel/mm/transparent_hugepage/enabled";
    machine.file(huge, "[always] madvise never");
    machine.file("sys/kernel/mm/ksm/run", 0);
    machine.file("etc/default/grub", "");
    machine.modules(&["kvm.halt_poll_ns=200000", "kvm_intel.nested=Y", "tun"]);
    machine.systemd("0-15");
    machine.file("proc/self/cgroup", "0::/user.slice");
    let users = "sys/fs/cgroup/user.slice";
    let cpus = [("cpuset.cpus", "0-11"), ("cpuset.cpus.effective", "0-11")];
    machine.files(users, &cpus);
    const PSTATE: (&str, &str) = ("intel_pstate", "performance powersave");
    machine.governor(16, PSTATE, "powersave");
    machine.preference(16, "balance_performance");
    machine.idle(&[("POLL", 0), ("C1_ACPI", 1), ("C3_ACPI", 1034)]);
    let graphics = Function {
        place: "pci0000:00/0000:00:01.0/0000:01:00.0",
        id: (0x10de, 0x2684),
        class: 0x03_00_00,
        numa_node: -1,
        driver: Some("nvidia"),
        group: None,
    };
    let card = machine.function(&graphics);
    machine.interrupt(&card, 176, ("0-15", "5"), true);
    machine.function(&Function {
        place: "pci0000:00/0000:00:01.0/0000:01:00.1",
        id: (0x10de, 0x22ba),
        class: 0x04_03_00,
        driver: Some("snd_hda_intel"),
        ..graphics
    });
    machine.function(&Function {
        place: "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0",
        id: (0x144d, 0xa80c),
        class: 0x01_08_02,
        driver: None,
        ..graphics
    });
    let adapter = machine.function(&Function {
        place: "pci0000:00/0000:00:1f.6",
        id: (0x8086, 0x15fa),
        class: 0x02_00_00,
        driver: Some("e1000e"),
        ..graphics
    });
    // A name that udev makes of the address, as for adapters on USB.
    machine.interface(&adapter, "enxb8cef6010203", "");
    machine.interrupt(&adapter, 128, ("0-15", "2"), true);
    // The kernel has spread this one itself.
    machine.interrupt(&adapter, 129, ("8-15", "8"), false);
    machine
}

/// Six fast cores with SMT and eight slow ones without, which share an L2 by
/// fours.
pub(super) fn hybrid(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "hybrid");
    let cpu = |id: u32| {
        let (core, l2) = match id {
            0..12 => (id / 2, id / 2),
            _ => (id - 6, 6 + (id - 12) / 4),
        };
        Cpu { package: 0, core, l2, l3: Some(0) }
    };
    machine.cpus(&(0..20).map(|id| (id, cpu(id))).collect(), (2048, 24576));
    machine.node(0, "0-19", 64, "10");
    machine.pool(0, 2048, 4096, 4096);
    machine.file("sys/devices/cpu_core/cpus", "0-11");
    machine.file("sys/devices/cpu_atom/cpus", "12-19");
    machine.cpuinfo(
        "GenuineIntel",
        "13th Gen Intel(R) Core(TM) i7-1370P",
        "fpu tsc msr apic sse sse2 ht nx pdpe1gb lm vmx ept avx2 hybrid_cpu",
    );
    machine.files(
        "proc",
        &[
            ("cmdline", "root=/dev/nvme0n1p2 rw intel_iommu=on iommu=pt"),
            ("sys/kernel/osrelease", "6.11.0-1-default"),
        ],
    );
    machine.file("usr/bin/grubby", "");
    machine.folder("etc/default/grub.d");
    machine.modules(&["kvm", "kvm_intel.nested=Y", "vfio", "vfio_pci"]);
    machine.systemd("0-19");
    machine.file("proc/933/comm", "tuned");
    const PSTATE: (&str, &str) = ("intel_pstate", "performance powersave");
    machine.governor(20, PSTATE, "performance");
    machine.preference(20, "performance");
    machine.folder("sys/class/iommu/dmar0");
    machine.function(&Function {
        place: "pci0000:00/0000:00:02.0",
        id: (0x8086, 0xa7a0),
        class: 0x03_00_00,
        numa_node: -1,
        driver: Some("i915"),
        group: Some(0),
    });
    machine
}
