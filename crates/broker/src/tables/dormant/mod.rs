//! Files under `config/` of features that this release does not have: read and checked at start, aged as Java ages them,
//! and written back in Java's form when something changed, so that nothing is lost for a broker that takes over.
//!
//! | file | what it is for | module |
//! |---|---|---|
//! | `consumerOrderInfo.json` (5.x) | POP of ordered messages | [`order_info`] |
//! | `topicQueueMapping.json` (5.x) | static topics | [`queue_mapping`] |
//! | `messageRequestMode.json` (5.x) | who consumes by POP | [`request_modes`] |
//! | `timermetrics` (5.x) | counts of timed messages | [`counts`] |
//! | `timercheck` (5.x) | progress of the timer wheel | [`timer_check`] |
//!
//! Tables in RocksDB (5.x) cannot be read: [`rocksdb`].

pub mod counts;
pub mod order_info;
pub mod queue_mapping;
pub mod request_modes;
pub mod rocksdb;
pub mod timer_check;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use disk::Disk;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::config_file::{LoadError, load, pretty};
use super::saver::{Change, ConfigFile, Saver};
use super::{GroupTable, TopicTable};
use counts::TimerMetrics;
use order_info::OrderInfo;
use queue_mapping::QueueMappings;
use request_modes::RequestModes;

/// One file: its table and who writes it.
pub struct DormantFile<T> {
    table: Mutex<T>,
    saver: Saver,
}

impl<T: Default + DeserializeOwned + Serialize> DormantFile<T> {
    fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let table = Mutex::new(load(disk, &path)?.content(&saver));
        Ok(Self { table, saver })
    }

    /// Changes the table; `change` says whether it did.
    fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        if change(&mut self.table.lock()) {
            self.saver.touch();
        }
    }

    /// Takes another table's content.
    fn replace(&self, new: T)
    where
        T: PartialEq,
    {
        self.change(|table| {
            *table != new && {
                *table = new;
                true
            }
        });
    }

    /// Looks at the table.
    fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.table.lock())
    }
}

impl<T: Default + DeserializeOwned + Serialize + Send + 'static> ConfigFile for DormantFile<T> {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        self.look(pretty)
    }
}

/// All of them.
pub struct DormantFiles {
    order_info: Arc<DormantFile<OrderInfo>>,
    queue_mappings: Arc<DormantFile<QueueMappings>>,
    request_modes: Arc<DormantFile<RequestModes>>,
    timer_metrics: Arc<DormantFile<TimerMetrics>>,
}

impl DormantFiles {
    /// Loads what is in the directory `config`.
    pub fn load<D: Disk>(disk: &D, config: &Path) -> Result<Self, LoadError> {
        let file = |name: &str| config.join(name);
        let kept = Self {
            order_info: Arc::new(DormantFile::load(disk, file("consumerOrderInfo.json"))?),
            queue_mappings: Arc::new(DormantFile::load(disk, file("topicQueueMapping.json"))?),
            request_modes: Arc::new(DormantFile::load(disk, file("messageRequestMode.json"))?),
            timer_metrics: Arc::new(DormantFile::load(disk, file("timermetrics"))?),
        };
        timer_check::check(disk, &file("timercheck"))?;
        kept.tell();
        Ok(kept)
    }

    /// Says what is there and does nothing.
    fn tell(&self) {
        let idle = |file: &dyn ConfigFile, entries: usize, why: &str| {
            if entries > 0 {
                let path = file.saver().path().display();
                tracing::warn!("{path}: {entries} entries are kept; {why}");
            }
        };
        let orders = self.order_info.look(|t| t.table.len());
        idle(&*self.order_info, orders, "POP is not part of this release");
        let mappings = self.queue_mappings.look(|t| t.topic_queue_mapping_info_map.len());
        idle(
            &*self.queue_mappings,
            mappings,
            "static topics are served like any other",
        );
        let modes = self.request_modes.look(|t| t.message_request_mode_map.len());
        idle(&*self.request_modes, modes, "POP is not part of this release");
        let timers = self.timer_metrics.look(|t| t.timing_count.len());
        idle(
            &*self.timer_metrics,
            timers,
            "timed messages are not delivered by this release",
        );
    }

    /// Drops what is too old or belongs to what is gone; each ten seconds, as often as Java saves these files.
    pub fn age(&self, now: i64, topics: &TopicTable, groups: &GroupTable) {
        self.order_info.change(|orders| {
            let queues = |topic: &str| topics.get(topic).map(|t| t.read_queue_nums);
            orders.clean(now, queues, |group| groups.get(group).is_some())
        });
    }

    /// A topic was deleted (RocketMQ 5.3.3, AdminBrokerProcessor.deleteTopic).
    pub fn topic_deleted(&self, topic: &str, now: i64) {
        self.queue_mappings.change(|mappings| mappings.remove(topic, now));
    }

    /// As a slave's master has it (RocketMQ 5.3.3, SlaveSynchronize.syncMessageRequestMode).
    pub fn replace_request_modes(&self, modes: RequestModes) {
        self.request_modes.replace(modes);
    }

    /// As a slave's master has it (RocketMQ 5.3.3, SlaveSynchronize.syncTimerMetrics).
    pub fn replace_timer_metrics(&self, metrics: TimerMetrics) {
        self.timer_metrics.replace(metrics);
    }

    /// The answer to GET_ALL_MESSAGE_REQUEST_MODE.
    pub fn request_modes(&self) -> Bytes {
        self.request_modes.look(protocol::body::write)
    }

    /// The answer to GET_TIMER_METRICS.
    pub fn timer_metrics(&self) -> Bytes {
        self.timer_metrics.look(protocol::body::write)
    }

    /// The last change of who consumes by POP, and of the counts of timed messages.
    pub fn changes(&self) -> [Change; 2] {
        [
            self.request_modes.saver.latest(),
            self.timer_metrics.saver.latest(),
        ]
    }

    /// Every file, for whoever writes them.
    pub fn files(&self) -> Vec<Arc<dyn ConfigFile>> {
        vec![
            Arc::clone(&self.order_info) as Arc<dyn ConfigFile>,
            Arc::clone(&self.queue_mappings) as _,
            Arc::clone(&self.request_modes) as _,
            Arc::clone(&self.timer_metrics) as _,
        ]
    }
}
