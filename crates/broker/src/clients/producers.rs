//! Producer groups and their members.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use protocol::body::broker::ClientConnection;
use remoting::Peer;

use super::member::{Heard, MEMBER_EXPIRES_MS, Member, Members, hear};
use remoting::budget::{Budget, Exhausted};

/// Producer groups.
pub struct Producers {
    groups: RwLock<HashMap<String, Members>>,
    budget: Arc<Budget>,
    /// Spreads what the broker asks over a group's members.
    next: AtomicUsize,
}

/// A member of a group that the broker may ask something.
pub enum Asked {
    /// It reads what it is sent.
    Ready(Arc<dyn Peer>),
    /// None of the group does at the moment.
    Busy(Arc<dyn Peer>),
}

impl Producers {
    /// No group yet; what they occupy is taken from `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            groups: RwLock::default(),
            budget,
            next: AtomicUsize::new(0),
        }
    }

    /// Takes in one group of a heartbeat. Where the budget is used up nothing changes.
    pub fn register(&self, group: &str, heard: Heard<'_>) -> Result<(), Exhausted> {
        let mut groups = self.groups.write();
        if let Some(members) = groups.get_mut(group) {
            return hear(members, group, heard, &self.budget).map(drop);
        }
        let mut members = Members::new();
        hear(&mut members, group, heard, &self.budget)?;
        groups.insert(group.to_owned(), members);
        Ok(())
    }

    /// Takes a client's connection out of a group.
    pub fn unregister(&self, group: &str, conn_id: u64) {
        let mut groups = self.groups.write();
        if let Some(members) = groups.get_mut(group) {
            members.remove(&conn_id);
            if members.is_empty() {
                groups.remove(group);
            }
        }
    }

    /// Takes a closed connection out of every group.
    pub fn closed(&self, conn_id: u64) {
        if !self
            .groups
            .read()
            .values()
            .any(|members| members.contains_key(&conn_id))
        {
            return;
        }
        self.groups.write().retain(|_, members| {
            members.remove(&conn_id);
            !members.is_empty()
        });
    }

    /// Members that have not sent a heartbeat for [`MEMBER_EXPIRES_MS`].
    pub fn expired(&self, now: i64) -> Vec<Arc<dyn Peer>> {
        let groups = self.groups.read();
        let members = groups.values().flat_map(HashMap::values);
        members
            .filter(|m| now - m.seen_ms > MEMBER_EXPIRES_MS)
            .map(|m| Arc::clone(&m.conn))
            .collect()
    }

    /// A member of the group to be asked, each in its turn; none if nobody of it is connected.
    pub fn one_of(&self, group: &str) -> Option<Asked> {
        let groups = self.groups.read();
        let members = groups.get(group)?;
        let first = self.next.fetch_add(1, Ordering::Relaxed) % members.len().max(1);
        let in_turn = || {
            members
                .values()
                .chain(members.values())
                .skip(first)
                .take(members.len())
        };
        let open = || in_turn().filter(|member| member.conn.is_open());
        let ready = open().find(|member| !member.conn.is_congested());
        match ready {
            Some(member) => Some(Asked::Ready(Arc::clone(&member.conn))),
            None => open().next().map(|member| Asked::Busy(Arc::clone(&member.conn))),
        }
    }

    /// The group as GET_PRODUCER_CONNECTION_LIST shows it; none if it is not connected.
    pub fn connection_list(&self, group: &str) -> Option<Vec<ClientConnection>> {
        Some(
            self.groups
                .read()
                .get(group)?
                .values()
                .map(Member::listed)
                .collect(),
        )
    }
}
