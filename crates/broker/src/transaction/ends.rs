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

/// What is known of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// How it was.
    pub end: End,
    /// Whether a mark says so, or will: without one its producer is asked, and what it answers is to be marked.
    pub is_marked: bool,
}

/// How often half messages were ended since the start, for operators.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct EndCounts {
    /// Committed for the first time.
    pub committed: u64,
    /// Rolled back for the first time.
    pub rolled_back: u64,
    /// Told again as it was.
    pub repeated: u64,
    /// Told otherwise than before, and refused.
    pub contradicted: u64,
    /// How many ends are remembered now.
    pub remembered: usize,
}

#[derive(Debug, Default)]
struct State {
    by_half: HashMap<i64, Before>,
    counts: EndCounts,
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
    pub fn begin(&self, half: i64, first: Option<i64>, end: End) -> Result<(), Before> {
        let mut state = self.state.lock();
        let known = [Some(half), first].into_iter().flatten();
        match known
            .into_iter()
            .find_map(|half| state.by_half.get(&half).copied())
        {
            Some(before) if before.end == end => {
                state.counts.repeated += 1;
                Err(before)
            }
            Some(before) => {
                state.counts.contradicted += 1;
                Err(before)
            }
            None => {
                *state.counts.of(end) += 1;
                let is_marked = end != End::Committed;
                state.put(half, Before { end, is_marked }, self.max);
                Ok(())
            }
        }
    }

    /// It could not be ended.
    pub fn forget(&self, half: i64) {
        let mut state = self.state.lock();
        if let Some(before) = state.by_half.remove(&half) {
            *state.counts.of(before.end) -= 1;
        }
    }

    /// The mark of a commit is written, for this place and where it was first.
    pub fn marked(&self, half: i64, first: Option<i64>) {
        let mut state = self.state.lock();
        for half in [Some(half), first].into_iter().flatten() {
            if let Some(before) = state.by_half.get_mut(&half) {
                before.is_marked = true;
            }
        }
    }

    /// A mark says that it is ended.
    pub fn mark(&self, half: i64) {
        let marked = Before {
            end: End::Marked,
            is_marked: true,
        };
        self.state.lock().put(half, marked, self.max);
    }

    /// How often half messages were ended.
    pub fn counts(&self) -> EndCounts {
        let state = self.state.lock();
        EndCounts {
            remembered: state.by_half.len(),
            ..state.counts
        }
    }
}

impl EndCounts {
    fn of(&mut self, end: End) -> &mut u64 {
        match end {
            End::Committed => &mut self.committed,
            End::RolledBack | End::Marked => &mut self.rolled_back,
        }
    }
}

impl State {
    fn put(&mut self, half: i64, end: Before, max: usize) {
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

    fn before(end: End, is_marked: bool) -> Result<(), Before> {
        Err(Before { end, is_marked })
    }

    #[test]
    fn a_half_message_is_ended_once() {
        let ends = Ends::default();
        let rolled_back = before(End::RolledBack, true);
        assert_eq!(ends.begin(7, None, End::RolledBack), Ok(()));
        assert_eq!(ends.begin(7, None, End::Committed), rolled_back);
        assert_eq!(
            ends.begin(9, Some(7), End::Committed),
            rolled_back,
            "a copy of it"
        );
        ends.mark(7);
        assert_eq!(ends.begin(7, None, End::Committed), rolled_back);
        ends.mark(8);
        assert_eq!(ends.begin(8, None, End::Committed), before(End::Marked, true));
        ends.forget(7);
        assert_eq!(ends.begin(7, None, End::Committed), Ok(()));
    }

    #[test]
    fn a_commit_is_marked_once() {
        let ends = Ends::default();
        assert_eq!(ends.begin(7, None, End::Committed), Ok(()));
        assert_eq!(
            ends.begin(9, Some(7), End::Committed),
            before(End::Committed, false)
        );
        ends.marked(9, Some(7));
        for (half, first) in [(7, None), (9, Some(7)), (11, Some(7))] {
            let known = before(End::Committed, true);
            assert_eq!(ends.begin(half, first, End::Committed), known, "{half}");
        }
    }

    #[test]
    fn ends_are_counted() {
        let ends = Ends::default();
        let _ = ends.begin(1, None, End::Committed);
        let _ = ends.begin(2, None, End::Committed);
        let _ = ends.begin(3, None, End::RolledBack);
        let _ = ends.begin(1, None, End::Committed);
        let _ = ends.begin(3, None, End::Committed);
        ends.forget(2);
        ends.mark(4);
        let counts = EndCounts {
            committed: 1,
            rolled_back: 1,
            repeated: 1,
            contradicted: 1,
            remembered: 3,
        };
        assert_eq!(ends.counts(), counts);
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
