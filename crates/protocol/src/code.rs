//! Request and response codes of RocketMQ 4.9.8 and 5.3.3.

/// Codes, and their names as a table.
macro_rules! codes {
    ($($(#[doc = $doc:expr])* pub const $name:ident: i32 = $code:expr;)*) => {
        $($(#[doc = $doc])* pub const $name: i32 = $code;)*

        /// RocketMQ's name of a code, the first where 4.9 and 5.x use it for two things; none if there is none.
        #[allow(unreachable_patterns, reason = "some responses of 4.9 have numbers that 5.x gives to others")]
        pub fn name(code: i32) -> Option<&'static str> {
            Some(match code {
                $($code => stringify!($name),)*
                _ => return None,
            })
        }
    };
}
use codes;

/// Request codes.
pub mod request {
    super::codes! {
        /// Store one message, long header field names (served by: broker; since 4.9).
        pub const SEND_MESSAGE: i32 = 10;
        /// Read messages of one queue from an offset, with long polling (served by: broker; since 4.9).
        pub const PULL_MESSAGE: i32 = 11;
        /// Look messages up in the key index (served by: broker; since 4.9).
        pub const QUERY_MESSAGE: i32 = 12;
        /// Defined but unused: no sender and no processor branch in either tag (served by: nobody; since 4.9).
        pub const QUERY_BROKER_OFFSET: i32 = 13;
        /// Read a group's committed offset of one queue (served by: broker; since 4.9).
        pub const QUERY_CONSUMER_OFFSET: i32 = 14;
        /// Commit a group's offset of one queue; Java clients usually send it oneway (served by: broker; since 4.9).
        pub const UPDATE_CONSUMER_OFFSET: i32 = 15;
        /// Create a topic or overwrite its settings (served by: broker; since 4.9).
        pub const UPDATE_AND_CREATE_TOPIC: i32 = 17;
        /// Create or change many topics in one call (served by: broker; since 5.x).
        pub const UPDATE_AND_CREATE_TOPIC_LIST: i32 = 18;
        /// Full topic table plus data version; also used by slaves to copy the master (served by: broker; since 4.9).
        pub const GET_ALL_TOPIC_CONFIG: i32 = 21;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const GET_TOPIC_CONFIG_LIST: i32 = 22;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const GET_TOPIC_NAME_LIST: i32 = 23;
        /// Change broker settings at run time; only keys already known are merged into the saved file (served by: broker; since 4.9).
        pub const UPDATE_BROKER_CONFIG: i32 = 25;
        /// All effective settings of the broker; header version = DataVersion as JSON text (served by: broker; since 4.9).
        pub const GET_BROKER_CONFIG: i32 = 26;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const TRIGGER_DELETE_FILES: i32 = 27;
        /// Run-time counters as a string map (served by: broker; since 4.9).
        pub const GET_BROKER_RUNTIME_INFO: i32 = 28;
        /// Queue offset nearest a store time; boundaryType is "lower" or "upper" (5.x) (served by: broker; since 4.9).
        pub const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
        /// Next offset to be written in a queue (0 when the queue has none) (served by: broker; since 4.9).
        pub const GET_MAX_OFFSET: i32 = 30;
        /// Smallest readable offset of a queue (served by: broker; since 4.9).
        pub const GET_MIN_OFFSET: i32 = 31;
        /// Store time of the oldest message of a queue, -1 if none (served by: broker; since 4.9).
        pub const GET_EARLIEST_MSG_STORETIME: i32 = 32;
        /// Read a message by commit-log offset (taken from the offset message id) (served by: broker; since 4.9).
        pub const VIEW_MESSAGE_BY_ID: i32 = 33;
        /// Register the connection as producer/consumer of its groups; every 30 s (served by: broker; since 4.9).
        pub const HEART_BEAT: i32 = 34;
        /// Drop a client from one producer and/or consumer group (served by: broker; since 4.9).
        pub const UNREGISTER_CLIENT: i32 = 35;
        /// Ask the broker to re-queue a failed message (retry topic or DLQ) (served by: broker; since 4.9).
        pub const CONSUMER_SEND_MSG_BACK: i32 = 36;
        /// Commit / roll back / leave unknown a half message; sent oneway by Java clients (served by: broker; since 4.9).
        pub const END_TRANSACTION: i32 = 37;
        /// Client ids now in a consumer group (for rebalance) (served by: broker; since 4.9).
        pub const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
        /// Broker asks a producer for the fate of a half message (oneway); the producer answers with END_TRANSACTION (served by: client; since 4.9).
        pub const CHECK_TRANSACTION_STATE: i32 = 39;
        /// Tell group members to rebalance now (oneway) (served by: client; since 4.9).
        pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
        /// Take the 60 s queue locks for orderly consumption; replies with the queues locked (served by: broker; since 4.9).
        pub const LOCK_BATCH_MQ: i32 = 41;
        /// Give queue locks back (served by: broker; since 4.9).
        pub const UNLOCK_BATCH_MQ: i32 = 42;
        /// Whole committed-offset table (slave sync) (served by: broker; since 4.9).
        pub const GET_ALL_CONSUMER_OFFSET: i32 = 43;
        /// Progress of every delay level (slave sync) (served by: broker; since 4.9).
        pub const GET_ALL_DELAY_OFFSET: i32 = 45;
        /// Ask the broker to compile a SQL92 subscription before the consumer starts (served by: broker; since 4.9).
        pub const CHECK_CLIENT_CONFIG: i32 = 46;
        /// Defined but unused in 5.3.3 (served by: nobody; since 5.x).
        pub const GET_CLIENT_CONFIG: i32 = 47;
        /// 4.9 only: add or change an account in plain_acl.yml (served by: broker; since 4.9).
        pub const UPDATE_AND_CREATE_ACL_CONFIG: i32 = 50;
        /// 4.9 only: remove an account (served by: broker; since 4.9).
        pub const DELETE_ACL_CONFIG: i32 = 51;
        /// 4.9 only: version of the ACL files of a broker (served by: broker; since 4.9).
        pub const GET_BROKER_CLUSTER_ACL_INFO: i32 = 52;
        /// 4.9 only: replace the global white-list addresses (served by: broker; since 4.9).
        pub const UPDATE_GLOBAL_WHITE_ADDRS_CONFIG: i32 = 53;
        /// 4.9.0 to 5.3.2, not 4.9.8: all accounts of a broker, secrets included (served by: broker; since 4.9).
        pub const GET_BROKER_CLUSTER_ACL_CONFIG: i32 = 54;
        /// Timer-wheel checkpoint for slave sync (served by: broker; since 5.x).
        pub const GET_TIMER_CHECK_POINT: i32 = 60;
        /// Timer-message counters per topic for slave sync (served by: broker; since 5.x).
        pub const GET_TIMER_METRICS: i32 = 61;
        /// Set one namespaced key in the name server (served by: namesrv; since 4.9).
        pub const PUT_KV_CONFIG: i32 = 100;
        /// Read one namespaced key; absent -> code 22 (served by: namesrv; since 4.9).
        pub const GET_KV_CONFIG: i32 = 101;
        /// Delete one namespaced key (served by: namesrv; since 4.9).
        pub const DELETE_KV_CONFIG: i32 = 102;
        /// Broker (re-)registers itself and its topics (served by: namesrv; since 4.9).
        pub const REGISTER_BROKER: i32 = 103;
        /// Broker leaves (served by: namesrv; since 4.9).
        pub const UNREGISTER_BROKER: i32 = 104;
        /// Queues and broker addresses of a topic; absent -> code 17 (served by: namesrv; since 4.9).
        pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
        /// All clusters, broker names and addresses (served by: namesrv; since 4.9).
        pub const GET_BROKER_CLUSTER_INFO: i32 = 106;
        /// Create or overwrite a consumer group (served by: broker; since 4.9).
        pub const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: i32 = 200;
        /// All consumer groups (served by: broker; since 4.9).
        pub const GET_ALL_SUBSCRIPTIONGROUP_CONFIG: i32 = 201;
        /// Min/max offset and last write time per queue of a topic (served by: broker; since 4.9).
        pub const GET_TOPIC_STATS_INFO: i32 = 202;
        /// Connections and subscription of a consumer group; none -> code 206 (served by: broker; since 4.9).
        pub const GET_CONSUMER_CONNECTION_LIST: i32 = 203;
        /// Connections of a producer group; none -> code 1 (served by: broker; since 4.9).
        pub const GET_PRODUCER_CONNECTION_LIST: i32 = 204;
        /// Clear the write bit of all of a broker's queues in this name server (served by: namesrv; since 4.9).
        pub const WIPE_WRITE_PERM_OF_BROKER: i32 = 205;
        /// All topic names known (served by: namesrv; since 4.9).
        pub const GET_ALL_TOPIC_LIST_FROM_NAMESERVER: i32 = 206;
        /// Delete a consumer group, optionally its offsets (served by: broker; since 4.9).
        pub const DELETE_SUBSCRIPTIONGROUP: i32 = 207;
        /// Broker vs consumer offsets of a group; topicList (5.x) is ";"-separated (served by: broker; since 4.9).
        pub const GET_CONSUME_STATS: i32 = 208;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const SUSPEND_CONSUMER: i32 = 209;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const RESUME_CONSUMER: i32 = 210;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const RESET_CONSUMER_OFFSET_IN_CONSUMER: i32 = 211;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const RESET_CONSUMER_OFFSET_IN_BROKER: i32 = 212;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const ADJUST_CONSUMER_THREAD_POOL: i32 = 213;
        /// Defined but unused (served by: nobody; since 4.9).
        pub const WHO_CONSUME_THE_MESSAGE: i32 = 214;
        /// Delete a topic on one broker (served by: broker; since 4.9).
        pub const DELETE_TOPIC_IN_BROKER: i32 = 215;
        /// Drop topic routes; clusterName limits it to the brokers of one cluster (served by: namesrv; since 4.9).
        pub const DELETE_TOPIC_IN_NAMESRV: i32 = 216;
        /// Register one topic without a full broker registration (served by: namesrv; since 5.x).
        pub const REGISTER_TOPIC_IN_NAMESRV: i32 = 217;
        /// All keys of a namespace; absent -> code 22 (served by: namesrv; since 4.9).
        pub const GET_KVLIST_BY_NAMESPACE: i32 = 219;
        /// Broker pushes new offsets to online consumers (oneway) (served by: client; since 4.9).
        pub const RESET_CONSUMER_CLIENT_OFFSET: i32 = 220;
        /// Broker asks a consumer for its in-memory queue offsets (served by: client; since 4.9).
        pub const GET_CONSUMER_STATUS_FROM_CLIENT: i32 = 221;
        /// Reset group offsets by time (-1 = newest) or, 5.x, to a given offset of one queue (served by: broker; since 4.9).
        pub const INVOKE_BROKER_TO_RESET_OFFSET: i32 = 222;
        /// Collect GET_CONSUMER_STATUS_FROM_CLIENT from the group members (served by: broker; since 4.9).
        pub const INVOKE_BROKER_TO_GET_CONSUMER_STATUS: i32 = 223;
        /// Topics that have a queue on a broker of the cluster (served by: namesrv; since 4.9).
        pub const GET_TOPICS_BY_CLUSTER: i32 = 224;
        /// Create or change many consumer groups (served by: broker; since 5.x).
        pub const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: i32 = 225;
        /// Groups that consume a topic (online or with offsets) (served by: broker; since 4.9).
        pub const QUERY_TOPIC_CONSUME_BY_WHO: i32 = 300;
        /// Relic of filter servers: constants (and 4.9 header classes) only, no processor branch in either tag (served by: nobody; since 4.9).
        pub const REGISTER_FILTER_SERVER: i32 = 301;
        /// Relic: 4.9 clients could upload a filter class to a filter server; neither broker nor namesrv serves it (served by: nobody; since 4.9).
        pub const REGISTER_MESSAGE_FILTER_CLASS: i32 = 302;
        /// Time window of stored vs consumed messages per queue (served by: broker; since 4.9).
        pub const QUERY_CONSUME_TIME_SPAN: i32 = 303;
        /// Cluster and broker names as pseudo topics, plus one broker address (served by: namesrv; since 4.9).
        pub const GET_SYSTEM_TOPIC_LIST_FROM_NS: i32 = 304;
        /// The broker's system topics (served by: broker; since 4.9).
        pub const GET_SYSTEM_TOPIC_LIST_FROM_BROKER: i32 = 305;
        /// Delete expired consume-queue files now (served by: broker; since 4.9).
        pub const CLEAN_EXPIRED_CONSUMEQUEUE: i32 = 306;
        /// State dump of one consumer; the broker relays it to the client connection (served by: broker, client; since 4.9).
        pub const GET_CONSUMER_RUNNING_INFO: i32 = 307;
        /// Smallest offset over the other groups of a topic (served by: broker; since 4.9).
        pub const QUERY_CORRECTION_OFFSET: i32 = 308;
        /// Make one consumer process one message again and report the outcome (served by: broker, client; since 4.9).
        pub const CONSUME_MESSAGE_DIRECTLY: i32 = 309;
        /// Same as SEND_MESSAGE with one-letter header names; what Java clients send by default (served by: broker; since 4.9).
        pub const SEND_MESSAGE_V2: i32 = 310;
        /// Topics whose sysFlag has the unit bit (served by: namesrv; since 4.9).
        pub const GET_UNIT_TOPIC_LIST: i32 = 311;
        /// Topics whose sysFlag has the unit-subscription bit (served by: namesrv; since 4.9).
        pub const GET_HAS_UNIT_SUB_TOPIC_LIST: i32 = 312;
        /// Topics with the unit-subscription bit but not the unit bit (served by: namesrv; since 4.9).
        pub const GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST: i32 = 313;
        /// Copy offsets from one group to another inside the broker (served by: broker; since 4.9).
        pub const CLONE_GROUP_OFFSET: i32 = 314;
        /// Minute/hour/day figures of one statistic (served by: broker; since 4.9).
        pub const VIEW_BROKER_STATS_DATA: i32 = 315;
        /// Delete consume queues of topics no longer configured (served by: broker; since 4.9).
        pub const CLEAN_UNUSED_TOPIC: i32 = 316;
        /// Consume stats of every group of the broker (served by: broker; since 4.9).
        pub const GET_BROKER_CONSUME_STATS: i32 = 317;
        /// Change name-server settings; black-listed keys -> code 16 (served by: namesrv; since 4.9).
        pub const UPDATE_NAMESRV_CONFIG: i32 = 318;
        /// All name-server settings (served by: namesrv; since 4.9).
        pub const GET_NAMESRV_CONFIG: i32 = 319;
        /// Store many messages of one topic; header as SEND_MESSAGE_V2 with m=true (served by: broker; since 4.9).
        pub const SEND_BATCH_MESSAGE: i32 = 320;
        /// Dump consume-queue entries (served by: broker; since 4.9).
        pub const QUERY_CONSUME_QUEUE: i32 = 321;
        /// Broker asks whether its topics changed since last registration; also refreshes the broker's liveness (served by: namesrv; since 4.9).
        pub const QUERY_DATA_VERSION: i32 = 322;
        /// Put a given-up half message back with check count 0 (served by: broker; since 4.9).
        pub const RESUME_CHECK_HALF_MESSAGE: i32 = 323;
        /// Request/reply: deliver a reply to the asking producer (served by: broker; since 4.9).
        pub const SEND_REPLY_MESSAGE: i32 = 324;
        /// Same with one-letter header names (served by: broker; since 4.9).
        pub const SEND_REPLY_MESSAGE_V2: i32 = 325;
        /// Broker pushes a reply to the producer whose client id is in REPLY_TO_CLIENT; the client must answer code 0 (served by: client; since 4.9).
        pub const PUSH_REPLY_MESSAGE_TO_CLIENT: i32 = 326;
        /// Set perm of all of a broker's queues to 6 in this name server (served by: namesrv; since 4.9).
        pub const ADD_WRITE_PERM_OF_BROKER: i32 = 327;
        /// All producer groups and their connections (served by: broker; since 4.9).
        pub const GET_ALL_PRODUCER_INFO: i32 = 328;
        /// Delete expired commit-log files now (served by: broker; since 4.9).
        pub const DELETE_EXPIRED_COMMITLOG: i32 = 329;
        /// Topics a group has offsets for (served by: broker; since 5.x).
        pub const QUERY_TOPICS_BY_CONSUMER: i32 = 343;
        /// Live subscription of a group to a topic (served by: broker; since 5.x).
        pub const QUERY_SUBSCRIPTION_BY_CONSUMER: i32 = 345;
        /// Settings of one topic; absent -> code 17 (served by: broker; since 5.x).
        pub const GET_TOPIC_CONFIG: i32 = 351;
        /// Settings of one group; absent -> code 26 (served by: broker; since 5.x).
        pub const GET_SUBSCRIPTIONGROUP_CONFIG: i32 = 352;
        /// Forbid or allow a group to read one topic (served by: broker; since 5.x).
        pub const UPDATE_AND_GET_GROUP_FORBIDDEN: i32 = 353;
        /// Start a comparison of file and RocksDB consume queues; replies at once "in progress" (served by: broker; since 5.x).
        pub const CHECK_ROCKSDB_CQ_WRITE_PROGRESS: i32 = 354;
        /// Write RocksDB-kept tables to JSON files on the broker; configType is ";"-separated (served by: broker; since 5.x).
        pub const EXPORT_ROCKSDB_CONFIG_TO_JSON: i32 = 355;
        /// PULL_MESSAGE on its own thread pool for lite pull consumers (sysFlag bit 4); main port only (served by: broker; since 5.x).
        pub const LITE_PULL_MESSAGE: i32 = 361;
        /// Cancel a timer message by its recall handle; off by default (recallMessageEnable) (served by: broker; since 5.x).
        pub const RECALL_MESSAGE: i32 = 370;
        /// Broker-side rebalance: which queues (and pull/pop mode) for this client (served by: broker; since 5.x).
        pub const QUERY_ASSIGNMENT: i32 = 400;
        /// Choose PULL or POP for a topic+group (served by: broker; since 5.x).
        pub const SET_MESSAGE_REQUEST_MODE: i32 = 401;
        /// All PULL/POP choices (slave sync) (served by: broker; since 5.x).
        pub const GET_ALL_MESSAGE_REQUEST_MODE: i32 = 402;
        /// Create a topic with fixed logical queues mapped over brokers (served by: broker; since 5.x).
        pub const UPDATE_AND_CREATE_STATIC_TOPIC: i32 = 513;
        /// Replicas (id -> address) of one broker name (served by: namesrv; since 5.x).
        pub const GET_BROKER_MEMBER_GROUP: i32 = 901;
        /// Start a broker inside a broker container process (served by: broker; since 5.x).
        pub const ADD_BROKER: i32 = 902;
        /// Stop a broker inside a broker container process (served by: broker; since 5.x).
        pub const REMOVE_BROKER: i32 = 903;
        /// Light liveness signal (namesrv: refreshes the timestamp only) (served by: namesrv, controller; since 5.x).
        pub const BROKER_HEARTBEAT: i32 = 904;
        /// Name server tells a broker group that its smallest broker id changed (acting master), oneway (served by: broker; since 5.x).
        pub const NOTIFY_MIN_BROKER_ID_CHANGE: i32 = 905;
        /// Master and slave exchange HA address and flush offset (served by: broker; since 5.x).
        pub const EXCHANGE_BROKER_HA_INFO: i32 = 906;
        /// Replication status (served by: broker; since 5.x).
        pub const GET_BROKER_HA_STATUS: i32 = 907;
        /// Overwrite a slave's idea of the master flush offset (served by: broker; since 5.x).
        pub const RESET_MASTER_FLUSH_OFFSET: i32 = 908;
        /// Master reports a new in-sync set (served by: controller; since 5.x).
        pub const CONTROLLER_ALTER_SYNC_STATE_SET: i32 = 1001;
        /// Elect a master for a broker group (served by: controller; since 5.x).
        pub const CONTROLLER_ELECT_MASTER: i32 = 1002;
        /// Broker registers its address with the controller (served by: controller; since 5.x).
        pub const CONTROLLER_REGISTER_BROKER: i32 = 1003;
        /// Current master of a broker group (served by: controller; since 5.x).
        pub const CONTROLLER_GET_REPLICA_INFO: i32 = 1004;
        /// Controller group, leader and peers (served by: controller; since 5.x).
        pub const CONTROLLER_GET_METADATA_INFO: i32 = 1005;
        /// In-sync and out-of-sync replicas of broker groups (served by: controller; since 5.x).
        pub const CONTROLLER_GET_SYNC_STATE_DATA: i32 = 1006;
        /// Epoch history of a broker in controller mode (served by: broker; since 5.x).
        pub const GET_BROKER_EPOCH_CACHE: i32 = 1007;
        /// Controller tells brokers of a new master (oneway) (served by: broker; since 5.x).
        pub const NOTIFY_BROKER_ROLE_CHANGED: i32 = 1008;
        /// Change controller settings (served by: controller; since 5.x).
        pub const UPDATE_CONTROLLER_CONFIG: i32 = 1009;
        /// All controller settings (served by: controller; since 5.x).
        pub const GET_CONTROLLER_CONFIG: i32 = 1010;
        /// Forget replicas of a broker group; ids are ";"-separated (served by: controller; since 5.x).
        pub const CLEAN_BROKER_DATA: i32 = 1011;
        /// Next free broker id of a group (served by: controller; since 5.x).
        pub const CONTROLLER_GET_NEXT_BROKER_ID: i32 = 1012;
        /// Claim that id; registerCheckCode is "address;timestamp" (served by: controller; since 5.x).
        pub const CONTROLLER_APPLY_BROKER_ID: i32 = 1013;
        /// Internal raft-log entry of the JRaft controller: a broker connection closed; not served on the remoting port (served by: controller; since 5.x).
        pub const BROKER_CLOSE_CHANNEL_REQUEST: i32 = 1014;
        /// Internal raft-log entry of the JRaft controller: scan for dead brokers; not served on the remoting port (served by: controller; since 5.x).
        pub const CHECK_NOT_ACTIVE_BROKER_REQUEST: i32 = 1015;
        /// Internal raft-log entry of the JRaft controller: read broker liveness; not served on the remoting port (served by: controller; since 5.x).
        pub const GET_BROKER_LIVE_INFO_REQUEST: i32 = 1016;
        /// Internal raft-log entry of the JRaft controller: read sync-state data; not served on the remoting port (served by: controller; since 5.x).
        pub const GET_SYNC_STATE_DATA_REQUEST: i32 = 1017;
        /// Internal raft-log entry of the JRaft controller: a broker heartbeat; not served on the remoting port (served by: controller; since 5.x).
        pub const RAFT_BROKER_HEART_BEAT_EVENT_REQUEST: i32 = 1018;
        /// Set cold-read limits per group (served by: broker; since 5.x).
        pub const UPDATE_COLD_DATA_FLOW_CTR_CONFIG: i32 = 2001;
        /// Remove a cold-read limit (served by: broker; since 5.x).
        pub const REMOVE_COLD_DATA_FLOW_CTR_CONFIG: i32 = 2002;
        /// Cold-read flow-control state (served by: broker; since 5.x).
        pub const GET_COLD_DATA_FLOW_CTR_INFO: i32 = 2003;
        /// Set madvise mode of commit-log files; ext field READ_AHEAD_MODE = 0 normal or 1 random; the result is in the remark (served by: broker; since 5.x).
        pub const SET_COMMITLOG_READ_MODE: i32 = 2004;
        /// Create a user (served by: broker; since 5.x).
        pub const AUTH_CREATE_USER: i32 = 3001;
        /// Change a user (served by: broker; since 5.x).
        pub const AUTH_UPDATE_USER: i32 = 3002;
        /// Delete a user (served by: broker; since 5.x).
        pub const AUTH_DELETE_USER: i32 = 3003;
        /// Read a user; absent -> code 0 with no body (served by: broker; since 5.x).
        pub const AUTH_GET_USER: i32 = 3004;
        /// List users, optional name filter (served by: broker; since 5.x).
        pub const AUTH_LIST_USER: i32 = 3005;
        /// Create the policies of a subject ("User:name") (served by: broker; since 5.x).
        pub const AUTH_CREATE_ACL: i32 = 3006;
        /// Change the policies of a subject (served by: broker; since 5.x).
        pub const AUTH_UPDATE_ACL: i32 = 3007;
        /// Delete policies, optionally one policyType/resource (served by: broker; since 5.x).
        pub const AUTH_DELETE_ACL: i32 = 3008;
        /// Read the policies of a subject (served by: broker; since 5.x).
        pub const AUTH_GET_ACL: i32 = 3009;
        /// List policies by filters (served by: broker; since 5.x).
        pub const AUTH_LIST_ACL: i32 = 3010;
        /// Ours, of no release of RocketMQ: what access control would say of a request (served by: broker).
        pub const EXPLAIN_ACL: i32 = 3900;
        /// Take up to 32 messages with an invisibility time, broker-side queue choice when queueId<0 (served by: broker; since 5.x).
        pub const POP_MESSAGE: i32 = 200050;
        /// Acknowledge one popped message (served by: broker; since 5.x).
        pub const ACK_MESSAGE: i32 = 200051;
        /// Read without taking or moving offsets; main port only (served by: broker; since 5.x).
        pub const PEEK_MESSAGE: i32 = 200052;
        /// Change when a popped message becomes visible again (served by: broker; since 5.x).
        pub const CHANGE_MESSAGE_INVISIBLETIME: i32 = 200053;
        /// Long-poll only for "is there a message", no data; main port only (served by: broker; since 5.x).
        pub const NOTIFICATION: i32 = 200054;
        /// Number of pop requests parked on a topic/group/queue; main port only (served by: broker; since 5.x).
        pub const POLLING_INFO: i32 = 200055;
        /// Move pop records from the KV store back to the file-based revive log (served by: broker; since 5.x).
        pub const POP_ROLLBACK: i32 = 200056;
        /// Acknowledge many popped messages by bit set (served by: broker; since 5.x).
        pub const BATCH_ACK_MESSAGE: i32 = 200151;
    }
}

/// Response codes.
pub mod response {
    super::codes! {
        /// Request done.
        pub const SUCCESS: i32 = 0;
        /// Unclassified failure: exception in the processor (remark = exception class, message and first.
        pub const SYSTEM_ERROR: i32 = 1;
        /// Flow control. Remark starts with [REJECTREQUEST], [OVERLOAD], [PCBUSY_CLEAN_QUEUE].
        pub const SYSTEM_BUSY: i32 = 2;
        /// No processor for the code; remark " request type N not supported" (leading space). 4.9.8 name.
        pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
        /// Never returned by a server in either tag.
        pub const TRANSACTION_FAILED: i32 = 4;
        /// SYNC_FLUSH did not finish in syncFlushTimeout; message is stored, all response header fields are.
        pub const FLUSH_DISK_TIMEOUT: i32 = 10;
        /// SYNC_MASTER without a usable slave: stored, header filled. Also: END_TRANSACTION or.
        pub const SLAVE_NOT_AVAILABLE: i32 = 11;
        /// SYNC_MASTER: slave did not confirm in slaveTimeout; stored, header filled.
        pub const FLUSH_SLAVE_TIMEOUT: i32 = 12;
        /// Body or properties too large, topic too long, batch to a retry topic (5.x), missing key on a.
        pub const MESSAGE_ILLEGAL: i32 = 13;
        /// Store not writable: disk full, message put to a slave, store shut down; 5.x recall on a.
        pub const SERVICE_NOT_AVAILABLE: i32 = 14;
        /// 5.x proxy only: client version too old; brokers never return it.
        pub const VERSION_NOT_SUPPORTED: i32 = 15;
        /// Broker/topic perm bit missing, group has consumeEnable=false, broadcast not allowed for the.
        pub const NO_PERMISSION: i32 = 16;
        /// Route unknown in the name server; topic unknown in the broker and not auto-created.
        pub const TOPIC_NOT_EXIST: i32 = 17;
        /// Never returned.
        pub const TOPIC_EXIST_ALREADY: i32 = 18;
        /// Nothing at or after the offset (offset equals max, or empty queue asked at 0) and the poll was.
        pub const PULL_NOT_FOUND: i32 = 19;
        /// Scanned messages did not match the filter, or file was being removed, or slave sends the client.
        pub const PULL_RETRY_IMMEDIATELY: i32 = 20;
        /// Offset below min, beyond max, non-zero on an empty queue, or reset on the server side (5.x).
        pub const PULL_OFFSET_MOVED: i32 = 21;
        /// No committed offset for the group; no message for the key; KV key or namespace absent.
        pub const QUERY_NOT_FOUND: i32 = 22;
        /// Subscription expression in the request (pull with sysFlag bit 2, pop, CHECK_CLIENT_CONFIG) does.
        pub const SUBSCRIPTION_PARSE_FAILED: i32 = 23;
        /// Group has no registered consumer or no subscription to the topic (heartbeat not seen yet), or.
        pub const SUBSCRIPTION_NOT_EXIST: i32 = 24;
        /// Request subVersion is newer than the registered subscription.
        pub const SUBSCRIPTION_NOT_LATEST: i32 = 25;
        /// Consumer group unknown and autoCreateSubscriptionGroup=false; 5.x also UPDATE_CONSUMER_OFFSET.
        pub const SUBSCRIPTION_GROUP_NOT_EXIST: i32 = 26;
        /// SQL92 subscription without compiled filter data on the broker.
        pub const FILTER_DATA_NOT_EXIST: i32 = 27;
        /// Compiled filter data older than the request subVersion.
        pub const FILTER_DATA_NOT_LATEST: i32 = 28;
        /// 5.x replacement for several 4.9 SYSTEM_ERROR cases: bad topic name, system topic, queue id out.
        pub const INVALID_PARAMETER: i32 = 29;
        /// Never returned.
        pub const TRANSACTION_SHOULD_COMMIT: i32 = 200;
        /// Never returned.
        pub const TRANSACTION_SHOULD_ROLLBACK: i32 = 201;
        /// Never returned.
        pub const TRANSACTION_STATE_UNKNOW: i32 = 202;
        /// Never returned.
        pub const TRANSACTION_STATE_GROUP_WRONG: i32 = 203;
        /// Never returned by the open-source servers; producers list it as retryable.
        pub const NO_BUYER_ID: i32 = 204;
        /// Never returned by the open-source servers; producers list it as retryable.
        pub const NOT_IN_CURRENT_UNIT: i32 = 205;
        /// GET_CONSUMER_CONNECTION_LIST for a group with no consumer; client-side offset reset with nobody.
        pub const CONSUMER_NOT_ONLINE: i32 = 206;
        /// Relayed call to a consumer (running info, direct consume) timed out.
        pub const CONSUME_MSG_TIMEOUT: i32 = 207;
        /// 5.x: ACK with an offset outside the queue, CHANGE_INVISIBLE likewise, empty batch ack. In.
        pub const NO_MESSAGE: i32 = 208;
        /// 5.x pop: too many parked requests (popPollingSize per key, maxPopPollingSize overall).
        pub const POLLING_FULL: i32 = 209;
        /// 4.9 only: ACL account could not be written.
        pub const UPDATE_AND_CREATE_ACL_CONFIG_FAILED: i32 = 209;
        /// 4.9 only: ACL account could not be deleted.
        pub const DELETE_ACL_CONFIG_FAILED: i32 = 210;
        /// 5.x pop: nothing found and either pollTime is 0/expired or the request arrived more than its.
        pub const POLLING_TIMEOUT: i32 = 210;
        /// 5.x: REMOVE_BROKER for a broker not in the container.
        pub const BROKER_NOT_EXIST: i32 = 211;
        /// 4.9 only: white list could not be written.
        pub const UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED: i32 = 211;
        /// Never returned.
        pub const BROKER_DISPATCH_NOT_COMPLETE: i32 = 212;
        /// 5.x: used inside the admin tool only.
        pub const BROADCAST_CONSUMPTION: i32 = 213;
        /// Open-source servers never return it; consumers back off when they see it.
        pub const FLOW_CONTROL: i32 = 215;
        /// 5.x static topics: this broker does not lead the logical queue.
        pub const NOT_LEADER_FOR_QUEUE: i32 = 501;
        /// 5.x: commit/rollback later than CHECK_IMMUNITY_TIME_IN_SECONDS without a check; bad recall handle.
        pub const ILLEGAL_OPERATION: i32 = 604;
        /// Server is shutting down gracefully (enableShutdownGracefully) and the caller version is above.
        pub const GO_AWAY: i32 = 1500;
        /// Stale master epoch.
        pub const CONTROLLER_FENCED_MASTER_EPOCH: i32 = 2000;
        /// Stale sync-state-set epoch.
        pub const CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH: i32 = 2001;
        /// Caller is not the recorded master.
        pub const CONTROLLER_INVALID_MASTER: i32 = 2002;
        /// Replica unknown, or master missing from the new set.
        pub const CONTROLLER_INVALID_REPLICAS: i32 = 2003;
        /// No master at present.
        pub const CONTROLLER_MASTER_NOT_AVAILABLE: i32 = 2004;
        /// Heartbeat without broker id.
        pub const CONTROLLER_INVALID_REQUEST: i32 = 2005;
        /// A replica in the new set is not alive.
        pub const CONTROLLER_BROKER_NOT_ALIVE: i32 = 2006;
        /// This controller node is not the raft leader.
        pub const CONTROLLER_NOT_LEADER: i32 = 2007;
        /// Broker group unknown.
        pub const CONTROLLER_BROKER_METADATA_NOT_EXIST: i32 = 2008;
        /// Clean request refused (live or unknown broker).
        pub const CONTROLLER_INVALID_CLEAN_BROKER_METADATA: i32 = 2009;
        /// Broker must register before electing.
        pub const CONTROLLER_BROKER_NEED_TO_BE_REGISTERED: i32 = 2010;
        /// Election not needed, current master is alive.
        pub const CONTROLLER_MASTER_STILL_EXIST: i32 = 2011;
        /// No candidate could be elected.
        pub const CONTROLLER_ELECT_MASTER_FAILED: i32 = 2012;
        /// Sync-state set could not be changed.
        pub const CONTROLLER_ALTER_SYNC_STATE_SET_FAILED: i32 = 2013;
        /// Applied broker id is taken or wrong.
        pub const CONTROLLER_BROKER_ID_INVALID: i32 = 2014;
        /// Raft layer failed.
        pub const CONTROLLER_JRAFT_INTERNAL_ERROR: i32 = 2015;
        /// No liveness record (internal raft query).
        pub const CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS: i32 = 2016;
        /// Defined, not returned in 5.3.3.
        pub const USER_NOT_EXIST: i32 = 3001;
        /// Defined, not returned in 5.3.3.
        pub const POLICY_NOT_EXIST: i32 = 3002;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(request::name(request::SEND_MESSAGE_V2), Some("SEND_MESSAGE_V2"));
        assert_eq!(request::name(-7), None);
        assert_eq!(response::name(response::SUCCESS), Some("SUCCESS"));
        // 5.x's POLLING_FULL is 4.9's UPDATE_AND_CREATE_ACL_CONFIG_FAILED.
        assert_eq!(response::name(209), Some("POLLING_FULL"));
    }
}
