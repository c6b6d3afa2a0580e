//! Half messages that have a newer copy in the half queue.
//!
//! A check puts a half message back as a copy and passes it. After a kill, or on a slave that takes over, the walk begins where the table of
//! offsets says: some seconds of rounds earlier. The copy stands for the message then. Its end may be marked already, at the copy's place
//! alone; and while it is open it is asked for once. (Java asks for both, and puts both back.)

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use message::properties::{self, names};
use message::record::View;
use remoting::budget::{Budget, Share};

/// What is kept to compare half messages, bytes. What does not fit is asked for as if it had no copy.
const MAX_BYTES: usize = 64 << 20;
/// What a place in the table of newest copies takes, bytes, with its part of the table's empty ones.
const NEWEST_BYTES: usize = 64;
/// The same of one in the set of those that are passed over.
const PASSED_BYTES: usize = 24;
/// Bytes that are taken of the budget at once.
const BLOCK_BYTES: usize = 64 << 10;

/// The limit of what all looks together keep.
pub(super) fn budget() -> Arc<Budget> {
    Budget::new("TRANSACTION_COPIES", MAX_BYTES)
}

/// Memory for places of one table.
#[derive(Debug, Default)]
struct Room {
    blocks: Vec<Share>,
    left: usize,
}

impl Room {
    /// Takes room for a place.
    fn take(&mut self, budget: &Arc<Budget>, bytes: usize) -> bool {
        if self.left < bytes {
            let Ok(block) = budget.take(BLOCK_BYTES) else {
                return false;
            };
            self.blocks.push(block);
            self.left = BLOCK_BYTES;
        }
        self.left -= bytes;
        true
    }
}

/// A look through what lay in the half queue when the walk began there.
#[derive(Debug)]
pub(super) struct Copies {
    hasher: RandomState,
    budget: Arc<Budget>,
    /// The next half message to look at, and where the look ends.
    left: Option<(i64, i64)>,
    /// The newest place of each, by its key's hash and when it was born.
    newest: HashMap<(u64, i64), i64>,
    room_for_newest: Room,
    passed_on: HashSet<i64>,
    room_for_passed: Room,
}

impl Copies {
    /// Looks at the half messages from `walk` to `end`.
    pub(super) fn between(walk: i64, end: i64, budget: &Arc<Budget>) -> Self {
        Self {
            hasher: RandomState::new(),
            budget: Arc::clone(budget),
            left: (walk < end).then_some((walk, end)),
            newest: HashMap::new(),
            room_for_newest: Room::default(),
            passed_on: HashSet::new(),
            room_for_passed: Room::default(),
        }
    }

    /// The next half message to look at; none when the look is over.
    pub(super) fn next(&mut self) -> Option<i64> {
        match self.left {
            Some((next, end)) if next < end => Some(next),
            _ => {
                if self.left.take().is_some() {
                    self.newest = HashMap::new();
                    self.room_for_newest = Room::default();
                }
                None
            }
        }
    }

    /// What lies before `next` was looked at.
    pub(super) fn looked(&mut self, next: i64) {
        if let Some((at, _)) = &mut self.left {
            *at = next;
        }
    }

    /// Takes in a half message.
    pub(super) fn take_in(&mut self, half: &View<'_>) {
        if let Some(key) = properties::get_str(half.properties(), names::UNIQ_KEY) {
            self.note(key, half.born_timestamp(), half.queue_offset());
        }
    }

    /// The half message at `at`. One that a client has sent twice, because it heard no answer, has the same key and was born at another time.
    fn note(&mut self, key: &str, born: i64, at: i64) {
        let identity = (self.hasher.hash_one(key), born);
        if let Some(newest) = self.newest.get_mut(&identity) {
            // Without room both are asked for.
            if self.room_for_passed.take(&self.budget, PASSED_BYTES) {
                self.passed_on.insert(std::mem::replace(newest, at));
            }
        } else if self.room_for_newest.take(&self.budget, NEWEST_BYTES) {
            self.newest.insert(identity, at);
        }
    }

    /// Whether a newer copy stands for this half message. It is not asked about again.
    pub(super) fn take(&mut self, half: i64) -> bool {
        let is_passed = self.passed_on.remove(&half);
        if self.passed_on.is_empty() && self.left.is_none() {
            self.passed_on = HashSet::new();
            self.room_for_passed = Room::default();
        }
        is_passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(copies: &mut Copies, end: i64) {
        copies.looked(end);
        assert_eq!(copies.next(), None);
    }

    #[test]
    fn the_newest_copy_stands_for_the_others_once() {
        let budget = budget();
        let mut copies = Copies::between(0, 4, &budget);
        assert_eq!(copies.next(), Some(0));
        copies.note("k", 1, 0);
        copies.note("other", 1, 1);
        copies.note("k", 1, 2);
        copies.note("k", 2, 3);
        assert_eq!(budget.used(), 2 * BLOCK_BYTES);
        looked(&mut copies, 4);
        assert_eq!(budget.used(), BLOCK_BYTES, "nothing is compared any more");
        assert_eq!(
            [0, 0, 1, 2, 3].map(|half| copies.take(half)),
            [true, false, false, false, false]
        );
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_has_no_copy() {
        let budget = Budget::new("T", 2 * BLOCK_BYTES);
        let fits = (BLOCK_BYTES / NEWEST_BYTES) as i64;
        let mut copies = Copies::between(0, 100_000, &budget);
        for round in 0..2 {
            for half in 0..3 * fits {
                copies.note(&half.to_string(), 0, round * 3 * fits + half);
            }
        }
        assert_eq!(copies.newest.len() as i64, 2 * fits);
        // Of those that do not fit, and of those for whose older place there is no room, both are asked for.
        assert_eq!(budget.refused() as i64, 4 * fits);
        assert_eq!(budget.used(), 2 * BLOCK_BYTES);
        looked(&mut copies, 100_000);
        assert!(!(0..6 * fits).any(|half| copies.take(half)));
        assert_eq!(budget.used(), 0, "all is given back");
    }
}
