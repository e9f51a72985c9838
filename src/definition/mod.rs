//! Definitions: the text of a VM, read and edited without losing a byte.

pub mod xml;
