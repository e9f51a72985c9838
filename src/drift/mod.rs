//! Drift: whether what was applied still holds.
//!
//! What was planned is compared with what was seen, one statement each, those
//! that hold as well. Nothing is read here.

mod interrupt;
mod nic;
mod node;
mod setting;
mod threads;

use serde::Serialize;

pub use interrupt::{effective_path, interrupt};
pub use nic::{PlannedSetting, network, passed_through};
pub use node::node_vm;
pub use setting::{Read, Same, Seen, setting};
pub use threads::vm;

use crate::base::DomainName;
use crate::model::Stage;

/// All that was found, as `vmtune status --format json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Version of this form.
    pub schema_version: u32,
    /// The statements of all plans that stand, VM by VM, then the host's.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The version of the form that this program writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// Reports findings in the form of this program.
    #[must_use]
    pub const fn new(findings: Vec<Finding>) -> Self {
        Self { schema_version: Self::SCHEMA_VERSION, findings }
    }
}

/// One statement of a plan, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// The VM; `None` for the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<DomainName>,
    /// What it is about: "vCPU 3", "/sys/kernel/mm/ksm/run".
    pub what: String,
    /// What was planned.
    pub planned: String,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
    /// What explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How a statement of a plan is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// As planned.
    Holds,
    /// Otherwise.
    Drifted {
        /// What is there instead.
        found: String,
    },
    /// It is prepared, and takes effect later.
    Waits {
        /// When.
        stage: Stage,
    },
    /// It could not be read.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Finding {
    /// Returns whether somebody has to look at this.
    #[must_use]
    pub const fn is_drift(&self) -> bool {
        matches!(self.state, State::Drifted { .. })
    }
}
