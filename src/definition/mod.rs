//! Definitions: the text of a VM, read and edited without losing a byte.

mod view;
pub mod xml;

pub use view::{ReadError, ReadProblem, read};
