//! Which half messages are ended, and up to which mark nothing is needed any more.
//!
//! Marks come in any order and may name several half messages (5.x). A mark is needed until the walk through the half queue has
//! passed what it names; marks are forgotten from the oldest on, in one consumer offset.
//!
//! A mark may come after the walk has passed its half message, which was then put back under another offset. Copies that
//! were put back because they are immune say where they were first (TRAN_PREPARED_QUEUE_OFFSET): so such a mark is kept until the walk
//! has passed all copies that can name it. (Unlike Java, which forgets it at once, and asks or gives up what was committed.)

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Ended half messages that are remembered at most; each takes some 40 bytes.
const ENDED_MAX: usize = 1 << 20;
/// Marks whose need is counted at most, 4 bytes each.
const MARKS_MAX: usize = 4 << 20;
/// Marks kept for copies at most.
const LATE_MAX: usize = 1 << 16;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    ended: usize,
    marks: usize,
    late: usize,
}

/// A mark that came after its half message had been passed.
#[derive(Debug, Clone, Copy)]
struct Late {
    half: i64,
    mark: i64,
    /// Where the half queue ended: every copy that names the message lies before it.
    until: i64,
}

/// Half messages that are ended, of those that the walk has before it.
#[derive(Debug)]
pub struct Ended {
    bounds: Bounds,
    /// The next mark to read.
    next: i64,
    /// Every mark below is done with.
    base: i64,
    /// What each mark from there on is still needed for: how many half messages.
    needed: VecDeque<u32>,
    /// Half message to mark.
    by_half: BTreeMap<i64, i64>,
    late: VecDeque<Late>,
    /// How often each half message is among those.
    late_halves: HashMap<i64, u32>,
    /// From this half message on some ends are not remembered.
    horizon: i64,
    /// Marks were read whose need is not counted.
    uncounted: bool,
}

impl Ended {
    /// Nothing is known yet; marks are read from this one on.
    pub fn from(mark: i64) -> Self {
        Self::within(
            Bounds {
                ended: ENDED_MAX,
                marks: MARKS_MAX,
                late: LATE_MAX,
            },
            mark,
        )
    }

    fn within(bounds: Bounds, mark: i64) -> Self {
        Self {
            bounds,
            next: mark,
            base: mark,
            needed: VecDeque::new(),
            by_half: BTreeMap::new(),
            late: VecDeque::new(),
            late_halves: HashMap::new(),
            horizon: i64::MAX,
            uncounted: false,
        }
    }

    /// Forgets what was read, if not all of it is known: it is to be read again.
    pub fn begin_again(&mut self) {
        if self.horizon < i64::MAX || self.uncounted {
            *self = Self::within(self.bounds, self.base);
        }
    }

    /// The next mark to read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Nothing of the marks below is needed any more.
    pub fn done(&self) -> i64 {
        self.base
    }

    /// Up to which half message every end that was read is known.
    pub fn horizon(&self) -> i64 {
        self.horizon
    }

    /// The marks up to `mark` can not be read, or are no marks.
    pub fn skip_to(&mut self, mark: i64) {
        while self.next < mark {
            if self.uncounted {
                self.next = mark;
            } else if self.base == self.next {
                (self.base, self.next) = (mark, mark);
            } else {
                self.count(0);
            }
        }
    }

    /// Takes in the next mark. The walk is at `walk`, the half queue ends at `end`.
    pub fn take_in(&mut self, halves: impl Iterator<Item = i64>, walk: i64, end: i64) {
        let mark = self.next;
        self.count(0);
        for half in halves {
            if half >= end {
                // There is no such message, and the one that will be there is another.
                continue;
            }
            if half >= walk {
                self.remember(half, mark);
            } else if walk < end && self.late.len() < self.bounds.late {
                self.need(mark);
                self.late.push_back(Late {
                    half,
                    mark,
                    until: end,
                });
                *self.late_halves.entry(half).or_default() += 1;
            }
        }
        self.forget_done();
    }

    fn remember(&mut self, half: i64, mark: i64) {
        self.need(mark);
        if let Some(other) = self.by_half.insert(half, mark) {
            self.release(other);
        }
        if self.by_half.len() > self.bounds.ended
            && let Some((half, _)) = self.by_half.pop_last()
        {
            // Its mark stays needed, and so is read again.
            self.horizon = self.horizon.min(half);
        }
    }

    /// Whether this half message is ended; its end is not needed any more then.
    pub fn take(&mut self, half: i64) -> bool {
        let Some(mark) = self.by_half.remove(&half) else {
            return false;
        };
        self.release(mark);
        self.forget_done();
        true
    }

    /// Whether the message is ended that a copy says was first at `half`.
    pub fn has_first(&self, half: i64) -> bool {
        self.by_half.contains_key(&half) || self.late_halves.contains_key(&half)
    }

    /// The walk has come to `walk`.
    pub fn walked(&mut self, walk: i64) {
        while let Some(late) = self.late.front().copied().filter(|late| late.until <= walk) {
            self.late.pop_front();
            self.release(late.mark);
            if let Entry::Occupied(mut count) = self.late_halves.entry(late.half) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        // What was passed without being asked for: a message that can not be read.
        while let Some(passed) = self.by_half.first_entry().filter(|entry| *entry.key() < walk) {
            let mark = passed.remove();
            self.release(mark);
        }
        self.forget_done();
    }

    fn count(&mut self, needed: u32) {
        self.next += 1;
        if self.needed.len() < self.bounds.marks && !self.uncounted {
            self.needed.push_back(needed);
        } else {
            self.uncounted = true;
        }
    }

    fn of(&mut self, mark: i64) -> Option<&mut u32> {
        let at = usize::try_from(mark - self.base).ok()?;
        self.needed.get_mut(at)
    }

    fn need(&mut self, mark: i64) {
        if let Some(needed) = self.of(mark) {
            *needed += 1;
        }
    }

    fn release(&mut self, mark: i64) {
        if let Some(needed) = self.of(mark) {
            *needed = needed.saturating_sub(1);
        }
    }

    fn forget_done(&mut self) {
        while self.needed.front() == Some(&0) {
            self.needed.pop_front();
            self.base += 1;
        }
        if self.needed.is_empty() && self.needed.capacity() > 1 << 16 {
            self.needed = VecDeque::new();
        }
    }
}

/// The half queue offsets that a mark's body names: one in 4.9; in 5.x any number, each with a comma behind it.
pub(super) fn named(body: &[u8]) -> impl Iterator<Item = i64> {
    let texts = body.split(|byte| *byte == b',').filter(|text| !text.is_empty());
    texts.filter_map(|text| std::str::from_utf8(text).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(ended: usize, marks: usize, late: usize) -> Ended {
        Ended::within(Bounds { ended, marks, late }, 0)
    }

    #[test]
    fn bodies_of_both_versions_are_read() {
        let check = |body: &str, halves: &[i64]| {
            assert_eq!(named(body.as_bytes()).collect::<Vec<_>>(), halves, "{body:?}");
        };
        check("17", &[17]);
        check("0,0,3,", &[0, 0, 3]);
        check("5,", &[5]);
        check("5,x,7", &[5, 7]);
        check("", &[]);
        check("99999999999999999999", &[]);
    }

    #[test]
    fn a_mark_is_done_when_all_that_it_names_is_passed() {
        let mut ended = Ended::from(10);
        ended.take_in([2, 0].into_iter(), 0, 5);
        ended.take_in([1].into_iter(), 0, 5);
        assert_eq!((ended.next(), ended.done()), (12, 10));
        assert!(ended.take(0) && !ended.take(0));
        assert!(ended.take(1));
        ended.walked(2);
        assert_eq!(ended.done(), 10, "2 is before the walk");
        assert!(ended.take(2));
        assert_eq!(ended.done(), 12);
    }

    #[test]
    fn an_end_that_is_told_twice_is_one() {
        let mut ended = Ended::from(0);
        ended.take_in([3].into_iter(), 0, 5);
        ended.take_in([3].into_iter(), 0, 5);
        assert_eq!(ended.done(), 1);
        assert!(ended.take(3) && !ended.take(3));
        assert_eq!(ended.done(), 2);
        ended.take_in([3].into_iter(), 5, 5);
        assert_eq!(ended.done(), 3, "passed, and no copy is there");
        ended.take_in([77].into_iter(), 5, 5);
        assert_eq!(ended.done(), 4, "there is no such message");
    }

    #[test]
    fn a_late_mark_is_kept_for_the_copies_that_may_name_it() {
        let mut ended = Ended::from(0);
        ended.take_in([1].into_iter(), 4, 9);
        assert!(ended.has_first(1) && !ended.take(1));
        ended.walked(8);
        assert!(ended.has_first(1));
        assert_eq!(ended.done(), 0);
        ended.walked(9);
        assert!(!ended.has_first(1));
        assert_eq!(ended.done(), 1);
    }

    #[test]
    fn what_can_not_be_read_is_passed() {
        let mut ended = Ended::from(0);
        ended.take_in([4].into_iter(), 0, 9);
        ended.skip_to(1_000);
        assert_eq!((ended.next(), ended.done()), (1_000, 0));
        ended.walked(5);
        assert_eq!(
            ended.done(),
            1_000,
            "no end is waited for that nobody will ask for"
        );
        ended.skip_to(i64::MAX / 2);
        assert_eq!(ended.done(), i64::MAX / 2);
    }

    /// Ends of 0..count, told in another order, walked through with little memory: each is found, in so many rounds.
    #[test]
    fn with_little_memory_it_takes_more_rounds_and_loses_nothing() {
        let count = 1000i64;
        let marks: Vec<i64> = (0..count).map(|at| at * 7 % count).collect();
        for (bound_ended, bound_marks) in [(10, 2000), (2000, 10), (10, 10), (2000, 2000)] {
            let mut ended = small(bound_ended, bound_marks, 5);
            let (mut walk, mut rounds, mut found) = (0, 0, 0);
            while walk < count || ended.done() < count {
                rounds += 1;
                assert!(
                    rounds <= 2 * count,
                    "{bound_ended} {bound_marks}: it comes no further"
                );
                ended.begin_again();
                while ended.next() < count {
                    let half = marks[ended.next() as usize];
                    ended.take_in(std::iter::once(half), walk, count);
                }
                while walk < count && walk < ended.horizon() {
                    assert!(ended.take(walk), "{walk} is ended");
                    found += 1;
                    walk += 1;
                }
                ended.walked(walk);
                assert!(ended.by_half.len() <= bound_ended && ended.needed.len() <= bound_marks);
            }
            assert_eq!(found, count);
        }
    }
}
