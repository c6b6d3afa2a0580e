//! Producer groups and their members.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use protocol::Language;
use protocol::body::broker::ClientConnection;
use protocol::body::operator::{ProducerInfo, ProducerTable};
use remoting::Peer;

use super::member::{Heard, MEMBER_EXPIRES_MS, Member, Members, hear};
use remoting::budget::{Budget, Exhausted};

#[derive(Default)]
struct State {
    groups: HashMap<String, Members>,
    /// Client id to its connections, the newest last.
    clients: HashMap<Arc<str>, Vec<Known>>,
}

/// A connection of a client.
struct Known {
    conn: Arc<dyn Peer>,
    /// In how many groups.
    groups: usize,
}

impl State {
    /// A client has entered a group by this connection.
    fn entered(&mut self, member: &Member) {
        let all = self.clients.entry(Arc::clone(&member.client_id)).or_default();
        match all.iter_mut().find(|known| known.conn.id() == member.conn.id()) {
            Some(known) => known.groups += 1,
            None => all.push(Known {
                conn: Arc::clone(&member.conn),
                groups: 1,
            }),
        }
    }

    fn left(&mut self, client_id: &str, conn_id: u64) {
        let Some(all) = self.clients.get_mut(client_id) else {
            return;
        };
        if let Some(known) = all.iter_mut().find(|known| known.conn.id() == conn_id) {
            known.groups -= 1;
        }
        all.retain(|known| known.groups > 0);
        if all.is_empty() {
            self.clients.remove(client_id);
        }
    }
}

/// Producer groups.
pub struct Producers {
    state: RwLock<State>,
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
            state: RwLock::default(),
            budget,
            next: AtomicUsize::new(0),
        }
    }

    /// Takes in one group of a heartbeat. Where the budget is used up nothing changes.
    pub fn register(&self, group: &str, heard: Heard<'_>) -> Result<(), Exhausted> {
        let mut state = self.state.write();
        let id = heard.conn.id();
        let before = match state.groups.get_mut(group) {
            Some(members) => {
                let before = members.get(&id).map(|member| Arc::clone(&member.client_id));
                hear(members, group, heard, &self.budget)?;
                before
            }
            None => {
                let mut members = Members::new();
                hear(&mut members, group, heard, &self.budget)?;
                state.groups.insert(group.to_owned(), members);
                None
            }
        };
        if before.as_deref() == Some(heard.client_id) {
            return Ok(());
        }
        if let Some(before) = before {
            state.left(&before, id);
        }
        if let Some(member) = state
            .groups
            .get(group)
            .and_then(|members| members.get(&id))
            .cloned()
        {
            state.entered(&member);
        }
        Ok(())
    }

    /// Takes a client's connection out of a group.
    pub fn unregister(&self, group: &str, conn_id: u64) {
        let mut state = self.state.write();
        let Some(members) = state.groups.get_mut(group) else {
            return;
        };
        let gone = members.remove(&conn_id);
        if members.is_empty() {
            state.groups.remove(group);
        }
        if let Some(member) = gone {
            state.left(&member.client_id, conn_id);
        }
    }

    /// Takes a closed connection out of every group.
    pub fn closed(&self, conn_id: u64) {
        if !self
            .state
            .read()
            .groups
            .values()
            .any(|members| members.contains_key(&conn_id))
        {
            return;
        }
        let mut state = self.state.write();
        let mut gone = Vec::new();
        state.groups.retain(|_, members| {
            gone.extend(members.remove(&conn_id));
            !members.is_empty()
        });
        for member in gone {
            state.left(&member.client_id, conn_id);
        }
    }

    #[cfg(test)]
    pub(super) fn knows_any(&self) -> bool {
        let state = self.state.read();
        !state.clients.is_empty() || !state.groups.is_empty()
    }

    /// The connection of the producer of this id, the newest that is open.
    pub fn find(&self, client_id: &str) -> Option<Arc<dyn Peer>> {
        let state = self.state.read();
        let mut all = state.clients.get(client_id)?.iter().rev();
        all.find(|known| known.conn.is_open())
            .map(|known| Arc::clone(&known.conn))
    }

    /// Members that have not sent a heartbeat for [`MEMBER_EXPIRES_MS`].
    pub fn expired(&self, now: i64) -> Vec<Arc<dyn Peer>> {
        let state = self.state.read();
        let members = state.groups.values().flat_map(HashMap::values);
        members
            .filter(|m| now - m.seen_ms > MEMBER_EXPIRES_MS)
            .map(|m| Arc::clone(&m.conn))
            .collect()
    }

    /// A member of the group that may be asked, each in its turn; none if no such one is connected.
    pub fn one_of(&self, group: &str, may_be: &dyn Fn(&Member) -> bool) -> Option<Asked> {
        let state = self.state.read();
        let members = state.groups.get(group)?;
        let first = self.next.fetch_add(1, Ordering::Relaxed) % members.len().max(1);
        let in_turn = || {
            members
                .values()
                .chain(members.values())
                .skip(first)
                .take(members.len())
        };
        let open = || in_turn().filter(|member| member.conn.is_open() && may_be(member));
        let ready = open().find(|member| !member.conn.is_congested());
        match ready {
            Some(member) => Some(Asked::Ready(Arc::clone(&member.conn))),
            None => open().next().map(|member| Asked::Busy(Arc::clone(&member.conn))),
        }
    }

    /// Language and version of each member of each group.
    pub fn clients(&self) -> Vec<(Language, i32)> {
        let state = self.state.read();
        let members = state.groups.values().flat_map(HashMap::values);
        members.map(|member| (member.language, member.version)).collect()
    }

    /// All groups, as GET_ALL_PRODUCER_INFO shows them.
    pub fn table(&self) -> ProducerTable {
        let state = self.state.read();
        let info = |member: &Member| ProducerInfo {
            client_id: member.client_id.to_string(),
            language: member.language.name().to_owned(),
            last_update_timestamp: member.seen_ms,
            // As Java writes an address.
            remote_ip: format!("/{}", member.conn.address()),
            version: member.version,
        };
        let groups = state.groups.iter();
        let data = groups.map(|(group, members)| (group.clone(), members.values().map(info).collect()));
        ProducerTable { data: data.collect() }
    }

    /// The group as GET_PRODUCER_CONNECTION_LIST shows it; none if it is not connected.
    pub fn connection_list(&self, group: &str) -> Option<Vec<ClientConnection>> {
        Some(
            self.state
                .read()
                .groups
                .get(group)?
                .values()
                .map(Member::listed)
                .collect(),
        )
    }
}
