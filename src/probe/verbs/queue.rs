//! Queue pairs of a measurement, and the queue that tells what they have
//! done.
#![allow(unsafe_code, reason = "functions of a library written in C")]

use std::ffi::c_int;
use std::mem::zeroed;
use std::sync::Arc;

use rdma_sys as sys;

use super::device::{Device, checked, refused};
use super::memory::Memory;
use super::pair::{Pair, Path};
use super::request::{
    GRANT, LIST, MESSAGE, Receives, Sends, kind_and_pair, number, part,
};
use crate::model::probe::Verb;
use crate::probe::rdma::{Address, Done, Link, RdmaError, Shape};
use crate::probe::wire::Offer;

/// Messages up to this size are copied into requests: beyond, a device
/// fetches them faster than the CPU copies.
const INLINE: u32 = 220;
/// Bytes of a grant.
const GRANT_SIZE: u32 = 8;
/// How many completions are taken at a time.
const AT_A_TIME: usize = 32;
/// The same, as the library counts.
const ROOM: c_int = 32;

/// Queue pairs, the memory they work on, and their completions. What is
/// declared first goes first.
pub(super) struct Queues {
    pairs: Vec<Connected>,
    done: Completions,
    memory: Memory,
    own: Address,
    shape: Shape,
    is_inline: bool,
    reads: u8,
}

struct Connected {
    pair: Pair,
    sends: Sends,
    receives: Receives,
    grant: Sends,
}

struct Completions {
    device: Arc<Device>,
    queue: *mut sys::ibv_cq,
    /// Where the device's answers are put, kept: to clear it each time would
    /// take longer than to ask.
    found: Box<[sys::ibv_wc; AT_A_TIME]>,
}

// SAFETY: verbs(7) calls the library thread-safe, and one thread has it.
unsafe impl Send for Completions {}

impl Queues {
    /// Makes queue pairs on a port.
    ///
    /// # Errors
    /// When the device or the kernel refuses.
    pub(super) fn new(
        device: Arc<Device>,
        own: &Address,
        shape: &Shape,
    ) -> Result<Self, RdmaError> {
        let memory = Memory::new(Arc::clone(&device), shape)?;
        let grants = 2 * shape.places + 2;
        let messages = shape.places * shape.list;
        let each = shape.depth / shape.list + 1 + grants + messages;
        let done = Completions::new(&device, each * shape.pairs)?;
        let limits = device.limits()?;
        // What a device promises to serve is what it can ask for, as a rule.
        let most = limits.max_qp_rd_atom.min(limits.max_qp_init_rd_atom);
        let reads = u8::try_from(most.clamp(1, 255)).unwrap_or(1);
        let mut room = sys::ibv_qp_cap {
            max_send_wr: shape.depth + grants,
            max_recv_wr: messages.max(1),
            max_send_sge: 1,
            max_recv_sge: 1,
            max_inline_data: 0,
        };
        let may = shape.verb != Verb::Read && shape.size <= INLINE;
        room.max_inline_data = if may { shape.size } else { 0 };
        let make = |room| {
            let (domain, port) = (memory.domain, own.end.port);
            let one = || {
                let device = Arc::clone(&device);
                Pair::new(device, domain, done.queue, room, port)
            };
            std::iter::repeat_with(one)
                .take(shape.pairs as usize)
                .collect::<Result<Vec<_>, _>>()
        };
        // Some devices have no room for messages in requests.
        let (pairs, is_inline) = match make(room) {
            Err(_) if may => {
                room.max_inline_data = 0;
                (make(room)?, false)
            }
            made => (made?, may),
        };
        let (key, _) = memory.keys();
        let start = memory.address();
        let places = memory.places;
        let connected = |(pair, at): (Pair, u64)| {
            let from = match shape.verb {
                Verb::Read => places.arrival(),
                Verb::Write | Verb::Send => places.out(),
            };
            let from = part(start + from, shape.size, key);
            let to = part(start + places.arrival(), shape.size, key);
            let grant = part(start + places.grant(at), GRANT_SIZE, key);
            let list = number(LIST, at);
            Connected {
                pair,
                sends: Sends::new(
                    shape.verb, shape.list, list, is_inline, from,
                ),
                receives: Receives::new(shape.list, number(MESSAGE, at), to),
                grant: Sends::new(
                    Verb::Write,
                    1,
                    number(GRANT, at),
                    false,
                    grant,
                ),
            }
        };
        let pairs = pairs.into_iter().zip(0..).map(connected).collect();
        let (own, shape) = (own.clone(), *shape);
        Ok(Self { pairs, done, memory, own, shape, is_inline, reads })
    }

    fn pair(&mut self, pair: usize) -> Result<&mut Connected, RdmaError> {
        self.pairs.get_mut(pair).ok_or_else(|| RdmaError::Unfit {
            what: format!("queue pair {pair} is none of this link"),
        })
    }
}

/// Gives a queue pair a list of requests.
fn send(pair: &Pair, list: &mut Sends) -> Result<(), RdmaError> {
    let mut bad = std::ptr::null_mut();
    // SAFETY: the queue pair lives; the list and what it points to live at
    // least as long as this call, after which the device has its own copy.
    let failed =
        unsafe { sys::ibv_post_send(pair.queue, list.first(), &raw mut bad) };
    checked(failed, || "giving the device messages".to_owned())
}

impl Link for Queues {
    fn offer(&self) -> Offer {
        let (_, key) = self.memory.keys();
        Offer {
            end: self.own.end.clone(),
            lid: self.own.lid,
            pairs: self.pairs.iter().map(|one| one.pair.number()).collect(),
            address: self.memory.address(),
            key,
            reads: self.reads,
            places: self.shape.places,
        }
    }

    fn is_inline(&self) -> bool {
        self.is_inline
    }

    fn connect(
        &mut self,
        peer: &Offer,
        mtu: u32,
        traffic_class: u8,
    ) -> Result<(), RdmaError> {
        let places = self.memory.places;
        let target = match self.shape.verb {
            Verb::Write | Verb::Send => places.arrival(),
            Verb::Read => places.out(),
        };
        for ((one, number), at) in
            self.pairs.iter_mut().zip(&peer.pairs).zip(0..)
        {
            one.pair.connect(&Path {
                own: &self.own,
                peer,
                number: *number,
                mtu,
                traffic_class,
                reads: self.reads.min(peer.reads),
            })?;
            one.sends.aim(peer.address.wrapping_add(target), peer.key);
            let granted = peer.address.wrapping_add(places.granted(at));
            one.grant.aim(granted, peer.key);
        }
        Ok(())
    }

    fn post(&mut self, pair: usize) -> Result<(), RdmaError> {
        let one = self.pair(pair)?;
        send(&one.pair, &mut one.sends)
    }

    fn keep_places(&mut self, pair: usize) -> Result<(), RdmaError> {
        let one = self.pair(pair)?;
        let mut bad = std::ptr::null_mut();
        // SAFETY: as in `send`.
        let failed = unsafe {
            let first = one.receives.first();
            sys::ibv_post_recv(one.pair.queue, first, &raw mut bad)
        };
        checked(failed, || "giving the device places for messages".to_owned())
    }

    fn grant(&mut self, pair: usize, lists: u64) -> Result<(), RdmaError> {
        self.memory.write_grant(pair as u64, lists);
        let one = self.pair(pair)?;
        send(&one.pair, &mut one.grant)
    }

    fn granted(&self, pair: usize) -> u64 {
        self.memory.granted(pair as u64)
    }

    fn poll(&mut self, done: &mut Vec<Done>) -> Result<(), RdmaError> {
        self.done.poll(self.shape.verb, done)
    }

    fn mark(&mut self, mark: u8) {
        self.memory.mark(mark);
    }

    fn arrived(&self) -> u8 {
        self.memory.arrived()
    }
}

impl Completions {
    fn new(device: &Arc<Device>, room: u32) -> Result<Self, RdmaError> {
        // SAFETY: the device is open; nobody waits for the queue, which is
        // looked at instead.
        let queue = unsafe {
            (device.library.ibv_create_cq)(
                device.context,
                room.cast_signed(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
            )
        };
        if queue.is_null() {
            let what = format!("making a completion queue for {room} entries");
            return Err(refused(what));
        }
        // SAFETY: numbers alone, for which zeros are values.
        let found = Box::new(unsafe { zeroed() });
        Ok(Self { device: Arc::clone(device), queue, found })
    }

    fn poll(
        &mut self,
        verb: Verb,
        done: &mut Vec<Done>,
    ) -> Result<(), RdmaError> {
        let found = self.found.as_mut_ptr();
        // SAFETY: there is room for as many as are asked for.
        let count = unsafe { sys::ibv_poll_cq(self.queue, ROOM, found) };
        let count = usize::try_from(count)
            .map_err(|_| refused("asking the device what it has done"))?;
        for one in self.found.iter().take(count) {
            if one.status != sys::ibv_wc_status::IBV_WC_SUCCESS {
                let status = self.device.library.status(one.status);
                let verb = verb.name();
                return Err(RdmaError::Failed { verb, status });
            }
            let (kind, pair) = kind_and_pair(one.wr_id);
            done.push(match kind {
                LIST => Done::List(pair),
                MESSAGE => Done::Message(pair),
                _ => Done::Grant,
            });
        }
        Ok(())
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        // SAFETY: the queue pairs that told of it have gone before.
        unsafe { (self.device.library.ibv_destroy_cq)(self.queue) };
    }
}
