//! Synthetic hosts, a plain VM and its placement, for the tests of rules.

use std::collections::BTreeMap;

use super::conf::CONF_RULES;
use super::{Context, Evaluate, Rule, Verdict};
use crate::base::{Bytes, CellId, CpuId, CpuSet, Digest, NodeId, VcpuId};
use crate::model::domain::{
    CpuElement, CpuMode, Cputune, Devices, Dialect, Domain, MemoryAmounts,
    Numatune,
};
use crate::model::facts::{
    Cache, Core, CpuPower, Facts, Iommu, KernelFacts, MemoryFacts, Node,
    Package, ServiceFacts, Topology,
};
use crate::model::policy::Policy;
use crate::model::{CellPlacement, Fact, VmPlacement};

/// Everything that a rule looks at, to be changed by a test before it asks.
pub(super) struct Case {
    pub(super) facts: Facts,
    pub(super) domain: Domain,
    pub(super) live: Option<Domain>,
    pub(super) policy: Policy,
    pub(super) placement: VmPlacement,
}

impl Case {
    /// A VM whose vCPUs 0, 1, … have these CPUs of [`amd`] to themselves.
    pub(super) fn amd(cpus: &[u32], threads: u32) -> Self {
        Self::on(amd(), cpus, threads)
    }

    /// The same on [`intel`].
    pub(super) fn intel(cpus: &[u32], threads: u32) -> Self {
        Self::on(intel(), cpus, threads)
    }

    fn on(facts: Facts, cpus: &[u32], threads: u32) -> Self {
        let vcpus = u32::try_from(cpus.len()).unwrap();
        let placement = placement(&facts, cpus, threads);
        let policy = Policy::default();
        Self { facts, domain: domain(vcpus), live: None, policy, placement }
    }

    /// The VM's `<cpu>`, made where there is none.
    pub(super) fn cpu(&mut self) -> &mut CpuElement {
        self.domain.cpu.get_or_insert_default()
    }

    /// Gives the VM this CPU mode.
    pub(super) fn mode(mut self, mode: CpuMode) -> Self {
        self.cpu().mode = Some(mode);
        self
    }

    /// Makes it a VM of Proxmox.
    pub(super) fn proxmox(mut self) -> Self {
        self.domain.dialect = Dialect::Proxmox("101".parse().ok());
        self
    }

    pub(super) fn verdict(&self, rule: &Rule) -> Verdict {
        let cx = Context {
            facts: &self.facts,
            domain: &self.domain,
            live: self.live.as_ref(),
            policy: &self.policy,
            placement: &self.placement,
        };
        if let Dialect::Proxmox(_) = self.domain.dialect {
            let mut words = CONF_RULES.iter();
            let words = words.find(|words| words.rule.id == rule.id);
            return words.expect(rule.id).evaluate(&cx);
        }
        let Evaluate::Vm(evaluate) = rule.evaluate else {
            panic!("{} is a rule for the host", rule.id);
        };
        evaluate(&cx)
    }

    /// What a rule changes, as `/domain/vcpu/@cpuset = 0-3` or
    /// `/domain/vcpu/@cpuset removed`; empty unless it changes something.
    pub(super) fn edits(&self, rule: &Rule) -> Vec<String> {
        let Verdict::Change { edits, .. } = self.verdict(rule) else {
            return Vec::new();
        };
        let line = |edit: super::Edit| match edit.to {
            Some(to) => format!("{} = {to}", edit.target),
            None => format!("{} removed", edit.target),
        };
        edits.into_iter().map(line).collect()
    }

    /// What a rule says without changing it.
    pub(super) fn advice(&self, rule: &Rule) -> Vec<String> {
        match self.verdict(rule) {
            Verdict::Change { advice, .. } | Verdict::Advise(advice) => advice,
            _ => Vec::new(),
        }
    }

    /// The reasons of a rule's edits, one line each.
    pub(super) fn reasons(&self, rule: &Rule) -> String {
        let Verdict::Change { edits, .. } = self.verdict(rule) else {
            return String::new();
        };
        let reasons: Vec<_> = edits.into_iter().map(|e| e.because).collect();
        reasons.join("\n")
    }

    /// Says whether a rule finds all as it should be.
    pub(super) fn satisfied(&self, rule: &Rule) -> bool {
        matches!(self.verdict(rule), Verdict::Satisfied(_))
    }
}

/// Reads a CPU list.
pub(super) fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// Two nodes of eight cores, four to an L3; siblings are CPU n and n + 16.
pub(super) fn amd() -> Facts {
    host(
        "AuthenticAMD",
        &["0-3,16-19", "4-7,20-23", "8-11,24-27", "12-15,28-31"],
    )
}

/// The same with one L3 for each node.
pub(super) fn intel() -> Facts {
    host("GenuineIntel", &["0-7,16-23", "8-15,24-31"])
}

fn host(vendor: &str, l3: &[&str]) -> Facts {
    let origin = "/sys/devices/system";
    let nodes = [cpus("0-7,16-23"), cpus("8-15,24-31")];
    let cache = |cpus| Cache { cpus, size: Bytes(32 << 20) };
    let core = |n: u32| CpuSet::from_iter([CpuId(n), CpuId(n + 16)]);
    let unread = || "not part of this fixture";
    let topology = Topology {
        origin: origin.to_owned(),
        online: cpus("0-31"),
        offline: Fact::known(CpuSet::new(), origin),
        disallowed: CpuSet::new(),
        isolated: Fact::known(CpuSet::new(), origin),
        packages: (0..)
            .zip(nodes.clone())
            .map(|(id, cpus)| Package { id, cpus })
            .collect(),
        dies: Vec::new(),
        nodes: (0..)
            .zip(nodes)
            .map(|(id, cpus)| Node {
                id: NodeId(id),
                cpus,
                memory: Fact::known(Bytes(64 << 30), origin),
                distances: Fact::known(
                    (0..2)
                        .map(|to| (NodeId(to), if to == id { 10 } else { 21 }))
                        .collect(),
                    format!("{origin}/node/node{id}/distance"),
                ),
            })
            .collect(),
        l3: l3.iter().map(|text| cache(cpus(text))).collect(),
        l2: (0..16).map(|n| cache(core(n))).collect(),
        cores: (0..16).map(|n| Core { cpus: core(n) }).collect(),
        kinds: Vec::new(),
    };
    Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: "fixture".to_owned(),
        arch: Fact::known("x86_64".to_owned(), "uname"),
        cpu_vendor: Fact::known(vendor.to_owned(), "/proc/cpuinfo"),
        cpu_model: Fact::unknown(unread()),
        cpu_flags: Fact::unknown(unread()),
        topology,
        memory: MemoryFacts {
            free: Fact::unknown(unread()),
            hugepages: Fact::unknown(unread()),
            transparent_hugepages: Fact::unknown(unread()),
            ksm: Fact::unknown(unread()),
            ksm_sharing: Fact::unknown(unread()),
            numa_balancing: Fact::unknown(unread()),
            zones: Fact::unknown(unread()),
            hugetlbfs: Fact::unknown(unread()),
        },
        kernel: KernelFacts {
            release: Fact::unknown(unread()),
            command_line: Fact::unknown(unread()),
            boot_loader: Fact::unknown(unread()),
            boot_arguments: Fact::unknown("made up"),
            modules: Fact::unknown(unread()),
            module_parameters: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            iommu: Iommu {
                enabled: Fact::unknown(unread()),
                described: Fact::unknown(unread()),
                groups: Fact::unknown(unread()),
            },
            power: CpuPower {
                driver: Fact::unknown(unread()),
                governors: Fact::unknown(unread()),
                available_governors: Fact::unknown(unread()),
                frequency_domains: Fact::unknown(unread()),
                idle_states: Fact::unknown(unread()),
            },
            irqbalance: Fact::unknown(unread()),
            default_irq_affinity: Fact::unknown(unread()),
            nohz_full: Fact::unknown(unread()),
        },
        pci: Fact::unknown(unread()),
        rdma: Fact::unknown(unread()),
        cache_control: Fact::unknown(unread()),
        nics: Fact::unknown(unread()),
        open_vswitch: Fact::unknown(unread()),
        bridges: Fact::unknown(unread()),
        interrupts: Fact::unknown(unread()),
        services: ServiceFacts::unknown(unread()),
        settings: BTreeMap::new(),
        hypervisor: Fact::unknown(unread()),
    }
}

/// A q35 machine under KVM with 1 GiB for each vCPU and nothing tuned.
pub(super) fn domain(vcpus: u32) -> Domain {
    Domain {
        name: "vm1".parse().unwrap(),
        dialect: Dialect::Libvirt,
        uuid: None,
        digest: Digest::of(b""),
        virt_type: "kvm".to_owned(),
        arch: Some("x86_64".to_owned()),
        machine: Some("pc-q35-9.2".to_owned()),
        uefi: true,
        vcpus,
        current_vcpus: None,
        vcpu_placement: None,
        vcpu_cpuset: None,
        disabled_vcpus: "".parse().unwrap(),
        iothreads: Vec::new(),
        cputune: Cputune::default(),
        numatune: Numatune::default(),
        memory: MemoryAmounts {
            total: Bytes(u64::from(vcpus) << 30),
            ..MemoryAmounts::default()
        },
        memory_backing: None,
        cpu: None,
        features: BTreeMap::new(),
        devices: Devices::default(),
        qemu_arguments: Vec::new(),
        qemu_environment: false,
        launch_security: None,
    }
}

/// vCPUs 0, 1, … on these CPUs alone, with a guest cell for each host node
/// that they are on, 1 GiB for each vCPU, and the emulator on CPU 0 or 16.
pub(super) fn placement(
    facts: &Facts,
    cpus: &[u32],
    threads: u32,
) -> VmPlacement {
    let node = |cpu: u32| facts.topology.node_of(CpuId(cpu)).unwrap().id;
    let mut cells: Vec<CellPlacement> = Vec::new();
    for (vcpu, &cpu) in (0..).map(VcpuId).zip(cpus) {
        if cells.last().is_none_or(|cell| cell.node != node(cpu)) {
            cells.push(CellPlacement {
                id: CellId(u32::try_from(cells.len()).unwrap()),
                vcpus: std::iter::empty().collect(),
                memory: Bytes(0),
                node: node(cpu),
                memory_node: node(cpu),
            });
        }
        let cell = cells.last_mut().unwrap();
        cell.vcpus.insert(vcpu);
        cell.memory.0 += 1 << 30;
    }
    VmPlacement {
        name: "vm1".parse().unwrap(),
        exclusive: true,
        vcpus: (0..)
            .map(VcpuId)
            .zip(cpus.iter().map(|&cpu| CpuSet::from(CpuId(cpu))))
            .collect(),
        cells,
        threads,
        pages: None,
        emulator: CpuSet::from_iter([CpuId(0), CpuId(16)]),
        iothreads: BTreeMap::new(),
        reserved: CpuSet::new(),
        nics: Vec::new(),
        because: Vec::new(),
    }
}
