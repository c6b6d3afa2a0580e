//! Settings that change while they are read.

use std::sync::Arc;

/// A value that readers take a snapshot of and a writer swaps whole. A snapshot never changes: a request sees one state of
/// all settings from its first line to its last.
#[derive(Debug)]
pub struct Live<T> {
    current: arc_swap::ArcSwap<T>,
}

impl<T> Live<T> {
    /// A first state.
    pub fn new(value: T) -> Live<T> {
        Live {
            current: arc_swap::ArcSwap::from_pointee(value),
        }
    }

    /// The state now, cheap enough to be taken once a request. Do not keep it: use [`Live::snapshot`] for that.
    pub fn load(&self) -> arc_swap::Guard<Arc<T>> {
        self.current.load()
    }

    /// The state now, to be kept.
    pub fn snapshot(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Replaces the state. Changes that depend on the old state must be made under the caller's own lock.
    pub fn store(&self, value: T) {
        self.current.store(Arc::new(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_stays() {
        let live = Live::new(1);
        let before = live.snapshot();
        live.store(2);
        assert_eq!((*before, **live.load()), (1, 2));
    }
}
