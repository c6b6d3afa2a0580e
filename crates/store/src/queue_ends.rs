//! Ends of queues that the log does not tell any more.
//!
//! A queue whose messages have all expired keeps its offsets: its files have its end. A slave that builds its queues from a log that
//! begins behind those messages knows nothing of them, and as a master it would give their offsets again, which consumers have behind
//! them. So a master tells such ends, and the slave keeps those places for nobody.

use crate::latch::Undone;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::store::Store;
use disk::Disk;
use message::name;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Most queues whose ends are told.
const TOLD_MAX: usize = 1 << 16;

/// Ends of queues, by topic and queue id.
pub type QueueEnds = BTreeMap<String, BTreeMap<i32, QueueOffset>>;

impl<D: Disk> Store<D> {
    /// The ends of queues of whose messages the log from `begin` on has none: of 65,536 queues at most.
    pub fn ends_before(&self, begin: PhysicalOffset) -> QueueEnds {
        let mut ends = QueueEnds::new();
        let mut left = TOLD_MAX;
        for queue in self.queues.all() {
            // The end first: what comes behind it meanwhile, the log has.
            let end = queue.end();
            if end == 0 || queue.is_deleted() || queue.max_physical() > begin.0 {
                continue;
            }
            let Some(less) = left.checked_sub(1) else {
                tracing::warn!(
                    "of more than {TOLD_MAX} consumequeues all messages have expired; a slave is told the ends of as many, and would give \
                     offsets of the others again"
                );
                break;
            };
            left = less;
            let topic = ends.entry(queue.topic.to_string()).or_default();
            topic.insert(queue.id, QueueOffset(end));
        }
        ends
    }

    /// Leaves the places below these ends to nobody, durably: the log has none of their messages. Gives how many queues were shorter.
    ///
    /// Reput waits while one queue is brought to its end.
    ///
    /// # Errors
    /// Not all was done. The same call again does the rest.
    pub fn keep_ends(&self, ends: &QueueEnds) -> Result<usize, KeepEndsError> {
        let mut kept = 0;
        for (topic, queues) in ends {
            if name::check_any_topic(topic).is_err() {
                continue;
            }
            let queues = queues.iter().map(|(id, end)| (*id, end.0));
            for (id, end) in queues.filter(|(id, end)| *id >= 0 && (1..i64::MAX / 32).contains(end)) {
                let _reput = self.reput.lock();
                if self.queues.get(topic, id).is_some_and(|queue| queue.end() >= end) {
                    continue;
                }
                let queue = self.queues.get_or_new(topic, id);
                if queue.is_deleted() {
                    continue;
                }
                self.latch
                    .guard(queue.keep_places(&self.disk, &self.queue_files, end))?;
                queue.next.fetch_max(end, Ordering::Relaxed);
                kept += 1;
            }
        }
        if kept > 0 {
            self.flush_consumequeues(0, true).map_err(Undone::Latched)?;
        }
        Ok(kept)
    }
}

/// Why a slave has not kept what its master told of the ends of queues.
#[derive(Debug, thiserror::Error)]
pub enum KeepEndsError {
    /// Writes are off for good.
    #[error(transparent)]
    Latched(#[from] crate::latch::Latched),
    /// A queue file could not be made or written.
    #[error("the ends of queues whose messages have expired could not be noted: {0}")]
    Disk(#[from] disk::Error),
}

impl From<Undone> for KeepEndsError {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Latched(latched) => KeepEndsError::Latched(latched),
            Undone::Waits(error) => KeepEndsError::Disk(error),
        }
    }
}
