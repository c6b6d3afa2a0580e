//! Who serves what: topics, brokers, clusters, and which brokers are alive.
//!
//! Rules of RocketMQ 4.9.8 and 5.3.3, RouteInfoManager. One lock around everything; nothing is called and nothing is
//! parsed while it is held, and nobody holds it for longer than a step ([`tables`]): what concerns many topics takes
//! [`MayWait`] and is made of many steps. Time comes in from outside.

mod tables;

use crate::limits::TABLES_MAX;
use parking_lot::{RwLock, RwLockWriteGuard};
use protocol::body::namesrv::{
    BrokerMemberGroup, ClusterInfo, QueueData, RegisterBrokerBody, TopicConfigTable, TopicRouteData,
};
use protocol::body::{DataVersion, TopicList};
use protocol::header::namesrv::{BrokerIdentity, MinBrokerIdChange, RegisterBrokerRequestHeader};
use remoting::Peer;
use remoting::lane::MayWait;
use std::sync::Arc;
use std::time::Instant;
use tables::{Cursor, Entering, STEP, Seen, Tables, alive_for};
use tokio::sync::Notify;

/// Broker id of a master.
const MASTER: i64 = 0;
/// Permission bits of a topic.
const WRITE: i32 = 2;
const READ: i32 = 4;
/// topicSysFlag bits.
const UNIT: i32 = 1;
const UNIT_SUBSCRIPTION: i32 = 2;
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

impl Registration<'_> {
    /// Whether topics that are not in it are to be taken out.
    fn drops_missing(&self) -> bool {
        let table = &self.body.topic_config_serialize_wrapper;
        // Unlike Java: a table without the topic that every broker has is an increment, and takes nothing away.
        let whole = table.topic_config_table.contains_key(EVERY_BROKERS_TOPIC);
        self.delete_missing_topics && whole && table.topic_queue_mapping_info_map.is_empty()
    }
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
    /// The broker went away while its topics were entered.
    #[error("the broker was unregistered while its topics were read")]
    Gone,
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

/// How much the tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Topics.
    pub topics: usize,
    /// Names of brokers.
    pub names: usize,
    /// Brokers that are alive.
    pub live: usize,
    /// Clusters.
    pub clusters: usize,
    /// About the bytes of all of it.
    pub bytes: usize,
}

/// For a page of state.
impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures {
            topics,
            names,
            live,
            clusters,
            bytes,
        } = self;
        let kib = bytes / 1024;
        write!(
            f,
            "{topics} topics, {names} broker names with {live} live brokers, {clusters} clusters, about {kib} KiB"
        )
    }
}

/// The route table.
pub struct RouteTable {
    tables: RwLock<Tables>,
    /// Told when entries of brokers that are gone wait to be taken out.
    stale: Notify,
}

impl Default for RouteTable {
    fn default() -> Self {
        RouteTable::of(TABLES_MAX)
    }
}

/// Registration and liveness.
impl RouteTable {
    /// One that holds about so many bytes at most.
    pub fn of(max_bytes: usize) -> RouteTable {
        RouteTable {
            tables: RwLock::new(Tables::of(max_bytes)),
            stale: Notify::new(),
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
        let data = &tables.brokers.get(&header.broker_name)?.data;
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

    /// Takes a registration if that takes no time: it is of few topics, and none has to be looked for that is missing.
    ///
    /// # Errors
    /// It is refused.
    pub fn register_short(
        &self,
        registration: &Registration<'_>,
    ) -> Option<Result<Registered, RegisterError>> {
        let table = &registration.body.topic_config_serialize_wrapper;
        let entries = table.topic_config_table.len() + table.topic_queue_mapping_info_map.len();
        (entries <= STEP && !registration.drops_missing()).then(|| self.enter(registration))
    }

    /// Takes a registration.
    ///
    /// # Errors
    /// It is refused. Nothing of it was taken then, unless the tables became full, or the broker went away, meanwhile.
    pub fn register(&self, registration: &Registration<'_>, _: MayWait) -> Result<Registered, RegisterError> {
        self.enter(registration)
    }

    fn enter(&self, registration: &Registration<'_>) -> Result<Registered, RegisterError> {
        let beside = Tables::added_beside(registration.header, &registration.body);
        self.check_room(registration, beside)?;
        let (registered, entering) = self.tables.write().begin(registration, beside)?;
        let Some(mut entering) = entering else {
            return Ok(registered);
        };
        let table = &registration.body.topic_config_serialize_wrapper;
        if registration.drops_missing() {
            self.remove_missing(&mut entering, table);
        }
        let mut mappings = table.topic_queue_mapping_info_map.iter();
        while mappings.len() > 0 {
            let step = mappings.by_ref().take(STEP);
            self.step(|tables| tables.enter_mappings(&entering, step))?;
        }
        let mut topics = table.topic_config_table.iter();
        while topics.len() > 0 {
            let step = topics.by_ref().take(STEP);
            self.step(|tables| tables.enter(&entering, step))?;
        }
        self.step(|tables| tables.finish(&entering, registration.fingerprint, table.data_version));
        Ok(registered)
    }

    /// Refuses what does not fit before anything of it is taken.
    fn check_room(&self, registration: &Registration<'_>, beside: usize) -> Result<(), RegisterError> {
        let Registration { header, body, .. } = registration;
        let mut topics = body.topic_config_serialize_wrapper.topic_config_table.iter();
        let mut bytes = beside;
        while topics.len() > 0 {
            let tables = self.tables.read();
            let step = topics.by_ref().take(STEP);
            let added = step.map(|(topic, config)| tables.added(&header.broker_name, topic, config));
            bytes += added.sum::<usize>();
        }
        self.tables.read().has_room(bytes)
    }

    /// Takes out the topics that a broker no longer has.
    fn remove_missing(&self, entering: &mut Entering, table: &TopicConfigTable) {
        let mut cursor = Cursor::default();
        loop {
            let missing = self.tables.read().missing_of_step(&mut cursor, entering, table);
            let Some(missing) = missing else { return };
            if !missing.is_empty() {
                self.step(|tables| tables.remove_missing(entering, &missing));
            }
        }
    }

    /// Changes the tables for a moment; whoever waits for them comes next.
    fn step<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        let mut tables = self.tables.write();
        let changed = change(&mut tables);
        RwLockWriteGuard::unlock_fair(tables);
        changed
    }

    /// Takes brokers away, all at once. What it returns is to be told to the brokers left.
    pub fn unregister(&self, brokers: &[BrokerIdentity]) -> Vec<Notice> {
        let mut tables = self.tables.write();
        let notices = tables.unregister(brokers);
        if tables.stale {
            self.stale.notify_one();
        }
        notices
    }

    /// Waits until there is something for [`RouteTable::clean`].
    pub async fn wait_for_stale(&self) {
        self.stale.notified().await;
    }

    /// Takes out what brokers that are gone have left. Nobody sees it any more, but it takes room. Grows with the number of
    /// topics.
    pub fn clean(&self) {
        self.tables.write().stale = false;
        let mut cursor = Cursor::default();
        while self.step(|tables| tables.clean_step(&mut cursor)) {}
        let mut last = None;
        loop {
            last = self.step(|tables| tables.clean_mappings_step(last.as_deref()));
            if last.is_none() {
                return;
            }
        }
    }

    /// The brokers of a connection that closed.
    pub fn brokers_of(&self, connection: &dyn Peer) -> Vec<BrokerIdentity> {
        let tables = self.tables.read();
        tables.identities(|live| live.connection.id() == connection.id())
    }

    /// The brokers not heard of for too long, and their connections.
    pub fn expired(&self, now: Instant) -> Vec<(BrokerIdentity, Arc<dyn Peer>)> {
        let tables = self.tables.read();
        let identities = tables.identities(|live| now.saturating_duration_since(live.seen) > live.alive_for);
        let with_connection = identities.into_iter().filter_map(|identity| {
            let key = (identity.cluster_name.clone(), identity.broker_addr.clone());
            let connection = Arc::clone(&tables.live.get(&key)?.connection);
            Some((identity, connection))
        });
        with_connection.collect()
    }

    /// A sign of life that is not a registration.
    pub fn seen(&self, cluster: &str, address: &str, now: Instant) {
        let key = (cluster.to_owned(), address.to_owned());
        if let Some(live) = self.tables.write().live.get_mut(&key) {
            live.seen = now;
        }
    }

    /// The version of the table that a broker registered last.
    pub fn data_version(&self, cluster: &str, address: &str) -> Option<DataVersion> {
        let key = (cluster.to_owned(), address.to_owned());
        self.tables.read().live.get(&key).map(|live| live.version)
    }
}

/// What is asked.
impl RouteTable {
    /// A topic's queues and brokers; `None` when no broker that is here has it. `acting_master`: `supportActingMaster`.
    pub fn route(&self, topic: &str, acting_master: bool) -> Option<TopicRouteData> {
        let tables = self.tables.read();
        let mut route = TopicRouteData::default();
        for (queues, named) in tables.seen(tables.queues(topic)) {
            let data = &named.data;
            for address in data.broker_addrs.values() {
                let key = (data.cluster.clone(), address.clone());
                if let Some(filters) = tables.filters.get(&key) {
                    route.filter_server_table.insert(address.clone(), filters.clone());
                }
            }
            route.queue_datas.push(queues.shown(named));
            route.broker_datas.push(data.clone());
        }
        if route.queue_datas.is_empty() {
            return None;
        }
        route.topic_queue_mapping_by_broker = tables.mappings(topic);
        drop(tables);
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
        let brokers = tables.brokers.iter();
        ClusterInfo {
            broker_addr_table: brokers
                .map(|(name, named)| (name.clone(), named.data.clone()))
                .collect(),
            cluster_addr_table: clusters.collect(),
        }
    }

    /// The brokers of one name; without addresses when there is none.
    pub fn member_group(&self, cluster: &str, name: &str) -> BrokerMemberGroup {
        let tables = self.tables.read();
        let named = tables.brokers.get(name);
        BrokerMemberGroup {
            broker_addrs: named.map_or_else(Default::default, |named| named.data.broker_addrs.clone()),
            broker_name: name.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    /// How much there is.
    pub fn figures(&self) -> Figures {
        let tables = self.tables.read();
        Figures {
            topics: tables.topics_len(),
            names: tables.brokers.len(),
            live: tables.live.len(),
            clusters: tables.clusters.len(),
            bytes: tables.bytes,
        }
    }

    /// Names of all topics.
    pub fn all_topics(&self, may: MayWait) -> TopicList {
        self.topics_where(may, |_| true)
    }

    /// Topics that have a queue on a broker of the cluster.
    pub fn topics_of_cluster(&self, cluster: &str, may: MayWait) -> TopicList {
        let names = self.tables.read().clusters.get(cluster).cloned();
        let names = names.unwrap_or_default();
        self.topics_where(may, |queues| {
            queues
                .iter()
                .any(|(_, named)| names.contains(&named.data.broker_name))
        })
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
            .find_map(|named| named.data.broker_addrs.values().next().cloned());
        list
    }

    /// Topics of a unit.
    pub fn unit_topics(&self, may: MayWait) -> TopicList {
        self.topics_where(may, |queues| sys_flag(queues) & UNIT != 0)
    }

    /// Topics with a unit subscription.
    pub fn unit_subscription_topics(&self, may: MayWait) -> TopicList {
        self.topics_where(may, |queues| sys_flag(queues) & UNIT_SUBSCRIPTION != 0)
    }

    /// Topics with a unit subscription that are of no unit.
    pub fn unit_subscription_without_unit_topics(&self, may: MayWait) -> TopicList {
        self.topics_where(may, |queues| {
            sys_flag(queues) & (UNIT | UNIT_SUBSCRIPTION) == UNIT_SUBSCRIPTION
        })
    }

    /// A topic that comes or goes while the others are looked at may be in the list or not.
    fn topics_where(&self, _: MayWait, wanted: impl Fn(&[Seen<'_>]) -> bool) -> TopicList {
        let mut list = TopicList::default();
        let mut cursor = Cursor::default();
        loop {
            let names = self.tables.read().names_of_step(&mut cursor, &wanted);
            let Some(names) = names else { return list };
            list.topic_list.extend(names);
        }
    }
}

/// What operators change.
impl RouteTable {
    /// Changes the permission of every topic of a broker name and tells how many there were.
    pub fn set_permission(&self, name: &str, change: Permission, _: MayWait) -> i32 {
        let mut cursor = Cursor::default();
        let turn = self.step(Tables::begin_permission);
        let mut count = 0;
        while let Some(changed) =
            self.step(|tables| tables.change_permission(&mut cursor, name, change, turn))
        {
            count += changed;
        }
        count
    }

    /// Takes a topic out, in one cluster or everywhere.
    pub fn delete_topic(&self, topic: &str, cluster: Option<&str>) {
        let mut tables = self.tables.write();
        let Some(cluster) = cluster.filter(|name| !name.is_empty()) else {
            return tables.remove_topic(topic);
        };
        for name in tables.clusters.get(cluster).cloned().unwrap_or_default() {
            tables.remove_queues(topic, &name);
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
        let unknown = queues
            .iter()
            .find(|of| !tables.brokers.contains_key(&of.broker_name));
        if let Some(unknown) = unknown {
            let name = &unknown.broker_name;
            tracing::warn!("Register topic contains illegal broker, {topic}, {name}");
            return Ok(());
        }
        tables.put_topic(topic, queues)?;
        tracing::info!("Register topic route:{topic}");
        Ok(())
    }
}

fn sys_flag(queues: &[Seen<'_>]) -> i32 {
    queues.first().map_or(0, |(queues, _)| queues.topic_sys_flag)
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
