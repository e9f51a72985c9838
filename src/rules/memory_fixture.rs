//! More of a [`Case`], for the rules on memory and devices.

use std::collections::BTreeMap;

use super::fixture::Case;
use super::{Rule, Verdict};
use crate::base::{Bytes, CellId, NodeId, PageSize, PciAddress};
use crate::model::domain::{GuestCell, Hostdev};
use crate::model::facts::{HugepagePool, PciClass, PciFunction};
use crate::model::{CellPlacement, Fact};

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
