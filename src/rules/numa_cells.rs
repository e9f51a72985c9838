//! The NUMA nodes that the guest sees.
//!
//! A guest that is spread over host nodes needs cells to know which of its
//! memory is near which of its CPUs. A guest on one node needs none, and what
//! cells it has stay, where they add up.

pub(super) mod conf;

use super::{Context, Edit, Evaluate, Group, Rule, Verdict};
use crate::base::{Bytes, CellId, VcpuSet, XmlPath};
use crate::model::CellPlacement;
use crate::model::domain::GuestCell;
use crate::model::policy::Level;

/// The rule; see the module.
pub const RULE: Rule = Rule {
    id: "numa-cells",
    group: Group::GuestCpu,
    why: "A guest on several host nodes keeps memory near the CPUs that use \
          it only when it sees the nodes.",
    hurts: "Software that ignores NUMA sees smaller pools of memory for each \
            node; memory that is plugged in later must name its cell.",
    folklore: "Guides copy nodeset='0-3,5' from the documentation: nodesets \
               of <page> and memnode's cellid mean guest cells, which must be \
               there.",
    sources: &[
        "libvirt, Domain XML format, \"Guest NUMA topology\"",
        "libvirt 11.3: cells that hold fewer vCPUs than the VM are taken, the \
         others join cell 0; cells with less memory than <memory> shrink the \
         guest; a distance of 10 to another cell is refused",
        "Linux, drivers/acpi/numa: a SLIT with 10 off its diagonal is ignored",
        "CERN, OpenStack in production, 2015: about 9 % of HS06 by guest NUMA",
    ],
    level: Level::Plan,
    owns: &["/domain/cpu/numa"],
    evaluate: Evaluate::Vm(evaluate),
};

fn evaluate(cx: &Context<'_>) -> Verdict {
    let wanted = &cx.placement.cells;
    let given = cx.domain.cells();
    if given.is_empty() && wanted.len() < 2 {
        return Verdict::NotApplicable(
            "the VM is on one node and has no cells",
        );
    }
    let numa = XmlPath::domain().child("cpu").child("numa");
    let cell = |id: CellId| {
        let position = given.iter().position(|cell| cell.id == id);
        let cell = numa.clone().child("cell");
        match position {
            // A cell may lack its id; its place it has.
            Some(index) => cell.nth(index + 1),
            None => cell.with("id", id),
        }
    };
    let fault = fault(cx);
    let mut edits = Vec::new();
    for to in wanted {
        let from = given.iter().find(|cell| cell.id == to.id);
        let because = because(cx, to, fault.as_deref());
        edits.extend(cell_edits(&cell(to.id), from, to, &because));
    }
    for (id, near) in distances(cx) {
        for (sibling, distance) in near {
            let because = format!(
                "the host's nodes are as far from each other ({})",
                cx.facts.topology.origin
            );
            let siblings = cell(id).child("distances").child("sibling");
            let target = siblings.with("id", sibling).attribute("value");
            edits.push(Edit::set(target, distance.to_string(), because));
        }
    }
    for (index, stale) in given.iter().enumerate() {
        if wanted.iter().all(|cell| cell.id != stale.id) {
            let place = numa.clone().child("cell").nth(index + 1);
            let because = "the placement has no such cell";
            edits.push(Edit::remove(place, because));
        }
    }
    let seen =
        format!("{} guest cell(s) as the placement has them", { wanted.len() });
    Verdict::of(edits, Vec::new(), seen)
}

fn cell_edits(
    place: &XmlPath,
    from: Option<&GuestCell>,
    to: &CellPlacement,
    because: &str,
) -> Vec<Edit> {
    let at = |name| place.clone().attribute(name);
    let mut edits = Vec::new();
    if from.is_none_or(|from| from.vcpus != to.vcpus) {
        if to.vcpus.is_empty() {
            edits.push(Edit::remove(at("cpus"), because));
        } else {
            edits.push(Edit::set(at("cpus"), to.vcpus.to_string(), because));
        }
    }
    if from.is_none_or(|from| from.memory != to.memory) {
        let kib = to.memory.kib().to_string();
        edits.push(Edit::set(at("memory"), kib, because));
        edits.push(Edit::set(at("unit"), "KiB", because));
    }
    edits
}

/// Says what is wrong with the cells that there are, whatever the placement.
fn fault(cx: &Context<'_>) -> Option<String> {
    let given = cx.domain.cells();
    if given.is_empty() {
        return None;
    }
    let none = VcpuSet::new();
    let held = given.iter().fold(none, |all, cell| all.union(&cell.vcpus));
    let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
    if count < cx.domain.vcpus {
        return Some(format!(
            "the cells hold vCPUs {held} of {}, and the others join cell 0 in \
             silence",
            cx.domain.vcpus
        ));
    }
    let memory = &cx.domain.memory;
    let sum = given.iter().map(|cell| cell.memory.0);
    let sum = Bytes(sum.fold(memory.modules.0, u64::saturating_add));
    (sum != memory.total).then(|| {
        format!(
            "the cells and modules add up to {sum}, <memory> says {}, and the \
             cells win in silence",
            memory.total
        )
    })
}

fn because(
    cx: &Context<'_>,
    cell: &CellPlacement,
    fault: Option<&str>,
) -> String {
    let place = match cell.node == cell.memory_node {
        true => format!("node {} serves it", cell.node),
        false => format!(
            "CPUs of node {} and memory of node {} serve it",
            cell.node, cell.memory_node
        ),
    };
    let fault = fault.map(|fault| format!("{fault}; ")).unwrap_or_default();
    format!("{fault}{place} ({})", cx.facts.topology.origin)
}

/// Returns the distances among cells where the definition has none, the host
/// tells them, and they say more than the default of 10 and 20.
fn distances(cx: &Context<'_>) -> Vec<(CellId, Vec<(CellId, u32)>)> {
    let cells = &cx.placement.cells;
    let given = cx.domain.cells();
    if cells.len() < 2 || given.iter().any(|cell| !cell.distances.is_empty()) {
        return Vec::new();
    }
    let distance = |from: &CellPlacement, to: &CellPlacement| {
        let node = cx.facts.topology.node(from.memory_node)?;
        let told = *node.distances.value()?.get(&to.memory_node)?;
        // 255 means unreachable; 10 is for the cell itself alone.
        let valid = match from.id == to.id {
            true => told == 10,
            false => (11..255).contains(&told),
        };
        valid.then_some((to.id, told))
    };
    let row = |from: &CellPlacement| {
        let row = cells.iter().map(|to| distance(from, to));
        Some((from.id, row.collect::<Option<Vec<_>>>()?))
    };
    let rows = cells.iter().map(row).collect::<Option<Vec<_>>>();
    let plain = |d: &(CellId, u32)| matches!(d.1, 10 | 20);
    rows.filter(|rows| !rows.iter().all(|(_, row)| row.iter().all(plain)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::*;
    use crate::base::{NodeId, VcpuId};
    use crate::model::Fact;

    fn cell(id: u32, vcpus: std::ops::Range<u32>, gib: u64) -> GuestCell {
        GuestCell {
            id: CellId(id),
            vcpus: vcpus.map(VcpuId).collect(),
            memory: Bytes(gib << 30),
            mem_access: None,
            distances: [(CellId(id), 10)].into(),
        }
    }

    #[test]
    fn a_guest_on_two_nodes_sees_two() {
        let mut case = Case::intel(&[1, 2, 9, 10], 1);
        let at = "/domain/cpu/numa/cell";
        assert_eq!(
            case.edits(&RULE),
            [
                format!("{at}[@id='0']/@cpus = 0-1"),
                format!("{at}[@id='0']/@memory = 2097152"),
                format!("{at}[@id='0']/@unit = KiB"),
                format!("{at}[@id='1']/@cpus = 2-3"),
                format!("{at}[@id='1']/@memory = 2097152"),
                format!("{at}[@id='1']/@unit = KiB"),
                format!("{at}[@id='0']/distances/sibling[@id='0']/@value = 10"),
                format!("{at}[@id='0']/distances/sibling[@id='1']/@value = 21"),
                format!("{at}[@id='1']/distances/sibling[@id='0']/@value = 21"),
                format!("{at}[@id='1']/distances/sibling[@id='1']/@value = 10"),
            ]
        );
        case.cpu().cells = vec![cell(0, 0..2, 2), cell(1, 2..4, 2)];
        assert!(case.satisfied(&RULE), "distances that are there stay");
    }

    #[test]
    fn a_guest_on_one_node_needs_none() {
        let mut case = Case::intel(&[1, 2], 1);
        assert!(matches!(case.verdict(&RULE), Verdict::NotApplicable(_)));
        case.cpu().cells = vec![cell(0, 0..2, 2)];
        assert!(case.satisfied(&RULE), "memory may be plugged into it");
    }

    /// Trap: cells that add up to another size than `<memory>` win.
    #[test]
    fn cells_hold_all_the_memory() {
        let mut case = Case::intel(&[1, 2, 3, 4], 1);
        case.cpu().cells = vec![cell(0, 0..4, 1)];
        assert_eq!(
            case.edits(&RULE),
            [
                "/domain/cpu/numa/cell[1]/@memory = 4194304",
                "/domain/cpu/numa/cell[1]/@unit = KiB",
            ]
        );
        let because = case.reasons(&RULE);
        assert!(because.contains("add up to 1 GiB, <memory> says 4 GiB"));
    }

    /// Trap: vCPUs that no cell holds join cell 0 in silence.
    #[test]
    fn cells_hold_all_vcpus() {
        let mut case = Case::intel(&[1, 2, 3, 4], 1);
        case.cpu().cells = vec![cell(0, 0..3, 4)];
        let edit = "/domain/cpu/numa/cell[1]/@cpus = 0-3";
        assert_eq!(case.edits(&RULE), [edit]);
        assert!(case.reasons(&RULE).contains("vCPUs 0-2 of 4"));
    }

    #[test]
    fn cells_that_are_not_placed_go() {
        let mut case = Case::intel(&[1, 2], 1);
        case.cpu().cells =
            vec![cell(0, 0..2, 2), cell(1, 0..0, 0), cell(2, 0..0, 0)];
        assert_eq!(
            case.edits(&RULE),
            [
                "/domain/cpu/numa/cell[2] removed",
                "/domain/cpu/numa/cell[3] removed",
            ]
        );
    }

    /// Trap: a distance of 10 to another cell is refused.
    #[test]
    fn distances_that_are_no_distances_are_left_out() {
        let lines = |case: &Case| case.edits(&RULE).len();
        let case = || Case::intel(&[1, 2, 9, 10], 1);
        let mut one_node = case();
        for cell in &mut one_node.placement.cells {
            cell.memory_node = NodeId(0);
        }
        assert_eq!(lines(&one_node), 6);
        let mut unknown = case();
        unknown.facts.topology.nodes[1].distances = Fact::unknown("no SLIT");
        assert_eq!(lines(&unknown), 6);
        let mut default = case();
        for node in &mut default.facts.topology.nodes {
            let own = node.id;
            node.distances = node.distances.clone().map(|distances| {
                let far = |id| if id == own { 10 } else { 20 };
                distances.into_keys().map(|id| (id, far(id))).collect()
            });
        }
        assert_eq!(lines(&default), 6, "libvirt's default says the same");
    }
}
