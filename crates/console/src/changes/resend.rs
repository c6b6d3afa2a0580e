//! Sending messages once more: to all who consume the topic, and of dead letters to the group that gave them up.

use super::Outcome;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::pages::dead_letters::origin;
use crate::read;
use crate::reply::Reply;
use admin::ask::{Net, now_ms, once_more};
use client::{Message, Producer, Received};
use message::name::{DLQ_PREFIX, dlq_topic, retry_topic};

/// Messages of one form.
const MOST: usize = 100;
/// What a broker counted of deliveries that were: it begins anew.
const OF_DELIVERIES: [&str; 6] = [
    "RECONSUME_TIME",
    "MAX_RECONSUME_TIMES",
    "DELAY",
    "REAL_TOPIC",
    "REAL_QID",
    "DLQ_ORIGIN_MESSAGE_ID",
];

/// A dead letter for its group alone: in its retry topic, with the topic that it is of as consumers look for it.
fn for_group(group: &str, message: &Received) -> Message {
    let mut again = once_more(message);
    again.topic = retry_topic(group);
    again
        .properties
        .retain(|(name, _)| !OF_DELIVERIES.contains(&name.as_str()));
    match origin(message).map(str::to_owned) {
        Some(origin) => again.property("RETRY_TOPIC", &origin),
        None => again,
    }
}

pub(crate) async fn message(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let (topic, id) = (asked.given("topic")?, asked.given("id")?);
    let what = format!("send message {id} of {topic} once more");
    let said = send_all(&app.cluster.net, topic, &[id]).await?;
    app.changed(asked, what, said).await
}

pub(crate) async fn dead_letters(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let group = asked.given("group")?;
    let ids: Vec<&str> = asked.form.all("pick").collect();
    if ids.is_empty() || ids.len() > MOST {
        return Err(Refusal::new(
            400,
            format!("pick 1 to {MOST} dead letters; {} are picked", ids.len()),
        ));
    }
    let what = format!("send {} dead letters to group {group} once more", ids.len());
    let said = send_all(&app.cluster.net, &dlq_topic(group), &ids).await?;
    app.changed(asked, what, said).await
}

async fn send_all(net: &Net, topic: &str, ids: &[&str]) -> Result<Outcome, Refusal> {
    let producer = net.producer(&format!("mqconsole_{}", now_ms())).await?;
    let mut said = Outcome::new();
    for id in ids {
        let why = send_one(net, &producer, topic, id).await.err();
        said.push(((*id).to_owned(), why.map(|refusal| refusal.why)));
    }
    producer.shutdown().await;
    Ok(said)
}

async fn send_one(net: &Net, producer: &Producer, topic: &str, id: &str) -> Result<(), Refusal> {
    let message = read::one(net, topic, id).await?;
    let again = match topic.strip_prefix(DLQ_PREFIX) {
        Some(group) => for_group(group, &message),
        None => once_more(&message),
    };
    let sent = producer.send(&again).await.map_err(admin::ask::Failure::from)?;
    match sent.status {
        client::SendStatus::Ok => Ok(()),
        other => Err(Refusal::new(502, format!("it is stored, but {}", other.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_dead_letter_goes_to_its_group_alone() {
        let pairs = [
            ("RETRY_TOPIC", "Orders"),
            ("KEYS", "k"),
            ("UNIQ_KEY", "ID"),
            ("CLUSTER", "C"),
            ("MAX_RECONSUME_TIMES", "1"),
            ("DELAY", "3"),
        ];
        let dead = Received {
            queue: client::MessageQueue {
                topic: "%DLQ%g".to_owned(),
                ..client::MessageQueue::default()
            },
            queue_offset: 0,
            physical_offset: 0,
            store_size: 0,
            sys_flag: 0,
            flag: 7,
            born_timestamp: 0,
            born_host: ([127, 0, 0, 1], 1).into(),
            store_timestamp: 0,
            store_host: ([127, 0, 0, 1], 1).into(),
            body_crc: 0,
            reconsume_times: 2,
            prepared_transaction_offset: 0,
            properties: pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: bytes::Bytes::from_static(b"body"),
        };
        let again = for_group("g", &dead);
        assert_eq!(
            (again.topic.as_str(), again.flag, again.body.as_slice()),
            ("%RETRY%g", 7, &b"body"[..])
        );
        let kept: HashMap<&str, &str> = again
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            kept,
            HashMap::from([("RETRY_TOPIC", "Orders"), ("KEYS", "k"), ("UNIQ_KEY", "ID")])
        );
    }
}
