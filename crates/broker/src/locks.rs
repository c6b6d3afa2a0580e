//! Queue locks of orderly consumers (RocketMQ 4.9.8, RebalanceLockManager): in memory, by group and queue.

use std::collections::HashMap;

use parking_lot::Mutex;
use protocol::body::topic::MessageQueue;

/// How long a lock lives without renewal, ms.
pub const LOCK_MAX_LIVE_MS: i64 = 60_000;

/// Most groups that may hold locks, so that requests cannot grow the table without end.
const GROUPS_MAX: usize = 100_000;
/// Most queues one group may lock.
const QUEUES_MAX: usize = 100_000;

struct Lock {
    client_id: String,
    renewed_ms: i64,
}

impl Lock {
    fn held_by_other(&self, client_id: &str, now: i64) -> bool {
        self.client_id != client_id && now - self.renewed_ms <= LOCK_MAX_LIVE_MS
    }
}

/// Which client holds which queue.
#[derive(Default)]
pub struct QueueLocks {
    groups: Mutex<HashMap<String, HashMap<MessageQueue, Lock>>>,
}

impl QueueLocks {
    /// Locks what is free, expired or already held by the client; returns the queues it holds now.
    pub fn lock(
        &self,
        group: &str,
        client_id: &str,
        queues: Vec<MessageQueue>,
        now: i64,
    ) -> Vec<MessageQueue> {
        let mut groups = self.groups.lock();
        if !groups.contains_key(group) && groups.len() >= GROUPS_MAX {
            groups.retain(|_, locks| locks.values().any(|l| now - l.renewed_ms <= LOCK_MAX_LIVE_MS));
            if groups.len() >= GROUPS_MAX {
                return Vec::new();
            }
        }
        let locks = groups.entry(group.to_owned()).or_default();
        let mut held = Vec::with_capacity(queues.len());
        for queue in queues {
            let free = locks.get(&queue).is_none_or(|l| !l.held_by_other(client_id, now));
            if free && (locks.len() < QUEUES_MAX || locks.contains_key(&queue)) {
                let lock = Lock {
                    client_id: client_id.to_owned(),
                    renewed_ms: now,
                };
                locks.insert(queue.clone(), lock);
                held.push(queue);
            }
        }
        held
    }

    /// Frees the queues that this client holds.
    pub fn unlock(&self, group: &str, client_id: &str, queues: &[MessageQueue]) {
        let mut groups = self.groups.lock();
        let Some(locks) = groups.get_mut(group) else {
            return;
        };
        for queue in queues {
            if locks.get(queue).is_some_and(|l| l.client_id == client_id) {
                locks.remove(queue);
            }
        }
        if locks.is_empty() {
            groups.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue {
            broker_name: "b".into(),
            queue_id: id,
            topic: "T".into(),
        }
    }

    #[test]
    fn a_queue_has_one_holder_until_it_is_freed_or_expires() {
        let locks = QueueLocks::default();
        assert_eq!(
            locks.lock("G", "a", vec![queue(0), queue(1)], 0),
            vec![queue(0), queue(1)]
        );
        assert_eq!(locks.lock("G", "b", vec![queue(0), queue(2)], 10), vec![queue(2)]);
        assert_eq!(
            locks.lock("H", "b", vec![queue(0)], 10),
            vec![queue(0)],
            "groups do not see each other"
        );
        locks.unlock("G", "b", &[queue(0)]);
        assert!(
            locks.lock("G", "b", vec![queue(0)], 20).is_empty(),
            "only the holder frees"
        );
        locks.unlock("G", "a", &[queue(0)]);
        assert_eq!(locks.lock("G", "b", vec![queue(0)], 30), vec![queue(0)]);
        assert!(
            locks.lock("G", "b", vec![queue(1)], LOCK_MAX_LIVE_MS).is_empty(),
            "still alive at its limit"
        );
        assert_eq!(
            locks.lock("G", "b", vec![queue(1)], LOCK_MAX_LIVE_MS + 1),
            vec![queue(1)]
        );
    }
}
