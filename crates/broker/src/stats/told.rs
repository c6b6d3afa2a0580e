//! What topics and groups count, as 5.x names it (`rocketmq_messages_in_total` and its like).
//!
//! Whatever has counted nothing has no series, and one that is gone has none any more.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use message::name::{is_dlq_topic, is_retry_topic};
use metrics::{Exposition, Source};

use super::Stats;
use super::items::{Entry, MessageKind, Puts};
use crate::tables::{OpenHalves, TopicTable};

/// Tells them.
pub struct StatsTold {
    /// The counters.
    pub stats: Arc<Stats>,
    /// Who knows which topics are the system's.
    pub topics: Arc<TopicTable>,
    /// Counts of open half messages.
    pub open_halves: Arc<OpenHalves>,
}

/// A group of RocketMQ's own, as 5.x's metrics tell it.
pub fn is_system_group(group: &str) -> bool {
    const PREFIX: &str = "CID_RMQ_SYS_";
    let start = group.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn flag(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

/// Takes one series: its labels, and what they are of.
type With<'a, T> = dyn FnMut(&[(&str, &str)], &T) + 'a;
type Topics = Vec<(Arc<str>, Arc<Entry>)>;
type Pairs = Vec<(Arc<str>, Arc<str>, Arc<Entry>)>;

impl Source for StatsTold {
    fn write(&self, to: &mut Exposition<'_>) {
        let mut topics = self.stats.items.topics();
        // 5.x counts neither what comes back nor what is given up.
        topics.retain(|(topic, _)| !is_retry_topic(topic) && !is_dlq_topic(topic));
        self.puts(&topics, to);
        transactions(&topics, to);
        self.open(to);
        delays(&topics, to);
        self.gets(&self.stats.items.pairs(), to);
        self.stats.creates.write(to);
    }
}

impl StatsTold {
    fn puts(&self, topics: &Topics, to: &mut Exposition<'_>) {
        let each = |with: &mut With<'_, Puts>| {
            for (topic, entry) in topics {
                let is_system = flag(self.topics.is_system(topic));
                for (kind, puts) in MessageKind::ALL.into_iter().zip(&entry.puts) {
                    if let Some(puts) = puts.get() {
                        with(
                            &[("is_system", is_system), ("message_type", kind), ("topic", topic)],
                            puts,
                        );
                    }
                }
            }
        };
        let mut family = to.counter("rocketmq_messages_in_total", "Messages stored.");
        each(&mut |labels, puts| family.value(labels, puts.messages.load(Relaxed) as f64));
        let mut family = to.counter(
            "rocketmq_throughput_in_total",
            "Bytes of the records of messages stored.",
        );
        each(&mut |labels, puts| family.value(labels, puts.bytes.load(Relaxed) as f64));
        let mut family = to.histogram("rocketmq_message_size", "Incoming messages size");
        each(&mut |labels, puts| {
            if let Some(view) = puts.sizes.view() {
                family.view(labels, &view, 1.0);
            }
        });
    }

    fn open(&self, to: &mut Exposition<'_>) {
        let mut family = to.gauge("rocketmq_half_messages", "Half messages that nobody has ended.");
        for (topic, open) in self.open_halves.counts() {
            family.value(&[("topic", topic.as_str())], open as f64);
        }
    }

    fn gets(&self, pairs: &Pairs, to: &mut Exposition<'_>) {
        let each = |with: &mut With<'_, Entry>| {
            for (topic, group, entry) in pairs {
                let is_system = flag(self.topics.is_system(topic) || is_system_group(group));
                let labels = [
                    ("consumer_group", &**group),
                    ("is_system", is_system),
                    ("topic", topic),
                ];
                with(&labels, entry);
            }
        };
        let out = |entry: &Entry| entry.flow.get().map(|flow| flow.totals());
        let is_told = |labels: &[(&str, &str)]| {
            let topic = labels.last().map_or("", |(_, topic)| topic);
            !is_retry_topic(topic)
        };
        let mut family = to.counter("rocketmq_messages_out_total", "Messages delivered.");
        each(&mut |labels, entry| {
            if let Some((messages, _)) = out(entry).filter(|_| is_told(labels)) {
                family.value(labels, messages as f64);
            }
        });
        let mut family = to.counter(
            "rocketmq_throughput_out_total",
            "Bytes of the records of messages delivered.",
        );
        each(&mut |labels, entry| {
            if let Some((_, bytes)) = out(entry).filter(|_| is_told(labels)) {
                family.value(labels, bytes as f64);
            }
        });
        let mut family = to.counter(
            "rocketmq_send_to_dlq_messages_total",
            "Messages that a group has given up.",
        );
        each(&mut |labels, entry| match entry.dead.load(Relaxed) {
            0 => {}
            dead => family.value(labels, dead as f64),
        });
    }
}

fn transactions(topics: &Topics, to: &mut Exposition<'_>) {
    let ended = || {
        let all = topics.iter();
        all.filter_map(|(topic, entry)| Some((&**topic, entry.ends.get()?)))
    };
    let mut family = to.counter("rocketmq_commit_messages_total", "Half messages committed.");
    for (topic, ends) in ended() {
        family.value(&[("topic", topic)], ends.committed.load(Relaxed) as f64);
    }
    let mut family = to.counter("rocketmq_rollback_messages_total", "Half messages rolled back.");
    for (topic, ends) in ended() {
        family.value(&[("topic", topic)], ends.rolled_back.load(Relaxed) as f64);
    }
    let mut family = to.histogram(
        "rocketmq_finish_message_latency_milliseconds",
        "Transaction finish latency. As in 5.x the values are seconds.",
    );
    for (topic, ends) in ended() {
        if let Some(view) = ends.ages.view() {
            family.view(&[("topic", topic)], &view, 1.0);
        }
    }
}

fn delays(topics: &Topics, to: &mut Exposition<'_>) {
    let mut family = to.histogram("rocketmq_delay_message_latency_seconds", "Timer message latency");
    for (topic, entry) in topics {
        if let Some(view) = entry.delays.get().and_then(|delays| delays.view()) {
            let labels = [
                ("storage_medium", "disk"),
                ("storage_type", "local"),
                ("topic", &**topic),
            ];
            family.view(&labels, &view, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_system_in_any_case() {
        for (group, is) in [
            ("CID_RMQ_SYS_TRANS", true),
            ("cid_rmq_sys_x", true),
            ("CID_RMQ", false),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", false),
        ] {
            assert_eq!(is_system_group(group), is, "{group}");
        }
    }
}
