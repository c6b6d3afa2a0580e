//! Pulls that wait for messages (RocketMQ 4.9.8, PullRequestHoldService).
//!
//! A pull that found nothing is kept here with its responder and **no answer is sent**. Dispatch tells of each new
//! message; who waits for it is taken out and run again. Unlike Java, which looks at expired ones each 5 s, a pull is
//! answered within [`TICK_MS`] of its limit.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How often expired pulls are looked for, ms.
pub const TICK_MS: u64 = 100;
/// Most pulls held at once; more are answered PULL_NOT_FOUND at once.
pub const HELD_MAX: usize = 200_000;

/// A pull that waits.
pub struct Held<P> {
    /// Wakes when the queue's end is above this.
    pub offset: i64,
    /// When it is answered anyway, ms since 1970.
    pub deadline_ms: i64,
    /// Whatever runs the pull again.
    pub pull: P,
}

/// Something that can wait in [`Hold`].
pub trait Waiting {
    /// Does a message with this tagsCode interest it?
    fn wants(&self, tags_code: i64) -> bool;
    /// Is anybody still there to answer?
    fn is_alive(&self) -> bool;
}

type Queues<P> = HashMap<Arc<str>, HashMap<i32, Vec<Held<P>>>>;

/// The table: by topic and queue, in shards.
pub struct Hold<P> {
    shards: Vec<Mutex<Queues<P>>>,
    hasher: RandomState,
    held: AtomicUsize,
    /// Wakes who looks for expired pulls, when there is something to look for.
    first: Notify,
}

impl<P: Waiting> Default for Hold<P> {
    fn default() -> Self {
        let shards = (0..16).map(|_| Mutex::new(HashMap::new())).collect();
        Self {
            shards,
            hasher: RandomState::new(),
            held: AtomicUsize::new(0),
            first: Notify::new(),
        }
    }
}

impl<P: Waiting> Hold<P> {
    fn shard(&self, topic: &str) -> &Mutex<Queues<P>> {
        let at = self.hasher.hash_one(topic) as usize % self.shards.len();
        self.shards.get(at).expect("reduced modulo the number of shards")
    }

    /// How many pulls wait.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a pull is held.
    pub async fn wait_for_any(&self) {
        while self.is_empty() {
            self.first.notified().await;
        }
    }

    /// Keeps a pull, or gives it back when the table is full. The caller must look at the queue's end once more
    /// afterwards ([`Hold::take`]): a message may have come between its read and this call.
    pub fn put(&self, topic: &str, queue_id: i32, held: Held<P>) -> Result<(), Held<P>> {
        let before = self.held.fetch_add(1, Ordering::AcqRel);
        if before >= HELD_MAX {
            self.held.fetch_sub(1, Ordering::AcqRel);
            return Err(held);
        }
        if before == 0 {
            self.first.notify_one();
        }
        let mut shard = self.shard(topic).lock();
        match shard.get_mut(topic) {
            Some(queues) => queues.entry(queue_id).or_default().push(held),
            None => {
                shard.insert(Arc::from(topic), HashMap::from([(queue_id, vec![held])]));
            }
        }
        Ok(())
    }

    /// Takes out every pull of the queue that a message just below `end`, with this tagsCode, wakes. `None` matches all.
    pub fn take(&self, topic: &str, queue_id: i32, end: i64, tags_code: Option<i64>) -> Vec<P> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut shard = self.shard(topic).lock();
        let Some(queues) = shard.get_mut(topic) else {
            return Vec::new();
        };
        let Some(waiting) = queues.get_mut(&queue_id) else {
            return Vec::new();
        };
        let ready = |h: &mut Held<P>| end > h.offset && tags_code.is_none_or(|code| h.pull.wants(code));
        let taken: Vec<P> = waiting.extract_if(.., ready).map(|h| h.pull).collect();
        if waiting.is_empty() {
            queues.remove(&queue_id);
            if queues.is_empty() {
                shard.remove(topic);
            }
        }
        drop(shard);
        self.held.fetch_sub(taken.len(), Ordering::AcqRel);
        taken
    }

    /// Takes out every pull whose time is over, and forgets those nobody waits for any more.
    pub fn take_expired(&self, now_ms: i64) -> Vec<P> {
        let (mut expired, mut gone) = (Vec::new(), 0);
        for shard in &self.shards {
            shard.lock().retain(|_, queues| {
                queues.retain(|_, waiting| {
                    let before = waiting.len();
                    waiting.retain(|h| h.pull.is_alive());
                    gone += before - waiting.len();
                    expired.extend(
                        waiting
                            .extract_if(.., |h| h.deadline_ms <= now_ms)
                            .map(|h| h.pull),
                    );
                    !waiting.is_empty()
                });
                !queues.is_empty()
            });
        }
        self.held.fetch_sub(gone + expired.len(), Ordering::AcqRel);
        expired
    }

    /// Takes out everything, for the stop.
    pub fn take_all(&self) -> Vec<P> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let queues = std::mem::take(&mut *shard.lock());
            all.extend(
                queues
                    .into_values()
                    .flat_map(HashMap::into_values)
                    .flatten()
                    .map(|h| h.pull),
            );
        }
        self.held.fetch_sub(all.len(), Ordering::AcqRel);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wish {
        tag: Option<i64>,
        alive: bool,
    }

    impl Waiting for Wish {
        fn wants(&self, tags_code: i64) -> bool {
            self.tag.is_none_or(|t| t == tags_code)
        }
        fn is_alive(&self) -> bool {
            self.alive
        }
    }

    fn held(offset: i64, deadline_ms: i64, tag: Option<i64>, alive: bool) -> Held<Wish> {
        Held {
            offset,
            deadline_ms,
            pull: Wish { tag, alive },
        }
    }

    #[test]
    fn only_who_waits_for_this_queue_offset_and_tag_wakes() {
        let hold = Hold::default();
        hold.put("T", 0, held(5, 1000, None, true))
            .map_err(|_| ())
            .expect("room");
        hold.put("T", 0, held(5, 1000, Some(7), true))
            .map_err(|_| ())
            .expect("room");
        hold.put("T", 1, held(0, 1000, None, true))
            .map_err(|_| ())
            .expect("room");
        assert!(
            hold.take("T", 0, 5, Some(7)).is_empty(),
            "offset 4 is not what they wait for"
        );
        assert!(hold.take("U", 0, 9, None).is_empty());
        assert_eq!(
            hold.take("T", 0, 6, Some(8)).len(),
            1,
            "the tag filter keeps the other"
        );
        assert_eq!(hold.take("T", 0, 7, Some(7)).len(), 1);
        assert_eq!(hold.len(), 1);
        assert_eq!(hold.take("T", 1, 1, None).len(), 1);
        assert!(hold.is_empty());
    }

    #[test]
    fn time_and_closed_connections_empty_the_table() {
        let hold = Hold::default();
        for (deadline, alive) in [(100, true), (200, true), (500, false)] {
            hold.put("T", 0, held(0, deadline, None, alive))
                .map_err(|_| ())
                .expect("room");
        }
        assert_eq!(hold.take_expired(99).len(), 0);
        assert_eq!(hold.len(), 2, "the closed one is gone");
        assert_eq!(hold.take_expired(100).len(), 1);
        assert_eq!(hold.take_all().len(), 1);
        assert!(hold.is_empty());
    }
}
