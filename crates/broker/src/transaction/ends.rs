//! How half messages were ended lately, so that what was rolled back is not committed, and nothing is committed twice.
//!
//! Java ends a half message as often as it is told to. What is known here are the last ends of this broker's run, and the
//! marks that the check has before it: those since the last round where the broker has just started.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;

/// Ends that are remembered, some 50 bytes each.
const ENDS_MAX: usize = 1 << 16;

/// How a half message was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its message is stored.
    Committed,
    /// It is dropped.
    RolledBack,
    /// A mark says so, and not how.
    Marked,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Committed => "committed",
            End::RolledBack => "rolled back",
            End::Marked => "ended",
        })
    }
}

#[derive(Debug, Default)]
struct State {
    by_half: HashMap<i64, End>,
    /// The oldest first; what was forgotten may still be there.
    order: VecDeque<i64>,
}

/// The last ends, by the half messages' queue offsets.
#[derive(Debug)]
pub struct Ends {
    state: Mutex<State>,
    max: usize,
}

impl Default for Ends {
    fn default() -> Self {
        Self::of_most(ENDS_MAX)
    }
}

impl Ends {
    fn of_most(max: usize) -> Self {
        Self {
            state: Mutex::default(),
            max,
        }
    }

    /// Takes note that a half message is being ended, unless it was ended before: then how. `first` is where it was before it was
    /// put back.
    pub fn begin(&self, half: i64, first: Option<i64>, end: End) -> Result<(), End> {
        let mut state = self.state.lock();
        let known = [Some(half), first].into_iter().flatten();
        match known.into_iter().find_map(|half| state.by_half.get(&half)) {
            Some(before) => Err(*before),
            None => {
                state.put(half, end, self.max);
                Ok(())
            }
        }
    }

    /// It could not be ended.
    pub fn forget(&self, half: i64) {
        self.state.lock().by_half.remove(&half);
    }

    /// A mark says that it is ended.
    pub fn mark(&self, half: i64) {
        self.state.lock().put(half, End::Marked, self.max);
    }
}

impl State {
    fn put(&mut self, half: i64, end: End, max: usize) {
        let Entry::Vacant(place) = self.by_half.entry(half) else {
            return;
        };
        place.insert(end);
        self.order.push_back(half);
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_half.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_message_is_ended_once() {
        let ends = Ends::default();
        assert_eq!(ends.begin(7, None, End::RolledBack), Ok(()));
        assert_eq!(ends.begin(7, None, End::Committed), Err(End::RolledBack));
        assert_eq!(
            ends.begin(9, Some(7), End::Committed),
            Err(End::RolledBack),
            "a copy of it"
        );
        ends.mark(7);
        assert_eq!(ends.begin(7, None, End::Committed), Err(End::RolledBack));
        ends.mark(8);
        assert_eq!(ends.begin(8, None, End::Committed), Err(End::Marked));
        ends.forget(7);
        assert_eq!(ends.begin(7, None, End::Committed), Ok(()));
    }

    #[test]
    fn the_oldest_ends_are_forgotten() {
        let ends = Ends::of_most(3);
        for half in 0..5 {
            assert_eq!(ends.begin(half, None, End::Committed), Ok(()));
        }
        let known: Vec<bool> = (0..5)
            .map(|half| ends.state.lock().by_half.contains_key(&half))
            .collect();
        assert_eq!(known, [false, false, true, true, true]);
        assert_eq!(ends.state.lock().order.len(), 3);
        for _ in 0..10 {
            ends.forget(4);
            assert_eq!(ends.begin(4, None, End::Committed), Ok(()));
        }
        assert!(ends.state.lock().order.len() <= 3 && ends.state.lock().by_half.len() <= 3);
    }
}
