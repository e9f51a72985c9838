//! Hosts of many shapes, made of numbers.

use std::collections::BTreeMap;

use vmtune::base::{Bytes, CpuId, CpuSet, NodeId, NodeSet, PageSize};
use vmtune::model::Fact;
use vmtune::model::facts::{
    Cache, Core, CpuPower, Facts, HugepagePool, Iommu, KernelFacts,
    MemoryFacts, Node, Package, PciClass, PciFunction, ServiceFacts, Sriov,
    Topology,
};

use super::Seeded;

/// The shape of a host.
#[derive(Debug, Clone)]
pub struct Shape {
    pub packages: u32,
    /// Nodes of each package.
    pub nodes: u32,
    /// L3 domains of each node; 0 for none at all.
    pub l3s: u32,
    /// Whether one L3 spans all nodes of a package instead.
    pub wide_l3: bool,
    /// Cores of each L3 domain.
    pub cores: u32,
    pub threads: u32,
    pub memory: Bytes,
    /// Free pages of 1 GiB and 2 MiB on each node; `None` for no pools.
    pub pages: Option<(u64, u64)>,
    /// Whether siblings are numbered next to each other.
    pub adjacent: bool,
    /// CPUs that are offline.
    pub offline: Vec<u32>,
    /// Whether the last node has no CPUs.
    pub memory_only: bool,
    /// Whether the second node has no memory.
    pub cpus_only: bool,
}

impl Shape {
    pub fn plain(packages: u32, l3s: u32, cores: u32, threads: u32) -> Self {
        Self {
            packages,
            nodes: 1,
            l3s,
            wide_l3: false,
            cores,
            threads,
            memory: Bytes(64 << 30),
            pages: None,
            adjacent: false,
            offline: Vec::new(),
            memory_only: false,
            cpus_only: false,
        }
    }

    /// Draws a shape with at most so many cores.
    pub fn random(seeded: &mut Seeded, most: u32) -> Self {
        loop {
            let shape = Self {
                packages: 1 + seeded.below(2),
                nodes: 1 + seeded.below(3),
                l3s: seeded.below(4),
                wide_l3: seeded.chance(15),
                cores: 1 + seeded.below(6),
                threads: *seeded.pick(&[1, 2, 2, 2, 4]),
                memory: Bytes(u64::from(4 + seeded.below(12)) << 30),
                pages: seeded.chance(50).then(|| {
                    let huge = u64::from(seeded.below(5));
                    (huge, u64::from(seeded.below(2000)))
                }),
                adjacent: seeded.chance(50),
                offline: match seeded.chance(15) {
                    true => vec![seeded.below(12), seeded.below(12)],
                    false => Vec::new(),
                },
                memory_only: seeded.chance(10),
                cpus_only: seeded.chance(10),
            };
            if shape.all_cores() <= most {
                return shape;
            }
        }
    }

    pub fn all_cores(&self) -> u32 {
        self.packages * self.nodes * self.l3s.max(1) * self.cores
    }

    /// Builds the facts of such a host.
    pub fn facts(&self) -> Facts {
        let cores = self.all_cores();
        let number = |core: u32, thread: u32| match self.adjacent {
            true => core * self.threads + thread,
            false => thread * cores + core,
        };
        let cpus_of = |core: u32| -> CpuSet {
            let all = (0..self.threads).map(|t| number(core, t));
            all.filter(|n| !self.offline.contains(n)).map(CpuId).collect()
        };
        let range = |from: u32, len: u32| -> CpuSet {
            (from..from + len)
                .flat_map(|core| cpus_of(core).iter().collect::<Vec<_>>())
                .collect()
        };
        let per_l3 = self.cores;
        let per_node = per_l3 * self.l3s.max(1);
        let per_package = per_node * self.nodes;
        let online = range(0, cores);
        let mut nodes: Vec<Node> = (0..self.packages * self.nodes)
            .map(|n| Node {
                id: NodeId(n),
                cpus: range(n * per_node, per_node),
                memory: Fact::known(
                    if self.cpus_only && n == 1 {
                        Bytes(0)
                    } else {
                        self.memory
                    },
                    "made up",
                ),
                distances: Fact::unknown("not yet"),
            })
            .collect();
        if self.memory_only {
            nodes.push(Node {
                id: NodeId(self.packages * self.nodes),
                cpus: CpuSet::new(),
                memory: Fact::known(self.memory, "made up"),
                distances: Fact::unknown("not yet"),
            });
        }
        let all = u32::try_from(nodes.len()).unwrap();
        for node in &mut nodes {
            let from = node.id.0;
            let distance = |to: u32| match () {
                () if to == from => 10,
                () if to / self.nodes == from / self.nodes => 12,
                () => 32,
            };
            let row: BTreeMap<_, _> =
                (0..all).map(|to| (NodeId(to), distance(to))).collect();
            node.distances = Fact::known(row, "made up");
        }
        let l3_len = match (self.wide_l3, self.l3s) {
            (_, 0) => 0,
            (true, _) => per_package,
            (false, _) => per_l3,
        };
        let l3 = (0..cores.checked_div(l3_len).unwrap_or(0)).map(|n| Cache {
            cpus: range(n * l3_len, l3_len),
            size: Bytes(32 << 20),
        });
        let pools = nodes.iter().flat_map(|node| {
            let (huge, large) = self.pages.unwrap_or_default();
            [(PageSize::TWO_MIB, large), (PageSize::ONE_GIB, huge)].map(
                |(size, free)| HugepagePool {
                    node: node.id,
                    size,
                    total: free,
                    free: Fact::known(free, "made up"),
                    surplus: Fact::known(0, "made up"),
                },
            )
        });
        let pools: Vec<_> = match self.pages {
            Some(_) => pools.collect(),
            None => Vec::new(),
        };
        let packages = (0..self.packages).map(|id| Package {
            id,
            cpus: range(id * per_package, per_package),
        });
        let mut cores: Vec<Core> = (0..cores)
            .map(|core| Core { cpus: cpus_of(core) })
            .filter(|core| !core.cpus.is_empty())
            .collect();
        cores.sort_by_key(|core| core.cpus.first());
        let topology = Topology {
            origin: "made up".to_owned(),
            offline: Fact::known(
                self.offline.iter().copied().map(CpuId).collect(),
                "made up",
            ),
            disallowed: CpuSet::new(),
            isolated: Fact::known(CpuSet::new(), "made up"),
            packages: packages.collect(),
            dies: Vec::new(),
            nodes,
            l3: l3.filter(|cache| !cache.cpus.is_empty()).collect(),
            l2: Vec::new(),
            cores,
            kinds: Vec::new(),
            online,
        };
        facts(topology, pools)
    }
}

/// Facts of a host that has a topology, page pools and nothing else.
pub fn facts(topology: Topology, pools: Vec<HugepagePool>) -> Facts {
    let unknown = "not made up";
    Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: "a host made up".to_owned(),
        arch: Fact::known("x86_64".to_owned(), "made up"),
        cpu_vendor: Fact::known("GenuineIntel".to_owned(), "made up"),
        cpu_model: Fact::unknown(unknown),
        cpu_flags: Fact::unknown(unknown),
        topology,
        memory: MemoryFacts {
            free: Fact::unknown(unknown),
            hugepages: Fact::known(pools, "made up"),
            transparent_hugepages: Fact::unknown(unknown),
            ksm: Fact::unknown(unknown),
            ksm_sharing: Fact::unknown(unknown),
            numa_balancing: Fact::unknown(unknown),
            zones: Fact::unknown(unknown),
            hugetlbfs: Fact::unknown(unknown),
        },
        kernel: KernelFacts {
            release: Fact::unknown(unknown),
            command_line: Fact::unknown(unknown),
            boot_loader: Fact::unknown(unknown),
            boot_arguments: Fact::unknown("made up"),
            modules: Fact::unknown(unknown),
            module_parameters: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            iommu: Iommu {
                enabled: Fact::unknown(unknown),
                described: Fact::unknown(unknown),
                groups: Fact::unknown(unknown),
            },
            power: CpuPower {
                driver: Fact::unknown(unknown),
                governors: Fact::unknown(unknown),
                available_governors: Fact::unknown(unknown),
                frequency_domains: Fact::unknown(unknown),
                idle_states: Fact::unknown(unknown),
            },
            irqbalance: Fact::unknown(unknown),
            default_irq_affinity: Fact::unknown(unknown),
            nohz_full: Fact::unknown(unknown),
        },
        pci: Fact::known(Vec::new(), "made up"),
        rdma: Fact::unknown(unknown),
        cache_control: Fact::unknown(unknown),
        nics: Fact::unknown(unknown),
        open_vswitch: Fact::unknown(unknown),
        bridges: Fact::unknown(unknown),
        interrupts: Fact::unknown(unknown),
        services: ServiceFacts::unknown(unknown),
        settings: std::collections::BTreeMap::new(),
        hypervisor: Fact::unknown(unknown),
    }
}

/// Adds a network card with one virtual function on each of some nodes.
pub fn add_nic(facts: &mut Facts, nodes: &[NodeId]) {
    let Fact::Known { value: functions, .. } = &mut facts.pci else { return };
    for node in nodes {
        let at = |function| {
            format!("0000:{:02x}:00.{function}", 0x10 + node.0).parse().unwrap()
        };
        let near: NodeSet = [*node].into_iter().collect();
        let function = |function, physfn: Option<_>, sriov| PciFunction {
            address: at(function),
            id: Fact::known("15b3:101e".parse().unwrap(), "made up"),
            class: PciClass::Network,
            nodes: Fact::known(near.clone(), "made up"),
            driver: Fact::known(None, "made up"),
            iommu_group: Fact::known(
                Some(2 * node.0 + u32::from(physfn.is_some())),
                "made up",
            ),
            physfn,
            sriov,
            interfaces: Vec::new(),
        };
        let sriov =
            Sriov { total: Fact::known(1, "made up"), virtfns: vec![at(1)] };
        functions.push(function(0, None, Some(sriov)));
        functions.push(function(1, Some(at(0)), None));
    }
}
