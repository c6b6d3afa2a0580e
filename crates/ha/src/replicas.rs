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

/// A slave's connection.
#[derive(Clone, Debug)]
struct Replica {
    address: String,
    standing: Standing,
    heard_ms: i64,
}

/// The connected slaves of a master.
///
/// What was reached stays reached: the bytes were in the logs of that many slaves at one time, as in 4.9 a slave's acknowledgement
/// counts when it is gone. But acknowledgements that come later are counted together only with those of slaves that are still
/// connected, as in 5.x: one that is gone may come back with less.
#[derive(Debug, Default)]
pub struct Replicas {
    connections: BTreeMap<ConnectionId, Replica>,
    next: u64,
    /// At index `k - 1`, what `k` slaves have acknowledged.
    reached: Vec<i64>,
}

impl Replicas {
    /// A slave has connected, of an address without a port at which `places` slaves live. If there are more connections from
    /// there, the one that was silent for longest is given back, to be closed: a slave that lost its connection comes back before
    /// the master knows, and must not count twice.
    pub fn connect(
        &mut self,
        address: &str,
        places: usize,
        now_ms: i64,
    ) -> (ConnectionId, Option<ConnectionId>) {
        let same = self
            .connections
            .iter()
            .filter(|(_, other)| other.address == address);
        let too_many = same.clone().count() >= places.max(1);
        let silent = same.min_by_key(|(_, other)| other.heard_ms).map(|(&id, _)| id);
        let replaced = silent.filter(|_| too_many);
        if let Some(id) = replaced {
            self.disconnect(id);
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        let replica = Replica {
            address: address.to_owned(),
            standing: Standing::default(),
            heard_ms: now_ms,
        };
        self.connections.insert(id, replica);
        (id, replaced)
    }

    /// A connection is closed.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// A connection stands so, by what came from it at `now_ms`. True if [`Replicas::reached`] grew for some number of slaves.
    /// One that was given back to be closed counts no more.
    pub fn stands(&mut self, id: ConnectionId, standing: Standing, now_ms: i64) -> bool {
        let Some(replica) = self.connections.get_mut(&id) else {
            return false;
        };
        replica.heard_ms = now_ms;
        replica.standing = standing;
        let all = self.connections.values();
        let mut acknowledged: Vec<i64> = all.filter_map(|other| other.standing.acknowledged).collect();
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

    /// How many brokers are in sync with a log that ends at `end`: the master, and each slave that is less than `behind_max` bytes
    /// behind. What a slave says counts here: a lie makes sends wait, and gets none through.
    pub fn in_sync(&self, end: i64, behind_max: i64) -> usize {
        let says = self
            .connections
            .values()
            .filter_map(|replica| replica.standing.says);
        1 + says.filter(|&says| end.saturating_sub(says) < behind_max).count()
    }

    /// What a send that ends at `end` has to wait for. The rules of 5.x that refuse are asked before the append, with the end of the
    /// log.
    pub fn need(&self, rule: Rule, end: i64) -> Need {
        match rule {
            Rule::OneSlave { behind_max } => {
                // As in Java, what a slave had that is gone says how near one will be that has connected and said nothing yet.
                let says = self
                    .connections
                    .values()
                    .filter_map(|replica| replica.standing.says);
                let nearest = says.chain(self.reached(1)).max().unwrap_or(0);
                match self.connected() > 0 && end.saturating_sub(nearest) < behind_max {
                    true => Need::Slaves(1),
                    false => Need::NotAvailable,
                }
            }
            Rule::InSync(rule) => {
                let in_sync = self.in_sync(end, rule.behind_max);
                if in_sync < rule.replicas_min {
                    return Need::NotEnough;
                }
                let brokers = match (rule.all, rule.auto) {
                    (true, _) => in_sync,
                    (_, true) => in_sync.min(rule.replicas).max(rule.replicas_min),
                    _ => rule.replicas,
                };
                match brokers.saturating_sub(1) {
                    0 => Need::Nothing,
                    slaves => Need::Slaves(slaves),
                }
            }
        }
    }
}
