//! A hypervisor in memory, for tests: it records what it is asked and fails
//! when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    LivePins, Validate,
};
use crate::base::{
    CpuSet, Digest, DomainName, DomainUuid, NodeId, PageSize, VcpuId,
};
use crate::model::facts::HypervisorFacts;
use crate::model::{Fact, Role};

/// One thing that the fake was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Hypervisor::domains`]
    Domains,
    /// [`Hypervisor::inactive_definition`]
    Inactive(DomainUuid),
    /// [`Hypervisor::live_definition`]
    Live(DomainUuid),
    /// [`Hypervisor::define`], with the digest of the text.
    Define(DomainName, Digest, Validate),
    /// [`Hypervisor::pins`]
    Pins(DomainUuid),
    /// [`Hypervisor::pin`]
    Pin(DomainUuid, Role, CpuSet),
    /// [`Hypervisor::free_pages`]
    FreePages,
    /// [`Hypervisor::facts`]
    Facts,
}

/// Which calls fail, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failure {
    /// None.
    #[default]
    Never,
    /// That one, and it has no effect.
    Once(usize),
    /// That one, after it has had its effect: the answer is lost.
    Lost(usize),
    /// That one and all that follow: the daemon has died.
    From(usize),
}

/// A domain of the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    info: DomainInfo,
    inactive: String,
    live: Option<String>,
}

/// A hypervisor in memory.
#[derive(Debug)]
pub struct Fake {
    domains: RefCell<BTreeMap<DomainUuid, Held>>,
    calls: RefCell<Vec<Call>>,
    failure: Cell<Failure>,
    normalise: fn(&str) -> String,
    uri: String,
    /// What [`Hypervisor::free_pages`] answers.
    pub pages: FreePages,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            domains: RefCell::default(),
            calls: RefCell::default(),
            failure: Cell::default(),
            normalise: str::to_owned,
            uri: "fake:///system".into(),
            pages: FreePages::new(),
        }
    }
}

impl Fake {
    /// Makes a hypervisor without domains.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the URI that the connection has.
    #[must_use]
    pub fn called(self, uri: &str) -> Self {
        Self { uri: uri.into(), ..self }
    }

    /// Sets what defining does to a text, as libvirt drops comments.
    #[must_use]
    pub fn normalising(self, normalise: fn(&str) -> String) -> Self {
        Self { normalise, ..self }
    }

    /// Adds a domain that does not run, or replaces it.
    pub fn insert(
        &self,
        name: &DomainName,
        uuid: DomainUuid,
        text: impl Into<String>,
    ) {
        let info = DomainInfo {
            name: name.clone(),
            uuid,
            id: None,
            running: false,
            persistent: true,
        };
        let held = Held { info, inactive: text.into(), live: None };
        self.domains.borrow_mut().insert(uuid, held);
    }

    /// Lets a domain run by this definition, with that number.
    pub fn start(&self, uuid: &DomainUuid, id: u32, live: impl Into<String>) {
        if let Some(held) = self.domains.borrow_mut().get_mut(uuid) {
            held.info.id = Some(id);
            held.info.running = true;
            held.live = Some(live.into());
        }
    }

    /// Lets a domain end.
    pub fn stop(&self, uuid: &DomainUuid) {
        if let Some(held) = self.domains.borrow_mut().get_mut(uuid) {
            held.info.id = None;
            held.info.running = false;
            held.live = None;
        }
    }

    /// Makes a domain transient.
    pub fn forget(&self, uuid: &DomainUuid) {
        if let Some(held) = self.domains.borrow_mut().get_mut(uuid) {
            held.info.persistent = false;
        }
    }

    /// Takes a domain away.
    pub fn remove(&self, uuid: &DomainUuid) {
        self.domains.borrow_mut().remove(uuid);
    }

    /// Sets which of the calls from now on fail.
    pub fn fail(&self, failure: Failure) {
        self.calls.borrow_mut().clear();
        self.failure.set(failure);
    }

    /// Returns what was asked since the start or the last [`Fake::fail`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// Returns all inactive definitions: the state that a test compares.
    #[must_use]
    pub fn definitions(&self) -> BTreeMap<DomainName, String> {
        let domains = self.domains.borrow();
        let pairs = domains
            .values()
            .map(|held| (held.info.name.clone(), held.inactive.clone()));
        pairs.collect()
    }

    /// Records a call, does it, and fails where that was asked for.
    fn call<T>(
        &self,
        call: Call,
        act: impl FnOnce() -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let n = self.calls.borrow().len();
        self.calls.borrow_mut().push(call);
        let fault =
            || Cause::new(CauseKind::Other, format!("call {n} shall fail"));
        match self.failure.get() {
            Failure::Once(at) if n == at => Err(fault()),
            Failure::From(at) if n >= at => Err(fault()),
            Failure::Lost(at) if n == at => act().and(Err(fault())),
            _ => act(),
        }
    }

    fn read<T>(
        &self,
        which: &'static str,
        call: Call,
        uuid: &DomainUuid,
        of: impl FnOnce(&Held) -> T,
    ) -> Result<T, HypervisorError> {
        let found = self.call(call, || {
            self.domains.borrow().get(uuid).map(of).ok_or_else(|| {
                Cause::new(CauseKind::NoDomain, "Domain not found")
            })
        });
        found.map_err(|source| HypervisorError::Read {
            which,
            domain: *uuid,
            source,
        })
    }
}

impl Hypervisor for Fake {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        let list = self.call(Call::Domains, || {
            let domains = self.domains.borrow();
            let mut list: Vec<_> =
                domains.values().map(|held| held.info.clone()).collect();
            list.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(list)
        });
        list.map_err(|source| HypervisorError::List {
            uri: self.uri().into(),
            source,
        })
    }

    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError> {
        let call = Call::Inactive(*domain);
        self.read("inactive", call, domain, |held| held.inactive.clone())
    }

    fn live_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError> {
        let call = Call::Live(*domain);
        self.read("live", call, domain, |held| held.live.clone())
    }

    fn define(
        &self,
        domain: &DomainName,
        text: &str,
        validate: Validate,
    ) -> Result<(), HypervisorError> {
        let digest = Digest::of(text.as_bytes());
        let call = Call::Define(domain.clone(), digest, validate);
        let defined = self.call(call, || {
            let mut domains = self.domains.borrow_mut();
            let held =
                domains.values_mut().find(|held| held.info.name == *domain);
            let Some(held) = held else {
                return Err(Cause::new(CauseKind::NoDomain, "no such domain"));
            };
            held.inactive = (self.normalise)(text);
            Ok(())
        });
        defined.map_err(|source| HypervisorError::Define {
            domain: domain.clone(),
            source,
        })
    }

    /// A thread is there where the live definition has a pin of it.
    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError> {
        let found = self.call(Call::Pins(*domain), || {
            let domains = self.domains.borrow();
            let held = domains.get(domain).ok_or_else(|| {
                Cause::new(CauseKind::NoDomain, "Domain not found")
            })?;
            let live = held.info.id.zip(held.live.as_deref());
            Ok(live.map(|(run, text)| LivePins { run, cpus: pins(text) }))
        });
        found
            .map_err(|source| HypervisorError::Pins { domain: *domain, source })
    }

    /// The live definition has to have the pin already, as libvirt writes it.
    fn pin(
        &self,
        domain: &DomainUuid,
        thread: Role,
        cpus: &CpuSet,
    ) -> Result<(), HypervisorError> {
        let call = Call::Pin(*domain, thread, cpus.clone());
        let pinned = self.call(call, || {
            let mut domains = self.domains.borrow_mut();
            let live = domains.get_mut(domain).and_then(|d| d.live.as_mut());
            let replaced = live.as_ref().and_then(|live| {
                let (before, rest) = live.split_once(&place(thread))?;
                let (_, after) = rest.split_once('\'')?;
                Some(format!("{before}{}{cpus}'{after}", place(thread)))
            });
            match (live, replaced) {
                (Some(live), Some(replaced)) => *live = replaced,
                _ => return Err(Cause::new(CauseKind::Other, "no thread")),
            }
            Ok(())
        });
        pinned.map_err(|source| HypervisorError::Pin {
            domain: *domain,
            thread: thread.to_string(),
            source,
        })
    }

    fn free_pages(
        &self,
        nodes: &[NodeId],
        sizes: &[PageSize],
    ) -> Result<FreePages, HypervisorError> {
        let read = self.call(Call::FreePages, || {
            let asked = |(node, size): &(NodeId, PageSize)| {
                nodes.contains(node) && sizes.contains(size)
            };
            let found = self.pages.iter().filter(|(key, _)| asked(key));
            Ok(found.map(|(key, count)| (*key, *count)).collect())
        });
        read.map_err(|source| HypervisorError::FreePages {
            node: nodes.first().map_or(0, |node| node.0),
            source,
        })
    }

    fn facts(&self) -> Result<HypervisorFacts, HypervisorError> {
        let facts = self.call(Call::Facts, || {
            Ok(HypervisorFacts {
                libvirt: Fact::unknown("this hypervisor is a fake"),
                qemu: Fact::unknown("this hypervisor is a fake"),
                domains: BTreeMap::new(),
            })
        });
        facts.map_err(|source| HypervisorError::Capabilities {
            uri: self.uri().into(),
            source,
        })
    }
}

/// Returns what stands before the CPUs of a pin.
fn place(thread: Role) -> String {
    match thread {
        Role::Vcpu(vcpu) => format!("<vcpupin vcpu='{vcpu}' cpuset='"),
        Role::IoThread(id) => {
            format!("<iothreadpin iothread='{id}' cpuset='")
        }
        Role::Vhost | Role::Emulator => "<emulatorpin cpuset='".into(),
    }
}

/// Returns the pins that a definition of libvirt's has.
fn pins(text: &str) -> BTreeMap<Role, CpuSet> {
    let attribute = |element: &str, name: &str| {
        let (_, value) = element.split_once(&format!(" {name}='"))?;
        Some(value.split_once('\'')?.0.to_owned())
    };
    let pin = |element: &str| {
        let number = |name| attribute(element, name)?.parse().ok();
        let thread = match element.split(' ').next()? {
            "vcpupin" => Role::Vcpu(VcpuId(number("vcpu")?)),
            "iothreadpin" => Role::IoThread(number("iothread")?),
            "emulatorpin" => Role::Emulator,
            _ => return None,
        };
        Some((thread, attribute(element, "cpuset")?.parse().ok()?))
    };
    text.split('<').filter_map(pin).collect()
}
