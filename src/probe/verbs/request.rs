//! What a device is told to do: lists of requests, written once and given to
//! it again and again.
#![allow(unsafe_code, reason = "structures that hold pointers")]

use std::mem::zeroed;

use rdma_sys as sys;

use crate::model::probe::Verb;

/// Whose completion one is: in the upper half of a request's number, the
/// queue pair in the lower.
pub(super) const LIST: u64 = 0;
/// A place that a message came to.
pub(super) const MESSAGE: u64 = 1;
/// The other side was told of places.
pub(super) const GRANT: u64 = 2;

/// Returns the number of a request.
pub(super) const fn number(kind: u64, pair: u64) -> u64 {
    kind << 32 | pair
}

/// Returns what a number of a request was made of.
pub(super) fn kind_and_pair(number: u64) -> (u64, usize) {
    let pair = number & u64::from(u32::MAX);
    (number >> 32, usize::try_from(pair).unwrap_or(usize::MAX))
}

/// A list of requests to send, write or read.
pub(super) struct Sends {
    requests: Box<[sys::ibv_send_wr]>,
    /// What all of them send from, or read to.
    _part: Box<sys::ibv_sge>,
}

/// A list of places for messages.
pub(super) struct Receives {
    requests: Box<[sys::ibv_recv_wr]>,
    _part: Box<sys::ibv_sge>,
}

// SAFETY: the pointers are to what the same value owns.
unsafe impl Send for Sends {}
// SAFETY: as above.
unsafe impl Send for Receives {}

/// Bytes of registered memory.
pub(super) fn part(address: u64, length: u32, key: u32) -> Box<sys::ibv_sge> {
    Box::new(sys::ibv_sge { addr: address, length, lkey: key })
}

impl Sends {
    /// Writes a list of which the last is told of.
    pub(super) fn new(
        verb: Verb,
        count: u32,
        number: u64,
        is_inline: bool,
        mut part: Box<sys::ibv_sge>,
    ) -> Self {
        let opcode = match verb {
            Verb::Write => sys::ibv_wr_opcode::IBV_WR_RDMA_WRITE,
            Verb::Read => sys::ibv_wr_opcode::IBV_WR_RDMA_READ,
            Verb::Send => sys::ibv_wr_opcode::IBV_WR_SEND,
        };
        let flags = match is_inline {
            true => sys::ibv_send_flags::IBV_SEND_INLINE.0,
            false => 0,
        };
        let one = || {
            // SAFETY: numbers and pointers, for which zeros are values.
            let mut one: sys::ibv_send_wr = unsafe { zeroed() };
            one.wr_id = number;
            one.sg_list = &raw mut *part;
            one.num_sge = 1;
            one.opcode = opcode;
            one.send_flags = flags;
            one
        };
        let mut requests: Box<[_]> =
            std::iter::repeat_with(one).take(count as usize).collect();
        let mut next = std::ptr::null_mut();
        for request in requests.iter_mut().rev() {
            request.next = next;
            next = request;
        }
        if let Some(last) = requests.last_mut() {
            last.send_flags |= sys::ibv_send_flags::IBV_SEND_SIGNALED.0;
        }
        Self { requests, _part: part }
    }

    /// Sets where in the other side's memory to write to or to read from.
    pub(super) fn aim(&mut self, address: u64, key: u32) {
        for request in &mut self.requests {
            request.wr.rdma = sys::rdma_t { remote_addr: address, rkey: key };
        }
    }

    /// Returns the first.
    pub(super) fn first(&mut self) -> *mut sys::ibv_send_wr {
        self.requests.as_mut_ptr()
    }
}

impl Receives {
    /// Writes a list of places, each of which is told of.
    pub(super) fn new(
        count: u32,
        number: u64,
        mut part: Box<sys::ibv_sge>,
    ) -> Self {
        let one = || sys::ibv_recv_wr {
            wr_id: number,
            next: std::ptr::null_mut(),
            sg_list: &raw mut *part,
            num_sge: 1,
        };
        let mut requests: Box<[_]> =
            std::iter::repeat_with(one).take(count as usize).collect();
        let mut next = std::ptr::null_mut();
        for request in requests.iter_mut().rev() {
            request.next = next;
            next = request;
        }
        Self { requests, _part: part }
    }

    /// Returns the first.
    pub(super) fn first(&mut self) -> *mut sys::ibv_recv_wr {
        self.requests.as_mut_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_linked_and_told_of_once() {
        let part = part(4096, 64, 7);
        let mut list = Sends::new(Verb::Write, 3, number(LIST, 5), true, part);
        list.aim(1 << 40, 9);
        let (inline, told) = (
            sys::ibv_send_flags::IBV_SEND_INLINE.0,
            sys::ibv_send_flags::IBV_SEND_SIGNALED.0,
        );
        let mut at = list.first().cast_const();
        let mut flags = Vec::new();
        // SAFETY: the list lives, and each names the next.
        while let Some(one) = unsafe { at.as_ref() } {
            assert_eq!(kind_and_pair(one.wr_id), (LIST, 5));
            // SAFETY: all point to the one part, which the list owns, and
            // the union was set by `aim`.
            let (from, to) = unsafe { (*one.sg_list, one.wr.rdma) };
            assert_eq!((from.addr, from.length, from.lkey), (4096, 64, 7));
            assert_eq!((to.remote_addr, to.rkey), (1 << 40, 9));
            flags.push(one.send_flags);
            at = one.next;
        }
        assert_eq!(flags, [inline, inline, inline | told]);
    }
}
