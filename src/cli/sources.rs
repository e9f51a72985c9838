//! Where host and VMs come from: files, or the machine and its libvirt.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;

use super::args::SourceArgs;
use super::connection::{self, Purpose, Unread, asked_uri, refuse_remote};
use super::exit::{CliError, Kind};
use super::proxmox;
use super::screen::Screen;
use super::select::Found;
use crate::base::{Bytes, Vmid};
use crate::definition;
use crate::host::{self, Root, Source, collect};
use crate::model::Fact;
use crate::model::facts::{Facts, HypervisorFacts};

/// A definition has fewer bytes than this.
const LONGEST: usize = 4 * 1024 * 1024;
const DUMP: &str = "`virsh dumpxml --inactive --security-info VM` prints one";

/// The VMs, and who says so.
#[derive(Debug)]
pub(super) struct Vms {
    /// The VMs.
    pub(super) found: Vec<Found>,
    /// VMs that there are and that could not be read, each with the reason.
    pub(super) unread: Unread,
    /// Where the VMs come from: a libvirt URI, a node of Proxmox or "files".
    pub(super) connection: String,
    /// What that libvirt says of itself; `None` for all others.
    pub(super) hypervisor: Option<Fact<HypervisorFacts>>,
}

impl Vms {
    /// Fails for a VM that is asked for and could not be read; warns of the
    /// others, whose CPUs may be given away. None named means all.
    pub(super) fn judge_unread(
        &mut self,
        named: &[String],
        screen: &mut Screen,
    ) -> Result<(), CliError> {
        for (name, error) in self.unread.drain(..) {
            let asked = |one: &String| one == name.as_str();
            if named.is_empty() || named.iter().any(asked) {
                return Err(error);
            }
            let why = error.in_short();
            let text = format!("what {name} holds is not known: {why}");
            screen.complain("warning", &text);
        }
        Ok(())
    }
}

/// Refuses what cannot be meant, before anything is read.
pub(super) fn refuse_contradictions(args: &SourceArgs) -> Result<(), CliError> {
    if args.domains.iter().filter(|f| *f == "-").count() > 1 {
        return Err(CliError::usage(
            "--domain - is given twice, and standard input can be read once",
        )
        .hint("put the other definition in a file"));
    }
    match asked_uri(args.connect.as_deref()) {
        Some(uri) if args.domains.is_empty() => refuse_remote(args, &uri),
        _ => Ok(()),
    }
}

/// Reads the VMs.
pub(super) fn vms(
    args: &SourceArgs,
    purpose: Purpose,
) -> Result<Vms, CliError> {
    if !args.domains.is_empty() {
        let files = args.domains.iter().map(|path| file(path));
        return Ok(Vms {
            found: files.collect::<Result<_, _>>()?,
            unread: Vec::new(),
            connection: "files".to_owned(),
            hypervisor: None,
        });
    }
    let uri = asked_uri(args.connect.as_deref());
    if let Some(node) = proxmox::uri(uri.as_deref()) {
        return proxmox::vms(&node);
    }
    let hypervisor = connection::open(uri.as_deref(), purpose)?;
    // Only now is it known what an alias or libvirt's own default means.
    refuse_remote(args, hypervisor.uri())?;
    let (found, unread) = connection::vms(hypervisor.as_ref())?;
    Ok(Vms {
        found,
        unread,
        connection: hypervisor.uri().to_owned(),
        hypervisor: Some(connection::facts(hypervisor.as_ref())),
    })
}

/// Reads the host from a source, or from this machine; what the source does
/// not know of the hypervisor is taken from the connection.
pub(super) fn facts(
    source: Option<&str>,
    vms: Option<&Vms>,
) -> Result<Facts, CliError> {
    let place = source.map_or(Ok(Source::Live), Source::of_argument);
    let collected = place.and_then(|place| collect(&place));
    let mut facts = collected.map_err(|error| {
        let error = anyhow::Error::new(error).context("reading the host");
        let error = CliError::new(Kind::Failed, error);
        if source.is_none() {
            return error.hint("--host reads another source");
        }
        error.hint(
            "--host takes a facts file, an hwloc XML file (`lstopo x.xml`), a \
             captured tree or synthetic:DESCRIPTION",
        )
    })?;
    if facts.hypervisor.value().is_none()
        && let Some(known) = vms.and_then(|vms| vms.hypervisor.clone())
    {
        facts.hypervisor = known;
    }
    Ok(facts)
}

/// Copies what is read of this machine into a new folder.
pub(super) fn capture(folder: &Path) -> Result<(), CliError> {
    host::capture(&Root::live(), folder).map_err(|error| {
        let error = anyhow::Error::new(error).context("capturing this machine");
        CliError::new(Kind::Failed, error)
            .hint("--capture wants a folder that is empty or is not there yet")
    })
}

/// Reads a file, or what shows that it is too long: it may be a disk image.
fn whole(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads one `--domain` file.
fn file(path: &str) -> Result<Found, CliError> {
    let (origin, bytes) = if path == "-" {
        let bytes = whole(io::stdin())
            .context("reading a definition from standard input")?;
        ("standard input", bytes)
    } else {
        let bytes = File::open(path)
            .and_then(whole)
            .with_context(|| format!("reading the definition {path}"))?;
        (path, bytes)
    };
    if bytes.len() > LONGEST {
        let size = Bytes(LONGEST as u64);
        return Err(CliError::usage(format!(
            "--domain {origin} is longer than {size}, and no definition is"
        ))
        .hint(DUMP));
    }
    let unknown = || {
        CliError::usage(format!(
            "--domain {origin} is neither a libvirt domain XML nor a VMID.conf \
             of Proxmox"
        ))
        .hint(DUMP)
    };
    let text = String::from_utf8(bytes).map_err(|_| unknown())?;
    if !definition::is_likely(&text) {
        return Err(unknown());
    }
    let name = Path::new(path).file_name().and_then(|name| name.to_str());
    let vmid = name.and_then(Vmid::of_file);
    let domain = definition::read_numbered(&text, vmid)
        .with_context(|| format!("reading the definition {origin}"))?;
    Ok(Found {
        origin: origin.to_owned(),
        id: vmid.map(Vmid::number),
        text,
        domain,
        live: None,
        transient: false,
    })
}
