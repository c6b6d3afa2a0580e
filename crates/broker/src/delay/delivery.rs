//! The delivery of what is due.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use disk::{Clock, Disk};
use filter::TagFilter;
use message::name::SCHEDULE_TOPIC;
use message::properties::{self, Ending, names};
use message::record::{RecordError, View};
use message::{name, sys_flag};
use parking_lot::Mutex;
use store::{AppendError, Arrival, Illegal, NewRecord, PhysicalOffset, QueueOffset, ReadLimits};
use tokio::sync::Notify;

use super::DelayOffsets;
use crate::commitlog::{Appender, ArrivalListener, StoreError};
use crate::settings::DelayLevels;
use crate::stats::{Flowed, MessageKind};
use crate::tables::TopicTable;

/// When a message that could not be delivered is tried again, ms.
const RETRY_MS: i64 = 100;
/// Name in the statistics of who gets what is parked (RocketMQ 4.9.8, MixAll).
const DELIVERER: &str = "SCHEDULE_CONSUMER";
/// Longest time until the next look, ms: the wall clock may be set forward meanwhile.
const IDLE_MS: i64 = 5_000;
/// Messages read at once.
const READ_MAX: i32 = 32;
/// How often it is told that messages were delivered where nobody reads, ms.
const TELL_EACH_MS: i64 = 1_000;
/// How long a start whose delayOffset.json is lost waits for a slave that knows what was delivered, ms: a slave connects again within
/// five seconds.
const WAIT_FOR_SLAVE_MS: i64 = 10_000;
/// How often it is looked meanwhile whether one has said so, ms.
const LOOK_FOR_SLAVE_MS: i64 = 100;
/// Most messages delivered of one level before the next has its turn.
const ROUND_MAX: usize = 1024;

/// Wakes the delivery when a message is parked.
#[derive(Default)]
pub struct ParkedListener {
    arrived: AtomicBool,
    parked: Notify,
}

impl ParkedListener {
    /// Waits until a message has been parked since the last call.
    pub async fn wait(&self) {
        self.parked.notified().await;
    }
}

impl ArrivalListener for ParkedListener {
    fn arrived(&self, arrival: &Arrival<'_>) {
        if arrival.topic == SCHEDULE_TOPIC {
            self.arrived.store(true, Ordering::Release);
        }
    }

    fn wake(&self) {
        if self.arrived.load(Ordering::Acquire) && self.arrived.swap(false, Ordering::AcqRel) {
            self.parked.notify_one();
        }
    }
}

/// Delivers what is due. A look is [`Delivery::look`]; whoever calls it decides when.
pub struct Delivery<D: Disk> {
    /// Where messages wait and go.
    pub appender: Arc<Appender<D>>,
    /// Progress.
    pub offsets: Arc<DelayOffsets>,
    /// The delays.
    pub levels: Arc<DelayLevels>,
    /// The highest level that messages may wait in: in a table that was shortened, above its own highest.
    highest: i32,
    /// Messages that could never be delivered and were passed over.
    pub undeliverable: AtomicU64,
    /// Which topics and queues are read.
    topics: Arc<TopicTable>,
    /// Messages that were delivered to a topic or a queue that is not there any more.
    pub unread: AtomicU64,
    /// When that was told last, ms.
    unread_told: AtomicI64,
    /// Held while messages are delivered; true: no more are.
    ended: Mutex<bool>,
    /// Nothing is delivered before, ms, unless a slave says what was delivered; 0: it does not wait for one.
    waits_until: AtomicI64,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a level is left for the next look.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("the queue can not be read: {0}")]
    Read(#[from] disk::Error),
    #[error("{0}")]
    Append(#[from] AppendError),
}

/// Why a message will never be delivered.
#[derive(Debug, thiserror::Error)]
enum Undeliverable {
    #[error("it names no valid topic and queue")]
    NoTarget,
    #[error("half messages are not delayed")]
    Half,
    #[error("{0}")]
    Illegal(#[from] Illegal),
    #[error("{0}")]
    Damaged(#[from] RecordError),
}

/// How the delivery of one message went.
enum Outcome {
    Delivered(PhysicalOffset),
    PassedOver(Undeliverable),
}

/// When each level is to be looked at again: messages of one level are due in the order they came.
#[derive(Debug, Default, Clone)]
pub struct QuietUntil(Vec<i64>);

impl<D: Disk> Delivery<D> {
    /// Nothing is delivered yet. What waits in levels that `levels` no longer has is delivered too (unlike Java, where it
    /// waits for ever).
    pub fn new(
        appender: Arc<Appender<D>>,
        offsets: Arc<DelayOffsets>,
        levels: Arc<DelayLevels>,
        topics: Arc<TopicTable>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let queues = appender.store.queue_ids(SCHEDULE_TOPIC);
        let parked = queues.last().map_or(0, |queue_id| queue_id + 1);
        let waits_until = if offsets.is_lost() {
            clock.now_ms() + WAIT_FOR_SLAVE_MS
        } else {
            0
        };
        Self {
            highest: levels.max().max(parked),
            appender,
            offsets,
            levels,
            undeliverable: AtomicU64::new(0),
            topics,
            unread: AtomicU64::new(0),
            unread_told: AtomicI64::new(i64::MIN),
            ended: Mutex::new(false),
            waits_until: AtomicI64::new(waits_until),
            clock,
        }
    }

    /// How long nothing is due, ms; 0 if something is. A parked message ends that.
    pub fn pause_ms(&self, quiet: &QuietUntil) -> i64 {
        let now = self.clock.now_ms();
        if self.waits_for_slave(now) {
            return LOOK_FOR_SLAVE_MS;
        }
        let waiting = (1..=self.highest).filter(|level| self.has_waiting(*level));
        let next = waiting
            .map(|level| {
                let until = quiet.0.get(level as usize - 1).copied().unwrap_or(0);
                left_ms(until, now, self.levels.delay_ms(level))
            })
            .min();
        next.map_or(IDLE_MS, |left| left.min(IDLE_MS))
    }

    /// Delivers what is due now. Reading old records may wait for the disk.
    pub fn look(&self, quiet: &mut QuietUntil) {
        let now = self.clock.now_ms();
        quiet.0.resize(self.highest as usize, 0);
        let ended = self.ended.lock();
        if *ended {
            return quiet.0.fill(i64::MAX);
        }
        if self.waits_for_slave(now) {
            return;
        }
        for (level, until) in (1..=self.highest).zip(&mut quiet.0) {
            if left_ms(*until, now, self.levels.delay_ms(level)) == 0 && self.has_waiting(level) {
                *until = self.round(level).unwrap_or_else(|halt| {
                    tracing::warn!(level, "delayed messages wait: {halt}");
                    now + RETRY_MS
                });
            }
        }
    }

    /// Is what was delivered lost, and may a slave still say it?
    fn waits_for_slave(&self, now: i64) -> bool {
        let until = self.waits_until.load(Ordering::Acquire);
        if until == 0 {
            return false;
        }
        if !self.offsets.is_lost() {
            self.waits_until.store(0, Ordering::Release);
            return false;
        }
        // The clock may have been set back.
        if (until - WAIT_FOR_SLAVE_MS..until).contains(&now) {
            return true;
        }
        if self.waits_until.swap(0, Ordering::AcqRel) != 0 {
            tracing::warn!(
                "delayOffset.json is lost or is its backup, and no slave has said what was delivered: delayed messages of which nothing says that \
                 they were are delivered again"
            );
        }
        false
    }

    /// A slave says how far each level is delivered, which this broker has lost: `1:20,3:7`. What it has delivered since is further.
    pub fn take_back(&self, given: &str, slave: IpAddr) {
        if !self.offsets.is_lost() {
            return;
        }
        let levels = given.split(',').filter_map(|entry| {
            let (level, offset) = entry.split_once(':')?;
            Some((level.parse::<i32>().ok()?, offset.parse::<i64>().ok()?))
        });
        // Not while something is delivered.
        let _ended = self.ended.lock();
        let store = &self.appender.store;
        let mut taken = 0;
        for (level, offset) in levels.filter(|(level, _)| (1..=self.highest).contains(level)) {
            let (min, max) = store.queue_bounds(SCHEDULE_TOPIC, level - 1);
            let offset = offset.clamp(min.0, max.0.max(min.0));
            if offset > self.offsets.get(level) {
                self.offsets.set(level, offset, store.max_physical());
                taken += 1;
            }
        }
        self.offsets.settle_loss();
        tracing::info!("slave {slave} has said how far {taken} levels of delayed messages are delivered");
    }

    /// Delivers nothing any more: how far each level is delivered does not change from here on. Waits for what is being delivered.
    pub fn end(&self) {
        *self.ended.lock() = true;
    }

    fn has_waiting(&self, level: i32) -> bool {
        let end = self.appender.store.queue_max_offset(SCHEDULE_TOPIC, level - 1);
        end.0 > self.offsets.get(level)
    }

    /// Delivers what is due of a level; returns when to look again.
    fn round(&self, level: i32) -> Result<i64, Halt> {
        let mut next_due = 0;
        let (mut delivered, mut end) = (0, PhysicalOffset(0));
        let result = self.deliver_due(level, &mut delivered, &mut end, &mut next_due);
        if delivered > 0 {
            // How far the level is delivered is noted for good when that is durable.
            self.appender.acknowledgements.request_thorough_flush();
            self.appender.reput.all();
            self.appender.reput.wake();
        }
        result.map(|()| next_due)
    }

    fn deliver_due(
        &self,
        level: i32,
        delivered: &mut usize,
        end: &mut PhysicalOffset,
        next_due: &mut i64,
    ) -> Result<(), Halt> {
        let (store, queue_id) = (&self.appender.store, level - 1);
        let (min, max) = store.queue_bounds(SCHEDULE_TOPIC, queue_id);
        let mut next = self.offsets.get(level).clamp(min.0, max.0);
        let delay_ms = self.levels.delay_ms(level);
        while *delivered < ROUND_MAX && next < max.0 && *next_due == 0 {
            let mut slices = Vec::new();
            let limits = ReadLimits {
                max_messages: READ_MAX,
                max_bytes: i64::MAX,
            };
            let asked = QueueOffset(next);
            let read = store.read(
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
                self.offsets.set(level, next, *end);
                continue;
            }
            for record in store::records(&slices) {
                let now = self.clock.now_ms();
                let view = match record {
                    Ok(view) => view,
                    Err(damage) => {
                        self.pass_over(&format!("level {level} behind offset {next}"), &damage.into());
                        continue;
                    }
                };
                // A store time in the future was made by another clock: such a message is due now.
                let due = view.store_timestamp().saturating_add(delay_ms);
                if due > now && due <= now + delay_ms {
                    *next_due = due;
                    break;
                }
                match self.deliver(&view, now)? {
                    Outcome::Delivered(copy_end) => *end = copy_end,
                    Outcome::PassedOver(why) => self.pass_over(&view.physical_offset().to_string(), &why),
                }
                next = view.queue_offset() + 1;
                *delivered += 1;
                self.offsets.set(level, next, *end);
            }
            if *next_due == 0 && next < read.next_begin_offset.0 {
                // The last ones could not be read.
                next = read.next_begin_offset.0;
                self.offsets.set(level, next, *end);
            }
        }
        Ok(())
    }

    /// A message that can never be delivered must not keep those behind it.
    fn pass_over(&self, place: &str, why: &Undeliverable) {
        let count = self.undeliverable.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(
            "delayed message at {place} can not be delivered and is passed over ({count} so far): {why}"
        );
    }

    /// Tells of a delivery to a topic or queue that went while the message was parked. As in Java the message goes there all the
    /// same: should the topic be made again, or its queues become more, it is there.
    fn note_unread(&self, topic: &str, queue_id: i32, now: i64) {
        let queues = self.topics.get(topic).map(|config| config.read_queue_nums);
        if queues.is_some_and(|queues| queue_id < queues) {
            return;
        }
        let count = self.unread.fetch_add(1, Ordering::Relaxed) + 1;
        let told = self.unread_told.load(Ordering::Relaxed);
        if (told..told.saturating_add(TELL_EACH_MS)).contains(&now) {
            return;
        }
        self.unread_told.store(now, Ordering::Relaxed);
        tracing::warn!("{}", unread_line(topic, queue_id, queues, count));
    }

    /// Stores the message in the topic it was sent to.
    fn deliver(&self, view: &View<'_>, now: i64) -> Result<Outcome, Halt> {
        let text = view.properties();
        let topic = properties::get_str(text, names::REAL_TOPIC).unwrap_or_default();
        let queue_id = properties::get_str(text, names::REAL_QUEUE_ID).and_then(|q| q.parse::<i32>().ok());
        let (Ok(()), Some(queue_id)) = (name::check_any_topic(topic), queue_id.filter(|q| *q >= 0)) else {
            return Ok(Outcome::PassedOver(Undeliverable::NoTarget));
        };
        if topic == name::HALF_TOPIC {
            return Ok(Outcome::PassedOver(Undeliverable::Half));
        }
        // The stored text stays as it is, so DELAY, REAL_TOPIC and REAL_QID are seen by the consumer (as in Java).
        let mut kept = Vec::with_capacity(text.len());
        store::copy_properties(view, &[], &[], Ending::Bare, &mut kept);
        let copy = NewRecord {
            sys_flag: view.sys_flag() & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6),
            ..NewRecord::copy_of(view, topic, queue_id, &kept)
        };
        match self.appender.append_copy(&copy, now) {
            Ok(stored) => {
                self.note_unread(topic, queue_id, now);
                let flow = Flowed::one((stored.end.0 - stored.first.physical_offset.0) as u64);
                let items = &self.appender.stats.items;
                items.got_delayed(DELIVERER, (SCHEDULE_TOPIC, view.queue_id()), flow);
                items.put(topic, MessageKind::Delay, flow);
                let age_ms = now.saturating_sub(view.born_timestamp());
                items.delivered_late(topic, (age_ms / 1000).max(0) as u64);
                Ok(Outcome::Delivered(stored.end))
            }
            // The topic was deleted while the record was made: the next look makes its queue anew.
            Err(StoreError::Append(e)) => Err(Halt::Append(e)),
            Err(StoreError::Illegal(e)) => Ok(Outcome::PassedOver(e.into())),
        }
    }
}

/// How long a level of this delay is left alone that is to be looked at again at `until`, ms. What is further away than a delay was said by a
/// clock that was set back since.
fn left_ms(until: i64, now: i64, delay_ms: i64) -> i64 {
    match until.saturating_sub(now) {
        left if left > delay_ms.max(RETRY_MS) && until != i64::MAX => 0,
        left => left.max(0),
    }
}

fn unread_line(topic: &str, queue_id: i32, queues: Option<i32>, count: u64) -> String {
    let why = match queues {
        None => "the topic is gone".to_owned(),
        Some(queues) => format!("it has {queues} queues to read from"),
    };
    format!(
        "a delayed message was delivered to queue {queue_id} of {topic}, where nobody reads it: {why} ({count} so far)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_up_a_level() {
        const HOUR_MS: i64 = 3_600_000;
        assert_eq!(left_ms(5_000, 1_000, 5_000), 4_000);
        assert_eq!(left_ms(5_000, 5_000, 5_000), 0);
        assert_eq!(left_ms(5_000 + HOUR_MS, 1_000, 5_000), 0);
        assert_eq!(left_ms(1_000 + RETRY_MS, 1_000, 1), RETRY_MS);
        assert!(
            left_ms(i64::MAX, 1_000, 1) > HOUR_MS,
            "nothing is delivered any more"
        );
    }

    #[test]
    fn a_delivery_that_nobody_reads_names_topic_and_queue() {
        assert_eq!(
            unread_line("Gone", 3, None, 7),
            "a delayed message was delivered to queue 3 of Gone, where nobody reads it: the topic is gone (7 so far)"
        );
        assert_eq!(
            unread_line("Small", 3, Some(2), 1),
            "a delayed message was delivered to queue 3 of Small, where nobody reads it: it has 2 queues to read from (1 so far)"
        );
    }
}
