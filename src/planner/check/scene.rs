//! All that is on the host at the same time, and who holds which CPU.

use super::Judged;
use super::budget::Budget;
use super::host::Host;
use super::vm::{Vm, emulator_pin, iothread_pin, union, vcpu_pins};
use crate::base::{CpuSet, PciAddress};
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::Policy;

/// A host with the VMs that are judged and those beside them.
pub(super) struct Scene<'a> {
    pub(super) host: Host<'a>,
    /// The VMs that are judged, in the order given.
    pub(super) vms: Vec<Vm<'a>>,
    pub(super) budget: Budget<'a>,
    holders: Vec<Holder<'a>>,
}

/// What one definition holds of the host. A pin to all CPUs holds nothing.
pub(super) struct Holder<'a> {
    pub(super) name: &'a str,
    /// Whether it is among the VMs that are judged.
    pub(super) is_judged: bool,
    /// CPUs that one vCPU shall have for itself.
    pub(super) alone: CpuSet,
    /// CPUs that vCPUs may run on.
    pub(super) vcpus: CpuSet,
    /// CPUs that any thread may run on.
    pub(super) all: CpuSet,
    /// Functions of the host that are passed through.
    pub(super) functions: Vec<PciAddress>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        policy: &Policy,
        judged: &[Judged<'a>],
        neighbours: &'a [Domain],
    ) -> Self {
        let host = Host::new(facts, policy);
        let vm = |(place, one)| Vm::new(&host, policy, one, place);
        let vms: Vec<_> = judged.iter().enumerate().map(vm).collect();
        let beside = |domain: &&Domain| {
            judged.iter().all(|one| one.domain.name != domain.name)
        };
        let neighbours: Vec<_> = neighbours.iter().filter(beside).collect();
        let own = vms.iter().map(|vm| {
            let mut holder = Holder::of(&host, vm.domain, true);
            if !vm.is_dedicated() {
                holder.alone = CpuSet::new();
            }
            holder
        });
        let others = neighbours.iter().map(|d| Holder::of(&host, d, false));
        let holders = own.chain(others).collect();
        let budget = Budget::new(&host, &vms, &neighbours);
        Self { host, vms, budget, holders }
    }

    /// Walks what the others hold.
    pub(super) fn others(
        &self,
        vm: &Vm<'_>,
    ) -> impl Iterator<Item = &Holder<'a>> {
        self.holders.iter().filter(move |holder| holder.name != vm.name())
    }
}

impl<'a> Holder<'a> {
    fn of(host: &Host<'_>, domain: &'a Domain, is_judged: bool) -> Self {
        let held = || {
            let pins = vcpu_pins(domain);
            pins.filter(|pin| !host.is_anywhere(pin))
        };
        let vcpus = union(held());
        Self {
            name: domain.name.as_str(),
            is_judged,
            alone: union(held().filter(|pin| pin.len() == 1)),
            all: vcpus.union(&service_cpus(host, domain)),
            vcpus,
            functions: domain.functions().collect(),
        }
    }
}

/// Returns the CPUs that the emulator and the I/O threads are held to.
pub(super) fn service_cpus(host: &Host<'_>, domain: &Domain) -> CpuSet {
    let iothreads = domain.iothreads.iter();
    let iothreads = iothreads.map(|&id| iothread_pin(domain, id));
    let pins = iothreads.chain([emulator_pin(domain)]).flatten();
    union(pins.filter(|pin| !host.is_anywhere(pin)))
}
