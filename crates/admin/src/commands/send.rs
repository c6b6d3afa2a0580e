//! Messages that tools send: sendMessage, sendMsgStatus, checkMsgSendRT.

use super::trace::Sent;
use crate::failure::Failure;
use crate::job::Job;
use crate::net::MASTER;
use crate::output::{Cell, Out, Table, complain, fixed};
use crate::parse::{Given, bad_value};
use crate::table::{Command, Run, required, value};
use crate::time;
use client::{Message, Producer, SendResult};
use protocol::body::MessageQueue;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "sendMessage",
        alias: None,
        about: "sends a message",
        options: &[
            required('t', "topic", "the topic"),
            required('p', "body", "what it says"),
            value('k', "key", "its keys, separated by blanks"),
            value('c', "tags", "its tag"),
            value('b', "broker", "the name of the broker that gets it"),
            value('i', "qid", "with -b: the queue"),
            value('m', "msgTraceEnable", "true: leaves a trace"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(send(job, out))),
    },
    Command {
        name: "sendMsgStatus",
        alias: None,
        about: "sends messages to a broker and shows each result",
        options: &[
            required('b', "brokerName", "the broker's name, which is also a topic's"),
            value('s', "messageSize", "bytes a message [default: 128]"),
            value('c', "count", "how many [default: 50]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(send_status(job, out))),
    },
    Command {
        name: "checkMsgSendRT",
        alias: None,
        about: "measures how long sends to each queue of a topic take",
        options: &[
            required('t', "topic", "the topic"),
            value('a', "amount", "how many messages [default: 100]"),
            value('s', "size", "bytes a message [default: 128]"),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(check_round_trip(job, out))),
    },
];

/// A send's result for programs.
pub(super) fn sent_json(sent: &SendResult) -> Value {
    json!({
        "brokerName": sent.queue.broker_name,
        "queueId": sent.queue.queue_id,
        "sendStatus": sent.status.name(),
        "msgId": sent.msg_id,
        "offsetMsgId": sent.offset_msg_id,
        "queueOffset": sent.queue_offset,
    })
}

const SENT: Table = Table {
    titles: "%-32s  %-4s  %-20s    %s%n",
    row: "%-32s  %-4s  %-20s    %s%n",
    columns: &[
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Send Result", "sendStatus"),
        ("#MsgId", "msgId"),
    ],
};

/// The largest message that is made up: more than brokers take unless they are told to.
const LARGEST: usize = 64 << 20;

/// The size of a message that is made up.
pub(super) fn size(given: &Given, long: &str) -> Result<usize, Failure> {
    match given.number(long)?.unwrap_or(128) {
        size if size > LARGEST => Err(bad_value(
            long,
            &size.to_string(),
            format!("at most {LARGEST} bytes"),
        )),
        size => Ok(size),
    }
}

async fn send(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let topic = given.required("topic");
    let queue_id: Option<i32> = given.number("qid")?;
    let queue = match (given.text("broker"), queue_id) {
        (None, Some(_)) => return Err(Failure::wrong("-i/--qid needs -b/--broker")),
        (Some(broker), queue_id) => Some((broker, queue_id)),
        (None, None) => None,
    };
    let (tags, keys) = (given.text("tags"), given.text("key"));
    let mut message = Message::new(topic, given.required("body"));
    if let Some(tags) = tags {
        message = message.tags(tags);
    }
    if let Some(keys) = keys {
        message = message.keys(keys);
    }
    let group = time::now_ms().to_string();
    let trace = given.switch("msgTraceEnable")?.unwrap_or_default();
    let producer = job.net.producer(&group).await?;
    let queue = match queue {
        Some((broker, queue_id)) => Some(queue_of(&producer, topic, broker, queue_id).await?),
        None => None,
    };
    let start = Instant::now();
    let sent = match &queue {
        Some(queue) => producer.send_to(queue, &message).await,
        None => producer.send(&message).await,
    };
    if let (true, Ok(result)) = (trace, &sent) {
        let host = store_host(job, result).await?;
        let record = Sent {
            group: &group,
            message: &message,
            tags: tags.unwrap_or_default(),
            keys: keys.unwrap_or_default(),
            store_host: &host,
            body_len: given.required("body").len(),
            took_ms: start.elapsed().as_millis(),
            result,
        };
        producer.send(&record.message()).await?;
    }
    producer.shutdown().await;
    let sent = sent?;
    out.titles(&SENT);
    out.row(
        &SENT,
        [
            (&sent.queue.broker_name).into(),
            sent.queue.queue_id.into(),
            sent.status.name().into(),
            (&sent.msg_id).into(),
        ],
    );
    Ok(())
}

/// The queue that is meant. Unlike Java, where a broker without a queue is passed over: the first of that broker.
async fn queue_of(
    producer: &Producer,
    topic: &str,
    broker: &str,
    queue_id: Option<i32>,
) -> Result<MessageQueue, Failure> {
    if let Some(queue_id) = queue_id {
        return Ok(MessageQueue {
            topic: topic.to_owned(),
            broker_name: broker.to_owned(),
            queue_id,
        });
    }
    let queues = producer.queues(topic).await?.into_iter();
    let first = queues.filter(|queue| queue.broker_name == broker).min();
    first.ok_or_else(|| Failure::wrong(format!("{topic} has no queue on {broker} that may be written")))
}

/// The address of the broker that has a message.
async fn store_host(job: &Job, sent: &SendResult) -> Result<String, Failure> {
    let route = job.net.route(&sent.queue.topic).await?;
    let group = route
        .broker_datas
        .iter()
        .find(|group| group.broker_name == sent.queue.broker_name);
    let address = group.and_then(|group| group.broker_addrs.get(&MASTER));
    Ok(address.cloned().unwrap_or_default())
}

async fn send_status(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let broker = given.required("brokerName");
    let size = size(given, "messageSize")?;
    let count: u32 = given.number("count")?.unwrap_or(50);
    // Whole words, as Java's: the last may be longer than asked for.
    let body = |size: usize| "hello jodie".repeat(size.div_ceil(11));
    let producer = job.net.producer("PID_SMSC").await?;
    let done = async {
        producer.send(&Message::new(broker, body(16))).await?;
        for _ in 0..count {
            let start = Instant::now();
            let sent = producer.send(&Message::new(broker, body(size))).await?;
            let rt = start.elapsed().as_millis();
            let mut value = sent_json(&sent);
            value["rtMs"] = json!(rt as u64);
            out.either(&format!("rt={rt}ms, SendResult={sent}\n"), value);
        }
        Ok(())
    };
    let done = done.await;
    producer.shutdown().await;
    done
}

const ROUND_TRIPS: Table = Table {
    titles: SENT.titles,
    row: SENT.row,
    columns: &[
        ("#Broker Name", "brokerName"),
        ("#QID", "queueId"),
        ("#Send Result", "success"),
        ("#RT", "rtMs"),
    ],
};

async fn check_round_trip(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let amount: u32 = given.number("amount")?.unwrap_or(100);
    let size = size(given, "size")?;
    let message = Message::new(given.required("topic"), vec![b'a'; size]);
    let producer = job.net.producer(&time::now_ms().to_string()).await?;
    let done = round_trips(&producer, out, &message, amount).await;
    producer.shutdown().await;
    done
}

async fn round_trips(
    producer: &Producer,
    out: &mut Out,
    message: &Message,
    amount: u32,
) -> Result<(), Failure> {
    let mut queues = producer.queues(&message.topic).await?;
    queues.sort();
    if queues.is_empty() {
        return Err(Failure::wrong(format!(
            "{} has no queue that may be written",
            &message.topic
        )));
    }
    out.titles(&ROUND_TRIPS);
    let mut elapsed = Duration::ZERO;
    for (number, queue) in (0..amount).zip(queues.iter().cycle()) {
        let start = Instant::now();
        let sent = producer.send_to(queue, message).await;
        let took = start.elapsed();
        if let Err(why) = &sent {
            complain(&why.to_string());
            out.exit_code = 1;
        }
        // The first makes the connection.
        if number != 0 {
            elapsed += took;
        }
        let took = took.as_millis() as i64;
        out.row(
            &ROUND_TRIPS,
            [
                (&queue.broker_name).into(),
                queue.queue_id.into(),
                sent.is_ok().into(),
                Cell::shown(took.to_string(), took),
            ],
        );
    }
    let mean = elapsed.as_secs_f64() * 1000.0 / f64::from(amount.saturating_sub(1).max(1));
    out.either(
        &format!("Avg RT: {}\n", fixed(mean, 2)),
        json!({"meanRtMs": mean}),
    );
    Ok(())
}
