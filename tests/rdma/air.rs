//! RDMA devices that need none: what one side sends is at the other.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use vmtune::model::Fact;
use vmtune::model::facts::Gid;
use vmtune::model::probe::{RdmaEnd, Verb};
use vmtune::probe::rdma::{
    Address, Done, Fabric, Link, Port, RdmaError, Shape, Station, Wish,
};
use vmtune::probe::wire::Offer;

/// What lies between the devices.
#[derive(Clone, Default)]
pub(crate) struct Air(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// Each queue pair that was made, by number.
    pairs: Vec<Pair>,
    /// Links that are not dropped.
    alive: usize,
    /// Messages that were sent, written or read.
    moved: u64,
}

#[derive(Default)]
struct Pair {
    peer: Option<usize>,
    /// Places for messages.
    places: u64,
    granted: u64,
    arrived: u8,
    done: VecDeque<Done>,
}

impl Air {
    /// Makes a side with one device, of these largest packets; with none where
    /// they are of no size.
    pub(crate) fn station(&self, mtu: u32) -> Station {
        let device = Device { air: self.clone(), mtu };
        Station::new(Box::new(device), Wish::default())
    }

    /// How many links there are.
    pub(crate) fn alive(&self) -> usize {
        self.inside().alive
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

struct Device {
    air: Air,
    mtu: u32,
}

impl Fabric for Device {
    fn ports(&self) -> Result<Vec<Port>, RdmaError> {
        if self.mtu == 0 {
            return Ok(Vec::new());
        }
        let gid = Gid {
            index: 3,
            address: "0000:0000:0000:0000:0000:ffff:7f00:0001".into(),
            kind: Fact::known("RoCE v2".into(), "air"),
            interface: Fact::unknown("there is none"),
        };
        Ok(vec![Port {
            device: "air0".into(),
            number: 1,
            is_active: true,
            is_infiniband: false,
            lid: 0,
            mtu: self.mtu,
            gids: Fact::known(vec![gid], "air"),
        }])
    }

    fn link(
        &self,
        at: &Address,
        shape: &Shape,
    ) -> Result<Box<dyn Link>, RdmaError> {
        let mut inside = self.air.inside();
        inside.alive += 1;
        let first = inside.pairs.len();
        for _ in 0..shape.pairs {
            inside.pairs.push(Pair::default());
        }
        let (air, at, shape) = (self.air.clone(), at.clone(), *shape);
        Ok(Box::new(Flying { air, at, shape, first, mark: 0 }))
    }

    fn counters(&self, _: &RdmaEnd) -> Fact<BTreeMap<String, u64>> {
        let moved = self.air.inside().moved;
        let counters = [("moved", moved), ("still", 7)];
        let counters = counters.map(|(name, n)| (name.to_owned(), n));
        Fact::known(BTreeMap::from(counters), "air")
    }
}

struct Flying {
    air: Air,
    at: Address,
    shape: Shape,
    first: usize,
    mark: u8,
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.air.inside().alive -= 1;
    }
}

impl Link for Flying {
    fn offer(&self) -> Offer {
        let pairs = self.first..self.first + self.shape.pairs as usize;
        Offer {
            end: self.at.end.clone(),
            lid: self.at.lid,
            pairs: pairs.map(|n| u32::try_from(n).unwrap()).collect(),
            address: 4096,
            key: 1,
            reads: 16,
            places: self.shape.places,
        }
    }

    fn is_inline(&self) -> bool {
        false
    }

    fn connect(
        &mut self,
        peer: &Offer,
        mtu: u32,
        _: u8,
    ) -> Result<(), RdmaError> {
        assert!(mtu <= self.at.end.mtu && mtu <= peer.end.mtu);
        let mut inside = self.air.inside();
        for (at, peer) in (self.first..).zip(&peer.pairs) {
            inside.pairs[at].peer = Some(*peer as usize);
        }
        Ok(())
    }

    fn post(&mut self, pair: usize) -> Result<(), RdmaError> {
        let (mut inside, list) = (self.air.inside(), self.shape.list);
        let own = self.first + pair;
        let peer = inside.pairs[own].peer.unwrap();
        inside.pairs[own].done.push_back(Done::List(pair));
        inside.moved += u64::from(list);
        let Some(peer) = inside.pairs.get_mut(peer) else {
            // Of somebody who told of a queue pair that there is not.
            return Ok(());
        };
        if self.shape.verb == Verb::Send {
            let places = peer.places.checked_sub(list.into());
            peer.places = places.ok_or(RdmaError::Failed {
                verb: "send",
                status: "there is no place for it".into(),
            })?;
            peer.done.extend((0..list).map(|_| Done::Message(pair)));
        }
        if self.shape.verb != Verb::Read {
            peer.arrived = self.mark;
        }
        Ok(())
    }

    fn keep_places(&mut self, pair: usize) -> Result<(), RdmaError> {
        let list = self.shape.list;
        self.air.inside().pairs[self.first + pair].places += u64::from(list);
        Ok(())
    }

    fn grant(&mut self, pair: usize, lists: u64) -> Result<(), RdmaError> {
        let mut inside = self.air.inside();
        let own = &mut inside.pairs[self.first + pair];
        own.done.push_back(Done::Grant);
        let peer = own.peer.unwrap();
        if let Some(peer) = inside.pairs.get_mut(peer) {
            peer.granted = lists;
        }
        Ok(())
    }

    fn granted(&self, pair: usize) -> u64 {
        self.air.inside().pairs[self.first + pair].granted
    }

    fn poll(&mut self, done: &mut Vec<Done>) -> Result<(), RdmaError> {
        let mut inside = self.air.inside();
        for pair in 0..self.shape.pairs as usize {
            done.extend(inside.pairs[self.first + pair].done.drain(..));
        }
        Ok(())
    }

    fn mark(&mut self, mark: u8) {
        self.mark = mark;
    }

    fn arrived(&self) -> u8 {
        self.air.inside().pairs[self.first].arrived
    }
}

/// The address of all devices.
pub(crate) fn address() -> Ipv6Addr {
    "::ffff:127.0.0.1".parse().unwrap()
}
