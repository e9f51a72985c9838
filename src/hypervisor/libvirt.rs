//! libvirt, through its client library.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::{
    Cause, CauseKind, DomainInfo, FreePages, Hypervisor, HypervisorError,
    LivePins, Validate, capabilities, pin,
};
use crate::base::{CpuSet, DomainName, DomainUuid, NodeId, PageSize};
use crate::model::facts::HypervisorFacts;
use crate::model::{Fact, Role};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and defining.
    ReadWrite,
    /// Reading alone, for callers who may do no more. libvirt keeps secrets
    /// back then, so a plan for a VM that has some cannot be applied.
    ReadOnly,
}

/// A connection to libvirt.
#[derive(Debug)]
pub struct Libvirt {
    connect: Connect,
    uri: String,
    access: Access,
    /// Domains that were asked for before: each costs a way to libvirt and
    /// back. What they say of themselves is as old as they are.
    known: RefCell<BTreeMap<DomainUuid, Domain>>,
}

impl Libvirt {
    /// Connects to `uri`. Without one libvirt chooses by its own order:
    /// `LIBVIRT_DEFAULT_URI`, its client configuration, what is there.
    ///
    /// # Errors
    /// [`HypervisorError::Connect`].
    pub fn open(
        uri: Option<&str>,
        access: Access,
    ) -> Result<Self, HypervisorError> {
        // libvirt prints every error on standard error until told not to.
        virt::error::clear_error_callback();
        let failed = |source| HypervisorError::Connect {
            uri: uri.unwrap_or("its default URI").into(),
            source,
        };
        if let Some(uri) = uri {
            no_nul(uri).map_err(failed)?;
        }
        let connect = match access {
            Access::ReadWrite => Connect::open(uri),
            Access::ReadOnly => Connect::open_read_only(uri),
        }
        .map_err(|error| failed(cause(&error)))?;
        let uri = connect.uri().map_err(|error| failed(cause(&error)))?;
        Ok(Self { connect, uri, access, known: RefCell::default() })
    }

    /// Looks a domain up: its number is the one that it runs by now.
    fn domain(&self, uuid: &DomainUuid) -> Result<Domain, Error> {
        let found =
            self.connect.lookup_domain_by_uuid_string(&uuid.to_string())?;
        self.known.borrow_mut().insert(*uuid, found.clone());
        Ok(found)
    }

    /// Returns a domain to ask libvirt about, which knows it by its UUID.
    fn known(&self, uuid: &DomainUuid) -> Result<Domain, Error> {
        let known = self.known.borrow().get(uuid).cloned();
        known.map_or_else(|| self.domain(uuid), Ok)
    }

    fn definition(
        &self,
        which: &'static str,
        uuid: &DomainUuid,
        flags: sys::virDomainXMLFlags,
    ) -> Result<String, HypervisorError> {
        let secure = match self.access {
            Access::ReadWrite => sys::VIR_DOMAIN_XML_SECURE,
            Access::ReadOnly => 0,
        };
        self.known(uuid)
            .and_then(|domain| domain.xml_desc(flags | secure))
            .map_err(|error| HypervisorError::Read {
                which,
                domain: *uuid,
                source: cause(&error),
            })
    }

    /// Returns the version of QEMU where QEMU is what the driver runs.
    fn qemu_version(&self) -> Fact<String> {
        match self.connect.driver_type() {
            Ok(driver) if driver != "QEMU" => {
                return Fact::unknown(format!(
                    "the connection is to libvirt's {driver} driver"
                ));
            }
            _ => {}
        }
        match self.connect.hyp_version() {
            Ok(number) => Fact::known(version(number), &self.uri),
            Err(error) => Fact::unknown(error.message()),
        }
    }
}

impl Hypervisor for Libvirt {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn domains(&self) -> Result<Vec<DomainInfo>, HypervisorError> {
        let failed = |error: Error| HypervisorError::List {
            uri: self.uri.clone(),
            source: cause(&error),
        };
        let ask = |flags| self.connect.list_all_domains(flags);
        let all = ask(0).map_err(failed)?;
        // Asked of each domain, it would take a way to libvirt and back. One
        // that does not run has to be defined.
        let transient = match all.iter().any(|domain| domain.id().is_some()) {
            true => ask(sys::VIR_CONNECT_LIST_DOMAINS_TRANSIENT),
            false => Ok(Vec::new()),
        };
        let transient: Vec<String> = transient
            .and_then(|all| all.iter().map(Domain::uuid_string).collect())
            .map_err(failed)?;
        let mut list = Vec::new();
        for domain in all {
            list.push(info(&domain, &transient).map_err(failed)??);
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    fn inactive_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<String, HypervisorError> {
        self.definition("inactive", domain, sys::VIR_DOMAIN_XML_INACTIVE)
    }

    fn live_definition(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<String>, HypervisorError> {
        let found = self.domain(domain).map_err(|error| {
            let source = cause(&error);
            HypervisorError::Read { which: "live", domain: *domain, source }
        })?;
        let active = found.id().is_some();
        active.then(|| self.definition("live", domain, 0)).transpose()
    }

    fn define(
        &self,
        domain: &DomainName,
        text: &str,
        validate: Validate,
    ) -> Result<(), HypervisorError> {
        let failed =
            |source| HypervisorError::Define { domain: domain.clone(), source };
        no_nul(text).map_err(failed)?;
        let flags = match validate {
            Validate::Schema => sys::VIR_DOMAIN_DEFINE_VALIDATE,
            Validate::Lenient => 0,
        };
        self.connect
            .define_domain_xml_flags(text, flags)
            .map(drop)
            .map_err(|error| failed(cause(&error)))
    }

    fn pins(
        &self,
        domain: &DomainUuid,
    ) -> Result<Option<LivePins>, HypervisorError> {
        let read = || {
            let found = self.domain(domain)?;
            let Some(run) = found.id() else { return Ok(None) };
            Ok(Some(LivePins { run, cpus: pin::pins(&found)? }))
        };
        read().map_err(|error: Error| HypervisorError::Pins {
            domain: *domain,
            source: cause(&error),
        })
    }

    fn pin(
        &self,
        domain: &DomainUuid,
        thread: Role,
        cpus: &CpuSet,
    ) -> Result<(), HypervisorError> {
        self.domain(domain)
            .and_then(|found| pin::pin(&found, thread, cpus))
            .map_err(|error| HypervisorError::Pin {
                domain: *domain,
                thread: thread.to_string(),
                source: cause(&error),
            })
    }

    fn agent(
        &self,
        domain: &DomainUuid,
        command: &str,
        patience: Duration,
    ) -> Result<String, HypervisorError> {
        let failed =
            |source| HypervisorError::Agent { domain: *domain, source };
        no_nul(command).map_err(failed)?;
        let seconds = patience.as_secs().max(1);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        self.known(domain)
            .and_then(|found| found.qemu_agent_command(command, seconds, 0))
            .map_err(|error| failed(cause(&error)))
    }

    fn free_pages(
        &self,
        nodes: &[NodeId],
        sizes: &[PageSize],
    ) -> Result<FreePages, HypervisorError> {
        let kib: Vec<u32> = sizes
            .iter()
            .map(|size| u32::try_from(size.kib()).unwrap_or(u32::MAX))
            .collect();
        let mut found = FreePages::new();
        // One call for each node: their numbers need not follow each other.
        for node in nodes {
            let counts = self.connect.free_pages(&kib, node.0, 1, 0).map_err(
                |error| HypervisorError::FreePages {
                    node: node.0,
                    source: cause(&error),
                },
            )?;
            let counts = sizes.iter().zip(counts);
            found.extend(counts.map(|(size, count)| ((*node, *size), count)));
        }
        Ok(found)
    }

    fn facts(&self) -> Result<HypervisorFacts, HypervisorError> {
        let failed = |source| HypervisorError::Capabilities {
            uri: self.uri.clone(),
            source,
        };
        let text = self
            .connect
            .capabilities()
            .map_err(|error| failed(cause(&error)))?;
        let host = capabilities::host(&text).map_err(|error| {
            failed(Cause::new(CauseKind::Other, error.to_string()))
        })?;
        // q35 is what tuned VMs run on, and it holds the most vCPUs; other
        // architectures have one machine that libvirt chooses by itself.
        let machine = (host.arch == "x86_64").then_some("q35");
        let mut domains = BTreeMap::new();
        for kind in host.virt_types {
            let read = self.connect.domain_capabilities(
                None,
                Some(&host.arch),
                machine,
                Some(&kind),
                0,
            );
            let fact = match read {
                Err(error) => Fact::unknown(error.message()),
                Ok(text) => match capabilities::domain(&text) {
                    Err(error) => Fact::unknown(error.to_string()),
                    Ok(read) => Fact::known(
                        read,
                        format!("domain capabilities of {}", self.uri),
                    ),
                },
            };
            domains.insert(kind, fact);
        }
        let libvirt = match self.connect.lib_version() {
            Ok(number) => Fact::known(version(number), &self.uri),
            Err(error) => Fact::unknown(error.message()),
        };
        Ok(HypervisorFacts { libvirt, qemu: self.qemu_version(), domains })
    }
}

/// Reads what a list shows; the outer error is libvirt's, the inner one ours.
fn info(
    domain: &Domain,
    transient: &[String],
) -> Result<Result<DomainInfo, HypervisorError>, Error> {
    let uuid = domain.uuid_string()?;
    let name = domain.name()?;
    let id = domain.id();
    // libvirt numbers those that run.
    let running = id.is_some();
    let persistent = !transient.contains(&uuid);
    let unusable =
        |source| HypervisorError::Name { uuid: uuid.clone(), source };
    Ok(name.parse::<DomainName>().map_err(unusable).and_then(|name| {
        let uuid = uuid.parse().map_err(unusable)?;
        Ok(DomainInfo { name, uuid, id, running, persistent })
    }))
}

/// Refuses what the client library cannot pass on: it would panic.
fn no_nul(text: &str) -> Result<(), Cause> {
    if text.contains('\0') {
        return Err(Cause::new(CauseKind::Refused, "the text holds a NUL"));
    }
    Ok(())
}

fn is(error: &Error, number: ErrorNumber) -> bool {
    error.code().is(number)
}

fn cause(error: &Error) -> Cause {
    use ErrorNumber as N;
    let any = |numbers: &[N]| numbers.iter().any(|n| is(error, *n));
    let message = error.message();
    let kind = if any(&[N::NoDomain]) {
        CauseKind::NoDomain
    } else if any(&[
        N::AuthFailed,
        N::AuthCancelled,
        N::AuthUnavailable,
        N::AccessDenied,
        N::OperationDenied,
    ]) || message.contains("Permission denied")
    {
        CauseKind::Permission
    } else if any(&[N::NoConnect])
        || message.contains("Failed to connect socket")
    {
        CauseKind::NotRunning
    } else if any(&[
        N::XmlError,
        N::XmlDetail,
        N::XmlInvalidSchema,
        N::ConfigUnsupported,
    ]) {
        CauseKind::Refused
    } else if any(&[
        N::NoSupport,
        N::OperationUnsupported,
        N::ArgumentUnsupported,
    ]) {
        CauseKind::Unsupported
    } else {
        CauseKind::Other
    };
    Cause::new(kind, message)
}

/// Spells libvirt's version numbers: 1,000,000 a major, 1,000 a minor.
fn version(number: u32) -> String {
    let (major, minor) = (number / 1_000_000, number / 1_000 % 1_000);
    format!("{major}.{minor}.{}", number % 1_000)
}
