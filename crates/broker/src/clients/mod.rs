//! Who is connected: producer and consumer groups, their members and subscriptions, and the queues they have locked.
//!
//! Rules: RocketMQ 4.9.8, ProducerManager, ConsumerManager, ConsumerGroupInfo, ClientHousekeepingService. A member is a
//! connection; it stays while it sends heartbeats and its connection is open. What heartbeats make the broker keep is
//! bounded in bytes, for both kinds of groups together.

mod cold;
mod consumers;
mod locks;
mod member;
mod producers;
mod returning;
mod slow;

use std::sync::Arc;

pub use cold::{ColdReads, Thresholds};
pub use consumers::{Consumers, GroupView, Notice, Subscription};
pub use locks::{LOCK_MAX_LIVE_MS, QueueLocks};
pub use member::{Heard, MEMBER_EXPIRES_MS, Member};
pub use producers::{Asked, Producers};
pub use returning::RETURNS_WITHIN_MS;
pub use slow::SlowGroups;

use remoting::budget::Budget;

/// Longest client id, bytes: an address, a process number, an instance name.
pub const CLIENT_ID_MAX_LEN: usize = 1024;
/// Bytes that heartbeats may occupy.
const HEARTBEATS_MAX_BYTES: usize = 256 << 20;
/// Bytes that queue locks may occupy.
const LOCKS_MAX_BYTES: usize = 64 << 20;

/// Everything about clients that are connected now. Cloned handles are the same tables.
#[derive(Clone)]
pub struct Clients {
    /// Consumer groups.
    pub consumers: Arc<Consumers>,
    /// Producer groups.
    pub producers: Arc<Producers>,
    /// Queue locks of orderly consumers.
    pub locks: Arc<QueueLocks>,
    /// Groups that read far behind.
    pub slow: Arc<SlowGroups>,
    /// What groups have read that had left memory.
    pub cold: Arc<ColdReads>,
    /// What heartbeats occupy.
    pub heartbeats: Arc<Budget>,
    /// What locks occupy.
    pub locks_budget: Arc<Budget>,
}

impl Clients {
    /// What clients may occupy.
    pub fn budgets(&self) -> [&Budget; 2] {
        [&self.heartbeats, &self.locks_budget]
    }
}

impl Default for Clients {
    fn default() -> Self {
        let heartbeats = Budget::new("HEARTBEATS", HEARTBEATS_MAX_BYTES);
        let locks_budget = Budget::new("QUEUE_LOCKS", LOCKS_MAX_BYTES);
        Self {
            consumers: Arc::new(Consumers::new(Arc::clone(&heartbeats))),
            producers: Arc::new(Producers::new(Arc::clone(&heartbeats))),
            locks: Arc::new(QueueLocks::new(Arc::clone(&locks_budget))),
            slow: Arc::default(),
            cold: Arc::default(),
            heartbeats,
            locks_budget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Language;
    use protocol::body::broker::{ClientConnection, ConsumerConnection, ConsumerData, SubscriptionData};
    use remoting::{MemoryPeer, Peer};

    fn heard<'a>(client_id: &'a str, conn: &'a Arc<dyn Peer>, now: i64) -> Heard<'a> {
        Heard {
            client_id,
            conn,
            language: Language::Java,
            version: 1,
            account: None,
            now,
        }
    }

    fn peer() -> Arc<dyn Peer> {
        MemoryPeer::new(([127, 0, 0, 1], 1000).into())
    }

    #[test]
    fn a_member_lives_as_long_as_it_is_heard_of() {
        let conn = peer();
        let Clients {
            consumers, producers, ..
        } = Clients::default();
        let data = ConsumerData {
            group_name: "g".into(),
            ..ConsumerData::default()
        };
        let beat = |heard: Heard<'_>| {
            producers.register("p", heard).expect("room");
            consumers.register(&data, heard, false).expect("room").is_some()
        };
        let expired = |now| (consumers.expired(now).len(), producers.expired(now).len());
        assert!(beat(heard("a", &conn, 0)), "it has joined");
        assert_eq!(expired(MEMBER_EXPIRES_MS), (0, 0));
        assert_eq!(expired(MEMBER_EXPIRES_MS + 1), (1, 1));
        assert!(!beat(heard("a", &conn, 1000)), "it is there already");
        assert_eq!(expired(MEMBER_EXPIRES_MS + 1000), (0, 0));
        assert_eq!(expired(MEMBER_EXPIRES_MS + 1001), (1, 1));
        // Another client may use the connection, or the client be another version.
        let newer = Heard {
            version: 2,
            ..heard("b", &conn, 2000)
        };
        assert!(!beat(newer), "the connection is no other");
        assert_eq!(expired(MEMBER_EXPIRES_MS + 2000), (0, 0));
        assert_eq!(consumers.client_ids("g"), ["b"]);
        let listed = producers.connection_list("p").unwrap();
        assert_eq!((listed.len(), listed[0].version), (1, 2));
    }

    #[test]
    fn each_producer_that_reads_is_asked_in_turn() {
        let producers = Clients::default().producers;
        assert!(producers.one_of("p", &|_| true).is_none());
        let peers: Vec<_> = (1..=3)
            .map(|port| MemoryPeer::new(([127, 0, 0, 1], port).into()))
            .collect();
        for peer in &peers {
            let conn = Arc::clone(peer) as Arc<dyn Peer>;
            producers.register("p", heard("a", &conn, 0)).expect("room");
        }
        let asked = |count: usize| {
            let mut ports: Vec<u16> = (0..count)
                .map(|_| match producers.one_of("p", &|_| true) {
                    Some(Asked::Ready(peer)) => peer.address().port(),
                    Some(Asked::Busy(peer)) => 100 + peer.address().port(),
                    None => 0,
                })
                .collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!(asked(6), [1, 1, 2, 2, 3, 3]);
        peers[0].close("gone");
        peers[1].set_congested(true);
        assert_eq!(asked(4), [3; 4]);
        peers[2].close("gone");
        assert_eq!(asked(2), [102; 2]);
        peers[1].close("gone");
        assert_eq!(asked(2), [0; 2]);
    }

    #[test]
    fn a_producer_is_found_by_its_id_while_it_is_in_some_group() {
        let producers = Clients::default().producers;
        let (old, new) = (peer(), peer());
        let found = |id: &str| producers.find(id).map(|peer| peer.id());
        let enter = |group: &str, id: &str, conn: &Arc<dyn Peer>| {
            producers.register(group, heard(id, conn, 0)).expect("room");
        };
        enter("p", "a", &old);
        enter("q", "a", &old);
        enter("p", "a", &old);
        assert_eq!((found("a"), found("b")), (Some(old.id()), None));
        // It comes back before its old connection is known to be gone.
        enter("p", "a", &new);
        assert_eq!(found("a"), Some(new.id()));
        producers.unregister("p", new.id());
        assert_eq!(found("a"), Some(old.id()));
        enter("p", "a", &new);
        producers.unregister("p", old.id());
        producers.closed(old.id());
        assert_eq!(found("a"), Some(new.id()));
        // Another client uses the connection.
        enter("p", "b", &new);
        assert_eq!((found("a"), found("b")), (None, Some(new.id())));
        new.close("gone");
        assert_eq!(found("b"), None);
        producers.closed(new.id());
        assert!(!producers.knows_any());
    }

    #[test]
    fn who_does_not_come_back_in_time_is_forgotten() {
        let consumers = Consumers::new(Budget::new("TEST", 100_000));
        let conn = peer();
        let data = ConsumerData {
            group_name: "g".into(),
            ..ConsumerData::default()
        };
        for id in ["a", "b"] {
            let old = peer();
            consumers
                .register(&data, heard(id, &old, 0), false)
                .expect("room");
        }
        let connections = consumers.connections();
        let budget = Budget::new("TEST", 100_000);
        let consumers = Consumers::new(Arc::clone(&budget));
        consumers.expect(connections, 10);
        let ids = || {
            let mut ids = consumers.client_ids("g");
            ids.sort();
            ids
        };
        assert_eq!(ids(), ["a", "b"]);
        assert!(consumers.view("g", "T").is_some_and(|view| view.is_returning));
        consumers
            .register(&data, heard("a", &conn, 1), false)
            .expect("room");
        assert_eq!(ids(), ["a", "b"]);
        assert!(consumers.view("g", "T").is_some_and(|view| !view.is_returning));
        consumers.expired(9);
        assert_eq!(ids(), ["a", "b"]);
        consumers.expired(10);
        assert_eq!(ids(), ["a"]);
        consumers.closed(conn.id());
        assert!(ids().is_empty() && consumers.view("g", "T").is_none());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn who_is_expected_back_has_the_room_of_heartbeats() {
        let group = |number: usize| {
            let client = ClientConnection {
                client_id: "x".repeat(1000),
                client_addr: "no address".into(),
                ..ClientConnection::default()
            };
            let connection = ConsumerConnection {
                connection_set: vec![client],
                ..ConsumerConnection::default()
            };
            (format!("g{number:02}"), connection)
        };
        let budget = Budget::new("TEST", 20_000);
        let consumers = Consumers::new(Arc::clone(&budget));
        consumers.expect((0..50).map(group).collect(), 10);
        assert!(budget.used() <= 20_000);
        assert!(!consumers.client_ids("g00").is_empty());
        assert!(consumers.client_ids("g49").is_empty());
    }

    #[test]
    fn heartbeats_have_a_limit_in_bytes_and_leave_nothing_behind() {
        let budget = Budget::new("TEST", 100_000);
        let consumers = Consumers::new(Arc::clone(&budget));
        let producers = Producers::new(Arc::clone(&budget));
        let conn = peer();
        let subscription = |number: usize| SubscriptionData {
            topic: "T".into(),
            sub_string: "x".repeat(1000),
            sub_version: number as i64,
            ..SubscriptionData::default()
        };
        let mut refused = 0;
        for number in 0..1000 {
            let data = ConsumerData {
                group_name: format!("g{number}"),
                subscription_data_set: vec![subscription(number)],
                ..ConsumerData::default()
            };
            let entered = consumers.register(&data, heard("a", &conn, 0), false);
            refused += usize::from(entered.is_err());
            refused += usize::from(
                producers
                    .register(&data.group_name, heard("a", &conn, 0))
                    .is_err(),
            );
        }
        assert!(refused > 1000, "{refused}");
        // A newer subscription takes the place of the older one, in the budget as well.
        let before = budget.used();
        let again = ConsumerData {
            group_name: "g0".into(),
            subscription_data_set: vec![subscription(5000)],
            ..ConsumerData::default()
        };
        // Both are there for a moment: room for that is made first.
        consumers.unregister("g1", conn.id());
        consumers
            .register(&again, heard("a", &conn, 1), false)
            .expect("room");
        assert!(budget.used() < before);
        consumers.closed(conn.id());
        producers.closed(conn.id());
        assert_eq!(budget.used(), 0);
    }
}
