//! From a source to facts.

use std::collections::BTreeMap;

use super::{
    CollectError, HWLOC_XML, Root, Source, cache, consistent, cpu, hwloc,
    interrupts, kernel, memory, net, nic, pci, services, settings, topology,
};
use crate::base::PciAddress;
use crate::model::Fact;
use crate::model::facts::{
    CpuPower, Facts, Hardware, Iommu, KernelFacts, MemoryFacts, Network,
    ServiceFacts, Topology,
};

/// Collects the facts of a host.
///
/// A fact that cannot be read is unknown; only a source without a topology is
/// an error.
///
/// # Errors
/// When the source is not what it is said to be, or holds no CPUs.
pub fn collect(source: &Source) -> Result<Facts, CollectError> {
    let facts = match source {
        // What the kernel says of this machine is not argued with.
        Source::Live => return of_root(&Root::live(), "this machine"),
        Source::Tree(dir) => {
            let name = dir.file_name().unwrap_or(dir.as_os_str());
            let name = format!("captured tree {}", name.to_string_lossy());
            of_root(&Root::tree(dir), &name)
        }
        Source::HwlocXml { name, text } => of_hwloc(
            &hwloc::from_xml(name, text)?,
            &format!("hwloc XML {name}"),
        ),
        Source::Synthetic(text) => of_hwloc(
            &hwloc::from_synthetic(text)?,
            &format!("{}{text}", Source::SYNTHETIC),
        ),
        Source::FactsJson { name, text } => of_json(name, text),
    }?;
    match consistent::inconsistency(&facts.topology) {
        None => Ok(facts),
        Some(what) => {
            Err(CollectError::Inconsistent { name: facts.source, what })
        }
    }
}

/// Reads of this machine what a plan is bound to, and no more: of its PCI
/// functions only these. That takes a few milliseconds, where all facts take
/// tens.
///
/// # Errors
/// When hwloc cannot read it.
pub fn hardware(functions: &[PciAddress]) -> Result<Hardware, CollectError> {
    let root = Root::live();
    let topology = topology_of(&root, load(&root)?.as_ref())?;
    let interfaces = match functions {
        [] => BTreeMap::new(),
        _ => net::interfaces(&root),
    };
    let mut functions = functions.to_vec();
    functions.sort_unstable();
    functions.dedup();
    let arch = Fact::unknown("not asked for");
    Ok(Hardware {
        cpu_vendor: cpu::read(&root, arch).vendor,
        hugepages: memory::pools(&root, &topology.nodes),
        pci: pci::these(&root, &topology.nodes, &interfaces, functions),
        topology,
    })
}

/// Reads what has to do with network cards, and no more.
#[must_use]
pub fn network(root: &Root) -> Network {
    let interfaces = net::interfaces(root);
    let pci = pci::read(root, &[], &interfaces);
    let rdma = net::rdma(root, &interfaces);
    let release = kernel::release(root);
    Network {
        nics: nic::read(root, &pci, &rdma),
        open_vswitch: nic::ovs_settings(root),
        interrupts: interrupts::read(root, &pci, &release),
        pci,
    }
}

fn of_root(root: &Root, name: &str) -> Result<Facts, CollectError> {
    read(root, load(root)?.as_ref(), name)
}

/// Loads the topology of a root by hwloc, where it can: on this machine, and
/// of a tree that holds what hwloc wrote.
///
/// # Errors
/// When hwloc cannot, though it should.
pub(super) fn load(root: &Root) -> Result<Option<hwloc::Loaded>, CollectError> {
    if root.is_live() {
        return hwloc::live().map(Some);
    }
    if !root.exists(HWLOC_XML) {
        return Ok(None);
    }
    let text = root.read(HWLOC_XML)?;
    hwloc::from_xml(HWLOC_XML, &text).map(Some)
}

/// Reads a root: the topology from hwloc or else from the files, the rest
/// from the files.
///
/// # Errors
/// When there are no CPUs.
pub(super) fn read(
    root: &Root,
    loaded: Option<&hwloc::Loaded>,
    name: &str,
) -> Result<Facts, CollectError> {
    let topology = topology_of(root, loaded)?;
    let arch = loaded.map_or_else(
        || Fact::unknown("the tree holds no hwloc.xml"),
        |loaded| loaded.info(&["Architecture"]),
    );
    let cpu = cpu::read(root, arch);
    let interfaces = net::interfaces(root);
    let programs = services::Programs::look(root);
    let kernel = kernel::read(root, &programs);
    let pci = pci::read(root, &topology.nodes, &interfaces);
    let rdma = net::rdma(root, &interfaces);
    let interrupts = interrupts::read(root, &pci, &kernel.release);
    let settings = settings::read(
        root,
        &settings::Host {
            online: &topology.online,
            power: &kernel.power,
            interrupts: &interrupts,
        },
    );
    Ok(Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: name.to_owned(),
        arch: cpu.arch,
        cpu_vendor: cpu.vendor,
        cpu_model: cpu.model,
        cpu_flags: cpu.flags,
        memory: memory::read(root, &topology.nodes),
        kernel,
        nics: nic::read(root, &pci, &rdma),
        open_vswitch: nic::ovs_settings(root),
        bridges: nic::bridges(root),
        pci,
        rdma,
        cache_control: cache::read(root, &topology.l3),
        interrupts,
        services: services::read(root, &programs),
        settings,
        hypervisor: Fact::unknown("the hypervisor was not asked"),
        topology,
    })
}

fn topology_of(
    root: &Root,
    loaded: Option<&hwloc::Loaded>,
) -> Result<Topology, CollectError> {
    let Some(loaded) = loaded else { return topology::read(root) };
    let mut topology = loaded.topology()?;
    topology::overlay(root, &mut topology);
    Ok(topology)
}

fn of_hwloc(loaded: &hwloc::Loaded, name: &str) -> Result<Facts, CollectError> {
    let silent = format!("{name} holds no such fact");
    Ok(Facts {
        schema_version: Facts::SCHEMA_VERSION,
        source: name.to_owned(),
        arch: loaded.info(&["Architecture"]),
        cpu_vendor: loaded.info(&["CPUVendor"]),
        cpu_model: loaded.info(&["CPUModel"]),
        cpu_flags: Fact::unknown(&silent),
        topology: loaded.topology()?,
        memory: MemoryFacts {
            free: Fact::unknown(&silent),
            hugepages: loaded.hugepages(),
            transparent_hugepages: Fact::unknown(&silent),
            ksm: Fact::unknown(&silent),
            ksm_sharing: Fact::unknown(&silent),
            numa_balancing: Fact::unknown(&silent),
            zones: Fact::unknown(&silent),
            hugetlbfs: Fact::unknown(&silent),
        },
        kernel: KernelFacts {
            release: loaded.info(&["OSRelease"]),
            command_line: Fact::unknown(&silent),
            boot_loader: Fact::unknown(&silent),
            boot_arguments: Fact::unknown(&silent),
            modules: Fact::unknown(&silent),
            module_parameters: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            iommu: Iommu {
                enabled: Fact::unknown(&silent),
                described: Fact::unknown(&silent),
                groups: Fact::unknown(&silent),
            },
            power: CpuPower {
                driver: Fact::unknown(&silent),
                governors: Fact::unknown(&silent),
                available_governors: Fact::unknown(&silent),
                frequency_domains: Fact::unknown(&silent),
                idle_states: Fact::unknown(&silent),
            },
            irqbalance: Fact::unknown(&silent),
            default_irq_affinity: Fact::unknown(&silent),
            nohz_full: Fact::unknown(&silent),
        },
        pci: loaded.pci(),
        rdma: loaded.rdma(),
        cache_control: Fact::unknown(&silent),
        nics: Fact::unknown(&silent),
        open_vswitch: Fact::unknown(&silent),
        bridges: Fact::unknown(&silent),
        interrupts: Fact::unknown(&silent),
        services: ServiceFacts::unknown(&silent),
        settings: BTreeMap::new(),
        hypervisor: Fact::unknown("the hypervisor was not asked"),
    })
}

fn of_json(name: &str, text: &str) -> Result<Facts, CollectError> {
    let broken = |source| CollectError::Json { name: name.to_owned(), source };
    // The version is read by itself first, so that facts of another version
    // are told by it and not by the first field that differs.
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: u64,
    }
    let text = text.trim_start_matches('\u{feff}');
    let version: Version = serde_json::from_str(text).map_err(broken)?;
    if version.schema_version != u64::from(Facts::SCHEMA_VERSION) {
        return Err(CollectError::Version {
            name: name.to_owned(),
            version: version.schema_version,
        });
    }
    serde_json::from_str(text).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise `apply` would refuse a plan that was made a moment ago.
    #[test]
    fn the_hardware_is_what_all_facts_say_it_is() {
        let facts = collect(&Source::Live).unwrap();
        let functions = facts.pci.value().into_iter().flatten();
        let functions: Vec<_> = functions.map(|f| f.address).rev().collect();
        let read = hardware(&functions).unwrap();
        let said = Hardware::from(&facts);
        assert_eq!(read.topology, said.topology);
        assert_eq!(read.cpu_vendor, said.cpu_vendor);
        assert_eq!(read.pci, said.pci);
        assert_eq!(hardware(&[]).unwrap().pci.value(), Some(&vec![]));
    }
}
