//! A two-socket server with a card that has virtual functions.

use std::path::Path;

use crate::machine::{Cpu, Function, Machine};

/// Two sockets, two nodes each, two L3s on a node, four cores at an L3, SMT;
/// a ConnectX-6 Dx with four virtual functions on node 1.
pub(super) fn epyc_2s_nps2_cx6(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "epyc-2s-nps2-cx6");
    let cpu = |id: u32| {
        let core = id % 32;
        let l3 = Some(core / 4);
        Cpu { package: core / 16, core, l2: core, l3 }
    };
    machine.cpus(&(0..64).map(|id| (id, cpu(id))).collect(), (1024, 32768));
    for node in 0..4 {
        let first = node * 8;
        let cpus =
            format!("{first}-{},{}-{}", first + 7, first + 32, first + 39);
        let distance = |to: u32| match (node == to, node / 2 == to / 2) {
            (true, _) => "10",
            (_, true) => "12",
            _ => "32",
        };
        let distances: Vec<_> = (0..4).map(distance).collect();
        machine.node(node, &cpus, 128, &distances.join(" "));
        let free = if node == 1 { 24 } else { 32 };
        machine.pool(node, 1 << 20, 32, free);
        machine.pool(node, 2048, 1024, 1024);
    }
    kernel(&machine);
    memory(&machine);
    devices(&machine);
    machine
}

/// How free memory lies, what tunes it besides vmtune, and the caches that
/// can be divided.
fn memory(machine: &Machine) {
    let (mut free, mut blocks) = (String::new(), String::new());
    for node in 0..4 {
        free +=
            &format!("Node {node}, zone   Normal {} 7800\n", "900 ".repeat(10));
        blocks += &format!("Node {node}, zone   Normal  820  62000  310\n");
    }
    machine.file("proc/buddyinfo", free);
    machine.file(
        "proc/pagetypeinfo",
        format!(
            "Page block order: 9\nPages per block:  512\n\nNumber of blocks \
             type     Unmovable      Movable  Reclaimable\n{blocks}"
        ),
    );
    machine.file("proc/2101/comm", "ksmtuned");
    machine.file(
        "proc/1/mounts",
        "/dev/vg0/root / ext4 rw,relatime 0 0\n\
         hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n\
         none /mnt/huge hugetlbfs rw,relatime,pagesize=1024M 0 0",
    );
    machine.files(
        "etc",
        &[
            (
                "sysctl.d/60-rack.conf",
                "# my own rack\nkernel.domainname = my own rack\n\
                 kernel.numa_balancing = 1",
            ),
            (
                "security/limits.conf",
                "# alice asked\nalice - memlock 64\n@rdma - memlock unlimited",
            ),
        ],
    );
    machine.file(
        "usr/lib/tmpfiles.d/thp.conf",
        "w /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise",
    );
    for program in ["sbin/update-grub", "bin/systemctl", "bin/systemd-tmpfiles"]
    {
        machine.file(&format!("usr/{program}"), "");
    }
    machine.file("sys/firmware/acpi/tables/IVRS", "");
    machine.files(
        "sys/fs/resctrl",
        &[
            ("info/L3/cbm_mask", "ffff"),
            ("info/L3/min_cbm_bits", "1"),
            ("info/L3/num_closids", "16"),
            (
                "schemata",
                "    MB:0=2048;1=2048\n    \
                 L3:0=ffff;1=ffff;2=ffff;3=ffff;4=00ff;5=ffff;6=ffff;7=ffff",
            ),
        ],
    );
}

fn kernel(machine: &Machine) {
    machine.cpuinfo(
        "AuthenticAMD",
        "AMD EPYC 9124 16-Core Processor",
        "fpu vme de pse tsc msr pae cx8 apic sep mtrr pge mca cmov pat \
         clflush mmx fxsr sse sse2 ht syscall nx mmxext pdpe1gb rdtscp lm \
         constant_tsc rep_good nopl nonstop_tsc pni ssse3 fma cx16 sse4_1 \
         sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand svm topoext \
         avx2 avx512f avx512vl invpcid npt avic",
    );
    machine.files(
        "proc",
        &[
            (
                "cmdline",
                "BOOT_IMAGE=/boot/vmlinuz-6.8.0-45-generic \
                 root=/dev/mapper/vg-root ro quiet",
            ),
            ("812/comm", "irqbalance"),
            ("sys/kernel/osrelease", "6.8.0-45-generic"),
            ("sys/kernel/hostname", "rack7-node12"),
            ("sys/kernel/numa_balancing", "1"),
            ("sys/kernel/nmi_watchdog", "1"),
            ("sys/kernel/perf_event_paranoid", "4"),
            ("sys/kernel/sched_rt_runtime_us", "950000"),
            ("sys/vm/compaction_proactiveness", "20"),
            ("sys/vm/nr_overcommit_hugepages", "0"),
            ("sys/vm/overcommit_memory", "0"),
            ("sys/vm/stat_interval", "1"),
            ("sys/vm/swappiness", "60"),
            ("sys/vm/zone_reclaim_mode", "0"),
        ],
    );
    machine.files(
        "sys/kernel/mm",
        &[
            ("transparent_hugepage/enabled", "always [madvise] never"),
            ("ksm/run", "1"),
            ("ksm/pages_sharing", "4096"),
        ],
    );
    machine.folder("etc/default/grub.d");
    machine.file("etc/default/grub", "");
    machine.modules(&[
        "ib_uverbs",
        "kvm.halt_poll_ns=200000",
        "kvm.ignore_msrs=N",
        "kvm.nx_huge_pages=never",
        "kvm_amd.avic=N",
        "kvm_amd.nested=1",
        "kvm_amd.npt=Y",
        "mlx5_core",
        "mlx5_ib",
        "rdma_cm",
        "tun",
        "vfio",
        "vfio_iommu_type1.allow_unsafe_interrupts=N",
        "vfio_iommu_type1.dma_entry_limit=65535",
        "vfio_pci.disable_idle_d3=N",
        "vhost_net.experimental_zcopytx=0",
    ]);
    machine.systemd("0-63");
    let governors = "conservative ondemand userspace powersave performance \
                     schedutil";
    machine.governor(64, ("acpi-cpufreq", governors), "schedutil");
    machine.idle(&[("POLL", 0), ("C1", 1), ("C2", 800)]);
}

fn devices(machine: &Machine) {
    for unit in 0..4 {
        machine.folder(&format!("sys/class/iommu/ivhd{unit}"));
    }
    let port = Function {
        place: "pci0000:c0/0000:c0:01.1",
        id: (0x1022, 0x14ab),
        class: 0x06_04_00,
        numa_node: 1,
        driver: Some("pcieport"),
        group: Some(40),
    };
    machine.function(&port);
    let card = Function {
        place: "pci0000:c0/0000:c0:01.1/0000:c1:00.0",
        id: (0x15b3, 0x101d),
        class: 0x02_00_00,
        numa_node: 1,
        driver: Some("mlx5_core"),
        group: Some(41),
    };
    let physfn = machine.function(&card);
    machine.file(&format!("{physfn}/sriov_totalvfs"), 8);
    machine.interface(&physfn, "enp193s0f0np0", "p0");
    // What the card's switch calls the other end of the first function.
    machine.interface(&physfn, "enp193s0f0npf0vf0", "pf0vf0");
    machine.rdma(&physfn, "mlx5_0", "enp193s0f0np0");
    for (number, cpu) in [(120, "9"), (121, "12"), (122, "45"), (123, "14")] {
        machine.interrupt(&physfn, number, ("8-15,40-47", cpu), true);
    }
    let places = [
        "pci0000:c0/0000:c0:01.1/0000:c1:00.1",
        "pci0000:c0/0000:c0:01.1/0000:c1:00.2",
        "pci0000:c0/0000:c0:01.1/0000:c1:00.3",
        "pci0000:c0/0000:c0:01.1/0000:c1:00.4",
    ];
    for (n, place) in (0..).zip(places) {
        let function = Function {
            place,
            id: (0x15b3, 0x101e),
            driver: Some(if n == 0 { "mlx5_core" } else { "vfio-pci" }),
            group: Some(42 + n),
            ..card
        };
        let virtfn = machine.virtfn(n, &physfn, &function);
        if n == 0 {
            machine.interface(&virtfn, "enp193s0f0v0", "");
            machine.rdma(&virtfn, "mlx5_1", "enp193s0f0v0");
        }
    }
    machine.function(&Function {
        place: "pci0000:00/0000:00:01.1/0000:01:00.0",
        id: (0x144d, 0xa80a),
        class: 0x01_08_02,
        numa_node: 0,
        driver: Some("nvme"),
        group: Some(12),
    });
    let ethernet = machine.function(&Function {
        place: "pci0000:60/0000:60:05.2/0000:61:00.0",
        id: (0x8086, 0x1533),
        class: 0x02_00_00,
        numa_node: 3,
        driver: Some("igb"),
        group: Some(17),
    });
    machine.interface(&ethernet, "eno1", "");
}
