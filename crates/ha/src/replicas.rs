//! The connected slaves of a master: what they have, and what a send waits for.

use std::collections::BTreeMap;

use crate::master::Standing;

/// Which connection of a slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// What a SYNC_MASTER promises by SUCCESS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// 4.9's: one slave has it.
    OneSlave {
        /// A slave that is so many bytes behind, or more, is of no use. `haSlaveFallbehindMax`.
        behind_max: i64,
    },
    /// 5.x's: so many brokers have it, the master counted in.
    InSync(InSync),
}

impl Rule {
    /// What a send that ends at `end` has to wait for, where the slave that is nearest, or none, decides that; `nearest` is
    /// [`Replicas::nearest`]. `None`: all slaves are to be looked at.
    pub fn need_by(self, nearest: Option<i64>, end: i64) -> Option<Need> {
        match self {
            Rule::OneSlave { behind_max } => {
                let is_near = nearest.is_some_and(|nearest| end.saturating_sub(nearest) < behind_max);
                Some(if is_near {
                    Need::Slaves(1)
                } else {
                    Need::NotAvailable
                })
            }
            // The master alone is enough to be taken.
            Rule::InSync(rule) if rule.replicas_min <= 1 && !rule.all && !rule.auto => {
                Some(Need::of_brokers(rule.replicas))
            }
            Rule::InSync(_) => None,
        }
    }
}

/// The settings of 5.x. The master is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSync {
    /// How many brokers have what was acknowledged. `inSyncReplicas`.
    pub replicas: usize,
    /// With fewer brokers in sync, sends are refused. `minInSyncReplicas`.
    pub replicas_min: usize,
    /// As many as are in sync, but not more than `replicas` and not fewer than `replicas_min`. `enableAutoInSyncReplicas`.
    pub auto: bool,
    /// All that are in sync. `allAckInSyncStateSet`.
    pub all: bool,
    /// A slave that is so many bytes behind, or more, is not in sync. `haMaxGapNotInSync`.
    pub behind_max: i64,
}

/// What a send has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// So many slaves, 1 or more, acknowledge its end: [`Replicas::reached`] of that number.
    Slaves(usize),
    /// No slave is near enough: SLAVE_NOT_AVAILABLE, the message is stored.
    NotAvailable,
    /// Too few brokers are in sync: IN_SYNC_REPLICAS_NOT_ENOUGH, and the message is **not** to be stored.
    NotEnough,
}

impl Need {
    /// So many brokers, the master counted in.
    fn of_brokers(brokers: usize) -> Need {
        match brokers.saturating_sub(1) {
            0 => Need::Nothing,
            slaves => Need::Slaves(slaves),
        }
    }
}

/// A slave's connection.
#[derive(Clone, Debug)]
struct Replica {
    address: String,
    /// How many slaves live there.
    places: usize,
    standing: Standing,
    /// When it reported first.
    since_ms: i64,
    heard_ms: i64,
}

/// So many connections from one address may have said nothing, beyond one for each slave: what scanners and health checks hold open.
const MUTE_MAX: usize = 4;

/// Two connections of one address are two slaves if the older one still reports when the newer one has for so long, ms: more than what
/// was on its way, and two heartbeats. Before, they may be one slave that has come back, unless the older one acknowledges what the master
/// did not have yet when the newer one came: a slave that has come back reads nothing from where it was.
const SURE_MS: i64 = 10_000;

/// What came of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// [`Replicas::reached`] grew for some number of slaves.
    pub grew: bool,
    /// This connection is to be closed: with the one that has reported there would be more than slaves at that address. It is the
    /// one that was silent for longest.
    pub replaced: Option<ConnectionId>,
}

/// The connected slaves of a master.
///
/// What was reached stays reached: the bytes were in the logs of that many slaves at one time, as in 4.9 a slave's acknowledgement
/// counts when it is gone. But acknowledgements that come later are counted together only with those of slaves that are still
/// connected, as in 5.x: one that is gone may come back with less. And a slave that comes back before the master knows that it was gone
/// is not counted twice.
///
/// A slave that was given the newest file only has nothing of the files before, and a send from before it came may wait, with its message
/// in one of those. So nothing from that address counts until every such send has timed out.
#[derive(Debug)]
pub struct Replicas {
    connections: BTreeMap<ConnectionId, Replica>,
    /// No send waits longer, ms.
    slave_timeout_ms: i64,
    /// Until when nothing from an address counts, ms.
    incomplete: BTreeMap<String, i64>,
    next: u64,
    /// At index `k - 1`, what `k` slaves have acknowledged.
    reached: Vec<i64>,
}

impl Replicas {
    /// No slave yet. No send waits longer than `slave_timeout_ms`: `slaveTimeout`.
    pub fn new(slave_timeout_ms: i64) -> Replicas {
        Replicas {
            connections: BTreeMap::new(),
            slave_timeout_ms,
            incomplete: BTreeMap::new(),
            next: 0,
            reached: Vec::new(),
        }
    }

    /// From now on no send waits longer than this, ms. One that began before does not, either: the longer of both counts.
    pub fn set_slave_timeout_ms(&mut self, slave_timeout_ms: i64) {
        self.slave_timeout_ms = slave_timeout_ms.max(self.slave_timeout_ms);
    }

    /// Somebody has connected from an address, without a port, at which `places` slaves live. Nothing if too many from there
    /// have connected and said nothing: it is to be closed.
    pub fn connect(&mut self, address: &str, places: usize, now_ms: i64) -> Option<ConnectionId> {
        let mute = self
            .at(address)
            .filter(|(_, other)| other.standing.claim.is_none());
        if mute.count() >= places.saturating_add(MUTE_MAX) {
            return None;
        }
        // Another slave may have been made there since the others connected.
        for other in self.connections.values_mut() {
            if other.address == address {
                other.places = other.places.max(places);
            }
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        let replica = Replica {
            address: address.to_owned(),
            places: places.max(1),
            standing: Standing::default(),
            since_ms: now_ms,
            heard_ms: now_ms,
        };
        self.connections.insert(id, replica);
        Some(id)
    }

    fn at(&self, address: &str) -> impl Iterator<Item = (ConnectionId, &Replica)> {
        let all = self.connections.iter();
        all.filter(move |(_, other)| other.address == address)
            .map(|(&id, other)| (id, other))
    }

    /// A connection is closed.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// A connection stands so, by what came from it at `now_ms`. One that is to be closed counts no more.
    pub fn report(&mut self, id: ConnectionId, standing: Standing, now_ms: i64) -> Progress {
        let mut progress = Progress::default();
        let Some(replica) = self.connections.get_mut(&id) else {
            return progress;
        };
        let is_first = replica.standing.claim.is_none() && standing.claim.is_some();
        replica.heard_ms = now_ms;
        replica.standing = standing;
        if let Some(began_ms) = standing.newest_file_ms {
            let until_ms = began_ms.saturating_add(self.slave_timeout_ms);
            self.incomplete.insert(replica.address.clone(), until_ms);
        }
        self.incomplete.retain(|_, until_ms| *until_ms > now_ms);
        if is_first {
            replica.since_ms = now_ms;
            progress.replaced = self.too_many(id);
            if let Some(replaced) = progress.replaced {
                self.disconnect(replaced);
            }
        }
        progress.grew = self.count();
        progress
    }

    /// The other connection from the address of this one that was silent for longest, if there are more than slaves.
    fn too_many(&self, id: ConnectionId) -> Option<ConnectionId> {
        let Replica { address, places, .. } = self.connections.get(&id)?;
        let speaking = self
            .at(address)
            .filter(|(_, other)| other.standing.claim.is_some());
        let others: Vec<_> = speaking.filter(|(other, _)| *other != id).collect();
        let silent = others.iter().min_by_key(|(_, other)| other.heard_ms)?;
        (others.len() >= *places).then_some(silent.0)
    }

    /// The connections that are known to be of different slaves.
    fn slaves(&self) -> impl Iterator<Item = &Replica> {
        self.connections.iter().filter_map(|(id, replica)| {
            let speaking = self
                .at(&replica.address)
                .filter(|(_, other)| other.standing.claim.is_some());
            let newest = speaking.max_by_key(|(id, other)| (other.since_ms, *id))?;
            let reads = replica.standing.acknowledged > Some(newest.1.standing.began_at);
            let is_sure = reads || replica.heard_ms > newest.1.since_ms.saturating_add(SURE_MS);
            (newest.0 == *id || is_sure).then_some(replica)
        })
    }

    fn count(&mut self) -> bool {
        let slaves = self.slaves();
        let slaves = slaves.filter(|slave| !self.incomplete.contains_key(&slave.address));
        let mut acknowledged: Vec<i64> = slaves.filter_map(|slave| slave.standing.acknowledged).collect();
        acknowledged.sort_unstable_by(|a, b| b.cmp(a));
        let mut grew = false;
        for (index, &end) in acknowledged.iter().enumerate() {
            match self.reached.get_mut(index) {
                Some(before) if *before >= end => {}
                Some(before) => {
                    *before = end;
                    grew = true;
                }
                None => {
                    self.reached.push(end);
                    grew = true;
                }
            }
        }
        grew
    }

    /// Up to where `slaves` of them, 1 or more, have acknowledged the log; nothing if so many never have. Does not go back.
    pub fn reached(&self, slaves: usize) -> Option<i64> {
        self.reached.get(slaves.checked_sub(1)?).copied()
    }

    /// For how many slaves something was reached.
    pub fn reached_by_most(&self) -> usize {
        self.reached.len()
    }

    /// How many are connected.
    pub fn connected(&self) -> usize {
        self.connections.len()
    }

    /// Each connection, its address and how far it is.
    pub fn all(&self) -> impl Iterator<Item = (ConnectionId, &str, Standing)> {
        let all = self.connections.iter();
        all.map(|(&id, replica)| (id, replica.address.as_str(), replica.standing))
    }

    fn claims(&self) -> impl Iterator<Item = i64> {
        self.slaves().filter_map(|slave| slave.standing.claim)
    }

    /// How many brokers are in sync with a log that ends at `end`: the master, and each slave that is less than `behind_max` bytes
    /// behind. What a slave says counts here: a lie makes sends wait, and gets none through.
    pub fn in_sync(&self, end: i64, behind_max: i64) -> usize {
        let near = self
            .claims()
            .filter(|claim| end.saturating_sub(*claim) < behind_max);
        1 + near.count()
    }

    /// The end of the log that the nearest slave has, as far as is known; nothing if none is connected. As in Java, what a slave had that
    /// is gone says how near one will be that has connected and said nothing yet.
    pub fn nearest(&self) -> Option<i64> {
        let nearest = self.claims().chain(self.reached(1)).max().unwrap_or(0);
        (self.connected() > 0).then_some(nearest)
    }

    /// What a send that ends at `end` has to wait for. The rules of 5.x that refuse are asked before the append, with the end of the
    /// log.
    pub fn need(&self, rule: Rule, end: i64) -> Need {
        if let Some(need) = rule.need_by(self.nearest(), end) {
            return need;
        }
        let Rule::InSync(rule) = rule else {
            return Need::NotAvailable;
        };
        let in_sync = self.in_sync(end, rule.behind_max);
        if in_sync < rule.replicas_min {
            return Need::NotEnough;
        }
        Need::of_brokers(match (rule.all, rule.auto) {
            (true, _) => in_sync,
            (_, true) => in_sync.min(rule.replicas).max(rule.replicas_min),
            _ => rule.replicas,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: i64 = 256 << 20;
    const V4: Rule = Rule::OneSlave { behind_max: FAR };

    fn claims(end: i64) -> Standing {
        Standing {
            claim: Some(end),
            ..Standing::default()
        }
    }

    fn has(end: i64) -> Standing {
        Standing {
            claim: Some(end),
            acknowledged: Some(end),
            newest_file_ms: None,
            began_at: end,
        }
    }

    /// Slaves, each at an address of its own.
    fn of(standings: &[Standing]) -> (Replicas, Vec<ConnectionId>) {
        let mut replicas = Replicas::new(3_000);
        let mut ids = Vec::new();
        for (index, standing) in standings.iter().enumerate() {
            let id = replicas.connect(&format!("10.0.0.{index}"), 1, 0).expect("room");
            if standing.claim.is_some() {
                replicas.report(id, *standing, 0);
            }
            ids.push(id);
        }
        (replicas, ids)
    }

    fn rule(replicas: usize, replicas_min: usize) -> InSync {
        InSync {
            replicas,
            replicas_min,
            auto: false,
            all: false,
            behind_max: FAR,
        }
    }

    #[test]
    fn what_k_slaves_have_is_the_kth_highest_and_does_not_go_back() {
        let (mut replicas, ids) = of(&[has(100), has(300), claims(900), Standing::default()]);
        let reached = |replicas: &Replicas| [1, 2, 3].map(|slaves| replicas.reached(slaves));
        assert_eq!(reached(&replicas), [Some(300), Some(100), None]);
        assert!(replicas.report(ids[0], has(200), 1).grew);
        assert!(!replicas.report(ids[1], has(300), 1).grew);
        assert!(replicas.report(ids[2], has(250), 1).grew);
        assert_eq!(reached(&replicas), [Some(300), Some(250), Some(200)]);
        assert_eq!((replicas.reached(0), replicas.reached_by_most()), (None, 3));
        replicas.disconnect(ids[1]);
        assert_eq!(
            reached(&replicas),
            [Some(300), Some(250), Some(200)],
            "they had it"
        );
        assert!(!replicas.report(ids[0], has(260), 2).grew);
        assert_eq!(
            reached(&replicas),
            [Some(300), Some(250), Some(200)],
            "it does not go back"
        );
        assert!(
            !replicas.report(ids[0], has(300), 2).grew,
            "one had that, and two have not"
        );
        assert!(replicas.report(ids[2], has(300), 2).grew);
        assert_eq!(reached(&replicas), [Some(300), Some(300), Some(200)]);
        assert!(
            !replicas.report(ids[1], has(900), 3).grew,
            "who is gone does not count"
        );
    }

    #[test]
    fn a_slave_that_comes_back_does_not_count_twice() {
        let mut replicas = Replicas::new(3_000);
        let old = replicas.connect("10.0.0.2", 1, 0).expect("room");
        assert_eq!(replicas.report(old, has(100), 0).replaced, None);
        let new = replicas.connect("10.0.0.2", 1, 10).expect("room");
        let other = replicas.connect("10.0.0.3", 1, 10).expect("room");
        assert_eq!(replicas.report(other, claims(0), 11).replaced, None);
        assert_eq!(
            replicas.connected(),
            3,
            "who has said nothing takes nobody's place"
        );
        assert_eq!(replicas.report(new, claims(100), 12).replaced, Some(old));
        assert_eq!(replicas.report(new, has(100), 13).replaced, None);
        assert_eq!(replicas.report(old, has(200), 14), Progress::default());
        assert_eq!((replicas.reached(1), replicas.reached(2)), (Some(100), None));
    }

    #[test]
    fn connections_of_one_host_count_as_two_when_both_are_heard_for_long() {
        let mut replicas = Replicas::new(3_000);
        let [old, new] = [0, 1000].map(|now| {
            let id = replicas.connect("10.0.0.2", 2, now).expect("room");
            assert_eq!(replicas.report(id, has(100), now).replaced, None);
            id
        });
        assert_eq!((replicas.reached(2), replicas.in_sync(100, FAR)), (None, 2));
        assert!(
            !replicas.report(old, has(100), 11_000).grew,
            "it may have been on its way"
        );
        assert!(replicas.report(old, has(100), 11_001).grew);
        assert_eq!((replicas.reached(2), replicas.in_sync(100, FAR)), (Some(100), 3));
        assert!(replicas.report(new, has(200), 11_002).grew);
        assert_eq!((replicas.reached(1), replicas.reached(2)), (Some(200), Some(100)));
    }

    #[test]
    fn connections_of_one_host_count_as_two_when_the_older_one_has_what_is_new() {
        let mut replicas = Replicas::new(3_000);
        // It connected when one slave was known there.
        let old = replicas.connect("10.0.0.2", 1, 0).expect("room");
        replicas.report(old, has(100), 0);
        let new = replicas.connect("10.0.0.2", 2, 10).expect("room");
        assert_eq!(replicas.report(new, has(100), 10).replaced, None);
        let later = |end| Standing {
            began_at: 100,
            ..has(end)
        };
        replicas.report(new, later(200), 11);
        assert_eq!(replicas.reached(2), None, "it may be one slave");
        assert!(replicas.report(old, later(150), 12).grew);
        assert_eq!((replicas.reached(1), replicas.reached(2)), (Some(200), Some(150)));
        // Nor is one of them closed when it is heard of for the first time again.
        let third = replicas.connect("10.0.0.2", 2, 13).expect("room");
        assert_eq!(replicas.report(third, later(150), 13).replaced, Some(new));
    }

    #[test]
    fn slaves_on_one_host_each_have_a_place() {
        let mut replicas = Replicas::new(3_000);
        let ids = [5, 3, 9].map(|now| (replicas.connect("10.0.0.2", 2, now).expect("room"), now));
        let replaced = ids.map(|(id, now)| replicas.report(id, has(100), now).replaced);
        assert_eq!(
            replaced,
            [None, None, Some(ids[1].0)],
            "the one that was silent for longest"
        );
        let left: Vec<_> = replicas.all().map(|(id, address, _)| (id, address)).collect();
        assert_eq!(left, [(ids[0].0, "10.0.0.2"), (ids[2].0, "10.0.0.2")]);
    }

    #[test]
    fn a_slave_of_the_newest_file_counts_when_older_sends_have_timed_out() {
        let mut replicas = Replicas::new(3_000);
        let new = |end| Standing {
            newest_file_ms: Some(7),
            ..has(end)
        };
        let first = replicas.connect("10.0.0.2", 1, 0).expect("room");
        assert!(
            !replicas.report(first, new(950), 8).grew,
            "a send that ends at 900 may wait"
        );
        // It comes back at once, and is no new slave any more.
        let second = replicas.connect("10.0.0.2", 1, 9).expect("room");
        assert!(!replicas.report(second, has(950), 9).grew);
        assert!(!replicas.report(second, has(960), 3_006).grew);
        assert_eq!(replicas.reached(1), None);
        assert_eq!(replicas.need(V4, 960), Need::Slaves(1), "it is near");
        let other = replicas.connect("10.0.0.3", 1, 9).expect("room");
        assert!(
            replicas.report(other, has(800), 3_006).grew,
            "another slave has the files before"
        );
        assert!(replicas.report(second, has(960), 3_007).grew);
        assert_eq!(replicas.reached(1), Some(960));
        // A longer time for sends holds for the next one; a shorter one does not, because of those that wait already.
        replicas.set_slave_timeout_ms(5_000);
        replicas.set_slave_timeout_ms(1_000);
        let third = replicas.connect("10.0.0.4", 1, 4_000).expect("room");
        let newer = Standing {
            newest_file_ms: Some(4_000),
            ..has(990)
        };
        assert!(!replicas.report(third, newer, 8_999).grew);
        assert!(replicas.report(third, newer, 9_000).grew);
    }

    #[test]
    fn connections_that_say_nothing_are_bounded_at_each_address() {
        let mut replicas = Replicas::new(3_000);
        for _ in 0..5 {
            assert!(replicas.connect("10.0.0.2", 1, 0).is_some());
        }
        assert_eq!(replicas.connect("10.0.0.2", 1, 0), None);
        let slave = replicas.connect("10.0.0.3", 1, 0).expect("another address");
        replicas.report(slave, claims(0), 0);
        assert_eq!(replicas.connected(), 6);
    }

    #[test]
    fn by_4_9_one_slave_that_is_near_is_enough() {
        let near = FAR - 1;
        let table: [(&[Standing], i64, Need); 8] = [
            (&[], 10, Need::NotAvailable),
            (&[has(10)], 10 + near, Need::Slaves(1)),
            (&[has(10)], 10 + FAR, Need::NotAvailable),
            (&[has(10), has(500)], 500 + near, Need::Slaves(1)),
            (&[claims(10)], 10 + near, Need::Slaves(1)),
            (&[claims(10)], 10 + FAR, Need::NotAvailable),
            (&[Standing::default()], near, Need::Slaves(1)),
            (&[Standing::default()], FAR, Need::NotAvailable),
        ];
        for (standings, end, need) in table {
            assert_eq!(of(standings).0.need(V4, end), need, "{standings:?} {end}");
        }
        let (mut replicas, ids) = of(&[has(1000)]);
        replicas.disconnect(ids[0]);
        assert_eq!(replicas.need(V4, 1001), Need::NotAvailable, "nobody is there");
        let _silent = replicas.connect("10.0.0.0", 1, 0);
        assert_eq!(
            replicas.need(V4, 1000 + near),
            Need::Slaves(1),
            "as near as it was"
        );
        assert_eq!(replicas.need(V4, 1000 + FAR), Need::NotAvailable);
    }

    #[test]
    fn by_5_x_so_many_brokers_have_it_the_master_counted_in() {
        let (two, _) = of(&[has(1000), claims(900), has(0)]);
        let end = 1000 + FAR - 200;
        assert_eq!(two.in_sync(end, FAR), 3, "the third slave is too far behind");
        let auto = |all| InSync { auto: true, ..all };
        let all = |one| InSync { all: true, ..one };
        let table = [
            (rule(0, 0), Need::Nothing),
            (rule(1, 1), Need::Nothing),
            (rule(2, 1), Need::Slaves(1)),
            (rule(5, 1), Need::Slaves(4)),
            (rule(2, 3), Need::Slaves(1)),
            (rule(2, 4), Need::NotEnough),
            (auto(rule(2, 1)), Need::Slaves(1)),
            (auto(rule(5, 1)), Need::Slaves(2)),
            (auto(rule(1, 3)), Need::Slaves(2)),
            (auto(rule(5, 4)), Need::NotEnough),
            (all(rule(1, 1)), Need::Slaves(2)),
            (all(rule(1, 4)), Need::NotEnough),
        ];
        for (in_sync, need) in table {
            assert_eq!(two.need(Rule::InSync(in_sync), end), need, "{in_sync:?}");
        }
        let (alone, _) = of(&[]);
        assert_eq!(alone.need(Rule::InSync(all(rule(1, 1))), 10), Need::Nothing);
        assert_eq!(alone.need(Rule::InSync(auto(rule(3, 1))), 10), Need::Nothing);
        assert_eq!(alone.need(Rule::InSync(auto(rule(3, 2))), 10), Need::NotEnough);
    }
}
