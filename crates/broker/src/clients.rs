//! Who is connected: producer and consumer groups, their members and subscriptions.
//!
//! Rules: RocketMQ 4.9.8, ProducerManager, ConsumerManager, ConsumerGroupInfo, ClientHousekeepingService. A member is a
//! connection; it stays while it sends heartbeats and its connection is open.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use filter::TagFilter;
use parking_lot::{Mutex, RwLock};
use protocol::Language;
use protocol::body::broker::{
    ClientConnection, ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerData, MessageModel,
    SubscriptionData,
};
use remoting::Peer;

/// How long a member lives without a heartbeat, ms.
pub const MEMBER_EXPIRES_MS: i64 = 120_000;
/// Most groups of each kind, and most members of one: requests cannot grow the tables without end.
const GROUPS_MAX: usize = 1_000_000;
const MEMBERS_MAX: usize = 100_000;

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
    /// Last heartbeat, ms since 1970.
    pub seen_ms: i64,
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
    /// ms since 1970.
    pub now: i64,
}

/// A group's members by the numbers of their connections.
type Members = HashMap<u64, Member>;

/// Takes in a heartbeat; true if its sender has joined by it. Nearly all come from members that are known and unchanged:
/// nothing is made for those.
fn hear(members: &mut Members, heard: Heard<'_>) -> bool {
    let is_full = members.len() >= MEMBERS_MAX;
    match members.entry(heard.conn.id()) {
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            if known.is_sender_of(heard) {
                known.seen_ms = heard.now;
            } else {
                *known = Member::of(heard);
            }
            false
        }
        Entry::Vacant(_) if is_full => false,
        Entry::Vacant(place) => {
            place.insert(Member::of(heard));
            true
        }
    }
}

impl Member {
    fn of(heard: Heard<'_>) -> Self {
        Member {
            client_id: Arc::from(heard.client_id),
            conn: Arc::clone(heard.conn),
            language: heard.language,
            version: heard.version,
            seen_ms: heard.now,
        }
    }

    fn is_sender_of(&self, heard: Heard<'_>) -> bool {
        (&*self.client_id, self.language, self.version) == (heard.client_id, heard.language, heard.version)
    }

    fn listed(&self) -> ClientConnection {
        ClientConnection {
            client_addr: self.conn.address().to_string(),
            client_id: self.client_id.to_string(),
            language: self.language.name().to_owned(),
            version: self.version,
        }
    }
}

/// What a group wants of one topic.
pub struct Subscription {
    /// As the client sent it.
    pub data: SubscriptionData,
    /// Its tags, ready to match.
    pub filter: TagFilter,
}

impl Subscription {
    fn new(data: SubscriptionData) -> Self {
        let filter = if data.expression_type == "TAG" || data.expression_type.is_empty() {
            tag_filter(&data)
        } else {
            TagFilter::All
        };
        Self { data, filter }
    }
}

/// The client's hashes count, as in Java; a client that sends none has them computed from its expression.
fn tag_filter(data: &SubscriptionData) -> TagFilter {
    match data.sub_string.as_str() {
        "" | "*" => TagFilter::All,
        text if data.code_set.is_empty() => TagFilter::parse(text).unwrap_or(TagFilter::All),
        _ => TagFilter::from_codes(data.code_set.iter().copied()),
    }
}

#[derive(Default)]
struct ConsumerGroup {
    consume_type: ConsumeType,
    model: MessageModel,
    from_where: ConsumeFromWhere,
    subscriptions: HashMap<String, Arc<Subscription>>,
    members: Members,
}

/// What a pull needs to know of its group.
pub struct GroupView {
    /// Clustering or broadcasting.
    pub model: MessageModel,
    /// The subscription to the topic asked about.
    pub subscription: Option<Arc<Subscription>>,
}

/// A change in a group that its members must hear of.
pub struct Notice {
    /// The group.
    pub group: String,
    /// Everybody to tell.
    pub members: Vec<Arc<dyn Peer>>,
}

/// Consumer groups.
#[derive(Default)]
pub struct Consumers {
    groups: RwLock<HashMap<String, ConsumerGroup>>,
    by_connection: Mutex<HashMap<u64, HashSet<String>>>,
}

impl Consumers {
    /// Takes in one group of a heartbeat. `keep_subscriptions`: the heartbeat left them out as unchanged. A notice
    /// comes back when the members or the topics of the group changed.
    pub fn register(
        &self,
        data: &ConsumerData,
        heard: Heard<'_>,
        keep_subscriptions: bool,
    ) -> Option<Notice> {
        let group_name = data.group_name.as_str();
        let mut groups = self.groups.write();
        let is_full = groups.len() >= GROUPS_MAX;
        let group = match groups.get_mut(group_name) {
            Some(known) => known,
            None if is_full => return None,
            None => groups.entry(group_name.to_owned()).or_default(),
        };
        group.consume_type = data.consume_type;
        group.model = data.message_model;
        group.from_where = data.consume_from_where;
        let joined = hear(&mut group.members, heard);
        let resubscribed = !keep_subscriptions && group.subscribe(&data.subscription_data_set);
        let notice = (joined || resubscribed).then(|| group.notice(group_name));
        drop(groups);
        if joined {
            self.by_connection
                .lock()
                .entry(heard.conn.id())
                .or_default()
                .insert(group_name.to_owned());
        }
        notice
    }

    /// Takes a client's connection out of a group.
    pub fn unregister(&self, group_name: &str, conn_id: u64) -> Option<Notice> {
        let mut groups = self.groups.write();
        let group = groups.get_mut(group_name)?;
        group.members.remove(&conn_id)?;
        let notice = group.notice(group_name);
        if group.members.is_empty() {
            groups.remove(group_name);
        }
        drop(groups);
        let mut by_connection = self.by_connection.lock();
        if let Some(set) = by_connection.get_mut(&conn_id) {
            set.remove(group_name);
            if set.is_empty() {
                by_connection.remove(&conn_id);
            }
        }
        Some(notice)
    }

    /// Takes a closed connection out of every group.
    pub fn closed(&self, conn_id: u64) -> Vec<Notice> {
        let groups = self.by_connection.lock().remove(&conn_id).unwrap_or_default();
        groups
            .iter()
            .filter_map(|g| self.unregister(g, conn_id))
            .collect()
    }

    /// Members that have not sent a heartbeat for [`MEMBER_EXPIRES_MS`]; closing them takes them out.
    pub fn expired(&self, now: i64) -> Vec<Arc<dyn Peer>> {
        let groups = self.groups.read();
        let members = groups.values().flat_map(|g| g.members.values());
        members
            .filter(|m| now - m.seen_ms > MEMBER_EXPIRES_MS)
            .map(|m| Arc::clone(&m.conn))
            .collect()
    }

    /// The group as a pull of `topic` sees it; none if no member is connected.
    pub fn view(&self, group: &str, topic: &str) -> Option<GroupView> {
        let groups = self.groups.read();
        let group = groups.get(group)?;
        Some(GroupView {
            model: group.model,
            subscription: group.subscriptions.get(topic).cloned(),
        })
    }

    /// Does a heartbeat without subscriptions leave anything unknown here?
    pub fn knows(&self, group: &str) -> bool {
        self.groups
            .read()
            .get(group)
            .is_some_and(|g| !g.subscriptions.is_empty())
    }

    /// Client ids of the members; none if the group is not connected.
    pub fn client_ids(&self, group: &str) -> Option<Vec<String>> {
        let groups = self.groups.read();
        let ids: HashSet<&Arc<str>> = groups
            .get(group)?
            .members
            .values()
            .map(|m| &m.client_id)
            .collect();
        Some(ids.into_iter().map(|id| id.to_string()).collect())
    }

    /// The members.
    pub fn members(&self, group: &str) -> Vec<Member> {
        self.groups
            .read()
            .get(group)
            .map(|g| g.members.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The group as GET_CONSUMER_CONNECTION_LIST shows it.
    pub fn connection_list(&self, group: &str) -> Option<ConsumerConnection> {
        let groups = self.groups.read();
        let group = groups.get(group)?;
        let subscription_table: BTreeMap<String, SubscriptionData> = group
            .subscriptions
            .iter()
            .map(|(t, s)| (t.clone(), s.data.clone()))
            .collect();
        Some(ConsumerConnection {
            connection_set: group.members.values().map(Member::listed).collect(),
            consume_from_where: group.from_where,
            consume_type: group.consume_type,
            message_model: group.model,
            subscription_table,
        })
    }

    /// Connected groups that subscribe to the topic.
    pub fn groups_of(&self, topic: &str) -> Vec<String> {
        let groups = self.groups.read();
        groups
            .iter()
            .filter(|(_, g)| g.subscriptions.contains_key(topic))
            .map(|(n, _)| n.clone())
            .collect()
    }
}

impl ConsumerGroup {
    /// Takes the newest subscriptions; true if a topic came or went.
    fn subscribe(&mut self, wanted: &[SubscriptionData]) -> bool {
        let mut changed = false;
        for data in wanted {
            match self.subscriptions.get(&data.topic) {
                Some(known) if known.data.sub_version >= data.sub_version => {}
                known => {
                    changed |= known.is_none();
                    self.subscriptions
                        .insert(data.topic.clone(), Arc::new(Subscription::new(data.clone())));
                }
            }
        }
        let before = self.subscriptions.len();
        self.subscriptions
            .retain(|topic, _| wanted.iter().any(|w| w.topic == *topic));
        changed || self.subscriptions.len() != before
    }

    fn notice(&self, group: &str) -> Notice {
        let members = self.members.values().map(|m| Arc::clone(&m.conn)).collect();
        Notice {
            group: group.to_owned(),
            members,
        }
    }
}

/// Producer groups.
#[derive(Default)]
pub struct Producers {
    groups: RwLock<HashMap<String, Members>>,
}

impl Producers {
    /// Takes in one group of a heartbeat.
    pub fn register(&self, group: &str, heard: Heard<'_>) {
        let mut groups = self.groups.write();
        let is_full = groups.len() >= GROUPS_MAX;
        let members = match groups.get_mut(group) {
            Some(known) => known,
            None if is_full => return,
            None => groups.entry(group.to_owned()).or_default(),
        };
        hear(members, heard);
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

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::{Client, ClientSettings};
    use tokio::net::TcpListener;

    fn heard<'a>(client_id: &'a str, conn: &'a Arc<dyn Peer>, now: i64) -> Heard<'a> {
        Heard {
            client_id,
            conn,
            language: Language::Java,
            version: 1,
            now,
        }
    }

    #[tokio::test]
    async fn a_member_lives_as_long_as_it_is_heard_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = Client::new(ClientSettings::default());
        let conn: Arc<dyn Peer> = client.connection(&address).await.unwrap();
        let (consumers, producers) = (Consumers::default(), Producers::default());
        let data = ConsumerData {
            group_name: "g".into(),
            ..ConsumerData::default()
        };
        let beat = |heard: Heard<'_>| {
            producers.register("p", heard);
            consumers.register(&data, heard, false).is_some()
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
        assert_eq!(consumers.client_ids("g"), Some(vec!["b".to_owned()]));
        let listed = producers.connection_list("p").unwrap();
        assert_eq!((listed.len(), listed[0].version), (1, 2));
    }
}
