//! The shell scripts that hold GRUB's settings, as far as they set what a
//! host's command line is made of.
//!
//! What is not understood is refused where it could matter: a loop, a file
//! that is read in, a command whose effect on variables is not known.

mod evaluate;
mod lex;
mod script;
mod skip;

pub(super) use evaluate::{Shell, Value};
