//! What the broker has promised so far, as its clients understood it.

use std::collections::{BTreeMap, BTreeSet};

/// A message whose sender heard SUCCESS.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    /// Its body.
    pub id: String,
    /// The topic it was sent to.
    pub topic: String,
    /// Where it is in the queue; parked messages are elsewhere first.
    pub queue_id: i32,
    /// Where it is in the queue.
    pub queue_offset: i64,
    /// Where its record is in the log.
    pub physical: i64,
    /// It is delivered later.
    pub is_delayed: bool,
    /// Its sender waited for the flush.
    pub waited: bool,
}

/// A queue's message, as a consumer saw it.
pub(crate) type Place = (String, i32, i64);

/// Everything that must hold after whatever happens.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    /// Bodies of everything that was ever sent, answered or not.
    pub sent: BTreeSet<String>,
    /// What senders heard SUCCESS for.
    pub acknowledged: Vec<Acknowledged>,
    /// Messages that were sent back, answered SUCCESS: each is in the group's retry or dead letter topic in the end.
    pub sent_back: BTreeSet<String>,
    /// What consumers saw.
    pub seen: BTreeMap<Place, String>,
    /// Topics whose creation was answered SUCCESS.
    pub made: BTreeSet<String>,
    /// Topics that somebody asked to delete, and the log's end when that was asked last: what lies before it may be gone.
    pub deleted: BTreeMap<String, i64>,
    /// The same where the deletion was answered SUCCESS: what lies before it is in no queue any more.
    pub emptied: BTreeMap<String, i64>,
    /// Topics whose deletion was answered SUCCESS and that nobody made again.
    pub gone: BTreeSet<String>,
    /// Deleted topics, answered SUCCESS, for which nobody committed an offset since.
    pub forgotten: BTreeSet<String>,
    /// Offsets that were committed, by topic and queue.
    pub committed: BTreeMap<(String, i32), BTreeSet<i64>>,
}

impl Promises {
    /// Whether a message of a topic may be gone because the topic was deleted after it.
    pub(crate) fn is_excused(&self, topic: &str, physical: i64) -> bool {
        self.deleted
            .get(topic)
            .is_some_and(|position| physical < *position)
    }

    /// The log ends at `end` now: what comes next lies where something else was.
    pub(crate) fn cut(&mut self, end: i64) {
        let positions = self.deleted.values_mut().chain(self.emptied.values_mut());
        positions.for_each(|position| *position = (*position).min(end));
    }
}
