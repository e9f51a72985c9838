//! The CPU that a guest sees under a placement: what several rules need to
//! know alike.

use super::VmPlacement;
use super::domain::{CpuMode, CpuTopology, Domain};
use super::facts::{Facts, Topology};
use super::policy::Policy;
use crate::base::{CpuId, CpuSet, VcpuId};

/// Returns the CPU mode that the VM should have, where it is not the one that
/// it has: the host's own under KVM, and no mode that cannot start under
/// software emulation. A confidential guest's mode stays, for the guest
/// attests it, and so does that of a guest which is told another vendor: the
/// host's own CPU cannot lie about that.
#[must_use]
pub fn better_cpu_mode(facts: &Facts, domain: &Domain) -> Option<CpuMode> {
    use CpuMode::{Custom, HostModel, HostPassthrough, Maximum};
    if domain.launch_security.is_some() {
        return None;
    }
    let cpu = domain.cpu.as_ref();
    let mode = cpu.and_then(|cpu| cpu.mode.as_ref());
    let told_vendor = cpu.is_some_and(|cpu| cpu.vendor_id.is_some());
    let better = match (domain.virt_type.as_str(), mode) {
        ("kvm", _) if told_vendor => return None,
        ("kvm", None | Some(Custom | HostModel)) => HostPassthrough,
        ("qemu", Some(HostPassthrough)) => Maximum,
        _ => return None,
    };
    supports_cpu_mode(facts, domain, &better).then_some(better)
}

/// Returns whether libvirt lists a CPU mode for the VM's virt type. What it
/// does not report is not forbidden.
fn supports_cpu_mode(facts: &Facts, domain: &Domain, mode: &CpuMode) -> bool {
    let hypervisor = facts.hypervisor.value();
    hypervisor
        .and_then(|h| h.domains.get(&domain.virt_type)?.value())
        .filter(|capabilities| !capabilities.cpu_modes.is_empty())
        .is_none_or(|c| c.cpu_modes.iter().any(|m| m == mode.as_str()))
}

/// Returns the CPU mode that the VM will have when it is planned so.
#[must_use]
pub fn cpu_mode(
    facts: &Facts,
    domain: &Domain,
    policy: &Policy,
) -> Option<CpuMode> {
    let better = better_cpu_mode(facts, domain);
    better
        .filter(|_| policy.plans("cpu-model"))
        .or_else(|| domain.cpu.as_ref().and_then(|cpu| cpu.mode.clone()))
}

/// Returns whether a mode hands the guest the host's own CPU.
#[must_use]
pub fn is_hosts_own(mode: Option<&CpuMode>) -> bool {
    matches!(mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum))
}

/// Returns the topology that is true to the pins.
///
/// Threads are siblings; a socket is a guest cell where there are several; a
/// die is an L3 where the vCPUs of each socket fill several evenly. QEMU
/// numbers threads fastest, then cores, dies and sockets, so only vCPUs that
/// follow each other can share one of them. Where vCPUs float, nothing of
/// this is true for long, and a topology that is complete stays.
#[must_use]
pub fn topology(
    facts: &Facts,
    domain: &Domain,
    policy: &Policy,
    placement: &VmPlacement,
) -> CpuTopology {
    let host = &facts.topology;
    let x86 = domain.is_x86_64();
    let given = domain.cpu.as_ref().and_then(|cpu| cpu.topology);
    let given = given.filter(|t| {
        t.vcpus() == domain.vcpus && !(x86 && t.clusters.unwrap_or(1) > 1)
    });
    let pins = pins(domain, placement);
    if let (None, Some(given)) = (&pins, given)
        && lies_within_cells(given.threads, domain, placement)
    {
        return given;
    }
    let pins = pins.unwrap_or_default();
    let threads = threads(host, placement.threads, &pins);
    // Without a cell there is no node for a socket to be.
    let has_cells = policy.plans("numa-cells") || !domain.cells().is_empty();
    let sockets = match has_cells {
        true => sockets(domain.vcpus, threads, placement),
        false => 1,
    };
    let socket = domain.vcpus / sockets;
    let dies = if x86 { dies(host, threads, socket, &pins) } else { 1 };
    // Elsewhere dies and clusters are the machine's own business.
    let kept = |t: &CpuTopology| t.sockets == sockets && t.threads == threads;
    if let Some(given) = given.filter(|t| !x86 && kept(t)) {
        return given;
    }
    CpuTopology {
        sockets,
        dies: (dies > 1).then_some(dies),
        clusters: None,
        cores: socket / dies / threads,
        threads,
    }
}

/// Returns whether no guest core of so many threads is in two cells.
fn lies_within_cells(
    threads: u32,
    domain: &Domain,
    placement: &VmPlacement,
) -> bool {
    let vcpus: Vec<_> = (0..domain.vcpus).map(VcpuId).collect();
    vcpus.chunks(usize_of(threads.max(1))).all(|core| {
        placement.cells.iter().all(|cell| {
            let inside = core.iter().filter(|v| cell.vcpus.contains(**v));
            [0, core.len()].contains(&inside.count())
        })
    })
}

/// Returns the CPU of each vCPU in order; none unless all have one CPU each.
fn pins(domain: &Domain, placement: &VmPlacement) -> Option<Vec<CpuId>> {
    let pin = |vcpu| {
        let cpus = placement.vcpus.get(&VcpuId(vcpu))?;
        cpus.first().filter(|_| cpus.len() == 1)
    };
    (0..domain.vcpus).map(pin).collect()
}

/// Returns `wanted` where that many vCPUs in a row are always siblings, else
/// one.
fn threads(host: &Topology, wanted: u32, pins: &[CpuId]) -> u32 {
    let width = usize_of(wanted);
    let siblings = |group: &[CpuId]| {
        let cpus: CpuSet = group.iter().copied().collect();
        let core = group.first().and_then(|&cpu| host.core_of(cpu));
        cpus.len() == width
            && core.is_some_and(|core| cpus.is_subset(&core.cpus))
    };
    let all = width > 1 && !pins.is_empty() && pins.chunks(width).all(siblings);
    if all { wanted } else { 1 }
}

/// Returns how many sockets make a whole number of them for each guest cell.
fn sockets(vcpus: u32, threads: u32, placement: &VmPlacement) -> u32 {
    let cells = || placement.cells.iter().filter(|c| !c.vcpus.is_empty());
    if cells().count() < 2 {
        return 1;
    }
    let sizes = cells().filter_map(|c| u32::try_from(c.vcpus.len()).ok());
    let size = sizes.fold(0, gcd);
    let in_one_cell = |first: u32| {
        cells().any(|cell| {
            (first..first + size).all(|n| cell.vcpus.contains(VcpuId(n)))
        })
    };
    let whole = size > 0
        && vcpus.is_multiple_of(size)
        && size.is_multiple_of(threads)
        && (0..vcpus).step_by(usize_of(size)).all(in_one_cell);
    if whole { vcpus / size } else { 1 }
}

/// Returns how many L3s the vCPUs of each socket fill one after the other,
/// each with as many vCPUs; else one.
fn dies(host: &Topology, threads: u32, socket: u32, pins: &[CpuId]) -> u32 {
    let l3 = |cpu: &CpuId| host.l3.iter().position(|l| l.cpus.contains(*cpu));
    let Some(l3s) = pins.iter().map(l3).collect::<Option<Vec<_>>>() else {
        return 1;
    };
    let Some(&first) = l3s.first() else { return 1 };
    let die = l3s.iter().take_while(|&&l3| l3 == first).count();
    let (die, socket) = (die.min(usize_of(socket)), usize_of(socket));
    let one_to_one = |socket: &[usize]| {
        let mut seen: Vec<_> = socket.chunks(die).map(|d| d[0]).collect();
        let of_one = |d: &[usize]| d.iter().all(|&l3| l3 == d[0]);
        let dies = seen.len();
        seen.sort_unstable();
        seen.dedup();
        seen.len() == dies && socket.chunks(die).all(of_one)
    };
    let even = socket.is_multiple_of(die)
        && die.is_multiple_of(usize_of(threads))
        && l3s.chunks(socket).all(one_to_one);
    if even { u32::try_from(socket / die).unwrap_or(1) } else { 1 }
}

/// Returns whether what the host's CPUID says of its caches is true of the
/// guest: its cores are whole cores of the host, and its dies are L3s of the
/// host. CPUID counts the ids that share a cache, and each level takes a power
/// of two of them: three cores of four fill an L3 like four.
#[must_use]
pub fn has_the_hosts_caches(
    facts: &Facts,
    domain: &Domain,
    policy: &Policy,
    placement: &VmPlacement,
) -> bool {
    let Some(pins) = pins(domain, placement) else { return false };
    let host = &facts.topology;
    let CpuTopology { cores, threads, .. } =
        topology(facts, domain, policy, placement);
    let ids = |count: u32| usize_of(count).next_power_of_two();
    let set = |cpus: &[CpuId]| cpus.iter().copied().collect::<CpuSet>();
    let core = |cpus| host.cores.iter().any(|core| core.cpus == set(cpus));
    let l3 = |cpus: &[CpuId]| {
        let whole = ids(cores) * ids(threads);
        host.l3.iter().any(|l3| {
            set(cpus).is_subset(&l3.cpus)
                && l3.cpus.len().next_power_of_two() == whole
        })
    };
    pins.chunks(usize_of(threads)).all(core)
        && pins.chunks(usize_of(cores) * usize_of(threads)).all(l3)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Widens a count for use as a length; at least 1, so that it can divide.
fn usize_of(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).max(1)
}
