//! Telling the name servers that this broker is here and what topics it has.
//!
//! At start, each `registerNameServerPeriod` (30 s), and at once when a topic or the broker's permission changes
//! (RocketMQ 4.9.8, BrokerController.registerBrokerAll). A change sends only the changed topics, and only over a
//! connection on which this name server has had the full table: a name server that was restarted in between would
//! take the increment's version for that of its own, incomplete table. (Unlike Java, which has that hole.)
//!
//! A name server with `deleteTopicWithBrokerRegistration` takes every registration for the whole table. Changed topics
//! reach it one by one (REGISTER_TOPIC_IN_NAMESRV), as they reach every name server under `enableSingleTopicRegister`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use message::name::AUTO_CREATE_TOPIC;
use parking_lot::Mutex;
use protocol::EncodeHeader;
use protocol::body::namesrv::{
    ClusterInfo, QueueData, RegisterBrokerBody, TopicConfigTable, TopicRouteData, body_crc32,
};
use protocol::body::topic::{DataVersion, KvTable, TopicConfig};
use protocol::code::{request, response};
use protocol::header::namesrv::{
    BrokerIdentity, GetRouteInfo, QueryDataVersionResponseHeader, RegisterBrokerRequestHeader,
    RegisterBrokerResponseHeader, RegisterTopic,
};
use remoting::{Body, Client, Connection};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod rivals;
mod wiped;

use rivals::Rivals;
use wiped::Wiped;

use crate::config::{SettingsChange, SettingsListener};
use crate::settings::Settings;
use crate::tables::{TopicTable, perm};

/// Bodies above this many bytes are sent compressed: an uncompressed one of 60,000 topics does not fit a frame.
const COMPRESS_ABOVE: usize = 4 << 20;
/// Changes within this time are sent together.
const GATHER: Duration = Duration::from_millis(5);
/// More changed topics than this are not told one by one: the whole table is shorter then.
const ONE_BY_ONE_MAX: usize = 64;

/// How often a lost name server is tried again.
const RECONNECT: Duration = Duration::from_secs(2);
/// How long after a doubt about the master the name servers are asked: each time costs a registration.
const DOUBTED: Duration = Duration::from_secs(2);
/// How often it is looked whether `namesrvAddr` names others.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How often a name server that is away is mentioned.
const MENTION_EACH: Duration = Duration::from_secs(60);
/// How long the first registration may hold up "boot success".
pub const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// A topic that every broker has, Java's as well.
const EVERYWHERE: &str = "SELF_TEST_TOPIC";
/// How long the address of a host may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(1);
/// How long a name server may take to answer what it may not know, or a good-bye: it may be mute.
const SHORT: Duration = Duration::from_secs(1);

/// What one name server was told.
#[derive(Debug, Clone)]
struct Told {
    /// The connection that carried the full table.
    connection: Arc<Connection>,
    /// Topics up to this change are known there.
    up_to: u64,
    /// What every topic was told with.
    rights: Rights,
    /// Whether it forgets the topics that a registration lacks, if it was asked since it was told everything.
    forgets: Option<bool>,
}

/// What this broker lets clients do, whatever a topic's own permission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rights {
    /// brokerPermission; without the right to write while the store takes nothing.
    permission: i32,
    /// autoCreateTopicEnable.
    new_topics: bool,
}

impl Rights {
    /// A topic's permission as name servers are told. A broker without write permission hides it from producers in every
    /// topic (5.x: the bits of both). One that makes no topics hides the template of new ones, which producers of a topic
    /// that is not there take their brokers from: unlike Java, which draws them to where they are refused.
    fn shown(self, topic: &TopicConfig) -> i32 {
        let own = match self.new_topics || topic.topic_name != AUTO_CREATE_TOPIC {
            true => topic.perm,
            false => topic.perm & perm::READ,
        };
        if self.permission == (perm::READ | perm::WRITE) {
            own
        } else {
            own & self.permission
        }
    }
}

/// Where the master of a slave is: as the name servers say, unless `haMasterAddress` says where its port of replication is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasterAddress {
    /// `host:port` of its port of replication.
    pub ha: Option<String>,
    /// `host:port` where it answers requests. While no name server says that, one port below a given port of replication, as 4.9
    /// has it always.
    pub broker: Option<String>,
    /// Every name server was asked once; it may not have answered.
    pub is_asked: bool,
}

impl MasterAddress {
    /// What the settings alone say.
    fn given(settings: &Settings) -> Self {
        let ha = settings.store.ha_master_address.clone();
        // Java takes no notice of an address that is too short to be one.
        let ha = ha.filter(|address| address.len() >= 6);
        Self {
            broker: ha.as_deref().and_then(one_port_below),
            ha,
            is_asked: false,
        }
    }

    /// Do both lead to the same broker?
    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.ha, &self.broker) == (&other.ha, &other.broker)
    }
}

/// Are two texts `host:port` the same port of one host, by name or by address?
async fn same_place(one: &str, other: &str) -> bool {
    let found = |address: String| async move {
        let found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host(address)).await;
        found.map_or_else(
            |_| Vec::new(),
            |found| found.map(Iterator::collect).unwrap_or_default(),
        )
    };
    if one == other {
        return true;
    }
    let (one, other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        tokio::join!(found(one.to_owned()), found(other.to_owned()));
    one.iter().any(|address| other.contains(address))
}

fn one_port_below(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_sub(1)?;
    Some(format!("{host}:{port}"))
}

/// What is known of one name server.
#[derive(Debug, Default)]
struct NameServer {
    told: Option<Told>,
    /// The connection that last carried a registration, answered or not: a good-bye belongs behind it.
    asked: Option<Arc<Connection>>,
    /// The last change of the topics that it was told of or could not be told of.
    tried: u64,
    /// When the log last said that it is away.
    mentioned: Option<Instant>,
}

impl NameServer {
    /// Whether the log is to say at `now` that it is away: at once, and each minute while that lasts.
    fn is_to_be_mentioned(&mut self, now: Instant) -> bool {
        let due = self
            .mentioned
            .is_none_or(|last| now.duration_since(last) >= MENTION_EACH);
        if due {
            self.mentioned = Some(now);
        }
        due
    }
}

/// A task that keeps one name server told.
struct Kept {
    /// Ends it with a good-bye.
    removed: CancellationToken,
    task: AbortHandle,
}

/// Keeps the name servers informed.
pub struct Registration {
    settings: Arc<settings::Live<Settings>>,
    topics: Arc<TopicTable>,
    client: Client,
    writable: Box<dyn Fn() -> bool + Send + Sync>,
    announced: watch::Sender<u64>,
    master: watch::Sender<MasterAddress>,
    /// A name server has said where the master is.
    has_master: AtomicBool,
    /// The slave could not copy from there.
    doubts_master: AtomicBool,
    /// Where slaves connect.
    replication_port: AtomicU16,
    servers: Mutex<HashMap<String, NameServer>>,
    /// Nothing is registered any more.
    ended: CancellationToken,
    /// [`Registration::run`] is at work.
    running: watch::Sender<bool>,
    /// Registrations that came about, and those that did not.
    counts: [AtomicU64; 2],
    /// Since when producers are sent away, ms since 1970; 0: they are not.
    drains_since: AtomicI64,
    drain_asked: Notify,
    rivals: Rivals,
}

/// Why a name server does not know this broker.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Invoke(#[from] remoting::InvokeError),
    #[error("it answered {code}: {remark}")]
    Answer { code: i32, remark: String },
    #[error("the broker stops")]
    Stops,
}

impl Registration {
    /// Registers through `client`.
    pub fn new(
        settings: Arc<settings::Live<Settings>>,
        topics: Arc<TopicTable>,
        writable: Box<dyn Fn() -> bool + Send + Sync>,
        client: Client,
    ) -> Self {
        let replication_port = settings.load().store.ha_listen_port as u16;
        let master = MasterAddress::given(&settings.load());
        Self {
            settings,
            topics,
            writable,
            client,
            announced: watch::channel(0).0,
            replication_port: AtomicU16::new(replication_port),
            master: watch::channel(master).0,
            has_master: AtomicBool::new(false),
            doubts_master: AtomicBool::new(false),
            servers: Mutex::default(),
            ended: CancellationToken::new(),
            running: watch::channel(false).0,
            counts: Default::default(),
            drains_since: AtomicI64::new(0),
            drain_asked: Notify::new(),
            rivals: Rivals::default(),
        }
    }

    /// Has the name servers send producers to other brokers; gives since when they do. `now` in ms.
    pub fn drain(&self, now: i64) -> i64 {
        match self
            .drains_since
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                self.announce(now);
                now
            }
            Err(since) => since,
        }
    }

    /// Somebody outside asks for [`Registration::drain`].
    pub fn ask_for_drain(&self) {
        self.drain_asked.notify_one();
    }

    /// Waits until somebody asks.
    pub async fn asked_for_drain(&self) {
        self.drain_asked.notified().await;
    }

    /// Has the name servers send producers here again; `now` in ms.
    pub fn end_drain(&self, now: i64) {
        if self.drains_since.swap(0, Ordering::AcqRel) != 0 {
            self.announce(now);
        }
    }

    /// Are producers sent away?
    pub fn drains(&self) -> bool {
        self.drains_since.load(Ordering::Acquire) != 0
    }

    /// Does a name server know another master of this cluster, to which producers can go? One that is itself being emptied, or takes
    /// nothing for another reason, tells its topics without the right to write.
    pub async fn has_other_master(&self) -> bool {
        let settings = self.settings.snapshot();
        let broker = &settings.broker;
        for address in broker.namesrv_addrs() {
            let Ok(cluster) = self.cluster(&address).await else {
                continue;
            };
            let names = cluster.cluster_addr_table.get(&broker.broker_cluster_name);
            let mut others = names
                .into_iter()
                .flatten()
                .filter(|name| **name != broker.broker_name);
            let Ok(route) = self.route(&address, EVERYWHERE).await else {
                continue;
            };
            let is_master = |name: &String| {
                let group = cluster.broker_addr_table.get(name);
                let mut queues = route.queue_datas.iter();
                group.is_some_and(|group| group.broker_addrs.contains_key(&0))
                    && queues.any(|queues| queues.broker_name == *name && queues.perm & perm::WRITE != 0)
            };
            if others.any(is_master) {
                return true;
            }
        }
        false
    }

    /// Registrations that came about, and those that did not.
    pub fn counts(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| {
            self.counts
                .get(at)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }

    /// Every name server of the settings, and whether it knows this broker by a connection that stands.
    pub fn standing(&self) -> Vec<(String, bool)> {
        let addresses = self.settings.load().broker.namesrv_addrs();
        let servers = self.servers.lock();
        let knows = |address: &str| {
            let told = servers.get(address).and_then(|server| server.told.as_ref());
            told.is_some_and(|told| told.connection.is_open())
        };
        addresses
            .into_iter()
            .map(|address| (address.to_string(), knows(&address)))
            .collect()
    }

    /// Without the right to write while the store takes nothing, because the disk has failed or is full, or the broker is about to
    /// stop: producers must go elsewhere. (Unlike Java, which lets them run into refusals.)
    fn rights(&self, settings: &Settings) -> Rights {
        let is_taken = (self.writable)() && !self.drains();
        let lost = if is_taken { 0 } else { perm::WRITE };
        Rights {
            permission: settings.broker.broker_permission & !lost,
            new_topics: settings.broker.auto_create_topic_enable,
        }
    }

    /// The port of replication is another one from now on; `now` in ms.
    pub fn replication_moved(&self, port: u16, now: i64) {
        if self.replication_port.swap(port, Ordering::Relaxed) != port {
            self.announce(now);
        }
    }

    /// Follows where the master of this broker is.
    pub fn master(&self) -> watch::Receiver<MasterAddress> {
        self.master.subscribe()
    }

    /// The addresses of the slaves of this broker's name that a name server knows. `None` if no name server answers that knows this
    /// broker itself: one that was restarted knows it and its slaves when they have registered again.
    pub async fn slaves(&self) -> Option<Vec<String>> {
        let settings = self.settings.snapshot();
        let own = settings.broker_addr();
        let found: Mutex<Option<BTreeSet<(i64, String)>>> = Mutex::new(None);
        let addresses = settings.broker.namesrv_addrs();
        let asked = addresses.iter().map(|address| async {
            let address: &str = address;
            match self.brokers(address, &settings.broker.broker_name).await {
                Ok(brokers) if brokers.values().any(|broker| *broker == own) => {
                    let slaves = brokers.into_iter().filter(|(id, _)| *id > 0);
                    found.lock().get_or_insert_default().extend(slaves);
                }
                Ok(_) => tracing::debug!("name server {address} does not know this broker"),
                Err(e) => tracing::debug!("name server {address} does not say who is a slave: {e}"),
            }
        });
        join_all(asked).await;
        let slaves = found.into_inner()?;
        Some(slaves.into_iter().map(|(_, address)| address).collect())
    }

    /// The brokers of a name, by id: GET_BROKER_CLUSTER_INFO.
    async fn brokers(&self, namesrv: &str, name: &str) -> Result<BTreeMap<i64, String>, Error> {
        let cluster = self.cluster(namesrv).await?;
        let group = cluster.broker_addr_table.get(name);
        Ok(group.map(|group| group.broker_addrs.clone()).unwrap_or_default())
    }

    /// The body of a name server's answer to a request without one.
    async fn body_of<T: DeserializeOwned>(
        &self,
        namesrv: &str,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<T, Error> {
        let connection = self.client.connection(namesrv).await?;
        let answer = succeeded(connection.invoke(code, header, Body::Empty, SHORT).await?)?;
        protocol::body::read(&answer.body).map_err(|e| Error::Answer {
            code: answer.code,
            remark: e.to_string(),
        })
    }

    async fn cluster(&self, namesrv: &str) -> Result<ClusterInfo, Error> {
        self.body_of(namesrv, request::GET_BROKER_CLUSTER_INFO, &()).await
    }

    async fn route(&self, namesrv: &str, topic: &str) -> Result<TopicRouteData, Error> {
        let header = GetRouteInfo {
            topic: topic.into(),
            accept_standard_json_only: None,
            zone_mode: None,
            zone_name: None,
        };
        self.body_of(namesrv, request::GET_ROUTEINFO_BY_TOPIC, &header)
            .await
    }

    /// Tells the name servers soon that something else than a topic has changed; `now` in ms.
    pub fn announce(&self, now: i64) {
        // Whoever sees the new version sees the announcement as well: name servers are told of both at once.
        self.announced.send_modify(|n| {
            self.topics.renew(now);
            *n += 1;
        });
    }

    /// The task's body, once all name servers were told: ends when the broker stops. Each name server has a task of its own, so that one that is away
    /// does not hold up what the others should know. Follows `namesrvAddr`: one that is new there is told, one that is
    /// gone gets a good-bye.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.running.send_replace(true);
        self.master
            .send_if_modified(|known| !std::mem::replace(&mut known.is_asked, true));
        let mut changes = self.topics.subscribe();
        let mut look = tokio::time::interval(LOOK_EACH);
        let mut tasks = JoinSet::new();
        let mut kept = HashMap::new();
        let this = Arc::clone(&self);
        tasks.spawn(async move { this.judge_former().await });
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.ended.cancelled() => break,
                _ = look.tick() => self.follow(&mut kept, &mut tasks),
                // With no name server there is nobody whom the maker of a topic has to wait for.
                _ = changes.changed() => self.settle(),
                // One that panicked is started again by the next look.
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
        self.running.send_replace(false);
    }

    /// Starts a task for each name server that has none, and ends those of name servers that are gone from the settings.
    fn follow(self: &Arc<Self>, kept: &mut HashMap<String, Kept>, tasks: &mut JoinSet<()>) {
        let wanted = self.settings.load().broker.namesrv_addrs();
        kept.retain(|address, kept| {
            if !wanted.contains(address) {
                kept.removed.cancel();
            }
            !kept.task.is_finished()
        });
        for address in wanted {
            // A task that is still saying good-bye ends first.
            if kept.contains_key(&address) {
                continue;
            }
            self.servers.lock().entry(address.clone()).or_default();
            let removed = CancellationToken::new();
            let (this, name, token) = (Arc::clone(self), address.clone(), removed.clone());
            let task = tasks.spawn(async move { this.keep_until(&name, &token).await });
            kept.insert(address, Kept { removed, task });
        }
        self.settle();
    }

    async fn keep_until(&self, address: &str, removed: &CancellationToken) {
        tokio::select! {
            () = removed.cancelled() => {}
            () = self.keep_told(address) => return,
        }
        tracing::info!("name server {address} is not in namesrvAddr any more");
        let asked = self
            .servers
            .lock()
            .remove(address)
            .and_then(|server| server.asked);
        self.settle();
        if let Some(connection) = asked {
            self.say_good_bye(address, &connection).await;
            connection.close("its name server is not ours any more");
        }
    }

    async fn keep_told(&self, address: &str) {
        let (mut changes, mut announced) = (self.topics.subscribe(), self.announced.subscribe());
        // What has changed since the first registration, or all.
        changes.mark_changed();
        let mut told = *announced.borrow_and_update();
        let (mut last_full, mut wiped) = (Instant::now(), Wiped::default());
        loop {
            let full = tokio::select! {
                () = self.period_after(last_full) => {
                    self.look_for_rival(address).await;
                    wiped.look(self, address).await;
                    true
                }
                _ = announced.changed() => true,
                _ = changes.changed() => {
                    tokio::time::sleep(GATHER).await;
                    false
                }
                // Unlike Java, which waits for the next period: a name server that was restarted knows us soon.
                () = self.lost(address) => false,
                // Nor does a slave wait for the next period to hear of its master.
                () = self.has_no_master() => true,
            };
            // What came together is told together.
            changes.mark_unchanged();
            let announcements = *announced.borrow_and_update();
            let full = full || announcements != told;
            told = announcements;
            if full {
                last_full = Instant::now();
            }
            self.tell_and_say(address, full).await;
        }
    }

    /// Tells one name server and leaves a line if it can not be told.
    async fn tell_and_say(&self, address: &str, full: bool) {
        let reached = self.topics.changes();
        let told = self.tell(address, full).await;
        let [succeeded, failed] = &self.counts;
        let count = if told.is_ok() { succeeded } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
        let mut servers = self.servers.lock();
        let server = servers.entry(address.to_owned()).or_default();
        server.tried = reached;
        match told {
            Ok(()) => server.mentioned = None,
            Err(Error::Stops) => {}
            Err(e) if server.is_to_be_mentioned(Instant::now()) => {
                tracing::warn!("name server {address} does not know this broker: {e}");
            }
            Err(e) => tracing::debug!("name server {address}: {e}"),
        }
        drop(servers);
        self.settle();
    }

    /// Those who wait until the name servers know a topic wait no longer than for what all of them were told, or could not
    /// be told.
    fn settle(&self) {
        let tried = self.servers.lock().values().map(|server| server.tried).min();
        self.topics
            .set_told(tried.unwrap_or_else(|| self.topics.changes()));
    }

    fn told(&self, address: &str) -> Option<Told> {
        self.servers.lock().get(address)?.told.clone()
    }

    /// `registerNameServerPeriod`, between Java's bounds.
    fn period(&self) -> Duration {
        let ms = self
            .settings
            .load()
            .broker
            .register_name_server_period
            .clamp(10_000, 60_000);
        Duration::from_millis(ms as u64)
    }

    /// Ends a period after `last`; looks meanwhile whether the period has changed.
    async fn period_after(&self, last: Instant) {
        while let left = (last + self.period()).saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(LOOK_EACH)).await;
        }
    }

    /// Ends a while after the connection to a name server was lost.
    async fn lost(&self, address: &str) {
        loop {
            tokio::time::sleep(RECONNECT).await;
            if self.told(address).is_none_or(|t| !t.connection.is_open()) {
                return;
            }
        }
    }

    /// The broker that name servers have named as the master is none, or can not be reached: they are asked again soon.
    pub fn doubt_master(&self) {
        self.doubts_master.store(true, Ordering::Relaxed);
    }

    /// Ends a while after nobody has said where the master is, or whoever is there was doubted; never on a master.
    async fn has_no_master(&self) {
        if !self.settings.load().is_slave() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(RECONNECT).await;
            if !self.has_master.load(Ordering::Relaxed) {
                return;
            }
            if self.doubts_master.load(Ordering::Relaxed) {
                tokio::time::sleep(DOUBTED).await;
                self.doubts_master.store(false, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Registers everywhere, all name servers at once.
    pub async fn tell_all(&self) {
        let addresses = self.settings.load().broker.namesrv_addrs();
        join_all(addresses.iter().map(|address| async {
            self.note_former(address).await;
            self.tell_and_say(address, true).await;
        }))
        .await;
    }

    async fn tell(&self, address: &str, full: bool) -> Result<(), Error> {
        let settings = self.settings.snapshot();
        let connection = self.client.connection(address).await?;
        if self.ended.is_cancelled() {
            return Err(Error::Stops);
        }
        let known = self
            .told(address)
            .filter(|t| t.connection.id() == connection.id());
        let rights = self.rights(&settings);
        let since = match &known {
            Some(told) if !full && told.rights == rights => told.up_to,
            _ => 0,
        };
        let (mut version, mut topics, mut up_to) = self.changed_since(since).await;
        if since > 0 && topics.is_empty() {
            return Ok(());
        }
        let timeout = Duration::from_millis(settings.broker.register_broker_timeout_mills.max(1) as u64);
        if full
            && known.is_some()
            && !settings.broker.force_register
            && !self
                .is_outdated(&connection, &settings, &version, timeout)
                .await?
        {
            return Ok(());
        }
        let forgets = match &known {
            Some(told) if since > 0 && told.forgets.is_some() => told.forgets,
            Some(_) if since > 0 => Some(forgets_topics(&connection).await),
            _ => None,
        };
        let no_increments = settings.broker.enable_single_topic_register || forgets == Some(true);
        let singly = since > 0 && no_increments;
        let entered =
            singly && topics.len() <= ONE_BY_ONE_MAX && self.enter(&connection, &topics, rights).await;
        if !entered {
            if singly {
                (version, topics, up_to) = self.changed_since(0).await;
            }
            let port = self.replication_port.load(Ordering::Relaxed);
            let (header, body) = aside(move || encode(topics, version, rights, &settings, port)).await;
            let order = self
                .register(address, &connection, &header, body, timeout)
                .await?;
            if since == 0 || singly {
                let topics = Arc::clone(&self.topics);
                aside(move || take_order_config(&topics, &order)).await;
            }
        }
        if known.is_none() {
            tracing::info!("registered at name server {address}");
            // Its name is known by now, and the network is up.
            let unreachable = self.settings.load().unreachable_from(connection.peer().ip());
            if let Some(text) = unreachable {
                tracing::warn!("{text}");
            }
        }
        let told = Told {
            connection,
            up_to,
            rights,
            forgets,
        };
        self.servers.lock().entry(address.to_owned()).or_default().told = Some(told);
        Ok(())
    }

    /// REGISTER_BROKER; gives the answer's body.
    async fn register(
        &self,
        address: &str,
        connection: &Arc<Connection>,
        header: &RegisterBrokerRequestHeader,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        // A good-bye, or the end of registering, comes before this or behind it.
        let asked = {
            let mut servers = self.servers.lock();
            if self.ended.is_cancelled() {
                return Err(Error::Stops);
            }
            servers.entry(address.to_owned()).or_default().asked = Some(Arc::clone(connection));
            connection.invoke(request::REGISTER_BROKER, header, Body::Bytes(body), timeout)
        };
        let answer = succeeded(asked.await?)?;
        self.note_master(&answer).await;
        Ok(answer.body)
    }

    /// A registration's answer says where the master is, if the name server knows one.
    async fn note_master(&self, answer: &protocol::Frame) {
        let settings = self.settings.snapshot();
        let Ok(header) = answer.header::<RegisterBrokerResponseHeader>() else {
            return;
        };
        let some = |text: Option<String>| text.filter(|address| !address.is_empty());
        let broker = some(header.master_addr).filter(|address| *address != settings.broker_addr());
        // One that knows no master does not take away what another said.
        let (true, Some(ha), Some(broker)) = (settings.is_slave(), some(header.ha_server_addr), broker)
        else {
            return;
        };
        let (ha, broker) = match MasterAddress::given(&settings) {
            MasterAddress { ha: None, .. } => (Some(ha), Some(broker)),
            given => match same_place(given.ha.as_deref().unwrap_or_default(), &ha).await {
                // Who is compared with and asked for tables must be who is copied from.
                false if self.is_server(given.broker.as_deref()).await => {
                    self.tell_of_other_master(&given, &ha);
                    (given.ha, given.broker)
                }
                // The same place, or one from which connections are handed on to the master.
                _ => (given.ha, Some(broker)),
            },
        };
        self.has_master.store(true, Ordering::Relaxed);
        self.master.send_if_modified(|known| {
            let master = MasterAddress {
                ha,
                broker,
                is_asked: known.is_asked,
            };
            let is_new = *known != master;
            *known = master;
            is_new
        });
    }

    /// Does a server answer requests at this address?
    async fn is_server(&self, address: Option<&str>) -> bool {
        let Some(address) = address else { return false };
        let asked = async {
            let connection = self.client.connection(address).await?;
            let code = request::GET_BROKER_CONFIG;
            connection.invoke(code, &(), Body::Empty, SHORT).await
        };
        asked.await.is_ok()
    }

    /// Once.
    fn tell_of_other_master(&self, given: &MasterAddress, announced: &str) {
        let given_ha = given.ha.as_deref().unwrap_or_default();
        let known = self.master.borrow();
        if known.ha == given.ha && known.broker == given.broker && known.is_asked {
            return;
        }
        tracing::warn!(
            "replication: haMasterAddress={given_ha} is not where the master replicates that the name servers name ({announced}): this slave \
             follows haMasterAddress, and takes the broker at {} for its master",
            given.broker.as_deref().unwrap_or("no port")
        );
    }

    /// REGISTER_TOPIC_IN_NAMESRV for each of these topics (RocketMQ 5.3, BrokerOuterAPI.registerSingleTopicAll). False if one
    /// was not entered: a name server of 4.9 does not know the request, and answers nothing.
    async fn enter(&self, connection: &Connection, topics: &[Arc<TopicConfig>], rights: Rights) -> bool {
        let broker_name = self.settings.load().broker.broker_name.clone();
        let refused = AtomicBool::new(false);
        let entered = topics.iter().map(|topic| {
            let route = TopicRouteData {
                queue_datas: vec![QueueData {
                    broker_name: broker_name.clone(),
                    perm: rights.shown(topic),
                    read_queue_nums: topic.read_queue_nums,
                    topic_sys_flag: topic.topic_sys_flag,
                    write_queue_nums: topic.write_queue_nums,
                }],
                ..TopicRouteData::default()
            };
            let header = RegisterTopic {
                topic: topic.topic_name.as_str().into(),
            };
            let body = Body::Bytes(protocol::body::write(&route));
            let asked = connection.invoke(request::REGISTER_TOPIC_IN_NAMESRV, &header, body, SHORT);
            let refused = &refused;
            async move {
                if let Err(e) = asked.await.map_err(Error::from).and_then(succeeded) {
                    tracing::debug!("{} was not entered by itself: {e}", topic.topic_name);
                    refused.store(true, Ordering::Relaxed);
                }
            }
        });
        join_all(entered).await;
        !refused.into_inner()
    }

    /// Asks whether the name server's table is another than ours (forceRegister=false).
    async fn is_outdated(
        &self,
        connection: &Connection,
        settings: &Settings,
        version: &DataVersion,
        timeout: Duration,
    ) -> Result<bool, Error> {
        let header = identity(settings);
        let body = protocol::body::write(version);
        let frame = connection
            .invoke(request::QUERY_DATA_VERSION, &header, Body::Bytes(body), timeout)
            .await?;
        if frame.code != response::SUCCESS {
            return Ok(true);
        }
        Ok(frame
            .header::<QueryDataVersionResponseHeader>()
            .map_or(true, |h| h.changed))
    }

    /// As [`TopicTable::changed_since`].
    async fn changed_since(&self, since: u64) -> (DataVersion, Vec<Arc<TopicConfig>>, u64) {
        let topics = Arc::clone(&self.topics);
        aside(move || topics.changed_since(since)).await
    }

    /// Ends registering and says good-bye everywhere. A name server that is mute or gone holds this up for a second at
    /// most.
    pub async fn unregister(&self) {
        self.ended.cancel();
        // Under the lock: whoever is about to register has seen the end, or has written before the good-byes.
        let known: Vec<_> = self
            .servers
            .lock()
            .drain()
            .filter_map(|(address, server)| Some((address, server.asked?)))
            .collect();
        join_all(
            known
                .iter()
                .map(|(address, asked)| self.say_good_bye(address, asked)),
        )
        .await;
        let mut running = self.running.subscribe();
        // Its tasks are ended where they wait; one that encodes a table is not waited for longer.
        let _late = tokio::time::timeout(SHORT, running.wait_for(|running| !running)).await;
    }

    /// UNREGISTER_BROKER over the connection that registered. One that is closed has said good-bye already.
    async fn say_good_bye(&self, address: &str, connection: &Connection) {
        if !connection.is_open() {
            return;
        }
        let header = identity(&self.settings.snapshot());
        let asked = connection.invoke(request::UNREGISTER_BROKER, &header, Body::Empty, SHORT);
        match asked.await {
            Ok(_) => tracing::info!("unregistered at name server {address}"),
            Err(e) => tracing::warn!("not unregistered at name server {address}: {e}"),
        }
    }
}

/// Name servers are told what every topic lets clients do.
impl SettingsListener for Registration {
    fn changed(&self, change: &SettingsChange) {
        if change.concerns(|s| (s.broker.broker_permission, s.broker.auto_create_topic_enable)) {
            self.announce(change.now_ms);
        }
    }
}

/// Whether a name server has `deleteTopicWithBrokerRegistration`. One that does not say has not: 4.9 knows nothing of it.
async fn forgets_topics(connection: &Connection) -> bool {
    let asked = connection.invoke(request::GET_NAMESRV_CONFIG, &(), Body::Empty, SHORT);
    asked.await.is_ok_and(|answer| {
        let text = String::from_utf8_lossy(&answer.body);
        text.lines()
            .any(|line| line.trim() == "deleteTopicWithBrokerRegistration=true")
    })
}

fn succeeded(answer: protocol::Frame) -> Result<protocol::Frame, Error> {
    if answer.code == response::SUCCESS {
        return Ok(answer);
    }
    let remark = answer.remark.as_deref().unwrap_or_default().to_owned();
    Err(Error::Answer {
        code: answer.code,
        remark,
    })
}

/// Runs all futures at once.
pub(crate) async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut all: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|f| f.as_mut().poll(cx).is_pending());
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Does what grows with the number of topics where no worker is held up.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The answer to a registration carries the ordered topics that operators set at the name server.
fn take_order_config(topics: &TopicTable, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    match protocol::body::read::<KvTable>(body) {
        Ok(table) => {
            let now = topics.version().timestamp;
            topics.set_ordered(&|topic| table.table.contains_key(topic), now);
        }
        Err(e) => tracing::warn!("the name server's order configuration can not be read: {e}"),
    }
}

/// Header and body of a registration.
fn encode(
    topics: Vec<Arc<TopicConfig>>,
    version: DataVersion,
    rights: Rights,
    settings: &Settings,
    replication_port: u16,
) -> (RegisterBrokerRequestHeader, Bytes) {
    let shown = topics.into_iter().map(|t| {
        let mut config = (*t).clone();
        config.perm = rights.shown(&t);
        (config.topic_name.clone(), config)
    });
    let wrapper = TopicConfigTable {
        topic_config_table: shown.collect(),
        data_version: version,
        ..TopicConfigTable::default()
    };
    let body = RegisterBrokerBody {
        topic_config_serialize_wrapper: wrapper,
        ..RegisterBrokerBody::default()
    };
    let plain = body.to_json();
    let compressed = settings.broker.compressed_register || plain.len() > COMPRESS_ABOVE;
    let body = match compressed {
        true => body.to_compressed(),
        false => plain,
    };
    (
        register_header(settings, replication_port, compressed, &body),
        body.into(),
    )
}

fn register_header(
    settings: &Settings,
    replication_port: u16,
    compressed: bool,
    body: &[u8],
) -> RegisterBrokerRequestHeader {
    RegisterBrokerRequestHeader {
        broker_name: settings.broker.broker_name.clone(),
        broker_addr: settings.broker_addr(),
        cluster_name: settings.broker.broker_cluster_name.clone(),
        ha_server_addr: settings.ha_addr(replication_port),
        broker_id: settings.broker.broker_id,
        compressed: Some(compressed),
        body_crc32: Some(body_crc32(body)),
        ..RegisterBrokerRequestHeader::default()
    }
}

fn identity(settings: &Settings) -> BrokerIdentity {
    BrokerIdentity {
        broker_name: settings.broker.broker_name.clone(),
        broker_addr: settings.broker_addr(),
        cluster_name: settings.broker.broker_cluster_name.clone(),
        broker_id: settings.broker.broker_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_that_is_away_is_mentioned_once_a_minute() {
        let mut server = NameServer::default();
        let start = Instant::now();
        let mentioned: Vec<u64> = (0..=250)
            .filter(|second| server.is_to_be_mentioned(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(mentioned, [0, 60, 120, 180, 240]);
        // Back and away again: that is news.
        server.mentioned = None;
        assert!(server.is_to_be_mentioned(start + Duration::from_secs(251)));
        assert!(!server.is_to_be_mentioned(start + Duration::from_secs(252)));
    }

    /// Before the name servers were asked, nobody can say that they know no master.
    #[tokio::test]
    async fn what_a_slave_knows_of_its_master_before_and_after_it_has_asked() {
        for (given, ha, broker) in [
            (None, None, None),
            (Some("h:1"), None, None),
            (
                Some("10.0.0.1:10912"),
                Some("10.0.0.1:10912"),
                Some("10.0.0.1:10911"),
            ),
        ] {
            let mut settings = Settings::default();
            settings.store.ha_master_address = given.map(str::to_owned);
            settings.broker.namesrv_addr = None;
            let (disk, file) = (disk::SimDisk::default(), "/config/topics.json".into());
            let topics = TopicTable::load(&disk, file, &crate::tables::Identity::of(&settings), 1);
            let registration = Arc::new(Registration::new(
                Arc::new(settings::Live::new(settings)),
                Arc::new(topics.expect("an empty disk")),
                Box::new(|| true),
                Client::new(remoting::ClientSettings::default()),
            ));
            let mut master = registration.master();
            let mut expected = MasterAddress {
                ha: ha.map(str::to_owned),
                broker: broker.map(str::to_owned),
                is_asked: false,
            };
            assert_eq!(*master.borrow(), expected);
            registration.tell_all().await;
            let stop = CancellationToken::new();
            let running = tokio::spawn(Arc::clone(&registration).run(stop.clone()));
            master.changed().await.expect("it is asked");
            expected.is_asked = true;
            assert_eq!(*master.borrow(), expected);
            stop.cancel();
            running.await.expect("it ends");
        }
    }

    #[test]
    fn a_restricted_broker_takes_its_right_from_every_topic() {
        let topic = |perm| TopicConfig {
            perm,
            ..TopicConfig::default()
        };
        for (own, broker, shown) in [(6, 6, 6), (7, 6, 7), (6, 4, 4), (4, 2, 0), (7, 4, 4)] {
            let rights = Rights {
                permission: broker,
                new_topics: false,
            };
            assert_eq!(rights.shown(&topic(own)), shown, "{own} {broker}");
        }
    }

    #[test]
    fn the_template_of_new_topics_is_hidden_where_none_are_made() {
        let template = TopicConfig {
            topic_name: AUTO_CREATE_TOPIC.to_owned(),
            perm: 7,
            ..TopicConfig::default()
        };
        for (new_topics, permission, shown) in [(true, 6, 7), (false, 6, 4), (true, 4, 4), (false, 2, 0)] {
            let rights = Rights {
                permission,
                new_topics,
            };
            assert_eq!(rights.shown(&template), shown, "{rights:?}");
        }
    }
}
