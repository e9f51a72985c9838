//! Rules: one setting each, with the reason for it.
//!
//! A rule is a pure function of facts, definition, policy and placement. It
//! sees the definition as it was read, never what another rule makes of it;
//! but for the functions that its placement gives the VM, which it has.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod host_fixture;
#[cfg(test)]
mod memory_fixture;
#[cfg(test)]
mod nic_fixture;

use crate::base::{CellId, CpuSet, HostPath, IdSet, PciAddress, XmlPath};
use crate::model::domain::{BackingPage, Dialect, Domain};
use crate::model::facts::Facts;
use crate::model::policy::{GuestIommu, Isolation, Level, Pages, Policy};
use crate::model::{Role, Stage, Target, VmPlacement};
use crate::placement::Reservations;

pub mod c_states;
pub mod cache_allocation;
pub mod conf;
pub mod cpu_cache;
pub mod cpu_governor;
pub mod cpu_isolation;
pub mod cpu_model;
pub mod dedicated_hint;
pub mod emulator_pin;
pub mod eswitch_mode;
pub mod guest_hugepages_rdma;
pub mod guest_iommu;
pub mod guest_iommu_pt;
pub mod guest_memlock;
pub mod guest_mtu;
pub mod guest_rings;
pub mod guest_roce_tos;
pub mod host_preflight;
pub mod hostdev_vf;
pub mod hugepage_mount;
pub mod hugepage_reservation;
pub mod hugepages;
pub mod iommu_passthrough;
pub mod iothread_pin;
pub mod irq_affinity;
pub mod irqbalance_ban;
pub mod ksm;
pub mod machine_type;
pub mod memory_backing;
pub mod memory_balloon;
pub mod memory_locking;
pub mod mtu;
pub mod nested_virt;
mod nic;
pub mod numa_balancing;
pub mod numa_cells;
pub mod numa_memory;
pub mod ovs_offload;
pub mod pci_mapping;
pub mod pci_numa;
pub mod pcie_link;
pub mod pcie_mrrs;
pub mod perf_sampling;
pub mod rdma_limits;
pub mod rdma_memlock;
pub mod representors;
pub mod ring_buffers;
pub mod roce_qos;
pub mod sriov_firmware;
pub mod sriov_vfs;
pub mod transparent_hugepages;
pub mod vcpu_pin;
pub mod vcpu_quota;
pub mod vcpu_scheduler;
pub mod vcpu_topology;
pub mod vf_identity;
pub mod vf_lag;
pub mod vhost_zerocopy;

/// One setting: what it is good for, and how it is decided.
#[derive(Debug)]
pub struct Rule {
    /// Kebab-case; the file's name.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// Why it exists: one sentence, true in general.
    pub why: &'static str,
    /// When it hurts, or what it costs.
    pub hurts: &'static str,
    /// What guides say and where they err; empty where they say nothing.
    pub folklore: &'static str,
    /// Documents or measurements that it rests on; never empty.
    pub sources: &'static [&'static str],
    /// What it may do unless the policy says otherwise.
    pub level: Level,
    /// The places that it may edit, as [`XmlPath::pattern`]s; an element
    /// stands for all below it. Of the host: paths, with `*` for a part that
    /// differs, and `#NAME` for an argument of the kernel, whichever file
    /// keeps it. No two rules own the same place.
    pub owns: &'static [&'static str],
    /// Decides.
    pub evaluate: Evaluate,
}

/// How a rule decides.
#[derive(Debug, Clone, Copy)]
pub enum Evaluate {
    /// For one VM after the other.
    Vm(fn(&Context<'_>) -> Verdict),
    /// Once for the host, when it is known where all VMs go.
    Host(fn(&HostContext<'_>) -> Verdict),
}

impl Rule {
    /// Returns whether the rule may edit a place, given as
    /// [`Target::pattern`].
    #[must_use]
    pub fn may_edit(&self, pattern: &str) -> bool {
        let part = |(own, part): (&str, &str)| own == "*" || own == part;
        self.owns.iter().any(|own| {
            let mut parts = pattern.split('/');
            let covers = own.split('/').all(|own| {
                parts.next().is_some_and(|there| part((own, there)))
            });
            // An element stands for all below it; a file for itself.
            covers && (own.starts_with("/domain") || parts.next().is_none())
        })
    }
}

/// What a rule is about; the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The guest's CPUs.
    GuestCpu,
    /// The guest's memory.
    GuestMemory,
    /// The guest's machine and devices.
    GuestIo,
    /// The host's CPUs: who may use them, and how fast they are.
    HostCpu,
    /// The host's memory: page pools, and what the kernel does with pages.
    HostMemory,
    /// The host's IOMMU, interrupts and devices.
    HostIo,
    /// Network cards and their functions.
    Network,
}

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The host.
    pub facts: &'a Facts,
    /// The VM as it was read, with the functions that it is given.
    pub domain: &'a Domain,
    /// The definition that it runs by, where it runs.
    pub live: Option<&'a Domain>,
    /// The policy for this VM, its own table laid over the general keys.
    pub policy: &'a Policy,
    /// Where the VM goes.
    pub placement: &'a VmPlacement,
}

/// What a rule for the host may look at.
#[derive(Debug, Clone, Copy)]
pub struct HostContext<'a> {
    /// The host.
    pub facts: &'a Facts,
    /// The policy, without the tables of single VMs.
    pub policy: &'a Policy,
    /// CPUs that are kept for the host.
    pub housekeeping: &'a CpuSet,
    /// The VMs of the plan, sorted by name.
    pub vms: &'a [HostedVm<'a>],
    /// CPUs that VMs outside of the plan have to themselves.
    pub others: &'a CpuSet,
    /// Definitions of VMs outside of the plan, where several of one VM all of
    /// them.
    pub neighbours: &'a [&'a Domain],
    /// Pages that the placement takes and that no pool has yet.
    pub reservations: &'a Reservations,
}

/// A VM of the plan, as a rule for the host sees it.
#[derive(Debug, Clone, Copy)]
pub struct HostedVm<'a> {
    /// The VM as it was read, with the functions that it is given.
    pub domain: &'a Domain,
    /// The policy for it, its own table laid over the general keys.
    pub policy: &'a Policy,
    /// Where it goes.
    pub placement: &'a VmPlacement,
}

impl HostedVm<'_> {
    /// Returns how its CPUs are kept free of other work. Threads that share
    /// a set of CPUs, as those of Proxmox do, would all stay on one of them
    /// where the kernel's scheduler has no business.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        match (self.policy.cpu.isolation, self.domain.dialect) {
            (Isolation::Kernel, Dialect::Proxmox(_)) => Isolation::Partition,
            (own, _) => own,
        }
    }
}

/// Why what is set now is also written to a file.
const AFTER_BOOT: &str = "so that it is the same after the next boot";

impl HostContext<'_> {
    /// Returns the CPUs that VMs have to themselves, those of the plan and
    /// all others.
    #[must_use]
    pub fn exclusive_cpus(&self) -> CpuSet {
        self.exclusive_where(true, |_| true)
    }

    /// Returns of these CPUs those that shall be kept free of other work, in
    /// ways that `is` takes.
    #[must_use]
    pub fn isolated_by(&self, is: impl Fn(Isolation) -> bool) -> CpuSet {
        let others = is(self.policy.cpu.isolation);
        self.exclusive_where(others, |vm| is(vm.isolation()))
    }

    fn exclusive_where(
        &self,
        others: bool,
        takes: impl Fn(&HostedVm<'_>) -> bool,
    ) -> CpuSet {
        let others = match others {
            true => self.others.clone(),
            false => CpuSet::new(),
        };
        self.vms.iter().filter(|vm| vm.placement.exclusive && takes(vm)).fold(
            others,
            |all, vm| {
                all.union(&vm.placement.cpus()).union(&vm.placement.reserved)
            },
        )
    }

    /// Returns what stands at a place, where it is known to hold something.
    #[must_use]
    pub fn setting(&self, path: &HostPath) -> Option<&str> {
        self.facts.settings.get(path)?.value()?.as_deref()
    }

    /// Has nothing to set; takes files away that an earlier plan left.
    fn without(&self, files: &[&str], why: &'static str) -> Verdict {
        let left = files.iter().map(place);
        let edits: Vec<_> = left
            .filter(|file| self.setting(file).is_some())
            .map(|file| Edit::remove(Target::File(file), why).at(Stage::Now))
            .collect();
        match edits.is_empty() {
            true => Verdict::NotApplicable(why),
            false => Verdict::Change { edits, advice: Vec::new() },
        }
    }

    /// Has systemd-tmpfiles write at each boot what is written now; or says
    /// that nothing does.
    fn at_each_boot(&self, file: &str, text: &str) -> Result<Edit, String> {
        let path = file.parse().ok();
        let Some(path) =
            path.filter(|_| self.facts.services.has("systemd-tmpfiles"))
        else {
            let why = "systemd-tmpfiles was not found";
            return Err(format!("a boot undoes what {file} would keep: {why}"));
        };
        let edit = Edit::set(Target::File(path), text, AFTER_BOOT);
        Ok(edit.at(Stage::Now))
    }
}

impl Context<'_> {
    /// Returns what another rule may do.
    #[must_use]
    pub fn level(&self, rule: &Rule) -> Level {
        self.policy.rules.get(rule.id).copied().unwrap_or(rule.level)
    }

    /// Returns whether the guest will have huge pages: those of the
    /// placement, or its own where they are left alone.
    #[must_use]
    pub fn will_have_hugepages(&self) -> bool {
        let own = self.domain.has_hugepages();
        if self.level(&hugepages::RULE) != Level::Plan {
            return own;
        }
        let undecided = self.policy.memory.pages == Pages::Auto
            && self.facts.memory.hugepages.value().is_none();
        let stays = own && undecided && !self.pages_go_with_cells();
        self.placement.pages.is_some() || stays
    }

    /// Returns whether every `<page>` names only guest nodes that the plan
    /// does not have, so that nothing is left of the element.
    #[must_use]
    pub fn pages_go_with_cells(&self) -> bool {
        let backing = self.domain.memory_backing.as_ref();
        let pages = backing.and_then(|b| b.hugepages.as_deref());
        let pages = pages.unwrap_or_default();
        let known = |id| self.placement.cells.iter().any(|c| c.id == id);
        let goes = |page: &BackingPage| {
            let cells: Option<IdSet<CellId>> =
                page.nodeset.as_ref().and_then(|text| text.parse().ok());
            cells.is_some_and(|cells| !cells.iter().any(known))
        };
        self.level(&hugepages::RULE) == Level::Plan
            && !pages.is_empty()
            && pages.iter().all(goes)
    }

    /// Returns when a pin of this thread can take effect. A VM that runs is
    /// moved at once where its memory is bound to the planned nodes already;
    /// otherwise its CPUs would leave its memory behind.
    #[must_use]
    pub fn pin_stage(&self, thread: Role) -> Stage {
        let moves = self.live.is_some_and(|live| {
            let there = match thread {
                Role::Vcpu(vcpu) => {
                    vcpu.0 < live.current_vcpus.unwrap_or(live.vcpus)
                }
                Role::IoThread(id) => live.iothreads.contains(&id),
                Role::Vhost | Role::Emulator => true,
            };
            there && self.placement.has_memory_of(live)
        });
        if moves { Stage::Now } else { Stage::VmStart }
    }

    /// Returns whether the guest needs an IOMMU of its own: the policy wants
    /// it, or there are more vCPUs than an interrupt of plain form can name.
    #[must_use]
    pub fn needs_guest_iommu(&self) -> bool {
        match self.policy.iommu.guest {
            GuestIommu::On => true,
            GuestIommu::Auto => self.domain.vcpus > Self::PLAIN_APIC_IDS,
            GuestIommu::Off => false,
        }
    }

    /// Returns the passed-through functions that are network controllers.
    #[must_use]
    pub fn network_functions(&self) -> Vec<PciAddress> {
        let known = || self.facts.pci.value().into_iter().flatten();
        let is_network = |address: &PciAddress| {
            let mut all = known();
            all.any(|f| f.address == *address && f.class.is_network())
        };
        self.domain.functions().filter(is_network).collect()
    }

    /// Returns the passed-through functions that are, or are virtual functions
    /// of, RDMA devices of the host.
    #[must_use]
    pub fn rdma_functions(&self) -> Vec<PciAddress> {
        let devices = self.facts.rdma.value().into_iter().flatten();
        let rdma: Vec<_> = devices.filter_map(|device| device.pci).collect();
        let physfn = |address: PciAddress| {
            let mut known = self.facts.pci.value().into_iter().flatten();
            known.find(|function| function.address == address)?.physfn
        };
        let given = self.domain.functions();
        let is_rdma = |address: &PciAddress| {
            let physfn = physfn(*address);
            rdma.contains(address)
                || physfn.is_some_and(|physfn| rdma.contains(&physfn))
        };
        given.filter(is_rdma).collect()
    }

    /// vCPUs that eight bits of an interrupt's destination can name; the
    /// value 255 means all.
    pub const PLAIN_APIC_IDS: u32 = 255;
}

/// Names the element below the root that is reached by these steps:
/// `numatune/memory`.
fn at(steps: &str) -> XmlPath {
    steps.split('/').fold(XmlPath::domain(), XmlPath::child)
}

/// Names a place of the host.
fn place(path: impl AsRef<str>) -> HostPath {
    path.as_ref().parse().expect("rules spell paths as the host does")
}

/// Fills in a template: `{{ name }}` becomes the value of that name.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let fill = |text: String, (name, value): &(&str, &str)| {
        text.replace(&format!("{{{{ {name} }}}}"), value)
    };
    values.iter().fold(template.to_owned(), fill)
}

/// What a rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be; says what was seen.
    Satisfied(String),
    /// Something shall change.
    Change {
        /// The edits. The planner drops those that would change nothing.
        edits: Vec<Edit>,
        /// What is to be said besides.
        advice: Vec<String>,
    },
    /// Something is right but not ours to do.
    Advise(Vec<String>),
    /// The rule has nothing to say here; says why.
    NotApplicable(&'static str),
    /// A fact is missing.
    Unknown {
        /// Which.
        fact: &'static str,
        /// Why it is not known.
        why: String,
    },
}

impl Verdict {
    /// Makes the verdict that the edits and the advice amount to; where there
    /// are none, all is as it should be.
    #[must_use]
    pub fn of(
        edits: Vec<Edit>,
        advice: Vec<String>,
        seen: impl Into<String>,
    ) -> Self {
        match (edits.is_empty(), advice.is_empty()) {
            (false, _) => Self::Change { edits, advice },
            (true, false) => Self::Advise(advice),
            (true, true) => Self::Satisfied(seen.into()),
        }
    }
}

/// One edit, before the planner knows what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub target: Target,
    /// What shall stand there; `None` to take it away; empty for an element
    /// that has only to be there.
    pub to: Option<String>,
    /// Why, in this case.
    pub because: String,
    /// When it takes effect.
    pub stage: Stage,
    /// What it costs in safety.
    pub trade: Option<String>,
}

impl Edit {
    /// Sets the attribute or text at a place, at the next start of the VM.
    #[must_use]
    pub fn set(
        target: impl Into<Target>,
        to: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        Self {
            target: target.into(),
            to: Some(to.into()),
            because: because.into(),
            stage: Stage::VmStart,
            trade: None,
        }
    }

    /// Makes sure that an element is there.
    #[must_use]
    pub fn ensure(
        target: impl Into<Target>,
        because: impl Into<String>,
    ) -> Self {
        Self::set(target, "", because)
    }

    /// Takes an element or an attribute away.
    #[must_use]
    pub fn remove(
        target: impl Into<Target>,
        because: impl Into<String>,
    ) -> Self {
        Self { to: None, ..Self::set(target, "", because) }
    }

    /// Says when it takes effect, where that is not the VM's next start.
    #[must_use]
    pub const fn at(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// Says what the edit costs in safety.
    #[must_use]
    pub fn trading(mut self, what: impl Into<String>) -> Self {
        self.trade = Some(what.into());
        self
    }
}

/// All rules, in the order in which a plan lists their changes.
pub const RULES: &[&Rule] = &[
    &vcpu_topology::RULE,
    &vcpu_pin::RULE,
    &emulator_pin::RULE,
    &iothread_pin::RULE,
    &cpu_model::RULE,
    &cpu_cache::RULE,
    &numa_cells::RULE,
    &dedicated_hint::RULE,
    &vcpu_scheduler::RULE,
    &vcpu_quota::RULE,
    &nested_virt::RULE,
    &cache_allocation::RULE,
    &numa_memory::RULE,
    &hugepages::RULE,
    &memory_backing::RULE,
    &memory_locking::RULE,
    &memory_balloon::RULE,
    &machine_type::RULE,
    &hostdev_vf::RULE,
    &guest_iommu::RULE,
    &pci_numa::RULE,
    &pci_mapping::RULE,
    &guest_iommu_pt::RULE,
    &guest_memlock::RULE,
    &guest_hugepages_rdma::RULE,
    &guest_mtu::RULE,
    &guest_roce_tos::RULE,
    &guest_rings::RULE,
    &cpu_isolation::RULE,
    &irqbalance_ban::RULE,
    &irq_affinity::RULE,
    &cpu_governor::RULE,
    &c_states::RULE,
    &perf_sampling::RULE,
    &hugepage_reservation::RULE,
    &hugepage_mount::RULE,
    &ksm::RULE,
    &transparent_hugepages::RULE,
    &numa_balancing::RULE,
    &iommu_passthrough::RULE,
    &rdma_memlock::RULE,
    &rdma_limits::RULE,
    &vhost_zerocopy::RULE,
    &sriov_firmware::RULE,
    &sriov_vfs::RULE,
    &eswitch_mode::RULE,
    &mtu::RULE,
    &representors::RULE,
    &vf_identity::RULE,
    &vf_lag::RULE,
    &ovs_offload::RULE,
    &ring_buffers::RULE,
    &roce_qos::RULE,
    &pcie_mrrs::RULE,
    &pcie_link::RULE,
    &host_preflight::RULE,
];
