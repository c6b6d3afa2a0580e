//! GET_BROKER_RUNTIME_INFO (28): what `brokerStatus`, `clusterList`, the dashboard and the exporter read.
//!
//! Keys: reference, mqadmin.md. We have no thread pools; their queue keys are kept because the tools read them, and
//! say what is true: nothing waits in them, their capacity is what may be in flight.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use disk::Clock;
use protocol::body::KvTable;
use remoting::Request;

use crate::Store;
use crate::flush::FlushWaiters;
use crate::handlers::pull::HeldPull;
use crate::hold::Hold;
use crate::settings::Settings;
use crate::stats::Stats;

/// Version told to tools: the release whose behaviour we follow by default.
const VERSION: (i32, &str) = (protocol::VERSION, "V4_9_8");

/// What the handler needs.
pub struct Runtime {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// The store.
    pub store: Arc<Store>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Sends that wait for a flush.
    pub waiters: Arc<FlushWaiters>,
    /// Pulls that wait for a message.
    pub hold: Arc<Hold<HeldPull>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Runtime {
    /// GET_BROKER_RUNTIME_INFO.
    pub fn get(&self, request: Request) {
        request.responder.body(&KvTable { table: self.describe() });
    }

    fn describe(&self) -> BTreeMap<String, String> {
        let now = self.clock.now_ms();
        let settings = self.settings.load();
        let mut table = BTreeMap::new();
        let mut put = |key: &str, value: String| drop(table.insert(key.to_owned(), value));
        self.stats.describe(now, &mut put);
        put("brokerVersion", VERSION.0.to_string());
        put("brokerVersionDesc", VERSION.1.to_owned());
        put("brokerActive", "true".to_owned());
        put("startAcceptSendRequestTimeStamp", settings.broker.start_accept_send_request_time_stamp.to_string());
        self.queues(&settings, &mut put);
        self.log(&settings, &mut put);
        table
    }

    fn queues(&self, settings: &Settings, put: &mut dyn FnMut(&str, String)) {
        let in_flight = self.waiters.len();
        let head_wait = self.waiters.head_wait_ms(self.clock.now_ms());
        put("sendThreadPoolQueueSize", in_flight.to_string());
        put("sendThreadPoolQueueHeadWaitTimeMills", head_wait.to_string());
        put("sendThreadPoolQueueCapacity", settings.broker.send_thread_pool_queue_capacity.to_string());
        for (family, capacity) in [
            ("pull", settings.broker.pull_thread_pool_queue_capacity),
            ("query", settings.broker.query_thread_pool_queue_capacity),
        ] {
            put(&format!("{family}ThreadPoolQueueSize"), "0".to_owned());
            put(&format!("{family}ThreadPoolQueueHeadWaitTimeMills"), "0".to_owned());
            put(&format!("{family}ThreadPoolQueueCapacity"), capacity.to_string());
        }
        put("EndTransactionQueueSize", "0".to_owned());
        let capacity = settings.broker.end_transaction_pool_queue_capacity;
        put("EndTransactionThreadPoolQueueCapacity", capacity.to_string());
        put("pullHoldSize", self.hold.len().to_string());
    }

    fn log(&self, settings: &Settings, put: &mut dyn FnMut(&str, String)) {
        let store = &self.store;
        let (min, max) = (store.min_physical(), store.max_physical());
        put("commitLogMinOffset", min.to_string());
        put("commitLogMaxOffset", max.to_string());
        put("dispatchBehindBytes", (max - store.dispatched()).max(0).to_string());
        put("dispatchMaxBuffer", "0".to_owned());
        put("remainHowManyDataToFlush", format!("{} B", (max - store.flushed()).max(0)));
        put("pageCacheLockTimeMills", store.append_lock_held_ms().to_string());
        put("earliestMessageTimeStamp", store.earliest_message_time().unwrap_or(-1).to_string());
        put("putMessageDistributeTimeUnit", "ms".to_owned());
        let mut least: Option<f64> = None;
        let (mut total, mut free) = (0u64, 0u64);
        for path in settings.commitlog_paths() {
            let Some(usage) = store.usage(&path) else { continue };
            put(&format!("commitLogDiskRatio_{}", path.display()), ratio_text(usage.ratio()));
            least = Some(least.map_or(usage.ratio(), |l| l.min(usage.ratio())));
            total += usage.total_bytes;
            free += usage.free_bytes;
        }
        put("commitLogDiskRatio", least.map(ratio_text).unwrap_or_default());
        let queues = store.usage(Path::new(&settings.consumequeue_path()));
        put("consumeQueueDiskRatio", queues.map(|u| ratio_text(u.ratio())).unwrap_or_default());
        put("commitLogDirCapacity", format!("Total : {}, Free : {}.", bytes_text(total), bytes_text(free)));
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
