//! What ordinary sockets carry between two machines.

use serde::{Deserialize, Serialize};

use super::{Distribution, Median};

/// One measurement over sockets.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SocketRun {
    /// As much as goes through.
    Stream(Stream),
    /// A message and its answer, one after the other.
    Echo(Echo),
}

/// How much goes through TCP connections.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// How many connections at a time, each with a thread of its own.
    pub connections: u32,
    /// Bytes a call to the kernel.
    pub size: u32,
    /// Whether the server sent.
    pub reverse: bool,
    /// Bytes a second that arrived, of all connections together.
    pub rate: Median,
    /// What it cost the side that sent.
    pub sender: CpuCost,
    /// What it cost the side that received.
    pub receiver: CpuCost,
}

/// How long messages and their answers took.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Echo {
    /// How they were sent.
    pub transport: Transport,
    /// Bytes a message.
    pub size: u32,
    /// From the sending of each to the whole answer, of all repeats. Half of
    /// it is what others call latency.
    pub round_trip: Distribution,
    /// The median round trip of each repeat, in nanoseconds.
    pub median: Median,
    /// Answers that never came; UDP alone.
    pub lost: u64,
}

/// How messages are sent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP without delay (Nagle's algorithm off).
    Tcp,
    /// UDP.
    Udp,
}

/// What a transfer cost one side.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct CpuCost {
    /// Bytes that went through.
    pub bytes: u64,
    /// CPU time of its process, user's and kernel's, in nanoseconds.
    pub cpu_ns: u64,
}

impl CpuCost {
    /// Adds another transfer.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
        }
    }

    /// Returns the CPU time for 10^9 bytes, in nanoseconds; `None` of none.
    #[must_use]
    pub fn per_gigabyte(&self) -> Option<u64> {
        let all = u128::from(self.cpu_ns) * 1_000_000_000;
        let each = all.checked_div(u128::from(self.bytes))?;
        u64::try_from(each).ok()
    }
}
