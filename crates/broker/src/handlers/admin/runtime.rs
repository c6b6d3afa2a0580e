//! GET_BROKER_RUNTIME_INFO (28): what `brokerStatus`, `clusterList`, the dashboard and the exporter read.
//!
//! Keys: reference, mqadmin.md. We have no thread pools; their queue keys are kept because the tools read them, and
//! say what is alike: sends that wait for a flush, pulls and queries that wait for the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk::{Clock, Disk};
use protocol::body::broker::ConsumerOffsetTable;
use protocol::body::topic::KvTable;
use protocol::code::response;
use protocol::header::broker::RuntimeInfoRequestHeader;
use remoting::Request;

use message::name::SCHEDULE_TOPIC;

use super::limits::Limits;
use crate::access::Access;
use crate::commitlog::Appender;
use crate::delay::Delivery;
use crate::lane::MayWait;
use crate::replication::{self, LOG_FILE_SIZE, Link, SlaveServer};
use crate::settings::Settings;
use crate::tables::dormant::DormantFiles;
use crate::tables::{ConfigFile, Tables};
use crate::transaction::Checks;

/// Version told to tools: the release whose behaviour we follow by default.
const VERSION: (i32, &str) = (protocol::version::V4_9_8, "V4_9_8");

/// Java's default (endTransactionPoolQueueCapacity), which sizes nothing here.
const END_TRANSACTION_QUEUE_CAPACITY: i32 = 100_000;

/// What the handler needs.
pub struct Runtime<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// The log, its counters, who waits for a flush.
    pub appender: Arc<Appender<D>>,
    /// What requests occupy.
    pub limits: Limits,
    /// How far delayed messages are delivered.
    pub delivery: Arc<Delivery<D>>,
    /// Whose changes slaves ask for.
    pub tables: Tables,
    /// The same of files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// How this broker stands to its master.
    pub link: Arc<Link>,
    /// The slaves of this broker.
    pub slaves: Arc<SlaveServer<D>>,
    /// When the broker was started, ms since 1970: numbers of changes begin anew then.
    pub started: i64,
    /// Access control.
    pub access: Access<D>,
    /// How half messages are checked.
    pub checks: Arc<Checks<D>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl<D: Disk + Clone> Runtime<D> {
    /// GET_BROKER_RUNTIME_INFO. A slave of ours says what it has, and may wait for more.
    pub fn get(&self, request: Request, may: MayWait) {
        let slave = request.responder.peer().address().ip().to_canonical();
        let frame = request.frame.clone();
        let header = frame.header::<RuntimeInfoRequestHeader<'_>>();
        let header = header.ok().filter(|header| header.has_topics.is_some());
        if header.is_some() {
            self.slaves.copies().asks(slave);
        }
        let request = match header {
            Some(header) if self.slaves.serves(slave) => {
                request.responder.peer().stay();
                if let Some(given) = &header.given_delays {
                    self.delivery.take_back(given, slave);
                    return self.answer(request, may);
                }
                if header.given_offsets == Some(true) {
                    return self.take_offsets_back(request, may);
                }
                let waits = self.settings.load().waits_for_slaves();
                let connections = self.slaves.speaking(slave);
                self.slaves.copies().note(slave, connections, &header, waits);
                self.slaves.copies().hold(request, &header)
            }
            _ => Some(request),
        };
        if let Some(request) = request {
            self.answer(request, may);
        }
    }

    /// A slave gives back the offsets that this broker has lost.
    fn take_offsets_back(&self, request: Request, may: MayWait) {
        let peer = request.responder.peer().address();
        let given = protocol::body::read_request::<ConsumerOffsetTable>(&request.frame.body);
        let taken = given.map_err(|e| e.to_string()).and_then(|given| {
            let taken = self.tables.offsets.take_back(given);
            taken.map_err(|e| e.to_string())
        });
        match taken {
            Ok(taken) => {
                tracing::info!("{taken} consumer offsets given back by {peer}");
                self.answer(request, may);
            }
            Err(e) => request.responder.error(response::SYSTEM_ERROR, &e),
        }
    }

    /// Answers at once.
    pub fn answer(&self, request: Request, _: MayWait) {
        request.responder.body(&KvTable {
            table: self.describe(),
        });
    }

    fn describe(&self) -> BTreeMap<String, String> {
        let now = self.clock.now_ms();
        let settings = self.settings.load();
        let mut table = BTreeMap::new();
        let mut put = |key: &str, value: String| drop(table.insert(key.to_owned(), value));
        self.appender.stats.describe(now, &mut put);
        put("brokerVersion", VERSION.0.to_string());
        put("brokerVersionDesc", VERSION.1.to_owned());
        put("brokerActive", "true".to_owned());
        put(
            "startAcceptSendRequestTimeStamp",
            settings.broker.start_accept_send_request_time_stamp.to_string(),
        );
        // Ours: why sends are refused, OK if they are not.
        let problem = self.appender.store.health().problem();
        put("storeHealth", problem.unwrap_or_else(|| "OK".to_owned()));
        if let Some(guard) = &self.access.guard {
            for (reason, count) in guard.refused() {
                put(reason, count.to_string());
            }
        }
        if let Some(files) = &self.access.files {
            put("aclFiles", files.fault().unwrap_or_else(|| "OK".to_owned()));
        }
        self.queues(&settings, &mut put);
        self.log(&settings, &mut put);
        self.limits(&mut put);
        match settings.is_slave() {
            true => self.as_slave(now, &mut put),
            false => self.as_master(&settings, &mut put),
        }
        table
    }

    /// Ours: how far each slave is; and the number of each table's last change, which our slaves look at.
    fn as_master(&self, settings: &Settings, put: &mut dyn FnMut(&str, String)) {
        let store = &self.appender.store;
        for slave in self.slaves.slaves() {
            let behind = store.max_physical().0 - slave.acknowledged;
            put(&format!("slave_{}", slave.address), format!("{behind} B behind"));
        }
        let (open, most) = self.slaves.connected();
        put("slaveConnections", format!("{open} of {most}"));
        put("slavesRefused", self.slaves.refused().to_string());
        let safe = self.appender.safe_end(settings).0;
        let [request_modes, timer_metrics] = self.dormant.changes();
        for (table, change) in [
            (replication::TOPICS, self.tables.topics.saver().latest()),
            (replication::GROUPS, self.tables.groups.saver().latest()),
            (replication::OFFSETS, self.tables.offsets.saver().latest()),
            (replication::REQUEST_MODES, request_modes),
            (replication::TIMER_METRICS, timer_metrics),
        ] {
            put(table, replication::text(change, self.started));
        }
        let had_messages = store.opened_at().0 > 0;
        if let Some(lost) = self.slaves.copies().lost().filter(|_| had_messages) {
            put(replication::LOST, lost);
        }
        if let Some(old) = self.slaves.copies().old() {
            put(replication::OLD, old);
        }
        if self.slaves.copies().is_draining() {
            put(replication::STOPS, "true".to_owned());
        }
        if let Some(users) = &self.access.users {
            put(
                replication::USERS,
                replication::text(users.saver().latest(), self.started),
            );
        }
        // What is safe of it follows the log.
        let delays = self.delivery.offsets.latest();
        let delays = replication::text(delays, self.started);
        put(replication::DELAYS, format!("{delays} {safe}"));
    }

    /// Ours: who the master is and how far behind it this broker is.
    fn as_slave(&self, now: i64, put: &mut dyn FnMut(&str, String)) {
        let (store, link) = (&self.appender.store, self.link.state());
        let end = store.max_physical().0;
        let none = || "unknown".to_owned();
        put("master", link.master.clone().unwrap_or_else(none));
        let since = link
            .since_ms
            .map(|since| format!("connected for {} ms", now - since));
        put(
            "masterConnection",
            link.stopped
                .clone()
                .or(since)
                .unwrap_or_else(|| "not connected".to_owned()),
        );
        let behind = link.behind(end, now);
        let last = || match link.was_behind(end, now) {
            Some((bytes, age_ms)) => format!("unknown, {bytes} as the master said {age_ms} ms ago"),
            None => none(),
        };
        put(
            "masterBehindBytes",
            behind.map_or_else(last, |bytes| bytes.to_string()),
        );
        let behind_ms = match behind {
            Some(0) => Some(0),
            Some(_) => store.last_store_time().map(|time| (now - time).max(0)),
            None => None,
        };
        put("masterBehindMs", behind_ms.map_or_else(none, |ms| ms.to_string()));
    }

    fn queues(&self, settings: &Settings, put: &mut dyn FnMut(&str, String)) {
        let waiting = &self.appender.acknowledgements;
        let in_flight = waiting.len();
        let head_wait = waiting.head_wait_ms(self.clock.now_ms());
        put("sendThreadPoolQueueSize", in_flight.to_string());
        put("sendThreadPoolQueueHeadWaitTimeMills", head_wait.to_string());
        put(
            "sendThreadPoolQueueCapacity",
            settings.broker.send_thread_pool_queue_capacity.to_string(),
        );
        let capacity = settings.broker.pull_thread_pool_queue_capacity;
        let families = [
            ("pull", &self.limits.lanes.pull, capacity),
            (
                "query",
                &self.limits.lanes.search,
                settings.broker.query_thread_pool_queue_capacity,
            ),
        ];
        for (family, lane, capacity) in families {
            let (size, head_wait) = lane.look();
            put(&format!("{family}ThreadPoolQueueSize"), size.to_string());
            put(
                &format!("{family}ThreadPoolQueueHeadWaitTimeMills"),
                head_wait.as_millis().to_string(),
            );
            put(&format!("{family}ThreadPoolQueueCapacity"), capacity.to_string());
        }
        put("EndTransactionQueueSize", "0".to_owned());
        put(
            "EndTransactionThreadPoolQueueCapacity",
            END_TRANSACTION_QUEUE_CAPACITY.to_string(),
        );
        put("pullHoldSize", self.limits.hold.len().to_string());
        // Ours.
        let checks = &self.checks;
        put("transactionsNotLookedAt", checks.open().to_string());
        for (name, count) in [
            ("transactionsAsked", &checks.asked),
            ("transactionsUnasked", &checks.unasked),
            ("transactionsGivenUp", &checks.given_up),
        ] {
            put(name, count.load(Ordering::Relaxed).to_string());
        }
        let ends = checks.ends.counts();
        for (name, count) in [
            ("transactionsCommitted", ends.committed),
            ("transactionsRolledBack", ends.rolled_back),
            ("transactionsEndedAgain", ends.repeated),
            ("transactionsEndedOtherwise", ends.contradicted),
            ("transactionEndsRemembered", ends.remembered as u64),
        ] {
            put(name, count.to_string());
        }
    }

    fn log(&self, settings: &Settings, put: &mut dyn FnMut(&str, String)) {
        let store = &self.appender.store;
        let (min, max) = (store.min_physical().0, store.max_physical().0);
        put("commitLogMinOffset", min.to_string());
        put("commitLogMaxOffset", max.to_string());
        // Ours: what is on disk, which the settings need not say.
        put(LOG_FILE_SIZE, store.settings().commitlog_file_size.to_string());
        put(
            "dispatchBehindBytes",
            (max - store.reput_end().0).max(0).to_string(),
        );
        put("dispatchMaxBuffer", "0".to_owned());
        // There is no transient pool; the exporter does not do without the key.
        put("remainTransientStoreBufferNumbs", i32::MAX.to_string());
        put(
            "remainHowManyDataToFlush",
            format!("{} B", (max - store.flushed().0).max(0)),
        );
        let lock_ms = store.append_lock_ms(self.clock.now_ms());
        put("pageCacheLockTimeMills", lock_ms.to_string());
        put(
            "earliestMessageTimeStamp",
            store.earliest_log_time().unwrap_or(-1).to_string(),
        );
        let mut least: Option<f64> = None;
        let (mut total, mut free) = (0u64, 0u64);
        for path in settings.store.commit_log_dirs() {
            let Ok(usage) = store.disk().usage(&path) else {
                continue;
            };
            let ratio = f64::from(usage.percent()) / 100.0;
            put(
                &format!("commitLogDiskRatio_{}", path.display()),
                ratio_text(ratio),
            );
            least = Some(least.map_or(ratio, |l| l.min(ratio)));
            total += usage.used + usage.available;
            free += usage.available;
        }
        put("commitLogDiskRatio", least.map(ratio_text).unwrap_or_default());
        let queues = store.disk().usage(&store.settings().consumequeue_dir());
        let ratio = queues.map(|u| ratio_text(f64::from(u.percent()) / 100.0));
        put("consumeQueueDiskRatio", ratio.unwrap_or_default());
        for level in 1..=self.delivery.levels.max() {
            let max = store.queue_max_offset(SCHEDULE_TOPIC, level - 1).0;
            if max > 0 {
                put(
                    &format!("scheduleMessageOffset_{level}"),
                    format!("{},{max}", self.delivery.offsets.get(level)),
                );
            }
        }
        put(
            "commitLogDirCapacity",
            format!("Total : {}, Free : {}.", bytes_text(total), bytes_text(free)),
        );
    }

    /// Ours: each limit in bytes, what is used of it, how often it refused; and what was passed over.
    fn limits(&self, put: &mut dyn FnMut(&str, String)) {
        for level in self.limits.levels() {
            put(&format!("limit_{}", level.name), level.to_string());
        }
        let metrics = &self.limits.traffic.metrics;
        let paused = metrics.reads_paused.load(Ordering::Relaxed);
        let closed = metrics.closed_stalled.load(Ordering::Relaxed);
        put(
            "limit_UNREAD_ANSWERS",
            format!("{paused} pauses of reading, {closed} connections closed"),
        );
        let undeliverable = self.delivery.undeliverable.load(Ordering::Relaxed);
        put("delayedMessagesPassedOver", undeliverable.to_string());
        let unread = self.delivery.unread.load(Ordering::Relaxed);
        put("delayedMessagesUnread", unread.to_string());
        let taken = self.appender.store.taken_places();
        put("messagesWithTakenOffset", taken.to_string());
    }
}

fn ratio_text(ratio: f64) -> String {
    format!("{ratio:?}")
}

/// 1024-based, as Java's messages print sizes.
fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}
