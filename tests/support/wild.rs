//! Hosts, policies and definitions that nobody would make on purpose.

use std::fmt::Write as _;

use vmtune::base::{CpuId, CpuSet, NodeId, NodeSet, PageSize};
use vmtune::model::Fact;
use vmtune::model::facts::{CpuKind, Facts};
use vmtune::model::policy::{
    DeviceLocality, Emulator, GuestIommu, Housekeeping, Level, Pages, Pins,
    PlacementMode, Policy, Smt, VmNic, VmPolicy,
};
use vmtune::rules::RULES;

use super::Seeded;
use super::hosts::{Shape, add_nic};

/// Draws a host, and takes away some of what is known of it.
pub fn host(seeded: &mut Seeded) -> Facts {
    let most = *seeded.pick(&[4, 12, 12, 32]);
    let mut facts = loop {
        let facts = Shape::random(seeded, most).facts();
        if !facts.topology.online.is_empty() {
            break facts;
        }
    };
    let nodes: Vec<_> = facts.topology.nodes.iter().map(|n| n.id).collect();
    if seeded.chance(70) {
        let count = 1 + seeded.below(2) as usize;
        let near: Vec<NodeId> = nodes.iter().copied().take(count).collect();
        add_nic(&mut facts, &near);
    }
    let cores = facts.topology.cores.len();
    if cores > 1 && seeded.chance(25) {
        let cut = 1 + seeded.below(u32::try_from(cores - 1).unwrap()) as usize;
        let (fast, slow) = facts.topology.cores.split_at(cut);
        let all = |part: &[vmtune::model::facts::Core]| {
            part.iter().fold(CpuSet::new(), |set, c| set.union(&c.cpus))
        };
        let kind = |name: &str, cpus| CpuKind { name: name.to_owned(), cpus };
        facts.topology.kinds =
            vec![kind("slow", all(slow)), kind("fast", all(fast))];
    }
    if seeded.chance(25) {
        let online: Vec<_> = facts.topology.online.iter().collect();
        facts.topology.disallowed = online
            .iter()
            .skip(1)
            .filter(|_| seeded.chance(15))
            .copied()
            .collect();
    }
    if seeded.chance(15) {
        facts.topology.isolated = Fact::known(cpus(seeded, &facts), "made up");
    }
    if seeded.chance(30) {
        facts.cpu_vendor = Fact::known("AuthenticAMD".to_owned(), "made up");
    }
    forget(seeded, &mut facts);
    facts
}

fn forget(seeded: &mut Seeded, facts: &mut Facts) {
    let unknown = "was not told";
    if seeded.chance(10) {
        facts.cpu_vendor = Fact::unknown(unknown);
    }
    if seeded.chance(10) {
        facts.memory.hugepages = Fact::unknown(unknown);
    } else if let Fact::Known { value: pools, .. } = &mut facts.memory.hugepages
    {
        for pool in pools {
            pool.total += u64::from(seeded.below(3));
            if seeded.chance(15) {
                pool.free = Fact::unknown(unknown);
            }
        }
    }
    for node in &mut facts.topology.nodes {
        if seeded.chance(8) {
            node.memory = Fact::unknown(unknown);
        }
        if seeded.chance(8) {
            node.distances = Fact::unknown(unknown);
        }
    }
    let all: NodeSet = facts.topology.nodes.iter().map(|n| n.id).collect();
    match &mut facts.pci {
        pci if seeded.chance(8) => *pci = Fact::unknown(unknown),
        Fact::Known { value, .. } => {
            for function in value {
                if seeded.chance(10) {
                    function.nodes = Fact::unknown("numa_node is -1");
                } else if seeded.chance(10) {
                    function.nodes = Fact::known(all.clone(), "made up");
                }
            }
        }
        Fact::Unknown { .. } => {}
    }
}

/// Draws some of a host's CPUs, at times one that it does not have.
pub fn cpus(seeded: &mut Seeded, facts: &Facts) -> CpuSet {
    let last = facts.topology.online.last().map_or(0, |cpu| cpu.0);
    (0..1 + seeded.below(3)).map(|_| CpuId(seeded.below(last + 2))).collect()
}

fn pages(seeded: &mut Seeded) -> Pages {
    *seeded.pick(&[
        Pages::Auto,
        Pages::Auto,
        Pages::None,
        Pages::Size(PageSize::TWO_MIB),
        Pages::Size(PageSize::ONE_GIB),
    ])
}

/// Draws a policy for VMs of these names.
pub fn policy(seeded: &mut Seeded, facts: &Facts, names: &[&str]) -> Policy {
    let mut policy = Policy::default();
    policy.cpu.smt = *seeded.pick(&[
        Smt::Siblings,
        Smt::Siblings,
        Smt::Siblings,
        Smt::Isolate,
        Smt::Any,
    ]);
    if seeded.chance(15) {
        policy.cpu.placement = PlacementMode::Shared;
    }
    if seeded.chance(20) {
        policy.cpu.emulator = Emulator::Dedicated;
    }
    if seeded.chance(20) {
        let mut kept = cpus(seeded, facts);
        kept = kept.intersection(&facts.topology.online);
        policy.cpu.housekeeping = Housekeeping::Cpus(kept);
    }
    if seeded.chance(10) {
        policy.cpu.pins = Pins::Keep;
    }
    policy.memory.pages = pages(seeded);
    policy.devices.locality = *seeded.pick(&[
        DeviceLocality::Prefer,
        DeviceLocality::Prefer,
        DeviceLocality::Require,
        DeviceLocality::Ignore,
    ]);
    policy.iommu.guest = *seeded.pick(&[
        GuestIommu::Auto,
        GuestIommu::Auto,
        GuestIommu::On,
        GuestIommu::Off,
    ]);
    for rule in RULES {
        if seeded.chance(8) {
            let level =
                *seeded.pick(&[Level::Plan, Level::Plan, Level::Advise]);
            let level = if seeded.chance(25) { Level::Off } else { level };
            policy.rules.insert(rule.id.to_owned(), level);
        }
    }
    if !policy.plans("vcpu-pin") || !policy.plans("numa-cells") {
        // Nothing then tells a second plan where the first had put the VM.
        policy.cpu.pins = Pins::Replan;
    }
    for name in names {
        if seeded.chance(30) {
            policy.vm.insert((*name).to_owned(), table(seeded));
        }
    }
    policy
}

fn table(seeded: &mut Seeded) -> VmPolicy {
    let mut vm = VmPolicy::default();
    if seeded.chance(40) {
        vm.cells = Some(1 + seeded.below(4));
    }
    if seeded.chance(30) {
        vm.threads = Some(*seeded.pick(&[1, 1, 2, 2, 4]));
    }
    if seeded.chance(20) {
        vm.cpu.placement = Some(
            *seeded.pick(&[PlacementMode::Shared, PlacementMode::Dedicated]),
        );
    }
    if seeded.chance(20) {
        vm.cpu.smt =
            Some(*seeded.pick(&[Smt::Siblings, Smt::Isolate, Smt::Any]));
    }
    if seeded.chance(20) {
        vm.memory.pages = Some(pages(seeded));
    }
    if seeded.chance(40) {
        let count = 1 + seeded.below(2);
        vm.nics = (0..count).map(|_| VmNic::default()).collect();
    }
    vm
}

/// Draws a definition with tuning of all kinds, right and wrong, as far as
/// libvirt's schema allows.
pub fn definition(
    seeded: &mut Seeded,
    facts: &Facts,
    name: &str,
    most: u32,
) -> String {
    let vcpus = 1 + seeded.below(most);
    let memory = u64::from(1 + seeded.below(16)) * 512;
    let kind = *seeded.pick(&["kvm", "kvm", "kvm", "qemu"]);
    let hack = seeded.chance(15);
    let space = " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    let mut t = format!(
        "<domain type='{kind}'{}>\n  <name>{name}</name>\n  \
         <memory unit='MiB'>{memory}</memory>\n",
        if hack { space } else { "" }
    );
    let cells = match seeded.chance(40) {
        true => (1 + seeded.below(3)).min(vcpus),
        false => 0,
    };
    backing(seeded, &mut t, cells);
    vcpu(seeded, &mut t, facts, vcpus);
    let iothreads = seeded.below(3);
    if iothreads > 0 {
        let _ = writeln!(t, "  <iothreads>{iothreads}</iothreads>");
    }
    tune(seeded, &mut t, facts, vcpus, iothreads);
    numatune(seeded, &mut t, facts, cells);
    let machine =
        *seeded.pick(&["q35", "pc-q35-9.2", "pc", "pc-i440fx-9.2", "q35"]);
    let _ = writeln!(
        t,
        "  <os>\n    <type arch='x86_64' machine='{machine}'>hvm</type>\n  \
         </os>"
    );
    features(seeded, &mut t);
    cpu(seeded, &mut t, vcpus, memory, cells);
    devices(seeded, &mut t, facts, iothreads, machine.contains("q35"));
    if hack {
        let model = *seeded.pick(&["host", "host,+invtsc", "EPYC"]);
        let _ = writeln!(
            t,
            "  <qemu:commandline>\n    <qemu:arg value='-cpu'/>\n    \
             <qemu:arg value='{model},l3-cache=on'/>\n  </qemu:commandline>"
        );
    }
    t.push_str("</domain>\n");
    t
}

fn backing(seeded: &mut Seeded, t: &mut String, cells: u32) {
    if seeded.chance(15) {
        t.push_str(
            "  <memtune>\n    <hard_limit unit='GiB'>64</hard_limit>\n  \
             </memtune>\n",
        );
    }
    if !seeded.chance(45) {
        return;
    }
    t.push_str("  <memoryBacking>\n");
    if seeded.chance(60) {
        let size =
            *seeded.pick(&["2048' unit='KiB", "1' unit='G", "4' unit='KiB"]);
        let set = match cells > 0 && seeded.chance(50) {
            true => format!(" nodeset='{}'", seeded.below(cells)),
            false => String::new(),
        };
        let _ = match seeded.below(3) {
            0 => writeln!(t, "    <hugepages/>"),
            _ => writeln!(
                t,
                "    <hugepages>\n      <page size='{size}'{set}/>\n    \
                 </hugepages>"
            ),
        };
    }
    for (part, percent) in [
        ("<nosharepages/>", 30),
        ("<locked/>", 25),
        ("<source type='memfd'/>", 20),
        ("<access mode='shared'/>", 20),
        ("<allocation mode='ondemand'/>", 20),
        ("<discard/>", 15),
    ] {
        if seeded.chance(percent) {
            let _ = writeln!(t, "    {part}");
        }
    }
    t.push_str("  </memoryBacking>\n");
}

fn vcpu(seeded: &mut Seeded, t: &mut String, facts: &Facts, vcpus: u32) {
    let mut attributes = String::new();
    if seeded.chance(50) {
        attributes.push_str(seeded.pick::<&str>(&[
            " placement='static'",
            " placement='static'",
            " placement='auto'",
        ]));
    }
    if seeded.chance(15) {
        let _ = write!(attributes, " cpuset='{}'", cpus(seeded, facts));
    }
    if seeded.chance(10) {
        let _ = write!(attributes, " current='{}'", 1 + seeded.below(vcpus));
    }
    let _ = writeln!(t, "  <vcpu{attributes}>{vcpus}</vcpu>");
}

fn tune(
    seeded: &mut Seeded,
    t: &mut String,
    facts: &Facts,
    vcpus: u32,
    iothreads: u32,
) {
    if !seeded.chance(45) {
        return;
    }
    t.push_str("  <cputune>\n");
    if seeded.chance(15) {
        t.push_str("    <period>100000</period>\n    <quota>50000</quota>\n");
    }
    if seeded.chance(60) {
        for vcpu in 0..vcpus {
            if seeded.chance(80) {
                let set = match seeded.chance(70) {
                    true => CpuSet::from(cpus(seeded, facts).first().unwrap()),
                    false => cpus(seeded, facts),
                };
                let _ =
                    writeln!(t, "    <vcpupin vcpu='{vcpu}' cpuset='{set}'/>");
            }
        }
    }
    if seeded.chance(40) {
        let set = cpus(seeded, facts);
        let _ = writeln!(t, "    <emulatorpin cpuset='{set}'/>");
    }
    for thread in 1..=iothreads {
        if seeded.chance(30) {
            let set = cpus(seeded, facts);
            let _ = writeln!(
                t,
                "    <iothreadpin iothread='{thread}' cpuset='{set}'/>"
            );
        }
    }
    if seeded.chance(15) {
        let _ = writeln!(
            t,
            "    <vcpusched vcpus='0-{}' scheduler='fifo' priority='1'/>",
            vcpus - 1
        );
    }
    t.push_str("  </cputune>\n");
}

fn numatune(seeded: &mut Seeded, t: &mut String, facts: &Facts, cells: u32) {
    if !seeded.chance(35) {
        return;
    }
    let nodes = u32::try_from(facts.topology.nodes.len()).unwrap();
    let mode = *seeded.pick(&["strict", "preferred", "interleave"]);
    t.push_str("  <numatune>\n");
    let memory = match seeded.below(4) {
        0 => format!("    <memory mode='{mode}' placement='auto'/>\n"),
        _ => format!(
            "    <memory mode='{mode}' nodeset='{}'/>\n",
            seeded.below(nodes + 1)
        ),
    };
    t.push_str(&memory);
    for cell in 0..cells {
        if seeded.chance(50) {
            let _ = writeln!(
                t,
                "    <memnode cellid='{cell}' mode='{mode}' nodeset='{}'/>",
                seeded.below(nodes)
            );
        }
    }
    t.push_str("  </numatune>\n");
}

fn features(seeded: &mut Seeded, t: &mut String) {
    if seeded.chance(30) {
        return;
    }
    t.push_str("  <features>\n    <acpi/>\n    <apic/>\n");
    if seeded.chance(30) {
        let state = *seeded.pick(&["on", "off"]);
        let _ = writeln!(
            t,
            "    <kvm>\n      <hint-dedicated state='{state}'/>\n    </kvm>"
        );
    }
    if seeded.chance(20) {
        t.push_str("    <ioapic driver='kvm'/>\n");
    }
    t.push_str("  </features>\n");
}

fn cpu(
    seeded: &mut Seeded,
    t: &mut String,
    vcpus: u32,
    memory: u64,
    cells: u32,
) {
    if cells == 0 && seeded.chance(30) {
        return;
    }
    let mode = *seeded.pick(&[
        "",
        " mode='host-passthrough' check='none'",
        " mode='host-passthrough' migratable='off'",
        " mode='host-model'",
        " mode='maximum'",
        " mode='custom' match='exact'",
    ]);
    let _ = writeln!(t, "  <cpu{mode}>");
    if mode.contains("custom") {
        t.push_str("    <model fallback='allow'>EPYC</model>\n");
    }
    if seeded.chance(50) {
        let threads = *seeded.pick(&[1, 1, 2, 4]);
        let threads = if vcpus.is_multiple_of(threads) { threads } else { 1 };
        let rest = vcpus / threads;
        let dies =
            if rest.is_multiple_of(2) && seeded.chance(20) { 2 } else { 1 };
        let rest = rest / dies;
        let (sockets, cores) =
            if seeded.chance(50) { (rest, 1) } else { (1, rest) };
        let _ = writeln!(
            t,
            "    <topology sockets='{sockets}' dies='{dies}' \
             cores='{cores}' threads='{threads}'/>"
        );
    }
    if seeded.chance(20) {
        let cache = *seeded.pick(&[
            "mode='passthrough'",
            "level='3' mode='emulate'",
            "mode='disable'",
        ]);
        let _ = writeln!(t, "    <cache {cache}/>");
    }
    if seeded.chance(25) {
        let name = *seeded.pick(&["topoext", "vmx", "svm", "invtsc"]);
        let policy = *seeded.pick(&["require", "disable", "optional"]);
        let _ = writeln!(t, "    <feature policy='{policy}' name='{name}'/>");
    }
    if cells > 0 {
        t.push_str("    <numa>\n");
        let (mut from, mut left) = (0, memory);
        for cell in 0..cells {
            let cpus = (vcpus - from) / (cells - cell);
            let size = left / u64::from(cells - cell);
            let id = match seeded.chance(80) {
                true => format!(" id='{cell}'"),
                false => String::new(),
            };
            let _ = writeln!(
                t,
                "      <cell{id} cpus='{from}-{}' memory='{size}' unit='MiB'/>",
                from + cpus - 1,
            );
            from += cpus;
            left -= size;
        }
        t.push_str("    </numa>\n");
    }
    t.push_str("  </cpu>\n");
}

fn devices(
    seeded: &mut Seeded,
    t: &mut String,
    facts: &Facts,
    iothreads: u32,
    q35: bool,
) {
    t.push_str("  <devices>\n");
    if seeded.chance(50) {
        let thread = match iothreads > 0 && seeded.chance(50) {
            true => " iothread='1'",
            false => "",
        };
        let _ = writeln!(
            t,
            "    <disk type='file' device='disk'>\n      <driver name='qemu' \
             type='raw'{thread}/>\n      <source file='/none'/>\n      \
             <target dev='vda' bus='virtio'/>\n    </disk>"
        );
    }
    if q35 && seeded.chance(30) {
        t.push_str(
            "    <controller type='pci' index='0' model='pcie-root'/>\n",
        );
    }
    if seeded.chance(15) {
        t.push_str(
            "    <filesystem type='mount'>\n      \
             <driver type='virtiofs'/>\n      <source dir='/none'/>\n      \
             <target dir='none'/>\n    </filesystem>\n",
        );
    }
    if seeded.chance(35) {
        let nodes = u32::try_from(facts.topology.nodes.len()).unwrap();
        let node = seeded.below(nodes);
        let managed = *seeded.pick(&["managed='yes'", "managed='no'"]);
        let _ = writeln!(
            t,
            "    <hostdev mode='subsystem' type='pci' {managed}>\n      \
             <source>\n        <address domain='0x0000' bus='0x{:02x}' \
             slot='0x00' function='0x1'/>\n      </source>\n    </hostdev>",
            0x10 + node
        );
    }
    if seeded.chance(30) {
        let model = *seeded.pick(&["virtio", "none"]);
        let _ = writeln!(t, "    <memballoon model='{model}'/>");
    }
    if q35 && seeded.chance(15) {
        t.push_str("    <iommu model='intel'/>\n");
    }
    t.push_str("  </devices>\n");
}
