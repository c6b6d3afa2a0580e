//! Requests that wait for the disk on a thread of their own, counted for the runtime info.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The requests of one family. Cloned handles count together.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    /// Number to when it came, ms since 1970: the first is the oldest.
    since: BTreeMap<u64, i64>,
}

/// One of them; counted until it is dropped.
pub struct Entered {
    of: InFlight,
    number: u64,
}

impl InFlight {
    /// Counts one more, come at `now` (ms).
    pub fn enter(&self, now: i64) -> Entered {
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.since.insert(number, now);
        drop(state);
        let of = self.clone();
        Entered { of, number }
    }

    /// As [`InFlight::enter`]; none if there are `most` already.
    pub fn try_enter(&self, now: i64, most: usize) -> Option<Entered> {
        // Two that come at once may both be let in: a bound, not a count to rely on.
        (self.look(now).0 < most).then(|| self.enter(now))
    }

    /// How many there are, and how long the oldest has been here, ms.
    pub fn look(&self, now: i64) -> (usize, i64) {
        let state = self.0.lock();
        let oldest = state.since.first_key_value();
        let wait = oldest.map_or(0, |(_, since)| (now - since).max(0));
        (state.since.len(), wait)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.of.0.lock().since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_left_says_how_long() {
        let all = InFlight::default();
        assert_eq!(all.look(5), (0, 0));
        let first = all.enter(10);
        let second = all.enter(12);
        assert_eq!(all.look(20), (2, 10));
        drop(first);
        assert_eq!(all.look(20), (1, 8));
        assert_eq!(all.look(11), (1, 0), "a clock that was set back");
        drop(second);
        assert_eq!(all.look(20), (0, 0));
        let only = all.try_enter(30, 1).expect("nobody is there");
        assert!(all.try_enter(30, 1).is_none());
        drop(only);
        assert!(all.try_enter(30, 1).is_some());
    }
}
