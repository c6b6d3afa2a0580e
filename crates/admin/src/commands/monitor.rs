//! Consumer groups, looked at again and again: startMonitoring.
//!
//! What it tells is what Java's writes into its log.

use super::connection::members;
use super::consumer::{consume_stats, retry_groups, running_info};
use super::follow::Follow;
use super::running_info::{Judgement, judge};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::Net;
use crate::output::Out;
use crate::table::{Command, Run, value};
use crate::time;
use client::{PullConsumer, Received};
use protocol::body::MessageQueue;
use protocol::body::broker::OffsetWrapper;
use protocol::body::operator::ConsumeStats;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "startMonitoring",
    alias: None,
    about: "tells of consumer groups that are behind, of stuck queues and of deleted messages, until it is stopped",
    options: &[value('i', "interval", "seconds between two rounds [default: 60]")],
    asks: None,
    run: Run::Online(|job, out| Box::pin(monitor(job, out))),
}];

/// The group that reads the events, and their topic.
const MONITOR: &str = "__MONITOR_CONSUMER";
const DELETED_TOPIC: &str = "OFFSET_MOVED_EVENT";

async fn monitor(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let seconds: u64 = job.given.number("interval")?.unwrap_or(60);
    let reader = Arc::new(job.net.reader(super::message::READER)?);
    let mut rounds = tokio::time::interval(Duration::from_secs(seconds.max(1)));
    let mut deleted = None;
    while !out.is_closed() {
        if deleted.is_none() {
            deleted = Follow::start(&job.net, MONITOR, DELETED_TOPIC, "*", 0).await.ok();
        }
        tokio::select! {
            _ = rounds.tick() => round(job, out, &reader).await?,
            arrived = next(&mut deleted) => match arrived {
                Ok(messages) => messages.iter().for_each(|message| tell_deleted(out, message)),
                Err(why) => out.away(&why),
            },
        }
    }
    Ok(())
}

async fn next(deleted: &mut Option<Follow>) -> Result<Vec<Received>, Failure> {
    match deleted {
        Some(deleted) => deleted.next().await,
        None => std::future::pending().await,
    }
}

const EDGE: &str = "[MONITOR] =========================================";

async fn round(job: &Job, out: &mut Out, reader: &Arc<PullConsumer>) -> Result<(), Failure> {
    out.line(&format!("{EDGE}beginRound"));
    let groups = retry_groups(&job.net).await?;
    let work = |net: Net, group: String| {
        let reader = Arc::clone(reader);
        async move { Ok(look(&net, &reader, &group).await) }
    };
    for (group, seen) in job.net.each(groups, work).await {
        // As Java's: of a group without members nothing is told.
        if let Ok(Some(seen)) = seen {
            tell(out, &group, &seen);
        }
    }
    out.line(&format!("{EDGE}endRound"));
    Ok(())
}

/// What is seen of a group.
struct Seen {
    undone: Vec<(String, Undone)>,
    judgement: Judgement,
}

/// What a group has not consumed of a topic.
#[derive(Debug, Default, PartialEq)]
struct Undone {
    total: i64,
    single_queue: i64,
    delay_ms: i64,
}

async fn look(net: &Net, reader: &PullConsumer, group: &str) -> Option<Seen> {
    let connected = members(net, group, None).await.ok()?;
    let mut undone = Vec::new();
    if let Ok(stats) = consume_stats(net, group, None).await {
        for (topic, queues) in by_topic(stats) {
            let mut sum = Undone::of(&queues);
            for (queue, offsets) in &queues {
                sum.delay_ms = sum.delay_ms.max(delay(reader, queue, offsets).await);
            }
            undone.push((topic, sum));
        }
    }
    let mut infos = BTreeMap::new();
    for client in connected.connection_set {
        if let Ok(info) = running_info(net, group, &client.client_id, false).await {
            infos.insert(client.client_id, info);
        }
    }
    Some(Seen {
        undone,
        judgement: judge(&infos, time::now_ms()),
    })
}

type Queues = Vec<(MessageQueue, OffsetWrapper)>;

fn by_topic(stats: ConsumeStats) -> BTreeMap<String, Queues> {
    let mut topics: BTreeMap<String, Queues> = BTreeMap::new();
    for (queue, offsets) in stats.offset_table {
        topics
            .entry(queue.topic.clone())
            .or_default()
            .push((queue, offsets));
    }
    topics
}

impl Undone {
    fn of(queues: &Queues) -> Undone {
        let diffs = queues
            .iter()
            .map(|(_, offsets)| (offsets.broker_offset - offsets.consumer_offset).max(0));
        Undone {
            total: diffs.clone().sum(),
            single_queue: diffs.max().unwrap_or(0),
            delay_ms: 0,
        }
    }
}

/// How much younger the last message of a queue is than the last that was consumed, ms.
async fn delay(reader: &PullConsumer, queue: &MessageQueue, offsets: &OffsetWrapper) -> i64 {
    if offsets.last_timestamp <= 0 || offsets.broker_offset <= 0 {
        return 0;
    }
    let last = reader.pull(queue, "*", offsets.broker_offset - 1, 1, false).await;
    let last = last.ok().and_then(|result| result.messages.into_iter().next());
    last.map_or(0, |last| last.store_timestamp - offsets.last_timestamp)
}

fn tell(out: &mut Out, group: &str, seen: &Seen) {
    for (topic, undone) in &seen.undone {
        let Undone {
            total,
            single_queue,
            delay_ms,
        } = undone;
        out.either(
            &format!(
                "[MONITOR] reportUndoneMsgs: UndoneMsgs [consumerGroup={group}, topic={topic}, undoneMsgsTotal={total}, \
                 undoneMsgsSingleMQ={single_queue}, undoneMsgsDelayTimeMills={delay_ms}]\n"
            ),
            json!({"event": "undoneMsgs", "group": group, "topic": topic, "total": total,
                   "singleQueue": single_queue, "delayMs": delay_ms}),
        );
    }
    if !seen.judgement.same_subscription {
        out.either(
            &format!(
                "[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: {group}, Subscription different\n"
            ),
            json!({"event": "subscriptionDiffers", "group": group}),
        );
    }
    for warning in &seen.judgement.warnings {
        out.either(
            &format!("[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: {group}, {warning}\n"),
            json!({"event": "queueIsStuck", "group": group, "warning": warning}),
        );
    }
}

/// What a broker says when a group wanted messages that are deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OffsetMoved {
    consumer_group: String,
    message_queue: MessageQueue,
    offset_request: i64,
    offset_new: i64,
}

fn tell_deleted(out: &mut Out, message: &Received) {
    // As Java's: what makes no sense is passed over.
    let Ok(moved) = protocol::body::read::<OffsetMoved>(&message.body) else {
        return;
    };
    let (group, queue) = (&moved.consumer_group, &moved.message_queue);
    let (asked, new, at) = (moved.offset_request, moved.offset_new, message.store_timestamp);
    let shown = super::message_text::queue_text(queue);
    out.either(
        &format!(
            "[MONITOR] reportDeleteMsgsEvent: DeleteMsgsEvent [offsetMovedEvent=OffsetMovedEvent [consumerGroup={group}, \
             messageQueue={shown}, offsetRequest={asked}, offsetNew={new}], eventTimestamp={at}]\n"
        ),
        json!({"event": "deletedMsgs", "group": group, "queue": queue, "offsetRequest": asked, "offsetNew": new,
               "timestamp": at}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undone() {
        let queue = |id, broker_offset, consumer_offset| {
            let queue = MessageQueue {
                queue_id: id,
                topic: "T".to_owned(),
                ..MessageQueue::default()
            };
            let offsets = OffsetWrapper {
                broker_offset,
                consumer_offset,
                ..OffsetWrapper::default()
            };
            (queue, offsets)
        };
        let stats = ConsumeStats {
            offset_table: [queue(0, 10, 3), queue(1, 10, 8), queue(2, 1, 5)].into(),
            ..ConsumeStats::default()
        };
        let topics = by_topic(stats);
        let undone = Undone::of(&topics["T"]);
        assert_eq!((undone.total, undone.single_queue), (9, 7));
    }

    #[test]
    fn lines_as_java_logs_them() {
        let mut out = Out::kept(false);
        let seen = Seen {
            undone: vec![(
                "T".to_owned(),
                Undone {
                    total: 9,
                    single_queue: 7,
                    delay_ms: 3,
                },
            )],
            judgement: Judgement {
                same_subscription: false,
                warnings: Vec::new(),
            },
        };
        tell(&mut out, "g", &seen);
        let mut message = super::super::message_text::sample();
        message.body = bytes::Bytes::from_static(
            br#"{"consumerGroup":"g","messageQueue":{"brokerName":"b","queueId":1,"topic":"T"},"offsetNew":5,"offsetRequest":2}"#,
        );
        tell_deleted(&mut out, &message);
        assert_eq!(
            out.into_text(),
            "[MONITOR] reportUndoneMsgs: UndoneMsgs [consumerGroup=g, topic=T, undoneMsgsTotal=9, undoneMsgsSingleMQ=7, \
             undoneMsgsDelayTimeMills=3]\n\
             [MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: g, Subscription different\n\
             [MONITOR] reportDeleteMsgsEvent: DeleteMsgsEvent [offsetMovedEvent=OffsetMovedEvent [consumerGroup=g, \
             messageQueue=MessageQueue [topic=T, brokerName=b, queueId=1], offsetRequest=2, offsetNew=5], eventTimestamp=2]\n"
        );
    }
}
