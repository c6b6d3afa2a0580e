//! How far half messages and marks are looked through: consumer offsets of CID_RMQ_SYS_TRANS.
//!
//! An offset is written when the log is durable up to its end at the moment when the offset was noted. So no power cut leaves
//! an offset behind a half message whose copy it took, nor one behind marks that it took.

use disk::Disk;
use message::name::{HALF_TOPIC, OP_HALF_TOPIC};
use store::{PhysicalOffset, QueueOffset, Store};

use super::{GROUP, QUEUE};
use crate::tables::OffsetTable;

/// Offsets of both queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The next half message.
    pub half: i64,
    /// The next mark.
    pub mark: i64,
}

/// Where the walk is, and what of that is written.
#[derive(Debug)]
pub struct Progress {
    now: Place,
    /// In the table of offsets, as it was read or written last.
    written: [Option<i64>; 2],
    /// To be written when the log is durable up to there.
    noted: Option<(PhysicalOffset, Place)>,
}

impl Progress {
    /// What the table says, brought into what the queues have.
    pub fn load<D: Disk>(offsets: &OffsetTable, store: &Store<D>) -> Self {
        let written = table(offsets);
        let place = |topic: &str, saved: Option<i64>| {
            let first = store.queue_min_offset(topic, QUEUE);
            let saved = saved.map_or(first, QueueOffset);
            let right = store.clamp_offset(topic, QUEUE, saved);
            if right != saved {
                tracing::warn!(
                    "transactions were looked through up to {saved} of {topic}, where its queue has no message: it goes on at {right}"
                );
            }
            right.0
        };
        let [half, mark] = written;
        Self {
            now: Place {
                half: place(HALF_TOPIC, half),
                mark: place(OP_HALF_TOPIC, mark),
            },
            written,
            noted: None,
        }
    }

    /// Has somebody else set the offsets since, or did a queue lose what they point at?
    pub fn is_outdated<D: Disk>(&self, offsets: &OffsetTable, store: &Store<D>) -> bool {
        let is_in = |topic: &str, at: i64| store.clamp_offset(topic, QUEUE, QueueOffset(at)).0 == at;
        table(offsets) != self.written
            || !is_in(HALF_TOPIC, self.now.half)
            || !is_in(OP_HALF_TOPIC, self.now.mark)
    }

    /// Where the walk is.
    pub fn now(&self) -> Place {
        self.now
    }

    /// The walk goes on.
    pub fn walk_to(&mut self, half: i64) {
        self.now.half = half;
    }

    /// The walk is at `place`, while the log ends at `end`.
    pub fn note(&mut self, place: Place, end: PhysicalOffset) {
        self.now = place;
        if self.noted.is_none() && self.is_ahead() {
            self.noted = Some((end, place));
        }
    }

    fn is_ahead(&self) -> bool {
        self.written != [Some(self.now.half), Some(self.now.mark)]
    }

    /// Does something wait for the log to be durable?
    pub fn is_waiting(&self) -> bool {
        self.noted.is_some()
    }

    /// Puts into the table what the log is safe for up to `safe`; true if there was something.
    pub fn settle<D: Disk>(&mut self, offsets: &OffsetTable, store: &Store<D>, safe: PhysicalOffset) -> bool {
        let mut any = false;
        while let Some((_, place)) = self.noted.filter(|(end, _)| *end <= safe) {
            // Full, it says so to every consumer; what is not written is looked through again.
            let _full = offsets.commit(GROUP, HALF_TOPIC, QUEUE, place.half);
            let _full = offsets.commit(GROUP, OP_HALF_TOPIC, QUEUE, place.mark);
            self.written = [Some(place.half), Some(place.mark)];
            self.noted = None;
            self.note(self.now, store.max_physical());
            any = true;
        }
        any
    }
}

fn table(offsets: &OffsetTable) -> [Option<i64>; 2] {
    [HALF_TOPIC, OP_HALF_TOPIC].map(|topic| offsets.get(GROUP, topic, QUEUE))
}
