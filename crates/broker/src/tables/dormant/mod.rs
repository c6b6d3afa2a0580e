//! Files under `config/` of features that this release does not have: read and checked at start, aged as Java ages them,
//! and written back in Java's form when something changed, so that nothing is lost for a broker that takes over.
//!
//! | file | what it is for | module |
//! |---|---|---|
//! | `consumerFilter.json` | SQL92 subscriptions | [`filters`] |
//! | `consumerOrderInfo.json` (5.x) | POP of ordered messages | [`order_info`] |
//! | `topicQueueMapping.json` (5.x) | static topics | [`queue_mapping`] |
//! | `messageRequestMode.json` (5.x) | who consumes by POP | [`request_modes`] |
//! | `timermetrics`, `transactionMetrics` (5.x) | counts of waiting messages | [`counts`] |
//! | `timercheck` (5.x) | progress of the timer wheel | [`timer_check`] |
//!
//! Tables in RocksDB (5.x) cannot be read: [`rocksdb`].

pub mod counts;
pub mod filters;
pub mod order_info;
pub mod queue_mapping;
pub mod request_modes;
pub mod rocksdb;
pub mod timer_check;

use std::path::{Path, PathBuf};

use disk::Disk;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::groups::GroupTable;
use crate::persist::{self, LoadError, Saver};
use crate::topics::TopicTable;
use counts::{TimerMetrics, TransactionMetrics};
use filters::{Bloom, Filters};
use order_info::OrderInfo;
use queue_mapping::QueueMappings;
use request_modes::RequestModes;

/// One file: its table and who writes it.
pub struct Kept<T> {
    table: Mutex<T>,
    saver: Saver,
}

impl<T: Default + DeserializeOwned + Serialize> Kept<T> {
    fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let table = Mutex::new(persist::load(disk, &path)?.content(&saver));
        Ok(Self { table, saver })
    }

    /// Changes the table; `change` says whether it did.
    fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        if change(&mut self.table.lock()) {
            self.saver.touch();
        }
    }

    /// Looks at the table.
    fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.table.lock())
    }
}

/// A file of which only the saver and the text matter to whoever writes it.
pub trait KeptFile: Send + Sync {
    /// Who writes it.
    fn saver(&self) -> &Saver;
    /// What is written.
    fn text(&self) -> Vec<u8>;
}

impl<T: Default + DeserializeOwned + Serialize + Send> KeptFile for Kept<T> {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self) -> Vec<u8> {
        self.look(persist::pretty)
    }
}

/// All of them.
pub struct KeptFiles {
    filters: Kept<Filters>,
    order_info: Kept<OrderInfo>,
    queue_mappings: Kept<QueueMappings>,
    request_modes: Kept<RequestModes>,
    timer_metrics: Kept<TimerMetrics>,
    transaction_metrics: Kept<TransactionMetrics>,
}

impl KeptFiles {
    /// Loads what is in the directory `config`; `now` in ms.
    pub fn load<D: Disk>(disk: &D, config: &Path, bloom: Bloom, now: i64) -> Result<Self, LoadError> {
        let file = |name: &str| config.join(name);
        let kept = Self {
            filters: Kept::load(disk, file("consumerFilter.json"))?,
            order_info: Kept::load(disk, file("consumerOrderInfo.json"))?,
            queue_mappings: Kept::load(disk, file("topicQueueMapping.json"))?,
            request_modes: Kept::load(disk, file("messageRequestMode.json"))?,
            timer_metrics: Kept::load(disk, file("timermetrics"))?,
            transaction_metrics: Kept::load(disk, file("transactionMetrics"))?,
        };
        kept.filters.change(|filters| filters.take_over(bloom, now));
        timer_check::check(disk, &file("timercheck"))?;
        kept.tell();
        Ok(kept)
    }

    /// Says what is there and does nothing.
    fn tell(&self) {
        let idle = |file: &dyn KeptFile, entries: usize, why: &str| {
            if entries > 0 {
                let path = file.saver().path().display();
                tracing::warn!("{path}: {entries} entries are kept; {why}");
            }
        };
        let filters = self.filters.look(Filters::len);
        idle(
            &self.filters,
            filters,
            "SQL92 filters are not part of this release",
        );
        let orders = self.order_info.look(|t| t.table.len());
        idle(&self.order_info, orders, "POP is not part of this release");
        let mappings = self.queue_mappings.look(|t| t.topic_queue_mapping_info_map.len());
        idle(
            &self.queue_mappings,
            mappings,
            "static topics are served like any other",
        );
        let modes = self.request_modes.look(|t| t.message_request_mode_map.len());
        idle(&self.request_modes, modes, "POP is not part of this release");
        let timers = self.timer_metrics.look(|t| t.timing_count.len());
        idle(
            &self.timer_metrics,
            timers,
            "timed messages are not delivered by this release",
        );
        let transactions = self.transaction_metrics.look(|t| t.transaction_count.len());
        idle(
            &self.transaction_metrics,
            transactions,
            "transactions are not part of this release",
        );
    }

    /// Drops what is too old or belongs to what is gone; each ten seconds, as often as Java saves these files.
    pub fn age(&self, now: i64, filter_clean_ms: i64, topics: &TopicTable, groups: &GroupTable) {
        self.filters.change(|filters| filters.clean(now, filter_clean_ms));
        self.order_info.change(|orders| {
            let queues = |topic: &str| topics.get(topic).map(|t| t.read_queue_nums);
            orders.clean(now, queues, |group| groups.get(group).is_some())
        });
    }

    /// A topic was deleted (RocketMQ 5.3.3, AdminBrokerProcessor.deleteTopic).
    pub fn topic_deleted(&self, topic: &str, now: i64) {
        self.queue_mappings.change(|mappings| mappings.remove(topic, now));
    }

    /// Every file, for whoever writes them.
    pub fn files(&self) -> [&dyn KeptFile; KeptFiles::COUNT] {
        [
            &self.filters,
            &self.order_info,
            &self.queue_mappings,
            &self.request_modes,
            &self.timer_metrics,
            &self.transaction_metrics,
        ]
    }

    /// How many files [`KeptFiles::files`] gives.
    pub const COUNT: usize = 6;
}
