//! Who is connected: producer and consumer groups, their members and subscriptions.
//!
//! Rules: RocketMQ 4.9.8, ProducerManager, ConsumerManager, ConsumerGroupInfo, ClientHousekeepingService. A member is a
//! connection; it stays while it sends heartbeats and its connection is open.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use filter::TagFilter;
use parking_lot::{Mutex, RwLock};
use protocol::Language;
use protocol::body::broker::{
    ClientConnection, ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerData, MessageModel,
    SubscriptionData,
};
use remoting::Connection;

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
    pub conn: Arc<Connection>,
    /// Its language.
    pub language: Language,
    /// Its version number.
    pub version: i32,
    /// Last heartbeat, ms since 1970.
    pub seen_ms: i64,
}

impl Member {
    fn listed(&self) -> ClientConnection {
        ClientConnection {
            client_addr: self.conn.peer().to_string(),
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

struct ConsumerGroup {
    consume_type: ConsumeType,
    model: MessageModel,
    from_where: ConsumeFromWhere,
    subscriptions: HashMap<String, Arc<Subscription>>,
    members: HashMap<u64, Member>,
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
    pub members: Vec<Arc<Connection>>,
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
    pub fn register(&self, data: &ConsumerData, member: Member, keep_subscriptions: bool) -> Option<Notice> {
        let (conn_id, group_name) = (member.conn.id(), data.group_name.as_str());
        let mut groups = self.groups.write();
        if groups.len() >= GROUPS_MAX && !groups.contains_key(group_name) {
            return None;
        }
        let group = groups
            .entry(group_name.to_owned())
            .or_insert_with(|| ConsumerGroup {
                consume_type: data.consume_type,
                model: data.message_model,
                from_where: data.consume_from_where,
                subscriptions: HashMap::new(),
                members: HashMap::new(),
            });
        group.consume_type = data.consume_type;
        group.model = data.message_model;
        group.from_where = data.consume_from_where;
        let joined = if group.members.len() < MEMBERS_MAX || group.members.contains_key(&conn_id) {
            group.members.insert(conn_id, member).is_none()
        } else {
            false
        };
        let resubscribed = !keep_subscriptions && group.subscribe(&data.subscription_data_set);
        let notice = (joined || resubscribed).then(|| group.notice(group_name));
        drop(groups);
        if joined {
            self.by_connection
                .lock()
                .entry(conn_id)
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
    pub fn expired(&self, now: i64) -> Vec<Arc<Connection>> {
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
    groups: RwLock<HashMap<String, HashMap<u64, Member>>>,
}

impl Producers {
    /// Takes in one group of a heartbeat.
    pub fn register(&self, group: &str, member: Member) {
        let mut groups = self.groups.write();
        if groups.len() >= GROUPS_MAX && !groups.contains_key(group) {
            return;
        }
        let members = groups.entry(group.to_owned()).or_default();
        if members.len() < MEMBERS_MAX || members.contains_key(&member.conn.id()) {
            members.insert(member.conn.id(), member);
        }
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
    pub fn expired(&self, now: i64) -> Vec<Arc<Connection>> {
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
