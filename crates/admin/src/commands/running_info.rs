//! What a consumer tells of itself, how it is shown, and what it says about its group.

use crate::output::{fixed, printf};
use crate::time;
use protocol::body::broker::SubscriptionData;
use protocol::body::{MessageQueue, object_keys};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Answer to GET_CONSUMER_RUNNING_INFO (307).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunningInfo {
    /// What its threads do, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jstack: Option<String>,
    /// The queues that it has.
    #[serde(with = "object_keys")]
    pub mq_table: BTreeMap<MessageQueue, ProcessQueue>,
    /// Its settings.
    pub properties: BTreeMap<String, Value>,
    /// How fast it is in each topic.
    pub status_table: BTreeMap<String, Rates>,
    /// What it wants.
    pub subscription_set: Vec<SubscriptionData>,
}

/// A queue at a consumer. `droped` is Java's spelling.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessQueue {
    /// Messages that it holds.
    pub cached_msg_count: i64,
    /// The last of them.
    pub cached_msg_max_offset: i64,
    /// The first of them.
    pub cached_msg_min_offset: i64,
    /// What they take, MiB.
    pub cached_msg_size_in_mi_b: i64,
    /// Where it is.
    pub commit_offset: i64,
    /// Whether it has given the queue up.
    pub droped: bool,
    /// When it last consumed something, ms since 1970.
    pub last_consume_timestamp: i64,
    /// When it last locked the queue.
    pub last_lock_timestamp: i64,
    /// When it last asked for messages.
    pub last_pull_timestamp: i64,
    /// Whether it has the lock of an ordered queue.
    pub locked: bool,
    /// Messages that it consumes in order, and is not done with.
    pub transaction_msg_count: i64,
    /// The last of them.
    pub transaction_msg_max_offset: i64,
    /// The first of them.
    pub transaction_msg_min_offset: i64,
    /// How often it tried to give the lock back.
    pub try_unlock_times: i64,
}

/// How fast a consumer is in a topic.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Messages of the last hour that it failed to consume.
    #[serde(rename = "consumeFailedMsgs")]
    pub consume_failed_msgs: i64,
    /// Messages a second that it fails to consume.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages a second that it consumes.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// How long consuming takes, ms.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// How long a pull takes, ms.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages a second that it pulls.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

impl ProcessQueue {
    fn text(&self) -> String {
        format!(
            "ProcessQueueInfo [commitOffset={}, cachedMsgMinOffset={}, cachedMsgMaxOffset={}, cachedMsgCount={}, \
             cachedMsgSizeInMiB={}, transactionMsgMinOffset={}, transactionMsgMaxOffset={}, transactionMsgCount={}, \
             locked={}, tryUnlockTimes={}, lastLockTimestamp={}, droped={}, lastPullTimestamp={}, \
             lastConsumeTimestamp={}]",
            self.commit_offset,
            self.cached_msg_min_offset,
            self.cached_msg_max_offset,
            self.cached_msg_count,
            self.cached_msg_size_in_mi_b,
            self.transaction_msg_min_offset,
            self.transaction_msg_max_offset,
            self.transaction_msg_count,
            self.locked,
            self.try_unlock_times,
            time::compact(self.last_lock_timestamp),
            self.droped,
            time::compact(self.last_pull_timestamp),
            time::compact(self.last_consume_timestamp)
        )
    }
}

impl RunningInfo {
    fn property(&self, name: &str) -> String {
        match self.properties.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn is_push(&self) -> bool {
        self.property("PROP_CONSUME_TYPE") == "CONSUME_PASSIVELY"
    }

    /// As Java's tool writes it.
    pub(super) fn text(&self) -> String {
        let mut text = "#Consumer Properties#\n".to_owned();
        for name in self.properties.keys() {
            text += &printf("%-40s: %s%n", &[name, &self.property(name)]);
        }
        text += "\n\n#Consumer Subscription#\n";
        for (index, subscription) in self.subscription_set.iter().enumerate() {
            text += &printf(
                "%03d Topic: %-40s ClassFilter: %-8s SubExpression: %s%n",
                &[
                    &(index + 1).to_string(),
                    &subscription.topic,
                    &subscription.class_filter_mode.to_string(),
                    &subscription.sub_string,
                ],
            );
        }
        let mut queues: Vec<_> = self.mq_table.iter().collect();
        queues.sort_by_key(|(queue, _)| super::broker::order_of(queue));
        let mut section = |title: &str, last: &str, row: &str, value: fn(&ProcessQueue) -> String| {
            let _ = write!(text, "\n\n#{title}#\n");
            let titles = "%-64s  %-32s  %-4s  %-20s%n";
            text += &printf(titles, &["#Topic", "#Broker Name", "#QID", last]);
            for (queue, process) in &queues {
                let id = queue.queue_id.to_string();
                text += &printf(row, &[&queue.topic, &queue.broker_name, &id, &value(process)]);
            }
        };
        section(
            "Consumer Offset",
            "#Consumer Offset",
            "%-32s  %-32s  %-4d  %-20d%n",
            |process| process.commit_offset.to_string(),
        );
        section(
            "Consumer MQ Detail",
            "#ProcessQueueInfo",
            "%-64s  %-32s  %-4d  %s%n",
            ProcessQueue::text,
        );
        text += &self.rates();
        if let Some(jstack) = &self.jstack {
            text += "\n\n#Consumer jstack#\n";
            text += jstack;
        }
        text
    }

    fn rates(&self) -> String {
        let mut text = "\n\n#Consumer RT&TPS#\n".to_owned();
        text += &printf(
            "%-64s  %14s %14s %14s %14s %18s %25s%n",
            &[
                "#Topic",
                "#Pull RT",
                "#Pull TPS",
                "#Consume RT",
                "#ConsumeOK TPS",
                "#ConsumeFailed TPS",
                "#ConsumeFailedMsgsInHour",
            ],
        );
        for (topic, rates) in &self.status_table {
            let numbers = [
                rates.pull_rt,
                rates.pull_tps,
                rates.consume_rt,
                rates.consume_ok_tps,
                rates.consume_failed_tps,
            ]
            .map(|number| fixed(number, 2));
            let failed = rates.consume_failed_msgs.to_string();
            let mut cells = vec![topic.as_str()];
            cells.extend(numbers.iter().map(String::as_str));
            cells.push(&failed);
            text += &printf("%-32s  %14s %14s %14s %14s %18s %25s%n", &cells);
        }
        text
    }
}

/// What the members of a group say about it together.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Judgement {
    pub(super) same_subscription: bool,
    pub(super) warnings: Vec<String>,
}

impl Judgement {
    pub(super) fn text(&self) -> String {
        if !self.same_subscription {
            return "\n\nWARN: Different subscription in the same group of consumer!!!".to_owned();
        }
        let warnings: String = self
            .warnings
            .iter()
            .map(|warning| format!("{warning}\n"))
            .collect();
        format!("\n\nSame subscription in the same group of consumer\n\nRebalance OK\n{warnings}")
    }
}

/// A push consumer that is younger is still to hear of changes.
const YOUNG_MS: i64 = 120_000;
/// A queue with messages of which none was taken for so long is stuck.
const STUCK_MS: i64 = 60_000;

/// What members, by their ids, say about their group at `now`.
pub(super) fn judge(members: &BTreeMap<String, RunningInfo>, now: i64) -> Judgement {
    let mut judgement = Judgement {
        same_subscription: is_same(members, now),
        warnings: Vec::new(),
    };
    if judgement.same_subscription {
        for (id, info) in members.iter().filter(|(_, info)| info.is_push()) {
            let orderly = info.property("PROP_CONSUMEORDERLY").eq_ignore_ascii_case("true");
            for (queue, process) in &info.mq_table {
                let what = match orderly {
                    true => unlocked(process, now),
                    false => stuck(process, now),
                };
                let (topic, broker, number) = (&queue.topic, &queue.broker_name, queue.queue_id);
                judgement.warnings.extend(what.map(|what| {
                    format!("{id} MessageQueue [topic={topic}, brokerName={broker}, queueId={number}] {what}")
                }));
            }
        }
    }
    judgement
}

fn unlocked(process: &ProcessQueue, now: i64) -> Option<String> {
    if !process.locked {
        let since = now - process.last_lock_timestamp;
        return Some(format!("can't lock for a while, {since}ms"));
    }
    let times = process.try_unlock_times;
    (process.droped && times > 0).then(|| format!("unlock {times} times, still failed"))
}

fn stuck(process: &ProcessQueue, now: i64) -> Option<String> {
    let since = now - process.last_consume_timestamp;
    (since > STUCK_MS && process.cached_msg_count > 0)
        .then(|| format!("can't consume for a while, maybe blocked, {since}ms"))
}

fn is_same(members: &BTreeMap<String, RunningInfo>, now: i64) -> bool {
    let Some(first) = members.values().next() else {
        return true;
    };
    let started: i64 = first
        .property("PROP_CONSUMER_START_TIMESTAMP")
        .parse()
        .unwrap_or(now);
    if !first.is_push() || now - started <= YOUNG_MS {
        return true;
    }
    // As Java compares: everything but the version, which is a time.
    let wants = |info: &RunningInfo| {
        let mut wants: Vec<_> = info
            .subscription_set
            .iter()
            .map(|wanted| {
                let (mut tags, mut codes) = (wanted.tags_set.clone(), wanted.code_set.clone());
                tags.sort();
                codes.sort_unstable();
                (wanted.topic.clone(), wanted.sub_string.clone(), tags, codes)
            })
            .collect();
        wants.sort();
        wants
    };
    let wanted = wants(first);
    !wanted.is_empty() && members.values().all(|info| wants(info) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(topic: &str, started: i64, queue: &str) -> RunningInfo {
        let text = format!(
            r#"{{"mqTable":{{{{"brokerName":"b","queueId":0,"topic":"T"}}:{queue}}},"properties":{{"PROP_CONSUME_TYPE":"CONSUME_PASSIVELY","PROP_CONSUMER_START_TIMESTAMP":"{started}"}},"subscriptionSet":[{{"topic":"{topic}","subString":"*","subVersion":{started}}}]}}"#
        );
        protocol::body::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn members_that_want_different_things() {
        let quiet = r#"{"cachedMsgCount":0}"#;
        let of = |a: RunningInfo, b: RunningInfo| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let different = || of(info("T", 1, quiet), info("U", 2, quiet));
        assert!(!judge(&different(), 200_000).same_subscription);
        assert!(judge(&different(), 100_000).same_subscription, "they are young");
        let same = of(info("T", 1, quiet), info("T", 2, quiet));
        let judgement = judge(&same, 200_000);
        assert_eq!(
            judgement.text(),
            "\n\nSame subscription in the same group of consumer\n\nRebalance OK\n"
        );
    }

    #[test]
    fn a_queue_that_is_stuck_is_named() {
        let stuck = r#"{"cachedMsgCount":3,"lastConsumeTimestamp":10}"#;
        let members = BTreeMap::from([("a".to_owned(), info("T", 1, stuck))]);
        let warnings = judge(&members, 200_000).warnings;
        assert_eq!(
            warnings,
            [
                "a MessageQueue [topic=T, brokerName=b, queueId=0] can't consume for a while, maybe blocked, 199990ms"
            ]
        );
        assert!(judge(&members, 60_000).warnings.is_empty());
    }
}
