//! The VMs of a hypervisor, and which hypervisor is meant.

use anyhow::Context;

use super::args::SourceArgs;
use super::exit::{CliError, Kind};
use super::proxmox;
use super::select::Found;
use crate::base::DomainName;
use crate::definition;
use crate::hypervisor::{
    DomainInfo, Hypervisor, HypervisorError, Node, is_remote,
};
use crate::model::Fact;
use crate::model::facts::HypervisorFacts;

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Looking: any user may.
    Look,
    /// Changing, or making a plan that can be applied: with secrets.
    Change,
}

/// Returns the URI that was asked for; `None` leaves it to libvirt.
pub(super) fn asked_uri(connect: Option<&str>) -> Option<String> {
    let variable = || std::env::var("LIBVIRT_DEFAULT_URI").ok();
    let asked = connect.map(ToOwned::to_owned).or_else(variable);
    asked.filter(|uri| !uri.is_empty())
}

/// Refuses a connection to another machine while the host is read from this
/// one.
pub(super) fn refuse_remote(
    args: &SourceArgs,
    uri: &str,
) -> Result<(), CliError> {
    if args.host.is_some() || !is_remote(uri) {
        return Ok(());
    }
    let what = format!(
        "{uri} leads to another machine, and the host would be read from \
         this one"
    );
    Err(CliError::usage(what).hint(
        "run `vmtune facts --format json > host.json` there, and give that \
         file here with --host",
    ))
}

/// Connects. A node of Proxmox needs no connection: it is this machine.
pub(super) fn open(
    uri: Option<&str>,
    purpose: Purpose,
) -> Result<Box<dyn Hypervisor>, CliError> {
    match proxmox::uri(uri) {
        Some(uri) if purpose == Purpose::Change => {
            proxmox::expect_this(&uri)?;
            Ok(Box::new(Node::new(uri)))
        }
        Some(uri) => Ok(Box::new(Node::new(uri))),
        None => libvirt(uri, purpose),
    }
}

/// Connects to libvirt.
#[cfg(feature = "libvirt")]
fn libvirt(
    uri: Option<&str>,
    purpose: Purpose,
) -> Result<Box<dyn Hypervisor>, CliError> {
    use crate::hypervisor::{Access, Libvirt};
    let access = match purpose {
        Purpose::Look => Access::ReadOnly,
        Purpose::Change => Access::ReadWrite,
    };
    Ok(Box::new(Libvirt::open(uri, access).map_err(failed)?))
}

/// Says that this build has no libvirt to connect with.
#[cfg(not(feature = "libvirt"))]
fn libvirt(
    _: Option<&str>,
    _: Purpose,
) -> Result<Box<dyn Hypervisor>, CliError> {
    Err(CliError::usage("this vmtune was built without libvirt")
        .hint("give definitions with --domain"))
}

/// Returns what a connection reports of itself. A plan can do without.
pub(super) fn facts(hypervisor: &dyn Hypervisor) -> Fact<HypervisorFacts> {
    match hypervisor.facts() {
        Ok(facts) => Fact::known(facts, hypervisor.uri()),
        Err(error) => Fact::unknown(CliError::from(error).in_short()),
    }
}

/// VMs that could not be read, each with the reason.
pub(super) type Unread = Vec<(DomainName, CliError)>;

/// Reads all VMs. What could not be read is returned beside.
pub(super) fn vms(
    hypervisor: &dyn Hypervisor,
) -> Result<(Vec<Found>, Unread), CliError> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for info in hypervisor.domains().map_err(failed)? {
        match vm(hypervisor, &info) {
            Ok(one) => found.push(one),
            Err(error) => {
                unread.push((info.name.clone(), error.into()));
            }
        }
    }
    Ok((found, unread))
}

fn vm(hypervisor: &dyn Hypervisor, info: &DomainInfo) -> anyhow::Result<Found> {
    let read = |text: &str| {
        definition::read(text)
            .with_context(|| format!("reading the definition of {}", info.name))
    };
    let live = hypervisor.live_definition(&info.uuid)?;
    let text = match &live {
        Some(live) if !info.persistent => live.clone(),
        _ => hypervisor.inactive_definition(&info.uuid)?,
    };
    Ok(Found {
        origin: hypervisor.uri().to_owned(),
        id: info.id,
        domain: read(&text)?,
        live: live.as_deref().map(read).transpose()?,
        transient: !info.persistent,
        text,
    })
}

/// Words an error of the hypervisor.
pub(super) fn failed(error: HypervisorError) -> CliError {
    let hint = error.hint();
    let error = CliError::new(Kind::Failed, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

impl From<HypervisorError> for CliError {
    fn from(error: HypervisorError) -> Self {
        failed(error)
    }
}
