//! Why a measurement did not come about.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use super::rdma::RdmaError;
use super::wire::WireError;

/// Why a measurement did not come about.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Nobody answered there.
    #[error("connecting to the probe at {peer}")]
    Connect {
        /// Where.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It could not be listened.
    #[error("listening at {at}")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The two sides did not understand each other.
    #[error("talking to the probe at {peer}")]
    Wire {
        /// Who.
        peer: SocketAddr,
        /// Why.
        source: WireError,
    },
    /// The other side serves somebody else.
    #[error("the probe at {peer} is busy with another client")]
    Busy {
        /// Who.
        peer: SocketAddr,
    },
    /// The other side says that it does not know the secret, or we do not
    /// know its.
    #[error("the probe at {peer} has another secret than this one")]
    Secret {
        /// Who.
        peer: SocketAddr,
    },
    /// The other side speaks another version of the protocol.
    #[error(
        "the probe at {peer} speaks version {theirs} of the protocol, this \
         one version {own}"
    )]
    Version {
        /// Who.
        peer: SocketAddr,
        /// Its version.
        theirs: u32,
        /// This program's.
        own: u32,
    },
    /// The other side could not do its part.
    #[error("the probe at {peer} gave up: {why}")]
    Peer {
        /// Who.
        peer: SocketAddr,
        /// What it says.
        why: String,
    },
    /// Something of this machine refused.
    #[error("{what}")]
    System {
        /// What was being done.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// It did not go over RDMA.
    #[error("measuring over RDMA")]
    Rdma(#[from] RdmaError),
    /// It was asked for no measurement.
    #[error("nothing was to be measured")]
    Nothing,
    /// No answer came back at all.
    #[error("no message to {peer} was answered")]
    Silence {
        /// Who.
        peer: SocketAddr,
    },
}

impl ProbeError {
    /// Makes an error of something that this machine refused.
    pub(super) fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System { what: what.into(), source }
    }
}
