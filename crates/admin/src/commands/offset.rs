//! Consumer offsets: cloneGroupOffset, resetOffsetByTime, skipAccumulatedMessage.

use super::consumer::consume_stats;
use super::topic::topic_stats;
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{self, Net, read_header};
use crate::output::{Cell, Out, Table};
use crate::parse::Given;
use crate::table::{Command, ROUTE_OF, Run, flag, required, value};
use crate::time;
use protocol::body::MessageQueue;
use protocol::body::broker::OffsetWrapper;
use protocol::body::namesrv::{BrokerData, TopicRouteData};
use protocol::body::operator::{ConsumeStats, ResetOffsetBody};
use protocol::code::{request, response};
use protocol::header::broker::{
    GetConsumeStatsRequestHeader, OffsetResponseHeader, QueueRequestHeader, ResetOffsetRequestHeader,
    SearchOffsetRequestHeader, UpdateConsumerOffsetRequestHeader,
};
use remoting::Body;
use serde_json::json;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "resetOffsetByTime",
        alias: None,
        about: "lets a consumer group go on at another time",
        options: &[
            required('g', "group", "the group"),
            required('t', "topic", "the topic"),
            required(
                's',
                "timestamp",
                "now, ms since 1970 or 2026-11-29#17:08:20:123; -1 is the end",
            ),
            value('f', "force", "whether also forward [default: true]"),
            flag('c', "cplus", "tells members in C++"),
            value('b', "broker", "with -q: the address of the one broker, 5.x"),
            value('q', "queue", "with -b: the one queue, 5.x"),
            value(
                'o',
                "offset",
                "with -b and -q: this offset in place of the time's, 5.x",
            ),
            ROUTE_OF.long_only(),
        ],
        asks: Some("Reset the offsets of group {group} in topic {topic} to {timestamp}?"),
        run: Run::Online(|job, out| Box::pin(reset(job, out))),
    },
    Command {
        name: "skipAccumulatedMessage",
        alias: None,
        about: "lets a consumer group go on at the end, past what it has not consumed",
        options: &[
            required('g', "group", "the group"),
            required('t', "topic", "the topic"),
            value('f', "force", "whether also forward [default: true]"),
            ROUTE_OF,
        ],
        asks: Some("Skip what group {group} has not consumed of topic {topic}?"),
        run: Run::Online(|job, out| Box::pin(skip(job, out))),
    },
    Command {
        name: "cloneGroupOffset",
        alias: None,
        about: "gives a consumer group the offsets of another",
        options: &[
            required('s', "srcGroup", "the group whose offsets are copied"),
            required('d', "destGroup", "the group that gets them"),
            required('t', "topic", "a topic whose brokers are asked"),
            value('o', "offline", "of no effect, as in Java's tool"),
        ],
        asks: Some("Set the offsets of group {destGroup} to those of {srcGroup}?"),
        run: Run::Online(|job, out| Box::pin(clone(job, out))),
    },
];

/// What is to be reset.
pub struct Wanted<'a> {
    /// The group that goes on elsewhere.
    pub group: &'a str,
    /// In this topic.
    pub topic: &'a str,
    /// ms since 1970; -1: the end.
    pub timestamp: i64,
    /// Whether also forward.
    pub force: bool,
    /// Whether the members are written in C++.
    pub cplus: bool,
}

async fn reset(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let text = given.required("timestamp");
    let timestamp = match text {
        "now" => -1,
        text => time::parse("timestamp", text)?,
    };
    let wanted = Wanted {
        group: given.required("group"),
        topic: given.required("topic"),
        timestamp,
        force: given.switch("force")?.unwrap_or(true),
        cplus: given.has("cplus"),
    };
    if let Some(one) = one_queue(given)? {
        return reset_one(job, out, &wanted, &one).await;
    }
    let Wanted {
        group, topic, force, ..
    } = wanted;
    let head = |name: &str| {
        format!(
            "rollback consumer offset by specified {name}[{group}], topic[{topic}], force[{force}], \
             timestamp(string)[{text}], timestamp(long)[{timestamp}]\n"
        )
    };
    run(job, out, &wanted, &head("group"), &head("consumerGroup")).await
}

async fn skip(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let wanted = Wanted {
        group: job.given.required("group"),
        topic: job.given.required("topic"),
        timestamp: -1,
        force: job.given.switch("force")?.unwrap_or(true),
        cplus: false,
    };
    run(job, out, &wanted, "", "").await
}

/// The one queue of 5.x's options.
struct OneQueue<'a> {
    address: &'a str,
    queue_id: i32,
    /// In place of the time's.
    offset: Option<i64>,
}

fn one_queue(given: &Given) -> Result<Option<OneQueue<'_>>, Failure> {
    let offset: Option<i64> = given.number("offset")?;
    match (given.text("broker"), given.number("queue")?) {
        (Some(address), Some(queue_id)) if queue_id >= 0 && offset.is_none_or(|offset| offset >= 0) => {
            Ok(Some(OneQueue {
                address,
                queue_id,
                offset,
            }))
        }
        (Some(_), Some(_)) => Err(Failure::wrong(
            "neither -q/--queue nor -o/--offset may be negative",
        )),
        (None, None) if offset.is_none() => Ok(None),
        // Unlike Java, which resets every queue of every broker then.
        _ => Err(Failure::wrong(
            "-b/--broker and -q/--queue belong together, and -o/--offset to both",
        )),
    }
}

/// Sets the offset of one queue: at the broker, and at the members where there are some.
async fn reset_one(job: &Job, out: &mut Out, wanted: &Wanted<'_>, one: &OneQueue<'_>) -> Result<(), Failure> {
    let (net, address, queue_id) = (&job.net, one.address, one.queue_id);
    let Wanted {
        group,
        topic,
        timestamp,
        ..
    } = *wanted;
    let text = job.given.required("timestamp");
    out.line(&format!(
        "start reset consumer offset by specified, group[{group}], topic[{topic}], queueId[{queue_id}], \
         broker[{address}], timestamp(string)[{text}], timestamp(long)[{timestamp}]"
    ));
    let queue = MessageQueue {
        topic: topic.to_owned(),
        queue_id,
        ..MessageQueue::default()
    };
    let offset = match one.offset {
        Some(offset) => offset,
        None => offset_at(net, address, &queue, timestamp).await?,
    };
    commit(net, address, group, &queue, offset).await?;
    let header = ResetOffsetRequestHeader {
        topic: topic.into(),
        group: group.into(),
        timestamp: 0,
        is_force: None,
        queue_id: Some(queue_id),
        offset: Some(offset),
    };
    let code = request::INVOKE_BROKER_TO_RESET_OFFSET;
    match net.ask(address, code, &header, Body::Empty).await {
        // Nobody is there to be told.
        Err(why) if why.code() == Some(response::CONSUMER_NOT_ONLINE) => {}
        told => {
            told?;
        }
    }
    out.either(
        &format!("reset consumer offset to {offset}\n"),
        json!({"brokerAddr": address, "topic": topic, "queueId": queue_id, "group": group, "offset": offset}),
    );
    Ok(())
}

const RESET: Table = Table {
    titles: "%-40s  %-40s  %-40s%n",
    row: "%-40s  %-40d  %-40d%n",
    columns: &[
        ("#brokerName", "brokerName"),
        ("#queueId", "queueId"),
        ("#offset", "offset"),
    ],
};

const ROLLBACK: Table = Table {
    titles: "%-20s  %-20s  %-20s  %-20s  %-20s  %-20s%n",
    row: "%-20s  %-20d  %-20d  %-20d  %-20d  %-20d%n",
    columns: &[
        ("#brokerName", "brokerName"),
        ("#queueId", "queueId"),
        ("#brokerOffset", "brokerOffset"),
        ("#consumerOffset", "consumerOffset"),
        ("#timestampOffset", "timestampOffset"),
        ("#rollbackOffset", "rollbackOffset"),
    ],
};

async fn run(
    job: &Job,
    out: &mut Out,
    wanted: &Wanted<'_>,
    head: &str,
    head_offline: &str,
) -> Result<(), Failure> {
    let route = job.route(wanted.topic).await?;
    match move_group(&job.net, &route, wanted).await? {
        Moved::ByBrokers(moves) => {
            out.text(head_offline);
            out.titles(&ROLLBACK);
            for planned in moves {
                out.row(&ROLLBACK, cells(&planned));
            }
        }
        Moved::ByMembers(queues) => {
            out.text(head);
            out.titles(&RESET);
            for (queue, offset) in queues {
                out.row(
                    &RESET,
                    [
                        Cell::cut(&queue.broker_name, 32),
                        queue.queue_id.into(),
                        offset.into(),
                    ],
                );
            }
        }
    }
    Ok(())
}

/// Where a group goes on.
pub enum Moved {
    /// As its members were told, who tell the brokers.
    ByMembers(Vec<(MessageQueue, i64)>),
    /// No member is connected: as the brokers were told.
    ByBrokers(Vec<Move>),
}

/// Lets the brokers tell the members; where none is connected, sets the offsets itself.
///
/// # Errors
/// A broker does not do it, or says no offset.
pub async fn move_group(net: &Net, route: &TopicRouteData, wanted: &Wanted<'_>) -> Result<Moved, Failure> {
    let mut queues = Vec::new();
    for address in net::addresses(route) {
        match told_members(net, &address, wanted).await {
            Ok(told) => queues.extend(told.offset_table),
            Err(why) if why.code() == Some(response::CONSUMER_NOT_ONLINE) => {
                let moves = plan(net, &route.broker_datas, wanted).await?;
                for planned in moves.iter().filter(|planned| planned.is_wanted(wanted)) {
                    commit(net, &planned.address, wanted.group, &planned.queue, planned.to).await?;
                }
                return Ok(Moved::ByBrokers(moves));
            }
            Err(why) => return Err(why),
        }
    }
    queues.sort();
    Ok(Moved::ByMembers(queues))
}

/// A queue, and where a group would go on in it.
pub struct Move {
    /// The broker that has it.
    pub address: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its end.
    pub end: i64,
    /// Where the group is.
    pub at: i64,
    /// Where the queue is at the time that is wanted.
    pub found: i64,
    /// Where the group goes on.
    pub to: i64,
}

impl Move {
    /// Whether anything is told to the broker.
    fn is_wanted(&self, wanted: &Wanted<'_>) -> bool {
        wanted.force || self.found <= self.at
    }
}

async fn told_members(net: &Net, address: &str, wanted: &Wanted<'_>) -> Result<ResetOffsetBody, Failure> {
    let header = ResetOffsetRequestHeader {
        topic: wanted.topic.into(),
        group: wanted.group.into(),
        timestamp: wanted.timestamp,
        is_force: Some(wanted.force),
        queue_id: None,
        offset: None,
    };
    let code = request::INVOKE_BROKER_TO_RESET_OFFSET;
    let answer = match wanted.cplus {
        true => net.ask_as_cpp(address, code, &header).await?,
        false => net.ask(address, code, &header, Body::Empty).await?,
    };
    if answer.body.is_empty() {
        return Ok(ResetOffsetBody::default());
    }
    net::read_body(address, &answer)
}

/// Where the group would go on in each queue of these brokers. Nothing is changed.
///
/// # Errors
/// A broker does not say where the group is, or where a queue is at that time.
pub async fn plan(net: &Net, groups: &[BrokerData], wanted: &Wanted<'_>) -> Result<Vec<Move>, Failure> {
    let mut moves = Vec::new();
    for address in groups.iter().filter_map(net::one_of) {
        for (queue, offsets) in positions(net, address, wanted).await? {
            let found = offset_at(net, address, &queue, wanted.timestamp).await?;
            let mut planned = Move {
                address: address.clone(),
                queue,
                end: offsets.broker_offset,
                at: offsets.consumer_offset,
                found,
                to: offsets.consumer_offset,
            };
            if planned.is_wanted(wanted) {
                planned.to = found;
            }
            moves.push(planned);
        }
    }
    Ok(moves)
}

/// Where the group is in the topic on a broker; where it has never been, at the beginning of each queue.
async fn positions(
    net: &Net,
    address: &str,
    wanted: &Wanted<'_>,
) -> Result<Vec<(MessageQueue, OffsetWrapper)>, Failure> {
    let header = GetConsumeStatsRequestHeader {
        consumer_group: wanted.group.into(),
        topic: None,
    };
    let code = request::GET_CONSUME_STATS;
    let told: ConsumeStats = net.read(address, code, &header).await?;
    let of_topic = told.offset_table.into_iter();
    let known: Vec<_> = of_topic
        .filter(|(queue, _)| queue.topic == wanted.topic)
        .collect();
    if !known.is_empty() {
        return Ok(known);
    }
    let told = topic_stats(net, address, wanted.topic).await?;
    let queues = told.offset_table.into_iter().map(|(queue, offsets)| {
        let offsets = OffsetWrapper {
            broker_offset: offsets.max_offset,
            consumer_offset: offsets.min_offset,
            ..OffsetWrapper::default()
        };
        (queue, offsets)
    });
    Ok(queues.collect())
}

fn cells(planned: &Move) -> [Cell; 6] {
    [
        Cell::cut(&planned.queue.broker_name, 32),
        planned.queue.queue_id.into(),
        planned.end.into(),
        planned.at.into(),
        planned.found.into(),
        planned.to.into(),
    ]
}

/// Where a queue is at a time; at -1 its end.
///
/// # Errors
/// The broker does not say.
pub async fn offset_at(
    net: &Net,
    address: &str,
    queue: &MessageQueue,
    timestamp: i64,
) -> Result<i64, Failure> {
    let answer = match timestamp {
        -1 => {
            let header = QueueRequestHeader {
                topic: queue.topic.as_str().into(),
                queue_id: queue.queue_id,
            };
            let code = request::GET_MAX_OFFSET;
            net.ask(address, code, &header, Body::Empty).await?
        }
        timestamp => {
            let header = SearchOffsetRequestHeader {
                topic: queue.topic.as_str().into(),
                queue_id: queue.queue_id,
                timestamp,
                boundary_type: None,
            };
            let code = request::SEARCH_OFFSET_BY_TIMESTAMP;
            net.ask(address, code, &header, Body::Empty).await?
        }
    };
    Ok(read_header::<OffsetResponseHeader>(address, &answer)?.offset)
}

async fn commit(
    net: &Net,
    address: &str,
    group: &str,
    queue: &MessageQueue,
    offset: i64,
) -> Result<(), Failure> {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: group.into(),
        topic: queue.topic.as_str().into(),
        queue_id: queue.queue_id,
        commit_offset: offset,
    };
    let code = request::UPDATE_CONSUMER_OFFSET;
    net.ask(address, code, &header, Body::Empty).await.map(|_| ())
}

async fn clone(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let (from, to) = (job.given.required("srcGroup"), job.given.required("destGroup"));
    let topic = job.given.required("topic");
    let stats = consume_stats(&job.net, from, None).await?;
    let route = job.net.route(topic).await?;
    let mut copied = 0;
    for (queue, offsets) in &stats.offset_table {
        let group = route
            .broker_datas
            .iter()
            .find(|group| group.broker_name == queue.broker_name);
        let Some(address) = group.and_then(net::one_of) else {
            return Err(Failure::wrong(format!(
                "{topic} is not on {}, where {from} has offsets",
                queue.broker_name
            )));
        };
        if offsets.consumer_offset >= 0 {
            commit(&job.net, address, to, queue, offsets.consumer_offset).await?;
            copied += 1;
        }
    }
    out.either(
        &format!("clone group offset success. srcGroup[{from}], destGroup=[{to}], topic[{topic}]"),
        json!({"srcGroup": from, "destGroup": to, "topic": topic, "queues": copied}),
    );
    Ok(())
}
