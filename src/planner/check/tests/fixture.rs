//! A host, a VM that fits it in every way, and what is wrong once something
//! is changed.

use std::collections::BTreeMap;

use super::super::{Finding, Judged, Severity, check};
use crate::base::{Bytes, CpuId, CpuSet, NodeId, PageSize};
use crate::definition::read;
use crate::model::Fact;
use crate::model::domain::Domain;
use crate::model::facts::{
    Cache, Core, CpuCapabilities, CpuPower, Facts, HugepagePool,
    HypervisorFacts, Iommu, KernelFacts, MemoryFacts, Node, PciClass,
    PciFunction, ServiceFacts, Topology,
};
use crate::model::policy::Policy;

pub(super) use Severity::{Error, Warning};

/// A VM of eight vCPUs on two nodes that uses all that the checks look at.
/// Housekeeping is CPUs 0, 8, 16 and 24.
pub(super) const GOOD: &str = "\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>vm1</name>
  <memory unit='GiB'>8</memory>
  <memtune><hard_limit unit='GiB'>10</hard_limit></memtune>
  <memoryBacking>
    <hugepages><page size='1' unit='G' nodeset='0-1'/></hugepages>
    <locked/>
  </memoryBacking>
  <vcpu placement='static'>8</vcpu>
  <iothreads>1</iothreads>
  <cputune>
    <vcpupin vcpu='0' cpuset='2'/>
    <vcpupin vcpu='1' cpuset='18'/>
    <vcpupin vcpu='2' cpuset='3'/>
    <vcpupin vcpu='3' cpuset='19'/>
    <vcpupin vcpu='4' cpuset='9'/>
    <vcpupin vcpu='5' cpuset='25'/>
    <vcpupin vcpu='6' cpuset='10'/>
    <vcpupin vcpu='7' cpuset='26'/>
    <emulatorpin cpuset='0,16'/>
    <iothreadpin iothread='1' cpuset='8,24'/>
    <vcpusched vcpus='0-7' scheduler='fifo' priority='1'/>
  </cputune>
  <numatune>
    <memory mode='strict' nodeset='0-1'/>
    <memnode cellid='0' mode='strict' nodeset='0'/>
    <memnode cellid='1' mode='strict' nodeset='1'/>
  </numatune>
  <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
  <features>
    <acpi/>
    <ioapic driver='qemu'/>
    <kvm><hint-dedicated state='on'/></kvm>
  </features>
  <cpu mode='host-passthrough'>
    <topology sockets='2' dies='1' cores='2' threads='2'/>
    <cache mode='passthrough'/>
    <feature policy='require' name='topoext'/>
    <numa>
      <cell id='0' cpus='0-3' memory='4' unit='GiB'/>
      <cell id='1' cpus='4-7' memory='4' unit='GiB'/>
    </numa>
  </cpu>
  <devices>
    <disk><driver iothread='1'/><target dev='vda' bus='virtio'/></disk>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-expander-bus'>
      <target busNr='200'><node>1</node></target>
    </controller>
    <controller type='pci' index='2' model='pcie-root-port'>
      <address type='pci' bus='0x01' slot='0x00' function='0x0'/>
    </controller>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0' bus='0xc1' slot='0x00' function='0x2'/>
      </source>
      <address type='pci' bus='0x02' slot='0x00' function='0x0'/>
    </hostdev>
    <memballoon model='none'/>
    <iommu model='intel'>
      <driver intremap='on' caching_mode='on' eim='on'/>
    </iommu>
  </devices>
</domain>
";

/// A VM of two vCPUs on node 1 beside it.
pub(super) const OTHER: &str = "\
<domain type='kvm'>
  <name>vm2</name>
  <memory unit='GiB'>2</memory>
  <vcpu>2</vcpu>
  <cputune>
    <vcpupin vcpu='0' cpuset='13'/>
    <vcpupin vcpu='1' cpuset='29'/>
    <emulatorpin cpuset='8'/>
  </cputune>
  <numatune><memory mode='strict' nodeset='1'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu mode='host-model'>
    <topology sockets='1' cores='1' threads='2'/>
    <feature policy='require' name='topoext'/>
  </cpu>
</domain>
";

pub(super) fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// Two nodes of eight cores and 64 GiB, four cores to an L3; siblings are
/// CPU n and n + 16. A memory-only node 2 is nearest to node 1.
pub(super) fn host() -> Facts {
    let nodes = ["0-7,16-23", "8-15,24-31", ""];
    let l3 = ["0-3,16-19", "4-7,20-23", "8-11,24-27", "12-15,28-31"];
    let core = |n: u32| CpuSet::from_iter([CpuId(n), CpuId(n + 16)]);
    let node = |(id, text): (u32, &&str)| Node {
        id: NodeId(id),
        cpus: cpus(text),
        memory: known(Bytes(64 << 30)),
        distances: known(
            (0..3).map(|to| (NodeId(to), 10 + 5 * to.abs_diff(id))).collect(),
        ),
    };
    let topology = Topology {
        origin: "fixture".to_owned(),
        online: cpus("0-31"),
        offline: known(cpus("32-33")),
        disallowed: CpuSet::new(),
        isolated: known(cpus("2-7,9-15,18-23,25-31")),
        packages: Vec::new(),
        dies: Vec::new(),
        nodes: (0..).zip(&nodes).map(node).collect(),
        l3: l3
            .iter()
            .map(|text| Cache { cpus: cpus(text), size: Bytes(32 << 20) })
            .collect(),
        l2: Vec::new(),
        cores: (0..16).map(|n| Core { cpus: core(n) }).collect(),
        kinds: Vec::new(),
    };
    let pool = |node, size, total| HugepagePool {
        node: NodeId(node),
        size,
        total,
        free: known(total),
        surplus: known(0),
    };
    let capabilities = CpuCapabilities {
        cpu_modes: ["custom", "host-passthrough", "host-model"]
            .map(str::to_owned)
            .to_vec(),
        machine: "pc-q35-10.0".to_owned(),
        iommu_models: None,
        max_vcpus: None,
    };
    Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: "fixture".to_owned(),
        arch: known("x86_64".to_owned()),
        cpu_vendor: known("AuthenticAMD".to_owned()),
        cpu_model: unknown(),
        cpu_flags: unknown(),
        topology,
        memory: MemoryFacts {
            free: unknown(),
            hugepages: known(vec![
                pool(0, PageSize::ONE_GIB, 16),
                pool(1, PageSize::ONE_GIB, 16),
                pool(0, PageSize::TWO_MIB, 512),
                pool(1, PageSize::TWO_MIB, 512),
            ]),
            transparent_hugepages: unknown(),
            ksm: unknown(),
            ksm_sharing: unknown(),
            numa_balancing: unknown(),
            zones: unknown(),
            hugetlbfs: unknown(),
        },
        kernel: kernel(),
        pci: known(vec![
            function("0000:41:00.0", "0"),
            function("0000:c1:00.2", "1"),
        ]),
        rdma: unknown(),
        cache_control: unknown(),
        nics: unknown(),
        open_vswitch: unknown(),
        bridges: unknown(),
        interrupts: unknown(),
        services: ServiceFacts::unknown("not part of this fixture"),
        settings: BTreeMap::new(),
        hypervisor: known(HypervisorFacts {
            libvirt: unknown(),
            qemu: unknown(),
            domains: BTreeMap::from([("kvm".to_owned(), known(capabilities))]),
        }),
    }
}

fn known<T>(value: T) -> Fact<T> {
    Fact::known(value, "fixture")
}

pub(super) fn unknown<T>() -> Fact<T> {
    Fact::unknown("not part of this fixture")
}

fn function(address: &str, nodes: &str) -> PciFunction {
    PciFunction {
        address: address.parse().unwrap(),
        id: unknown(),
        class: PciClass::Network,
        nodes: known(nodes.parse().unwrap()),
        driver: unknown(),
        iommu_group: unknown(),
        physfn: None,
        sriov: None,
        interfaces: Vec::new(),
    }
}

fn kernel() -> KernelFacts {
    KernelFacts {
        release: unknown(),
        command_line: known("quiet".to_owned()),
        boot_loader: unknown(),
        boot_arguments: Fact::unknown("made up"),
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

/// A host with a policy and definitions, to be changed and judged.
pub(super) struct Case {
    pub(super) facts: Facts,
    pub(super) policy: Policy,
    pub(super) texts: Vec<String>,
    pub(super) live: Option<Domain>,
    pub(super) neighbours: Vec<Domain>,
}

impl Case {
    /// The good VM alone.
    pub(super) fn good() -> Self {
        Self::of(GOOD)
    }

    pub(super) fn of(text: &str) -> Self {
        Self {
            facts: host(),
            policy: Policy::default(),
            texts: vec![text.to_owned()],
            live: None,
            neighbours: Vec::new(),
        }
    }

    /// Replaces what is in the first definition once.
    pub(super) fn edit(mut self, from: &str, to: &str) -> Self {
        let text = &mut self.texts[0];
        assert_eq!(text.matches(from).count(), 1, "{from}");
        *text = text.replace(from, to);
        self
    }

    /// Replaces what is between two pieces of text, both included.
    pub(super) fn cut(self, from: &str, to: &str, with: &str) -> Self {
        let text = &self.texts[0];
        let start = text.find(from).unwrap();
        let end = start + text[start..].find(to).unwrap() + to.len();
        let piece = text[start..end].to_owned();
        self.edit(&piece, with)
    }

    pub(super) fn policy(mut self, set: impl Fn(&mut Policy)) -> Self {
        set(&mut self.policy);
        self
    }

    pub(super) fn facts(mut self, set: impl Fn(&mut Facts)) -> Self {
        set(&mut self.facts);
        self
    }

    pub(super) fn beside(mut self, text: &str) -> Self {
        self.texts.push(text.to_owned());
        self
    }

    pub(super) fn neighbour(mut self, text: &str) -> Self {
        self.neighbours.push(read(text).unwrap());
        self
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let domains: Vec<_> =
            self.texts.iter().map(|text| read(text).unwrap()).collect();
        let judged: Vec<_> = self
            .texts
            .iter()
            .zip(&domains)
            .map(|(text, domain)| Judged {
                text,
                domain,
                live: self.live.as_ref(),
            })
            .collect();
        check(&self.facts, &self.policy, &judged, &self.neighbours)
    }

    #[track_caller]
    pub(super) fn silent(&self) {
        assert_eq!(self.findings(), []);
    }

    /// Expects this finding and no other. `says` is part of what is wrong;
    /// `line` is part of the line of the definition, empty for none.
    #[track_caller]
    pub(super) fn finds(
        &self,
        rule: &str,
        severity: Severity,
        says: &str,
        line: &str,
    ) {
        let findings = self.findings();
        let [finding] = findings.as_slice() else {
            panic!("one finding, not {findings:#?}");
        };
        assert_eq!((finding.rule, finding.severity), (rule, severity));
        assert!(finding.what.contains(says), "{finding:#?}");
        assert!(finding.remedy.ends_with('.'), "{finding:#?}");
        let text = self
            .texts
            .iter()
            .find(|text| text.contains(&format!("<name>{}<", finding.vm)));
        let found = finding.line.map(|number| {
            let mut lines = text.unwrap().lines();
            lines.nth(number as usize - 1).unwrap()
        });
        match found {
            Some(found) => assert!(
                !line.is_empty() && found.contains(line),
                "{found:?}: {finding:#?}"
            ),
            None => assert_eq!(line, "", "{finding:#?}"),
        }
    }
}
