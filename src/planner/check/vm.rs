//! One VM as the checks see it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::Judged;
use super::host::Host;
use crate::base::{CpuId, CpuSet, Leaf, NodeSet, VcpuId, VcpuSet, XmlPath};
use crate::definition::xml::Document;
use crate::model::domain::Domain;
use crate::model::policy::{PlacementMode, Policy, Smt};

/// A definition, the policy for it, and what follows from its pins.
pub(super) struct Vm<'a> {
    /// Its place among the VMs that are judged.
    pub(super) place: usize,
    pub(super) domain: &'a Domain,
    pub(super) live: Option<&'a Domain>,
    /// The policy with this VM's own keys laid over it.
    pub(super) policy: Policy,
    /// vCPUs that are pinned to one CPU, with that CPU.
    pub(super) seats: BTreeMap<VcpuId, CpuId>,
    /// The CPUs of these.
    pub(super) seat_cpus: CpuSet,
    /// Nodes that the pins of all vCPUs lead to; none where one has no pin.
    pub(super) nodes: NodeSet,
    text: &'a str,
    document: OnceCell<Option<Document>>,
}

impl<'a> Vm<'a> {
    pub(super) fn new(
        host: &Host<'_>,
        policy: &Policy,
        judged: &Judged<'a>,
        place: usize,
    ) -> Self {
        let domain = judged.domain;
        let single = |vcpu| {
            let pin = vcpu_pin(domain, vcpu).filter(|pin| pin.len() == 1)?;
            Some((vcpu, pin.first()?))
        };
        let all_pinned = vcpus(domain).all(|v| vcpu_pin(domain, v).is_some());
        let pins = vcpu_pins(domain).filter(|_| all_pinned);
        let nodes = host.nodes(&union(pins));
        let seats: BTreeMap<_, _> = vcpus(domain).filter_map(single).collect();
        Self {
            place,
            domain,
            live: judged.live,
            policy: policy.for_vm(domain.name.as_str()),
            seat_cpus: seats.values().copied().collect(),
            seats,
            nodes,
            text: judged.text,
            document: OnceCell::new(),
        }
    }

    pub(super) fn name(&self) -> &'a str {
        self.domain.name.as_str()
    }

    /// Returns whether its CPUs shall be its own.
    pub(super) fn is_dedicated(&self) -> bool {
        self.policy.cpu.placement == PlacementMode::Dedicated
    }

    /// Returns whether it shall have its cores alone.
    pub(super) fn is_isolated(&self) -> bool {
        self.is_dedicated() && self.policy.cpu.smt == Smt::Isolate
    }

    /// Returns whether each vCPU has one CPU, and each another.
    pub(super) fn is_one_to_one(&self) -> bool {
        let vcpus = self.domain.vcpus as usize;
        self.seats.len() == vcpus && self.seat_cpus.len() == vcpus
    }

    /// Returns the vCPUs that are pinned to one of these CPUs alone.
    pub(super) fn seated_on(&self, cpus: &CpuSet) -> VcpuSet {
        if !cpus.intersects(&self.seat_cpus) {
            return VcpuSet::new();
        }
        let seated = self.seats.iter().filter(|(_, cpu)| cpus.contains(**cpu));
        seated.map(|(vcpu, _)| *vcpu).collect()
    }

    /// Returns all CPUs that the pins of some vCPUs name; `None` where one
    /// of them has no pin.
    pub(super) fn cpus_of(&self, vcpus: &VcpuSet) -> Option<CpuSet> {
        vcpus.iter().try_fold(CpuSet::new(), |cpus, vcpu| {
            Some(cpus.union(vcpu_pin(self.domain, vcpu)?))
        })
    }

    /// Returns the line of what a path below `/domain` means, where the
    /// definition has it.
    pub(super) fn line(&self, path: &str) -> Option<u32> {
        let document = self.document.get_or_init(|| {
            // What is no XML has no lines to point at.
            Document::parse(self.text).ok()
        });
        let path: XmlPath = format!("/domain/{path}").parse().ok()?;
        let element = document.as_ref()?.find(&path)?;
        let place = match &path.leaf {
            Leaf::Attribute(name) => element.attribute_place(name)?,
            Leaf::Element | Leaf::Text => element.place(),
        };
        u32::try_from(place.line).ok()
    }

    /// Returns the line of a vCPU's pin.
    pub(super) fn pin_line(&self, vcpu: Option<VcpuId>) -> Option<u32> {
        let path = format!("cputune/vcpupin[@vcpu='{}']", vcpu?);
        self.line(&path).or_else(|| self.line("vcpu/@cpuset"))
    }
}

/// Walks a VM's vCPUs, those that are off at start too.
pub(super) fn vcpus(domain: &Domain) -> impl Iterator<Item = VcpuId> {
    (0..domain.vcpus).map(VcpuId)
}

/// Returns the CPUs of all threads without a pin of their own; none are
/// fixed where numad chooses.
fn common_pin(domain: &Domain) -> Option<&CpuSet> {
    let fixed = domain.vcpu_placement.as_deref() != Some("auto");
    domain.vcpu_cpuset.as_ref().filter(|_| fixed)
}

/// Returns where libvirt lets a vCPU run; `None` for anywhere.
pub(super) fn vcpu_pin(domain: &Domain, vcpu: VcpuId) -> Option<&CpuSet> {
    domain.cputune.vcpupin.get(&vcpu).or_else(|| common_pin(domain))
}

/// Walks the pins that hold for some vCPU: those of single ones, and the
/// common one once.
pub(super) fn vcpu_pins(domain: &Domain) -> impl Iterator<Item = &CpuSet> {
    let own = || domain.cputune.vcpupin.range(..VcpuId(domain.vcpus));
    let all_own = own().count() == domain.vcpus as usize;
    let common = common_pin(domain).filter(|_| !all_own);
    own().map(|(_, pin)| pin).chain(common)
}

/// Joins sets of CPUs.
pub(super) fn union<'a>(sets: impl Iterator<Item = &'a CpuSet>) -> CpuSet {
    sets.fold(CpuSet::new(), |all, set| all.union(set))
}

/// Returns where libvirt lets the emulator's threads run.
pub(super) fn emulator_pin(domain: &Domain) -> Option<&CpuSet> {
    domain.cputune.emulatorpin.as_ref().or_else(|| common_pin(domain))
}

/// Returns where libvirt lets an I/O thread run.
pub(super) fn iothread_pin(domain: &Domain, id: u32) -> Option<&CpuSet> {
    domain.cputune.iothreadpin.get(&id).or_else(|| common_pin(domain))
}
