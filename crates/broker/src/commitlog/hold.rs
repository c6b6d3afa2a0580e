//! Pulls that wait for messages (RocketMQ 4.9.8, PullRequestHoldService).
//!
//! A pull that found nothing is kept here with its responder and **no answer is sent**. Reput tells of each new
//! message; who waits for it is taken out and run again. Unlike Java, which looks at expired ones each 5 s, a pull is
//! answered soon after its limit.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::held_count::HeldCount;
use remoting::budget::{Budget, Exhausted, Share};

/// Bytes that held pulls may occupy. One that finds no room is refused, and its client waits before it asks again.
pub const HELD_MAX_BYTES: usize = 128 << 20;
/// Bytes of a held pull beside its texts.
const HELD_BYTES: usize = 512;

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
    /// Is anybody still there to answer?
    fn is_alive(&self) -> bool;
    /// Bytes of its texts.
    fn bytes(&self) -> usize;
    /// Whose it is.
    fn address(&self) -> IpAddr;
}

/// Where a pull waits among those of its queue: by what it waits for, then by when it came.
pub type Key = (i64, u64);

struct Entry<P> {
    held: Held<P>,
    _share: Share,
}

type Queue<P> = BTreeMap<Key, Entry<P>>;
type Queues<P> = HashMap<Arc<str>, HashMap<i32, Queue<P>>>;

/// The table: by topic and queue, in shards.
pub struct Hold<P> {
    shards: Vec<Mutex<Queues<P>>>,
    hasher: RandomState,
    held: HeldCount,
    next: AtomicU64,
    budget: Arc<Budget>,
    /// Wakes who looks for expired pulls, when there is something to look for.
    first: Notify,
    closed: AtomicBool,
}

impl<P: Waiting> Hold<P> {
    /// Nobody waits yet; what waits is taken from `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        let shards = (0..16).map(|_| Mutex::new(HashMap::new())).collect();
        Self {
            shards,
            hasher: RandomState::new(),
            held: HeldCount::new(),
            next: AtomicU64::new(0),
            budget,
            first: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    fn shard(&self, topic: &str) -> &Mutex<Queues<P>> {
        let at = self.hasher.hash_one(topic) as usize % self.shards.len();
        self.shards.get(at).expect("reduced modulo the number of shards")
    }

    /// The broker stops: gives back who waits. Who is put in afterwards has to be taken out again ([`Hold::take_one`]).
    pub fn close(&self) -> Vec<P> {
        self.closed.store(true, Ordering::SeqCst);
        self.take_all()
    }

    /// Does the broker stop?
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// How many pulls wait.
    pub fn len(&self) -> usize {
        self.held.get()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows pulls that wait, at most `max` of them, each with its topic and queue. Where there are more it is left to chance which.
    pub fn look(&self, max: usize, mut show: impl FnMut(&str, i32, &Held<P>)) {
        let mut shown = 0;
        for shard in &self.shards {
            let shard = shard.lock();
            for (topic, queues) in shard.iter() {
                for (queue_id, queue) in queues {
                    for entry in queue.values().take(max - shown) {
                        show(topic, *queue_id, &entry.held);
                        shown += 1;
                    }
                }
            }
        }
    }

    /// What waiting pulls occupy.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Waits until a pull is held.
    pub async fn wait_for_any(&self) {
        while self.is_empty() {
            self.first.notified().await;
        }
    }

    /// Keeps a pull, or gives it back when there is no memory for it. The caller must look at the queue's end once more
    /// afterwards and, if it is above the pull's offset, take the pull out again ([`Hold::take_one`]): a message may have
    /// come between its read and this call.
    pub fn put(&self, topic: &str, queue_id: i32, held: Held<P>) -> Result<Key, (Held<P>, Exhausted)> {
        let bytes = HELD_BYTES + topic.len() + held.pull.bytes();
        let share = match self.budget.take_for(held.pull.address(), bytes) {
            Ok(share) => share,
            Err(exhausted) => return Err((held, exhausted)),
        };
        let key = (held.offset, self.next.fetch_add(1, Ordering::Relaxed));
        let entry = Entry { held, _share: share };
        let mut shard = self.shard(topic).lock();
        match shard.get_mut(topic) {
            Some(queues) => {
                queues.entry(queue_id).or_default().insert(key, entry);
            }
            None => {
                let queue = BTreeMap::from([(key, entry)]);
                shard.insert(Arc::from(topic), HashMap::from([(queue_id, queue)]));
            }
        }
        // Counted before the lock is given up: who sees the count finds the pull.
        if self.held.add() == 0 {
            self.first.notify_one();
        }
        Ok(key)
    }

    /// Takes out one pull, if it still waits.
    pub fn take_one(&self, topic: &str, queue_id: i32, key: Key) -> Option<P> {
        let pull = self.change(topic, queue_id, |waiting| waiting.remove(&key))??;
        Some(pull.held.pull)
    }

    /// Takes out every pull of the queue that waits for a message just below `end` and for which that message is, into `out`.
    pub fn take(
        &self,
        (topic, queue_id): (&str, i32),
        end: i64,
        mut is_for: impl FnMut(&P) -> bool,
        out: &mut Vec<P>,
    ) {
        self.change(topic, queue_id, |waiting| {
            let ready: Vec<Key> = waiting
                .range(..(end, 0))
                .filter(|(_, entry)| is_for(&entry.held.pull))
                .map(|(key, _)| *key)
                .collect();
            let entries = ready.iter().filter_map(|key| waiting.remove(key));
            out.extend(entries.map(|entry| entry.held.pull));
        });
    }

    /// Changes who waits for a queue; nothing if nobody does.
    fn change<R>(&self, topic: &str, queue_id: i32, change: impl FnOnce(&mut Queue<P>) -> R) -> Option<R> {
        let mut shard = self.shard(topic).lock();
        let queues = shard.get_mut(topic)?;
        let waiting = queues.get_mut(&queue_id)?;
        let before = waiting.len();
        let result = change(waiting);
        let gone = before - waiting.len();
        if waiting.is_empty() {
            queues.remove(&queue_id);
            if queues.is_empty() {
                shard.remove(topic);
            }
        }
        drop(shard);
        self.held.sub(gone);
        Some(result)
    }

    /// Takes out every pull whose time is over, and forgets those nobody waits for any more.
    pub fn take_expired(&self, now_ms: i64) -> Vec<P> {
        let (mut expired, mut gone) = (Vec::new(), 0);
        for shard in &self.shards {
            shard.lock().retain(|_, queues| {
                queues.retain(|_, waiting| {
                    let before = waiting.len();
                    waiting.retain(|_, entry| entry.held.pull.is_alive());
                    gone += before - waiting.len();
                    let over: Vec<Key> = waiting
                        .iter()
                        .filter(|(_, entry)| entry.held.deadline_ms <= now_ms)
                        .map(|(key, _)| *key)
                        .collect();
                    let entries = over.iter().filter_map(|key| waiting.remove(key));
                    expired.extend(entries.map(|entry| entry.held.pull));
                    !waiting.is_empty()
                });
                !queues.is_empty()
            });
        }
        self.held.sub(gone + expired.len());
        expired
    }

    /// Takes out everything that waits for a topic.
    pub fn take_topic(&self, topic: &str) -> Vec<P> {
        let queues = self.shard(topic).lock().remove(topic).unwrap_or_default();
        let entries = queues.into_values().flat_map(BTreeMap::into_values);
        let all: Vec<P> = entries.map(|entry| entry.held.pull).collect();
        self.held.sub(all.len());
        all
    }

    /// Takes out everything that is as asked for. Looks at all that wait.
    pub fn take_those(&self, is_wanted: impl Fn(&P) -> bool) -> Vec<P> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            for waiting in shard.lock().values_mut().flat_map(HashMap::values_mut) {
                let wanted = waiting.iter().filter(|(_, entry)| is_wanted(&entry.held.pull));
                let wanted: Vec<Key> = wanted.map(|(key, _)| *key).collect();
                let entries = wanted.iter().filter_map(|key| waiting.remove(key));
                taken.extend(entries.map(|entry| entry.held.pull));
            }
        }
        self.held.sub(taken.len());
        taken
    }

    /// Takes out everything, for the stop.
    pub fn take_all(&self) -> Vec<P> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let queues = std::mem::take(&mut *shard.lock());
            let entries = queues
                .into_values()
                .flat_map(HashMap::into_values)
                .flat_map(BTreeMap::into_values);
            all.extend(entries.map(|entry| entry.held.pull));
        }
        self.held.sub(all.len());
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    struct Wish {
        tag: Option<i64>,
        alive: bool,
    }

    impl Waiting for Wish {
        fn is_alive(&self) -> bool {
            self.alive
        }
        fn bytes(&self) -> usize {
            1000
        }
        fn address(&self) -> IpAddr {
            IpAddr::from([10, 0, 0, 1])
        }
    }

    fn hold() -> Hold<Wish> {
        Hold::new(Budget::new("TEST", 100_000))
    }

    fn put(
        hold: &Hold<Wish>,
        queue_id: i32,
        offset: i64,
        deadline_ms: i64,
        tag: Option<i64>,
        alive: bool,
    ) -> Key {
        let held = Held {
            offset,
            deadline_ms,
            pull: Wish { tag, alive },
        };
        hold.put("T", queue_id, held).map_err(|(_, e)| e).unwrap()
    }

    fn taken(hold: &Hold<Wish>, topic: &str, queue_id: i32, end: i64, tags_code: i64) -> usize {
        let mut out = Vec::new();
        let wants = |wish: &Wish| wish.tag.is_none_or(|tag| tag == tags_code);
        hold.take((topic, queue_id), end, wants, &mut out);
        out.len()
    }

    #[test]
    fn some_of_those_who_wait_are_shown() {
        let hold = hold();
        for (queue_id, offset) in [(0, 5), (0, 3), (1, 7)] {
            put(&hold, queue_id, offset, 1000, None, true);
        }
        let shown = |max| {
            let mut all = Vec::new();
            hold.look(max, |topic, queue_id, held| {
                all.push((topic.to_owned(), queue_id, held.offset))
            });
            all.sort();
            all
        };
        let all = [(0, 3), (0, 5), (1, 7)].map(|(queue_id, offset)| ("T".to_owned(), queue_id, offset));
        assert_eq!(shown(10), all);
        assert_eq!((shown(2).len(), shown(0).len(), hold.len()), (2, 0, 3));
    }

    #[test]
    fn only_who_waits_for_this_queue_offset_and_tag_wakes() {
        let hold = hold();
        put(&hold, 0, 5, 1000, None, true);
        put(&hold, 0, 5, 1000, Some(7), true);
        put(&hold, 1, 0, 1000, None, true);
        assert_eq!(
            taken(&hold, "T", 0, 5, 7),
            0,
            "offset 4 is not what they wait for"
        );
        assert_eq!(taken(&hold, "U", 0, 9, 7), 0);
        assert_eq!(taken(&hold, "T", 0, 6, 8), 1, "the tag filter keeps the other");
        assert_eq!(taken(&hold, "T", 0, 7, 7), 1);
        assert_eq!(hold.len(), 1);
        assert_eq!(taken(&hold, "T", 1, 1, 0), 1);
        assert!(hold.is_empty());
        assert_eq!(hold.budget().used(), 0);
    }

    #[test]
    fn one_is_taken_out_once() {
        let hold = hold();
        let first = put(&hold, 0, 5, 1000, None, true);
        let second = put(&hold, 0, 5, 1000, None, true);
        assert!(hold.take_one("T", 0, first).is_some());
        assert!(hold.take_one("T", 0, first).is_none());
        assert_eq!(taken(&hold, "T", 0, 6, 0), 1);
        assert!(hold.take_one("T", 0, second).is_none());
        assert_eq!(hold.len(), 0);
    }

    #[test]
    fn time_and_closed_connections_empty_the_table() {
        let hold = hold();
        for (deadline, alive) in [(100, true), (200, true), (500, false)] {
            put(&hold, 0, 0, deadline, None, alive);
        }
        assert_eq!(hold.take_expired(99).len(), 0);
        assert_eq!(hold.len(), 2, "the closed one is gone");
        assert_eq!(hold.take_expired(100).len(), 1);
        assert_eq!(hold.take_all().len(), 1);
        assert!(hold.is_empty());
    }

    #[test]
    fn those_that_are_asked_for_are_taken_out_of_every_queue() {
        let hold = hold();
        for (queue_id, tag) in [(0, Some(1)), (0, Some(2)), (1, Some(1)), (2, None)] {
            put(&hold, queue_id, 5, 1000, tag, true);
        }
        assert_eq!(hold.take_those(|wish| wish.tag == Some(1)).len(), 2);
        assert_eq!(hold.take_those(|wish| wish.tag == Some(1)).len(), 0);
        assert_eq!((hold.len(), hold.take_all().len()), (2, 2));
        assert_eq!((hold.len(), hold.budget().used()), (0, 0));
    }

    #[test]
    fn pulls_are_refused_when_they_would_occupy_too_much() {
        let hold = hold();
        let mut count = 0;
        let refused = loop {
            let held = Held {
                offset: 0,
                deadline_ms: 0,
                pull: Wish {
                    tag: None,
                    alive: true,
                },
            };
            match hold.put("T", 0, held) {
                Ok(_) => count += 1,
                Err((_, e)) => break e,
            }
        };
        assert_eq!(count, 50_000 / (HELD_BYTES + 1001), "others have the other half");
        assert_eq!(refused.max_bytes, 50_000);
        assert_eq!((hold.budget().refused(), hold.len()), (1, count));
    }
}
