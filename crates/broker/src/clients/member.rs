//! One client of a group, and the heartbeat that keeps it there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use protocol::Language;
use protocol::body::broker::ClientConnection;
use remoting::Peer;

use remoting::budget::{Budget, Exhausted, Share};

/// How long a member lives without a heartbeat, ms.
pub const MEMBER_EXPIRES_MS: i64 = 120_000;

/// One client of a group.
#[derive(Clone)]
pub struct Member {
    /// `ip@instance`.
    pub client_id: Arc<str>,
    /// Its connection.
    pub conn: Arc<dyn Peer>,
    /// Its language.
    pub language: Language,
    /// Its version number.
    pub version: i32,
    /// The account that its heartbeat names.
    pub account: Option<Arc<str>>,
    /// Last heartbeat, ms since 1970.
    pub seen_ms: i64,
    _share: Arc<Share>,
}

/// A heartbeat: who sent it and when.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    /// `ip@instance`.
    pub client_id: &'a str,
    /// The connection it came by.
    pub conn: &'a Arc<dyn Peer>,
    /// The client's language.
    pub language: Language,
    /// The client's version number.
    pub version: i32,
    /// The account that it names.
    pub account: Option<&'a str>,
    /// ms since 1970.
    pub now: i64,
}

/// A group's members by the numbers of their connections.
pub(super) type Members = HashMap<u64, Member>;

/// Bytes of a member beside its texts: its place in a group's table and in the table by connection.
pub(super) const MEMBER_BYTES: usize = 256;

/// Takes in a heartbeat; true if its sender has joined by it. Nearly all come from members that are known and unchanged:
/// nothing is made for those.
pub(super) fn hear(
    members: &mut Members,
    group: &str,
    heard: Heard<'_>,
    budget: &Arc<Budget>,
) -> Result<bool, Exhausted> {
    match members.entry(heard.conn.id()) {
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            if known.is_sender_of(heard) {
                known.seen_ms = heard.now;
            } else {
                *known = Member::of(group, heard, budget)?;
            }
            Ok(false)
        }
        Entry::Vacant(place) => {
            place.insert(Member::of(group, heard, budget)?);
            Ok(true)
        }
    }
}

impl Member {
    fn of(group: &str, heard: Heard<'_>, budget: &Arc<Budget>) -> Result<Self, Exhausted> {
        let account_len = heard.account.unwrap_or_default().len();
        let share = budget.take_for(
            heard.conn.address().ip(),
            MEMBER_BYTES + group.len() + heard.client_id.len() + account_len,
        )?;
        Ok(Member {
            client_id: Arc::from(heard.client_id),
            conn: Arc::clone(heard.conn),
            language: heard.language,
            version: heard.version,
            account: heard.account.map(Arc::from),
            seen_ms: heard.now,
            _share: Arc::new(share),
        })
    }

    fn is_sender_of(&self, heard: Heard<'_>) -> bool {
        (&*self.client_id, self.language, self.version) == (heard.client_id, heard.language, heard.version)
            && self.account.as_deref() == heard.account
    }

    pub(super) fn listed(&self) -> ClientConnection {
        ClientConnection {
            client_addr: self.conn.address().to_string(),
            client_id: self.client_id.to_string(),
            language: self.language.name().to_owned(),
            version: self.version,
        }
    }
}
