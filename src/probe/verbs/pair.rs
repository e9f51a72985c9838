//! A queue pair: made, connected, and given back.
#![allow(unsafe_code, reason = "functions of a library written in C")]

use std::mem::zeroed;
use std::sync::Arc;

use rdma_sys as sys;

use super::device::{Device, checked, refused};
use crate::probe::rdma::{Address, RdmaError};
use crate::probe::wire::Offer;

use sys::ibv_qp_attr_mask as Set;

/// An answer is late after 4.096 µs · 2^14, 67 ms, and asked for 7 times: what
/// perftest has, and most applications.
const TIMEOUT: u8 = 14;
const RETRIES: u8 = 7;
/// Ask again for ever where the other side has no place for a message: it has
/// said that it has, and whoever waits looks at the clock.
const RETRIES_FOR_A_PLACE: u8 = 7;
/// And not before 0.64 ms.
const BEFORE_A_PLACE: u8 = 12;
/// Routers that a packet may pass.
const HOPS: u8 = 64;

/// One queue pair.
pub(super) struct Pair {
    device: Arc<Device>,
    pub(super) queue: *mut sys::ibv_qp,
}

// SAFETY: verbs(7) calls the library thread-safe, and one thread has it.
unsafe impl Send for Pair {}

/// How to reach the other side.
pub(super) struct Path<'a> {
    pub(super) own: &'a Address,
    pub(super) peer: &'a Offer,
    /// Which of the queue pairs.
    pub(super) number: u32,
    pub(super) mtu: u32,
    pub(super) traffic_class: u8,
    /// How many reads of this side the other one serves at a time.
    pub(super) reads: u8,
}

impl Pair {
    /// Makes one that can receive places, and nothing else yet.
    ///
    /// # Errors
    /// When the device refuses.
    pub(super) fn new(
        device: Arc<Device>,
        domain: *mut sys::ibv_pd,
        done: *mut sys::ibv_cq,
        room: sys::ibv_qp_cap,
        port: u8,
    ) -> Result<Self, RdmaError> {
        // SAFETY: numbers and pointers, for which zeros are values.
        let mut wanted: sys::ibv_qp_init_attr = unsafe { zeroed() };
        wanted.send_cq = done;
        wanted.recv_cq = done;
        wanted.cap = room;
        wanted.qp_type = sys::ibv_qp_type::IBV_QPT_RC;
        // SAFETY: domain and completion queue are of this device, and live.
        let queue =
            unsafe { (device.library.ibv_create_qp)(domain, &raw mut wanted) };
        if queue.is_null() {
            return Err(refused("making a queue pair"));
        }
        let pair = Self { device, queue };
        let mut state = state(sys::ibv_qp_state::IBV_QPS_INIT);
        state.port_num = port;
        state.qp_access_flags = sys::ibv_access_flags::IBV_ACCESS_REMOTE_WRITE
            .0
            | sys::ibv_access_flags::IBV_ACCESS_REMOTE_READ.0;
        let set = Set::IBV_QP_STATE
            | Set::IBV_QP_PKEY_INDEX
            | Set::IBV_QP_PORT
            | Set::IBV_QP_ACCESS_FLAGS;
        pair.modify(&mut state, set)?;
        Ok(pair)
    }

    /// Returns its number.
    pub(super) fn number(&self) -> u32 {
        // SAFETY: it lives as long as this.
        unsafe { (*self.queue).qp_num }
    }

    /// Connects it to one of the other side.
    ///
    /// # Errors
    /// When the device refuses.
    pub(super) fn connect(&self, path: &Path<'_>) -> Result<(), RdmaError> {
        let mut to = state(sys::ibv_qp_state::IBV_QPS_RTR);
        to.path_mtu = path.mtu.ilog2().saturating_sub(7).clamp(1, 5);
        to.dest_qp_num = path.number & NUMBERS;
        to.rq_psn = to.dest_qp_num;
        to.max_dest_rd_atomic = path.reads;
        to.min_rnr_timer = BEFORE_A_PLACE;
        let by = &path.own.end;
        to.ah_attr.port_num = by.port;
        // In one fabric of InfiniBand the LID says where to.
        let local = path.own.lid != 0 && path.peer.lid != 0;
        to.ah_attr.dlid = path.peer.lid;
        to.ah_attr.is_global = u8::from(!local);
        to.ah_attr.grh.dgid = sys::ibv_gid { raw: path.peer.end.gid.octets() };
        to.ah_attr.grh.sgid_index = by.gid_index;
        to.ah_attr.grh.hop_limit = HOPS;
        to.ah_attr.grh.traffic_class = path.traffic_class;
        let set = Set::IBV_QP_STATE
            | Set::IBV_QP_AV
            | Set::IBV_QP_PATH_MTU
            | Set::IBV_QP_DEST_QPN
            | Set::IBV_QP_RQ_PSN
            | Set::IBV_QP_MAX_DEST_RD_ATOMIC
            | Set::IBV_QP_MIN_RNR_TIMER;
        self.modify(&mut to, set)?;
        let mut to = state(sys::ibv_qp_state::IBV_QPS_RTS);
        to.sq_psn = self.number() & NUMBERS;
        to.timeout = TIMEOUT;
        to.retry_cnt = RETRIES;
        to.rnr_retry = RETRIES_FOR_A_PLACE;
        to.max_rd_atomic = path.reads;
        let set = Set::IBV_QP_STATE
            | Set::IBV_QP_TIMEOUT
            | Set::IBV_QP_RETRY_CNT
            | Set::IBV_QP_RNR_RETRY
            | Set::IBV_QP_SQ_PSN
            | Set::IBV_QP_MAX_QP_RD_ATOMIC;
        self.modify(&mut to, set)
    }

    fn modify(
        &self,
        to: &mut sys::ibv_qp_attr,
        set: Set,
    ) -> Result<(), RdmaError> {
        let next = to.qp_state;
        // SAFETY: both live, and `set` says which fields have values.
        let failed = unsafe {
            (self.device.library.ibv_modify_qp)(
                self.queue,
                to,
                set.0.cast_signed(),
            )
        };
        checked(failed, || {
            let what = match next {
                sys::ibv_qp_state::IBV_QPS_INIT => "preparing",
                _ => "connecting",
            };
            format!("{what} a queue pair")
        })
    }
}

/// Queue pairs and packets are numbered by three bytes. A queue pair numbers
/// its packets from its own number on: two that follow each other differ.
const NUMBERS: u32 = 0x00ff_ffff;

fn state(state: sys::ibv_qp_state::Type) -> sys::ibv_qp_attr {
    // SAFETY: numbers and unions of numbers, for which zeros are values.
    let mut to: sys::ibv_qp_attr = unsafe { zeroed() };
    to.qp_state = state;
    to
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: nothing holds it any more. What it still had to do is
        // dropped with it.
        unsafe { (self.device.library.ibv_destroy_qp)(self.queue) };
    }
}
