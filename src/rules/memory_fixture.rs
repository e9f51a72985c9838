//! More of a [`Case`], for the rules on memory and devices.

use std::collections::BTreeMap;

use super::fixture::Case;
use super::{Evaluate, HostContext, HostedVm, Rule, Verdict};
use crate::base::{
    Bytes, CellId, CpuSet, HostPath, NodeId, PageSize, PciAddress,
};
use crate::model::domain::{Domain, GuestCell, Hostdev};
use crate::model::facts::{
    BootArgument, BootArguments, HugepagePool, PciClass, PciFunction,
    RdmaDevice,
};
use crate::model::{CellPlacement, Fact, Target};
use crate::placement::Reservations;

/// What is on the host besides the VM of a case.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) neighbours: Vec<Domain>,
    pub(super) reservations: Reservations,
}

/// One GiB.
pub(super) const GIB: u64 = 1 << 30;

impl Case {
    /// A host of two nodes; a q35 KVM guest of 4 vCPUs and 8 GiB without
    /// guest NUMA, alone on CPUs of node 0, in ordinary pages.
    pub(super) fn plain() -> Self {
        let mut case = Self::intel(&[1, 2, 3, 4], 1);
        case.domain.memory.total = Bytes(8 * GIB);
        case.place_on(&[0]);
        case
    }

    /// Places one cell of the placement on each of these nodes.
    pub(super) fn place_on(&mut self, nodes: &[u32]) {
        let share = self.domain.memory.total.0 / nodes.len() as u64;
        self.placement.cells = (0..)
            .zip(nodes)
            .map(|(id, &node)| CellPlacement {
                id: CellId(id),
                vcpus: format!("{}-{}", 2 * id, 2 * id + 1).parse().unwrap(),
                memory: Bytes(share),
                node: NodeId(node),
                memory_node: NodeId(node),
            })
            .collect();
    }

    /// Gives the definition the cells of the placement.
    pub(super) fn define_cells(&mut self) {
        let cells = self.placement.cells.iter().map(|cell| GuestCell {
            id: cell.id,
            vcpus: cell.vcpus.clone(),
            memory: cell.memory,
            mem_access: None,
            distances: BTreeMap::new(),
        });
        let cells = cells.collect();
        self.cpu().cells = cells;
    }

    /// Gives the host huge pages of one size: free ones by node.
    pub(super) fn pool(&mut self, size: PageSize, free: &[u64]) {
        let pools = (0..).zip(free).map(|(node, &free)| HugepagePool {
            node: NodeId(node),
            size,
            total: free,
            free: Fact::known(free, "pool"),
            surplus: Fact::known(0, "pool"),
        });
        let mut all = match &self.facts.memory.hugepages {
            Fact::Known { value, .. } => value.clone(),
            Fact::Unknown { .. } => Vec::new(),
        };
        all.extend(pools);
        self.facts.memory.hugepages = Fact::known(all, "hugepages-origin");
    }

    /// Passes a function of the host through; it is on that node, or on one
    /// that the host does not tell.
    pub(super) fn pass(&mut self, source: &str, node: Option<u32>) {
        let source: PciAddress = source.parse().unwrap();
        let position = self.domain.devices.hostdevs.len() + 1;
        self.domain.devices.hostdevs.push(Hostdev {
            source,
            is_interface: false,
            position,
            managed: true,
            mac: None,
            guest_bus: None,
        });
        let nodes = match node {
            Some(node) => Fact::known(NodeId(node).into(), "node-origin"),
            None => Fact::unknown("numa_node is -1"),
        };
        let mut all = self.facts.pci.value().cloned().unwrap_or_default();
        all.push(PciFunction {
            address: source,
            id: Fact::unknown("not part of this case"),
            class: PciClass::Network,
            nodes,
            driver: Fact::unknown("not part of this case"),
            iommu_group: Fact::unknown("not part of this case"),
            physfn: None,
            sriov: None,
            interfaces: Vec::new(),
        });
        self.facts.pci = Fact::known(all, "pci");
    }

    /// Passes an RDMA device of the host through, on its node 0.
    pub(super) fn rdma(&mut self, source: &str) {
        self.pass(source, Some(0));
        let device = RdmaDevice {
            name: "mlx5_0".into(),
            pci: Some(source.parse().unwrap()),
            interfaces: Vec::new(),
        };
        self.facts.rdma = Fact::known(vec![device], "/sys/class/infiniband");
    }

    /// Asks a rule for the host, with the VM as the only one of the plan, and
    /// with what is besides it.
    pub(super) fn on_host(&self, rule: &Rule, beside: &Beside) -> Verdict {
        let Evaluate::Host(evaluate) = rule.evaluate else {
            panic!("{} is a rule for VMs", rule.id);
        };
        let vm = HostedVm {
            domain: &self.domain,
            policy: &self.policy,
            placement: &self.placement,
        };
        let neighbours: Vec<&Domain> = beside.neighbours.iter().collect();
        evaluate(&HostContext {
            facts: &self.facts,
            policy: &self.policy,
            housekeeping: &CpuSet::new(),
            vms: std::slice::from_ref(&vm),
            others: &CpuSet::new(),
            neighbours: &neighbours,
            reservations: &beside.reservations,
        })
    }

    /// What a rule changes on the host, as `PLACE = VALUE, STAGE`; what stands
    /// there already is left out, as the planner does.
    pub(super) fn host_edits(
        &self,
        rule: &Rule,
        beside: &Beside,
    ) -> Vec<String> {
        let Verdict::Change { edits, .. } = self.on_host(rule, beside) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        for edit in edits {
            let place = edit.target.pattern();
            assert!(rule.may_edit(&place), "{place} is not owned");
            assert!(!edit.because.is_empty(), "{place} without a reason");
            if self.standing(&edit.target) != edit.to {
                let to = edit.to.unwrap_or_else(|| "nothing".to_owned());
                let to = to.lines().filter(|line| !line.starts_with('#'));
                let to: Vec<_> = to.collect();
                lines.push(format!(
                    "{} = {}, {}",
                    edit.target,
                    to.join("|"),
                    edit.stage
                ));
            }
        }
        lines
    }

    /// What a rule for the host says, as one text.
    pub(super) fn host_said(&self, rule: &Rule, beside: &Beside) -> String {
        match self.on_host(rule, beside) {
            Verdict::Change { advice, .. } | Verdict::Advise(advice) => {
                advice.join("\n")
            }
            _ => String::new(),
        }
    }

    /// Does what a rule for the host changes.
    pub(super) fn settle(&mut self, rule: &Rule, beside: &Beside) {
        let Verdict::Change { edits, .. } = self.on_host(rule, beside) else {
            return;
        };
        for edit in edits {
            match edit.target {
                Target::Argument { file, name } => {
                    let known = &mut self.facts.kernel.boot_arguments;
                    let Fact::Known { value, .. } = known else { continue };
                    value.arguments.retain(|a| a.name != name);
                    value.arguments.extend(edit.to.map(|value| BootArgument {
                        file,
                        name,
                        value,
                    }));
                }
                target => self.stands(&target.to_string(), edit.to.as_deref()),
            }
        }
    }

    /// Says what stands at a place of the host.
    pub(super) fn stands(&mut self, place: &str, text: Option<&str>) {
        let fact = Fact::known(text.map(str::to_owned), "setting");
        self.facts.settings.insert(place.parse().unwrap(), fact);
    }

    /// Says which arguments the kernel gets at boot, as `NAME VALUE`.
    pub(super) fn boots_with(&mut self, arguments: &[&str]) {
        let file: HostPath = "/etc/default/grub.d/vmtune.cfg".parse().unwrap();
        let argument = |text: &&str| {
            let (name, value) = text.split_once(' ').unwrap_or((text, ""));
            let (name, value) = (name.to_owned(), value.to_owned());
            BootArgument { file: file.clone(), name, value }
        };
        let arguments = arguments.iter().map(argument).collect();
        let known = BootArguments { file: file.clone(), arguments };
        self.facts.kernel.boot_arguments = Fact::known(known, "boot files");
    }

    fn standing(&self, target: &Target) -> Option<String> {
        match target {
            Target::Definition(_) | Target::Conf(_) => None,
            Target::Kernel(path) | Target::File(path) => {
                self.facts.settings.get(path)?.value()?.clone()
            }
            Target::Argument { file, name } => {
                let known = self.facts.kernel.boot_arguments.value()?;
                let argument = known.get(name)?;
                (argument.file == *file).then(|| argument.value.clone())
            }
        }
    }

    /// What a rule changes, as [`Case::edits`]; each a place that it owns, for
    /// a reason.
    pub(super) fn changes(&self, rule: &Rule) -> Vec<String> {
        let Verdict::Change { edits, .. } = self.verdict(rule) else {
            panic!("no change: {:?}", self.verdict(rule));
        };
        for edit in edits {
            let place = edit.target.pattern();
            assert!(rule.may_edit(&place), "{place} is not owned");
            assert!(!edit.because.is_empty(), "{place} without a reason");
        }
        self.edits(rule)
    }

    /// What a rule advises, as one text.
    pub(super) fn said(&self, rule: &Rule) -> String {
        self.advice(rule).join("\n")
    }
}
