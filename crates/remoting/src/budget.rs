//! Memory that requests may occupy in a table, in bytes.
//!
//! What a peer makes the broker keep (a held pull, a member, a lock) takes a [`Share`] of the table's [`Budget`] first and
//! gives it back when it is dropped. A budget that is used up refuses, counts, and says so in the answer. What is taken for an address may
//! be half of it: others have the rest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::address::network;

/// The limit of one table.
#[derive(Debug)]
pub struct Budget {
    name: &'static str,
    max_bytes: usize,
    used: AtomicUsize,
    refused: AtomicU64,
    /// What is taken for each address.
    owners: Mutex<HashMap<IpAddr, usize>>,
}

/// A table has no memory left for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("[{name}] no memory left for more{whose}: {max_bytes} bytes are kept at most, try again later")]
pub struct Exhausted {
    /// Which table.
    pub name: &'static str,
    /// Empty, or ` from this address`.
    pub whose: &'static str,
    /// Its limit, bytes.
    pub max_bytes: usize,
}

/// Some of a budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Budget>,
    bytes: usize,
    owner: Option<IpAddr>,
}

impl Budget {
    /// A budget of `max_bytes` for the table of this name.
    pub fn new(name: &'static str, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            max_bytes,
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            owners: Mutex::default(),
        })
    }

    /// Takes `bytes` for an address (of IPv6 a network of 64 bits), which has half of the budget at most, or refuses and counts the refusal.
    pub fn take_for(self: &Arc<Self>, owner: IpAddr, bytes: usize) -> Result<Share, Exhausted> {
        let owner = network(owner);
        let mut owners = self.owners.lock();
        let used = owners.get(&owner).copied().unwrap_or_default();
        let max_bytes = self.max_bytes / 2;
        let Some(sum) = used.checked_add(bytes).filter(|sum| *sum <= max_bytes) else {
            self.refuse();
            return Err(Exhausted {
                name: self.name,
                whose: " from this address",
                max_bytes,
            });
        };
        let mut share = self.take(bytes)?;
        owners.insert(owner, sum);
        share.owner = Some(owner);
        Ok(share)
    }

    /// Takes `bytes`, or refuses and counts the refusal.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Result<Share, Exhausted> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Share {
                of: Arc::clone(self),
                bytes,
                owner: None,
            }),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Exhausted {
                    name: self.name,
                    whose: "",
                    max_bytes: self.max_bytes,
                })
            }
        }
    }

    /// Counts `bytes` that are there already, whatever the limit: whoever took them in has looked at it before.
    pub fn count(self: &Arc<Self>, bytes: usize) -> Share {
        self.used.fetch_add(bytes, Ordering::AcqRel);
        Share {
            of: Arc::clone(self),
            bytes,
            owner: None,
        }
    }

    /// Is it used up?
    pub fn is_exhausted(&self) -> bool {
        self.used() >= self.max_bytes
    }

    /// Counts a refusal by somebody who found it used up.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its limit, bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// How often it refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(owner) = self.owner {
            let mut owners = self.of.owners.lock();
            if let Some(used) = owners.get_mut(&owner) {
                *used -= self.bytes;
                if *used == 0 {
                    owners.remove(&owner);
                }
            }
        }
        self.of.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_of_it() {
        let budget = Budget::new("TEST", 100);
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut hog = vec![
            budget.take_for(one, 30).expect("room"),
            budget.take_for(one, 20).expect("half"),
        ];
        let refused = budget.take_for(one, 1).expect_err("more than half");
        assert_eq!((refused.max_bytes, budget.refused()), (50, 1));
        assert!(refused.to_string().contains("from this address"), "{refused}");
        let rest = budget.take_for(other, 50).expect("the rest is for others");
        assert_eq!(
            budget.take_for(IpAddr::from([10, 0, 0, 3]), 1).map(drop),
            Err(Exhausted {
                name: "TEST",
                whose: "",
                max_bytes: 100
            })
        );
        hog.pop();
        let again = budget.take_for(one, 20).expect("it was given back");
        drop((hog, again, rest));
        assert!(budget.used() == 0 && budget.owners.lock().is_empty());
        // Of IPv6 a host has a whole network.
        let [first, second] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().expect("an address"));
        let _held = budget.take_for(first, 50).expect("half");
        assert!(budget.take_for(second, 1).is_err());
    }

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new("TEST", 100);
        let first = budget.take(60).expect("room");
        let refusal = budget.take(41).expect_err("too much");
        assert_eq!((budget.used(), budget.refused()), (60, 1));
        assert!(refusal.to_string().contains("TEST"), "{refusal}");
        let second = budget.take(40).expect("exactly what is left");
        assert!(budget.take(1).is_err());
        drop((first, second));
        assert_eq!(budget.used(), 0);
        assert!(budget.take(usize::MAX).is_err(), "no overflow");
        let over = (budget.count(99), budget.count(2));
        assert!(budget.is_exhausted() && budget.used() == 101);
        drop(over);
        assert!(!budget.is_exhausted());
    }
}
