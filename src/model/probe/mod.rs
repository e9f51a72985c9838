//! What the probe measured inside a machine.

mod distribution;
mod jitter;
mod rdma;
mod sockets;

use serde::{Deserialize, Serialize};

pub use distribution::{Bucket, Distribution, Median, Percentile};
pub use jitter::{CpuJitter, Jitter};
pub use rdma::{Pattern, Rdma, RdmaEnd, RdmaFound, RdmaRun, RdmaTuning, Verb};
pub use sockets::{CpuCost, Echo, SocketRun, Stream, Transport};

use super::Fact;

/// All that one run of the probe found.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct ProbeReport {
    /// Version of this form; see [`ProbeReport::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of the probe that measured.
    pub version: String,
    /// What CPUs lose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// What ordinary sockets carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketRun>,
    /// What RDMA carries, or why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdma: Option<Fact<Rdma>>,
}

impl ProbeReport {
    /// The version of the form that this program reads and writes.
    pub const SCHEMA_VERSION: u32 = 1;
}
