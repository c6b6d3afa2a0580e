//! JSON bodies of the requests a broker serves. Unknown fields are ignored, missing ones take the Java class's default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::body::DataVersion;

/// HEART_BEAT (34).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// Client id, `ip@instance`.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Producer groups of the client.
    pub producer_data_set: Vec<ProducerData>,
    /// Consumer groups of the client.
    pub consumer_data_set: Vec<ConsumerData>,
    /// Hash of the subscriptions, 5.x; 0 when the client does not use the short form.
    pub heartbeat_fingerprint: i32,
    /// The subscriptions are left out because they have not changed, 5.x.
    pub without_sub: bool,
}

/// One producer group in a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Group.
    pub group_name: String,
}

/// One consumer group in a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Group.
    pub group_name: String,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Clustering or broadcasting.
    pub message_model: MessageModel,
    /// Where a new group starts.
    pub consume_from_where: ConsumeFromWhere,
    /// Topics subscribed to.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Unit mode.
    pub unit_mode: bool,
}

/// A subscription to one topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Unused class filter switch.
    pub class_filter_mode: bool,
    /// Java hashes of the tags.
    pub code_set: Vec<i32>,
    /// TAG or SQL92.
    #[serde(deserialize_with = "null_as_tag")]
    pub expression_type: String,
    /// `*`, `a || b`, or SQL.
    #[serde(deserialize_with = "null_as_default")]
    pub sub_string: String,
    /// When the client made it, ms since 1970.
    pub sub_version: i64,
    /// The tags.
    pub tags_set: Vec<String>,
    /// Topic.
    pub topic: String,
}

fn null_as_tag<'de, D: serde::Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(d)?.unwrap_or_else(|| "TAG".to_owned()))
}

fn null_as_default<'de, D: serde::Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(d)?.unwrap_or_default())
}

/// Declares an enum that is written by name and read by name (any case) or by ordinal, as fastjson does.
macro_rules! java_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            const ALL: &'static [($name, &'static str)] = &[$(($name::$variant, $text)),+];

            /// The Java name.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum NameOrOrdinal { Name(String), Ordinal(u64), Null(()) }
                Ok(match NameOrOrdinal::deserialize(d)? {
                    NameOrOrdinal::Name(n) => {
                        Self::ALL.iter().find(|(_, t)| t.eq_ignore_ascii_case(&n)).map(|(v, _)| *v).unwrap_or_default()
                    }
                    NameOrOrdinal::Ordinal(i) => {
                        usize::try_from(i).ok().and_then(|i| Self::ALL.get(i)).map(|(v, _)| *v).unwrap_or_default()
                    }
                    NameOrOrdinal::Null(()) => Self::default(),
                })
            }
        }
    };
}

java_enum! {
    /// How a group consumes.
    ConsumeType {
        /// Pull.
        Actively = "CONSUME_ACTIVELY",
        /// Push, which is the client's own long polling.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        /// Pop, 5.x.
        Pop = "CONSUME_POP",
    }
}

java_enum! {
    /// Who gets a message.
    MessageModel {
        /// Every member.
        Broadcasting = "BROADCASTING",
        /// One member.
        #[default]
        Clustering = "CLUSTERING",
    }
}

java_enum! {
    /// Where a group without offsets starts.
    ConsumeFromWhere {
        /// At the end.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Historical.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Historical.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Historical.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the beginning.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// A queue of a topic on a broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    /// Broker name.
    pub broker_name: String,
    /// Queue id.
    pub queue_id: i32,
    /// Topic.
    pub topic: String,
}

/// LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchRequestBody {
    /// Group.
    pub consumer_group: String,
    /// Who locks.
    pub client_id: String,
    /// What to lock.
    pub mq_set: Vec<MessageQueue>,
    /// Do not ask the other members of the broker group, 5.x.
    pub only_this_broker: bool,
}

/// Answer to LOCK_BATCH_MQ.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockBatchResponseBody {
    /// Queues this client holds now.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

/// CHECK_CLIENT_CONFIG (46).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientRequestBody {
    /// Client id.
    pub client_id: String,
    /// Group.
    pub group: String,
    /// The subscription to check.
    pub subscription_data: Option<SubscriptionData>,
}

/// Answer to GET_CONSUMER_LIST_BY_GROUP (38).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIdList {
    /// Client ids.
    pub consumer_id_list: Vec<String>,
}

/// A consumer group's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Broker to read from.
    pub broker_id: i64,
    /// Broadcasting is allowed.
    pub consume_broadcast_enable: bool,
    /// Consuming is allowed.
    pub consume_enable: bool,
    /// A new group may start at the beginning.
    pub consume_from_min_enable: bool,
    /// Group.
    pub group_name: String,
    /// Members are told when members come and go.
    pub notify_consumer_ids_changed_enable: bool,
    /// Deliveries before the dead letter queue.
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    pub retry_queue_nums: i32,
    /// Broker to read from when far behind.
    pub which_broker_when_consume_slowly: i64,
    /// Everything newer versions write, kept as it is.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            group_name: String::new(),
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
            other: serde_json::Map::new(),
        }
    }
}

/// subscriptionGroup.json and the answer to GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupTable {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topics a group may not read, as bits, 5.x.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Group name to settings.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// consumerOffset.json and the answer to GET_ALL_CONSUMER_OFFSET (43): `topic@group` to queue to offset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsetTable {
    /// Offsets.
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// One client in a connection list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientConnection {
    /// `ip:port`.
    pub client_addr: String,
    /// Client id.
    pub client_id: String,
    /// Language name.
    pub language: String,
    /// Version number.
    pub version: i32,
}

/// Answer to GET_CONSUMER_CONNECTION_LIST (203).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Members.
    pub connection_set: Vec<ClientConnection>,
    /// Where a new group starts.
    pub consume_from_where: ConsumeFromWhere,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Clustering or broadcasting.
    pub message_model: MessageModel,
    /// Topic to subscription.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// Answer to GET_PRODUCER_CONNECTION_LIST (204).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// Members.
    pub connection_set: Vec<ClientConnection>,
}

/// One queue in TopicStatsTable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// Store time of the last message, ms since 1970.
    pub last_update_timestamp: i64,
    /// End of the queue.
    pub max_offset: i64,
    /// First offset of the queue.
    pub min_offset: i64,
}

/// One queue in ConsumeStats.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// End of the queue.
    pub broker_offset: i64,
    /// Committed offset.
    pub consumer_offset: i64,
    /// Store time of the message before the committed offset, ms since 1970.
    pub last_timestamp: i64,
    /// Offset pulled up to, 5.x.
    pub pull_offset: i64,
}

/// Answer to QUERY_TOPIC_CONSUME_BY_WHO (300).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// Groups.
    pub group_list: Vec<String>,
}
