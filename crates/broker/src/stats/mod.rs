//! Counters behind the runtime info, the tps columns of `clusterList` and the exporter.
//!
//! Names and windows: RocketMQ 4.9.8, StoreStatsService and BrokerStats: a sample each second, averages over 10 s, 1 min
//! and 10 min; totals as of the last two midnights.

mod creates;
mod items;
mod told;

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

pub use creates::CreateTimes;
pub use items::{Flowed, MessageKind, StatsItems};
pub use told::{StatsTold, is_system_group};

/// Samples kept: ten minutes and the one before them.
const SAMPLES: usize = 601;

/// Upper bounds of the put time classes, ms, and how Java labels them.
const PUT_CLASSES: [(u64, &str); 13] = [
    (0, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1000, "[500ms~1s]"),
    (2000, "[1~2s]"),
    (3000, "[2~3s]"),
    (4000, "[3~4s]"),
    (5000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    at_ms: i64,
    put: u64,
    found: u64,
    miss: u64,
    transferred: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Morning {
    day: i64,
    put_yesterday: u64,
    put_today: u64,
    get_yesterday: u64,
    get_today: u64,
}

#[derive(Default)]
struct History {
    samples: VecDeque<Sample>,
    morning: Morning,
    boot_ms: i64,
}

/// The counters. Adding to them costs one atomic addition each.
#[derive(Default)]
pub struct Stats {
    /// Messages stored.
    pub put_times: AtomicU64,
    /// Messages that could not be stored.
    pub put_failed: AtomicU64,
    /// Bytes of records stored.
    pub put_bytes: AtomicU64,
    /// Pulls that found messages.
    pub get_found: AtomicU64,
    /// Pulls that found none.
    pub get_miss: AtomicU64,
    /// Messages handed out.
    pub get_transferred: AtomicU64,
    /// Longest append, ms.
    pub put_time_max_ms: AtomicU64,
    /// Longest read, ms.
    pub get_time_max_ms: AtomicU64,
    /// What was put and got by topics and groups.
    pub items: StatsItems,
    /// How long it took to make topics and groups.
    pub creates: CreateTimes,
    put_classes: [AtomicU64; PUT_CLASSES.len()],
    history: Mutex<History>,
}

impl Stats {
    /// Starts counting at `now_ms`.
    pub fn new(now_ms: i64, local_day: i64, items: StatsItems) -> Self {
        let stats = Self {
            items,
            ..Self::default()
        };
        {
            let mut history = stats.history.lock();
            history.boot_ms = now_ms;
            history.morning.day = local_day;
            history.samples.push_back(Sample {
                at_ms: now_ms,
                ..Sample::default()
            });
        }
        stats
    }

    /// Counts `messages` stored in one append that took `took_ms`.
    pub fn stored(&self, messages: u64, bytes: u64, took_ms: u64) {
        self.put_times.fetch_add(messages, Relaxed);
        self.put_bytes.fetch_add(bytes, Relaxed);
        if took_ms > self.put_time_max_ms.load(Relaxed) {
            self.put_time_max_ms.fetch_max(took_ms, Relaxed);
        }
        let class = PUT_CLASSES
            .iter()
            .position(|(most, _)| took_ms <= *most)
            .unwrap_or(0);
        if let Some(counter) = self.put_classes.get(class) {
            counter.fetch_add(messages, Relaxed);
        }
    }

    /// Counts a read that handed out `messages`.
    pub fn read(&self, messages: u64, found: bool, took_ms: u64) {
        if found {
            self.get_found.fetch_add(1, Relaxed);
            self.get_transferred.fetch_add(messages, Relaxed);
        } else {
            self.get_miss.fetch_add(1, Relaxed);
        }
        if took_ms > self.get_time_max_ms.load(Relaxed) {
            self.get_time_max_ms.fetch_max(took_ms, Relaxed);
        }
    }

    /// Counts a message that was not stored.
    pub fn refused(&self) {
        self.put_failed.fetch_add(1, Relaxed);
    }

    /// Takes the sample of a second; `local_day` is the number of the day at the broker's place.
    pub fn tick(&self, now_ms: i64, local_day: i64) {
        let sample = self.now(now_ms);
        let mut history = self.history.lock();
        history.samples.push_back(sample);
        if history.samples.len() > SAMPLES {
            history.samples.pop_front();
        }
        if history.morning.day != local_day {
            let before = history.morning;
            history.morning = Morning {
                day: local_day,
                put_yesterday: before.put_today,
                put_today: sample.put,
                get_yesterday: before.get_today,
                get_today: sample.transferred,
            };
        }
    }

    fn now(&self, at_ms: i64) -> Sample {
        Sample {
            at_ms,
            put: self.put_times.load(Relaxed),
            found: self.get_found.load(Relaxed),
            miss: self.get_miss.load(Relaxed),
            transferred: self.get_transferred.load(Relaxed),
        }
    }

    /// Three averages, 10 s, 1 min and 10 min, as Java prints them.
    fn tps(history: &History, value: impl Fn(&Sample) -> u64) -> String {
        let mut text = String::new();
        for seconds in [10usize, 60, 600] {
            if !text.is_empty() {
                text.push(' ');
            }
            let last = history.samples.back();
            let first = history
                .samples
                .iter()
                .rev()
                .nth(seconds)
                .or(history.samples.front());
            let rate = match (first, last) {
                (Some(a), Some(b)) if b.at_ms > a.at_ms => {
                    (value(b) - value(a)) as f64 * 1000.0 / (b.at_ms - a.at_ms) as f64
                }
                _ => 0.0,
            };
            let _ = write!(text, "{rate:?}");
        }
        text
    }

    /// The store statistics of the runtime info (reference: mqadmin.md, "store statistics").
    pub fn describe(&self, now_ms: i64, put: &mut dyn FnMut(&str, String)) {
        let history = self.history.lock();
        let now = self.now(now_ms);
        let bytes = self.put_bytes.load(Relaxed);
        put("bootTimestamp", history.boot_ms.to_string());
        put("runtime", duration_text(now_ms - history.boot_ms));
        put(
            "putMessageEntireTimeMax",
            self.put_time_max_ms.load(Relaxed).to_string(),
        );
        put("putMessageTimesTotal", now.put.to_string());
        put("putMessageFailedTimes", self.put_failed.load(Relaxed).to_string());
        put("putMessageSizeTotal", bytes.to_string());
        put(
            "putMessageAverageSize",
            format!("{:?}", bytes as f64 / now.put.max(1) as f64),
        );
        let mut classes = String::new();
        for (counter, (_, label)) in self.put_classes.iter().zip(PUT_CLASSES) {
            let _ = write!(classes, "{label}:{} ", counter.load(Relaxed));
        }
        put("putMessageDistributeTime", classes);
        put(
            "getMessageEntireTimeMax",
            self.get_time_max_ms.load(Relaxed).to_string(),
        );
        put("putTps", Self::tps(&history, |s| s.put));
        put("getFoundTps", Self::tps(&history, |s| s.found));
        put("getMissTps", Self::tps(&history, |s| s.miss));
        put("getTotalTps", Self::tps(&history, |s| s.found + s.miss));
        let transferred = Self::tps(&history, |s| s.transferred);
        put("getTransferredTps", transferred.clone());
        put("getTransferedTps", transferred);
        put("putLatency99", format!("{}.00", self.put_quantile_ms(0.99)));
        put("putLatency999", format!("{}.00", self.put_quantile_ms(0.999)));
        let m = history.morning;
        put("msgPutTotalYesterdayMorning", m.put_yesterday.to_string());
        put("msgPutTotalTodayMorning", m.put_today.to_string());
        put("msgPutTotalTodayNow", now.put.to_string());
        put("msgGetTotalYesterdayMorning", m.get_yesterday.to_string());
        put("msgGetTotalTodayMorning", m.get_today.to_string());
        put("msgGetTotalTodayNow", now.transferred.to_string());
    }

    /// The upper bound of the class that holds this quantile of put times, ms.
    fn put_quantile_ms(&self, quantile: f64) -> u64 {
        let counts: Vec<u64> = self.put_classes.iter().map(|c| c.load(Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (count, (most, _)) in counts.iter().zip(PUT_CLASSES) {
            seen += count;
            if seen >= wanted {
                return most.min(self.put_time_max_ms.load(Relaxed));
            }
        }
        0
    }
}

/// `[ d days, h hours, m minutes, s seconds ]`, Java's words.
fn duration_text(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn described(stats: &Stats, now_ms: i64) -> HashMap<String, String> {
        let mut map = HashMap::new();
        stats.describe(now_ms, &mut |k, v| drop(map.insert(k.to_owned(), v)));
        map
    }

    #[test]
    fn averages_are_over_their_windows() {
        let stats = Stats::new(0, 1, StatsItems::default());
        for second in 1..=60 {
            stats.stored(if second > 50 { 100 } else { 0 }, 1000, 3);
            stats.tick(second * 1000, 1);
        }
        let map = described(&stats, 60_000);
        let tps: Vec<f64> = map["putTps"]
            .split(' ')
            .map(|t| t.parse().expect("a number"))
            .collect();
        assert_eq!(tps[0], 100.0);
        assert!((tps[1] - 1000.0 / 60.0).abs() < 0.01, "{tps:?}");
        assert_eq!(tps[2], tps[1], "the long window is not longer than the uptime");
        assert_eq!(map["runtime"], "[ 0 days, 0 hours, 1 minutes, 0 seconds ]");
        assert!(
            map["putMessageDistributeTime"].contains("[0~10ms]:1000 "),
            "{map:?}"
        );
        assert_eq!(map["putLatency99"], "3.00");
    }

    #[test]
    fn totals_move_on_at_midnight() {
        let stats = Stats::new(0, 1, StatsItems::default());
        stats.stored(5, 50, 0);
        stats.tick(1000, 2);
        stats.stored(7, 70, 0);
        stats.tick(2000, 3);
        stats.stored(1, 10, 0);
        let map = described(&stats, 3000);
        assert_eq!(map["msgPutTotalYesterdayMorning"], "5");
        assert_eq!(map["msgPutTotalTodayMorning"], "12");
        assert_eq!(map["msgPutTotalTodayNow"], "13");
    }
}
