//! Whether groups have consumed a message.

use super::connection::members;
use super::consumer::consume_stats;
use super::topic::consumers_of;
use crate::failure::Failure;
use crate::net::{MASTER, Net};
use crate::output::Out;
use client::Received;
use protocol::body::broker::{ConsumeType, ConsumerConnection};
use protocol::code::response;
use serde_json::json;

/// What is known of a message and a group.
pub struct Track {
    /// The group.
    pub group: String,
    /// What is known, in the words of Java's tool: CONSUMED, NOT_CONSUME_YET and the like.
    pub kind: &'static str,
    /// Why nothing is.
    pub why: Option<String>,
}

/// Says of each group that consumes the topic whether it has consumed the message.
pub(super) async fn show(net: &Net, out: &mut Out, message: &Received) -> Result<(), Failure> {
    let tracks = tracks(net, message).await?;
    let head = match tracks.is_empty() {
        true => "\n\nWARN: No Consumer",
        false => "\n\n",
    };
    out.text(head);
    for track in tracks {
        let why = track.why.as_deref().unwrap_or("null");
        out.either(
            &format!(
                "MessageTrack [consumerGroup={}, trackType={}, exceptionDesc={why}]",
                track.group, track.kind
            ),
            json!({"consumerGroup": track.group, "trackType": track.kind, "reason": track.why}),
        );
    }
    Ok(())
}

/// Of each group that consumes the topic whether it has consumed the message.
///
/// # Errors
/// It is not known which groups there are.
pub async fn tracks(net: &Net, message: &Received) -> Result<Vec<Track>, Failure> {
    let topic = &message.queue.topic;
    let route = net.route(topic).await?;
    let mut tracks = Vec::new();
    for group in consumers_of(net, &route, topic).await? {
        tracks.push(of_group(net, message, group).await);
    }
    Ok(tracks)
}

async fn of_group(net: &Net, message: &Received, group: String) -> Track {
    let judged = async {
        let members = members(net, &group, None).await?;
        match members.consume_type {
            ConsumeType::Actively => Ok("PULL"),
            // What 5.x's tool says of pop consumers.
            ConsumeType::Pop => Ok("UNKNOWN"),
            ConsumeType::Passively => match is_consumed(net, message, &group).await? {
                true if is_filtered(&members, message) => Ok("CONSUMED_BUT_FILTERED"),
                true => Ok("CONSUMED"),
                false => Ok("NOT_CONSUME_YET"),
            },
        }
    };
    match judged.await {
        Ok(kind) => Track {
            group,
            kind,
            why: None,
        },
        Err::<_, Failure>(why) => Track {
            group,
            kind: match why.code() {
                Some(response::CONSUMER_NOT_ONLINE) => "NOT_ONLINE",
                _ => "UNKNOWN",
            },
            why: Some(why.described()),
        },
    }
}

fn is_filtered(members: &ConsumerConnection, message: &Received) -> bool {
    let Some(wanted) = members.subscription_table.get(&message.queue.topic) else {
        return false;
    };
    let takes = |tag: &String| tag == "*" || Some(tag.as_str()) == message.tags();
    !wanted.tags_set.is_empty() && !wanted.tags_set.iter().any(takes)
}

/// Whether the group is past the message in the queue of the broker that has it.
async fn is_consumed(net: &Net, message: &Received, group: &str) -> Result<bool, Failure> {
    let stats = consume_stats(net, group, None).await?;
    let info = net.clusters().await?;
    let queues = stats
        .offset_table
        .iter()
        .filter(|(queue, _)| queue.topic == message.queue.topic && queue.queue_id == message.queue.queue_id);
    for (queue, offsets) in queues {
        let broker = info.broker_addr_table.get(&queue.broker_name);
        let Some(address) = broker.and_then(|broker| broker.broker_addrs.get(&MASTER)) else {
            continue;
        };
        let is_there = match tokio::net::lookup_host(address).await {
            Ok(mut hosts) => hosts.any(|host| host == message.store_host),
            Err(_) => false,
        };
        if is_there && offsets.consumer_offset > message.queue_offset {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::message_text::sample;
    use super::*;
    use protocol::body::broker::SubscriptionData;

    #[test]
    fn a_message_with_a_tag_that_is_not_wanted() {
        let of = |tags: &[&str]| {
            let wanted = SubscriptionData {
                tags_set: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                ..SubscriptionData::default()
            };
            let mut members = ConsumerConnection::default();
            members.subscription_table.insert("Stock".to_owned(), wanted);
            is_filtered(&members, &sample())
        };
        assert!(of(&["Open", "Sent"]));
        assert!(!of(&["Open", "Paid"]));
        assert!(!of(&["*"]));
        assert!(!of(&[]));
        assert!(!is_filtered(&ConsumerConnection::default(), &sample()));
    }
}
