//! `topicQueueMapping.json`: the queues of static topics and where their parts lie.
//!
//! Rules: RocketMQ 5.3.3, TopicQueueMappingManager.

use std::collections::BTreeMap;

use protocol::body::de;
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueMappings {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topic to mapping.
    #[serde(deserialize_with = "de::or_default")]
    pub topic_queue_mapping_info_map: BTreeMap<String, QueueMapping>,
}

/// One static topic as this broker has it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueMapping {
    /// Broker name.
    #[serde(deserialize_with = "de::scalar")]
    bname: String,
    /// Logical queue to queue of this broker.
    #[serde(deserialize_with = "de::or_default")]
    curr_id_map: BTreeMap<i32, i32>,
    /// Changed and not yet written.
    #[serde(deserialize_with = "de::scalar")]
    dirty: bool,
    /// When the mapping was made, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    epoch: i64,
    /// Logical queue to its parts, oldest first.
    #[serde(deserialize_with = "de::or_default")]
    hosted_queues: BTreeMap<i32, Vec<QueuePart>>,
    /// Scope of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Topic.
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
    /// Logical queues of the topic.
    #[serde(deserialize_with = "de::scalar")]
    total_queues: i32,
}

/// One part of a logical queue.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueuePart {
    #[serde(deserialize_with = "de::scalar")]
    bname: String,
    #[serde(deserialize_with = "de::scalar")]
    end_offset: i64,
    #[serde(deserialize_with = "de::scalar")]
    r#gen: i32,
    #[serde(deserialize_with = "de::scalar")]
    logic_offset: i64,
    #[serde(deserialize_with = "de::scalar")]
    queue_id: i32,
    #[serde(deserialize_with = "de::scalar")]
    start_offset: i64,
    #[serde(deserialize_with = "de::scalar")]
    time_of_end: i64,
    #[serde(deserialize_with = "de::scalar")]
    time_of_start: i64,
}

impl QueueMappings {
    /// Takes a topic out. True if it was there.
    pub fn remove(&mut self, topic: &str, now: i64) -> bool {
        let removed = self.topic_queue_mapping_info_map.remove(topic).is_some();
        if removed {
            self.data_version = self.data_version.next(now);
        }
        removed
    }
}
