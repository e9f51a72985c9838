//! Everything that has colour or columns: reports as text for people.
//!
//! A report is written on a [`Page`], always with colour; the stream that
//! prints it takes the colour out where nobody would see it.

mod changes;
mod cores;
mod diff;
mod findings;
mod host;
mod label;
mod nic;
mod page;
mod plan;
mod rule;
#[cfg(test)]
mod sample;
mod script;
mod settings;
mod status;
mod verdict;
mod vm;

pub(super) use changes::stage;
pub use diff::{unified, unified_file};
pub use findings::findings;
pub use host::{Detail, Holder, Holders, host};
pub use page::{BAD, BOLD, FAINT, GOOD, KEY, PLAIN, Page, Span, WARN};
pub use plan::{Shown, next, plan};
pub use rule::{group_name, markdown, rule, rules};
pub use script::script;
pub use status::status;
pub use verdict::{compared, verdict};

/// Writes a count with its noun: `1 change`, `3 changes`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
