//! Bodies of operators' requests about consumers and queues.
//!
//! Shapes: RocketMQ 4.9.8 (reference: bodies.md §5–7).

use super::broker::{OffsetWrapper, SubscriptionData};
use super::topic::MessageQueue;
use super::{de, object_keys};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer to INVOKE_BROKER_TO_RESET_OFFSET (222), and what RESET_CONSUMER_CLIENT_OFFSET (220) tells a client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBody {
    /// Where each queue goes on.
    #[serde(with = "object_keys")]
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

/// The same for a client in C++, which reads no maps whose keys are objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBodyForC {
    /// Where each queue goes on.
    pub offset_table: Vec<OffsetOfQueue>,
}

/// Where a queue goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetOfQueue {
    /// Broker.
    pub broker_name: String,
    /// Offset.
    pub offset: i64,
    /// Queue.
    pub queue_id: i32,
    /// Topic.
    pub topic: String,
}

impl OffsetOfQueue {
    /// As it is in a map.
    pub fn of((queue, offset): (&MessageQueue, &i64)) -> Self {
        Self {
            broker_name: queue.broker_name.clone(),
            offset: *offset,
            queue_id: queue.queue_id,
            topic: queue.topic.clone(),
        }
    }
}

/// Where one client is: queue to offset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConsumerStatus(#[serde(with = "object_keys")] pub BTreeMap<MessageQueue, i64>);

/// Answer to GET_CONSUMER_STATUS_FROM_CLIENT (221), which has the second table, and to INVOKE_BROKER_TO_GET_CONSUMER_STATUS
/// (223), which has the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatuses {
    /// Client id to where it is.
    pub consumer_table: BTreeMap<String, ConsumerStatus>,
    /// Queue to offset.
    #[serde(with = "object_keys")]
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

/// Answer to QUERY_CORRECTION_OFFSET (308).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// Queue to the least offset of all groups.
    pub correction_offsets: BTreeMap<i32, i64>,
}

/// Answer to QUERY_CONSUME_TIME_SPAN (303).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeTimeSpans {
    /// One for each queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// What times the messages of a queue have. Times are ms since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// Store time of the last message that is consumed.
    pub consume_time_stamp: i64,
    /// For people.
    pub consume_time_stamp_str: String,
    /// How long the first message that is not consumed has waited, ms.
    pub delay_time: i64,
    /// Store time of the last message.
    pub max_time_stamp: i64,
    /// For people.
    pub max_time_stamp_str: String,
    /// Queue.
    pub message_queue: MessageQueue,
    /// Store time of the first message.
    pub min_time_stamp: i64,
    /// For people.
    pub min_time_stamp_str: String,
}

/// Answer to GET_CONSUME_STATS (208).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages pulled a second, over the last minute.
    pub consume_tps: f64,
    /// Where the group is in each queue.
    #[serde(with = "object_keys")]
    pub offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
}

impl ConsumeStats {
    /// How many messages wait in all queues.
    pub fn total_diff(&self) -> i64 {
        let queues = self.offset_table.values();
        queues
            .map(|queue| queue.broker_offset - queue.consumer_offset)
            .sum()
    }
}

/// Answer to GET_BROKER_CONSUME_STATS (317).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    /// Address of the broker.
    pub broker_addr: String,
    /// Each group, with one entry for each of its topics.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// How many messages wait for all groups.
    pub total_diff: i64,
    /// How many are pulled and not consumed, 5.x.
    pub total_inflight_diff: i64,
}

/// Answer to GET_ALL_PRODUCER_INFO (328).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTable {
    /// Group to members.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// A producer that is connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// Client id.
    pub client_id: String,
    /// Language name.
    pub language: String,
    /// Last heartbeat, ms since 1970.
    pub last_update_timestamp: i64,
    /// `/ip:port`.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// Version number.
    pub version: i32,
}

/// Answer to QUERY_SUBSCRIPTION_BY_CONSUMER (345).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupSubscription {
    /// Group.
    pub group: String,
    /// What its members want of the topic; none if they are not connected, or want nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// Topic.
    pub topic: String,
}

/// Answer to QUERY_CONSUME_QUEUE (321).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueContent {
    /// The group's filter as JSON, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// End of the queue.
    pub max_queue_index: i64,
    /// First offset of the queue.
    pub min_queue_index: i64,
    /// Its units.
    pub queue_data: Vec<ConsumeQueueUnit>,
    /// What the group wants of the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// A unit of a consumequeue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueUnit {
    /// The bitmap of its extension, as digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_map: Option<String>,
    /// Whether the group's filter lets it through, by the extension.
    #[serde(deserialize_with = "de::scalar")]
    pub eval: bool,
    /// Its extension as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_data_json: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Place of its message in the commitlog.
    pub physic_offset: i64,
    /// Length of its message, bytes.
    pub physic_size: i32,
    /// Hash of its tag, or the address of its extension.
    pub tags_code: i64,
}

/// Answer to VIEW_BROKER_STATS_DATA (315).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// Over the last day.
    pub stats_day: BrokerStatsItem,
    /// Over the last hour.
    pub stats_hour: BrokerStatsItem,
    /// Over the last minute.
    pub stats_minute: BrokerStatsItem,
}

/// What was counted over a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerStatsItem {
    /// Sum for each time that something was counted.
    pub avgpt: f64,
    /// Sum.
    pub sum: i64,
    /// Sum a second.
    pub tps: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{read, write};

    /// As a Java client writes it: the keys are objects.
    #[test]
    fn where_a_client_is_is_read_from_fastjsons_form_and_written_as_legal_json() {
        let text =
            br#"{"consumerTable":{},"messageQueueTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}"#;
        let told: ConsumerStatuses = read(text).unwrap();
        let queue = MessageQueue {
            broker_name: "b".into(),
            queue_id: 1,
            topic: "T".into(),
        };
        assert_eq!(told.message_queue_table, BTreeMap::from([(queue, 7)]));
        let all = ConsumerStatuses {
            consumer_table: BTreeMap::from([("c@1".to_owned(), ConsumerStatus(told.message_queue_table))]),
            ..ConsumerStatuses::default()
        };
        let text = r#"{"consumerTable":{"c@1":{"{\"brokerName\":\"b\",\"queueId\":1,\"topic\":\"T\"}":7}},"messageQueueTable":{}}"#;
        assert_eq!(write(&all), text);
        assert_eq!(read::<ConsumerStatuses>(text.as_bytes()).unwrap(), all);
    }
}
