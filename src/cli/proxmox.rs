//! The VMs of a node of Proxmox: this machine's, or those below a folder.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::connection::Unread;
use super::exit::{CliError, Kind};
use super::select::Found;
use super::sources::Vms;
use crate::base::Vmid;
use crate::definition;
use crate::definition::conf::{Conf, Mappings};
use crate::host::proxmox::{self, ProxmoxVm};
use crate::host::{ReadError, Root};

/// How a node of Proxmox is named as a connection; a path behind it is a
/// folder that stands for `/`.
const SCHEME: &str = "proxmox://";
/// This machine.
const THIS: &str = "proxmox:///";

/// Returns whether a connection is to a node of Proxmox.
pub(super) fn is_meant(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// Returns the URI of the node that is meant: the one that was asked for, or
/// this machine where it is a node and nothing was asked for.
pub(super) fn uri(asked: Option<&str>) -> Option<String> {
    match asked {
        Some(uri) => is_meant(uri).then(|| uri.to_owned()),
        None => proxmox::is_node(&Root::live()).then(|| THIS.to_owned()),
    }
}

/// Refuses to change a node that is a folder: `qm` changes this machine.
pub(super) fn expect_this(uri: &str) -> Result<(), CliError> {
    if uri == THIS {
        return Ok(());
    }
    let what = format!("{uri} is a copy of a node of Proxmox");
    Err(CliError::usage(what)
        .hint("proxmox:/// is this machine, the only node that is changed"))
}

/// Returns whether a VM of this node runs.
pub(super) fn runs(vmid: Vmid) -> bool {
    proxmox::runs(&Root::live(), vmid)
}

/// Reads the VMs of a node. Templates never run, and are left out.
pub(super) fn vms(uri: &str) -> Result<Vms, CliError> {
    let root = root(uri)?;
    let failed = |error: ReadError| {
        let error = anyhow::Error::new(error)
            .context("reading the definitions of this node of Proxmox");
        CliError::new(Kind::Failed, error)
    };
    let (mut found, mut unread) = (Vec::new(), Unread::new());
    let mappings = mappings(&root);
    for vm in proxmox::vms(&root).map_err(failed)? {
        let vmid = vm.vmid;
        match one(uri, vm, &mappings) {
            Ok(one) => found.extend(one),
            Err(error) => {
                // Its own name is in what could not be read.
                let name = vmid.to_string().parse();
                let name = name.context("naming a VM")?;
                unread.push((name, error.into()));
            }
        }
    }
    let connection = uri.to_owned();
    Ok(Vms { found, unread, connection, hypervisor: None })
}

/// Returns the folder that stands for `/`.
fn root(uri: &str) -> Result<Root, CliError> {
    let path = uri.strip_prefix(SCHEME).unwrap_or_default();
    match path {
        "/" => Ok(Root::live()),
        path if path.starts_with('/') => Ok(Root::tree(Path::new(path))),
        _ => Err(CliError::usage(format!("{uri} is not a node that is here"))
            .hint("proxmox:/// is this machine")),
    }
}

/// Reads the resource mappings; a VM that needs them is not read without.
fn mappings(root: &Root) -> anyhow::Result<Mappings> {
    let Some(text) = proxmox::mappings(root)? else {
        return Ok(Mappings::default());
    };
    let node = proxmox::name(root)?;
    Mappings::parse(&text, &node).context("reading /etc/pve/mapping/pci.cfg")
}

/// Reads one VM; none where it is a template.
fn one(
    uri: &str,
    vm: ProxmoxVm,
    mappings: &anyhow::Result<Mappings>,
) -> anyhow::Result<Option<Found>> {
    let ProxmoxVm { vmid, text, running } = vm;
    let doing = || format!("reading the definition {vmid}.conf");
    let text = text.with_context(doing)?;
    let conf = Conf::parse(&text).with_context(doing)?;
    if conf.value("template").is_some_and(|value| value != "0") {
        return Ok(None);
    }
    let read = |text: &str| read(text, vmid, mappings);
    let live = running.then(|| read(conf.main())).transpose();
    Ok(Some(Found {
        origin: uri.to_owned(),
        id: Some(vmid.number()),
        domain: read(&text).with_context(doing)?,
        live: live.with_context(doing)?,
        transient: false,
        text,
    }))
}

fn read(
    text: &str,
    vmid: Vmid,
    mappings: &anyhow::Result<Mappings>,
) -> anyhow::Result<crate::model::domain::Domain> {
    let mut domain = definition::read_numbered(text, Some(vmid))?;
    if !domain.devices.mapped.is_empty() {
        match mappings {
            Ok(mappings) => mappings.resolve(&mut domain),
            Err(error) => return Err(anyhow!("{error:#}")),
        }
    }
    Ok(domain)
}
