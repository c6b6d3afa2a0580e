//! Memory that requests may occupy in a table, in bytes.
//!
//! What a peer makes the broker keep (a held pull, a member, a lock) takes a [`Share`] of the table's [`Budget`] first and
//! gives it back when it is dropped. A budget that is used up refuses, counts, and says so in the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The limit of one table.
#[derive(Debug)]
pub struct Budget {
    name: &'static str,
    max_bytes: usize,
    used: AtomicUsize,
    refused: AtomicU64,
}

/// A table has no memory left for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("[{name}] no memory left for more: {max_bytes} bytes are kept at most, try again later")]
pub struct Exhausted {
    /// Which table.
    pub name: &'static str,
    /// Its limit, bytes.
    pub max_bytes: usize,
}

/// Some of a budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of `max_bytes` for the table of this name.
    pub fn new(name: &'static str, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            max_bytes,
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes `bytes`, or refuses and counts the refusal.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Result<Share, Exhausted> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Share {
                of: Arc::clone(self),
                bytes,
            }),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Exhausted {
                    name: self.name,
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
        self.of.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
