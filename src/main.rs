//! The `vmtune` command.

fn main() {}
