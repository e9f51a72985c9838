//! A picture of the host: nodes, caches, cores with who holds them, devices.

use super::cores::{Row, draw, mark, rows};
use super::count;
use super::nic::nics;
use super::page::{BOLD, FAINT, KEY, PLAIN, Page, Span, WARN};
use crate::base::{CpuId, CpuSet, NodeId};
use crate::model::Fact;
use crate::model::facts::{
    Facts, HugepagePool, Node, PciClass, PciFunction, Topology,
};

/// Who holds which CPUs.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// CPUs that the policy keeps for the host.
    pub housekeeping: CpuSet,
    /// VMs with the CPUs that their vCPUs are pinned to; none for those that
    /// float.
    pub vms: Vec<(String, CpuSet)>,
    /// CPUs of VMs that are not shown one by one.
    pub others: CpuSet,
    /// Why VMs are not known, where they are not.
    pub unknown: Option<String>,
}

/// Who holds one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This process may not use it.
    Disallowed,
    /// One VM, by its place in the list.
    Vm(usize),
    /// A VM that is not in the list.
    Other,
    /// More than one VM.
    Several,
    /// The host.
    Host,
    /// Nobody, and the kernel keeps work off it.
    Isolated,
    /// Nobody.
    Free,
}

impl Holders {
    /// Returns who holds a CPU.
    #[must_use]
    pub fn of(&self, cpu: CpuId, topology: &Topology) -> Holder {
        let mut vms = (0..).zip(&self.vms).filter(|(_, vm)| vm.1.contains(cpu));
        let isolated = topology.isolated.value();
        let other = self.others.contains(cpu);
        match (vms.next(), vms.next()) {
            _ if topology.disallowed.contains(cpu) => Holder::Disallowed,
            (Some(_), _) if other => Holder::Several,
            (Some((n, _)), None) => Holder::Vm(n),
            (Some(_), Some(_)) => Holder::Several,
            _ if other => Holder::Other,
            _ if self.housekeeping.contains(cpu) => Holder::Host,
            _ if isolated.is_some_and(|set| set.contains(cpu)) => {
                Holder::Isolated
            }
            _ => Holder::Free,
        }
    }
}

/// How much of a host is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A mark for each CPU.
    Marks,
    /// Each CPU's number with its mark.
    Numbers,
    /// The numbers, and every device.
    All,
}

/// Devices of one node that are listed, unless all are asked for: cards that
/// were left in many functions would fill the screen.
const DEVICES: usize = 6;

/// Draws a host.
pub fn host(page: &mut Page, facts: &Facts, held: &Holders, detail: Detail) {
    let numbered = detail != Detail::Marks;
    heading(page, facts);
    let topology = &facts.topology;
    let mut package = None;
    for node in &topology.nodes {
        let at = package_of(topology, &node.cpus);
        if at != package && at.is_some() && topology.packages.len() > 1 {
            page.gap();
            let id = at.unwrap_or_default();
            page.line(&[(BOLD, format!("package {id}"))]);
        } else {
            page.gap();
        }
        package = at;
        self::node(page, facts, node, held, detail);
    }
    let homed = topology
        .nodes
        .iter()
        .fold(CpuSet::new(), |all, node| all.union(&node.cpus));
    let homeless = topology.online.difference(&homed);
    if !homeless.is_empty() {
        page.gap();
        page.line(&[(BOLD, "at no node".to_owned())]);
        let rows = rows(topology, &homeless);
        draw(page, topology, &rows, held, numbered);
    }
    homeless_devices(page, facts, detail);
    nics(page, facts, detail == Detail::All);
    legend(page, topology, held, &topology.online);
    notes(page, topology, held);
}

/// Returns the package that holds all of these CPUs.
fn package_of(topology: &Topology, cpus: &CpuSet) -> Option<u32> {
    let within = |cpus: &CpuSet, package: &CpuSet| {
        !cpus.is_empty() && cpus.is_subset(package)
    };
    let mut packages = topology.packages.iter();
    packages.find(|p| within(cpus, &p.cpus)).map(|p| p.id)
}

fn heading(page: &mut Page, facts: &Facts) {
    let topology = &facts.topology;
    page.flow("", "  ", &[(BOLD, facts.source.clone())]);
    let known = |fact: &Fact<String>| fact.value().cloned();
    let model = known(&facts.cpu_model).or_else(|| known(&facts.cpu_vendor));
    let model = model.unwrap_or_else(|| "CPU model not known".to_owned());
    let arch = known(&facts.arch).map(|arch| format!("({arch})"));
    let model = match topology.packages.len() {
        0 | 1 => model,
        several => format!("{several} × {model}"),
    };
    let mut spans = vec![(PLAIN, model)];
    spans.extend(arch.map(|arch| (FAINT, arch)));
    page.flow("  ", "  ", &spans);
    let mut counts = vec![
        count(topology.online.len(), "CPU"),
        count(topology.cores.len(), "core"),
    ];
    if let Some(first) = topology.l3.first() {
        let alike = topology.l3.iter().all(|l3| l3.size == first.size);
        let of = if alike && first.size.0 > 0 {
            format!(" of {}", first.size)
        } else {
            String::new()
        };
        counts.push(count(topology.l3.len(), "L3") + &of);
    } else {
        counts.push("no L3 known".to_owned());
    }
    counts.push(count(topology.nodes.len(), "node"));
    page.flow("  ", "  ", &[(PLAIN, counts.join(", "))]);
}

fn node(
    page: &mut Page,
    facts: &Facts,
    node: &Node,
    held: &Holders,
    detail: Detail,
) {
    let mut parts = Vec::new();
    match node.memory.value() {
        Some(memory) if memory.0 == 0 => parts.push("no memory".to_owned()),
        Some(memory) => parts.push(memory.to_string()),
        None => parts.push("memory not known".to_owned()),
    }
    let free = facts.memory.free.value().and_then(|free| free.get(&node.id));
    parts.extend(free.map(|free| format!("{free} free")));
    if node.cpus.is_empty() {
        parts.push("no CPUs".to_owned());
    }
    let mut spans = vec![
        (BOLD, format!("  node {}", node.id)),
        (PLAIN, format!("  {}", parts.join(", "))),
    ];
    if let Some(pools) = pools(facts, node.id) {
        spans.push((FAINT, format!("; {pools}")));
    }
    page.line(&spans);
    let rows: Vec<Row> = rows(&facts.topology, &node.cpus);
    draw(page, &facts.topology, &rows, held, detail != Detail::Marks);
    let devices = devices(facts, |function| {
        let nodes = function.nodes.value();
        nodes.is_some_and(|nodes| nodes.contains(node.id))
    });
    list(page, devices, detail);
}

/// Writes devices, those with a network interface first.
fn list(page: &mut Page, mut devices: Vec<&PciFunction>, detail: Detail) {
    devices.sort_by_key(|function| function.interfaces.is_empty());
    let shown = match detail {
        Detail::All => devices.len(),
        Detail::Marks | Detail::Numbers => DEVICES,
    };
    for function in devices.iter().take(shown) {
        page.flow("    ", "      ", &device(function));
    }
    if devices.len() > shown {
        let more = devices.len() - shown;
        page.line(&[(FAINT, format!("    … and {more} more (-v)"))]);
    }
}

fn pools(facts: &Facts, node: NodeId) -> Option<String> {
    let Some(pools) = facts.memory.hugepages.value() else {
        return Some("page pools not known".to_owned());
    };
    let pool = |pool: &HugepagePool| match pool.free.value() {
        Some(free) => {
            format!("{} pages: {free}/{} free", pool.size, pool.total)
        }
        None => format!("{} pages: {}", pool.size, pool.total),
    };
    let here = pools.iter().filter(|p| p.node == node && p.total > 0);
    let here = here.map(pool).collect::<Vec<_>>().join("; ");
    (!here.is_empty()).then_some(here)
}

/// Returns the NICs and accelerators that are somewhere; virtual functions
/// are counted at their physical one.
fn devices(
    facts: &Facts,
    here: impl Fn(&PciFunction) -> bool,
) -> Vec<&PciFunction> {
    let all = facts.pci.value().map_or(&[][..], Vec::as_slice);
    let shown = |function: &&PciFunction| {
        let is_shown = function.class.is_network()
            || function.class == PciClass::Accelerator;
        is_shown && function.physfn.is_none() && here(function)
    };
    all.iter().filter(shown).collect()
}

fn device(function: &PciFunction) -> Vec<Span> {
    let kind = match function.class {
        class if class.is_network() => "NIC",
        _ => "GPU",
    };
    let mut about = function.interfaces.clone();
    match function.driver.value() {
        Some(Some(driver)) => about.push(driver.clone()),
        Some(None) => about.push("no driver".to_owned()),
        None => {}
    }
    if let Some(sriov) = &function.sriov {
        let made = sriov.virtfns.len();
        about.push(match sriov.total.value() {
            Some(total) => format!("{made} of {}", count_of(*total, "VF")),
            None => count(made, "VF"),
        });
    }
    vec![
        (KEY, kind.to_owned()),
        (PLAIN, function.address.to_string()),
        (FAINT, about.join(", ")),
    ]
}

fn count_of(n: u32, noun: &str) -> String {
    count(n as usize, noun)
}

/// Lists devices of which no node is known, and says where none are.
fn homeless_devices(page: &mut Page, facts: &Facts, detail: Detail) {
    if let Some(why) = facts.pci.reason() {
        page.gap();
        let text = format!("devices not known: {why}");
        page.flow("  ", "    ", &[(FAINT, text)]);
    }
    let known = |f: &PciFunction| {
        f.nodes.value().is_some_and(|nodes| !nodes.is_empty())
    };
    let lost = devices(facts, |function| !known(function));
    if !lost.is_empty() {
        page.gap();
        page.line(&[(BOLD, "  node not known".to_owned())]);
    }
    list(page, lost, detail);
}

/// Explains the marks that a picture of some CPUs has.
pub(super) fn legend(
    page: &mut Page,
    topology: &Topology,
    held: &Holders,
    drawn: &CpuSet,
) {
    page.gap();
    let cpus = drawn.iter().map(|cpu| held.of(cpu, topology));
    let seen: Vec<Holder> = cpus.collect();
    let mut entries: Vec<[Span; 2]> = Vec::new();
    for (holder, what) in [
        (Holder::Host, "host"),
        (Holder::Free, "free"),
        (Holder::Isolated, "isolated"),
        (Holder::Disallowed, "not allowed"),
        (Holder::Other, "another VM"),
        (Holder::Several, "held twice"),
    ] {
        if seen.contains(&holder) {
            let (style, mark) = mark(holder);
            let what = (FAINT, what.to_owned());
            entries.push([(style, mark.to_string()), what]);
        }
    }
    for (n, (name, cpus)) in held.vms.iter().enumerate() {
        if !cpus.is_empty() {
            let (style, mark) = mark(Holder::Vm(n));
            entries.push([(style, mark.to_string()), (PLAIN, name.clone())]);
        }
    }
    page.entries("  ", &entries);
}

/// Says what the picture cannot show.
fn notes(page: &mut Page, topology: &Topology, held: &Holders) {
    let mut note = |style, text: String| {
        page.flow("  ", "    ", &[(style, text)]);
    };
    if let Some(offline) = topology.offline.value().filter(|o| !o.is_empty()) {
        note(WARN, format!("offline: CPUs {offline}"));
    }
    for kind in &topology.kinds {
        note(FAINT, format!("{}: CPUs {}", kind.name, kind.cpus));
    }
    let float = held.vms.iter().filter(|(_, cpus)| cpus.is_empty());
    let float: Vec<_> = float.map(|(name, _)| name.as_str()).collect();
    if !float.is_empty() {
        note(FAINT, format!("not pinned: {}", float.join(", ")));
    }
    if let Some(why) = &held.unknown {
        note(FAINT, format!("VMs not known: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn draw(facts: &Facts, held: &Holders, detail: Detail) -> String {
        let mut page = Page::new(80);
        host(&mut page, facts, held, detail);
        sample::plain(&page.into_text())
    }

    fn held(housekeeping: &str, vms: &[(&str, &str)]) -> Holders {
        let vm = |(name, cpus): &(&str, &str)| {
            ((*name).to_owned(), cpus.parse().unwrap())
        };
        Holders {
            housekeeping: housekeeping.parse().unwrap(),
            vms: vms.iter().map(vm).collect(),
            ..Holders::default()
        }
    }

    #[test]
    fn a_small_host_shows_its_numbers() {
        let held = held("0,8,4,12", &[("db", "1,9"), ("web", "")]);
        insta::assert_snapshot!(draw(&sample::host(1, 4, 2), &held, Detail::Numbers), @r"
        sample
          2 × AMD EPYC 7543 32-Core Processor (x86_64)
          16 CPUs, 8 cores, 2 L3s of 32 MiB, 2 nodes

        package 0
          node 0  64 GiB; 1G pages: 24/32 free
            0-3,8-11 [ 0h  8h │  1a  9a │  2· 10· │  3· 11·]

        package 1
          node 1  64 GiB; 1G pages: 24/32 free
            4-7,12-15 [ 4h 12h │  5· 13· │  6· 14· │  7· 15·]
            NIC 0000:c1:00.0 enp193s0f0np0, mlx5_core, 1 of 16 VFs

          h host   · free   a db
          not pinned: web
        ");
    }

    #[test]
    fn a_large_host_fits_a_page() {
        let held = held("0,128,64,192", &[("db", "8-15,136-143")]);
        insta::assert_snapshot!(draw(&sample::host(8, 8, 2), &held, Detail::Marks), @r"
        sample
          2 × AMD EPYC 7543 32-Core Processor (x86_64)
          256 CPUs, 128 cores, 16 L3s of 32 MiB, 2 nodes

        package 0
          node 0  64 GiB; 1G pages: 24/32 free
            0-7,128-135   [hh ·· ·· ·· ·· ·· ·· ··]
            8-15,136-143  [aa aa aa aa aa aa aa aa]
            16-23,144-151 [·· ·· ·· ·· ·· ·· ·· ··]
            24-31,152-159 [·· ·· ·· ·· ·· ·· ·· ··]
            32-39,160-167 [·· ·· ·· ·· ·· ·· ·· ··]
            40-47,168-175 [·· ·· ·· ·· ·· ·· ·· ··]
            48-55,176-183 [·· ·· ·· ·· ·· ·· ·· ··]
            56-63,184-191 [·· ·· ·· ·· ·· ·· ·· ··]

        package 1
          node 1  64 GiB; 1G pages: 24/32 free
            64-71,192-199   [hh ·· ·· ·· ·· ·· ·· ··]
            72-79,200-207   [·· ·· ·· ·· ·· ·· ·· ··]
            80-87,208-215   [·· ·· ·· ·· ·· ·· ·· ··]
            88-95,216-223   [·· ·· ·· ·· ·· ·· ·· ··]
            96-103,224-231  [·· ·· ·· ·· ·· ·· ·· ··]
            104-111,232-239 [·· ·· ·· ·· ·· ·· ·· ··]
            112-119,240-247 [·· ·· ·· ·· ·· ·· ·· ··]
            120-127,248-255 [·· ·· ·· ·· ·· ·· ·· ··]
            NIC 0000:c1:00.0 enp193s0f0np0, mlx5_core, 1 of 16 VFs

          h host   · free   a db
        ");
    }

    #[test]
    fn what_is_odd_is_marked() {
        let mut facts = sample::host(1, 4, 1);
        let topology = &mut facts.topology;
        topology.l3.clear();
        topology.disallowed = "7".parse().unwrap();
        topology.isolated = Fact::known("5-6".parse().unwrap(), "a sample");
        topology.offline = Fact::known("8-9".parse().unwrap(), "a sample");
        topology.nodes[1].memory = Fact::known(crate::base::Bytes(0), "");
        facts.pci = Fact::unknown("the source holds no devices");
        let held = held("0", &[("a", "1-2"), ("b", "2-3")]);
        insta::assert_snapshot!(draw(&facts, &held, Detail::Marks), @r"
        sample
          2 × AMD EPYC 7543 32-Core Processor (x86_64)
          8 CPUs, 8 cores, no L3 known, 2 nodes

        package 0
          node 0  64 GiB; 1G pages: 24/32 free
            0-3 [h a ! b]

        package 1
          node 1  no memory; 1G pages: 24/32 free
            4-7 [· i i x]

          devices not known: the source holds no devices

          h host   · free   i isolated   x not allowed   ! held twice   a a   b b
          offline: CPUs 8-9
        ");
    }
}
