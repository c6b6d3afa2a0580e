//! What the connections of one address do and hold together, so that one cannot take everything from all others.
//!
//! An address of IPv6 stands for its network of 64 bits: whoever has one has all of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::settings::{AddressLimits, Room};

/// One address that has connections.
#[derive(Debug)]
pub(crate) struct Address {
    ip: IpAddr,
    /// Its part of the room for requests.
    room: Room,
    asked: Rate,
    handshakes: AtomicUsize,
}

/// Requests of the current second: the second above, their number below.
#[derive(Debug, Default)]
pub(crate) struct Rate(AtomicU64);

impl Rate {
    /// Counts a request in this second; false if there were `most` already.
    pub(crate) fn take(&self, second: u32, most: u32) -> bool {
        let counted = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                let begun = u64::from(second) << 32;
                match before >> 32 == u64::from(second) {
                    true if before as u32 >= most => None,
                    true => Some(before + 1),
                    false => (most > 0).then_some(begun + 1),
                }
            });
        counted.is_ok()
    }
}

/// All addresses that have connections.
#[derive(Debug)]
pub(crate) struct Addresses {
    limits: AddressLimits,
    room: Arc<Room>,
    /// Each with the number of its connections.
    open: Mutex<HashMap<IpAddr, (Arc<Address>, usize)>>,
    handshakes: AtomicUsize,
}

/// A connection that counts for its address until this is dropped.
pub(crate) struct Entered {
    addresses: Arc<Addresses>,
    pub(crate) address: Arc<Address>,
}

/// A handshake that counts for its address until this is dropped.
pub(crate) struct Shaking<'a>(&'a Entered);

impl Addresses {
    pub(crate) fn new(limits: AddressLimits, room: Arc<Room>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            room,
            open: Mutex::default(),
            handshakes: AtomicUsize::new(0),
        })
    }

    /// Counts a connection; `None` if its address has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Entered> {
        let ip = network(ip);
        let mut open = self.open.lock();
        let (address, connections) = open.entry(ip).or_insert_with(|| {
            let held_max = match self.limits.bytes_held_max {
                0 => self.room.max() / 2,
                given => given,
            };
            let address = Address {
                ip,
                room: Room::of(held_max),
                asked: Rate::default(),
                handshakes: AtomicUsize::new(0),
            };
            (Arc::new(address), 0)
        });
        if self.limits.connections_max > 0 && *connections >= self.limits.connections_max {
            return None;
        }
        *connections += 1;
        Some(Entered {
            address: Arc::clone(address),
            addresses: Arc::clone(self),
        })
    }

    /// Addresses that have connections.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.open.lock().len()
    }
}

impl Entered {
    /// Counts a handshake; `None` if there are too many, of all addresses, or half as many of this one.
    pub(crate) fn shake(&self) -> Option<Shaking<'_>> {
        let shaking = Shaking(self);
        let all = self.addresses.handshakes.fetch_add(1, Ordering::Relaxed);
        let own = self.address.handshakes.fetch_add(1, Ordering::Relaxed);
        let most = self.addresses.limits.handshakes_max;
        (most == 0 || (all < most && own < most.div_ceil(2))).then_some(shaking)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        if let Some((_, connections)) = open.get_mut(&self.address.ip) {
            *connections -= 1;
            if *connections == 0 {
                open.remove(&self.address.ip);
            }
        }
    }
}

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.addresses.handshakes.fetch_sub(1, Ordering::Relaxed);
        self.0.address.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Who has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Address,
}

/// Where a connection's requests find room: that of all, and what its address may have of it.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    all: Arc<Room>,
    address: Option<Arc<Address>>,
}

impl Holding {
    /// Of a connection whose address does not count.
    pub(crate) fn of_all(all: Arc<Room>) -> Holding {
        Holding { all, address: None }
    }

    pub(crate) fn of(all: Arc<Room>, address: Arc<Address>) -> Holding {
        Holding {
            all,
            address: Some(address),
        }
    }

    /// Takes room for so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Full> {
        if !self.address.as_ref().is_none_or(|own| own.room.take(bytes)) {
            return Err(Full::Address);
        }
        if !self.all.take(bytes) {
            self.give_address(bytes);
            return Err(Full::All);
        }
        Ok(())
    }

    /// As [`Room::take_rest`].
    pub(crate) fn take_rest(&self, bytes: usize, more: usize, taken: &mut usize) -> Result<(), Full> {
        let before = *taken;
        if !self.all.take_rest(bytes, more, taken) {
            return Err(Full::All);
        }
        let Some(own) = &self.address else { return Ok(()) };
        let gained = *taken - before;
        let rest = bytes.saturating_sub(before);
        if own.room.take_below(own.room.max_for(gained.min(bytes)), gained) {
            return Ok(());
        }
        // What follows can do without.
        self.all.give(gained - rest);
        *taken = before + rest;
        if own.room.take_below(own.room.max_for(bytes), rest) {
            return Ok(());
        }
        self.all.give(rest);
        *taken = before;
        Err(Full::Address)
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.all.give(bytes);
        self.give_address(bytes);
    }

    fn give_address(&self, bytes: usize) {
        if let Some(own) = &self.address {
            own.room.give(bytes);
        }
    }

    /// Counts a request of the address in this second; false if there were `most` already.
    pub(crate) fn ask(&self, second: u32, most: u32) -> bool {
        self.address
            .as_ref()
            .is_none_or(|own| own.asked.take(second, most))
    }

    /// Bytes held, of all or of the address.
    pub(crate) fn held(&self, by: Full) -> usize {
        match (by, &self.address) {
            (Full::Address, Some(own)) => own.room.held(),
            _ => self.all.held(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn addresses(limits: AddressLimits, room: usize) -> Arc<Addresses> {
        Addresses::new(limits, Arc::new(Room::of(room)))
    }

    #[test]
    fn connections_are_counted_by_address_and_by_network() {
        let limits = AddressLimits {
            connections_max: 2,
            ..AddressLimits::default()
        };
        let all = addresses(limits, 1000);
        let enter = |ip: &str| all.enter(ip.parse().unwrap());
        let first = (enter("10.0.0.1").unwrap(), enter("::ffff:10.0.0.1").unwrap());
        assert!(enter("10.0.0.1").is_none());
        let other = (enter("10.0.0.2").unwrap(), enter("fe80::1").unwrap());
        let network = enter("fe80::ffff:0:0:2").unwrap();
        assert!(enter("fe80::3").is_none());
        assert!(enter("fe80:0:0:1::3").is_some());
        drop(first.0);
        assert!(enter("10.0.0.1").is_some());
        drop((first.1, other, network));
        assert_eq!(all.len(), 0, "nothing is kept of who has no connections");
    }

    #[test]
    fn one_address_has_half_of_the_room_unless_told() {
        for (told, most) in [(0, 40_000), (10_000, 10_000)] {
            let limits = AddressLimits {
                bytes_held_max: told,
                ..AddressLimits::default()
            };
            let all = addresses(limits, 80_000);
            let entered = all.enter([10, 0, 0, 1].into()).unwrap();
            let holding = Holding::of(Arc::clone(&all.room), Arc::clone(&entered.address));
            let other = Holding::of_all(Arc::clone(&all.room));
            // The last eighth is for small ones, as everywhere.
            let large = most / 8 * 7;
            let mut taken = 0;
            holding.take_rest(large, 60_000, &mut taken).unwrap();
            assert_eq!((taken, all.room.held()), (large, large));
            assert_eq!(holding.take_rest(4097, 60_000, &mut 0), Err(Full::Address));
            assert_eq!(holding.take(4097), Err(Full::Address));
            assert_eq!((all.room.held(), holding.held(Full::Address)), (large, large));
            holding.take(1000).unwrap();
            let held = holding.held(Full::Address);
            assert_eq!(other.take(70_000 - held), Ok(()));
            assert_eq!(other.take(5000), Err(Full::All));
            holding.give(held);
            other.give(70_000 - held);
            assert_eq!((all.room.held(), holding.held(Full::Address)), (0, 0));
        }
    }

    #[test]
    fn a_second_has_so_many_requests() {
        let rate = Rate::default();
        assert!(rate.take(0, 2) && rate.take(0, 2) && !rate.take(0, 2));
        assert!(rate.take(1, 2) && rate.take(1, 2) && !rate.take(1, 2));
        assert!(!rate.take(2, 0));
    }

    #[test]
    fn one_address_has_half_of_the_handshakes() {
        let limits = AddressLimits {
            handshakes_max: 4,
            ..AddressLimits::default()
        };
        let all = addresses(limits, 1000);
        let enter = |last| all.enter([10, 0, 0, last].into()).unwrap();
        let (a, b, c) = (enter(1), enter(2), enter(3));
        let of_a = (a.shake().unwrap(), a.shake().unwrap());
        assert!(a.shake().is_none());
        let of_b = (b.shake().unwrap(), b.shake().unwrap());
        assert!(c.shake().is_none(), "four of all");
        drop((of_a, of_b));
        assert!(a.shake().is_some() && c.shake().is_some());
    }
}
