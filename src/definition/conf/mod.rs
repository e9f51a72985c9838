//! `VMID.conf`, Proxmox' definition of a VM: its lines with the place of each
//! byte, values by key, and edits that leave all other bytes alone.
//!
//! A file is a main part and sections after it: `[PENDING]` is what the next
//! start of the VM brings, `[special:…]` and snapshots are other things, and
//! are never looked into. A line is `key: value`, a comment (the VM's notes),
//! or blank. What Proxmox takes for a value is the last line of its key; what
//! it makes of `[PENDING]` at the next start is what counts here too.

mod difference;
mod edit;
mod error;
mod mapping;
mod property;
mod redact;
mod text;
mod view;

pub use edit::ConfEdit;
pub use error::{ConfEditError, ConfError, ConfProblem};
pub use mapping::Mappings;
pub(super) use redact::secrets;
pub use text::Conf;
pub(super) use view::read;
