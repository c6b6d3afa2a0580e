//! The published end of a file: below it bytes do not change, and slices may be taken without a lock.
//!
//! Publishing is easy: bytes first, then the end. Taking the end back is not, because a slice may be taken at the same instant.
//! Both sides first say what they do and then look at the other: who takes a slice counts it and looks at the end, who takes
//! the end back sets it and looks at the count. With a fence between the two at least one of them sees the other.
//!
//! This file is compiled twice: with the atomics of `std`, and for a test with those of `loom`, which tries every order.

use super::atomics::{AtomicU64, Ordering, fence};

/// A published end in bytes.
#[derive(Debug)]
pub(crate) struct Published(AtomicU64);

impl Published {
    pub(crate) fn new(end: u64) -> Self {
        Published(AtomicU64::new(end))
    }

    /// The end. What was written below it before is seen.
    pub(crate) fn end(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Makes all below `end` readable; never goes back. Only under the file's lock.
    pub(crate) fn publish(&self, end: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed).max(end), Ordering::Release);
    }

    /// Whether a slice that ends at `end` may be taken. The caller has counted its reference already.
    pub(crate) fn covers(&self, end: u64) -> bool {
        fence(Ordering::SeqCst);
        end <= self.end()
    }

    /// Takes the end back, unless `is_in_use`, which looks at the count of references. Only under the file's lock.
    pub(crate) fn take_back(&self, end: u64, is_in_use: impl FnOnce() -> bool) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        if end >= before {
            return true;
        }
        self.0.store(end, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if is_in_use() {
            self.0.store(before, Ordering::SeqCst);
            return false;
        }
        // The count is read without an order. Whoever gave the last slice back has read its bytes before; what is written
        // there now must not come before that.
        fence(Ordering::Acquire);
        true
    }
}
