//! Memory that a device and the other side work on.
//!
//! One region for all queue pairs: for each a place to which the other side
//! writes how many lists it has places for, for each one from which this side
//! writes the same, a place that messages are sent from, and one that they
//! arrive at.
#![allow(unsafe_code, reason = "memory that a device writes to")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rdma_sys as sys;

use super::device::{Device, refused};
use crate::probe::rdma::{RdmaError, Shape};

/// Bytes between two things that are written by different sides.
const LINE: u64 = 64;
/// What memory is registered by.
const PAGE: usize = 4096;
/// What the other side may do: only what is measured, and grants.
const ACCESS: [sys::ibv_access_flags; 3] = [
    sys::ibv_access_flags::IBV_ACCESS_LOCAL_WRITE,
    sys::ibv_access_flags::IBV_ACCESS_REMOTE_WRITE,
    sys::ibv_access_flags::IBV_ACCESS_REMOTE_READ,
];

/// Where things are in a region, the same on both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pairs: u64,
    size: u64,
}

impl Places {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { pairs: shape.pairs.into(), size: shape.size.into() }
    }

    /// Where the other side writes for how many lists it has places.
    pub(super) const fn granted(self, pair: u64) -> u64 {
        pair * LINE
    }

    /// From where this side writes the same.
    pub(super) const fn grant(self, pair: u64) -> u64 {
        (self.pairs + pair) * LINE
    }

    /// Where messages are sent from.
    pub(super) const fn out(self) -> u64 {
        2 * self.pairs * LINE
    }

    /// Where they arrive.
    pub(super) const fn arrival(self) -> u64 {
        self.out() + self.size.next_multiple_of(LINE)
    }

    /// Bytes of all.
    const fn all(self) -> u64 {
        self.arrival() + self.size.next_multiple_of(LINE)
    }
}

/// A region that is registered with a device.
#[derive(Debug)]
pub(super) struct Memory {
    device: Arc<Device>,
    pub(super) domain: *mut sys::ibv_pd,
    region: *mut sys::ibv_mr,
    start: NonNull<u8>,
    layout: Layout,
    pub(super) places: Places,
}

// SAFETY: the memory is reached by atomics alone, and the library is
// thread-safe.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Takes memory, and lets the device and the other side work on it.
    ///
    /// # Errors
    /// When the kernel refuses: the limit of locked memory is the usual
    /// reason.
    pub(super) fn new(
        device: Arc<Device>,
        shape: &Shape,
    ) -> Result<Self, RdmaError> {
        let places = Places::new(shape);
        let bytes = usize::try_from(places.all()).unwrap_or(usize::MAX / 2);
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| {
            RdmaError::Unfit { what: "messages are too large".into() }
        })?;
        // SAFETY: the device is open.
        let domain = unsafe { (device.library.ibv_alloc_pd)(device.context) };
        if domain.is_null() {
            return Err(refused("making a protection domain"));
        }
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        let mut memory = Self {
            device,
            domain,
            region: std::ptr::null_mut(),
            start,
            layout,
            places,
        };
        let access = ACCESS.into_iter().fold(0, |all, one| all | one.0);
        // SAFETY: the memory is of this length and stays until the region is
        // given back.
        memory.region = unsafe {
            (memory.device.library.ibv_reg_mr)(
                domain,
                start.as_ptr().cast(),
                bytes,
                access.cast_signed(),
            )
        };
        if memory.region.is_null() {
            return Err(refused(format!(
                "registering {bytes} bytes of memory, which are locked"
            )));
        }
        Ok(memory)
    }

    /// Returns where it begins.
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }

    /// Returns what the device opens it by, and what the other side does.
    pub(super) fn keys(&self) -> (u32, u32) {
        // SAFETY: the region lives as long as this.
        unsafe { ((*self.region).lkey, (*self.region).rkey) }
    }

    /// Returns a counter at a place.
    pub(super) fn counter(&self, place: u64) -> &AtomicU64 {
        debug_assert!(place.is_multiple_of(LINE) && place < self.places.all());
        // SAFETY: within the region, aligned to a cache line, and reached by
        // nothing in this program but atomics of this width.
        unsafe { AtomicU64::from_ptr(self.at(place).cast()) }
    }

    /// Returns the last byte of what arrived.
    pub(super) fn arrived(&self) -> u8 {
        let place = self.places.arrival() + self.places.size - 1;
        // SAFETY: within the region. The device writes there at any time, so
        // it is read anew each time; what was written before it is not read
        // by this program.
        unsafe { self.at(place).read_volatile() }
    }

    /// Sets the last byte of what is sent.
    pub(super) fn mark(&mut self, mark: u8) {
        let place = self.places.out() + self.places.size - 1;
        // SAFETY: within the region; the device reads there once it is told
        // to, by a call that is not moved before this.
        unsafe { self.at(place).write_volatile(mark) }
    }

    /// Writes down for how many lists there are places.
    pub(super) fn write_grant(&self, pair: u64, lists: u64) {
        let place = self.places.grant(pair);
        self.counter(place).store(lists.to_be(), Ordering::Release);
    }

    /// Returns what the other side has written so.
    pub(super) fn granted(&self, pair: u64) -> u64 {
        let place = self.places.granted(pair);
        u64::from_be(self.counter(place).load(Ordering::Acquire))
    }

    fn at(&self, place: u64) -> *mut u8 {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        debug_assert!(place < self.layout.size());
        // SAFETY: callers stay within the region.
        unsafe { self.start.as_ptr().add(place) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: queue pairs hold this and so have gone; the device knows
        // nothing of the memory when it is given back.
        unsafe {
            let library = &self.device.library;
            let known = !self.region.is_null()
                && (library.ibv_dereg_mr)(self.region) != 0;
            // A device that will not forget memory keeps it.
            if !known {
                dealloc(self.start.as_ptr(), self.layout);
            }
            (library.ibv_dealloc_pd)(self.domain);
        }
    }
}
