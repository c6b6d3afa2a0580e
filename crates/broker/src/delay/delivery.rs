//! Delayed messages: the level table, and the task that delivers what is due.
//!
//! A message with a DELAY property waits in SCHEDULE_TOPIC_XXXX, queue level - 1; its queue unit holds the due time in
//! the place of the tagsCode. Rules: RocketMQ 4.9.8, ScheduleMessageService (reference: behaviours.md §1). Progress is
//! kept by level in `config/delayOffset.json`; what was delivered but not yet noted there when the broker dies is
//! delivered again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use disk::{Clock, Disk, MappedSlice};
use filter::TagFilter;
use message::properties::{self, Ending, names};
use message::record::{Check, Entry, View, decode};
use message::{name, sys_flag};
use parking_lot::Mutex;
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};
use store::{AppendError, Illegal, NewRecord, QueueOffset, ReadLimits};
use tokio_util::sync::CancellationToken;

use crate::Store;
use crate::arrivals::Arrivals;
use crate::flush::FlushWaiters;
use crate::persist::{self, LoadError, Saver};
use message::name::SCHEDULE_TOPIC;

/// When a message that could not be delivered is tried again, ms.
const RETRY_MS: i64 = 100;
/// Longest sleep: the wall clock may be set forward meanwhile.
const IDLE_LOOK: Duration = Duration::from_secs(5);
/// Messages read at once.
const READ_MAX: i32 = 32;
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
        if levels.is_empty() {
            Err(BadLevel(text.to_owned()))
        } else {
            Ok(Self(levels))
        }
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
    /// 5.x; 4.9 has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_version: Option<DataVersion>,
    offset_table: BTreeMap<i32, i64>,
}

/// How far each level has been delivered.
pub struct DelayOffsets {
    file: Mutex<DelayOffsetFile>,
    saver: Saver,
}

impl DelayOffsets {
    /// Loads the file at `path`.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let file: DelayOffsetFile = persist::load(disk, &path)?.content(&saver);
        Ok(Self {
            file: Mutex::new(file),
            saver,
        })
    }

    /// Next offset of a level.
    pub fn get(&self, level: i32) -> i64 {
        self.file.lock().offset_table.get(&level).copied().unwrap_or(0)
    }

    fn set(&self, level: i32, offset: i64) {
        self.file.lock().offset_table.insert(level, offset);
        self.saver.touch_later();
    }

    /// The file's text, of a new version if it has one: each writing follows a change.
    pub fn text(&self, now: i64) -> Vec<u8> {
        let mut file = self.file.lock();
        file.data_version = file.data_version.map(|version| version.next(now));
        persist::pretty(&*file)
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
    pub waiters: Arc<FlushWaiters>,
}

/// Why a level is left for the next look.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("the queue can not be read: {0}")]
    Read(#[from] disk::Error),
    #[error("{0}")]
    Illegal(#[from] Illegal),
    #[error("{0}")]
    Append(#[from] AppendError),
}

impl Delivery {
    /// The task's body: sleeps until the next message is due or a new one is parked, until the broker stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        // Until when nothing of a level is due: messages of one level are due in the order they came.
        let mut quiet_until = vec![0i64; self.levels.max() as usize];
        loop {
            let now = self.clock.now_ms();
            let waiting = (1..=self.levels.max())
                .zip(&quiet_until)
                .filter(|(level, _)| self.has_waiting(*level));
            let next = waiting.map(|(_, until)| (*until).max(now)).min();
            if next.is_none_or(|next| next > now) {
                let pause = next.map_or(IDLE_LOOK, |next| {
                    Duration::from_millis((next - now) as u64).min(IDLE_LOOK)
                });
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.arrivals.parked.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                continue;
            }
            // Reading old records may wait for the disk.
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                for (level, until) in (1..=this.levels.max()).zip(&mut quiet_until) {
                    if *until <= now {
                        *until = this.look(level, now);
                    }
                }
                quiet_until
            });
            match looked.await {
                Ok(times) => quiet_until = times,
                Err(e) => {
                    tracing::error!("delivery of delayed messages: {e}");
                    quiet_until = vec![now + RETRY_MS; self.levels.max() as usize];
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    fn has_waiting(&self, level: i32) -> bool {
        self.store.queue_max_offset(SCHEDULE_TOPIC, level - 1).0 > self.offsets.get(level)
    }

    /// Delivers what is due of a level; returns when to look again.
    fn look(&self, level: i32, now: i64) -> i64 {
        match self.round(level) {
            Ok(next_due) => next_due,
            Err(halt) => {
                tracing::warn!(level, "delayed messages wait: {halt}");
                now + RETRY_MS
            }
        }
    }

    fn round(&self, level: i32) -> Result<i64, Halt> {
        let queue_id = level - 1;
        let (min, max) = self.store.queue_bounds(SCHEDULE_TOPIC, queue_id);
        let mut next = self.offsets.get(level).clamp(min.0, max.0);
        let delay_ms = self
            .levels
            .as_ms()
            .get(queue_id as usize)
            .copied()
            .unwrap_or(1000);
        let mut delivered = 0;
        let mut next_due = 0;
        while delivered < ROUND_MAX && next < max.0 && next_due == 0 {
            let mut slices = Vec::new();
            let limits = ReadLimits {
                max_messages: READ_MAX,
                max_bytes: i64::MAX,
            };
            let asked = QueueOffset(next);
            let read = self.store.read(
                SCHEDULE_TOPIC,
                queue_id,
                asked,
                limits,
                &TagFilter::All,
                &mut slices,
            )?;
            if read.count == 0 {
                // Nothing readable there: go on behind it, as for a record that is gone.
                next = read.next_begin_offset.0.max(next + 1);
                self.offsets.set(level, next);
                continue;
            }
            for view in records(&slices) {
                let now = self.clock.now_ms();
                // A store time in the future was made by another clock: such a message is due now.
                let due = view.store_timestamp().saturating_add(delay_ms);
                if due > now && due <= now + delay_ms {
                    next_due = due;
                    break;
                }
                self.deliver(&view, now)?;
                next = view.queue_offset() + 1;
                delivered += 1;
                self.offsets.set(level, next);
            }
        }
        if delivered > 0 {
            self.waiters.nudge();
            self.arrivals.reput_all();
        }
        Ok(next_due)
    }

    /// Stores the message in the topic it was sent to.
    fn deliver(&self, view: &View<'_>, now: i64) -> Result<(), Halt> {
        let text = view.properties();
        let topic = properties::get_str(text, names::REAL_TOPIC).unwrap_or_default();
        let queue_id = properties::get_str(text, names::REAL_QUEUE_ID).and_then(|q| q.parse::<i32>().ok());
        let (Ok(()), Some(queue_id)) = (name::check_any_topic(topic), queue_id.filter(|q| *q >= 0)) else {
            tracing::error!(
                "delayed message at {} names no valid topic and queue, skipped",
                view.physical_offset()
            );
            return Ok(());
        };
        if topic == name::HALF_TOPIC {
            tracing::error!("delayed half message at {} dropped", view.physical_offset());
            return Ok(());
        }
        // The stored text stays as it is, so DELAY, REAL_TOPIC and REAL_QID are seen by the consumer (as in Java).
        let mut kept = Vec::with_capacity(text.len());
        properties::rebuild(text, &[], &[], Ending::Bare, &mut kept);
        // A record that Java's broker wrote may hold zero bytes there, which ours does not store.
        kept.retain(|byte| *byte != 0);
        let mut pending = [self.store.prepare(&NewRecord {
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
        })?];
        self.store.append(&mut pending, now);
        let [pending] = pending;
        pending.result.unwrap_or(Err(AppendError::ShutDown))?;
        Ok(())
    }
}

/// The records in slices of adjacent ones.
fn records(slices: &[MappedSlice]) -> impl Iterator<Item = View<'_>> {
    slices.iter().flat_map(|slice| {
        let mut rest: &[u8] = slice;
        std::iter::from_fn(move || {
            let Ok(Entry::Record(view)) = decode(rest, Check::Lengths) else {
                return None;
            };
            rest = rest.get(view.total_len()..).unwrap_or_default();
            Some(view)
        })
    })
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
