//! The messages of a measurement over RDMA.
//!
//! The client asks with an [`Offer`], and is answered with one. Both connect
//! their queue pairs. The client says [`Word::Go`], and [`Word::Over`] when all
//! that it asked for is done, or it has given up. The server then tells what it
//! saw; that it has failed it tells at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::probe::{Pattern, RdmaEnd, Verb};

/// A measurement over RDMA, as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RdmaWish {
    /// What is asked of the cards.
    pub verb: Verb,
    /// How messages follow each other.
    pub pattern: Pattern,
    /// Bytes a message.
    pub size: u32,
    /// How many messages each queue pair has on the way.
    pub depth: u32,
    /// How many of them are given to the card at a time.
    pub list: u32,
    /// How long, in milliseconds, before it counts.
    pub warm_up_ms: u32,
    /// How long each repeat counts.
    pub count_ms: u32,
    /// How many repeats there are.
    pub repeats: u32,
    /// The traffic class of all packets.
    pub traffic_class: u8,
    /// What the client connects from.
    pub offer: Offer,
}

/// What the other side has to know to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Where packets go to.
    pub end: RdmaEnd,
    /// And where in a fabric of InfiniBand; zero elsewhere.
    pub lid: u16,
    /// The numbers of the queue pairs.
    pub pairs: Vec<u32>,
    /// Where its memory begins.
    pub address: u64,
    /// What opens that memory.
    pub key: u32,
    /// How many reads of each queue pair it serves at a time.
    pub reads: u8,
    /// For how many lists of messages each queue pair keeps places.
    pub places: u32,
}

/// What a client says in the course of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Word {
    /// Both are connected: begin.
    Go,
    /// The client has finished.
    Over,
}

/// What the server saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RdmaSeen {
    /// The CPU time that it took, in nanoseconds.
    pub cpu_ns: u64,
    /// How many lists of messages of its own were done in each repeat.
    pub lists: Vec<u64>,
    /// And in all.
    pub all: u64,
    /// By how much its counters have grown.
    pub counters: BTreeMap<String, u64>,
}
