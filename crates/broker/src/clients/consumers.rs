//! Consumer groups: members, and what each group wants of each topic.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use filter::{Filter, TagFilter};
use parking_lot::{Mutex, RwLock};
use protocol::Language;
use protocol::body::broker::{
    ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerData, MessageModel, SubscriptionData,
};
use remoting::Peer;

use super::member::{Heard, MEMBER_EXPIRES_MS, Member, Members, hear};
use super::returning::ReturningGroups;
use remoting::budget::{Budget, Exhausted, Share};

/// What a group wants of one topic.
pub struct Subscription {
    /// As the client sent it.
    pub data: SubscriptionData,
    /// Its tags, ready to match.
    pub filter: Arc<dyn Filter>,
    _share: Share,
}

/// Bytes of a subscription and of a tag beside their texts.
const SUBSCRIPTION_BYTES: usize = 384;
const TAG_BYTES: usize = 48;

impl Subscription {
    pub(super) fn new(
        data: SubscriptionData,
        address: IpAddr,
        budget: &Arc<Budget>,
    ) -> Result<Self, Exhausted> {
        let tags = data
            .tags_set
            .iter()
            .map(|tag| tag.len() + TAG_BYTES)
            .sum::<usize>();
        let texts = 2 * data.topic.len() + 2 * data.sub_string.len() + data.expression_type.len();
        let share = budget.take_for(
            address,
            SUBSCRIPTION_BYTES + texts + tags + 8 * data.code_set.len(),
        )?;
        let filter = if data.expression_type == "TAG" || data.expression_type.is_empty() {
            tag_filter(&data).into()
        } else {
            filter::all()
        };
        Ok(Self {
            data,
            filter,
            _share: share,
        })
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
    /// Pushed or pulled.
    pub consume_type: ConsumeType,
    /// Clustering or broadcasting.
    pub model: MessageModel,
    /// The subscription to the topic asked about.
    pub subscription: Option<Arc<Subscription>>,
    /// No member is connected; some were when the broker stopped, and are expected back.
    pub is_returning: bool,
}

/// What metrics tell of a group.
pub struct Glance {
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Topics that it subscribes to.
    pub topics: Vec<String>,
    /// Language and version of each member.
    pub clients: Vec<(Language, i32)>,
}

/// A change in a group that its members must hear of.
pub struct Notice {
    /// The group.
    pub group: String,
    /// Everybody to tell.
    pub members: Vec<Arc<dyn Peer>>,
}

/// Consumer groups.
pub struct Consumers {
    groups: RwLock<HashMap<String, ConsumerGroup>>,
    by_connection: Mutex<HashMap<u64, HashSet<String>>>,
    returning: RwLock<ReturningGroups>,
    budget: Arc<Budget>,
}

impl Consumers {
    /// No group yet; what they occupy is taken from `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            groups: RwLock::default(),
            by_connection: Mutex::default(),
            returning: RwLock::default(),
            budget,
        }
    }

    /// Takes in one group of a heartbeat. `keep_subscriptions`: the heartbeat left them out as unchanged. A notice
    /// comes back when the members or the topics of the group changed. Where the budget is used up nothing changes.
    pub fn register(
        &self,
        data: &ConsumerData,
        heard: Heard<'_>,
        keep_subscriptions: bool,
    ) -> Result<Option<Notice>, Exhausted> {
        let group_name = data.group_name.as_str();
        let mut groups = self.groups.write();
        let is_new = !groups.contains_key(group_name);
        let group = match groups.get_mut(group_name) {
            Some(known) => known,
            None => groups.entry(group_name.to_owned()).or_default(),
        };
        let entered = match keep_subscriptions {
            true => Ok(false),
            false => {
                let address = heard.conn.address().ip();
                group.subscribe(&data.subscription_data_set, address, &self.budget)
            }
        }
        .and_then(|resubscribed| {
            let joined = hear(&mut group.members, group_name, heard, &self.budget)?;
            Ok((joined, resubscribed))
        });
        let (joined, resubscribed) = match entered {
            Ok(entered) => entered,
            Err(exhausted) => {
                if is_new {
                    groups.remove(group_name);
                }
                return Err(exhausted);
            }
        };
        group.consume_type = data.consume_type;
        group.model = data.message_model;
        group.from_where = data.consume_from_where;
        let notice = (joined || resubscribed).then(|| group.notice(group_name));
        drop(groups);
        if joined {
            self.settle(group_name, heard.client_id);
            self.by_connection
                .lock()
                .entry(heard.conn.id())
                .or_default()
                .insert(group_name.to_owned());
        }
        Ok(notice)
    }

    /// Expects groups back that were connected when the broker stopped, until `until_ms`.
    pub fn expect(&self, connections: BTreeMap<String, ConsumerConnection>, until_ms: i64) {
        *self.returning.write() = ReturningGroups::of(connections, until_ms, &self.budget);
    }

    /// A client that was connected when the broker stopped is back, or says that it is gone.
    pub fn settle(&self, group_name: &str, client_id: &str) {
        self.returning.write().settle(group_name, client_id);
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
    /// Who was connected when the broker stopped and is not back in time is forgotten.
    pub fn expired(&self, now: i64) -> Vec<Arc<dyn Peer>> {
        self.returning.write().expire(now);
        let groups = self.groups.read();
        let members = groups.values().flat_map(|g| g.members.values());
        members
            .filter(|m| now - m.seen_ms > MEMBER_EXPIRES_MS)
            .map(|m| Arc::clone(&m.conn))
            .collect()
    }

    /// The group as a pull of `topic` sees it; none if no member is connected or expected back.
    pub fn view(&self, group: &str, topic: &str) -> Option<GroupView> {
        let live = self.groups.read().get(group).map(|group| GroupView {
            consume_type: group.consume_type,
            model: group.model,
            subscription: group.subscriptions.get(topic).cloned(),
            is_returning: false,
        });
        live.or_else(|| self.returning.read().view(group, topic))
    }

    /// Does a heartbeat without subscriptions leave anything unknown here?
    pub fn knows(&self, group: &str) -> bool {
        self.groups
            .read()
            .get(group)
            .is_some_and(|g| !g.subscriptions.is_empty())
    }

    /// Client ids of the members and of those that are expected back; none if the group is not connected.
    pub fn client_ids(&self, group: &str) -> Vec<String> {
        let groups = self.groups.read();
        let returning = self.returning.read();
        let members = groups
            .get(group)
            .into_iter()
            .flat_map(|group| group.members.values());
        let ids: HashSet<&str> = members
            .map(|member| &*member.client_id)
            .chain(returning.client_ids(group).map(String::as_str))
            .collect();
        ids.into_iter().map(str::to_owned).collect()
    }

    /// The members.
    pub fn members(&self, group: &str) -> Vec<Member> {
        self.groups
            .read()
            .get(group)
            .map(|g| g.members.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The member of this client id; the newest where a client came back before its old connection was known to be gone.
    pub fn member(&self, group: &str, client_id: &str) -> Option<Member> {
        let groups = self.groups.read();
        let members = groups.get(group)?.members.values();
        let of_client = members.filter(|member| *member.client_id == *client_id && member.conn.is_open());
        of_client.max_by_key(|member| member.conn.id()).cloned()
    }

    /// Names of the groups that are connected.
    pub fn names(&self) -> Vec<String> {
        self.groups.read().keys().cloned().collect()
    }

    /// Who a group's members are and what they want, with no more than a metric needs of it; none if it is not connected.
    pub fn glance(&self, group: &str) -> Option<Glance> {
        let groups = self.groups.read();
        let group = groups.get(group)?;
        Some(Glance {
            consume_type: group.consume_type,
            topics: group.subscriptions.keys().cloned().collect(),
            clients: group.members.values().map(|m| (m.language, m.version)).collect(),
        })
    }

    /// The group as GET_CONSUMER_CONNECTION_LIST shows it.
    pub fn connection_list(&self, group: &str) -> Option<ConsumerConnection> {
        self.groups.read().get(group).map(ConsumerGroup::listed)
    }

    /// Every group in this form.
    pub fn connections(&self) -> BTreeMap<String, ConsumerConnection> {
        let groups = self.groups.read();
        groups
            .iter()
            .map(|(name, group)| (name.clone(), group.listed()))
            .collect()
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
    fn subscribe(
        &mut self,
        wanted: &[SubscriptionData],
        address: IpAddr,
        budget: &Arc<Budget>,
    ) -> Result<bool, Exhausted> {
        let mut newer = Vec::new();
        for data in wanted {
            let known = self.subscriptions.get(&data.topic);
            if known.is_none_or(|known| known.data.sub_version < data.sub_version) {
                newer.push(Arc::new(Subscription::new(data.clone(), address, budget)?));
            }
        }
        let mut changed = false;
        for subscription in newer {
            let topic = subscription.data.topic.clone();
            changed |= self.subscriptions.insert(topic, subscription).is_none();
        }
        let before = self.subscriptions.len();
        let topics: HashSet<&str> = wanted.iter().map(|data| data.topic.as_str()).collect();
        self.subscriptions
            .retain(|topic, _| topics.contains(topic.as_str()));
        Ok(changed || self.subscriptions.len() != before)
    }

    fn listed(&self) -> ConsumerConnection {
        let subscription_table: BTreeMap<String, SubscriptionData> = self
            .subscriptions
            .iter()
            .map(|(topic, subscription)| (topic.clone(), subscription.data.clone()))
            .collect();
        ConsumerConnection {
            connection_set: self.members.values().map(Member::listed).collect(),
            consume_from_where: self.from_where,
            consume_type: self.consume_type,
            message_model: self.model,
            subscription_table,
        }
    }

    fn notice(&self, group: &str) -> Notice {
        let members = self.members.values().map(|m| Arc::clone(&m.conn)).collect();
        Notice {
            group: group.to_owned(),
            members,
        }
    }
}
