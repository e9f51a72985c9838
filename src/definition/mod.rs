//! Definitions: the text of a VM, read and edited without losing a byte.

mod digest;
mod redact;
pub mod xml;

pub use digest::digest;
pub use redact::redact;
