//! Pieces that many bodies and files share: data version, queue, topic configuration, topic list, table.

use super::de;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How new a table is. Two are the same when all three numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataVersion {
    /// Number of changes.
    #[serde(deserialize_with = "de::scalar")]
    pub counter: i64,
    /// Since 5.x: the broker's term; 0 elsewhere.
    #[serde(deserialize_with = "de::scalar")]
    pub state_version: i64,
    /// Time of the last change, milliseconds.
    #[serde(deserialize_with = "de::scalar")]
    pub timestamp: i64,
}

impl DataVersion {
    /// After a change at `now_ms`.
    pub fn next(self, now_ms: i64) -> DataVersion {
        DataVersion {
            counter: self.counter + 1,
            timestamp: now_ms,
            ..self
        }
    }
}

/// One queue of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueue {
    /// Broker name.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_name: String,
    /// Queue number on that broker.
    #[serde(deserialize_with = "de::scalar")]
    pub queue_id: i32,
    /// Topic.
    #[serde(deserialize_with = "de::scalar")]
    pub topic: String,
}

crate::java_enum! {
    /// Whether a message of the topic has one tag or several.
    pub enum TopicFilterType {
        /// One.
        #[default]
        SingleTag = "SINGLE_TAG",
        /// Several.
        MultiTag = "MULTI_TAG",
    }
}

/// A topic on one broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfig {
    /// Since 5.x: `message.type` and the like. Left out when there are none, as 4.9 knows none.
    #[serde(
        deserialize_with = "de::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub attributes: BTreeMap<String, String>,
    /// Whether it is on the order-topic list.
    #[serde(deserialize_with = "de::scalar")]
    pub order: bool,
    /// 2 write, 4 read, 1 inherit.
    #[serde(deserialize_with = "de::number_or::<6, _, _>")]
    pub perm: i32,
    /// Number of queues to read.
    #[serde(deserialize_with = "de::number_or::<16, _, _>")]
    pub read_queue_nums: i32,
    /// One tag or several.
    pub topic_filter_type: TopicFilterType,
    /// Name.
    #[serde(deserialize_with = "de::scalar")]
    pub topic_name: String,
    /// 1 unit, 2 unit subscription.
    #[serde(deserialize_with = "de::scalar")]
    pub topic_sys_flag: i32,
    /// Number of queues to write.
    #[serde(deserialize_with = "de::number_or::<16, _, _>")]
    pub write_queue_nums: i32,
}

/// Body of UPDATE_AND_CREATE_TOPIC_LIST (18).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigList<'a> {
    /// The topics.
    pub topic_config_list: Cow<'a, [TopicConfig]>,
}

impl Default for TopicConfig {
    /// The defaults of Java's class, which a reader applies to missing fields.
    fn default() -> Self {
        TopicConfig {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

impl TopicConfig {
    /// The text line of the compressed registration: `name read write perm FILTER`, with attributes a JSON sixth word.
    pub fn to_line(&self) -> String {
        let mut line = format!(
            "{} {} {} {} {}",
            self.topic_name,
            self.read_queue_nums,
            self.write_queue_nums,
            self.perm,
            self.topic_filter_type.name()
        );
        if !self.attributes.is_empty() {
            line.push(' ');
            line.push_str(&serde_json::to_string(&self.attributes).unwrap_or_default());
        }
        line
    }

    /// Reads such a line; `None` when a word is missing or not a number. Attributes that are no JSON object of texts are
    /// ignored, as Java ignores them.
    pub fn from_line(line: &str) -> Option<TopicConfig> {
        let mut words = line.splitn(6, ' ');
        let topic_name = words.next()?.to_owned();
        let read_queue_nums = words.next()?.parse().ok()?;
        let write_queue_nums = words.next()?.parse().ok()?;
        let perm = words.next()?.parse().ok()?;
        let topic_filter_type = TopicFilterType::from_text(words.next()?)?;
        let attributes = words
            .next()
            .and_then(|text| super::read(text.as_bytes()).ok())
            .unwrap_or_default();
        Some(TopicConfig {
            attributes,
            perm,
            read_queue_nums,
            topic_filter_type,
            topic_name,
            write_queue_nums,
            ..TopicConfig::default()
        })
    }
}

/// KVTable: GET_KVLIST_BY_NAMESPACE, GET_BROKER_RUNTIME_INFO, the reply to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// Key to value.
    #[serde(deserialize_with = "de::or_default")]
    pub table: BTreeMap<String, String>,
}

/// TopicList.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicList {
    /// One broker's address, for GET_SYSTEM_TOPIC_LIST_FROM_NS only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// Names.
    #[serde(deserialize_with = "de::or_default")]
    pub topic_list: Vec<String>,
}
