//! Queue locks of orderly consumers (RocketMQ 4.9.8, RebalanceLockManager): in memory, by group and queue.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::body::topic::MessageQueue;

use remoting::budget::{Budget, Exhausted, Share};

/// How long a lock lives without renewal, ms.
pub const LOCK_MAX_LIVE_MS: i64 = 60_000;

/// Bytes of a lock beside its texts.
const LOCK_BYTES: usize = 192;

struct Lock {
    client_id: String,
    renewed_ms: i64,
    _share: Share,
}

impl Lock {
    fn held_by_other(&self, client_id: &str, now: i64) -> bool {
        self.client_id != client_id && now - self.renewed_ms <= LOCK_MAX_LIVE_MS
    }
}

/// Which client holds which queue.
pub struct QueueLocks {
    groups: Mutex<HashMap<String, HashMap<MessageQueue, Lock>>>,
    budget: Arc<Budget>,
}

impl QueueLocks {
    /// Nothing is locked yet; what locks occupy is taken from `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            groups: Mutex::default(),
            budget,
        }
    }

    /// Locks what is free, expired or already held by the client; returns the queues it holds now. Where the budget is
    /// used up, locks that nobody renews any more are forgotten first.
    pub fn lock(
        &self,
        (address, client_id): (IpAddr, &str),
        group: &str,
        queues: Vec<MessageQueue>,
        now: i64,
    ) -> Result<Vec<MessageQueue>, Exhausted> {
        let mut groups = self.groups.lock();
        let mut held = Vec::with_capacity(queues.len());
        let mut swept = false;
        for queue in queues {
            let known = groups.get_mut(group).and_then(|locks| locks.get_mut(&queue));
            match known {
                Some(lock) if lock.held_by_other(client_id, now) => continue,
                Some(lock) if lock.client_id == client_id => lock.renewed_ms = now,
                _ => {
                    let bytes = LOCK_BYTES
                        + group.len()
                        + client_id.len()
                        + 2 * (queue.topic.len() + queue.broker_name.len());
                    let mut share = self.budget.take_for(address, bytes);
                    if share.is_err() && !swept {
                        swept = true;
                        forget_expired(&mut groups, now);
                        share = self.budget.take_for(address, bytes);
                    }
                    let lock = Lock {
                        client_id: client_id.to_owned(),
                        renewed_ms: now,
                        _share: share?,
                    };
                    let locks = groups.entry(group.to_owned()).or_default();
                    locks.insert(queue.clone(), lock);
                }
            }
            held.push(queue);
        }
        Ok(held)
    }

    /// Forgets the locks that nobody renews any more.
    pub fn expire(&self, now: i64) {
        forget_expired(&mut self.groups.lock(), now);
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

fn forget_expired(groups: &mut HashMap<String, HashMap<MessageQueue, Lock>>, now: i64) {
    groups.retain(|_, locks| {
        locks.retain(|_, lock| now - lock.renewed_ms <= LOCK_MAX_LIVE_MS);
        !locks.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn made_up_names_do_not_grow_the_table_without_end() {
        let locks = QueueLocks::new(Budget::new("TEST", 100 * LOCK_BYTES));
        let mut refused = 0;
        for number in 0..1000 {
            let group = format!("G{number}");
            refused += usize::from(locks.lock((ADDRESS, "a"), &group, vec![queue(0)], 0).is_err());
        }
        assert!(refused > 900, "{refused}");
        let late = LOCK_MAX_LIVE_MS + 1;
        let held = locks.lock((ADDRESS, "a"), "new", vec![queue(0)], late);
        assert_eq!(held.map(|held| held.len()), Ok(1), "what expired makes room");
        locks.expire(2 * late);
        assert_eq!(locks.budget.used(), 0);
    }

    fn queue(id: i32) -> MessageQueue {
        MessageQueue {
            broker_name: "b".into(),
            queue_id: id,
            topic: "T".into(),
        }
    }

    #[test]
    fn a_queue_has_one_holder_until_it_is_freed_or_expires() {
        let locks = QueueLocks::new(Budget::new("TEST", 1 << 20));
        let lock = |group: &str, client: &str, queues, now| {
            locks.lock((ADDRESS, client), group, queues, now).expect("room")
        };
        assert_eq!(
            lock("G", "a", vec![queue(0), queue(1)], 0),
            vec![queue(0), queue(1)]
        );
        assert_eq!(lock("G", "b", vec![queue(0), queue(2)], 10), vec![queue(2)]);
        assert_eq!(
            lock("H", "b", vec![queue(0)], 10),
            vec![queue(0)],
            "groups do not see each other"
        );
        locks.unlock("G", "b", &[queue(0)]);
        assert!(
            lock("G", "b", vec![queue(0)], 20).is_empty(),
            "only the holder frees"
        );
        locks.unlock("G", "a", &[queue(0)]);
        assert_eq!(lock("G", "b", vec![queue(0)], 30), vec![queue(0)]);
        assert!(
            lock("G", "b", vec![queue(1)], LOCK_MAX_LIVE_MS).is_empty(),
            "still alive at its limit"
        );
        assert_eq!(
            lock("G", "b", vec![queue(1)], LOCK_MAX_LIVE_MS + 1),
            vec![queue(1)]
        );
    }
}
