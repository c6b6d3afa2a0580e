//! JSON bodies of the requests a broker serves. Unknown fields are ignored, missing ones take the Java class's default.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::de;
use super::topic::{DataVersion, MessageQueue};

/// HEART_BEAT (34).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// Client id, `ip@instance`.
    #[serde(rename = "clientID")]
    #[serde(deserialize_with = "de::scalar")]
    pub client_id: String,
    /// Producer groups of the client.
    #[serde(deserialize_with = "de::or_default")]
    pub producer_data_set: Vec<ProducerData>,
    /// Consumer groups of the client.
    #[serde(deserialize_with = "de::or_default")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// Hash of the subscriptions, 5.x; 0 when the client does not use the short form.
    #[serde(deserialize_with = "de::scalar")]
    pub heartbeat_fingerprint: i32,
    /// The subscriptions are left out because they have not changed, 5.x.
    #[serde(deserialize_with = "de::scalar")]
    pub without_sub: bool,
}

/// One producer group in a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Group.
    #[serde(deserialize_with = "de::scalar")]
    pub group_name: String,
}

/// One consumer group in a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Group.
    #[serde(deserialize_with = "de::scalar")]
    pub group_name: String,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Clustering or broadcasting.
    pub message_model: MessageModel,
    /// Where a new group starts.
    pub consume_from_where: ConsumeFromWhere,
    /// Topics subscribed to.
    #[serde(deserialize_with = "de::or_default")]
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Unit mode.
    #[serde(deserialize_with = "de::scalar")]
    pub unit_mode: bool,
}

/// A subscription to one topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Unused class filter switch.
    #[serde(deserialize_with = "de::scalar")]
    pub class_filter_mode: bool,
    /// Java hashes of the tags.
    #[serde(deserialize_with = "de::scalars")]
    pub code_set: Vec<i32>,
    /// TAG or SQL92.
    #[serde(deserialize_with = "tag")]
    pub expression_type: String,
    /// `*`, `a || b`, or SQL.
    #[serde(deserialize_with = "de::scalar")]
    pub sub_string: String,
    /// When the client made it, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    pub sub_version: i64,
    /// The tags.
    #[serde(deserialize_with = "de::scalars")]
    pub tags_set: Vec<String>,
    /// Topic.
    #[serde(deserialize_with = "de::scalar")]
    pub topic: String,
}

impl Default for SubscriptionData {
    /// As a new one of Java's: of tags.
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: Vec::new(),
            expression_type: TAG.to_owned(),
            sub_string: String::new(),
            sub_version: 0,
            tags_set: Vec::new(),
            topic: String::new(),
        }
    }
}

/// The text of `expressionType` when there is none.
const TAG: &str = "TAG";

fn tag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text: Option<String> = de::optional(deserializer)?;
    Ok(text.unwrap_or_else(|| TAG.to_owned()))
}

crate::java_enum! {
    /// How a group consumes.
    pub enum ConsumeType {
        /// Pull.
        Actively = "CONSUME_ACTIVELY",
        /// Push, which is the client's own long polling.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        /// Pop, 5.x.
        Pop = "CONSUME_POP",
    }
}

crate::java_enum! {
    /// Who gets a message.
    pub enum MessageModel {
        /// Every member.
        Broadcasting = "BROADCASTING",
        /// One member.
        #[default]
        Clustering = "CLUSTERING",
    }
}

crate::java_enum! {
    /// Where a group without offsets starts.
    pub enum ConsumeFromWhere {
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

/// LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchRequestBody {
    /// Group.
    #[serde(deserialize_with = "de::scalar")]
    pub consumer_group: String,
    /// Who locks.
    #[serde(deserialize_with = "de::scalar")]
    pub client_id: String,
    /// What to lock.
    #[serde(deserialize_with = "de::or_default")]
    pub mq_set: Vec<MessageQueue>,
    /// Do not ask the other members of the broker group, 5.x.
    #[serde(deserialize_with = "de::scalar")]
    pub only_this_broker: bool,
}

/// Answer to LOCK_BATCH_MQ.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockBatchResponseBody {
    /// Queues this client holds now.
    #[serde(rename = "lockOKMQSet")]
    #[serde(deserialize_with = "de::or_default")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

/// CHECK_CLIENT_CONFIG (46).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientRequestBody {
    /// Client id.
    #[serde(deserialize_with = "de::scalar")]
    pub client_id: String,
    /// Group.
    #[serde(deserialize_with = "de::scalar")]
    pub group: String,
    /// The subscription to check.
    pub subscription_data: Option<SubscriptionData>,
}

/// Answer to GET_CONSUMER_LIST_BY_GROUP (38).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIdList {
    /// Client ids.
    #[serde(deserialize_with = "de::scalars")]
    pub consumer_id_list: Vec<String>,
}

/// A consumer group's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Broker to read from.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_id: i64,
    /// Broadcasting is allowed.
    #[serde(deserialize_with = "de::true_or")]
    pub consume_broadcast_enable: bool,
    /// Consuming is allowed.
    #[serde(deserialize_with = "de::true_or")]
    pub consume_enable: bool,
    /// A new group may start at the beginning.
    #[serde(deserialize_with = "de::true_or")]
    pub consume_from_min_enable: bool,
    /// Group.
    #[serde(deserialize_with = "de::scalar")]
    pub group_name: String,
    /// Members are told when members come and go.
    #[serde(deserialize_with = "de::true_or")]
    pub notify_consumer_ids_changed_enable: bool,
    /// Deliveries before the dead letter queue.
    #[serde(deserialize_with = "de::number_or::<16, _, _>")]
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    #[serde(deserialize_with = "de::number_or::<1, _, _>")]
    pub retry_queue_nums: i32,
    /// Broker to read from when far behind.
    #[serde(deserialize_with = "de::number_or::<1, _, _>")]
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

/// Body of UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (225).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupList<'a> {
    /// The groups.
    pub group_config_list: Cow<'a, [SubscriptionGroupConfig]>,
}

/// subscriptionGroup.json and the answer to GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupTable {
    /// Version of the table.
    #[serde(deserialize_with = "de::or_default")]
    pub data_version: DataVersion,
    /// Topics a group may not read, as bits, 5.x.
    #[serde(
        deserialize_with = "de::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Group name to settings.
    #[serde(deserialize_with = "de::or_default")]
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// consumerOffset.json and the answer to GET_ALL_CONSUMER_OFFSET (43): `topic@group` to queue to offset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsetTable {
    /// Version of the table, 5.x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_version: Option<DataVersion>,
    /// With `enableLmq`: `topic@group` to offset of the groups of light queues. Left out without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmq_offset_table: Option<BTreeMap<String, i64>>,
    /// Offsets.
    #[serde(deserialize_with = "de::or_default")]
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// One client in a connection list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientConnection {
    /// `ip:port`.
    #[serde(deserialize_with = "de::scalar")]
    pub client_addr: String,
    /// Client id.
    #[serde(deserialize_with = "de::scalar")]
    pub client_id: String,
    /// Language name.
    #[serde(deserialize_with = "de::scalar")]
    pub language: String,
    /// Version number.
    #[serde(deserialize_with = "de::scalar")]
    pub version: i32,
}

/// Answer to GET_CONSUMER_CONNECTION_LIST (203).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Members.
    #[serde(deserialize_with = "de::or_default")]
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
    #[serde(deserialize_with = "de::or_default")]
    pub connection_set: Vec<ClientConnection>,
}

/// One queue in TopicStatsTable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// Store time of the last message, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    pub last_update_timestamp: i64,
    /// End of the queue.
    #[serde(deserialize_with = "de::scalar")]
    pub max_offset: i64,
    /// First offset of the queue.
    #[serde(deserialize_with = "de::scalar")]
    pub min_offset: i64,
}

/// One queue in ConsumeStats.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// End of the queue.
    #[serde(deserialize_with = "de::scalar")]
    pub broker_offset: i64,
    /// Committed offset.
    #[serde(deserialize_with = "de::scalar")]
    pub consumer_offset: i64,
    /// Store time of the message before the committed offset, ms since 1970.
    #[serde(deserialize_with = "de::scalar")]
    pub last_timestamp: i64,
    /// Offset pulled up to, 5.x.
    #[serde(deserialize_with = "de::scalar")]
    pub pull_offset: i64,
}

/// Answer to QUERY_TOPIC_CONSUME_BY_WHO (300).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// Groups.
    #[serde(deserialize_with = "de::scalars")]
    pub group_list: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Go client v2.0.0-rc2 sends `PUSH`; Java's broker keeps null for it and serves the client.
    #[test]
    fn a_heartbeat_with_names_of_other_clients_is_read() {
        let text = r#"{"clientID":"127.0.0.1@1","consumerDataSet":[
            {"groupName":"go","consumeType":"PUSH","messageModel":"Clustering","consumeFromWhere":"ConsumeFromLastOffset"},
            {"groupName":"old","consumeType":0,"messageModel":"broadcasting","consumeFromWhere":4},
            {"groupName":"bare","consumeType":"","messageModel":null}]}"#;
        let heartbeat: HeartbeatData = crate::body::read(text.as_bytes()).expect("Java reads it");
        let read: Vec<_> = heartbeat
            .consumer_data_set
            .iter()
            .map(|c| {
                (
                    c.group_name.as_str(),
                    c.consume_type,
                    c.message_model,
                    c.consume_from_where,
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                (
                    "go",
                    ConsumeType::Passively,
                    MessageModel::Clustering,
                    ConsumeFromWhere::LastOffset
                ),
                (
                    "old",
                    ConsumeType::Actively,
                    MessageModel::Broadcasting,
                    ConsumeFromWhere::FirstOffset
                ),
                (
                    "bare",
                    ConsumeType::Passively,
                    MessageModel::Clustering,
                    ConsumeFromWhere::LastOffset
                ),
            ]
        );
    }
}
