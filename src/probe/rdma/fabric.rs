//! What a measurement asks of an RDMA device: a port to play it on.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use crate::model::Fact;
use crate::model::facts::Gid;
use crate::model::probe::{RdmaEnd, Verb};
use crate::probe::wire::Offer;

/// The RDMA devices of a machine, or something that plays them.
pub trait Fabric: Send + Sync {
    /// Returns all ports of all devices.
    ///
    /// # Errors
    /// When there is no library to ask, or no device.
    fn ports(&self) -> Result<Vec<Port>, RdmaError>;

    /// Makes queue pairs on a port, not connected yet.
    ///
    /// # Errors
    /// When the device or the kernel refuses.
    fn link(
        &self,
        end: &Address,
        shape: &Shape,
    ) -> Result<Box<dyn Link>, RdmaError>;

    /// Returns what a port has counted, by the kernel's names.
    fn counters(&self, at: &RdmaEnd) -> Fact<BTreeMap<String, u64>>;
}

/// A port of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The device, by the kernel's name.
    pub device: String,
    /// The number of the port.
    pub number: u8,
    /// Whether it has a link.
    pub is_active: bool,
    /// Whether it is InfiniBand and no Ethernet.
    pub is_infiniband: bool,
    /// Its place in a fabric of InfiniBand; zero elsewhere.
    pub lid: u16,
    /// The largest packet that it can send now, in bytes.
    pub mtu: u32,
    /// Its addresses.
    pub gids: Fact<Vec<Gid>>,
}

/// A port and the address to send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The port and the address.
    pub end: RdmaEnd,
    /// Its place in a fabric of InfiniBand; zero elsewhere.
    pub lid: u16,
}

/// What queue pairs have to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What is asked of the device.
    pub verb: Verb,
    /// Bytes a message.
    pub size: u32,
    /// How many queue pairs.
    pub pairs: u32,
    /// How many messages each has on the way.
    pub depth: u32,
    /// How many of them are given to the device at a time.
    pub list: u32,
    /// For how many lists each queue pair keeps places.
    pub places: u32,
}

/// Queue pairs, connected or not, and the memory that they work on.
pub trait Link: Send {
    /// Returns what the other side has to know.
    fn offer(&self) -> Offer;

    /// Returns whether messages are copied into what the device is told.
    fn is_inline(&self) -> bool;

    /// Connects to the other side.
    ///
    /// # Errors
    /// When the device refuses.
    fn connect(
        &mut self,
        peer: &Offer,
        mtu: u32,
        traffic_class: u8,
    ) -> Result<(), RdmaError>;

    /// Gives a queue pair a list of messages.
    ///
    /// # Errors
    /// When the device refuses.
    fn post(&mut self, pair: usize) -> Result<(), RdmaError>;

    /// Gives a queue pair places for a list of messages.
    ///
    /// # Errors
    /// When the device refuses.
    fn keep_places(&mut self, pair: usize) -> Result<(), RdmaError>;

    /// Tells the other side for how many lists there have been places since
    /// the beginning.
    ///
    /// # Errors
    /// When the device refuses.
    fn grant(&mut self, pair: usize, lists: u64) -> Result<(), RdmaError>;

    /// Returns what the other side has told so.
    fn granted(&self, pair: usize) -> u64;

    /// Adds to `done` what is done since it was asked last.
    ///
    /// # Errors
    /// When something was not done: the connection is lost.
    fn poll(&mut self, done: &mut Vec<Done>) -> Result<(), RdmaError>;

    /// Sets the last byte of the messages that are sent.
    fn mark(&mut self, mark: u8);

    /// Returns the last byte of what arrived last.
    fn arrived(&self) -> u8;
}

/// Something that a device has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A list of messages of this queue pair.
    List(usize),
    /// One message has come on this queue pair.
    Message(usize),
    /// The other side was told of places.
    Grant,
}

/// Why something did not go over RDMA.
#[derive(Debug, Error)]
pub enum RdmaError {
    /// There is nothing to ask.
    #[error("the verbs library is not there (libibverbs.so.1)")]
    NoLibrary(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This program can do no RDMA.
    #[error("this vmtune-probe was built without RDMA")]
    NotBuilt,
    /// The machine has none.
    #[error("there is no RDMA device")]
    NoDevice,
    /// None of the machine's ports will do.
    #[error("no RDMA port will do: {why}")]
    NoPort {
        /// What is wrong with each.
        why: String,
    },
    /// The two sides do not fit.
    #[error("the other side's {what}")]
    Unfit {
        /// What of it, and why.
        what: String,
    },
    /// The kernel or the device refused.
    #[error("{what}")]
    Refused {
        /// What was being done.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A message was not delivered.
    #[error("the device could not {verb}: {status}")]
    Failed {
        /// What it should have done.
        verb: &'static str,
        /// What it says.
        status: String,
    },
    /// Nothing happened any more.
    #[error("nothing came for {seconds} s")]
    Stalled {
        /// For how long.
        seconds: u64,
    },
}
