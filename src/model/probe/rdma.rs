//! What RDMA carries between two machines.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::{CpuCost, Distribution, Median};

/// All that was measured over RDMA.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Rdma {
    /// This side of it.
    pub own: RdmaEnd,
    /// The other side, as it says.
    pub peer: RdmaEnd,
    /// Each measurement, in the order in which they were made.
    pub runs: Vec<RdmaRun>,
}

/// What one side of a connection sends from.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RdmaEnd {
    /// The device, by the kernel's name.
    pub device: String,
    /// Its port.
    pub port: u8,
    /// The place of its address in the port's table.
    pub gid_index: u8,
    /// Its address.
    pub gid: Ipv6Addr,
    /// How the address is used: `RoCE v2`.
    pub kind: String,
    /// The largest packet that it can send, in bytes, without headers.
    pub mtu: u32,
}

/// One measurement over reliable connections (RC).
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RdmaRun {
    /// What was asked of the card.
    pub verb: Verb,
    /// Bytes a message.
    pub size: u32,
    /// How it was asked.
    pub tuning: RdmaTuning,
    /// What came of it.
    pub found: RdmaFound,
    /// What it cost the side that asked for the measurement.
    pub own_cost: CpuCost,
    /// What it cost the other.
    pub peer_cost: CpuCost,
    /// By how much the counters of this side's port have grown, those that
    /// have.
    pub own_counters: BTreeMap<String, u64>,
    /// The same of the other side.
    pub peer_counters: BTreeMap<String, u64>,
}

/// How messages are given to the card.
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
#[serde(deny_unknown_fields)]
pub struct RdmaTuning {
    /// Bytes a packet: the less of what both sides can send.
    pub mtu: u32,
    /// The traffic class: DSCP and ECN of each packet.
    pub traffic_class: u8,
    /// How many connections, all from one thread.
    pub queue_pairs: u32,
    /// How many messages each has on the way.
    pub depth: u32,
    /// How many are given to the card at a time. It tells of the last of them
    /// alone that it is done.
    pub list: u32,
    /// Whether messages are copied into what the card is told, so that it
    /// need not fetch them.
    pub inline: bool,
}

/// What a measurement over RDMA found.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RdmaFound {
    /// As many messages as go through.
    Flow {
        /// Whether both sides sent at a time; figures are their sums.
        both_ways: bool,
        /// Messages a second.
        messages: Median,
        /// Bytes a second.
        rate: Median,
    },
    /// One message after the other.
    RoundTrip {
        /// Until the other side's answer is there, or what was read. Half of
        /// a round trip of `write` and `send` is what others call latency.
        round_trip: Distribution,
        /// The median of each repeat, in nanoseconds.
        median: Median,
    },
}

/// What is asked of a card.
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
pub enum Verb {
    /// To write into the other side's memory.
    Write,
    /// To read from it.
    Read,
    /// To send a message, for which the other side has kept a place.
    Send,
}

impl Verb {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Send => "send",
        }
    }
}

/// How messages follow each other.
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
pub enum Pattern {
    /// Each when the one before has been answered.
    RoundTrip,
    /// As many as go through, from this side.
    OneWay,
    /// And from both sides at a time.
    BothWays,
}
