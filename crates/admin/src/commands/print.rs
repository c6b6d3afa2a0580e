//! Whole queues: printMsg, printMsgByQueue, consumeMessage.

use super::broker::order_of;
use super::message::READER;
use super::message_text::{as_json, charset, decoded, one_line, pulled, queue_text, status_name};
use crate::failure::Failure;
use crate::job::Job;
use crate::output::Out;
use crate::parse::bad_value;
use crate::table::{Command, Run, required, value};
use crate::time;
use client::{PullConsumer, PullResult, PullStatus};
use encoding_rs::{Encoding, UTF_8};
use protocol::body::MessageQueue;
use serde_json::json;
use std::collections::BTreeMap;

const BEGIN: &str = "stored not before, ms since 1970 or 2026-11-29#17:08:20:123";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "printMsg",
        alias: None,
        about: "prints the messages of a topic",
        options: &[
            required('t', "topic", "the topic"),
            value(
                'c',
                "charsetName",
                "how bodies are read: UTF-8, GBK, … [default: UTF-8]",
            ),
            value('s', "subExpression", "tags: TagA || TagB [default: all]"),
            value('b', "beginTimestamp", BEGIN),
            value('e', "endTimestamp", "stored before"),
            value('d', "printBody", "whether bodies are printed [default: true]"),
            value(
                'l',
                "lmqParentTopic",
                "of a light message queue: the topic that it belongs to, 5.x",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(print_topic(job, out))),
    },
    Command {
        name: "printMsgByQueue",
        alias: None,
        about: "prints the messages of a queue, or counts them by tag",
        options: &[
            required('t', "topic", "the topic"),
            required('a', "brokerName", "the broker's name"),
            required('i', "queueId", "the queue"),
            value(
                'c',
                "charsetName",
                "how bodies are read: UTF-8, GBK, … [default: UTF-8]",
            ),
            value('s', "subExpression", "tags: TagA || TagB [default: all]"),
            value('b', "beginTimestamp", BEGIN),
            value('e', "endTimestamp", "stored before"),
            value('p', "printMsg", "whether messages are printed [default: false]"),
            value('d', "printBody", "whether bodies are printed [default: false]"),
            value(
                'f',
                "calculate",
                "whether messages are counted by tag [default: false]",
            ),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(print_queue(job, out))),
    },
    Command {
        name: "consumeMessage",
        alias: None,
        about: "prints some messages of a topic or a queue; no offset is committed",
        options: &[
            required('t', "topic", "the topic"),
            value('b', "brokerName", "the broker's name"),
            value('i', "queueId", "with -b: the queue"),
            value('o', "offset", "with -i: the first offset"),
            value(
                'g',
                "consumerGroup",
                "the group that asks [default: TOOLS_CONSUMER]",
            ),
            value('s', "beginTimestamp", BEGIN),
            value('e', "endTimestamp", "stored before"),
            value('c', "MessageNumber", "how many [default: 128]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(consume(job, out))),
    },
];

/// How messages are printed.
struct Style {
    charset: &'static Encoding,
    with_body: bool,
}

impl Style {
    fn of(job: &Job, body_by_default: bool) -> Result<Style, Failure> {
        Ok(Style {
            charset: charset(&job.given, "charsetName")?.unwrap_or(UTF_8),
            with_body: job.given.switch("printBody")?.unwrap_or(body_by_default),
        })
    }

    /// Prints what a pull found, or that it found nothing. False: nothing follows in this queue.
    fn show(&self, out: &mut Out, queue: &MessageQueue, result: &PullResult) -> bool {
        let (name, offset) = (queue_text(queue), result.next_offset);
        let status = status_name(result.status);
        match result.status {
            PullStatus::Found => self.print(out, result),
            PullStatus::NoMatched => {
                out.line(&format!(
                    "{name} no matched msg. status={status}, offset={offset}"
                ));
            }
            PullStatus::NoNew | PullStatus::OffsetIllegal => {
                out.line(&format!(
                    "{name} print msg finished. status={status}, offset={offset}"
                ));
                return false;
            }
        }
        true
    }

    fn print(&self, out: &mut Out, result: &PullResult) {
        for message in pulled(result) {
            let body = match self.with_body {
                true => decoded(&message, self.charset),
                false => "NOT PRINT BODY".into(),
            };
            out.text(&format!("{}\n", one_line(&message, &body)));
            out.json(&as_json(&message));
        }
    }
}

/// The offsets of a queue between two options of time, where they are given.
async fn range(job: &Job, reader: &PullConsumer, queue: &MessageQueue) -> Result<(i64, i64), Failure> {
    let mut ends = [reader.min_offset(queue).await?, reader.max_offset(queue).await?];
    for (end, long) in ends.iter_mut().zip(["beginTimestamp", "endTimestamp"]) {
        if let Some(text) = job.given.text(long) {
            *end = reader.offset_at(queue, time::parse(long, text)?).await?;
        }
    }
    Ok((ends[0], ends[1]))
}

/// The topic's queues in Java's order.
async fn queues_of(job: &Job, reader: &PullConsumer) -> Result<Vec<MessageQueue>, Failure> {
    let topic = job.given.required("topic");
    let mut queues = match job.given.text("lmqParentTopic") {
        Some(parent) => reader.queues_by(topic, parent).await?,
        None => reader.queues(topic).await?,
    };
    queues.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
    Ok(queues)
}

async fn print_topic(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let style = Style::of(job, true)?;
    let expression = job.given.text("subExpression").unwrap_or("*");
    let reader = job.net.reader(READER)?;
    let done = async {
        for queue in queues_of(job, &reader).await? {
            let (min, max) = range(job, &reader, &queue).await?;
            let name = queue_text(&queue);
            out.line(&format!("minOffset={min}, maxOffset={max}, {name}"));
            let mut offset = min;
            while offset < max && !out.is_closed() {
                let result = reader.pull(&queue, expression, offset, 32, false).await?;
                offset = result.next_offset;
                if !style.show(out, &queue, &result) {
                    break;
                }
            }
            out.line(&"-".repeat(56));
        }
        Ok(())
    };
    let done = done.await;
    reader.shutdown().await;
    done
}

async fn print_queue(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let style = Style::of(job, false)?;
    let expression = given.text("subExpression").unwrap_or("*");
    let show = given.switch("printMsg")?.unwrap_or_default();
    let count = given.switch("calculate")?.unwrap_or_default();
    let queue = MessageQueue {
        topic: given.required("topic").to_owned(),
        broker_name: given.required("brokerName").to_owned(),
        queue_id: given.number("queueId")?.unwrap_or_default(),
    };
    let reader = job.net.reader(READER)?;
    let mut tags: BTreeMap<String, i64> = BTreeMap::new();
    let done = async {
        let (min, max) = range(job, &reader, &queue).await?;
        let mut offset = min;
        while offset < max && !out.is_closed() {
            let result = reader.pull(&queue, expression, offset, 32, false).await?;
            offset = result.next_offset;
            // Unlike Java, which ends at the first 32 messages of which none is wanted.
            match result.status {
                PullStatus::Found | PullStatus::NoMatched => {}
                PullStatus::NoNew | PullStatus::OffsetIllegal => break,
            }
            for tag in result.messages.iter().filter_map(|message| message.tags()) {
                *tags.entry(tag.to_owned()).or_default() += 1;
            }
            if show {
                style.print(out, &result);
            }
        }
        Ok(())
    };
    let done: Result<(), Failure> = done.await;
    reader.shutdown().await;
    done?;
    if count {
        let mut tags: Vec<_> = tags
            .into_iter()
            .filter(|(tag, _)| !tag.trim().is_empty())
            .collect();
        tags.sort_by_key(|(_, count)| -count);
        for (tag, count) in tags {
            out.either(
                &format!("Tag: {tag:<30} Count: {count}\n"),
                json!({"tag": tag, "count": count}),
            );
        }
    }
    Ok(())
}

async fn consume(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let most: i64 = given.number("MessageNumber")?.unwrap_or(128);
    if most <= 0 {
        return Err(bad_value("MessageNumber", &most.to_string(), "more than 0"));
    }
    let queue_id: Option<i32> = given.number("queueId")?;
    let offset: Option<i64> = given.number("offset")?;
    if queue_id.is_some() && !given.has("brokerName") {
        return Err(Failure::wrong("-i/--queueId needs -b/--brokerName"));
    }
    if offset.is_some() && queue_id.is_none() {
        return Err(Failure::wrong("-o/--offset needs -i/--queueId"));
    }
    check_times(job)?;
    let reader = job.net.reader(given.text("consumerGroup").unwrap_or(READER))?;
    let done = match queue_id {
        None => consume_topic(job, out, &reader, most).await,
        Some(queue_id) => {
            let queue = MessageQueue {
                topic: given.required("topic").to_owned(),
                broker_name: given.required("brokerName").to_owned(),
                queue_id,
            };
            consume_queue(job, out, &reader, &queue, offset.unwrap_or(0), most).await
        }
    };
    reader.shutdown().await;
    done
}

fn check_times(job: &Job) -> Result<(), Failure> {
    let now = time::now_ms();
    let mut times = [0, i64::MAX];
    for (known, long) in times.iter_mut().zip(["beginTimestamp", "endTimestamp"]) {
        if let Some(text) = job.given.text(long) {
            *known = time::parse(long, text)?;
            if *known > now {
                return Err(bad_value(long, text, "before now"));
            }
        }
    }
    match times[0] <= times[1] {
        true => Ok(()),
        false => Err(Failure::wrong("--beginTimestamp is later than --endTimestamp")),
    }
}

async fn consume_topic(job: &Job, out: &mut Out, reader: &PullConsumer, most: i64) -> Result<(), Failure> {
    let mut left = most;
    for queue in queues_of(job, reader).await? {
        if left <= 0 {
            return Ok(());
        }
        let (min, mut max) = range(job, reader, &queue).await?;
        if max - min > left {
            out.line(&format!(
                "The older {left} message of the {} queue will be provided",
                queue.queue_id
            ));
            max = min + left - 1;
            left = 0;
        } else {
            left -= max - min + 1;
        }
        print_range(out, reader, &queue, min, max).await?;
    }
    Ok(())
}

async fn consume_queue(
    job: &Job,
    out: &mut Out,
    reader: &PullConsumer,
    queue: &MessageQueue,
    offset: i64,
    most: i64,
) -> Result<(), Failure> {
    let (min, mut max) = range(job, reader, queue).await?;
    if offset > max {
        return Err(Failure::wrong(format!(
            "{} no matched msg, offset={offset}",
            queue_text(queue)
        )));
    }
    let min = min.max(offset);
    if max - min > most {
        // Java's spelling.
        out.line(&format!("The oldler {most} message will be provided"));
        max = min + most - 1;
    }
    print_range(out, reader, queue, min, max).await
}

/// Prints messages up to and with `max`, which may be the queue's end.
async fn print_range(
    out: &mut Out,
    reader: &PullConsumer,
    queue: &MessageQueue,
    min: i64,
    max: i64,
) -> Result<(), Failure> {
    let style = Style {
        charset: UTF_8,
        with_body: true,
    };
    let mut offset = min;
    while offset <= max && !out.is_closed() {
        let count = i32::try_from(max - offset + 1).unwrap_or(i32::MAX);
        let result = reader.pull(queue, "*", offset, count, false).await?;
        offset = result.next_offset;
        if result.status == PullStatus::Found {
            out.line("Consume ok");
        }
        if !style.show(out, queue, &result) {
            break;
        }
    }
    Ok(())
}
