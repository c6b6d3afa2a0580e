//! Half messages that have a newer copy in the half queue.
//!
//! A check puts a half message back as a copy and passes it. After a kill, or on a slave that takes over, the walk begins where the table of
//! offsets says: some seconds of rounds earlier. The copy stands for the message then. Its end may be marked already, at the copy's place
//! alone; and while it is open it is asked for once. (Java asks for both, and puts both back.)

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use message::properties::{self, names};
use message::record::View;

/// Half messages that are compared at most, 32 bytes each. What does not fit is asked for as if it had no copy.
const SEEN_MAX: usize = 1 << 20;

/// A look through what lay in the half queue when the walk began there.
#[derive(Debug, Default)]
pub(super) struct Copies {
    hasher: RandomState,
    /// The next half message to look at, and where the look ends.
    left: Option<(i64, i64)>,
    /// The newest place of each, by its key's hash and when it was born.
    newest: HashMap<(u64, i64), i64>,
    passed_on: HashSet<i64>,
}

impl Copies {
    /// Looks at the half messages from `walk` to `end`.
    pub(super) fn between(walk: i64, end: i64) -> Self {
        Self {
            left: (walk < end).then_some((walk, end)),
            ..Self::default()
        }
    }

    /// The next half message to look at; none when the look is over.
    pub(super) fn next(&mut self) -> Option<i64> {
        match self.left {
            Some((next, end)) if next < end => Some(next),
            _ => {
                if self.left.take().is_some() {
                    self.newest = HashMap::new();
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

    /// Takes in a half message. One that a client has sent twice, because it heard no answer, has the same key and was born at another time.
    pub(super) fn take_in(&mut self, half: &View<'_>) {
        let Some(key) = properties::get_str(half.properties(), names::UNIQ_KEY) else {
            return;
        };
        if self.newest.len() >= SEEN_MAX {
            return;
        }
        let identity = (self.hasher.hash_one(key), half.born_timestamp());
        if let Some(older) = self.newest.insert(identity, half.queue_offset()) {
            self.passed_on.insert(older);
        }
    }

    /// Whether a newer copy stands for this half message. It is not asked about again.
    pub(super) fn take(&mut self, half: i64) -> bool {
        self.passed_on.remove(&half)
    }
}
