//! The rules that can be said in a definition of Proxmox, and how.
//!
//! A rule has one reason, one name in a policy and one entry in `explain`,
//! whatever language a definition is written in. What it decides is said in
//! XML in the rule's own file and in Proxmox' keys in `RULE/conf.rs`. What
//! Proxmox has no key for is not here.

use super::{
    Context, Evaluate, Rule, Verdict, cpu_model, guest_hugepages_rdma,
    guest_iommu, guest_iommu_pt, guest_memlock, hostdev_vf, hugepages,
    machine_type, memory_balloon, numa_cells, numa_memory, pci_mapping,
    vcpu_pin, vcpu_topology,
};
use crate::base::ConfPath;
use crate::model::domain::Domain;
use crate::model::policy::Level;

/// A rule, in the words of Proxmox.
#[derive(Debug)]
pub struct ConfRule {
    /// The rule.
    pub rule: &'static Rule,
    /// The keys that it may edit, as [`ConfPath::pattern`]s; a key stands for
    /// all its properties. No two rules own the same place.
    pub owns: &'static [&'static str],
    /// What it rests on: where Proxmox reads these keys; empty where it sets
    /// none.
    pub sources: &'static [&'static str],
    /// Decides; `None` for a rule that only gives advice, and says the same
    /// whatever the definition is written in.
    words: Option<fn(&Context<'_>) -> Verdict>,
}

impl ConfRule {
    const fn new(
        rule: &'static Rule,
        owns: &'static [&'static str],
        sources: &'static [&'static str],
        words: fn(&Context<'_>) -> Verdict,
    ) -> Self {
        Self { rule, owns, sources, words: Some(words) }
    }

    const fn advice(rule: &'static Rule) -> Self {
        Self { rule, owns: &[], sources: &[], words: None }
    }

    /// Decides for one VM.
    #[must_use]
    pub fn evaluate(&self, cx: &Context<'_>) -> Verdict {
        match (self.words, self.rule.evaluate) {
            (Some(decide), _) | (None, Evaluate::Vm(decide)) => decide(cx),
            (None, Evaluate::Host(_)) => {
                Verdict::NotApplicable("it is about the host")
            }
        }
    }
}

/// All of them, in the order in which a plan lists their changes.
pub const CONF_RULES: &[ConfRule] = &[
    ConfRule::new(
        &vcpu_topology::RULE,
        &["sockets", "cores"],
        &["qemu-server 9.2, QemuServer.pm: -smp has sockets and cores only"],
        vcpu_topology::conf::evaluate,
    ),
    ConfRule::new(
        &vcpu_pin::RULE,
        &["affinity"],
        &["qemu-server 9.2, QemuServer.pm: taskset --cpu-list --all-tasks"],
        vcpu_pin::conf::evaluate,
    ),
    ConfRule::new(
        &cpu_model::RULE,
        &["cpu/cputype"],
        &["qemu-server 9.2, CPUConfig.pm; `args` come after it"],
        cpu_model::conf::evaluate,
    ),
    ConfRule::new(
        &numa_cells::RULE,
        &["numa", "numa*", "numa*/cpus", "numa*/memory"],
        &["qemu-server 9.2, Memory.pm: at most 8 nodes, none with hotplug of \
           memory, and together all of the memory"],
        numa_cells::conf::evaluate,
    ),
    ConfRule::new(
        &numa_memory::RULE,
        &["numa*/hostnodes", "numa*/policy"],
        &["qemu-server 9.2, Memory.pm: a node that is not listed has no \
           host-nodes, whatever its pages"],
        numa_memory::conf::evaluate,
    ),
    ConfRule::new(
        &hugepages::RULE,
        &["hugepages"],
        &["qemu-server 9.2, Memory.pm, hugepages_topology: one host node of \
           one digit for each guest node"],
        hugepages::conf::evaluate,
    ),
    ConfRule::new(
        &memory_balloon::RULE,
        &["balloon"],
        &["qemu-server 9.2, QemuServer.pm: no device with balloon 0"],
        memory_balloon::conf::evaluate,
    ),
    ConfRule::new(
        &hostdev_vf::RULE,
        &["hostpci*"],
        &["qemu-server 9.2, PCI.pm: hostpci0 to hostpci15; pcie needs q35"],
        hostdev_vf::conf::evaluate,
    ),
    ConfRule::new(
        &machine_type::RULE,
        &["machine/type", "hostpci*/pcie"],
        &["qemu-server 9.2, PCI.pm: pcie is 0 by default, and needs q35"],
        machine_type::conf::evaluate,
    ),
    ConfRule::new(
        &guest_iommu::RULE,
        &["machine/viommu"],
        &["qemu-server 9.2, Machine.pm: intel brings intremap, caching-mode \
           and a split irqchip"],
        guest_iommu::conf::evaluate,
    ),
    ConfRule::advice(&pci_mapping::RULE),
    ConfRule::advice(&guest_iommu_pt::RULE),
    ConfRule::advice(&guest_memlock::RULE),
    ConfRule::advice(&guest_hugepages_rdma::RULE),
];

/// Names a key, or a property of one.
pub(super) fn key(path: &str) -> ConfPath {
    path.parse().expect("rules spell keys as Proxmox does")
}

/// Most guest nodes that Proxmox gives to a VM.
const MOST_NODES: usize = 8;

impl Context<'_> {
    /// Returns why the guest's nodes cannot be listed; `None` where they can.
    fn conf_nodes_fault(&self) -> Option<String> {
        let cells = &self.placement.cells;
        if cells.len() > MOST_NODES {
            return Some(format!(
                "Proxmox gives a VM no more than {MOST_NODES} NUMA nodes, and \
                 the placement has {}",
                cells.len()
            ));
        }
        if self.domain.memory.max.is_some() {
            return Some(
                "Proxmox refuses a list of NUMA nodes while memory can be \
                 plugged in: take memory out of `hotplug`"
                    .to_owned(),
            );
        }
        let odd = cells.iter().find(|c| !c.memory.0.is_multiple_of(1 << 20));
        odd.map(|cell| {
            format!(
                "guest node {} has {}, and Proxmox counts in MiB",
                cell.id, cell.memory
            )
        })
    }

    /// Returns whether the definition will list the guest's nodes: huge pages
    /// and memory of one node can be had in no other way.
    pub(super) fn lists_nodes(&self) -> bool {
        let listed = lists_nodes(self.domain);
        if self.level(&numa_cells::RULE) != Level::Plan {
            return listed;
        }
        let wanted = listed
            || self.placement.cells.len() > 1
            || self.placement.pages.is_some()
            || self.facts.topology.nodes.len() > 1;
        wanted && self.conf_nodes_fault().is_none()
    }

    /// Returns why nodes that should be listed are not.
    pub(super) fn why_no_nodes(&self) -> Option<String> {
        self.conf_nodes_fault().filter(|_| !lists_nodes(self.domain))
    }
}

/// Returns whether a definition lists the guest's nodes. Without a list
/// Proxmox makes one of each socket, bound to nothing.
fn lists_nodes(domain: &Domain) -> bool {
    let sockets = domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let cells = domain.cells().len();
    let made = sockets.is_some_and(|t| t.sockets as usize == cells);
    cells > 0 && !(made && domain.numatune.memnodes.is_empty())
}
