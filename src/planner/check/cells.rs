//! Guest NUMA cells: whole, and each on one host node.

use super::flaw::Flaw;
use super::scene::Scene;
use super::vm::{Vm, vcpus};
use super::words;
use crate::base::{Bytes, NodeSet, VcpuSet};

const RULE: &str = "numa-cells";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    wanted_cells(vm, found);
    if vm.domain.cells().is_empty() {
        one_node(vm, found);
    } else {
        numbers(vm, found);
        members(vm, found);
        amounts(vm, found);
        nodes(scene, vm, found);
    }
}

/// The policy may ask for a number of cells.
fn wanted_cells(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let table = vm.policy.vm_table(vm.name());
    let Some(wanted) = table.and_then(|table| table.cells) else { return };
    let cells = vm.domain.cells().len().max(1);
    if vm.is_dedicated() && usize::try_from(wanted) != Ok(cells) {
        let what = format!("{cells} guest cells, the policy asks for {wanted}");
        let remedy = "Write as many cells as the policy asks for.";
        found.push(Flaw::broken(RULE, what, remedy).at(vm.line("cpu/numa")));
    }
}

/// A guest without cells takes its memory to be equally near.
fn one_node(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let table = vm.policy.vm_table(vm.name());
    let asked = table.and_then(|table| table.cells).is_some();
    if vm.is_dedicated() && vm.nodes.len() > 1 && !asked {
        let what = format!(
            "no guest cells, while the vCPUs are on {}",
            words::nodes(&vm.nodes),
        );
        let remedy = "Write a guest cell for each host node.";
        found.push(Flaw::slow(RULE, what, remedy));
    }
}

/// libvirt wants the cells numbered from 0 without gaps.
fn numbers(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let cells = vm.domain.cells();
    let count = cells.len();
    let stray = cells.iter().find(|cell| cell.id.0 as usize >= count);
    if let Some(cell) = stray {
        let what = format!("cell {} of {count}: numbers have gaps", cell.id);
        let flaw = Flaw::refused(RULE, what, "Number the cells from 0.");
        found.push(flaw.at(vm.line("cpu/numa")));
    }
}

/// Each vCPU is in one cell. libvirt puts those of none into cell 0.
fn members(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let all: VcpuSet = vcpus(vm.domain).collect();
    let mut seen = VcpuSet::new();
    let mut twice = VcpuSet::new();
    for cell in vm.domain.cells() {
        twice.extend(cell.vcpus.intersection(&seen).iter());
        seen.extend(cell.vcpus.iter());
    }
    let mut refuse = |vcpus: &VcpuSet, problem: &str| {
        if !vcpus.is_empty() {
            let what = format!("{} {problem}", words::vcpus(vcpus));
            let remedy = "Put each vCPU into one cell.";
            let flaw = Flaw::refused(RULE, what, remedy);
            found.push(flaw.at(vm.line("cpu/numa")));
        }
    };
    refuse(&twice, "in two cells");
    refuse(&seen.difference(&all), "in a cell and not in the VM");
    let missing = all.difference(&seen);
    refuse(&missing, "in no cell: libvirt puts them into cell 0");
}

/// The cells win over `<memory>`: libvirt changes it without a word.
fn amounts(vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let memory = &vm.domain.memory;
    let cells = vm.domain.cells().iter().map(|cell| cell.memory.0);
    let made = cells.fold(memory.modules.0, u64::saturating_add);
    if made != memory.total.0 {
        let modules = match memory.modules.0 {
            0 => "",
            _ => " and modules",
        };
        let what = format!(
            "the cells{modules} have {}, <memory> says {}; the cells win",
            Bytes(made),
            memory.total,
        );
        let remedy = "Make <memory> the sum of the cells and modules.";
        found.push(Flaw::refused(RULE, what, remedy).at(vm.line("memory")));
    }
}

/// A cell is on one host node, and where the policy asks for cells, no two
/// are on the same.
fn nodes(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let table = vm.policy.vm_table(vm.name());
    let distinct = table.and_then(|table| table.cells).is_some();
    let mut taken = NodeSet::new();
    for (place, cell) in (1..).zip(vm.domain.cells()) {
        let cpus = vm.cpus_of(&cell.vcpus).unwrap_or_default();
        let nodes = scene.host.nodes(&cpus);
        let line = || vm.line(&format!("cpu/numa/cell[{place}]"));
        if nodes.len() > 1 {
            let what =
                format!("cell {} is on {}", cell.id, words::nodes(&nodes));
            let remedy = "Pin the vCPUs of a cell to one node.";
            let flaw = Flaw::broken(RULE, what, remedy);
            found.push(flaw.slow_if(!vm.is_dedicated()).at(line()));
        } else if distinct && nodes.intersects(&taken) {
            let what = format!(
                "cell {} is on {}, as another is",
                cell.id,
                words::nodes(&nodes),
            );
            let remedy = "Put each cell on a node of its own.";
            found.push(Flaw::broken(RULE, what, remedy).at(line()));
        }
        taken.extend(nodes.iter());
    }
}
