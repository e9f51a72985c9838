//! A server whose card has its virtual functions on a bridge of Open vSwitch.

use std::path::Path;

use crate::machine::{Cpu, Function, Machine};

/// One socket, two nodes, four cores at an L3, SMT; a ConnectX-6 Lx on node 1
/// in switchdev mode, both of its ports in a bond of Open vSwitch, and four
/// virtual functions at the first.
pub(crate) fn epyc_cx6lx_ovs(parent: &Path) -> Machine {
    let machine = Machine::new(parent, "epyc-cx6lx-ovs");
    let cpu = |id: u32| {
        let core = id % 16;
        Cpu { package: 0, core, l2: core, l3: Some(core / 4) }
    };
    machine.cpus(&(0..32).map(|id| (id, cpu(id))).collect(), (1024, 32768));
    machine.node(0, "0-7,16-23", 64, "10 12");
    machine.node(1, "8-15,24-31", 64, "12 10");
    machine.pool(0, 1 << 20, 16, 16);
    machine.pool(1, 1 << 20, 16, 16);
    kernel(&machine);
    card(&machine);
    switch(&machine);
    udev(&machine);
    machine
}

fn kernel(machine: &Machine) {
    machine.cpuinfo(
        "AuthenticAMD",
        "AMD EPYC 9124 16-Core Processor",
        "fpu vme tsc msr pae apic ht syscall nx lm svm topoext avx2",
    );
    machine.files(
        "proc",
        &[
            ("cmdline", "BOOT_IMAGE=/vmlinuz-6.8 root=ZFS=rpool/x ro quiet"),
            ("sys/kernel/osrelease", "6.8.12-4-pve"),
            ("sys/kernel/hostname", "rack7-node3"),
            ("sys/kernel/numa_balancing", "1"),
        ],
    );
    machine.modules(&["mlx5_core", "mlx5_ib", "openvswitch", "vfio_pci"]);
    machine.systemd("0-31");
    for program in [
        "bin/devlink",
        "bin/ovs-vsctl",
        "bin/setpci",
        "bin/systemctl",
        "bin/systemd-tmpfiles",
        "bin/udevadm",
        "sbin/dcb",
        "sbin/ethtool",
        "sbin/ip",
    ] {
        machine.file(&format!("usr/{program}"), "");
    }
    for unit in 0..4 {
        machine.folder(&format!("sys/class/iommu/ivhd{unit}"));
    }
}

const PORT: &str = "pci0000:80/0000:80:01.1";

fn card(machine: &Machine) {
    let port = Function {
        place: PORT,
        id: (0x1022, 0x14ab),
        class: 0x06_04_00,
        numa_node: 1,
        driver: Some("pcieport"),
        group: Some(60),
    };
    machine.function(&port);
    let ports = [
        ("pci0000:80/0000:80:01.1/0000:81:00.0", 61, "enp129s0f0np0", "p0"),
        ("pci0000:80/0000:80:01.1/0000:81:00.1", 62, "enp129s0f1np1", "p1"),
    ];
    for (n, (place, group, name, port)) in ports.into_iter().enumerate() {
        let physfn = machine.function(&Function {
            place,
            id: (0x15b3, 0x101f),
            class: 0x02_00_00,
            numa_node: 1,
            driver: Some("mlx5_core"),
            group: Some(group),
        });
        machine.files(
            &physfn,
            &[
                ("sriov_offset", if n == 0 { "2" } else { "9" }),
                ("sriov_stride", "1"),
                ("sriov_totalvfs", "8"),
                ("sriov_numvfs", if n == 0 { "4" } else { "0" }),
                ("sriov_drivers_autoprobe", "1"),
                ("current_link_speed", "8.0 GT/s PCIe"),
                ("max_link_speed", "16.0 GT/s PCIe"),
                ("current_link_width", "8"),
                ("max_link_width", "8"),
            ],
        );
        machine.bytes(&format!("{physfn}/config"), &configuration());
        machine.interface(&physfn, name, port);
        wire(machine, &physfn, name);
        rdma(machine, &physfn, n, name);
    }
    let physfn = format!("sys/devices/{}", ports[0].0);
    let places = [
        "pci0000:80/0000:80:01.1/0000:81:00.2",
        "pci0000:80/0000:80:01.1/0000:81:00.3",
        "pci0000:80/0000:80:01.1/0000:81:00.4",
        "pci0000:80/0000:80:01.1/0000:81:00.5",
    ];
    for (n, place) in (0..).zip(places) {
        let function = Function {
            place,
            id: (0x15b3, 0x101e),
            class: 0x02_00_00,
            numa_node: 1,
            driver: Some(if n == 0 { "vfio-pci" } else { "mlx5_core" }),
            group: Some(63 + n),
        };
        machine.virtfn(n, &physfn, &function);
        let name = format!("ovs-sw1pf0vf{n}");
        machine.interface(&physfn, &name, &format!("pf0vf{n}"));
        wire(machine, &physfn, &name);
    }
    answers(machine);
}

/// What the card's two ports and the four ends in its switch have in common.
fn wire(machine: &Machine, physfn: &str, name: &str) {
    let folder = format!("{physfn}/net/{name}");
    machine.file(&format!("{folder}/mtu"), 9000);
    machine.file(&format!("{folder}/phys_switch_id"), "3264160003bd70c4");
    let datapath = "sys/devices/virtual/net/ovs-system";
    machine.link(&format!("{folder}/master"), datapath);
}

fn switch(machine: &Machine) {
    let datapath = "sys/devices/virtual/net/ovs-system";
    machine.file(&format!("{datapath}/mtu"), 1500);
    machine.link("sys/class/net/ovs-system", datapath);
    machine.file(
        "programs/ovs-vsctl --timeout=4 --format=json --columns=other_config \
         list Open_vSwitch .",
        r#"{"data":[[["map",[["hw-offload","true"],["lacp-fallback-ab","true"],
["rack","my own rack"],["tc-policy","skip_sw"]]]]],"headings":["other_config"]}"#,
    );
    machine.file("programs/ovs-vsctl --timeout=4 list-br", "vmbr1");
    machine.link("sys/class/net/vmbr0", "sys/devices/virtual/net/vmbr0");
    machine.folder("sys/devices/virtual/net/vmbr0/bridge");
    machine.file("usr/sbin/ifreload", "");
    machine.file(
        "etc/network/interfaces",
        "# my own rack\nauto vmbr1\nsource /etc/network/interfaces.d/*",
    );
}

fn rdma(machine: &Machine, physfn: &str, n: usize, name: &str) {
    let device = format!("mlx5_{n}");
    machine.rdma(physfn, &device, name);
    let port = format!("{physfn}/infiniband/{device}/ports/1");
    machine.file(&format!("{port}/link_layer"), "Ethernet");
    let link_local = "fe80:0000:0000:0000:c670:bdff:fe16:6432";
    let none = "0000:0000:0000:0000:0000:0000:0000:0000";
    for (index, (gid, kind)) in
        [(link_local, "IB/RoCE v1"), (link_local, "RoCE v2")]
            .into_iter()
            .enumerate()
    {
        machine.file(&format!("{port}/gids/{index}"), gid);
        machine.file(&format!("{port}/gid_attrs/types/{index}"), kind);
        machine.file(&format!("{port}/gid_attrs/ndevs/{index}"), name);
    }
    machine.file(&format!("{port}/gids/2"), none);
    machine.file(
        &format!("programs/ibv_devinfo -d {device}"),
        "hca_id:\tmlx5_0\n\tnode_guid:\t\t\tc470:bd03:0016:6432\n\
         \t\tport:\t1\n\t\t\tstate:\t\t\tPORT_ACTIVE (4)\n\
         \t\t\tmax_mtu:\t\t4096 (5)\n\t\t\tactive_mtu:\t\t4096 (5)",
    );
}

/// PCI Express at 0x60: packets of 256 bytes, requests of 512.
fn configuration() -> Vec<u8> {
    let mut config = vec![0; 4096];
    config[6] = 0x10;
    config[0x34] = 0x60;
    config[0x60] = 0x10;
    config[0x68..0x6a].copy_from_slice(&0x2936_u16.to_le_bytes());
    // What is read of it ends before the card's serial number.
    config[0x100..0x10c].copy_from_slice(b"serialnumber");
    config
}

fn answers(machine: &Machine) {
    for (function, name, mac, functions) in [
        ("0000:81:00.0", "enp129s0f0np0", "c4:70:bd:16:64:32", 4),
        ("0000:81:00.1", "enp129s0f1np1", "c4:70:bd:16:64:33", 0),
    ] {
        let answer = |question: &str, text: &str| {
            machine.file(&format!("programs/{question}"), text);
        };
        let identity = |n: u32| {
            format!(
                r#"{{"vf":{n},"link_type":"ether","address":"c4:70:ff:ff:ff:e{n}",
"broadcast":"ff:ff:ff:ff:ff:ff","vlan_list":[{{}}],"rate":{{"max_tx":0,"min_tx":0}},
"spoofchk":false,"link_state":"auto","trust":false,"query_rss_en":false}}"#
            )
        };
        let identities: Vec<_> = (0..functions).map(identity).collect();
        answer(
            &format!("ip -json -details link show dev {name}"),
            &format!(
                r#"[{{"ifindex":4,"ifname":"{name}","ifalias":"my own rack","mtu":9000,
"address":"{mac}","min_mtu":68,"max_mtu":9978,"vfinfo_list":[{}]}}]"#,
                identities.join(",")
            ),
        );
        answer(
            &format!("devlink -j dev eswitch show pci/{function}"),
            &format!(
                r#"{{"dev":{{"pci/{function}":{{"mode":"switchdev","inline-mode":"none","encap-mode":"basic"}}}}}}"#
            ),
        );
        answer(
            &format!("ethtool -i {name}"),
            "driver: mlx5_core\nversion: 6.8.12-4-pve\n\
             firmware-version: 26.35.4030 (MT_0000000532)\n\
             expansion-rom-version: ",
        );
        answer(
            &format!("ethtool -g {name}"),
            "Ring parameters for it:\nPre-set maximums:\nRX:\t\t8192\n\
             RX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t8192\n\
             Current hardware settings:\nRX:\t\t1024\nRX Mini:\tn/a\n\
             RX Jumbo:\tn/a\nTX:\t\t1024",
        );
        answer(
            &format!("dcb pfc show dev {name} prio-pfc"),
            "prio-pfc 0:off 1:off 2:off 3:off 4:off 5:off 6:off 7:off",
        );
        answer(&format!("dcb -N app show dev {name} dscp-prio"), "");
    }
}

/// The rules by which a guide makes the functions; the id of the switch in
/// them is another card's.
fn udev(machine: &Machine) {
    machine.file(
        "etc/udev/rules.d/70-persistent-net-vf.rules",
        "# my own rack\nSUBSYSTEM==\"net\", ACTION==\"add\", \
         ATTR{phys_switch_id}==\"52ac120003bd70c4\", \
         ATTR{phys_port_name}==\"p0\", \
         ATTR{device/sriov_numvfs}==\"0\", ATTR{device/sriov_numvfs}=\"4\"\n\
         SUBSYSTEM==\"net\", ACTION==\"add\", \
         ATTR{phys_switch_id}==\"52ac120003bd70c4\", \
         ATTR{phys_port_name}!=\"p[0-9]*\", ATTR{phys_port_name}!=\"\", \
         NAME=\"ovs-sw1$attr{phys_port_name}\"",
    );
}
