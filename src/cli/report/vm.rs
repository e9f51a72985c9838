//! Where a VM goes, in one glance.

use std::collections::BTreeMap;

use super::count;
use super::page::{BOLD, FAINT, GOOD, PLAIN, Page, Span, WARN};
use crate::base::{CpuSet, NodeSet, PageSize};
use crate::model::domain::Domain;
use crate::model::facts::{Facts, PciFunction};
use crate::model::{NicPlacement, Objective, Plan, VmPlacement, VmPlan};

/// So many cores are listed one by one, unless all are asked for.
const CORES: usize = 8;

/// Writes the heading of a VM and where it goes.
pub(super) fn vm(
    page: &mut Page,
    plan: &Plan,
    vm: &VmPlan,
    host: Option<&Facts>,
    domain: Option<&Domain>,
    verbose: bool,
) {
    let Some(place) = &vm.placement else {
        page.line(&[(BOLD, vm.name.to_string())]);
        page.row(2, "place", &[(FAINT, "not placed".to_owned())]);
        return;
    };
    let memory = place.cells.iter().fold(0, |sum, cell| sum + cell.memory.0);
    let size = format!(
        "{}, {}",
        count(place.vcpus.len(), "vCPU"),
        crate::base::Bytes(memory)
    );
    page.line(&[(BOLD, format!("{}  ", vm.name)), (FAINT, size)]);
    let plain = |text: String| [(PLAIN, text)];
    page.row(2, "place", &plain(whereabouts(place, host)));
    page.row(2, "CPUs", &plain(cpus(place, host)));
    if let Some(cores) = host.and_then(|host| cores(place, host, verbose)) {
        page.row(2, "cores", &plain(cores));
    }
    if place.cells.len() > 1 {
        cells(page, place);
    }
    page.row(2, "memory", &plain(pages(place)));
    let hostdevs = domain.map_or(&[][..], |d| &d.devices.hostdevs);
    let given = place.nics.iter().filter_map(NicPlacement::added);
    for device in hostdevs.iter().map(|dev| dev.source).chain(given) {
        let spans = locality(place, host, device);
        page.row(2, "device", &spans);
    }
    page.row(2, "emulator", &plain(emulator(plan, place)));
    page.row(2, "objective", &[objective(&vm.objective, &vm.bound)]);
    if verbose {
        for (n, reason) in place.because.iter().enumerate() {
            let label = if n == 0 { "because" } else { "" };
            page.row(2, label, &plain(reason.clone()));
        }
    }
}

fn nodes(nodes: &NodeSet) -> String {
    let noun = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{noun} {nodes}")
}

fn whereabouts(place: &VmPlacement, host: Option<&Facts>) -> String {
    let runs: NodeSet = place.cells.iter().map(|cell| cell.node).collect();
    let mut text = nodes(&runs);
    let cpus = place.cpus();
    let l3: Vec<_> = host
        .map_or(&[][..], |host| &host.topology.l3)
        .iter()
        .filter(|cache| cache.cpus.intersects(&cpus))
        .collect();
    match &l3[..] {
        [] => {}
        [one] if one.cpus == cpus => text += ", one whole L3",
        [one] => text += &format!(", one L3 (CPUs {})", one.cpus),
        several => text += &format!(", {} L3s", several.len()),
    }
    let memory = place.memory_nodes();
    if memory != runs {
        text += &format!("; memory from {}", nodes(&memory));
    }
    text
}

fn cpus(place: &VmPlacement, host: Option<&Facts>) -> String {
    let cpus = place.cpus();
    if !place.exclusive {
        return format!("{cpus}, shared: vCPUs float over them");
    }
    let mut text = cpus.to_string();
    if let Some(host) = host {
        let cores = &host.topology.cores;
        let used = cores.iter().filter(|core| core.cpus.intersects(&cpus));
        text += &format!(", on {}", count(used.count(), "core"));
    }
    let idle = place.reserved.difference(&cpus).difference(&place.emulator);
    if !idle.is_empty() {
        text += &format!("; {idle} kept idle");
    }
    text
}

/// Lists the CPUs in the order of the vCPUs, those of a core together.
fn cores(place: &VmPlacement, host: &Facts, verbose: bool) -> Option<String> {
    let mut cores: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for cpus in place.vcpus.values() {
        let cpu = cpus.first().filter(|_| cpus.len() == 1)?;
        let all = &host.topology.cores;
        let core = all.iter().position(|core| core.cpus.contains(cpu))?;
        if !order.contains(&core) {
            order.push(core);
        }
        cores.entry(core).or_default().push(cpu.to_string());
    }
    if order.len() > CORES && !verbose {
        return None;
    }
    let one = |core: &usize| cores.get(core).map(|cpus| cpus.join("+"));
    Some(order.iter().filter_map(one).collect::<Vec<_>>().join("  "))
}

fn cells(page: &mut Page, place: &VmPlacement) {
    for cell in &place.cells {
        let mut text = format!(
            "vCPUs {}, {}: node {}",
            cell.vcpus, cell.memory, cell.node
        );
        if cell.memory_node != cell.node {
            text += &format!(", memory from node {}", cell.memory_node);
        }
        page.row(2, &format!("cell {}", cell.id), &[(PLAIN, text)]);
    }
}

fn pages(place: &VmPlacement) -> String {
    let from = nodes(&place.memory_nodes());
    let need = |size: PageSize| {
        place.cells.iter().map(|cell| size.pages(cell.memory)).sum::<u64>()
    };
    match place.pages {
        Some(size) => format!("{} × {size} pages on {from}", need(size)),
        None => format!("ordinary pages on {from}"),
    }
}

fn locality(
    place: &VmPlacement,
    host: Option<&Facts>,
    address: crate::base::PciAddress,
) -> Vec<Span> {
    let functions = host.and_then(|host| host.pci.value());
    let function: Option<&PciFunction> =
        functions.and_then(|all| all.iter().find(|one| one.address == address));
    let mut spans = vec![(PLAIN, address.to_string())];
    let Some(function) = function else {
        spans.push((WARN, "is not on this host, as far as is known".into()));
        return spans;
    };
    spans.extend(function.interfaces.iter().map(|i| (PLAIN, i.clone())));
    let Some(home) = function.nodes.value() else {
        spans.push((FAINT, "at a node that is not known".into()));
        return spans;
    };
    let away = place
        .cells
        .iter()
        .filter(|cell| !home.contains(cell.node))
        .map(|cell| cell.vcpus.len())
        .sum::<usize>();
    let vcpus = place.vcpus.len();
    spans.push(if away == 0 {
        (GOOD, format!("near ({})", nodes(home)))
    } else if away >= vcpus {
        (WARN, format!("far ({})", nodes(home)))
    } else {
        (WARN, format!("far for {away} of {vcpus} vCPUs ({})", nodes(home)))
    });
    spans
}

fn emulator(plan: &Plan, place: &VmPlacement) -> String {
    let home = |cpus: &CpuSet| {
        let kept = cpus.is_subset(&plan.housekeeping);
        if kept { "housekeeping" } else { "its own" }
    };
    let mut text = format!("{} ({})", place.emulator, home(&place.emulator));
    let threads = place.iothreads.len();
    if threads > 0 {
        let all = place.iothreads.values();
        let cpus = all.fold(CpuSet::new(), |sum, one| sum.union(one));
        text += &format!("; {} on {cpus}", count(threads, "I/O thread"));
    }
    text
}

fn objective(cost: &Objective, bound: &Objective) -> Span {
    let levels = cost.0.iter().zip(&bound.0).zip(Objective::LEVELS);
    let mut gaps = levels.filter(|((cost, bound), _)| cost > bound);
    // The last level only makes the answer unique.
    let tie = Objective::LEVELS[Objective::LEVELS.len() - 1];
    match gaps.next() {
        None => (GOOD, "optimal: no placement is better".to_owned()),
        Some((_, level)) if level == tie => {
            (GOOD, "optimal; others may be as good".to_owned())
        }
        Some(((cost, bound), level)) => (
            WARN,
            format!("not proved optimal: {level}: {cost}, at best {bound}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_gap_only_where_it_matters() {
        let bound = Objective::default();
        let words = |level: usize| {
            let mut cost = Objective::default();
            cost.0[level] = 2;
            objective(&cost, &bound).1
        };
        assert_eq!(
            objective(&bound, &bound).1,
            "optimal: no placement is better"
        );
        assert_eq!(
            words(2),
            "not proved optimal: L3 domains beyond the minimum: 2, at best 0"
        );
        assert_eq!(words(6), "optimal; others may be as good");
    }
}
