//! Who serves what: topics, brokers, clusters, and which brokers are alive.
//!
//! Rules of RocketMQ 4.9.8 and 5.3.3, RouteInfoManager. One lock around everything; nothing is called and nothing is
//! parsed while it is held. Time comes in from outside.

use crate::limits::{ENTRY, TABLES_MAX};
use parking_lot::RwLock;
use protocol::body::namesrv::{
    BrokerData, BrokerMemberGroup, ClusterInfo, QueueData, RegisterBrokerBody, TopicConfigTable,
    TopicRouteData,
};
use protocol::body::{DataVersion, TopicConfig, TopicList};
use protocol::header::namesrv::{BrokerIdentity, MinBrokerIdChange, RegisterBrokerRequestHeader};
use remoting::Peer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Broker id of a master.
const MASTER: i64 = 0;
/// Permission bits of a topic.
const WRITE: i32 = 2;
const READ: i32 = 4;
/// topicSysFlag bits.
const UNIT: i32 = 1;
const UNIT_SUBSCRIPTION: i32 = 2;
/// How long a broker is alive that does not say how long.
const ALIVE: Duration = Duration::from_secs(120);
/// Topics with this name in front show a group's members as they are, whoever stands in for the master.
const MEMBER_GROUP_TOPIC: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// A topic that every broker makes for itself at its start (TopicConfigManager), and registers with the others.
const EVERY_BROKERS_TOPIC: &str = "SELF_TEST_TOPIC";

/// A registration as it came.
pub struct Registration<'a> {
    /// Who registers.
    pub header: &'a RegisterBrokerRequestHeader,
    /// Its topics.
    pub body: RegisterBrokerBody,
    /// The sender's version.
    pub version: i32,
    /// Length and hash of the body's bytes, to know it again.
    pub fingerprint: (usize, u64),
    /// The connection that, when it closes, takes the broker away.
    pub connection: &'a Arc<dyn Peer>,
    /// Now.
    pub now: Instant,
    /// `deleteTopicWithBrokerRegistration`.
    pub delete_missing_topics: bool,
}

/// What a registration led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// For a slave whose master is alive: where it replicates from.
    pub ha_server_addr: Option<String>,
    /// For a slave whose master is alive: the master.
    pub master_addr: Option<String>,
    /// Who must hear that the lowest id changed.
    pub notice: Option<Notice>,
}

/// A broker name's lowest id changed (NOTIFY_MIN_BROKER_ID_CHANGE).
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    /// Addresses to tell.
    pub to: Vec<String>,
    /// The lowest id now.
    pub min_broker_id: i64,
    /// Its address.
    pub min_broker_addr: String,
    /// Broker name.
    pub broker_name: String,
    /// Who went away.
    pub offline_broker_addr: Option<String>,
    /// Where to replicate from.
    pub ha_broker_addr: Option<String>,
}

impl Notice {
    /// The header to send.
    pub fn header(&self) -> MinBrokerIdChange<'_> {
        MinBrokerIdChange {
            min_broker_id: Some(self.min_broker_id),
            broker_name: Some(self.broker_name.as_str().into()),
            min_broker_addr: Some(self.min_broker_addr.as_str().into()),
            offline_broker_addr: self.offline_broker_addr.as_deref().map(Into::into),
            ha_broker_addr: self.ha_broker_addr.as_deref().map(Into::into),
        }
    }
}

/// Why a registration was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// One topic alone from a broker whose table we do not have: an increment without what it adds to. Name servers of
    /// 5.x refuse it and those of 4.9 take it, so what decides here is the release of the broker that asks.
    #[error("register broker failed")]
    IncrementFirst,
    /// There is no room for what is new in it.
    #[error(
        "the route tables are full: with this registration they would have {bytes} bytes, more than {max}"
    )]
    Full {
        /// Bytes there would be.
        bytes: usize,
        /// Bytes there may be.
        max: usize,
    },
}

/// What changes of a topic's permission are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Clear the write bit.
    WipeWrite,
    /// Read and write.
    Add,
}

/// A broker that registered.
struct Live {
    seen: Instant,
    alive_for: Duration,
    version: DataVersion,
    connection: Arc<dyn Peer>,
    ha_server_addr: String,
    /// Fingerprint of the last table taken whole, and the number of removals then: the same table again changes nothing.
    known: Option<((usize, u64), u64)>,
}

type BrokerKey = (String, String);

#[derive(Default)]
struct Tables {
    /// Topic → broker name → its queues there.
    topics: HashMap<Arc<str>, BTreeMap<Arc<str>, QueueData>>,
    /// Broker name → its brokers.
    brokers: BTreeMap<String, BrokerData>,
    /// Cluster → broker names.
    clusters: BTreeMap<String, BTreeSet<String>>,
    /// (cluster, address) → the broker there.
    live: HashMap<BrokerKey, Live>,
    /// (cluster, address) → filter servers.
    filters: HashMap<BrokerKey, Vec<String>>,
    /// Topic → broker name → mapping of a static topic.
    mappings: HashMap<String, BTreeMap<String, Value>>,
    /// How often topics were taken out.
    removals: u64,
    /// About the bytes of all this, counted by [`cost`].
    bytes: usize,
    /// How many there may be.
    max_bytes: usize,
}

/// Bytes that an entry with such names takes.
fn cost<const N: usize>(names: [&str; N]) -> usize {
    ENTRY + names.iter().map(|name| name.len()).sum::<usize>()
}

/// The route table.
pub struct RouteTable {
    tables: RwLock<Tables>,
}

impl Default for RouteTable {
    fn default() -> Self {
        RouteTable::of(TABLES_MAX)
    }
}

impl RouteTable {
    /// One that holds about so many bytes at most.
    pub fn of(max_bytes: usize) -> RouteTable {
        let tables = Tables {
            max_bytes,
            ..Tables::default()
        };
        RouteTable {
            tables: RwLock::new(tables),
        }
    }

    /// Whether this very body was the broker's last and nothing has been removed since: then it only proves life, which
    /// is noted, and need not be parsed.
    pub fn refresh(
        &self,
        header: &RegisterBrokerRequestHeader,
        fingerprint: (usize, u64),
        connection: &Arc<dyn Peer>,
        now: Instant,
    ) -> Option<Registered> {
        let mut tables = self.tables.write();
        let removals = tables.removals;
        let data = tables.brokers.get(&header.broker_name)?;
        let same_place = data.cluster == header.cluster_name
            && data.enable_acting_master == header.enable_acting_master.unwrap_or(false)
            && data.zone_name == header.zone_name
            && data.broker_addrs.get(&header.broker_id) == Some(&header.broker_addr);
        let key = (header.cluster_name.clone(), header.broker_addr.clone());
        let live = tables.live.get_mut(&key)?;
        let same = same_place
            && live.known == Some((fingerprint, removals))
            && live.ha_server_addr == header.ha_server_addr;
        if !same {
            return None;
        }
        live.seen = now;
        live.connection = Arc::clone(connection);
        live.alive_for = alive_for(header);
        Some(tables.answer(header, None))
    }

    /// Takes a registration.
    pub fn register(&self, registration: Registration<'_>) -> Result<Registered, RegisterError> {
        self.tables.write().register(registration)
    }

    /// Takes brokers away, all at once. What it returns is to be told to the brokers left.
    pub fn unregister(&self, brokers: &[BrokerIdentity]) -> Vec<Notice> {
        self.tables.write().unregister(brokers)
    }

    /// The brokers of a connection that closed.
    pub fn brokers_of(&self, connection: &dyn Peer) -> Vec<BrokerIdentity> {
        let tables = self.tables.read();
        tables.identities(|live| live.connection.id() == connection.id())
    }

    /// The brokers not heard of for too long, and their connections.
    pub fn expired(&self, now: Instant) -> Vec<(BrokerIdentity, Arc<dyn Peer>)> {
        let tables = self.tables.read();
        let gone = |live: &Live| now.saturating_duration_since(live.seen) > live.alive_for;
        let identities = tables.identities(gone);
        let with_connection = identities.into_iter().filter_map(|identity| {
            let key = (identity.cluster_name.clone(), identity.broker_addr.clone());
            let connection = Arc::clone(&tables.live.get(&key)?.connection);
            Some((identity, connection))
        });
        with_connection.collect()
    }

    /// A sign of life that is not a registration.
    pub fn seen(&self, cluster: &str, address: &str, now: Instant) {
        if let Some(live) = self
            .tables
            .write()
            .live
            .get_mut(&(cluster.to_owned(), address.to_owned()))
        {
            live.seen = now;
        }
    }

    /// The version of the table that a broker registered last.
    pub fn data_version(&self, cluster: &str, address: &str) -> Option<DataVersion> {
        self.tables
            .read()
            .live
            .get(&(cluster.to_owned(), address.to_owned()))
            .map(|live| live.version)
    }

    /// A topic's queues and brokers; `None` when no broker that is here has it. `acting_master`: `supportActingMaster`.
    pub fn route(&self, topic: &str, acting_master: bool) -> Option<TopicRouteData> {
        let tables = self.tables.read();
        let queues = tables.topics.get(topic)?;
        let mut route = TopicRouteData {
            queue_datas: queues.values().cloned().collect(),
            ..TopicRouteData::default()
        };
        for name in queues.keys() {
            let Some(data) = tables.brokers.get(&**name) else {
                continue;
            };
            for address in data.broker_addrs.values() {
                let key = (data.cluster.clone(), address.clone());
                if let Some(filters) = tables.filters.get(&key) {
                    route.filter_server_table.insert(address.clone(), filters.clone());
                }
            }
            route.broker_datas.push(data.clone());
        }
        if route.broker_datas.is_empty() || route.queue_datas.is_empty() {
            return None;
        }
        route.topic_queue_mapping_by_broker = tables.mappings.get(topic).cloned();
        if acting_master && !topic.starts_with(MEMBER_GROUP_TOPIC) {
            show_acting_masters(&mut route);
        }
        Some(route)
    }

    /// All clusters and brokers.
    pub fn cluster_info(&self) -> ClusterInfo {
        let tables = self.tables.read();
        let clusters = tables
            .clusters
            .iter()
            .map(|(name, brokers)| (name.clone(), brokers.iter().cloned().collect()));
        ClusterInfo {
            broker_addr_table: tables.brokers.clone(),
            cluster_addr_table: clusters.collect(),
        }
    }

    /// The brokers of one name; without addresses when there is none.
    pub fn member_group(&self, cluster: &str, name: &str) -> BrokerMemberGroup {
        let tables = self.tables.read();
        let addrs = tables.brokers.get(name).map(|data| data.broker_addrs.clone());
        BrokerMemberGroup {
            broker_addrs: addrs.unwrap_or_default(),
            broker_name: name.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    /// Changes the permission of every topic of a broker name and tells how many there were.
    pub fn set_permission(&self, name: &str, change: Permission) -> i32 {
        let mut count = 0;
        for queues in self.tables.write().topics.values_mut() {
            if let Some(queue) = queues.get_mut(name) {
                queue.perm = match change {
                    Permission::WipeWrite => queue.perm & !WRITE,
                    Permission::Add => READ | WRITE,
                };
                count += 1;
            }
        }
        count
    }

    /// Takes a topic out, in one cluster or everywhere.
    pub fn delete_topic(&self, topic: &str, cluster: Option<&str>) {
        let mut tables = self.tables.write();
        let Some(cluster) = cluster.filter(|name| !name.is_empty()) else {
            if let Some(queues) = tables.topics.remove(topic) {
                tables.bytes -= cost([topic]) + queues.keys().map(|name| cost([name])).sum::<usize>();
                tables.removals += 1;
                tracing::info!("deleteTopic, remove the topic all queue {topic}");
            }
            return;
        };
        let names = tables.clusters.get(cluster).cloned().unwrap_or_default();
        for name in &names {
            tables.remove_queues(topic, name);
        }
    }

    /// REGISTER_TOPIC_IN_NAMESRV: one topic by itself. Ignored when it names a broker that is not here.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn register_topic(&self, topic: &str, queues: Vec<QueueData>) -> Result<(), RegisterError> {
        if queues.is_empty() {
            return Ok(());
        }
        let mut tables = self.tables.write();
        if let Some(unknown) = queues
            .iter()
            .find(|q| !tables.brokers.contains_key(&q.broker_name))
        {
            let name = &unknown.broker_name;
            tracing::warn!("Register topic contains illegal broker, {topic}, {name}");
            return Ok(());
        }
        let more = queues
            .iter()
            .map(|queue| cost([topic]) + cost([&queue.broker_name]))
            .sum();
        tables.has_room(more)?;
        for queue in queues {
            tables.put_queue(topic, &queue.broker_name.as_str().into(), queue.clone());
        }
        tracing::info!("Register topic route:{topic}");
        Ok(())
    }

    /// How much there is, for a page of state.
    pub fn figures(&self) -> String {
        let tables = self.tables.read();
        format!(
            "{} topics, {} broker names with {} live brokers, {} clusters, about {} KiB",
            tables.topics.len(),
            tables.brokers.len(),
            tables.live.len(),
            tables.clusters.len(),
            tables.bytes / 1024
        )
    }

    /// Names of all topics.
    pub fn all_topics(&self) -> TopicList {
        self.topics_where(|_| true)
    }

    /// Topics that have a queue on a broker of the cluster.
    pub fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let names = self
            .tables
            .read()
            .clusters
            .get(cluster)
            .cloned()
            .unwrap_or_default();
        self.topics_where(|queues| names.iter().any(|name| queues.contains_key(name.as_str())))
    }

    /// Cluster and broker names, which are topics too, and one broker's address.
    pub fn system_topics(&self) -> TopicList {
        let tables = self.tables.read();
        let mut list = TopicList::default();
        for (cluster, names) in &tables.clusters {
            list.topic_list.push(cluster.clone());
            list.topic_list.extend(names.iter().cloned());
        }
        list.broker_addr = tables
            .brokers
            .values()
            .find_map(|data| data.broker_addrs.values().next().cloned());
        list
    }

    /// Topics of a unit.
    pub fn unit_topics(&self) -> TopicList {
        self.topics_where(|queues| sys_flag(queues) & UNIT != 0)
    }

    /// Topics with a unit subscription.
    pub fn unit_subscription_topics(&self) -> TopicList {
        self.topics_where(|queues| sys_flag(queues) & UNIT_SUBSCRIPTION != 0)
    }

    /// Topics with a unit subscription that are of no unit.
    pub fn unit_subscription_without_unit_topics(&self) -> TopicList {
        self.topics_where(|queues| sys_flag(queues) & (UNIT | UNIT_SUBSCRIPTION) == UNIT_SUBSCRIPTION)
    }

    fn topics_where(&self, wanted: impl Fn(&BTreeMap<Arc<str>, QueueData>) -> bool) -> TopicList {
        let tables = self.tables.read();
        let names = tables
            .topics
            .iter()
            .filter(|(_, queues)| wanted(queues))
            .map(|(name, _)| name.to_string());
        TopicList {
            broker_addr: None,
            topic_list: names.collect(),
        }
    }
}

impl Tables {
    /// # Errors
    /// With so many bytes more there would be too many.
    fn has_room(&self, more: usize) -> Result<(), RegisterError> {
        let (bytes, max) = (self.bytes + more, self.max_bytes);
        if bytes > max {
            tracing::warn!("the route tables are full: {bytes} bytes, more than {max}");
            return Err(RegisterError::Full { bytes, max });
        }
        Ok(())
    }

    /// Bytes that a registration adds to the tables.
    fn added(&self, header: &RegisterBrokerRequestHeader, body: &RegisterBrokerBody) -> usize {
        let table = &body.topic_config_serialize_wrapper;
        let name = header.broker_name.as_str();
        let topics = table.topic_config_table.iter().map(|(topic, config)| {
            let topic = if config.topic_name.is_empty() {
                topic
            } else {
                &config.topic_name
            };
            match self.topics.get(topic.as_str()) {
                Some(queues) if queues.contains_key(name) => 0,
                Some(_) => cost([name]),
                None => cost([topic]) + cost([name]),
            }
        });
        let mappings = table.topic_queue_mapping_info_map.iter();
        let mappings = mappings.map(|(topic, mapping)| mapping_cost(topic, name, mapping));
        let filters = body.filter_server_list.iter().map(|filter| cost([filter]));
        topics.chain(mappings).chain(filters).sum::<usize>() + broker_cost(&key_of(header))
    }

    /// Enters a topic's queues on a broker name; true if they are new there.
    fn put_queue(&mut self, topic: &str, name: &Arc<str>, queue: QueueData) -> bool {
        let queues = match self.topics.get_mut(topic) {
            Some(queues) => queues,
            None => {
                self.bytes += cost([topic]);
                self.topics.entry(topic.into()).or_default()
            }
        };
        let new = queues.insert(Arc::clone(name), queue).is_none();
        self.bytes += if new { cost([name]) } else { 0 };
        new
    }

    fn put_filters(&mut self, key: BrokerKey, filters: Vec<String>) {
        let bytes = |filters: &[String]| filters.iter().map(|filter| cost([filter])).sum::<usize>();
        self.bytes += bytes(&filters);
        let old = match filters.is_empty() {
            true => self.filters.remove(&key),
            false => self.filters.insert(key, filters),
        };
        self.bytes -= old.map_or(0, |old| bytes(&old));
    }

    fn put_live(&mut self, key: BrokerKey, live: Live) -> bool {
        let bytes = broker_cost(&key);
        let new = self.live.insert(key, live).is_none();
        self.bytes += if new { bytes } else { 0 };
        new
    }

    fn remove_live(&mut self, key: &BrokerKey) -> bool {
        let was_here = self.live.remove(key).is_some();
        self.bytes -= if was_here { broker_cost(key) } else { 0 };
        was_here
    }

    fn put_mapping(&mut self, topic: String, broker: String, mapping: Value) {
        self.bytes += mapping_cost(&topic, &broker, &mapping);
        let old = self
            .mappings
            .entry(topic.clone())
            .or_default()
            .insert(broker.clone(), mapping);
        self.bytes -= old.map_or(0, |old| mapping_cost(&topic, &broker, &old));
    }

    fn register(&mut self, registration: Registration<'_>) -> Result<Registered, RegisterError> {
        let Registration {
            header,
            body,
            version: sender,
            fingerprint,
            connection,
            now,
            delete_missing_topics,
        } = registration;
        self.has_room(self.added(header, &body))?;
        let table = body.topic_config_serialize_wrapper;
        let (id, address) = (header.broker_id, &header.broker_addr);
        let key = key_of(header);
        if self.is_conflict(header, &table) {
            self.remove_live(&key);
            return Ok(Registered::default());
        }
        let known_id = self
            .brokers
            .get(&header.broker_name)
            .is_some_and(|d| d.broker_addrs.contains_key(&id));
        if !known_id && table.topic_config_table.len() == 1 && sender >= protocol::version::V5_0_0 {
            tracing::warn!(
                "broker {} {address} sent one topic before its whole table: refused, it will send the table",
                header.broker_name
            );
            return Err(RegisterError::IncrementFirst);
        }
        self.clusters
            .entry(header.cluster_name.clone())
            .or_default()
            .insert(header.broker_name.clone());
        let data = self.brokers.entry(header.broker_name.clone()).or_default();
        let lowest_before = data.broker_addrs.keys().next().copied();
        let moved_from = Some(std::mem::replace(&mut data.cluster, header.cluster_name.clone()));
        data.broker_name.clone_from(&header.broker_name);
        data.zone_name.clone_from(&header.zone_name);
        data.enable_acting_master = header.enable_acting_master.unwrap_or(false);
        // A broker that changed its role has one id, not two.
        data.broker_addrs
            .retain(|other, addr| addr != address || *other == id);
        let first = data.broker_addrs.insert(id, address.clone()).is_none();
        let is_lowest = data.broker_addrs.keys().next() == Some(&id);
        let is_prime_slave = header.enable_acting_master.is_some() && id != MASTER && is_lowest;
        let became_lowest = lowest_before.is_some_and(|before| id < before);
        let moved_from = moved_from.filter(|old| !old.is_empty() && *old != header.cluster_name);
        if let Some(names) = moved_from.and_then(|old| self.clusters.get_mut(&old)) {
            names.remove(&header.broker_name);
        }
        let version = table.data_version;
        let mut known = None;
        if id == MASTER || is_prime_slave {
            let read_only = is_prime_slave && header.enable_acting_master == Some(true);
            let changed = first || self.live.get(&key).is_none_or(|live| live.version != version);
            self.take_topics(header, table, changed, read_only, delete_missing_topics);
            // Set only now: taking topics out is what makes a table that is known unknown.
            known = Some((fingerprint, self.removals));
        }
        let ha_server_addr = header.ha_server_addr.clone();
        let live = Live {
            seen: now,
            alive_for: alive_for(header),
            version,
            connection: Arc::clone(connection),
            ha_server_addr,
            known,
        };
        if self.put_live(key.clone(), live) {
            tracing::info!(
                "new broker registered, {} {}[{id}] at {address}, HAService: {}",
                header.cluster_name,
                header.broker_name,
                header.ha_server_addr
            );
        }
        self.put_filters(key, body.filter_server_list);
        let notice = if became_lowest {
            self.notice(&header.broker_name, None)
        } else {
            None
        };
        Ok(self.answer(header, notice))
    }

    /// Since 5.x: the same id from another address with an older term than the one that is here.
    fn is_conflict(&self, header: &RegisterBrokerRequestHeader, table: &TopicConfigTable) -> bool {
        let Some(data) = self.brokers.get(&header.broker_name) else {
            return false;
        };
        let Some(held_by) = data.broker_addrs.get(&header.broker_id) else {
            return false;
        };
        if *held_by == header.broker_addr {
            return false;
        }
        let Some(live) = self.live.get(&(header.cluster_name.clone(), held_by.clone())) else {
            return false;
        };
        let conflict = live.version.state_version > table.data_version.state_version;
        if conflict {
            tracing::warn!(
                "Registering Broker conflicts with the existed one, just ignore: {}[{}] at {}, which {held_by} holds",
                header.broker_name,
                header.broker_id,
                header.broker_addr
            );
        }
        conflict
    }

    fn take_topics(
        &mut self,
        header: &RegisterBrokerRequestHeader,
        table: TopicConfigTable,
        changed: bool,
        read_only: bool,
        delete_missing: bool,
    ) {
        let name: Arc<str> = header.broker_name.as_str().into();
        // Unlike Java: a table without the topic that every broker has is an increment, and takes nothing away.
        let whole = table.topic_config_table.contains_key(EVERY_BROKERS_TOPIC);
        if delete_missing && whole && table.topic_queue_mapping_info_map.is_empty() {
            let has = |topic: &str| table.topic_config_table.contains_key(topic);
            let missing = self
                .topics
                .iter()
                .filter(|(topic, queues)| queues.contains_key(&name) && !has(topic));
            let missing: Vec<Arc<str>> = missing.map(|(topic, _)| Arc::clone(topic)).collect();
            for topic in missing {
                self.remove_queues(&topic, &name);
            }
        }
        if changed {
            for (topic, mapping) in table.topic_queue_mapping_info_map {
                let broker = mapping
                    .get("bname")
                    .and_then(Value::as_str)
                    .unwrap_or(&header.broker_name)
                    .to_owned();
                self.put_mapping(topic, broker, mapping);
            }
        }
        for (topic, config) in table.topic_config_table {
            // The key of the map is what Java looks up, the name inside what it enters; they are the same.
            let topic = if config.topic_name.is_empty() {
                topic
            } else {
                config.topic_name.clone()
            };
            let known = |queues: &BTreeMap<Arc<str>, QueueData>| queues.contains_key(&name);
            if !changed && self.topics.get(topic.as_str()).is_some_and(known) {
                continue;
            }
            if self.put_queue(&topic, &name, queue_data(&name, &config, read_only)) {
                tracing::debug!("new topic registered, {topic} {name}");
            } else {
                tracing::trace!("topic registered again, {topic} {name}");
            }
        }
    }

    fn answer(&self, header: &RegisterBrokerRequestHeader, notice: Option<Notice>) -> Registered {
        let mut registered = Registered {
            notice,
            ..Registered::default()
        };
        if header.broker_id == MASTER {
            return registered;
        }
        let master = self
            .brokers
            .get(&header.broker_name)
            .and_then(|data| data.broker_addrs.get(&MASTER));
        if let Some(master) = master
            && let Some(live) = self.live.get(&(header.cluster_name.clone(), master.clone()))
        {
            registered.ha_server_addr = Some(live.ha_server_addr.clone());
            registered.master_addr = Some(master.clone());
        }
        registered
    }

    fn unregister(&mut self, brokers: &[BrokerIdentity]) -> Vec<Notice> {
        let mut gone = BTreeSet::new();
        let mut fewer: BTreeMap<String, (bool, String)> = BTreeMap::new();
        for broker in brokers {
            let key = (broker.cluster_name.clone(), broker.broker_addr.clone());
            let was_here = self.remove_live(&key);
            self.put_filters(key, Vec::new());
            tracing::info!(
                "unregisterBroker, remove from brokerLiveTable {}, {} {}[{}] at {}",
                if was_here { "OK" } else { "Failed" },
                broker.cluster_name,
                broker.broker_name,
                broker.broker_id,
                broker.broker_addr
            );
            let Some(data) = self.brokers.get_mut(&broker.broker_name) else {
                continue;
            };
            let was_lowest = data.broker_addrs.keys().next() == Some(&broker.broker_id);
            data.broker_addrs
                .retain(|_, address| *address != broker.broker_addr);
            if !data.broker_addrs.is_empty() {
                fewer.insert(
                    broker.broker_name.clone(),
                    (was_lowest, broker.broker_addr.clone()),
                );
                continue;
            }
            let cluster = std::mem::take(&mut data.cluster);
            self.brokers.remove(&broker.broker_name);
            tracing::info!(
                "unregisterBroker, remove brokerName from brokerAddrTable OK, {}",
                broker.broker_name
            );
            if let Some(names) = self.clusters.get_mut(&cluster) {
                names.remove(&broker.broker_name);
                if names.is_empty() {
                    self.clusters.remove(&cluster);
                    tracing::info!("unregisterBroker, remove cluster from clusterAddrTable {cluster}");
                }
            }
            gone.insert(broker.broker_name.clone());
        }
        fewer.retain(|name, _| !gone.contains(name));
        self.clean_topics(&gone, &fewer);
        let notices = fewer.into_iter().filter(|(_, (was_lowest, _))| *was_lowest);
        notices
            .filter_map(|(name, (_, address))| self.notice(&name, Some(address)))
            .collect()
    }

    /// Takes out the topics of broker names that are gone, and the write bit where an acting master is all that is left.
    fn clean_topics(&mut self, gone: &BTreeSet<String>, fewer: &BTreeMap<String, (bool, String)>) {
        let without_master = |name: &&String| {
            let data = self.brokers.get(name.as_str());
            data.is_some_and(|d| d.enable_acting_master && !d.broker_addrs.contains_key(&MASTER))
        };
        let wiped: Vec<&String> = fewer.keys().filter(without_master).collect();
        if gone.is_empty() && wiped.is_empty() {
            return;
        }
        self.removals += 1;
        let mut freed = 0;
        self.topics.retain(|topic, queues| {
            for name in gone {
                if queues.remove(name.as_str()).is_some() {
                    freed += cost([name]);
                    tracing::debug!("removeTopicByBrokerName, remove one broker's topic {topic} {name}");
                }
            }
            for name in &wiped {
                if let Some(queue) = queues.get_mut(name.as_str()) {
                    queue.perm &= !WRITE;
                }
            }
            freed += if queues.is_empty() { cost([topic]) } else { 0 };
            !queues.is_empty()
        });
        self.mappings.retain(|topic, brokers| {
            brokers.retain(|name, mapping| {
                let stays = !gone.contains(name);
                freed += if stays {
                    0
                } else {
                    mapping_cost(topic, name, mapping)
                };
                stays
            });
            !brokers.is_empty()
        });
        self.bytes -= freed;
    }

    fn remove_queues(&mut self, topic: &str, name: &str) {
        let Some(queues) = self.topics.get_mut(topic) else {
            return;
        };
        if queues.remove(name).is_none() {
            return;
        }
        self.bytes -= cost([name]);
        self.removals += 1;
        tracing::info!("deleteTopic, remove one broker's topic {name} {topic}");
        if queues.is_empty() {
            self.topics.remove(topic);
            self.bytes -= cost([topic]);
            tracing::info!("deleteTopic, remove the topic all queue {topic}");
        }
    }

    fn identities(&self, wanted: impl Fn(&Live) -> bool) -> Vec<BrokerIdentity> {
        let found = self
            .live
            .iter()
            .filter(|(_, live)| wanted(live))
            .map(|((cluster, address), _)| {
                let place = self
                    .brokers
                    .values()
                    .filter(|data| data.cluster == *cluster)
                    .find_map(|data| {
                        let id = data
                            .broker_addrs
                            .iter()
                            .find(|(_, addr)| *addr == address)
                            .map(|(id, _)| *id)?;
                        Some((data.broker_name.clone(), id))
                    });
                let (broker_name, broker_id) = place.unwrap_or_default();
                BrokerIdentity {
                    broker_name,
                    broker_addr: address.clone(),
                    cluster_name: cluster.clone(),
                    broker_id,
                }
            });
        found.collect()
    }

    /// Whom to tell that the lowest id of `name` changed: after one went away all that are left, after one came the others.
    fn notice(&self, name: &str, offline: Option<String>) -> Option<Notice> {
        let data = self.brokers.get(name).filter(|data| data.enable_acting_master)?;
        let (lowest, address) = data.broker_addrs.iter().next()?;
        let all = offline.is_some() || data.broker_addrs.len() == 1;
        let to = data
            .broker_addrs
            .iter()
            .filter(|(id, _)| all || *id != lowest)
            .map(|(_, addr)| addr.clone());
        let live = self.live.get(&(data.cluster.clone(), address.clone()));
        Some(Notice {
            to: to.collect(),
            min_broker_id: *lowest,
            min_broker_addr: address.clone(),
            broker_name: name.to_owned(),
            ha_broker_addr: if offline.is_none() {
                live.map(|l| l.ha_server_addr.clone())
            } else {
                None
            },
            offline_broker_addr: offline,
        })
    }
}

fn key_of(header: &RegisterBrokerRequestHeader) -> BrokerKey {
    (header.cluster_name.clone(), header.broker_addr.clone())
}

/// Bytes of a broker's entries: its name is bounded, and stands in three tables.
fn broker_cost((cluster, address): &BrokerKey) -> usize {
    4 * cost([cluster, address])
}

fn mapping_cost(topic: &str, broker: &str, mapping: &Value) -> usize {
    // The text of a JSON value, several times over, is about what it takes in memory.
    cost([topic, broker]) + 4 * mapping.to_string().len()
}

fn alive_for(header: &RegisterBrokerRequestHeader) -> Duration {
    let given = header
        .heartbeat_timeout_millis
        .and_then(|ms| u64::try_from(ms).ok());
    given.map_or(ALIVE, Duration::from_millis)
}

fn queue_data(name: &str, config: &TopicConfig, read_only: bool) -> QueueData {
    QueueData {
        broker_name: name.to_owned(),
        perm: if read_only {
            config.perm & !WRITE
        } else {
            config.perm
        },
        read_queue_nums: config.read_queue_nums,
        topic_sys_flag: config.topic_sys_flag,
        write_queue_nums: config.write_queue_nums,
    }
}

fn sys_flag(queues: &BTreeMap<Arc<str>, QueueData>) -> i32 {
    queues.values().next().map_or(0, |queue| queue.topic_sys_flag)
}

/// Where a broker name has no master and allows it, shows its lowest id as the master of its read-only queues.
fn show_acting_masters(route: &mut TopicRouteData) {
    for data in &mut route.broker_datas {
        if !data.enable_acting_master || data.broker_addrs.contains_key(&MASTER) {
            continue;
        }
        let read_only = route
            .queue_datas
            .iter()
            .any(|q| q.broker_name == data.broker_name && q.perm & WRITE == 0);
        if read_only && let Some((_, address)) = data.broker_addrs.pop_first() {
            data.broker_addrs.insert(MASTER, address);
        }
    }
}

#[cfg(test)]
mod tests;
