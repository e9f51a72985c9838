//! Looking at a VM from inside: the probe goes into the guest, and what it
//! found is judged by what was planned.
//!
//! Whatever comes out of a guest is the word of a stranger. It is of the form
//! that was asked for, and not larger than that needs, or it is an error; it
//! is compared and shown, and never a path, a command or a number of anything
//! on the host.

mod agent;
mod judge;
mod visit;

pub use agent::{AgentError, Ask};
pub use judge::{Finding, FindingKind, Verdict, judge};
pub use visit::{Step, VisitError, visit};
