//! Messages as pages want them: the newest of a topic, one by its id, those between two moments.

use crate::asked::Refusal;
use admin::ask::{self, Failure, Filter, Found, Net, READER, Scanned, Wanted, apart};
use client::{PullStatus, Received};
use protocol::body::MessageQueue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long queues are gone through.
const SCAN_WITHIN: Duration = Duration::from_secs(6);
/// Queues of a topic that are read for its newest messages.
const QUEUES_MAX: usize = 1_024;

/// Messages, and what could not be asked.
pub(crate) struct Messages {
    pub(crate) found: Vec<Received>,
    pub(crate) away: Vec<Failure>,
    /// Whether there was time for all.
    pub(crate) is_whole: bool,
}

impl Messages {
    fn of((found, away): Found<Received>) -> Messages {
        Messages {
            found,
            away,
            is_whole: true,
        }
    }
}

/// The newest messages of a topic.
pub(crate) async fn newest(net: &Net, topic: &str, most: usize) -> Result<Messages, Refusal> {
    let route = net.route(topic).await?;
    let work = |net: Net, address: String| {
        let topic = topic.to_owned();
        async move { ask::topic_stats(&net, &address, &topic).await }
    };
    let (told, mut away) = apart(net.each(ask::addresses(&route), work).await)?;
    // By its place in the list: names of queues are no addresses.
    let mut queues: BTreeMap<String, (MessageQueue, i64, i64)> = BTreeMap::new();
    for (queue, offsets) in told.into_iter().flat_map(|(_, stats)| stats.offset_table) {
        if offsets.max_offset > offsets.min_offset && queues.len() < QUEUES_MAX {
            let first = offsets.min_offset.max(offsets.max_offset - most as i64);
            queues.insert(queues.len().to_string(), (queue, first, offsets.max_offset));
        }
    }
    let reader = Arc::new(net.reader(READER)?);
    let read = {
        let work = |_: Net, number: String| {
            let reader = Arc::clone(&reader);
            let place = queues.get(&number).cloned();
            async move {
                match place {
                    Some((queue, first, end)) => read_queue(&reader, &queue, first, end).await,
                    None => Ok(Vec::new()),
                }
            }
        };
        net.each(queues.keys().cloned().collect(), work).await
    };
    if let Some(reader) = Arc::into_inner(reader) {
        reader.shutdown().await;
    }
    let (read, failed) = apart(read)?;
    away.extend(failed);
    let mut found: Vec<Received> = read.into_iter().flat_map(|(_, found)| found).collect();
    sort_newest(&mut found);
    found.truncate(most);
    Ok(Messages::of((found, away)))
}

async fn read_queue(
    reader: &client::PullConsumer,
    queue: &MessageQueue,
    first: i64,
    end: i64,
) -> Result<Vec<Received>, Failure> {
    let (mut at, mut found) = (first, Vec::new());
    while at < end {
        let most = i32::try_from(end - at).unwrap_or(32).min(32);
        let pulled = reader.pull(queue, "*", at, most, false).await?;
        if matches!(pulled.status, PullStatus::NoNew | PullStatus::OffsetIllegal) || pulled.next_offset <= at
        {
            break;
        }
        at = pulled.next_offset;
        found.extend(pulled.messages);
    }
    Ok(found)
}

fn sort_newest(found: &mut [Received]) {
    found.sort_by_key(|message| std::cmp::Reverse((message.store_timestamp, message.queue_offset)));
}

/// Messages with a key, or with an id of a producer.
pub(crate) async fn with_key(net: &Net, wanted: &Wanted<'_>) -> Result<Messages, Refusal> {
    let route = net.route(wanted.topic).await?;
    let mut found = Messages::of(ask::find(net, &route, wanted).await?);
    sort_newest(&mut found.found);
    Ok(found)
}

/// Messages with this id, which a producer or a broker gave.
pub(crate) async fn with_id(net: &Net, topic: &str, id: &str) -> Result<Messages, Refusal> {
    let wanted = Wanted {
        topic,
        key: id,
        most: 32,
        begin: 0,
        end: i64::MAX,
        unique: true,
    };
    let mut found = with_key(net, &wanted).await?;
    if found.found.is_empty() {
        found.found.extend(ask::by_place(net, topic, id).await?);
    }
    Ok(found)
}

/// Messages of a time, the oldest first.
pub(crate) async fn between(
    net: &Net,
    topic: &str,
    filter: &Filter,
    most: usize,
) -> Result<Messages, Refusal> {
    let until = Instant::now() + SCAN_WITHIN;
    let Scanned {
        mut found,
        away,
        is_whole,
    } = ask::scan(net, topic, filter, most, Some(until)).await?;
    found.sort_by_key(|message| (message.store_timestamp, message.physical_offset));
    found.truncate(most);
    Ok(Messages {
        found,
        away,
        is_whole,
    })
}

/// The one message of an address: by its id, and of several with it by where the broker has it.
pub(crate) async fn one(net: &Net, topic: &str, id: &str) -> Result<Received, Refusal> {
    let found = with_id(net, topic, id).await?;
    let first = found.found.into_iter().next();
    first.ok_or_else(|| match found.away.first() {
        Some(why) => Refusal::new(502, why.to_string()),
        None => Refusal::new(404, format!("no broker of {topic} has a message {id}")),
    })
}
