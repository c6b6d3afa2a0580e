//! How far consumer groups are behind.
//!
//! Rules: RocketMQ 5.3.3, ConsumerLagCalculator: groups that are connected, topics they subscribe to, the sum over the queues. Unlike
//! Java, which estimates what a filter would let through (`estimateAccumulation`): every message counts.

use std::sync::Arc;

use disk::{Clock, Disk};
use message::name::is_retry_topic;
use metrics::{Exposition, Source};
use store::Store;

use super::flag;
use crate::clients::Consumers;
use crate::stats::{Stats, is_system_group};
use crate::tables::{Tables, perm};

/// Tells it.
pub struct LagTold<D: Disk> {
    /// Topics and offsets.
    pub tables: Tables,
    /// Who is connected.
    pub consumers: Arc<Consumers>,
    /// How far groups have pulled.
    pub stats: Arc<Stats>,
    /// Where queues end.
    pub store: Arc<Store<D>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A metric: its name, what it says, what it is of a queue.
type Told<V> = (&'static str, &'static str, fn(&QueueLag) -> V);

/// One group and one topic.
struct Row {
    group: String,
    topic: String,
    is_system: bool,
    queues: Vec<QueueLag>,
}

/// Where one queue is for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QueueLag {
    queue_id: i32,
    max: i64,
    committed: Option<i64>,
    pulled: Option<i64>,
}

impl QueueLag {
    fn consumer(&self) -> i64 {
        self.committed.unwrap_or(self.max)
    }

    fn lag(&self) -> i64 {
        (self.max - self.consumer()).max(0)
    }

    fn inflight(&self) -> i64 {
        match (self.pulled, self.committed) {
            (None, _) => 0,
            (Some(pulled), None) => pulled.max(0),
            (Some(pulled), Some(committed)) => (pulled - committed).max(0),
        }
    }

    fn ready(&self) -> i64 {
        self.pulled.map_or(self.max, |pulled| (self.max - pulled).max(0))
    }

    /// The first message that is not pulled; none where all are.
    fn unpulled(&self) -> Option<i64> {
        self.pulled.filter(|pulled| *pulled < self.max)
    }

    /// The first message that is not consumed; none where all are.
    fn unconsumed(&self) -> Option<i64> {
        (self.consumer() < self.max).then(|| self.consumer())
    }
}

impl<D: Disk> Source for LagTold<D> {
    fn write(&self, to: &mut Exposition<'_>) {
        let rows = self.rows();
        let sums: [Told<i64>; 3] = [
            (
                "rocketmq_consumer_lag_messages",
                "Messages that a group has not consumed.",
                QueueLag::lag,
            ),
            (
                "rocketmq_consumer_inflight_messages",
                "Messages that a group has pulled and not consumed.",
                QueueLag::inflight,
            ),
            (
                "rocketmq_consumer_ready_messages",
                "Messages that a group has not pulled.",
                QueueLag::ready,
            ),
        ];
        for (name, help, of) in sums {
            let mut family = to.gauge(name, help);
            for row in &rows {
                row.with_labels(|labels| family.value(labels, row.queues.iter().map(of).sum::<i64>() as f64));
            }
        }
        self.latencies(&rows, to);
        let mut family = to.gauge(
            "rocketmq_consumer_queue_lag_messages",
            "Messages of one queue that a group has not consumed.",
        );
        for row in &rows {
            for queue in &row.queues {
                let id = queue.queue_id.to_string();
                let labels = [
                    ("consumer_group", row.group.as_str()),
                    ("queue_id", id.as_str()),
                    ("topic", row.topic.as_str()),
                ];
                family.value(&labels, queue.lag() as f64);
            }
        }
    }
}

impl<D: Disk> LagTold<D> {
    fn latencies(&self, rows: &[Row], to: &mut Exposition<'_>) {
        let ages: [Told<Option<i64>>; 2] = [
            (
                "rocketmq_consumer_lag_latency_milliseconds",
                "Age of the first message that a group has not consumed.",
                QueueLag::unconsumed,
            ),
            (
                "rocketmq_consumer_queueing_latency_milliseconds",
                "Age of the first message that a group has not pulled.",
                QueueLag::unpulled,
            ),
        ];
        for (name, help, first) in ages {
            let mut family = to.gauge(name, help);
            for row in rows {
                let age = self.oldest(row, first);
                row.with_labels(|labels| family.value(labels, age as f64));
            }
        }
    }

    /// Age of the oldest of each queue's first message of a kind, ms; 0 where there is none.
    fn oldest(&self, row: &Row, first: fn(&QueueLag) -> Option<i64>) -> i64 {
        let times = row.queues.iter().filter_map(|queue| {
            let offset = store::QueueOffset(first(queue)?);
            self.store
                .store_time(&row.topic, queue.queue_id, offset)
                .ok()
                .flatten()
        });
        let now = self.clock.now_ms();
        times.min().map_or(0, |time| (now - time).max(0))
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for group in self.consumers.names() {
            let topics = self.consumers.glance(&group).map(|glance| glance.topics);
            for topic in topics.unwrap_or_default() {
                rows.extend(self.row(&group, topic));
            }
        }
        rows
    }

    fn row(&self, group: &str, topic: String) -> Option<Row> {
        let config = self.tables.topics.get(&topic)?;
        if is_retry_topic(&topic) || config.perm & (perm::READ | perm::WRITE) == 0 {
            return None;
        }
        let committed = self.tables.offsets.of_pair(group, &topic);
        let pulled = self.stats.items.pulled_of(group, &topic);
        let queues = (0..config.write_queue_nums).map(|queue_id| QueueLag {
            queue_id,
            max: self.store.queue_max_offset(&topic, queue_id).0,
            committed: committed.get(&queue_id).copied(),
            pulled: pulled.get(&queue_id).copied(),
        });
        Some(Row {
            group: group.to_owned(),
            is_system: is_system_group(group) || self.tables.topics.is_system(&topic),
            queues: queues.collect(),
            topic,
        })
    }
}

impl Row {
    fn with_labels(&self, with: impl FnOnce(&[(&str, &str)])) {
        with(&[
            ("consumer_group", &self.group),
            ("is_retry", "false"),
            ("is_system", flag(self.is_system)),
            ("topic", &self.topic),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_by_the_rules_of_5_x() {
        let check = |committed, pulled, lag, inflight, ready| {
            let queue = QueueLag {
                queue_id: 0,
                max: 100,
                committed,
                pulled,
            };
            assert_eq!(
                (queue.lag(), queue.inflight(), queue.ready()),
                (lag, inflight, ready),
                "{queue:?}"
            );
        };
        check(Some(40), Some(70), 60, 30, 30);
        check(None, None, 0, 0, 100);
        check(None, Some(7), 0, 7, 93);
        check(Some(40), None, 60, 0, 100);
        // Offsets that were reset, or that the log lost.
        check(Some(200), Some(150), 0, 0, 0);
    }

    #[test]
    fn what_is_first_for_a_group() {
        let queue = |committed, pulled| QueueLag {
            queue_id: 0,
            max: 10,
            committed,
            pulled,
        };
        assert_eq!(queue(Some(3), Some(5)).unconsumed(), Some(3));
        assert_eq!(queue(Some(3), Some(5)).unpulled(), Some(5));
        assert_eq!(queue(Some(10), Some(10)).unconsumed(), None);
        assert_eq!(queue(None, None).unconsumed(), None);
        assert_eq!(queue(None, None).unpulled(), None);
    }
}
