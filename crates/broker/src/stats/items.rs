//! What VIEW_BROKER_STATS_DATA tells: how much was put into each topic and got by each group, over the last minute, hour and day.
//!
//! Names, keys and windows: RocketMQ 4.9.8, BrokerStatsManager, StatsItem: a sample each 10 s, 10 min and hour, of which seven,
//! seven and 25 are kept. Unlike Java: an item that has counted nothing for a day is dropped until it counts again, and what all items
//! may occupy is bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use metrics::Histogram;
use parking_lot::{Mutex, RwLock};
use protocol::body::operator::{BrokerStatsData, BrokerStatsItem};
use remoting::budget::{Budget, Share};

/// How far apart the samples of a window are, ms, and how many it has.
#[derive(Clone, Copy)]
struct Window {
    period_ms: i64,
    samples: i64,
}

impl Window {
    /// From the first sample to the last one, ms.
    fn span_ms(self) -> i64 {
        self.period_ms * (self.samples - 1)
    }
}

const MINUTE: usize = 0;
const HOUR: usize = 1;
const DAY: usize = 2;
const WINDOWS: [Window; 3] = [
    Window {
        period_ms: 10_000,
        samples: 7,
    },
    Window {
        period_ms: 600_000,
        samples: 7,
    },
    Window {
        period_ms: 3_600_000,
        samples: 25,
    },
];

/// How much too early a sample may come, ms: timers and clocks are not of one mind.
const EARLY_MS: i64 = 1000;

/// Bytes that all items may occupy: some 200,000 of them.
const ITEMS_MAX_BYTES: usize = 128 << 20;
/// Bytes of an item that counts all the time, but for the texts of its key.
const ITEM_BYTES: usize = 640;
/// Bytes of an entry with its two most usual items.
const ENTRY_BYTES: usize = 3 * ITEM_BYTES;
/// Bytes of a queue's position.
const POSITION_BYTES: usize = 64;

/// What an item had counted at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at_ms: i64,
    times: u64,
    value: u64,
}

/// The samples of a window at which the item had counted more than before: those between say nothing new.
#[derive(Default)]
struct Samples(VecDeque<Sample>);

impl Samples {
    fn take(&mut self, window: Window, now: Sample) {
        let last = self.0.back();
        if last.is_none() {
            // As Java has it: nothing one period ago.
            self.0.push_back(Sample {
                at_ms: now.at_ms - window.period_ms,
                times: 0,
                value: 0,
            });
        }
        let is_more = |last: &Sample| (last.times, last.value) != (now.times, now.value);
        if self.0.back().is_some_and(is_more) {
            self.0.push_back(now);
        }
        let begin = now.at_ms - window.span_ms();
        while self.0.get(1).is_some_and(|next| next.at_ms <= begin) {
            self.0.pop_front();
        }
    }

    /// What was counted in the window, of which the last sample was taken at `last_ms`.
    fn sum_up(&self, window: Window, last_ms: i64) -> BrokerStatsItem {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return BrokerStatsItem::default();
        };
        let (sum, times) = (last.value - first.value, last.times - first.times);
        let span_ms = last_ms - first.at_ms.max(last_ms - window.span_ms());
        BrokerStatsItem {
            avgpt: if times > 0 { sum as f64 / times as f64 } else { 0.0 },
            sum: sum as i64,
            tps: if span_ms > 0 {
                sum as f64 * 1000.0 / span_ms as f64
            } else {
                0.0
            },
        }
    }
}

/// One statistic of one key.
#[derive(Default)]
struct Item {
    value: AtomicU64,
    times: AtomicU64,
    samples: Mutex<[Samples; 3]>,
}

impl Item {
    fn add(&self, value: u64, times: u64) {
        self.value.fetch_add(value, Relaxed);
        self.times.fetch_add(times, Relaxed);
    }

    fn sample(&self, due: [bool; 3], at_ms: i64) {
        let now = Sample {
            at_ms,
            times: self.times.load(Relaxed),
            value: self.value.load(Relaxed),
        };
        let mut samples = self.samples.lock();
        for ((samples, window), due) in samples.iter_mut().zip(WINDOWS).zip(due) {
            if due {
                samples.take(window, now);
            }
        }
    }

    /// It has been sampled for a day, and counted nothing.
    fn is_idle(&self) -> bool {
        let samples = self.samples.lock();
        let (times, value) = (self.times.load(Relaxed), self.value.load(Relaxed));
        let said_all = |samples: &Samples| {
            let known = samples.0.front();
            samples.0.len() == 1 && known.is_some_and(|known| (known.times, known.value) == (times, value))
        };
        samples.iter().all(said_all)
    }
}

/// Messages and their bytes.
#[derive(Default)]
pub(super) struct Flow {
    nums: Item,
    size: Item,
}

impl Flow {
    /// Messages and their bytes so far.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.nums.value.load(Relaxed), self.size.value.load(Relaxed))
    }

    fn add(&self, flow: Flowed) {
        self.nums.add(flow.messages, flow.times);
        self.size.add(flow.bytes, flow.times);
    }
}

/// What is counted at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flowed {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// In so many requests.
    pub times: u64,
}

impl Flowed {
    /// Both.
    pub fn and(self, other: Flowed) -> Flowed {
        Flowed {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            times: self.times + other.times,
        }
    }

    /// One message.
    pub fn one(bytes: u64) -> Flowed {
        Flowed {
            messages: 1,
            bytes,
            times: 1,
        }
    }
}

/// What is put into a topic (5.x: `message_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageKind {
    /// No other.
    #[default]
    Normal,
    /// With a sharding key.
    Fifo,
    /// Delivered later, or delivered now after that.
    Delay,
    /// A half message.
    Transaction,
}

impl MessageKind {
    pub(super) const ALL: [&'static str; 4] = ["normal", "fifo", "delay", "transaction"];
}

/// Messages of one kind.
pub(super) struct Puts {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Of a message, bytes; each request once.
    pub(super) sizes: Histogram<6>,
}

impl Default for Puts {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            sizes: Histogram::new(&SIZE_BOUNDS),
        }
    }
}

impl Puts {
    fn add(&self, flow: Flowed) {
        self.messages.fetch_add(flow.messages, Relaxed);
        self.bytes.fetch_add(flow.bytes, Relaxed);
        self.sizes
            .add_times(flow.bytes / flow.messages.max(1), flow.times);
    }
}

/// How transactions of a topic ended.
pub(super) struct TransactionEnds {
    pub(super) committed: AtomicU64,
    pub(super) rolled_back: AtomicU64,
    /// Age of half messages that are committed, s.
    pub(super) ages: Histogram<6>,
}

impl Default for TransactionEnds {
    fn default() -> Self {
        Self {
            committed: AtomicU64::new(0),
            rolled_back: AtomicU64::new(0),
            ages: Histogram::new(&AGE_BOUNDS),
        }
    }
}

/// Upper bounds as 5.x has them: bytes of messages, seconds of half messages, seconds of delays.
static SIZE_BOUNDS: [u64; 6] = [1024, 4096, 524_288, 1_048_576, 2_097_152, 4_194_304];
static AGE_BOUNDS: [u64; 6] = [5, 60, 600, 3600, 43_200, 86_400];
static DELAY_BOUNDS: [u64; 6] = [60, 600, 3600, 43_200, 86_400, 259_200];

/// A topic, or what a group does with a topic.
#[derive(Default)]
pub(super) struct Entry {
    /// By kind.
    pub(super) puts: [OnceLock<Box<Puts>>; 4],
    pub(super) ends: OnceLock<Box<TransactionEnds>>,
    /// How late delayed messages are delivered after their birth, s.
    pub(super) delays: OnceLock<Box<Histogram<6>>>,
    /// Messages that a group has given up.
    pub(super) dead: AtomicU64,
    /// How far a group has pulled each queue.
    pub(super) pulled: RwLock<BTreeMap<i32, AtomicI64>>,
    pub(super) flow: OnceLock<Flow>,
    /// The same of single queues.
    queues: RwLock<BTreeMap<i32, Arc<Flow>>>,
    /// How long its pulls took, by queue.
    latency: RwLock<BTreeMap<i32, Arc<Item>>>,
    send_back: OnceLock<Item>,
    shares: Mutex<Vec<Share>>,
}

impl Entry {
    fn each(&self, with: &mut dyn FnMut(&Item)) {
        let mut both = |flow: &Flow| {
            with(&flow.nums);
            with(&flow.size);
        };
        self.flow.get().into_iter().for_each(&mut both);
        self.queues.read().values().for_each(|flow| both(flow));
        self.latency.read().values().for_each(|item| with(item));
        self.send_back.get().into_iter().for_each(with);
    }
}

type ByGroup = HashMap<Arc<str>, Arc<Entry>>;

/// Every item. Adding to one that is there costs a look into a table and some additions.
pub struct StatsItems {
    cluster: String,
    /// enableDetailStat: latencies are told by queue, and delayed messages by level.
    detail: bool,
    topics: RwLock<ByGroup>,
    pairs: RwLock<HashMap<Arc<str>, ByGroup>>,
    broker_put: Item,
    broker_get: Item,
    /// When each window was sampled last, ms since 1970; 0 if never.
    sampled_ms: [AtomicI64; 3],
    budget: Arc<Budget>,
}

impl Default for StatsItems {
    fn default() -> Self {
        Self::new(String::new(), true)
    }
}

impl StatsItems {
    /// Nothing is counted yet. `cluster` is the key of what concerns the whole broker, `detail` is enableDetailStat.
    pub fn new(cluster: String, detail: bool) -> Self {
        Self {
            cluster,
            detail,
            topics: RwLock::default(),
            pairs: RwLock::default(),
            broker_put: Item::default(),
            broker_get: Item::default(),
            sampled_ms: Default::default(),
            budget: Budget::new("STATISTICS", ITEMS_MAX_BYTES),
        }
    }

    /// What all items occupy.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    fn topic(&self, topic: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.topics.read().get(topic) {
            return Some(Arc::clone(entry));
        }
        let entry = self.entry(topic.len())?;
        let mut topics = self.topics.write();
        Some(Arc::clone(topics.entry(Arc::from(topic)).or_insert(entry)))
    }

    fn pair(&self, group: &str, topic: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.pairs.read().get(topic).and_then(|groups| groups.get(group)) {
            return Some(Arc::clone(entry));
        }
        let entry = self.entry(topic.len() + group.len())?;
        let mut pairs = self.pairs.write();
        let groups = pairs.entry(Arc::from(topic)).or_default();
        Some(Arc::clone(groups.entry(Arc::from(group)).or_insert(entry)))
    }

    /// A new one, with room for its two most usual items.
    fn entry(&self, key_bytes: usize) -> Option<Arc<Entry>> {
        let share = self.budget.take(ENTRY_BYTES + key_bytes).ok()?;
        let entry = Entry::default();
        entry.shares.lock().push(share);
        Some(Arc::new(entry))
    }

    /// Counts what producers, or the broker for them, have put into a topic.
    pub fn put(&self, topic: &str, kind: MessageKind, flow: Flowed) {
        self.broker_put.add(flow.messages, 0);
        if let Some(entry) = self.topic(topic) {
            if let Some(puts) = entry.puts.get(kind as usize) {
                puts.get_or_init(Box::default).add(flow);
            }
            entry.flow.get_or_init(Flow::default).add(flow);
        }
    }

    /// The same for a queue.
    pub fn put_queue(&self, topic: &str, queue_id: i32, flow: Flowed) {
        if let Some(entry) = self.topic(topic).filter(|_| self.detail) {
            self.add_to_queue(&entry, queue_id, flow);
        }
    }

    fn add_to_queue(&self, entry: &Entry, queue_id: i32, flow: Flowed) {
        if let Some(known) = entry.queues.read().get(&queue_id) {
            return known.add(flow);
        }
        let Ok(share) = self.budget.take(2 * ITEM_BYTES) else {
            return;
        };
        let mut queues = entry.queues.write();
        queues.entry(queue_id).or_default().add(flow);
        entry.shares.lock().push(share);
    }

    /// Counts what a group has got of a topic, and how long that took.
    pub fn got(&self, group: &str, queue: (&str, i32), flow: Flowed, took_ms: u64) {
        self.got_up_to(group, queue, flow, took_ms, None);
    }

    /// The same, and notes how far the group has pulled the queue.
    pub fn got_up_to(
        &self,
        group: &str,
        (topic, queue_id): (&str, i32),
        flow: Flowed,
        took_ms: u64,
        next: Option<i64>,
    ) {
        self.broker_get.add(flow.messages, 0);
        let Some(entry) = self.pair(group, topic) else {
            return;
        };
        if let Some(next) = next {
            self.note_pulled(&entry, queue_id, next);
        }
        entry.flow.get_or_init(Flow::default).add(flow);
        let queue_id = if self.detail { queue_id } else { 0 };
        if let Some(known) = entry.latency.read().get(&queue_id) {
            return known.add(took_ms, flow.times);
        }
        if let Ok(share) = self.budget.take(ITEM_BYTES) {
            let mut latency = entry.latency.write();
            latency.entry(queue_id).or_default().add(took_ms, flow.times);
            entry.shares.lock().push(share);
        }
    }

    fn note_pulled(&self, entry: &Entry, queue_id: i32, next: i64) {
        if let Some(known) = entry.pulled.read().get(&queue_id) {
            return known.store(next, Relaxed);
        }
        if let Ok(share) = self.budget.take(POSITION_BYTES) {
            entry.pulled.write().insert(queue_id, AtomicI64::new(next));
            entry.shares.lock().push(share);
        }
    }

    /// How far a group has pulled each queue of a topic.
    pub fn pulled_of(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let entry = self.known_pair(group, topic);
        let positions = entry.as_ref().map(|entry| entry.pulled.read());
        let positions = positions.iter().flat_map(|positions| positions.iter());
        positions.map(|(queue, at)| (*queue, at.load(Relaxed))).collect()
    }

    /// Counts how a half message for `topic` ended, so many seconds after its birth.
    pub fn ended(&self, topic: &str, commits: bool, age_s: u64) {
        let Some(entry) = self.topic(topic) else { return };
        let ends = entry.ends.get_or_init(Box::default);
        if commits {
            ends.committed.fetch_add(1, Relaxed);
            ends.ages.add(age_s);
        } else {
            ends.rolled_back.fetch_add(1, Relaxed);
        }
    }

    /// Counts a delayed message that reaches its topic so many seconds after its birth.
    pub fn delivered_late(&self, topic: &str, delay_s: u64) {
        if let Some(entry) = self.topic(topic) {
            let delays = entry
                .delays
                .get_or_init(|| Box::new(Histogram::new(&DELAY_BOUNDS)));
            delays.add(delay_s);
        }
    }

    /// Counts a message that a group has given up.
    pub fn given_up(&self, group: &str, topic: &str) {
        if let Some(entry) = self.pair(group, topic) {
            entry.dead.fetch_add(1, Relaxed);
        }
    }

    /// Every topic that counts. The lock is held for as long as their names and counts take to be noted, not to be told.
    pub(super) fn topics(&self) -> Vec<(Arc<str>, Arc<Entry>)> {
        let topics = self.topics.read();
        topics
            .iter()
            .map(|(name, entry)| (Arc::clone(name), Arc::clone(entry)))
            .collect()
    }

    /// Every group with every topic that it counts: topic, group.
    pub(super) fn pairs(&self) -> Vec<(Arc<str>, Arc<str>, Arc<Entry>)> {
        let topics: Vec<Arc<str>> = self.pairs.read().keys().cloned().collect();
        let mut all = Vec::new();
        for topic in topics {
            let pairs = self.pairs.read();
            let groups = pairs.get(&topic).into_iter().flatten();
            all.extend(
                groups.map(|(group, entry)| (Arc::clone(&topic), Arc::clone(group), Arc::clone(entry))),
            );
        }
        all
    }

    /// Counts a delayed message that is delivered: the broker has got it of its level's queue.
    pub fn got_delayed(&self, group: &str, (topic, queue_id): (&str, i32), flow: Flowed) {
        if let Some(entry) = self.pair(group, topic) {
            entry.flow.get_or_init(Flow::default).add(flow);
            if self.detail {
                self.add_to_queue(&entry, queue_id, flow);
            }
        }
    }

    /// Counts a message that a group has sent back.
    pub fn sent_back(&self, group: &str, topic: &str) {
        if let Some(entry) = self.pair(group, topic) {
            entry.send_back.get_or_init(Item::default).add(1, 1);
        }
    }

    /// A topic is gone.
    pub fn topic_gone(&self, topic: &str) {
        self.topics.write().remove(topic);
        self.pairs.write().remove(topic);
    }

    /// A group is gone.
    pub fn group_gone(&self, group: &str) {
        self.pairs.write().retain(|_, groups| {
            groups.remove(group);
            !groups.is_empty()
        });
    }

    /// Takes the samples that are due. Work that grows with the items.
    pub fn sample(&self, now_ms: i64) {
        let mut due = [false; 3];
        for ((due, window), sampled) in due.iter_mut().zip(WINDOWS).zip(&self.sampled_ms) {
            *due = now_ms - sampled.load(Relaxed) >= window.period_ms - EARLY_MS;
        }
        let entries: Vec<Arc<Entry>> = {
            let (topics, pairs) = (self.topics.read(), self.pairs.read());
            let of_pairs = pairs.values().flat_map(HashMap::values);
            topics.values().chain(of_pairs).cloned().collect()
        };
        for entry in entries {
            entry.each(&mut |item| item.sample(due, now_ms));
        }
        for item in [&self.broker_put, &self.broker_get] {
            // As the others they begin with what is counted first.
            if item.value.load(Relaxed) > 0 {
                item.sample(due, now_ms);
            }
        }
        for (due, sampled) in due.into_iter().zip(&self.sampled_ms) {
            if due {
                sampled.store(now_ms, Relaxed);
            }
        }
        if due[DAY] {
            self.drop_idle();
        }
    }

    /// Drops what has counted nothing for a day.
    fn drop_idle(&self) {
        let is_busy = |_: &Arc<str>, entry: &mut Arc<Entry>| {
            let mut busy = false;
            entry.each(&mut |item| busy |= !item.is_idle());
            busy
        };
        self.topics.write().retain(is_busy);
        self.pairs.write().retain(|_, groups| {
            groups.retain(is_busy);
            !groups.is_empty()
        });
    }

    /// How many messages a group gets of a topic a second, over the last minute.
    pub fn group_tps(&self, group: &str, topic: &str) -> f64 {
        let entry = self
            .pairs
            .read()
            .get(topic)
            .and_then(|groups| groups.get(group))
            .cloned();
        let flow = entry.as_ref().and_then(|entry| entry.flow.get());
        flow.map_or(0.0, |flow| self.of_window(&flow.nums, MINUTE).tps)
    }

    /// How many messages are put into a topic a second, over the last minute.
    pub fn topic_tps(&self, topic: &str) -> f64 {
        let entry = self.topics.read().get(topic).cloned();
        let flow = entry.as_ref().and_then(|entry| entry.flow.get());
        flow.map_or(0.0, |flow| self.of_window(&flow.nums, MINUTE).tps)
    }

    fn of_window(&self, item: &Item, window: usize) -> BrokerStatsItem {
        let samples = item.samples.lock();
        match (
            samples.get(window),
            WINDOWS.get(window),
            self.sampled_ms.get(window),
        ) {
            (Some(samples), Some(of), Some(sampled)) => samples.sum_up(*of, sampled.load(Relaxed)),
            _ => BrokerStatsItem::default(),
        }
    }

    fn data(&self, item: &Item) -> BrokerStatsData {
        BrokerStatsData {
            stats_day: self.of_window(item, DAY),
            stats_hour: self.of_window(item, HOUR),
            stats_minute: self.of_window(item, MINUTE),
        }
    }

    /// A statistic of a key; none if nothing was ever counted there.
    pub fn view(&self, name: &str, key: &str) -> Option<BrokerStatsData> {
        let of_broker = |item: &Item| {
            let counted = key == self.cluster && item.value.load(Relaxed) > 0;
            counted.then(|| self.data(item))
        };
        let (first, rest) = key.split_once('@').unwrap_or((key, ""));
        let pick = |flow: &Flow| match name.ends_with("_SIZE") {
            true => self.data(&flow.size),
            false => self.data(&flow.nums),
        };
        match name {
            "BROKER_PUT_NUMS" => of_broker(&self.broker_put),
            "BROKER_GET_NUMS" => of_broker(&self.broker_get),
            "TOPIC_PUT_NUMS" | "TOPIC_PUT_SIZE" => {
                let entry = self.topics.read().get(key).cloned()?;
                entry.flow.get().map(pick)
            }
            "GROUP_GET_NUMS" | "GROUP_GET_SIZE" => self.known_pair(rest, first)?.flow.get().map(pick),
            "SNDBCK_PUT_NUMS" => {
                let entry = self.known_pair(rest, first)?;
                entry.send_back.get().map(|item| self.data(item))
            }
            "GROUP_GET_LATENCY" => {
                let (queue_id, topic, group) = match self.detail {
                    true => {
                        let (topic, group) = rest.split_once('@')?;
                        (first.parse().ok()?, topic, group)
                    }
                    false => (0, first, rest),
                };
                let item = self
                    .known_pair(group, topic)?
                    .latency
                    .read()
                    .get(&queue_id)
                    .cloned();
                item.map(|item| self.data(&item))
            }
            "QUEUE_PUT_NUMS" | "QUEUE_PUT_SIZE" => {
                let entry = self.topics.read().get(first).cloned()?;
                let flow = entry.queues.read().get(&rest.parse().ok()?).cloned();
                flow.map(|flow| pick(&flow))
            }
            "QUEUE_GET_NUMS" | "QUEUE_GET_SIZE" => {
                let (queue_id, group) = rest.split_once('@')?;
                let entry = self.known_pair(group, first)?;
                let flow = entry.queues.read().get(&queue_id.parse().ok()?).cloned();
                flow.map(|flow| pick(&flow))
            }
            _ => None,
        }
    }

    fn known_pair(&self, group: &str, topic: &str) -> Option<Arc<Entry>> {
        self.pairs.read().get(topic)?.get(group).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_700_000_000_000;

    fn flow(messages: u64, bytes: u64) -> Flowed {
        Flowed {
            messages,
            bytes,
            times: 1,
        }
    }

    fn items() -> StatsItems {
        StatsItems::new("C".to_owned(), true)
    }

    /// Sum and tps of the last minute.
    fn minute(items: &StatsItems, name: &str, key: &str) -> (i64, f64) {
        let data = items.view(name, key).unwrap_or_else(|| panic!("{name} {key}"));
        (data.stats_minute.sum, data.stats_minute.tps)
    }

    #[test]
    fn every_statistic_is_found_by_javas_name_and_key() {
        let items = items();
        items.sample(BEGIN);
        items.put("T", MessageKind::Normal, flow(3, 300));
        items.put("T", MessageKind::Normal, flow(1, 100));
        items.put_queue("SCHEDULE_TOPIC_XXXX", 2, flow(7, 70));
        items.got("g", ("T", 1), flow(2, 200), 5);
        items.got_delayed("SCHEDULE_CONSUMER", ("SCHEDULE_TOPIC_XXXX", 2), flow(6, 60));
        items.sent_back("g", "T");
        items.sample(BEGIN + 10_000);
        for (name, key, sum) in [
            ("TOPIC_PUT_NUMS", "T", 4),
            ("TOPIC_PUT_SIZE", "T", 400),
            ("GROUP_GET_NUMS", "T@g", 2),
            ("GROUP_GET_SIZE", "T@g", 200),
            ("SNDBCK_PUT_NUMS", "T@g", 1),
            ("GROUP_GET_LATENCY", "1@T@g", 5),
            ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@2", 7),
            ("QUEUE_PUT_SIZE", "SCHEDULE_TOPIC_XXXX@2", 70),
            ("GROUP_GET_NUMS", "SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER", 6),
            ("QUEUE_GET_NUMS", "SCHEDULE_TOPIC_XXXX@2@SCHEDULE_CONSUMER", 6),
            ("QUEUE_GET_SIZE", "SCHEDULE_TOPIC_XXXX@2@SCHEDULE_CONSUMER", 60),
            ("BROKER_PUT_NUMS", "C", 4),
            ("BROKER_GET_NUMS", "C", 2),
        ] {
            assert_eq!(
                minute(&items, name, key),
                (sum, sum as f64 / 10.0),
                "{name} {key}"
            );
        }
        let put = items.view("TOPIC_PUT_NUMS", "T").unwrap();
        assert_eq!(put.stats_minute.avgpt, 2.0, "two requests");
        for (name, key) in [
            ("TOPIC_PUT_NUMS", "U"),
            ("GROUP_GET_NUMS", "T@h"),
            ("GROUP_GET_NUMS", "T"),
            ("SNDBCK_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER"),
            ("GROUP_GET_LATENCY", "T@g"),
            ("GROUP_GET_LATENCY", "2@T@g"),
            ("QUEUE_PUT_NUMS", "T@0"),
            ("BROKER_PUT_NUMS", "D"),
            ("NONE", "T"),
        ] {
            assert!(items.view(name, key).is_none(), "{name} {key}");
        }
    }

    #[test]
    fn without_detail_latencies_are_of_topic_and_group() {
        let items = StatsItems::new("C".to_owned(), false);
        items.got("g", ("T", 1), flow(1, 1), 5);
        items.got("g", ("T", 2), flow(1, 1), 7);
        items.put_queue("T", 1, flow(1, 1));
        items.sample(BEGIN);
        assert_eq!(minute(&items, "GROUP_GET_LATENCY", "T@g").0, 12);
        assert!(items.view("QUEUE_PUT_NUMS", "T@1").is_none());
    }

    /// A naive keeper of samples, as Java is one.
    #[derive(Default)]
    struct Naive([Vec<Sample>; 3]);

    impl Naive {
        fn sample(&mut self, at_ms: i64, value: u64) {
            for (list, window) in self.0.iter_mut().zip(WINDOWS) {
                if (at_ms - BEGIN) % window.period_ms != 0 {
                    continue;
                }
                let sample = |at_ms, value| Sample {
                    at_ms,
                    times: value,
                    value,
                };
                if list.is_empty() {
                    list.push(sample(at_ms - window.period_ms, 0));
                }
                list.push(sample(at_ms, value));
                if list.len() > window.samples as usize {
                    list.remove(0);
                }
            }
        }

        fn sums(&self) -> [(i64, f64); 3] {
            let sum_up = |list: &Vec<Sample>| match (list.first(), list.last()) {
                (Some(first), Some(last)) => {
                    let sum = last.value - first.value;
                    (
                        sum as i64,
                        sum as f64 * 1000.0 / (last.at_ms - first.at_ms) as f64,
                    )
                }
                _ => (0, 0.0),
            };
            [sum_up(&self.0[0]), sum_up(&self.0[1]), sum_up(&self.0[2])]
        }
    }

    /// Bursts and silences of all lengths, for two days: the samples that are left out are not missed.
    #[test]
    fn windows_say_what_javas_samples_say() {
        let items = items();
        let mut naive = Naive::default();
        let (mut seed, mut value) = (7u64, 0);
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        items.put("T", MessageKind::Normal, flow(0, 0));
        let mut busy = true;
        for step in 0..2 * 8640 {
            if random(200) == 0 {
                busy = !busy;
            }
            if busy && random(3) > 0 {
                let count = random(100);
                value += count;
                items.put(
                    "T",
                    MessageKind::Normal,
                    Flowed {
                        messages: count,
                        bytes: 0,
                        times: count,
                    },
                );
            }
            let now = BEGIN + step * 10_000;
            items.sample(now);
            naive.sample(now, value);
            let Some(data) = items.view("TOPIC_PUT_NUMS", "T") else {
                panic!("it is dropped at step {step}");
            };
            let windows = [data.stats_minute, data.stats_hour, data.stats_day];
            assert_eq!(
                windows.map(|item| (item.sum, item.tps)),
                naive.sums(),
                "step {step}"
            );
        }
    }

    #[test]
    fn what_counts_nothing_for_a_day_is_dropped_and_what_is_gone_at_once() {
        let items = items();
        for topic in ["T", "U"] {
            items.put(topic, MessageKind::Normal, flow(1, 1));
            items.got("g", (topic, 0), flow(1, 1), 1);
            items.got("h", (topic, 0), flow(1, 1), 1);
        }
        items.group_gone("h");
        assert!(items.view("GROUP_GET_NUMS", "T@h").is_none());
        items.topic_gone("U");
        assert!(items.view("TOPIC_PUT_NUMS", "U").is_none());
        assert!(items.view("GROUP_GET_NUMS", "U@g").is_none());
        let hours = |items: &StatsItems, from: i64, to: i64| {
            for hour in from..to {
                items.sample(BEGIN + hour * 3_600_000);
            }
        };
        hours(&items, 0, 24);
        assert!(items.view("TOPIC_PUT_NUMS", "T").is_some());
        hours(&items, 24, 27);
        assert!(items.view("TOPIC_PUT_NUMS", "T").is_none());
        assert_eq!(items.budget().used(), 0);
        items.put("T", MessageKind::Normal, flow(1, 1));
        items.sample(BEGIN + 27 * 3_600_000);
        assert_eq!(minute(&items, "TOPIC_PUT_NUMS", "T").0, 1, "it counts again");
    }

    #[test]
    fn items_have_a_limit_in_bytes() {
        let items = StatsItems {
            budget: Budget::new("TEST", 4 * (ENTRY_BYTES + 8)),
            ..items()
        };
        for number in 0..20 {
            items.put(&format!("T{number}"), MessageKind::Normal, flow(1, 1));
        }
        let there = (0..20).filter(|number| items.view("TOPIC_PUT_NUMS", &format!("T{number}")).is_some());
        assert_eq!(there.count(), 4);
        items.sample(BEGIN);
        assert_eq!(
            minute(&items, "BROKER_PUT_NUMS", "C").0,
            20,
            "the broker's own count has its room"
        );
    }
}
