//! Delayed messages: the level table, and the task that delivers what is due.
//!
//! A message with a DELAY property waits in SCHEDULE_TOPIC_XXXX, queue level - 1; its queue unit holds the due time in
//! the place of the tagsCode. Rules: RocketMQ 4.9.8, ScheduleMessageService (reference: behaviours.md §1). Progress is
//! kept by level in `config/delayOffset.json`; what was delivered but not yet noted there when the broker dies is
//! delivered again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use disk::{Clock, Disk};
use message::properties::{self, Ending, names};
use message::record::View;
use message::{name, sys_flag};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{NewRecord, QueueOffset};
use tokio_util::sync::CancellationToken;

use crate::Store;
use crate::arrivals::Arrivals;
use crate::persist::{self, LoadError, Saver};
use crate::topics::SCHEDULE_TOPIC;

/// How often due messages are looked for, ms.
const TICK_MS: u64 = 100;
/// Most messages delivered of one level before the next has its turn.
const ROUND_MAX: usize = 1024;

/// The delays of the levels, ms; level 1 first (`messageDelayLevel`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayLevels(Vec<i64>);

/// A `messageDelayLevel` that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("messageDelayLevel: {0:?} is no time such as 10s, 5m, 2h or 1d")]
pub struct BadLevel(String);

impl DelayLevels {
    /// Reads `1s 5s 10s …`; units s, m, h, d.
    pub fn parse(text: &str) -> Result<Self, BadLevel> {
        let mut levels = Vec::new();
        for word in text.split_whitespace() {
            let bad = || BadLevel(word.to_owned());
            let unit = word.chars().next_back().ok_or_else(bad)?;
            let unit_ms = match unit {
                's' => 1000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return Err(bad()),
            };
            let count: u32 = word.trim_end_matches(unit).parse().map_err(|_| bad())?;
            levels.push(i64::from(count) * unit_ms);
        }
        if levels.is_empty() { Err(BadLevel(text.to_owned())) } else { Ok(Self(levels)) }
    }

    /// The highest level.
    pub fn max(&self) -> i32 {
        self.0.len() as i32
    }

    /// All delays, ms.
    pub fn as_ms(&self) -> &[i64] {
        &self.0
    }
}

/// delayOffset.json: level to next offset.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DelayOffsetFile {
    offset_table: BTreeMap<i32, i64>,
}

/// How far each level has been delivered.
pub struct DelayOffsets {
    table: Mutex<BTreeMap<i32, i64>>,
    saver: Saver,
}

impl DelayOffsets {
    /// Loads the file at `path`.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let file: DelayOffsetFile = persist::load(disk, &path)?.unwrap_or_default();
        Ok(Self { table: Mutex::new(file.offset_table), saver: Saver::new(path) })
    }

    /// Next offset of a level.
    pub fn get(&self, level: i32) -> i64 {
        self.table.lock().get(&level).copied().unwrap_or(0)
    }

    fn set(&self, level: i32, offset: i64) {
        self.table.lock().insert(level, offset);
        self.saver.touch_later();
    }

    /// The file's text.
    pub fn text(&self) -> Vec<u8> {
        persist::pretty(&DelayOffsetFile { offset_table: self.table.lock().clone() })
    }

    /// Who writes the file.
    pub fn saver(&self) -> &Saver {
        &self.saver
    }
}

/// Delivers what is due.
pub struct Delivery {
    /// Where messages wait and go.
    pub store: Arc<Store>,
    /// Makes delivered ones visible.
    pub arrivals: Arc<Arrivals>,
    /// Progress.
    pub offsets: Arc<DelayOffsets>,
    /// The delays.
    pub levels: Arc<DelayLevels>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Asks for a flush under SYNC_FLUSH.
    pub waiters: Arc<crate::flush::FlushWaiters>,
}

/// How one look at a level ended.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// Nothing (more) is due.
    Done,
    /// There may be more.
    More,
    /// The store did not take it; the same message again later.
    Refused(String),
}

impl Delivery {
    /// The task's body: looks each 100 ms until the broker stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if !self.anything_waits() {
                continue;
            }
            // Reading old records may wait for the disk.
            let this = Arc::clone(&self);
            let rounds = tokio::task::spawn_blocking(move || this.deliver_due()).await;
            if let Err(e) = rounds {
                tracing::error!("delayed messages: {e}");
            }
        }
    }

    fn anything_waits(&self) -> bool {
        (1..=self.levels.max()).any(|level| {
            self.store.queue_max_offset(SCHEDULE_TOPIC, level - 1).get() > self.offsets.get(level)
        })
    }

    fn deliver_due(&self) {
        for level in 1..=self.levels.max() {
            match self.round(level) {
                Round::Done | Round::More => {}
                Round::Refused(why) => tracing::warn!(level, "delayed message not delivered yet: {why}"),
            }
        }
    }

    /// Delivers what is due of one level.
    fn round(&self, level: i32) -> Round {
        let queue_id = level - 1;
        let min = self.store.queue_min_offset(SCHEDULE_TOPIC, queue_id).get();
        let max = self.store.queue_max_offset(SCHEDULE_TOPIC, queue_id).get();
        let mut next = self.offsets.get(level).clamp(min, max.max(min));
        let delay_ms = self.levels.as_ms().get(queue_id as usize).copied().unwrap_or(1000);
        let mut done = 0;
        let end = loop {
            if done >= ROUND_MAX {
                break Round::More;
            }
            let Some(unit) = self.store.unit(SCHEDULE_TOPIC, queue_id, QueueOffset::new(next)) else { break Round::Done };
            let now = self.clock.now_ms();
            // A due time further away than the level's delay was made by another clock or level table: due now.
            let due = if unit.tags_code > now + delay_ms { now } else { unit.tags_code };
            if due > now {
                break Round::Done;
            }
            if let Err(why) = self.deliver(&unit, now) {
                break Round::Refused(why);
            }
            next += 1;
            done += 1;
            self.offsets.set(level, next);
        };
        if done > 0 {
            self.waiters.nudge();
            self.arrivals.dispatch();
        }
        end
    }

    /// Stores the message in the topic it was sent to. A record that cannot be read is skipped, as Java does.
    fn deliver(&self, unit: &store::Unit, now: i64) -> Result<(), String> {
        let Some(record) = self.store.record_at(unit.physical_offset, unit.size) else { return Ok(()) };
        let Some(view) = View::of(record.as_ref()) else { return Ok(()) };
        let text = view.properties();
        let topic = properties::get_str(text, names::REAL_TOPIC).unwrap_or_default();
        let queue_id = properties::get_str(text, names::REAL_QUEUE_ID).and_then(|q| q.parse::<i32>().ok());
        let (Ok(()), Some(queue_id)) = (name::check_any_topic(topic), queue_id.filter(|q| *q >= 0)) else {
            tracing::error!(offset = unit.physical_offset.get(), "delayed message names no valid topic and queue, skipped");
            return Ok(());
        };
        if topic == name::HALF_TOPIC {
            tracing::error!(offset = unit.physical_offset.get(), "delayed half message dropped");
            return Ok(());
        }
        // The stored text stays as it is, so DELAY, REAL_TOPIC and REAL_QID are seen by the consumer (as in Java).
        let mut kept = Vec::with_capacity(text.len());
        properties::rebuild(text, &[], &[], Ending::Bare, &mut kept);
        let record = NewRecord {
            topic,
            queue_id,
            flag: view.flag(),
            sys_flag: view.sys_flag() & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6),
            born_timestamp: view.born_timestamp(),
            born_host: view.born_host(),
            store_host: view.store_host(),
            reconsume_times: view.reconsume_times(),
            prepared_transaction_offset: view.prepared_transaction_offset(),
            body: view.body(),
            properties: &kept,
            joined: false,
        };
        let mut pending = [self.store.prepare(record).map_err(|e| e.to_string())?];
        self.store.append(&mut pending, now);
        let [pending] = pending;
        match pending.result {
            Some(Ok(_)) => Ok(()),
            Some(Err(e)) => Err(e.to_string()),
            None => Err("the store gave no result".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_java_writes_them() {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
        let levels = DelayLevels::parse(text).expect("Java's default");
        assert_eq!(levels.max(), 18);
        assert_eq!((levels.as_ms()[0], levels.as_ms()[17]), (1000, 7_200_000));
        assert_eq!(DelayLevels::parse("1d").expect("a day").as_ms(), [86_400_000]);
        for bad in ["", "1", "s", "1x", "-1s", "1s 2"] {
            assert!(DelayLevels::parse(bad).is_err(), "{bad}");
        }
    }
}
