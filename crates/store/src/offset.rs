//! The numbers that must not be mixed.

use std::fmt;

/// A byte position in the commitlog, over all its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalOffset(pub i64);

/// The index of a message in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(pub i64);

impl PhysicalOffset {
    /// The position `bytes` further on.
    #[must_use]
    pub fn plus(self, bytes: i64) -> PhysicalOffset {
        PhysicalOffset(self.0 + bytes)
    }
}

impl QueueOffset {
    /// The index `count` further on.
    #[must_use]
    pub fn plus(self, count: i64) -> QueueOffset {
        QueueOffset(self.0 + count)
    }
}

impl fmt::Display for PhysicalOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for QueueOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
