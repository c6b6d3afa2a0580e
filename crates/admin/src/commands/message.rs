//! Single messages: queryMsgById, queryMsgByKey, queryMsgByUniqueKey, queryMsgByOffset.

use super::{message_text, track};
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, Found, Net};
use crate::output::{Out, Table};
use crate::parse::bad_value;
use crate::table::{Command, ROUTE_OF, Run, flag, required, value};
use client::{Message, PullStatus, Received};
use message::id::OffsetMessageId;
use message::properties::names;
use protocol::body::MessageQueue;
use protocol::body::namesrv::TopicRouteData;
use protocol::code::{request, response};
use protocol::header::broker::{
    ConsumeMessageDirectlyRequestHeader, QueryMessageRequestHeader, ViewMessageRequestHeader,
};
use remoting::Body;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "queryMsgById",
        alias: None,
        about: "shows messages by the ids that brokers give, and who has consumed them",
        options: &[
            required('i', "msgId", "offset message ids, separated by commas"),
            value(
                'g',
                "consumerGroup",
                "with -d: hands the messages to a member of this group",
            ),
            value('d', "clientId", "the member"),
            value('s', "sendMessage", "true: sends the messages once more"),
            value('u', "unitName", "of no effect"),
            value('t', "topic", "of no effect, for 5.x's command line"),
            value('f', "bodyFormat", BODY_FORMAT),
            ROUTE_OF.of_no_effect(),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(by_id(job, out))),
    },
    Command {
        name: "queryMsgByKey",
        alias: None,
        about: "lists messages with a key",
        options: &[
            required('t', "topic", "the topic"),
            required('k', "msgKey", "the key"),
            value(
                'b',
                "beginTimestamp",
                "stored not before, ms since 1970 or 2026-11-29#17:08:20:123",
            ),
            value('e', "endTimestamp", "stored not after"),
            value('m', "maxNum", "of each broker so many at most [default: 64]"),
            ROUTE_OF,
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(by_key(job, out))),
    },
    Command {
        name: "queryMsgByUniqueKey",
        alias: None,
        about: "shows a message by the id that its producer gave, and who has consumed it",
        options: &[
            required('i', "msgId", "the id"),
            required('t', "topic", "the topic"),
            value(
                'g',
                "consumerGroup",
                "with -d: hands the message to a member of this group",
            ),
            value('d', "clientId", "the member"),
            flag(
                'a',
                "showAll",
                "all messages with the id, 32 of each broker at most",
            ),
            ROUTE_OF,
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(by_unique_key(job, out))),
    },
    Command {
        name: "queryMsgByOffset",
        alias: None,
        about: "shows the message at an offset of a queue, and who has consumed it",
        options: &[
            required('t', "topic", "the topic"),
            required('b', "brokerName", "the broker's name"),
            required('i', "queueId", "the queue"),
            required('o', "offset", "the offset"),
            value('f', "bodyFormat", BODY_FORMAT),
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(by_offset(job, out))),
    },
];

const BODY_FORMAT: &str = "prints the body as this character set reads it, 5.x: UTF-8, GBK, …";

/// The group of Java's tools when they read.
pub const READER: &str = "TOOLS_CONSUMER";

async fn by_id(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let ids = given.required("msgId").split(',').map(str::trim);
    let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return Err(bad_value("msgId", "", "an id at least"));
    }
    let to_member = (given.text("consumerGroup"), given.text("clientId"));
    let again = given.switch("sendMessage")?;
    let charset = message_text::charset(given, "bodyFormat")?;
    for id in ids {
        let message = view(&job.net, id).await?;
        match (to_member, again) {
            ((Some(group), Some(client)), _) => {
                hand_over(&job.net, out, group, client, &message).await?;
            }
            (_, Some(true)) => send_again(&job.net, out, id, &message).await?,
            (_, Some(false)) => {}
            _ => {
                message_text::labelled(out, &message, true, "")?;
                message_text::body_as(out, &message, charset);
                track::show(&job.net, out, &message).await?;
            }
        }
    }
    Ok(())
}

/// The message of an offset message id, from the broker that the id names.
///
/// # Errors
/// It is none, or that broker does not have the message.
pub async fn view(net: &Net, id: &str) -> Result<Received, Failure> {
    let place: OffsetMessageId = id.parse().map_err(|e| {
        Failure::wrong(format!(
            "`{id}` is no offset message id ({e}); the id of a producer is for queryMsgByUniqueKey"
        ))
    })?;
    let address = place.store_host.to_string();
    let header = ViewMessageRequestHeader {
        offset: place.physical_offset,
    };
    let code = request::VIEW_MESSAGE_BY_ID;
    let answer = net.ask(&address, code, &header, Body::Empty).await?;
    let found = decode(&address, &answer.body, "")?.into_iter().next();
    found.ok_or_else(|| Failure::wrong(format!("{address} has no message {id}")))
}

fn decode(peer: &str, body: &[u8], broker_name: &str) -> Result<Vec<Received>, Failure> {
    Received::decode_all(body, broker_name).map_err(|cause| {
        client::Error::BadAnswer {
            peer: peer.to_owned(),
            cause,
        }
        .into()
    })
}

/// A consumer's answer to a message that it was handed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Consumed {
    auto_commit: bool,
    consume_result: Option<String>,
    order: bool,
    remark: Option<String>,
    spent_time_mills: i64,
}

async fn hand_over(
    net: &Net,
    out: &mut Out,
    group: &str,
    client_id: &str,
    message: &Received,
) -> Result<(), Failure> {
    let header = ConsumeMessageDirectlyRequestHeader {
        consumer_group: group.into(),
        client_id: Some(client_id.into()),
        msg_id: Some(message.offset_msg_id().into()),
        broker_name: None,
        topic: None,
        topic_sys_flag: None,
        group_sys_flag: None,
    };
    let address = message.store_host.to_string();
    let code = request::CONSUME_MESSAGE_DIRECTLY;
    let told: Consumed = net.read(&address, code, &header).await?;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    out.either(
        &format!(
            "ConsumeMessageDirectlyResult [order={}, autoCommit={}, consumeResult={}, remark={}, spentTimeMills={}]",
            told.order,
            told.auto_commit,
            text(&told.consume_result),
            text(&told.remark),
            told.spent_time_mills
        ),
        json!(told),
    );
    Ok(())
}

/// Properties that a broker sets, and sets again.
const OF_BROKERS: [&str; 4] = [names::CLUSTER, names::MSG_REGION, names::TRACE_ON, names::WAIT];

/// A message as it was sent, to be sent once more.
pub fn once_more(message: &Received) -> Message {
    let mut again = Message::new(message.queue.topic.as_str(), message.body.to_vec());
    again.flag = message.flag;
    for (name, value) in &message.properties {
        if !OF_BROKERS.contains(&name.as_str()) {
            again = again.property(name, value);
        }
    }
    again
}

async fn send_again(net: &Net, out: &mut Out, id: &str, message: &Received) -> Result<(), Failure> {
    out.text(&format!("prepare resend msg. originalMsgId={id}"));
    let again = once_more(message);
    let producer = net.producer("ReSendMsgById").await?;
    let sent = producer.send(&again).await;
    producer.shutdown().await;
    let sent = sent?;
    out.either(&sent.to_string(), super::send::sent_json(&sent));
    Ok(())
}

/// What to look for.
pub struct Wanted<'a> {
    /// In this topic.
    pub topic: &'a str,
    /// A key, or the producer's id.
    pub key: &'a str,
    /// Of each broker at most.
    pub most: i32,
    /// Stored not before, ms since 1970.
    pub begin: i64,
    /// Stored not after.
    pub end: i64,
    /// Whether it is an id.
    pub unique: bool,
}

/// Messages from every broker of a route.
///
/// # Errors
/// None of them answers: why the first does not.
pub async fn find(
    net: &Net,
    route: &TopicRouteData,
    wanted: &Wanted<'_>,
) -> Result<Found<Received>, Failure> {
    let work = |net: Net, address: String| {
        let (topic, key) = (wanted.topic.to_owned(), wanted.key.to_owned());
        let (max_num, begin_timestamp, end_timestamp) = (wanted.most, wanted.begin, wanted.end);
        let unique_key_query = Some(wanted.unique);
        async move {
            let header = QueryMessageRequestHeader {
                topic: topic.into(),
                key: key.into(),
                max_num,
                begin_timestamp,
                end_timestamp,
                unique_key_query,
            };
            let code = request::QUERY_MESSAGE;
            match net.ask(&address, code, &header, Body::Empty).await {
                Ok(answer) => decode(&address, &answer.body, ""),
                Err(why) if why.code() == Some(response::QUERY_NOT_FOUND) => Ok(Vec::new()),
                Err(why) => Err(why),
            }
        }
    };
    let (told, away) = net::apart(net.each(net::addresses(route), work).await)?;
    let mut found: Vec<Received> = told.into_iter().flat_map(|(_, messages)| messages).collect();
    // A hash in an index is of several keys.
    found.retain(|message| match wanted.unique {
        true => message.msg_id() == wanted.key,
        false => {
            let keys = message.keys().unwrap_or_default();
            message.queue.topic == wanted.topic && keys.split(' ').any(|key| key == wanted.key)
        }
    });
    Ok((found, away))
}

/// What to look for by a key, with the options for it.
pub(super) fn keyed<'a>(job: &'a Job, topic: &'a str, key: &'a str) -> Result<Wanted<'a>, Failure> {
    let given = &job.given;
    Ok(Wanted {
        topic,
        key,
        most: given.number("maxNum")?.unwrap_or(64),
        begin: given.time("beginTimestamp")?.unwrap_or(0),
        end: given.time("endTimestamp")?.unwrap_or(i64::MAX),
        unique: false,
    })
}

/// The messages from every broker of the topic. Who does not answer is named.
pub(super) async fn find_keyed(
    job: &Job,
    out: &mut Out,
    wanted: &Wanted<'_>,
) -> Result<Vec<Received>, Failure> {
    let route = job.route(wanted.topic).await?;
    let (found, away) = find(&job.net, &route, wanted).await?;
    for why in away {
        out.away(&why);
    }
    Ok(found)
}

const KEYS: Table = Table {
    titles: "%-50s %4s %40s%n",
    row: "%-50s %4d %40d%n",
    columns: &[
        ("#Message ID", "msgId"),
        ("#QID", "queueId"),
        ("#Offset", "queueOffset"),
    ],
};

async fn by_key(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let wanted = keyed(job, given.required("topic"), given.required("msgKey"))?;
    let found = find_keyed(job, out, &wanted).await?;
    if found.is_empty() {
        return Err(none(&wanted));
    }
    out.titles(&KEYS);
    for message in &found {
        out.row(
            &KEYS,
            [
                message.msg_id().into(),
                message.queue.queue_id.into(),
                message.queue_offset.into(),
            ],
        );
    }
    Ok(())
}

fn none(wanted: &Wanted<'_>) -> Failure {
    let what = if wanted.unique { "id" } else { "key" };
    Failure::wrong(format!(
        "no message of {} has the {what} {}",
        wanted.topic, wanted.key
    ))
}

async fn by_unique_key(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let wanted = Wanted {
        topic: given.required("topic"),
        key: given.required("msgId"),
        most: 32,
        begin: 0,
        end: i64::MAX,
        unique: true,
    };
    let mut found = find_keyed(job, out, &wanted).await?;
    found.sort_by_key(|message| message.store_timestamp);
    if !given.has("showAll") {
        found.truncate(1);
    }
    let Some(first) = found.first() else {
        return Err(none(&wanted));
    };
    if let (Some(group), Some(client)) = (given.text("consumerGroup"), given.text("clientId")) {
        return hand_over(&job.net, out, group, client, first).await;
    }
    for (index, message) in found.iter().enumerate() {
        let suffix = match index {
            0 => String::new(),
            index => format!("_{index}"),
        };
        message_text::labelled(out, message, false, &suffix)?;
        track::show(&job.net, out, message).await?;
    }
    Ok(())
}

async fn by_offset(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let queue = MessageQueue {
        topic: given.required("topic").to_owned(),
        broker_name: given.required("brokerName").to_owned(),
        queue_id: given.number("queueId")?.unwrap_or_default(),
    };
    let offset: i64 = given.number("offset")?.unwrap_or_default();
    let charset = message_text::charset(given, "bodyFormat")?;
    let reader = job.net.reader(READER)?;
    let pulled = reader.pull(&queue, "*", offset, 1, false).await;
    reader.shutdown().await;
    let pulled = pulled?;
    let first = match pulled.status {
        PullStatus::Found => message_text::pulled(&pulled).next(),
        _ => None,
    };
    let Some(message) = first else {
        return Err(Failure::wrong(format!(
            "{} has no message at {offset}; its offsets go from {} to {}",
            message_text::queue_text(&queue),
            pulled.min_offset,
            pulled.max_offset
        )));
    };
    message_text::labelled(out, &message, true, "")?;
    message_text::body_as(out, &message, charset);
    track::show(&job.net, out, &message).await
}
