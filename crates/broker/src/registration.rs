//! Telling the name servers that this broker is here and what topics it has.
//!
//! At start, each `registerNameServerPeriod` (30 s), and at once when a topic or the broker's permission changes
//! (RocketMQ 4.9.8, BrokerController.registerBrokerAll). A change sends only the changed topics, and only over a
//! connection on which this name server has had the full table: a name server that was restarted in between would
//! take the increment's version for that of its own, incomplete table. (Unlike Java, which has that hole.)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::body::namesrv::{RegisterBrokerBody, TopicConfigTable, body_crc32};
use protocol::body::topic::{DataVersion, KvTable, TopicConfig};
use protocol::code::{request, response};
use protocol::header::namesrv::{
    BrokerIdentity, QueryDataVersionResponseHeader, RegisterBrokerRequestHeader,
};
use remoting::{Body, Client, Connection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Store;
use crate::settings::Settings;
use crate::topics::{TopicTable, perm};

/// Bodies above this many bytes are sent compressed: an uncompressed one of 60,000 topics does not fit a frame.
const COMPRESS_ABOVE: usize = 4 << 20;
/// Changes within this time are sent together.
const GATHER: Duration = Duration::from_millis(5);

/// How often a lost name server is tried again.
const RECONNECT: Duration = Duration::from_secs(2);
/// How long the first registration may hold up "boot success".
pub const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// What one name server was told.
#[derive(Debug, Clone)]
struct Told {
    /// The connection that carried the full table.
    connection: Arc<Connection>,
    /// Topics up to this change are known there.
    up_to: u64,
    /// brokerPermission that was told.
    permission: i32,
}

/// Keeps the name servers informed.
pub struct Registration {
    settings: Arc<settings::Live<Settings>>,
    topics: Arc<TopicTable>,
    client: Client,
    store: Arc<Store>,
    announced: watch::Sender<u64>,
    told: Mutex<HashMap<String, Told>>,
    /// For each name server, the last change of the topics that it was told of or could not be told of.
    tried: Mutex<HashMap<String, u64>>,
}

/// Why a name server does not know this broker.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Invoke(#[from] remoting::InvokeError),
    #[error("it answered {code}: {remark}")]
    Answer { code: i32, remark: String },
}

impl Registration {
    /// Registers through `client`.
    pub fn new(
        settings: Arc<settings::Live<Settings>>,
        topics: Arc<TopicTable>,
        store: Arc<Store>,
        client: Client,
    ) -> Self {
        Self {
            settings,
            topics,
            store,
            client,
            announced: watch::channel(0).0,
            told: Mutex::default(),
            tried: Mutex::default(),
        }
    }

    /// brokerPermission, without the right to write while the store takes nothing, because the disk has failed or is
    /// full: producers must go elsewhere. (Unlike Java, which lets them run into refusals.)
    fn permission(&self, settings: &Settings) -> i32 {
        let lost = if self.store.health().is_writable() {
            0
        } else {
            perm::WRITE
        };
        settings.broker.broker_permission & !lost
    }

    /// Tells the name servers soon that something else than a topic has changed; `now` in ms.
    pub fn announce(&self, now: i64) {
        self.topics.renew(now);
        self.announced.send_modify(|n| *n += 1);
    }

    /// The task's body: ends when the broker stops. Each name server has a loop of its own, so that one that is away
    /// does not hold up what the others should know.
    pub async fn run(&self, stop: CancellationToken) {
        let addresses = self.settings.load().broker.namesrv_addrs();
        if addresses.is_empty() {
            self.topics.set_told(u64::MAX);
        }
        let tried = |address: &String| (address.clone(), 0);
        *self.tried.lock() = addresses.iter().map(tried).collect();
        join_all(addresses.iter().map(|address| self.keep_told(address, &stop))).await;
    }

    async fn keep_told(&self, address: &str, stop: &CancellationToken) {
        let (mut changes, mut announced) = (self.topics.subscribe(), self.announced.subscribe());
        let mut next_full = tokio::time::Instant::now() + self.period();
        // Told once when it goes away and once when it is back, not each time.
        let mut away = false;
        loop {
            let full = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next_full) => true,
                _ = announced.changed() => true,
                _ = changes.changed() => {
                    tokio::time::sleep(GATHER).await;
                    changes.mark_unchanged();
                    false
                }
                // Unlike Java, which waits for the next period: a name server that was restarted knows us soon.
                () = self.lost(address) => false,
            };
            if full {
                next_full = tokio::time::Instant::now() + self.period();
            }
            let reached = self.topics.changes();
            let told = self.tell(address, full).await;
            self.tried(address, reached);
            match told {
                Ok(()) => away = false,
                Err(e) if !std::mem::replace(&mut away, true) => {
                    tracing::warn!("name server {address} does not know this broker: {e}");
                }
                Err(e) => tracing::debug!("name server {address}: {e}"),
            }
        }
    }

    /// Notes that a name server was told of the topics up to a change, or could not be told.
    fn tried(&self, address: &str, changes: u64) {
        let mut tried = self.tried.lock();
        tried.insert(address.to_owned(), changes);
        if let Some(all) = tried.values().min() {
            self.topics.set_told(*all);
        }
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

    /// Ends a while after the connection to a name server was lost.
    async fn lost(&self, address: &str) {
        loop {
            tokio::time::sleep(RECONNECT).await;
            let told = self.told.lock().get(address).cloned();
            if told.is_none_or(|t| !t.connection.is_open()) {
                return;
            }
        }
    }

    /// Registers everywhere, all name servers at once.
    pub async fn tell_all(&self) {
        let addresses = self.settings.load().broker.namesrv_addrs();
        let told = addresses.iter().map(|address| async move {
            if let Err(e) = self.tell(address, true).await {
                tracing::warn!("name server {address} does not know this broker: {e}");
            }
        });
        join_all(told).await;
    }

    async fn tell(&self, address: &str, full: bool) -> Result<(), Error> {
        let settings = self.settings.snapshot();
        let timeout = Duration::from_millis(settings.broker.register_broker_timeout_mills.max(1) as u64);
        let connection = self.client.connection(address).await?;
        let before = self.told.lock().get(address).cloned();
        let known = before.filter(|t| t.connection.id() == connection.id());
        let permission = self.permission(&settings);
        let since = match &known {
            Some(told) if !full && told.permission == permission => told.up_to,
            _ => 0,
        };
        let (version, topics, up_to) = self.topics.changed_since(since);
        if since > 0 && topics.is_empty() {
            return Ok(());
        }
        if full
            && known.is_some()
            && !settings.broker.force_register
            && !self
                .is_outdated(&connection, &settings, &version, timeout)
                .await?
        {
            return Ok(());
        }
        let (body, compressed) = encode(topics, version, permission, &settings);
        let header = register_header(&settings, compressed, &body);
        let frame = connection
            .invoke(request::REGISTER_BROKER, &header, Body::Bytes(body), timeout)
            .await?;
        if frame.code != response::SUCCESS {
            let remark = frame.remark.as_deref().unwrap_or_default().to_owned();
            return Err(Error::Answer {
                code: frame.code,
                remark,
            });
        }
        if known.is_none() {
            tracing::info!("registered at name server {address}");
        }
        let told = Told {
            connection: Arc::clone(&connection),
            up_to,
            permission,
        };
        self.told.lock().insert(address.to_owned(), told);
        if since == 0 {
            self.take_order_config(&frame.body);
        }
        Ok(())
    }

    /// Asks whether the name server's table is another than ours (forceRegister=false).
    async fn is_outdated(
        &self,
        connection: &remoting::Connection,
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

    /// The answer carries the ordered topics that operators set at the name server.
    fn take_order_config(&self, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        match protocol::body::read::<KvTable>(body) {
            Ok(table) => {
                let now = self.topics.version().timestamp;
                self.topics
                    .set_ordered(&|topic| table.table.contains_key(topic), now);
            }
            Err(e) => tracing::warn!("the name server's order configuration can not be read: {e}"),
        }
    }

    /// Says good-bye everywhere.
    pub async fn unregister(&self) {
        let settings = self.settings.snapshot();
        let header = identity(&settings);
        let known: Vec<String> = self.told.lock().keys().cloned().collect();
        let gone = known.iter().map(|address| {
            let header = &header;
            async move {
                let timeout = Duration::from_secs(3);
                let asked = self
                    .client
                    .invoke(address, request::UNREGISTER_BROKER, header, Body::Empty, timeout)
                    .await;
                match asked {
                    Ok(_) => tracing::info!("unregistered at name server {address}"),
                    Err(e) => tracing::warn!("not unregistered at name server {address}: {e}"),
                }
            }
        });
        join_all(gone).await;
    }
}

/// Runs all futures at once.
async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
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

fn encode(
    topics: Vec<Arc<TopicConfig>>,
    version: DataVersion,
    permission: i32,
    settings: &Settings,
) -> (Bytes, bool) {
    let restricted = permission != (perm::READ | perm::WRITE);
    let shown = topics.into_iter().map(|t| {
        let mut config = (*t).clone();
        if restricted {
            // A broker without write permission hides it from producers in every topic (5.x: the bits of both).
            config.perm &= permission;
        }
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
    if settings.broker.compressed_register || plain.len() > COMPRESS_ABOVE {
        return (body.to_compressed().into(), true);
    }
    (plain.into(), false)
}

fn register_header(settings: &Settings, compressed: bool, body: &[u8]) -> RegisterBrokerRequestHeader {
    RegisterBrokerRequestHeader {
        broker_name: settings.broker.broker_name.clone(),
        broker_addr: settings.broker_addr(),
        cluster_name: settings.broker.broker_cluster_name.clone(),
        ha_server_addr: settings.ha_addr(),
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
