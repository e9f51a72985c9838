//! Hosts of the lab, as they were captured there. What has to be read of each
//! is written here by hand, from its file in `tests/lab/shapes`;
//! `VMTUNE_UPDATE=1 cargo test --test lab -- plan` captures them anew.

use std::path::PathBuf;

use vmtune::base::PageSize;
use vmtune::model::facts::{Facts, PciClass};
use vmtune::model::policy::{Pages, Policy};
use vmtune::model::{Fact, VmPlacement};
use vmtune::planner::check::{Judged, check};
use vmtune::planner::{Inputs, Subject, plan};

/// A host of the lab.
struct Host {
    name: &'static str,
    online: &'static str,
    offline: &'static str,
    isolated: &'static str,
    packages: &'static [&'static str],
    nodes: &'static [&'static str],
    distances: &'static [&'static [u32]],
    l3s: &'static [&'static str],
    cores: &'static [&'static str],
    /// The node of its card, and a function of that.
    card: Option<(u32, &'static str)>,
    /// Whether it has an IOMMU.
    iommu: bool,
    vendor: &'static str,
    /// Where a VM of two vCPUs goes; where there is room for one, of one.
    small: &'static str,
    /// Where it goes with the card's function.
    near: &'static str,
}

const INTEL: &str = "GenuineIntel";

const HOSTS: [Host; 8] = [
    Host {
        name: "desktop-1s",
        online: "0-7",
        offline: "",
        isolated: "",
        packages: &["0-7"],
        nodes: &["0-7"],
        distances: &[&[10]],
        l3s: &["0-7"],
        cores: &["0-1", "2-3", "4-5", "6-7"],
        card: None,
        iommu: true,
        vendor: INTEL,
        small: "2-3",
        near: "",
    },
    Host {
        name: "epyc-2s-4n",
        online: "0-15",
        offline: "",
        isolated: "",
        packages: &["0-7", "8-15"],
        nodes: &["0-3", "4-7", "8-11", "12-15"],
        distances: &[
            &[10, 12, 32, 32],
            &[12, 10, 32, 32],
            &[32, 32, 10, 12],
            &[32, 32, 12, 10],
        ],
        l3s: &["0-3", "4-7", "8-11", "12-15"],
        cores: &["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"],
        card: Some((2, "0000:41:10.0")),
        iommu: true,
        vendor: INTEL,
        // Half of node 0 is the host's: nothing whole is broken.
        small: "2-3",
        near: "8-9",
    },
    Host {
        name: "nested",
        online: "0-7",
        offline: "",
        isolated: "",
        packages: &["0-3", "4-7"],
        nodes: &["0-3", "4-7"],
        distances: &[&[10, 21], &[21, 10]],
        l3s: &["0-3", "4-7"],
        cores: &["0-1", "2-3", "4-5", "6-7"],
        card: Some((1, "0000:41:10.0")),
        iommu: true,
        vendor: "AuthenticAMD",
        small: "2-3",
        near: "4-5",
    },
    Host {
        name: "no-smt",
        online: "0-7",
        offline: "",
        isolated: "",
        packages: &["0-7"],
        nodes: &["0-3", "4-7"],
        distances: &[&[10, 11], &[11, 10]],
        l3s: &["0-7"],
        cores: &["0", "1", "2", "3", "4", "5", "6", "7"],
        card: None,
        iommu: false,
        vendor: INTEL,
        small: "1-2",
        near: "",
    },
    Host {
        name: "offline-cpus",
        online: "0-2,4-5,8-11",
        offline: "3,6-7",
        isolated: "10-11",
        packages: &["0-2,4-5", "8-11"],
        nodes: &["0-2,4-5", "8-11"],
        distances: &[&[10, 21], &[21, 10]],
        l3s: &["0-2,4-5", "8-11"],
        cores: &["0-1", "2", "4-5", "8-9", "10-11"],
        card: None,
        iommu: false,
        vendor: INTEL,
        // CPU 2 has no sibling left.
        small: "4-5",
        near: "",
    },
    Host {
        name: "small-vf",
        online: "0-1",
        offline: "",
        isolated: "",
        packages: &["0-1"],
        nodes: &["0-1"],
        distances: &[&[10]],
        l3s: &["0-1"],
        cores: &["0", "1"],
        card: Some((0, "0000:01:10.0")),
        iommu: true,
        vendor: INTEL,
        small: "1",
        near: "1",
    },
    Host {
        name: "systemd",
        online: "0-3",
        offline: "",
        isolated: "",
        packages: &["0-1", "2-3"],
        nodes: &["0-1", "2-3"],
        distances: &[&[10, 21], &[21, 10]],
        l3s: &["0-1", "2-3"],
        cores: &["0-1", "2-3"],
        card: None,
        iommu: false,
        vendor: INTEL,
        small: "2-3",
        near: "",
    },
    Host {
        name: "xeon-2s",
        online: "0-15",
        offline: "",
        isolated: "",
        packages: &["0-7", "8-15"],
        nodes: &["0-7", "8-15"],
        distances: &[&[10, 21], &[21, 10]],
        l3s: &["0-7", "8-15"],
        cores: &["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"],
        card: Some((1, "0000:41:10.0")),
        iommu: true,
        vendor: INTEL,
        // The first core of node 1 is the host's too, and the card is there.
        small: "2-3",
        near: "10-11",
    },
];

impl Host {
    fn facts(&self) -> Facts {
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        crate::facts(package.join("tests/hosts/lab").join(self.name))
    }
}

/// Spells sets, to compare them with what is written by hand.
fn text<T: ToString>(sets: impl IntoIterator<Item = T>) -> Vec<String> {
    sets.into_iter().map(|set| set.to_string()).collect()
}

#[test]
fn cpus_and_nodes_are_those_of_the_shape() {
    for host in HOSTS {
        let (name, topology) = (host.name, host.facts().topology);
        assert_eq!(topology.online.to_string(), host.online, "{name}");
        let known = |fact: &Fact<_>| fact.value().map(ToString::to_string);
        let known = (known(&topology.offline), known(&topology.isolated));
        let told = (host.offline.to_owned(), host.isolated.to_owned());
        assert_eq!(known, (Some(told.0), Some(told.1)), "{name}");
        assert!(topology.disallowed.is_empty(), "{name}");
        let packages = text(topology.packages.iter().map(|one| &one.cpus));
        assert_eq!(packages, host.packages, "{name}");
        let nodes = text(topology.nodes.iter().map(|node| &node.cpus));
        assert_eq!(nodes, host.nodes, "{name}");
        let l3s = text(topology.l3.iter().map(|l3| &l3.cpus));
        assert_eq!(l3s, host.l3s, "{name}");
        let cores = text(topology.cores.iter().map(|core| &core.cpus));
        assert_eq!(cores, host.cores, "{name}");
        for (node, row) in topology.nodes.iter().zip(host.distances) {
            let known = node.distances.value().unwrap().values().copied();
            assert_eq!(known.collect::<Vec<_>>(), *row, "{name}");
        }
    }
}

#[test]
fn cards_are_at_the_node_of_the_shape() {
    for host in HOSTS {
        let (name, facts) = (host.name, host.facts());
        let functions = facts.pci.value().unwrap();
        let cards: Vec<_> =
            functions.iter().filter(|f| f.class == PciClass::Network).collect();
        let Some((node, function)) = host.card else {
            assert!(cards.is_empty(), "{name}: {cards:?}");
            continue;
        };
        // Two ports, the first of them with two functions.
        assert_eq!(cards.len(), 4, "{name}");
        let groups = cards.iter().map(|card| card.iommu_group.value().unwrap());
        let groups: std::collections::BTreeSet<_> = groups.collect();
        assert_eq!(groups.len(), 4, "{name}: each has a group of its own");
        for card in &cards {
            let nodes = card.nodes.value().map(ToString::to_string);
            assert_eq!(nodes, Some(node.to_string()), "{name}");
        }
        let address = function.parse().unwrap();
        let card = cards.iter().find(|card| card.address == address).unwrap();
        let physfn = cards.iter().find(|c| Some(c.address) == card.physfn);
        let physfn = physfn.unwrap();
        assert_eq!(physfn.driver.value(), Some(&Some("igb".into())), "{name}");
        assert_eq!(physfn.interfaces.len(), 1, "{name}");
        let sriov = physfn.sriov.as_ref().unwrap();
        assert_eq!(sriov.virtfns.len(), 2, "{name}");
        assert_eq!(sriov.virtfns[0], address, "{name}");
    }
}

#[test]
fn pages_iommu_and_vendor_are_those_of_the_shape() {
    for host in HOSTS {
        let (name, facts) = (host.name, host.facts());
        let iommu = facts.kernel.iommu.enabled.value();
        assert_eq!(iommu, Some(&host.iommu), "{name}");
        assert_eq!(facts.cpu_vendor.value().unwrap(), host.vendor, "{name}");
        let pools = facts.memory.hugepages.value().unwrap().iter();
        let pools: Vec<_> = pools
            .filter(|pool| pool.size == PageSize::TWO_MIB)
            .map(|pool| (pool.node.0, pool.total, pool.free.value()))
            .collect();
        let all = (0u32..).zip(host.nodes).map(|(id, _)| (id, 80, Some(&80)));
        assert_eq!(pools, all.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_vm_goes_where_it_is_best() {
    for host in HOSTS {
        let facts = host.facts();
        let vcpus = facts.topology.online.len().min(3) - 1;
        let vm = placed(&facts, &definition(vcpus, None));
        assert_eq!(vm.cpus().to_string(), host.small, "{}", host.name);
        if let Some((node, function)) = host.card {
            let vm = placed(&facts, &definition(vcpus, Some(function)));
            assert_eq!(vm.cpus().to_string(), host.near, "{}", host.name);
            assert_eq!(vm.memory_nodes().to_string(), node.to_string());
        }
    }
}

/// Plans a VM with pages of 2 MiB; the checker has to agree.
fn placed(facts: &Facts, text: &str) -> VmPlacement {
    let mut policy = Policy::default();
    policy.memory.pages = Pages::Size(PageSize::TWO_MIB);
    let domain = vmtune::definition::read(text).unwrap();
    let subject = Subject { text: text.to_owned(), domain, live: None };
    let inputs = Inputs {
        facts,
        policy: &policy,
        subjects: &[subject],
        neighbours: &[],
        connection: "files",
    };
    let planned = plan(&inputs).unwrap();
    let text = planned.definitions.values().next().unwrap();
    let domain = vmtune::definition::read(text).unwrap();
    let judged = Judged { text, domain: &domain, live: None };
    assert_eq!(check(facts, &policy, &[judged], &[]), []);
    planned.plan.vms[0].placement.clone().unwrap()
}

fn definition(vcpus: usize, function: Option<&str>) -> String {
    let mut device = String::new();
    if let Some(function) = function {
        let (bus, slot) = (&function[5..7], &function[8..10]);
        device = format!(
            "
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0' bus='0x{bus}' slot='0x{slot}' function='0'/>
      </source>
    </hostdev>"
        );
    }
    format!(
        "<domain type='kvm'>
  <name>vm</name>
  <memory unit='MiB'>64</memory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>{device}
  </devices>
</domain>
"
    )
}
