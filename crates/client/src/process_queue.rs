//! One queue that a consumer has: what was pulled and is not consumed yet, and so how far it may be committed.

use parking_lot::Mutex;
use protocol::body::MessageQueue;
use std::collections::BTreeSet;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Messages pulled and not consumed above which nothing more is pulled (pullThresholdForQueue).
const WAITING_MAX: usize = 1000;

/// A queue's progress.
pub(crate) struct ProcessQueue {
    pub(crate) queue: MessageQueue,
    state: Mutex<State>,
    room: Notify,
    /// The queue belongs to somebody else now, or the consumer stops.
    pub(crate) dropped: CancellationToken,
}

struct State {
    waiting: BTreeSet<i64>,
    next: i64,
    /// The offset that was last stored.
    stored: Option<i64>,
}

impl ProcessQueue {
    pub(crate) fn new(queue: MessageQueue, start: i64, dropped: CancellationToken) -> ProcessQueue {
        let state = State {
            waiting: BTreeSet::new(),
            next: start,
            stored: None,
        };
        ProcessQueue {
            queue,
            state: Mutex::new(state),
            room: Notify::new(),
            dropped,
        }
    }

    /// Messages at these offsets are to be consumed, then the queue goes on at `next`.
    pub(crate) fn pulled(&self, offsets: impl Iterator<Item = i64>, next: i64) {
        let mut state = self.state.lock();
        state.waiting.extend(offsets);
        state.next = next;
    }

    /// A message is consumed, or somebody else's business.
    pub(crate) fn done(&self, offset: i64) {
        self.state.lock().waiting.remove(&offset);
        self.room.notify_one();
    }

    /// Where to pull next.
    pub(crate) fn next(&self) -> i64 {
        self.state.lock().next
    }

    /// Everything before this offset is consumed.
    pub(crate) fn consumed_up_to(&self) -> i64 {
        let state = self.state.lock();
        state.waiting.first().copied().unwrap_or(state.next)
    }

    /// [`Self::consumed_up_to`] if it is not stored yet.
    pub(crate) fn to_store(&self) -> Option<i64> {
        let offset = self.consumed_up_to();
        (self.state.lock().stored != Some(offset)).then_some(offset)
    }

    pub(crate) fn stored(&self, offset: i64) {
        self.state.lock().stored = Some(offset);
    }

    /// Waits until few enough messages wait to be consumed.
    pub(crate) async fn room(&self) {
        while self.state.lock().waiting.len() >= WAITING_MAX {
            self.room.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unconsumed_message_holds_the_offset() {
        let queue = ProcessQueue::new(MessageQueue::default(), 10, CancellationToken::new());
        assert_eq!(queue.to_store(), Some(10));
        queue.pulled(10..13, 15);
        queue.done(11);
        assert_eq!(queue.consumed_up_to(), 10);
        queue.done(10);
        assert_eq!(queue.consumed_up_to(), 12);
        queue.stored(12);
        assert_eq!(queue.to_store(), None);
        queue.done(12);
        assert_eq!((queue.to_store(), queue.next()), (Some(15), 15));
    }
}
