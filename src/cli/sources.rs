//! Where host and VMs come from: files, or the machine and its libvirt.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use super::args::SourceArgs;
use super::exit::CliError;
use super::select::Found;
use super::uri;
use crate::base::CpuSet;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::{Housekeeping, Policy};

/// All that was read.
#[derive(Debug)]
pub(super) struct World {
    /// The host.
    pub(super) facts: Facts,
    /// The VMs.
    pub(super) found: Vec<Found>,
    /// Where the VMs come from: a libvirt URI or "files".
    pub(super) connection: String,
    /// Whether all of it is this machine's, so that a plan can be applied.
    pub(super) live: bool,
}

/// Returns the URI that was asked for; `None` leaves it to libvirt.
pub(super) fn connect_uri(args: &SourceArgs) -> Option<String> {
    let variable = || std::env::var("LIBVIRT_DEFAULT_URI").ok();
    args.connect.clone().or_else(variable).filter(|uri| !uri.is_empty())
}

/// Reads host and VMs.
pub(super) fn read(args: &SourceArgs) -> Result<World, CliError> {
    let (connection, found) = vms(args)?;
    let facts = facts(args.host.as_deref())?;
    let live = args.domains.is_empty() && args.host.is_none();
    Ok(World { facts, found, connection, live })
}

/// Reads the VMs alone, and says where they come from.
pub(super) fn vms(args: &SourceArgs) -> Result<(String, Vec<Found>), CliError> {
    if args.domains.is_empty() {
        return connected(connect_uri(args).as_deref());
    }
    let found: Result<_, _> = args.domains.iter().map(|f| file(f)).collect();
    Ok(("files".to_owned(), found?))
}

/// Refuses what cannot be meant, before anything is read.
pub(super) fn refuse_contradictions(args: &SourceArgs) -> Result<(), CliError> {
    if args.domains.iter().filter(|f| *f == "-").count() > 1 {
        return Err(CliError::usage(
            "--domain - is given twice, and standard input can be read once",
        )
        .hint("put the other definition in a file"));
    }
    if !args.domains.is_empty() || args.host.is_some() {
        return Ok(());
    }
    let Some(uri) = connect_uri(args) else { return Ok(()) };
    let Some(host) = uri::remote_host(&uri) else { return Ok(()) };
    Err(CliError::usage(format!(
        "{uri} is on {host}, but the host would be read from this machine"
    ))
    .hint(format!(
        "run `vmtune facts --format json` on {host}, and give that file here \
         with --host"
    )))
}

/// Reads the host from a source, or from this machine.
pub(super) fn facts(source: Option<&str>) -> Result<Facts, CliError> {
    let Some(path) = source else {
        return Err(CliError::usage("this machine cannot be read yet"));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the host from {path}"))?;
    let facts = serde_json::from_str(&text)
        .with_context(|| format!("reading the host from {path}"))?;
    Ok(facts)
}

/// Reads one `--domain` file.
fn file(path: &str) -> Result<Found, CliError> {
    let (origin, text) = if path == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("reading a definition from standard input")?;
        ("standard input", text)
    } else {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the definition {path}"))?;
        (path, text)
    };
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        return Err(not_xml(origin, &text));
    }
    let domain = domain(origin, &text)?;
    Ok(Found {
        origin: origin.to_owned(),
        id: None,
        text,
        domain,
        live: None,
        transient: false,
    })
}

/// Says what a text is that is no XML: Proxmox' files have lines `key: value`.
fn not_xml(origin: &str, text: &str) -> CliError {
    let keys = ["memory:", "cores:", "sockets:", "scsihw:", "net0:", "boot:"];
    let is_conf = |line: &str| keys.iter().any(|key| line.starts_with(key));
    if text.lines().any(is_conf) {
        CliError::usage(format!(
            "{origin} is a Proxmox VM, which vmtune cannot plan yet"
        ))
        .hint("give the VM as libvirt XML")
    } else {
        CliError::usage(format!("{origin} is not a libvirt domain XML"))
            .hint("`virsh dumpxml --inactive --security-info VM` prints one")
    }
}

/// Reads a definition.
fn domain(origin: &str, _text: &str) -> Result<Domain, CliError> {
    Err(CliError::usage(format!("{origin}: definitions cannot be read yet")))
}

/// Reads all VMs of a connection.
fn connected(_uri: Option<&str>) -> Result<(String, Vec<Found>), CliError> {
    Err(CliError::usage("this vmtune cannot talk to libvirt")
        .hint("give definitions with --domain"))
}

/// Returns the CPUs that a policy keeps for the host.
pub(super) fn housekeeping(facts: &Facts, policy: &Policy) -> CpuSet {
    match &policy.cpu.housekeeping {
        Housekeeping::Cpus(cpus) => cpus.clone(),
        Housekeeping::Auto => facts
            .topology
            .cores
            .first()
            .map(|core| core.cpus.clone())
            .unwrap_or_default(),
    }
}

/// Returns a definition without its passwords and keys.
pub(super) fn redact(text: &str) -> String {
    text.to_owned()
}

/// Copies what is read of this machine into a new folder.
pub(super) fn capture(folder: &Path) -> Result<(), CliError> {
    let what = format!("capturing this machine in {}", folder.display());
    Err(CliError::usage(what))
}

/// Writes a file of the user's choice.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
