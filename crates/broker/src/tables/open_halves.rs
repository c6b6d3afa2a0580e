//! How many half messages each topic has open: `config/transactionMetrics`, `rocketmq_half_messages`.
//!
//! Rules: RocketMQ 5.3.3, TransactionMetrics: one more with each half message that is stored, one less with each that is ended or given
//! up. What a kill took from the file would be wrong for ever in Java. Here all counts are 0 again whenever no half message is
//! open, and none is below 0.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use disk::Disk;
use parking_lot::{Mutex, RwLock};
use protocol::body::de;
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};

use super::config_file::{LoadError, load, pretty};
use super::saver::{ConfigFile, Saver};

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data_version: DataVersion,
    #[serde(deserialize_with = "de::or_default")]
    transaction_count: BTreeMap<String, Count>,
}

/// A count of one topic.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Count {
    /// Open half messages; below 0 where Java's broker saw more ends than beginnings.
    #[serde(deserialize_with = "de::scalar")]
    count: i64,
    /// When it changed, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    time_stamp: i64,
}

#[derive(Debug, Default)]
struct Open {
    count: AtomicI64,
    changed_ms: AtomicI64,
}

impl Open {
    fn change(&self, now: i64, change: impl Fn(i64) -> Option<i64>) -> bool {
        let changed = self.count.fetch_update(Relaxed, Relaxed, change).is_ok();
        if changed {
            self.changed_ms.store(now, Relaxed);
        }
        changed
    }
}

/// The counts. To count in a topic that has counted before costs a look into a table and an addition.
pub struct OpenHalves {
    topics: RwLock<BTreeMap<String, Open>>,
    /// Where the queue of half messages ends behind what was counted.
    end: AtomicI64,
    version: Mutex<DataVersion>,
    saver: Saver,
}

impl OpenHalves {
    /// Reads the file.
    ///
    /// # Errors
    /// It can not be read, nor can its backup.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let file: File = load(disk, &path)?.content(&saver);
        let open = |Count { count, time_stamp }| Open {
            count: count.into(),
            changed_ms: time_stamp.into(),
        };
        let topics = file.transaction_count.into_iter();
        Ok(Self {
            topics: RwLock::new(topics.map(|(topic, count)| (topic, open(count))).collect()),
            end: AtomicI64::new(0),
            version: Mutex::new(file.data_version),
            saver,
        })
    }

    /// A half message for `topic` is stored at this offset of their queue.
    pub fn began(&self, topic: &str, offset: i64, now: i64) {
        self.end.fetch_max(offset + 1, Relaxed);
        let more = |open: &Open| open.change(now, |count| Some(count.max(0) + 1));
        let known = self.topics.read().get(topic).map(more);
        if known.is_none() {
            more(self.topics.write().entry(topic.to_owned()).or_default());
        }
        self.saver.touch_later();
    }

    /// One is ended, or given up.
    pub fn ended(&self, topic: &str, now: i64) {
        let less = |open: &Open| open.change(now, |count| (count > 0).then(|| count - 1));
        if self.topics.read().get(topic).is_some_and(less) {
            self.saver.touch_later();
        }
    }

    /// None is open before this offset, where their queue ends. One that is counted and not in the queue yet stays.
    pub fn none_before(&self, offset: i64, now: i64) {
        let is_counted = |open: &Open| open.count.load(Relaxed) > 0;
        if !self.topics.read().values().any(is_counted) {
            return;
        }
        let topics = self.topics.write();
        if self.end.load(Relaxed) <= offset {
            for open in topics.values().filter(|open| is_counted(open)) {
                open.change(now, |_| Some(0));
            }
            self.saver.touch_later();
        }
    }

    /// Forgets topics that are gone.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        if self.topics.read().keys().all(|topic| is_there(topic)) {
            return;
        }
        self.topics.write().retain(|topic, _| is_there(topic));
        self.saver.touch_later();
    }

    /// Topics that have counted, and how many are open.
    pub fn counts(&self) -> Vec<(String, i64)> {
        let topics = self.topics.read();
        let count = |open: &Open| open.count.load(Relaxed).max(0);
        topics
            .iter()
            .map(|(topic, open)| (topic.clone(), count(open)))
            .collect()
    }
}

impl ConfigFile for OpenHalves {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, now_ms: i64) -> Vec<u8> {
        let mut version = self.version.lock();
        *version = version.next(now_ms);
        let count = |open: &Open| Count {
            count: open.count.load(Relaxed),
            time_stamp: open.changed_ms.load(Relaxed),
        };
        let topics = self.topics.read();
        pretty(&File {
            data_version: *version,
            transaction_count: topics
                .iter()
                .map(|(topic, open)| (topic.clone(), count(open)))
                .collect(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::path::Path;

    use disk::SimDisk;

    use super::super::save;
    use super::*;

    const FILE: &str = "/config/transactionMetrics";

    fn loaded(disk: &SimDisk) -> OpenHalves {
        OpenHalves::load(disk, FILE.into()).unwrap()
    }

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/config")).unwrap();
        disk.write_small(Path::new(FILE), text.as_bytes(), false).unwrap();
        disk
    }

    #[test]
    fn what_is_counted_is_there_after_a_restart() {
        let disk =
            disk_with(r#"{"transactionCount":{"Odd":{"count":-2,"timeStamp":5},"Orders":{"count":3}}}"#);
        let open = loaded(&disk);
        let told = |open: &OpenHalves| -> Vec<i64> { open.counts().into_iter().map(|(_, n)| n).collect() };
        assert_eq!(told(&open), [0, 3]);
        save(&open, &disk, 9).unwrap();
        let as_it_was = disk.content(Path::new(FILE)).unwrap();
        assert!(
            String::from_utf8(as_it_was).unwrap().contains("-2"),
            "nothing has changed"
        );
        open.began("Odd", 0, 7);
        open.began("New", 1, 7);
        open.ended("Orders", 8);
        open.ended("Unknown", 8);
        assert_eq!(told(&open), [1, 1, 2], "New, Odd, Orders");
        save(&open, &disk, 9).unwrap();
        let again = loaded(&disk);
        assert_eq!(again.counts(), open.counts());
        let version = *again.version.lock();
        assert_eq!((version.counter, version.timestamp), (1, 9));
        again.ended("New", 10);
        again.ended("New", 10);
        again.retain(|topic| topic != "Odd");
        assert_eq!(told(&again), [0, 2]);
    }

    #[test]
    fn nothing_is_left_over_where_none_is_open() {
        let open = loaded(&disk_with(r#"{"transactionCount":{"Orders":{"count":3}}}"#));
        let told = || open.counts()[0].1;
        open.began("Orders", 8, 1);
        open.none_before(8, 2);
        assert_eq!(told(), 4, "it is not in the queue yet");
        open.none_before(9, 3);
        assert_eq!(told(), 0);
        open.ended("Orders", 4);
        open.began("Orders", 9, 5);
        assert_eq!(told(), 1);
    }
}
