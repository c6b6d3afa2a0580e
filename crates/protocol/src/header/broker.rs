//! Headers of the requests a broker serves and of its answers.
//!
//! Field names and types: RocketMQ 4.9.8 and 5.3.3, the `…RequestHeader` and `…ResponseHeader` classes. Which fields
//! may be missing follows what a running Java broker accepts, which is more than its annotations say: a header class
//! there leaves a missing field null, and only a field that is then used without a test fails the request.

use std::borrow::Cow;

use crate::header::Header;

/// SEND_MESSAGE (10), and by letters SEND_MESSAGE_V2 (310) and SEND_BATCH_MESSAGE (320).
#[derive(Debug, Clone, Header)]
pub struct SendMessageRequestHeader<'a> {
    /// Group of the producer.
    #[header(short = "a")]
    pub producer_group: Option<Cow<'a, str>>,
    /// Where the message goes.
    #[header(short = "b")]
    pub topic: Cow<'a, str>,
    /// Template topic for a topic that does not exist yet.
    #[header(short = "c")]
    pub default_topic: Option<Cow<'a, str>>,
    /// Queues the client would like a new topic to have.
    #[header(short = "d")]
    pub default_topic_queue_nums: Option<i32>,
    /// Queue; below 0 the broker picks one.
    #[header(short = "e")]
    pub queue_id: i32,
    /// Message sysFlag.
    #[header(short = "f")]
    pub sys_flag: Option<i32>,
    /// When the client made the message, ms since 1970.
    #[header(short = "g")]
    pub born_timestamp: i64,
    /// The application's own flag.
    #[header(short = "h")]
    pub flag: Option<i32>,
    /// Properties text: name 0x01 value 0x02 …
    #[header(short = "i")]
    pub properties: Option<&'a str>,
    /// How often the message was consumed before.
    #[header(short = "j")]
    pub reconsume_times: Option<i32>,
    /// Unit mode.
    #[header(short = "k")]
    pub unit_mode: Option<bool>,
    /// The body is a chain of messages.
    #[header(short = "m")]
    pub batch: Option<bool>,
    /// Limit of reconsumeTimes, for sends to a retry topic.
    #[header(short = "l")]
    pub max_reconsume_times: Option<i32>,
}

/// Answer to a send.
#[derive(Debug, Clone, Header)]
pub struct SendMessageResponseHeader<'a> {
    /// Offset message ids, joined by `,` for a batch.
    pub msg_id: Cow<'a, str>,
    /// Queue the message is in.
    pub queue_id: i32,
    /// Its (or the first one's) offset in the queue.
    pub queue_offset: i64,
    /// Transaction id; 5.x brokers fill it.
    pub transaction_id: Option<Cow<'a, str>>,
    /// Region of the broker; clients read it without a test.
    #[header(java = "MSG_REGION")]
    pub region: Option<Cow<'a, str>>,
    /// `false` makes clients drop their trace records.
    #[header(java = "TRACE_ON")]
    pub trace_on: Option<Cow<'a, str>>,
}

/// PUSH_REPLY_MESSAGE_TO_CLIENT (326), with which a broker hands a reply to the producer that asked.
#[derive(Debug, Clone, Header)]
pub struct ReplyMessageRequestHeader<'a> {
    /// Group of the producer that replies.
    pub producer_group: Option<Cow<'a, str>>,
    /// Topic of the reply.
    pub topic: Cow<'a, str>,
    /// Template topic.
    pub default_topic: Option<Cow<'a, str>>,
    /// Queues of a new topic.
    pub default_topic_queue_nums: Option<i32>,
    /// Queue.
    pub queue_id: i32,
    /// Message sysFlag.
    pub sys_flag: Option<i32>,
    /// When the reply was made, ms since 1970.
    pub born_timestamp: i64,
    /// The application's own flag.
    pub flag: Option<i32>,
    /// Properties text.
    pub properties: Option<&'a str>,
    /// How often the reply was consumed before.
    pub reconsume_times: Option<i32>,
    /// Unit mode.
    pub unit_mode: Option<bool>,
    /// Address of the producer that replies.
    pub born_host: Cow<'a, str>,
    /// Address of the broker.
    pub store_host: Cow<'a, str>,
    /// When the broker got the reply, ms since 1970.
    pub store_timestamp: i64,
}

/// INVOKE_BROKER_TO_RESET_OFFSET (222).
#[derive(Debug, Clone, Header)]
pub struct ResetOffsetRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Group.
    pub group: Cow<'a, str>,
    /// Where to go on, ms since 1970; -1: at the end.
    pub timestamp: i64,
    /// Also where the group has not been yet.
    pub is_force: Option<bool>,
    /// The queue that is set to an offset, 5.x.
    pub queue_id: Option<i32>,
    /// The offset, 5.x.
    pub offset: Option<i64>,
}

/// RESET_CONSUMER_CLIENT_OFFSET (220), which the broker tells a consumer.
#[derive(Debug, Clone, Header)]
pub struct ResetConsumerClientOffsetRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Group.
    pub group: Cow<'a, str>,
    /// The time that was asked for, ms since 1970.
    pub timestamp: i64,
    /// Of no use to a client.
    pub is_force: bool,
}

/// INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223), and GET_CONSUMER_STATUS_FROM_CLIENT (221), which the broker asks a consumer.
#[derive(Debug, Clone, Header)]
pub struct GetConsumerStatusRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Group.
    pub group: Cow<'a, str>,
    /// Client id of the member that is asked about; all without it.
    pub client_addr: Option<Cow<'a, str>>,
}

/// GET_CONSUMER_RUNNING_INFO (307).
#[derive(Debug, Clone, Header)]
pub struct GetConsumerRunningInfoRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
    /// Client id of the member.
    pub client_id: Cow<'a, str>,
    /// With what its threads do.
    pub jstack_enable: Option<bool>,
}

/// CONSUME_MESSAGE_DIRECTLY (309).
#[derive(Debug, Clone, Header)]
pub struct ConsumeMessageDirectlyRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
    /// Client id of the member.
    pub client_id: Option<Cow<'a, str>>,
    /// Message id of the broker's making.
    pub msg_id: Option<Cow<'a, str>>,
    /// Broker the message is on.
    pub broker_name: Option<Cow<'a, str>>,
    /// Topic, 5.x.
    pub topic: Option<Cow<'a, str>>,
    /// topicSysFlag, 5.x.
    pub topic_sys_flag: Option<i32>,
    /// groupSysFlag, 5.x.
    pub group_sys_flag: Option<i32>,
}

/// QUERY_CONSUME_TIME_SPAN (303).
#[derive(Debug, Clone, Header)]
pub struct QueryConsumeTimeSpanRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Group.
    pub group: Cow<'a, str>,
}

/// QUERY_CORRECTION_OFFSET (308).
#[derive(Debug, Clone, Header)]
pub struct QueryCorrectionOffsetRequestHeader<'a> {
    /// Groups that do not count, split by commas.
    pub filter_groups: Option<Cow<'a, str>>,
    /// Group that is compared with the others.
    pub compare_group: Cow<'a, str>,
    /// Topic.
    pub topic: Cow<'a, str>,
}

/// CLONE_GROUP_OFFSET (314).
#[derive(Debug, Clone, Header)]
pub struct CloneGroupOffsetRequestHeader<'a> {
    /// Group whose offsets are copied.
    pub src_group: Cow<'a, str>,
    /// Group that gets them.
    pub dest_group: Cow<'a, str>,
    /// Topic; all without it.
    pub topic: Option<Cow<'a, str>>,
    /// Whatever the group subscribes to.
    pub offline: Option<bool>,
}

/// VIEW_BROKER_STATS_DATA (315).
#[derive(Debug, Clone, Header)]
pub struct ViewBrokerStatsDataRequestHeader<'a> {
    /// Statistic.
    pub stats_name: Cow<'a, str>,
    /// What it is of.
    pub stats_key: Cow<'a, str>,
}

/// GET_BROKER_CONSUME_STATS (317).
#[derive(Debug, Clone, Header)]
pub struct GetConsumeStatsInBrokerHeader {
    /// Ordered topics only.
    pub is_order: Option<bool>,
}

/// QUERY_CONSUME_QUEUE (321).
#[derive(Debug, Clone, Header)]
pub struct QueryConsumeQueueRequestHeader<'a> {
    /// Topic.
    pub topic: Option<Cow<'a, str>>,
    /// Queue.
    pub queue_id: Option<i32>,
    /// First unit.
    pub index: Option<i64>,
    /// How many.
    pub count: Option<i32>,
    /// Group whose filter they are looked at with.
    pub consumer_group: Option<Cow<'a, str>>,
}

/// QUERY_SUBSCRIPTION_BY_CONSUMER (345).
#[derive(Debug, Clone, Header)]
pub struct QuerySubscriptionByConsumerRequestHeader<'a> {
    /// Group.
    pub group: Cow<'a, str>,
    /// Topic.
    pub topic: Option<Cow<'a, str>>,
}

/// END_TRANSACTION (37).
#[derive(Debug, Clone, Header)]
pub struct EndTransactionRequestHeader<'a> {
    /// Group of the producer.
    pub producer_group: Cow<'a, str>,
    /// Offset of the half message in the half queue.
    pub tran_state_table_offset: i64,
    /// Physical offset of the half message.
    pub commit_log_offset: i64,
    /// 8 commit, 12 rollback, 0 unknown.
    pub commit_or_rollback: i32,
    /// The answer to a check.
    pub from_transaction_check: Option<bool>,
    /// Message id of the client's making; nothing depends on it.
    pub msg_id: Option<Cow<'a, str>>,
    /// Transaction id.
    pub transaction_id: Option<Cow<'a, str>>,
}

/// CHECK_TRANSACTION_STATE (39), which the broker asks a producer.
#[derive(Debug, Clone, Header)]
pub struct CheckTransactionStateRequestHeader<'a> {
    /// Offset of the half message in the half queue.
    pub tran_state_table_offset: i64,
    /// Physical offset of the half message.
    pub commit_log_offset: i64,
    /// Message id of the client's making.
    pub msg_id: Option<Cow<'a, str>>,
    /// Transaction id.
    pub transaction_id: Option<Cow<'a, str>>,
    /// Message id of the broker's making.
    pub offset_msg_id: Option<Cow<'a, str>>,
}

/// RESUME_CHECK_HALF_MESSAGE (323).
#[derive(Debug, Clone, Header)]
pub struct ResumeCheckHalfMessageRequestHeader<'a> {
    /// Message id of the broker's making of a half message that was given up.
    pub msg_id: Option<Cow<'a, str>>,
}

/// UPDATE_AND_GET_GROUP_FORBIDDEN (353).
#[derive(Debug, Clone, Header)]
pub struct UpdateGroupForbiddenRequestHeader<'a> {
    /// Group.
    pub group: Cow<'a, str>,
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Whether the group may read it; none asks only.
    pub readable: Option<bool>,
}

/// SET_COMMITLOG_READ_MODE (2004).
#[derive(Debug, Clone, Header)]
pub struct SetCommitLogReadModeRequestHeader<'a> {
    /// 0 as the kernel likes, 1 only what is touched.
    #[header(java = "READ_AHEAD_MODE")]
    pub read_ahead_mode: Option<Cow<'a, str>>,
}

/// PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361).
#[derive(Debug, Clone, Header)]
pub struct PullMessageRequestHeader<'a> {
    /// Group of the consumer.
    pub consumer_group: Cow<'a, str>,
    /// Topic to read.
    pub topic: Cow<'a, str>,
    /// Queue to read.
    pub queue_id: i32,
    /// First offset wanted.
    pub queue_offset: i64,
    /// Most messages wanted.
    pub max_msg_nums: i32,
    /// Pull sysFlag: 1 commit, 2 may wait, 4 subscription in this header, 8 class filter, 16 lite.
    pub sys_flag: i32,
    /// Offset to commit when sysFlag has 1.
    pub commit_offset: Option<i64>,
    /// How long the broker may hold the request, ms.
    pub suspend_timeout_millis: Option<i64>,
    /// Filter expression when sysFlag has 4.
    pub subscription: Option<Cow<'a, str>>,
    /// Version of the client's subscription, ms since 1970.
    pub sub_version: Option<i64>,
    /// TAG or SQL92.
    pub expression_type: Option<Cow<'a, str>>,
    /// Most body bytes wanted, 5.x.
    pub max_msg_bytes: Option<i32>,
}

impl PullMessageRequestHeader<'_> {
    /// The same header, independent of its frame.
    pub fn into_owned(self) -> PullMessageRequestHeader<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        PullMessageRequestHeader {
            consumer_group: own(self.consumer_group),
            topic: own(self.topic),
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            max_msg_nums: self.max_msg_nums,
            sys_flag: self.sys_flag,
            commit_offset: self.commit_offset,
            suspend_timeout_millis: self.suspend_timeout_millis,
            subscription: self.subscription.map(own),
            sub_version: self.sub_version,
            expression_type: self.expression_type.map(own),
            max_msg_bytes: self.max_msg_bytes,
        }
    }
}

/// Answer to a pull, whatever its code.
#[derive(Debug, Clone, Default, Header)]
pub struct PullMessageResponseHeader {
    /// Broker id the consumer should read from next.
    pub suggest_which_broker_id: i64,
    /// Offset to go on from.
    pub next_begin_offset: i64,
    /// First offset of the queue.
    pub min_offset: i64,
    /// End of the queue.
    pub max_offset: i64,
    /// Which of broker, group, topic, broadcasting, subscription forbids the pull (1 to 5), 5.x.
    pub forbidden_type: Option<i32>,
}

/// QUERY_CONSUMER_OFFSET (14).
#[derive(Debug, Clone, Header)]
pub struct QueryConsumerOffsetRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Queue.
    pub queue_id: i32,
    /// `false`: never answer 0 for an offset that was not stored, 5.x.
    pub set_zero_if_not_found: Option<bool>,
}

/// UPDATE_CONSUMER_OFFSET (15).
#[derive(Debug, Clone, Header)]
pub struct UpdateConsumerOffsetRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Queue.
    pub queue_id: i32,
    /// Next offset to consume.
    pub commit_offset: i64,
}

/// Requests about one queue: GET_MAX_OFFSET (30), GET_MIN_OFFSET (31), GET_EARLIEST_MSG_STORETIME (32).
#[derive(Debug, Clone, Header)]
pub struct QueueRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Queue.
    pub queue_id: i32,
}

/// SEARCH_OFFSET_BY_TIMESTAMP (29).
#[derive(Debug, Clone, Header)]
pub struct SearchOffsetRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Queue.
    pub queue_id: i32,
    /// Store time looked for, ms since 1970.
    pub timestamp: i64,
    /// `lower` or `upper` (any case), 5.x.
    pub boundary_type: Option<Cow<'a, str>>,
}

/// Answers that carry one offset.
#[derive(Debug, Clone, Header)]
pub struct OffsetResponseHeader {
    /// The offset.
    pub offset: i64,
}

/// Answer to GET_EARLIEST_MSG_STORETIME (32).
#[derive(Debug, Clone, Header)]
pub struct TimestampResponseHeader {
    /// ms since 1970, -1 if the queue is empty.
    pub timestamp: i64,
}

/// VIEW_MESSAGE_BY_ID (33).
#[derive(Debug, Clone, Header)]
pub struct ViewMessageRequestHeader {
    /// Physical offset.
    pub offset: i64,
}

/// QUERY_MESSAGE (12).
#[derive(Debug, Clone, Header)]
pub struct QueryMessageRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// A word of KEYS, or a unique id.
    pub key: Cow<'a, str>,
    /// Most messages wanted.
    pub max_num: i32,
    /// Earliest store time, ms since 1970.
    pub begin_timestamp: i64,
    /// Latest store time, ms since 1970.
    pub end_timestamp: i64,
    /// The key is a unique id (RocketMQ 4.9.8, MixAll.UNIQUE_MSG_QUERY_FLAG).
    #[header(java = "_UNIQUE_KEY_QUERY")]
    pub unique_key_query: Option<bool>,
}

/// Answer to QUERY_MESSAGE, found or not.
#[derive(Debug, Clone, Default, Header)]
pub struct QueryMessageResponseHeader {
    /// Store time of the newest message in the index, ms since 1970; 0 when nothing was found.
    pub index_last_update_timestamp: i64,
    /// Its physical offset; 0 when nothing was found.
    pub index_last_update_phyoffset: i64,
}

/// UNREGISTER_CLIENT (35).
#[derive(Debug, Clone, Header)]
pub struct UnregisterClientRequestHeader<'a> {
    /// Client id; its connection says who it is.
    #[header(java = "clientID")]
    pub client_id: Option<Cow<'a, str>>,
    /// Producer group to leave.
    pub producer_group: Option<Cow<'a, str>>,
    /// Consumer group to leave.
    pub consumer_group: Option<Cow<'a, str>>,
}

/// CONSUMER_SEND_MSG_BACK (36).
#[derive(Debug, Clone, Header)]
pub struct ConsumerSendMsgBackRequestHeader<'a> {
    /// Physical offset of the message.
    pub offset: i64,
    /// Consumer group.
    pub group: Cow<'a, str>,
    /// Below 0: dead letter; 0: the broker chooses; else the level.
    pub delay_level: i32,
    /// Message id of the first delivery.
    pub origin_msg_id: Option<Cow<'a, str>>,
    /// Topic of the first delivery.
    pub origin_topic: Option<Cow<'a, str>>,
    /// Unit mode.
    pub unit_mode: Option<bool>,
    /// The client's own limit, honoured from client version 121 on.
    pub max_reconsume_times: Option<i32>,
}

/// Requests that name a consumer group: 38, 203, 204 (producerGroup), 40.
#[derive(Debug, Clone, Header)]
pub struct ConsumerGroupRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
}

/// GET_PRODUCER_CONNECTION_LIST (204).
#[derive(Debug, Clone, Header)]
pub struct ProducerGroupRequestHeader<'a> {
    /// Group.
    pub producer_group: Cow<'a, str>,
}

/// UPDATE_AND_CREATE_TOPIC (17).
#[derive(Debug, Clone, Header)]
pub struct CreateTopicRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Unused by the broker.
    pub default_topic: Option<Cow<'a, str>>,
    /// Queues consumers read.
    pub read_queue_nums: i32,
    /// Queues producers write.
    pub write_queue_nums: i32,
    /// Permission bits.
    pub perm: i32,
    /// SINGLE_TAG or MULTI_TAG.
    pub topic_filter_type: Option<Cow<'a, str>>,
    /// Topic sysFlag.
    pub topic_sys_flag: Option<i32>,
    /// Ordered topic.
    pub order: Option<bool>,
    /// `+key=value,-key`, 5.x.
    pub attributes: Option<Cow<'a, str>>,
}

/// Requests that name a topic: 202, 215, 300, 351.
#[derive(Debug, Clone, Header)]
pub struct TopicRequestHeader<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
}

/// GET_ALL_TOPIC_CONFIG; Java's has no fields.
#[derive(Debug, Clone, Default, Header)]
pub struct AllTopicsRequestHeader {
    /// Ours: a slave wants to hear which topics were deleted, too.
    #[header(optional)]
    pub deleted_topics: Option<bool>,
    /// Ours: where the slave's log begins; it wants to hear the ends of queues of whose messages it has none.
    #[header(optional)]
    pub queue_ends_before: Option<i64>,
}

/// GET_BROKER_RUNTIME_INFO; Java's has no fields. Ours: a slave says which change of each table it has, as this request's answer told
/// it.
#[derive(Debug, Clone, Default, Header)]
pub struct RuntimeInfoRequestHeader<'a> {
    /// Topics.
    #[header(optional)]
    pub has_topics: Option<Cow<'a, str>>,
    /// Groups.
    #[header(optional)]
    pub has_groups: Option<Cow<'a, str>>,
    /// Consumer offsets.
    #[header(optional)]
    pub has_offsets: Option<Cow<'a, str>>,
    /// Delivery of delayed messages.
    #[header(optional)]
    pub has_delays: Option<Cow<'a, str>>,
    /// How long the answer may wait for other topics or groups, ms.
    #[header(optional)]
    pub wait_ms: Option<i64>,
    /// The slave's brokerId: several may have one address.
    #[header(optional)]
    pub slave_id: Option<i64>,
    /// The start of the master, ms since 1970, since which the slave has given back what was lost of the tables.
    #[header(optional)]
    pub given_back: Option<i64>,
    /// How far each level of delayed messages is delivered, which the master has lost: `1:20,3:7`.
    #[header(optional)]
    pub given_delays: Option<Cow<'a, str>>,
    /// The body has consumer offsets that the master has lost.
    #[header(optional)]
    pub given_offsets: Option<bool>,
}

/// UPDATE_AND_CREATE_TOPIC_LIST (18), UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (225); Java's have no fields.
#[derive(Debug, Clone, Default, Header)]
pub struct GivenBackRequestHeader {
    /// Ours: a slave gives back what its master has lost. What was made there since on a request of somebody stays.
    #[header(optional)]
    pub given_back: Option<bool>,
}

/// Requests that name a group by `group`: 343, 352.
#[derive(Debug, Clone, Header)]
pub struct GroupRequestHeader<'a> {
    /// Group.
    pub group: Cow<'a, str>,
}

/// DELETE_SUBSCRIPTIONGROUP (207).
#[derive(Debug, Clone, Header)]
pub struct DeleteSubscriptionGroupRequestHeader<'a> {
    /// Group.
    pub group_name: Cow<'a, str>,
    /// Forget its offsets too (5.x spelling).
    pub clean_offset: Option<bool>,
    /// Forget its offsets too (4.9 spelling).
    pub remove_offset: Option<bool>,
}

/// GET_CONSUME_STATS (208).
#[derive(Debug, Clone, Header)]
pub struct GetConsumeStatsRequestHeader<'a> {
    /// Group.
    pub consumer_group: Cow<'a, str>,
    /// One topic; all topics of the group when missing.
    pub topic: Option<Cow<'a, str>>,
}

/// Answer to GET_BROKER_CONFIG (26).
#[derive(Debug, Clone, Header)]
pub struct GetBrokerConfigResponseHeader {
    /// DataVersion as JSON.
    pub version: String,
}

/// Answer to HEART_BEAT (34), 5.x.
#[derive(Debug, Clone, Header)]
pub struct HeartbeatResponseHeader {
    /// The broker takes heartbeats without subscriptions.
    #[header(java = "IS_SUPPORT_HEART_BEAT_V2")]
    pub support_heartbeat_v2: bool,
    /// The subscriptions differ from the stored ones.
    #[header(java = "IS_SUB_CHANGE")]
    pub subscription_changed: bool,
}

/// NOTIFY_CONSUMER_IDS_CHANGED (40), broker to client.
#[derive(Debug, Clone, Header)]
pub struct NotifyConsumerIdsChangedRequestHeader<'a> {
    /// Group whose members changed.
    pub consumer_group: Cow<'a, str>,
}

/// UPDATE_AND_CREATE_ACL_CONFIG (50).
#[derive(Debug, Clone, Header)]
pub struct UpdateAclConfigRequestHeader<'a> {
    /// Name of the account.
    pub access_key: Option<Cow<'a, str>>,
    /// Its secret.
    pub secret_key: Option<Cow<'a, str>>,
    /// Where it needs no signature.
    pub white_remote_address: Option<Cow<'a, str>>,
    /// May it do what operators do?
    pub admin: Option<bool>,
    /// Permission for topics that are not in the list.
    pub default_topic_perm: Option<Cow<'a, str>>,
    /// Permission for groups that are not in the list.
    pub default_group_perm: Option<Cow<'a, str>>,
    /// `topic=permission`, separated by commas.
    pub topic_perms: Option<Cow<'a, str>>,
    /// `group=permission`, separated by commas.
    pub group_perms: Option<Cow<'a, str>>,
}

/// DELETE_ACL_CONFIG (51).
#[derive(Debug, Clone, Header)]
pub struct DeleteAclConfigRequestHeader<'a> {
    /// Name of the account.
    pub access_key: Option<Cow<'a, str>>,
}

/// UPDATE_GLOBAL_WHITE_ADDRS_CONFIG (53).
#[derive(Debug, Clone, Header)]
pub struct UpdateGlobalWhiteAddrsRequestHeader<'a> {
    /// Patterns, separated by commas.
    pub global_white_addrs: Option<Cow<'a, str>>,
    /// The file; the default one if it is not given.
    pub acl_file_full_path: Option<Cow<'a, str>>,
}

/// Answer to GET_BROKER_CLUSTER_ACL_INFO (52).
#[derive(Debug, Clone, Header)]
pub struct AclInfoResponseHeader {
    /// DataVersion of the default file, as JSON.
    pub version: String,
    /// DataVersions by the paths of files, as JSON.
    pub all_acl_file_version: String,
    /// Address of the broker.
    pub broker_addr: String,
    /// Its name.
    pub broker_name: String,
    /// Its cluster.
    pub cluster_name: String,
}
