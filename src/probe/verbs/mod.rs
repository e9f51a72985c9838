//! RDMA devices by the verbs library, which is looked for when it is needed.
//!
//! The types are those of rdma-core's headers. Its functions are taken from
//! the library by name: a program that is linked with it does not start where
//! it is missing.
//!
//! This folder has the only `unsafe` code of the floor. What is made by the
//! library is held by a type that gives it back when it is dropped, and each
//! holds what it was made from: so all is given back in order.

#[cfg(feature = "rdma")]
mod device;
#[cfg(feature = "rdma")]
mod library;
#[cfg(feature = "rdma")]
mod memory;
#[cfg(feature = "rdma")]
mod pair;
#[cfg(feature = "rdma")]
mod queue;
#[cfg(feature = "rdma")]
mod request;

use std::collections::BTreeMap;

use super::rdma::{Address, Fabric, Link, Port, RdmaError, Shape};
use crate::host::{Root, rdma_counters};
use crate::model::Fact;
use crate::model::probe::RdmaEnd;

/// The RDMA devices of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Verbs;

impl Fabric for Verbs {
    #[cfg(feature = "rdma")]
    fn ports(&self) -> Result<Vec<Port>, RdmaError> {
        device::ports(&library::Library::load()?, &Root::live())
    }

    #[cfg(not(feature = "rdma"))]
    fn ports(&self) -> Result<Vec<Port>, RdmaError> {
        Err(RdmaError::NotBuilt)
    }

    #[cfg(feature = "rdma")]
    fn link(
        &self,
        at: &Address,
        shape: &Shape,
    ) -> Result<Box<dyn Link>, RdmaError> {
        let library = library::Library::load()?;
        let device = device::open(&library, &at.end.device)?;
        Ok(Box::new(queue::Queues::new(device, at, shape)?))
    }

    #[cfg(not(feature = "rdma"))]
    fn link(&self, _: &Address, _: &Shape) -> Result<Box<dyn Link>, RdmaError> {
        Err(RdmaError::NotBuilt)
    }

    fn counters(&self, at: &RdmaEnd) -> Fact<BTreeMap<String, u64>> {
        rdma_counters(&Root::live(), &at.device, at.port.into())
    }
}
