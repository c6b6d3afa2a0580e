//! How many pulls are held, and the order in which that number and a queue's end are looked at.
//!
//! Who lets a pull wait first puts it into the table, then counts it, then looks at the queue's end. Who publishes a message
//! first moves the end, then looks at the count, and at the table if there is anything. All four are sequentially consistent,
//! so at least one of them sees the other: no pull sleeps through a message.
//!
//! This file is compiled twice: with the atomics of `std`, and for a test with those of `loom`, which tries every order.

use super::atomics::{AtomicUsize, Ordering, fence};

/// How many are held.
#[derive(Debug)]
pub(crate) struct HeldCount(AtomicUsize);

impl HeldCount {
    pub(crate) fn new() -> Self {
        HeldCount(AtomicUsize::new(0))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts one that is in the table; the number before. What is looked at afterwards is looked at after that.
    pub(crate) fn add(&self) -> usize {
        let before = self.0.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        before
    }

    /// Counts what was taken out of the table.
    pub(crate) fn sub(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::SeqCst);
    }
}
