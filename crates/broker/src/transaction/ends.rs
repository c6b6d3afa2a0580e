//! How half messages were ended lately, so that what was rolled back is not committed, and nothing is committed twice.
//!
//! Java ends a half message as often as it is told to. What is known here are the last ends of this broker's run, and the
//! marks that the check has before it: those since the last round where the broker has just started. A half message that the check has
//! put back is the same one, at whichever of its places it is ended.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;

/// Ends that are remembered, and copies that were put back; some 60 and 100 bytes each.
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

/// Which half message is ended: the place that the request names, and where it was before the check put it back, if the copy says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Half {
    /// Its queue offset.
    pub at: i64,
    /// Its first one.
    pub first: Option<i64>,
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

/// What is known of a half message, under its first queue offset.
#[derive(Debug, Clone, Copy)]
struct Known {
    end: End,
    /// The last of its places that a mark names.
    marked_to: Option<i64>,
}

#[derive(Debug, Default)]
struct State {
    by_first: HashMap<i64, Known>,
    counts: EndCounts,
    /// The oldest first; what was forgotten may still be there.
    order: VecDeque<i64>,
    copies: Copies,
}

/// The copies that the check has put back, of those that do not say where they were first.
#[derive(Debug, Default)]
struct Copies {
    /// Copy to first place.
    first: HashMap<i64, i64>,
    /// First place to the newest copy: the one that is not passed by the check.
    newest: HashMap<i64, i64>,
    /// Copies, the oldest first.
    order: VecDeque<i64>,
}

impl Copies {
    fn first_of(&self, half: Half) -> i64 {
        let first = half.first.unwrap_or(half.at);
        self.first.get(&first).copied().unwrap_or(first)
    }

    fn put(&mut self, first: i64, copy: i64, max: usize) {
        self.first.insert(copy, first);
        self.newest.insert(first, copy);
        self.order.push_back(copy);
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
            && let Some(first) = self.first.remove(&oldest)
            && self.newest.get(&first) == Some(&oldest)
        {
            self.newest.remove(&first);
        }
    }
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

    /// Takes note that a half message is being ended, unless it was ended before, at whichever of its places: then how.
    pub fn begin(&self, half: Half, end: End) -> Result<(), Before> {
        let mut state = self.state.lock();
        let first = state.copies.first_of(half);
        match state.by_first.get(&first).copied() {
            Some(known) => {
                let count = match known.end == end {
                    true => &mut state.counts.repeated,
                    false => &mut state.counts.contradicted,
                };
                *count += 1;
                Err(Before {
                    end: known.end,
                    is_marked: known.marked_to.is_some_and(|to| to >= half.at),
                })
            }
            None => {
                *state.counts.of(end) += 1;
                let marked_to = (end != End::Committed).then(|| state.last_place(first, half.at));
                state.put(first, Known { end, marked_to }, self.max);
                Ok(())
            }
        }
    }

    /// It could not be ended.
    pub fn forget(&self, half: Half) {
        let mut state = self.state.lock();
        let first = state.copies.first_of(half);
        if let Some(known) = state.by_first.remove(&first) {
            *state.counts.of(known.end) -= 1;
        }
    }

    /// The places that marks of this half message are to name: the one where it is ended, and the copy that the check has before it.
    pub fn to_mark(&self, half: Half) -> impl Iterator<Item = i64> {
        let state = self.state.lock();
        let first = state.copies.first_of(half);
        let copy = state.copies.newest.get(&first).copied();
        std::iter::once(half.at).chain(copy.filter(|copy| *copy > half.at))
    }

    /// A mark says that it is ended there; how, if that is not known.
    pub fn marked(&self, half: Half) {
        let mut state = self.state.lock();
        let first = state.copies.first_of(half);
        let marked_to = Some(half.at);
        match state.by_first.get_mut(&first) {
            Some(known) => known.marked_to = known.marked_to.max(marked_to),
            None => {
                let end = End::Marked;
                state.put(first, Known { end, marked_to }, self.max);
            }
        }
    }

    /// The check has put a half message back as `copy`. True if it was ended meanwhile: the copy is to be marked then, and nobody to be asked.
    pub fn put_back(&self, half: Half, copy: i64) -> bool {
        let mut state = self.state.lock();
        let first = state.copies.first_of(half);
        state.copies.put(first, copy, self.max);
        match state.by_first.get_mut(&first) {
            Some(known) if known.marked_to.is_some() => {
                known.marked_to = Some(copy);
                true
            }
            _ => false,
        }
    }

    /// How often half messages were ended.
    pub fn counts(&self) -> EndCounts {
        let state = self.state.lock();
        EndCounts {
            remembered: state.by_first.len(),
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
    fn last_place(&self, first: i64, at: i64) -> i64 {
        self.copies.newest.get(&first).map_or(at, |copy| at.max(*copy))
    }

    fn put(&mut self, first: i64, known: Known, max: usize) {
        let Entry::Vacant(place) = self.by_first.entry(first) else {
            return;
        };
        place.insert(known);
        self.order.push_back(first);
        if self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_first.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(end: End, is_marked: bool) -> Result<(), Before> {
        Err(Before { end, is_marked })
    }

    fn at(at: i64) -> Half {
        Half { at, first: None }
    }

    /// A copy that says where it was first.
    fn copy(at: i64, first: i64) -> Half {
        Half {
            at,
            first: Some(first),
        }
    }

    fn to_mark(ends: &Ends, half: Half) -> Vec<i64> {
        ends.to_mark(half).collect()
    }

    #[test]
    fn a_half_message_is_ended_once() {
        let ends = Ends::default();
        let rolled_back = |is_marked| before(End::RolledBack, is_marked);
        assert_eq!(ends.begin(at(7), End::RolledBack), Ok(()));
        assert_eq!(ends.begin(at(7), End::Committed), rolled_back(true));
        assert_eq!(
            ends.begin(copy(9, 7), End::Committed),
            rolled_back(false),
            "a copy of it"
        );
        ends.marked(at(7));
        assert_eq!(ends.begin(at(7), End::Committed), rolled_back(true));
        ends.marked(at(8));
        assert_eq!(ends.begin(at(8), End::Committed), before(End::Marked, true));
        ends.forget(at(7));
        assert_eq!(ends.begin(at(7), End::Committed), Ok(()));
    }

    #[test]
    fn a_commit_is_marked_once() {
        let ends = Ends::default();
        assert_eq!(ends.begin(at(7), End::Committed), Ok(()));
        let told_again = |half, is_marked| {
            assert_eq!(
                ends.begin(half, End::Committed),
                before(End::Committed, is_marked),
                "{half:?}"
            );
        };
        told_again(copy(9, 7), false);
        ends.marked(copy(9, 7));
        told_again(at(7), true);
        told_again(copy(9, 7), true);
        told_again(copy(11, 7), false);
    }

    #[test]
    fn what_was_put_back_is_ended_once_at_whichever_place() {
        for (ended_at, again_at) in [(3, 3), (3, 8), (3, 12), (8, 3), (8, 12), (12, 3), (12, 8)] {
            for end in [End::Committed, End::RolledBack] {
                let ends = Ends::default();
                assert!(!ends.put_back(at(3), 8) && !ends.put_back(at(8), 12));
                assert_eq!(ends.begin(at(ended_at), end), Ok(()));
                let places = if ended_at == 12 {
                    vec![12]
                } else {
                    vec![ended_at, 12]
                };
                assert_eq!(to_mark(&ends, at(ended_at)), places);
                places.into_iter().for_each(|place| ends.marked(at(place)));
                assert_eq!(
                    ends.begin(at(again_at), end),
                    before(end, true),
                    "{ended_at} {again_at}"
                );
                assert!(ends.put_back(at(12), 15), "it crossed the end");
                assert_eq!(ends.begin(at(15), end), before(end, true));
            }
        }
        // Of another half message nothing is known.
        let ends = Ends::default();
        ends.put_back(at(3), 8);
        assert_eq!(ends.begin(at(4), End::Committed), Ok(()));
        assert_eq!(to_mark(&ends, at(4)), [4]);
        // What is committed and not safe yet goes on being asked for.
        assert_eq!(ends.begin(at(8), End::Committed), Ok(()));
        assert!(!ends.put_back(at(8), 15));
        assert_eq!(ends.begin(at(15), End::Committed), before(End::Committed, false));
        assert_eq!(to_mark(&ends, at(8)), [8, 15]);
        // A copy that says where it was first is put back without a word on that.
        ends.put_back(copy(20, 5), 21);
        assert_eq!(ends.begin(at(21), End::RolledBack), Ok(()));
        assert_eq!(ends.begin(at(5), End::Committed), before(End::RolledBack, true));
    }

    #[test]
    fn ends_are_counted() {
        let ends = Ends::default();
        let _ = ends.begin(at(1), End::Committed);
        let _ = ends.begin(at(2), End::Committed);
        let _ = ends.begin(at(3), End::RolledBack);
        let _ = ends.begin(at(1), End::Committed);
        let _ = ends.begin(at(3), End::Committed);
        ends.forget(at(2));
        ends.marked(at(4));
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
    fn the_oldest_ends_and_copies_are_forgotten() {
        let ends = Ends::of_most(3);
        for half in 0..5 {
            assert_eq!(ends.begin(at(half), End::Committed), Ok(()));
        }
        let known: Vec<bool> = (0..5)
            .map(|half| ends.state.lock().by_first.contains_key(&half))
            .collect();
        assert_eq!(known, [false, false, true, true, true]);
        assert_eq!(ends.state.lock().order.len(), 3);
        for _ in 0..10 {
            ends.forget(at(4));
            assert_eq!(ends.begin(at(4), End::Committed), Ok(()));
        }
        assert!(ends.state.lock().order.len() <= 3 && ends.state.lock().by_first.len() <= 3);
        for half in (10..30).step_by(2) {
            ends.put_back(at(half), half + 1);
        }
        let state = ends.state.lock();
        let Copies { first, newest, order } = &state.copies;
        assert_eq!((first.len(), newest.len(), order.len()), (3, 3, 3));
    }
}
