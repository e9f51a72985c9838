//! The messages.

use serde::{Deserialize, Serialize};

use super::Nonce;
use super::rdma::{Offer, RdmaSeen, RdmaWish};
use crate::model::probe::{CpuCost, Transport};

/// The version of the protocol. Two sides of different versions part with an
/// error that names both.
pub const VERSION: u32 = 2;

/// What a connection is for: the first that a client says on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Opening {
    /// For talk.
    Talk {
        /// The client's version of the protocol.
        version: u32,
        /// The client's number.
        nonce: Nonce,
    },
    /// For the data of a measurement that was agreed on before.
    Data {
        /// Which.
        token: Token,
    },
}

/// The name of one measurement's data, which only its two sides know.
pub type Token = Nonce;

/// What a server says to a client that wants to talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Challenge {
    /// Prove that you know the secret.
    Prove {
        /// The server's version of the protocol.
        version: u32,
        /// The server's number.
        nonce: Nonce,
    },
    /// Another version.
    Version {
        /// The server's version of the protocol.
        version: u32,
    },
}

/// What a client answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The client's proof.
    pub proof: String,
}

/// What the server says to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Welcome {
    /// Go on, and here is the server's proof.
    Proved {
        /// It.
        proof: String,
    },
    /// The client does not know the secret.
    Refused,
    /// Another client is being served. Said to those who know the secret.
    Busy,
}

/// What a client asks for, once both have proved themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// To send or receive as much as goes through.
    Stream {
        /// Over how many connections.
        connections: u32,
        /// Bytes a call.
        size: u32,
        /// Whether the server sends.
        reverse: bool,
        /// How long, in milliseconds, before it counts.
        warm_up_ms: u32,
        /// And how long from there on.
        count_ms: u32,
    },
    /// To answer each message with itself.
    Echo {
        /// How.
        transport: Transport,
        /// Bytes a message.
        size: u32,
        /// At most how long, in milliseconds.
        within_ms: u32,
    },
    /// To connect over RDMA, and to do its part of a measurement.
    Rdma(Box<RdmaWish>),
}

/// What the server says to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// It is ready.
    Ready {
        /// What the data connections are opened with.
        token: Token,
        /// The UDP port, where messages go to one.
        port: Option<u16>,
    },
    /// It is over, and this is what the server saw.
    Done {
        /// What it cost.
        cost: CpuCost,
        /// Bytes that arrived while it counted; of a server that received.
        counted: u64,
    },
    /// It has connected over RDMA, from here.
    Linked(Box<Offer>),
    /// A measurement over RDMA is over.
    Seen(RdmaSeen),
    /// It could not do that.
    Failed {
        /// Why.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_too_many_is_no_message() {
        for bad in [
            r#"{"for":"talk","version":1,"nonce":"00000000000000000000000000000000","x":1}"#,
            r#"{"for":"shell"}"#,
            r#"{"for":"talk","version":-1,"nonce":"00"}"#,
        ] {
            assert!(serde_json::from_str::<Opening>(bad).is_err(), "{bad}");
        }
        let ask = r#"{"stream":{"connections":1,"size":2,"reverse":false,
                     "warm_up_ms":0,"count_ms":1,"path":"/etc/passwd"}}"#;
        assert!(serde_json::from_str::<Ask>(ask).is_err());
    }
}
