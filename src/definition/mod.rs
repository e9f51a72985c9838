//! Definitions: the text of a VM, read and edited without losing a byte.

mod redact;
mod render;
mod view;
pub mod xml;

pub use redact::redact;
pub use render::{RenderError, render};
pub use view::{ReadError, ReadProblem, read};
