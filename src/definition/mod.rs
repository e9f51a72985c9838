//! Definitions: the text of a VM, read and edited without losing a byte.

pub mod conf;
mod parsed;
mod redact;
mod render;
mod view;
pub mod xml;

pub use parsed::{Parsed, SyntaxError};
pub use redact::redact;
pub use render::{RenderError, render};
pub use view::{ReadError, ReadProblem};

use crate::base::{ConfPath, Vmid};
use crate::model::domain::Domain;

/// Reads a definition: libvirt's XML, or Proxmox' `VMID.conf`.
///
/// # Errors
/// When the text is neither, not a definition of a QEMU VM, or holds a value
/// that cannot be read; the error says where.
pub fn read(text: &str) -> Result<Domain, ReadError> {
    read_numbered(text, None)
}

/// Reads a definition whose file is called by a VMID.
///
/// # Errors
/// As [`read`].
pub fn read_numbered(
    text: &str,
    vmid: Option<Vmid>,
) -> Result<Domain, ReadError> {
    match is_xml(text) {
        true => view::read(text),
        false => Ok(conf::read(text, vmid)?),
    }
}

/// Returns whether a text looks like a definition, well formed or not: XML, or
/// lines as Proxmox writes them.
#[must_use]
pub fn is_likely(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    let said = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let key = said.and_then(|line| line.split_once(':'));
    is_xml(text) || key.is_some_and(|(key, _)| ConfPath::is_key(key))
}

/// Returns whether a text is XML; else it can only be one of Proxmox', whose
/// lines start with a key, `#` or `[`.
fn is_xml(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}
