//! Small hosts and plans for the tests of the reports.

use std::collections::BTreeMap;

use crate::base::{
    Bytes, CellId, CpuId, CpuSet, Digest, NodeId, PageSize, VcpuId,
};
use crate::model::facts::{
    Cache, Core, CpuPower, Facts, HugepagePool, Iommu, KernelFacts,
    MemoryFacts, Node, Package, PciClass, PciFunction, ServiceFacts, Sriov,
    Topology,
};
use crate::model::{
    CellPlacement, Change, Fact, Objective, Plan, Stage, VmPlacement, VmPlan,
};

/// Takes the colour out.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn known<T>(value: T) -> Fact<T> {
    Fact::known(value, "a sample")
}

fn unknown<T>() -> Fact<T> {
    Fact::unknown("a sample has none")
}

/// Makes a host of two packages with a node each, numbered as Linux does:
/// first one CPU of every core, then the siblings.
pub(super) fn host(l3s: u32, cores: u32, smt: u32) -> Facts {
    let per_node = l3s * cores;
    let all = 2 * per_node;
    let group = |start: u32, n: u32| -> CpuSet {
        let core = move |i| (0..smt).map(move |t| CpuId(start + i + t * all));
        (0..n).flat_map(core).collect()
    };
    let starts = |n: u32| (0..all / n).map(move |i| i * n);
    let node = |start: u32| Node {
        id: NodeId(start / per_node),
        cpus: group(start, per_node),
        memory: known(Bytes(64 << 30)),
        distances: unknown(),
    };
    let pool = |node| HugepagePool {
        node: NodeId(node),
        size: PageSize::ONE_GIB,
        total: 32,
        free: known(24),
        surplus: known(0),
    };
    Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: "sample".into(),
        arch: known("x86_64".into()),
        cpu_vendor: known("AuthenticAMD".into()),
        cpu_model: known("AMD EPYC 7543 32-Core Processor".into()),
        cpu_flags: unknown(),
        topology: Topology {
            origin: "a sample".into(),
            online: group(0, all),
            offline: known(CpuSet::new()),
            disallowed: CpuSet::new(),
            isolated: unknown(),
            packages: starts(per_node)
                .map(|start| Package {
                    id: start / per_node,
                    cpus: group(start, per_node),
                })
                .collect(),
            dies: Vec::new(),
            nodes: starts(per_node).map(node).collect(),
            l3: starts(cores)
                .map(|start| Cache {
                    cpus: group(start, cores),
                    size: Bytes(32 << 20),
                })
                .collect(),
            l2: Vec::new(),
            cores: starts(1).map(|s| Core { cpus: group(s, 1) }).collect(),
            kinds: Vec::new(),
        },
        memory: MemoryFacts {
            free: unknown(),
            hugepages: known(vec![pool(0), pool(1)]),
            transparent_hugepages: unknown(),
            ksm: unknown(),
            ksm_sharing: unknown(),
            numa_balancing: unknown(),
            zones: unknown(),
            hugetlbfs: unknown(),
        },
        kernel: kernel(),
        pci: known(vec![nic(), vf()]),
        rdma: unknown(),
        cache_control: unknown(),
        nics: unknown(),
        open_vswitch: unknown(),
        bridges: unknown(),
        interrupts: unknown(),
        services: ServiceFacts::unknown("a sample has none"),
        settings: std::collections::BTreeMap::new(),
        hypervisor: unknown(),
    }
}

fn kernel() -> KernelFacts {
    KernelFacts {
        release: unknown(),
        command_line: unknown(),
        boot_loader: unknown(),
        boot_arguments: unknown(),
        modules: unknown(),
        module_parameters: BTreeMap::new(),
        sysctls: BTreeMap::new(),
        iommu: Iommu {
            enabled: unknown(),
            described: unknown(),
            groups: unknown(),
        },
        power: CpuPower {
            driver: unknown(),
            governors: unknown(),
            available_governors: unknown(),
            frequency_domains: unknown(),
            idle_states: unknown(),
        },
        irqbalance: unknown(),
        default_irq_affinity: unknown(),
        nohz_full: unknown(),
    }
}

fn nic() -> PciFunction {
    let address = |text: &str| text.parse().unwrap();
    PciFunction {
        address: address("0000:c1:00.0"),
        id: unknown(),
        class: PciClass::Network,
        nodes: known([NodeId(1)].into_iter().collect()),
        driver: known(Some("mlx5_core".into())),
        iommu_group: unknown(),
        physfn: None,
        sriov: Some(Sriov {
            total: known(16),
            virtfns: vec![address("0000:c1:00.2")],
        }),
        interfaces: vec!["enp193s0f0np0".into()],
    }
}

fn vf() -> PciFunction {
    PciFunction {
        address: "0000:c1:00.2".parse().unwrap(),
        physfn: Some("0000:c1:00.0".parse().unwrap()),
        sriov: None,
        interfaces: Vec::new(),
        ..nic()
    }
}

/// Makes a change to the definition of `vm1`.
pub(super) fn change(
    rule: &str,
    path: &str,
    from: Option<&str>,
    to: Option<&str>,
    because: &str,
) -> Change {
    Change {
        rule: rule.into(),
        vm: Some("vm1".into()),
        target: path.parse().unwrap(),
        from: from.map(Into::into),
        to: to.map(Into::into),
        because: because.into(),
        stage: Stage::VmStart,
        trade: None,
    }
}

/// Makes a plan for one VM of as many vCPUs as CPUs are given.
pub(super) fn plan(cpus: &[u32], node: u32, changes: Vec<Change>) -> Plan {
    let vcpu = |n: usize| VcpuId(u32::try_from(n).unwrap());
    let housekeeping: CpuSet = "0,8,16,24".parse().unwrap();
    let memory = Bytes(16 << 30);
    let cell = CellPlacement {
        id: CellId(0),
        vcpus: (0..cpus.len()).map(vcpu).collect(),
        memory,
        node: NodeId(node),
        memory_node: NodeId(node),
    };
    let placement = VmPlacement {
        name: "vm1".parse().unwrap(),
        exclusive: true,
        vcpus: cpus
            .iter()
            .enumerate()
            .map(|(n, cpu)| (vcpu(n), [CpuId(*cpu)].into_iter().collect()))
            .collect(),
        cells: vec![cell],
        threads: 2,
        pages: Some(PageSize::ONE_GIB),
        emulator: "8,24".parse().unwrap(),
        iothreads: [(1, "8,24".parse().unwrap())].into(),
        reserved: CpuSet::new(),
        nics: Vec::new(),
        because: vec!["node 1 has the NIC".into()],
    };
    let vm = VmPlan {
        name: "vm1".parse().unwrap(),
        uuid: None,
        vmid: None,
        digest: Digest::of(b""),
        placement: Some(placement),
        objective: Objective([0, 0, 1, 0, 0, 3, 80]),
        bound: Objective([0, 0, 1, 0, 0, 3, 80]),
    };
    Plan {
        schema_version: Plan::SCHEMA_VERSION,
        fingerprint: Digest::of(b""),
        host: "sample".into(),
        connection: "qemu:///system".into(),
        preset: "balanced".into(),
        housekeeping,
        boot_loader: None,
        vms: vec![vm],
        changes,
        advice: Vec::new(),
        unknown: Vec::new(),
    }
}
