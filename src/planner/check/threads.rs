//! The guest's sockets, dies, cores and threads, true to the pins.

use std::collections::BTreeSet;

use super::flaw::Flaw;
use super::host::Host;
use super::scene::Scene;
use super::vm::Vm;
use super::words;
use crate::base::{Id, VcpuId, VcpuSet};
use crate::model::domain::{CpuMode, CpuTopology};
use crate::model::policy::Smt;

const RULE: &str = "vcpu-topology";
const ELEMENT: &str = "cpu/topology";

pub(super) fn check(scene: &Scene<'_>, vm: &Vm<'_>, found: &mut Vec<Flaw>) {
    let vcpus = vm.domain.vcpus;
    let Some(topology) = vm.domain.cpu.as_ref().and_then(|cpu| cpu.topology)
    else {
        if vcpus > 1 {
            let what = format!(
                "no topology: libvirt makes {vcpus} sockets of one core, and \
                 no two vCPUs share a cache"
            );
            let remedy = "Write a <topology> that follows the pins.";
            found.push(Flaw::slow(RULE, what, remedy));
        }
        return;
    };
    if topology.vcpus() != vcpus {
        let made = topology.vcpus();
        let what = format!("the topology makes {made} vCPUs of {vcpus}");
        let remedy = "Make the product that of <vcpu>.";
        found.push(Flaw::refused(RULE, what, remedy).at(vm.line(ELEMENT)));
        return;
    }
    clusters(vm, topology, found);
    hidden_threads(scene, vm, topology, found);
    wanted_threads(vm, topology, found);
    siblings(&scene.host, vm, topology, found);
    caches(&scene.host, vm, topology, found);
    cells(vm, topology, found);
}

/// QEMU has no clusters on x86; libvirt lets them through.
fn clusters(vm: &Vm<'_>, topology: CpuTopology, found: &mut Vec<Flaw>) {
    let clusters = topology.clusters.unwrap_or(1);
    if clusters > 1 && vm.domain.is_x86_64() {
        let what = format!("{clusters} clusters, which QEMU refuses on x86");
        let flaw = Flaw::refused(RULE, what, "Write dies='…' instead.");
        found.push(flaw.at(vm.line("cpu/topology/@clusters")));
    }
}

/// On AMD, a guest with the host's own CPU sees no threads unless topoext is
/// asked for.
fn hidden_threads(
    scene: &Scene<'_>,
    vm: &Vm<'_>,
    topology: CpuTopology,
    found: &mut Vec<Flaw>,
) {
    let Some(cpu) = &vm.domain.cpu else { return };
    let vendor = scene.host.facts.cpu_vendor.value().map(String::as_str);
    let is_amd = matches!(vendor, Some("AuthenticAMD" | "HygonGenuine"));
    let asked = matches!(cpu.feature("topoext"), Some("require" | "force"));
    let is_kvm = vm.domain.virt_type == "kvm" && vm.domain.is_x86_64();
    if topology.threads < 2 || asked || !is_amd || !is_kvm {
        return;
    }
    let is_host_model = match &cpu.mode {
        Some(CpuMode::HostPassthrough | CpuMode::Maximum) => false,
        Some(CpuMode::HostModel) => true,
        _ => return,
    };
    let what = format!(
        "{} threads per core without topoext: on AMD the guest sees no SMT",
        topology.threads,
    );
    let remedy = "Write <feature policy='require' name='topoext'/>.";
    let flaw = Flaw::broken(RULE, what, remedy).slow_if(is_host_model);
    found.push(flaw.at(vm.line(ELEMENT)));
}

/// The policy may ask for a number of threads.
fn wanted_threads(vm: &Vm<'_>, topology: CpuTopology, found: &mut Vec<Flaw>) {
    let table = vm.policy.vm_table(vm.name());
    let Some(wanted) = table.and_then(|table| table.threads) else { return };
    if vm.is_dedicated() && wanted != topology.threads {
        let threads = topology.threads;
        let what =
            format!("{threads} threads per core, the policy asks for {wanted}");
        let remedy = "Write the number that the policy asks for.";
        found.push(Flaw::broken(RULE, what, remedy).at(vm.line(ELEMENT)));
    }
}

/// Guest threads of a core are siblings of one host core, and guest cores
/// are on host cores of their own.
fn siblings(
    host: &Host<'_>,
    vm: &Vm<'_>,
    topology: CpuTopology,
    found: &mut Vec<Flaw>,
) {
    let smt = vm.policy.cpu.smt;
    if !vm.is_one_to_one() {
        if topology.threads > 1 && !vm.is_dedicated() {
            let what = format!(
                "{} threads per core, while the vCPUs float",
                topology.threads,
            );
            let flaw = Flaw::slow(RULE, what, "Write threads='1'.");
            found.push(flaw.at(vm.line(ELEMENT)));
        }
        return;
    }
    let core = |vcpu| vm.seats.get(&vcpu).and_then(|&cpu| host.core(cpu));
    let untrue: VcpuSet = guest_cores(topology)
        .filter(|vcpus| {
            let cores: BTreeSet<_> = vcpus.iter().filter_map(core).collect();
            cores.len() > 1
        })
        .flat_map(|vcpus| vcpus.iter().collect::<Vec<_>>())
        .collect();
    if !untrue.is_empty() {
        let what = format!(
            "threads of one guest core on several host cores: {}",
            words::vcpus(&untrue),
        );
        let remedy = "Pin them to siblings of one core, or write threads='1'.";
        let flaw = Flaw::broken(RULE, what, remedy).slow_if(smt == Smt::Any);
        found.push(flaw.at(vm.line(ELEMENT)));
        return;
    }
    // One guest core after the other: a host core that was seen before has
    // threads of two.
    let mut seen = BTreeSet::new();
    let split: VcpuSet = guest_cores(topology)
        .filter_map(|vcpus| vcpus.first())
        .filter(|&vcpu| core(vcpu).is_some_and(|core| !seen.insert(core)))
        .collect();
    let asked = vm.policy.vm_table(vm.name()).and_then(|table| table.threads);
    if !split.is_empty() && smt == Smt::Siblings && asked.is_none() {
        let what = format!(
            "{} on host cores of other guest cores: siblings look like cores",
            words::vcpus(&split),
        );
        let remedy = "Write threads='…' as many as share a host core; the VM \
                      and each of its cells need a multiple of that.";
        found.push(Flaw::slow(RULE, what, remedy).at(vm.line(ELEMENT)));
    }
}

/// QEMU gives each die one third-level cache: where the host has several
/// under it, and the vCPUs fall evenly on them, more dies would say so.
fn caches(
    host: &Host<'_>,
    vm: &Vm<'_>,
    topology: CpuTopology,
    found: &mut Vec<Flaw>,
) {
    let dies = topology.dies.unwrap_or(1);
    let die = topology.vcpus() / topology.sockets.max(1) / dies.max(1);
    if !vm.domain.is_x86_64() || !vm.is_one_to_one() || die == 0 {
        return;
    }
    let cache = |n| vm.seats.get(&VcpuId(n)).and_then(|&cpu| host.l3(cpu));
    let caches_of = |from: u32, to: u32| -> BTreeSet<usize> {
        (from..to).filter_map(cache).collect()
    };
    let starts = || (0..topology.vcpus()).step_by(die as usize);
    let counts: BTreeSet<usize> =
        starts().map(|n| caches_of(n, n + die).len()).collect();
    let Some(&count) = counts.first().filter(|_| counts.len() == 1) else {
        return;
    };
    let Ok(count) = u32::try_from(count) else { return };
    let even = |part: u32| {
        let parts = (0..topology.vcpus()).step_by(part as usize);
        let mut parts = parts.map(|n| caches_of(n, n + part).len());
        // One vCPU shares its cache with nobody, however many dies there are.
        part > 1
            && part.is_multiple_of(topology.threads)
            && parts.all(|caches| caches == 1)
    };
    if count > 1 && die.is_multiple_of(count) && even(die / count) {
        let what = format!(
            "one L3 in the guest for {die} vCPUs that use {count} of the host"
        );
        let remedy = format!("Write dies='{}'.", dies.saturating_mul(count));
        found.push(Flaw::slow(RULE, what, remedy).at(vm.line(ELEMENT)));
    }
}

/// The threads of a guest core are in one guest cell.
fn cells(vm: &Vm<'_>, topology: CpuTopology, found: &mut Vec<Flaw>) {
    let straddles = |core: &VcpuSet| {
        let cells = vm.domain.cells().iter();
        cells.filter(|cell| cell.vcpus.intersects(core)).count() > 1
    };
    let straddling: VcpuSet = guest_cores(topology)
        .filter(straddles)
        .flat_map(|vcpus| vcpus.iter().collect::<Vec<_>>())
        .collect();
    if !straddling.is_empty() {
        let what = format!(
            "threads of one guest core in several guest cells: {}",
            words::vcpus(&straddling),
        );
        let remedy = "Cut the cells between cores.";
        found.push(Flaw::broken(RULE, what, remedy).at(vm.line("cpu/numa")));
    }
}

/// Walks the guest's cores. QEMU numbers threads fastest.
fn guest_cores(topology: CpuTopology) -> impl Iterator<Item = VcpuSet> {
    let threads = topology.threads.max(1);
    (0..topology.vcpus()).step_by(threads as usize).map(move |first| {
        (first..first.saturating_add(threads))
            .map(VcpuId::from_number)
            .collect()
    })
}
