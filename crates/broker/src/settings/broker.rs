//! Settings of the broker itself.

use settings::{addresses, announced, host, name, not_blank, optional_path, settings};

const REGISTER: &str = "a registration is sent whole";
const POOLS: &str = "requests are not handled by thread pools here, so there is nothing to size";
const QUEUES: &str = "no queue of waiting requests stands before a pool here; connections and requests in flight are limited instead";
const POP: &str = "consuming by POP is not part of this release";
const TIMER: &str = "timed messages of 5.x are not part of this release";
const CONTROLLER: &str = "controller mode is not part of this release";
const ACCOUNT: &str = "accounting statistics are not kept";
const COLD: &str = "thresholds of cold reads stay as they are set";
const ACTING: &str = "a slave never acts as master in this release";
const ROCKSDB: &str = "tables and queues are kept in files, never in RocksDB";
const RECALL: &str = "messages cannot be recalled in this release";
const ASSIGN: &str = "queues are shared out by the clients, as in 4.9";
const TRANSACTION: &str =
    "the marks of ended transactions are written one by one, as in 4.9, and not counted";

settings! {
    /// What the broker is and how it serves (Java: BrokerConfig). Where 4.9.8 and 5.3.3 differ, defaults are those of 4.9.8.
    pub struct BrokerSection, class "BrokerConfig", important [
        "aclEnable", "autoCreateSubscriptionGroup", "autoCreateTopicEnable", "brokerClusterName",
        "brokerIP1", "brokerId", "brokerName", "fetchNamesrvAddrByAddressServer",
        "msgTraceTopicName", "namesrvAddr", "rejectTransactionMessage", "traceTopicEnable",
        "transactionCheckInterval", "transactionCheckMax", "transactionTimeOut",
    ];
    /// Serve only requests that an account of `conf/plain_acl.yml` or `conf/acl/` has signed (docs/security.md).
    acl_enable: bool = false, java "aclEnable", since "4.9", applies AtStart;
    /// Value of TRACE_ON in send replies and stored properties.
    trace_on: bool = true, java "traceOn", since "4.9", applies Live;
    /// Epoch ms before which sends are refused with code 1.
    start_accept_send_request_time_stamp: i64 = 0,
        java "startAcceptSendRequestTimeStamp", since "4.9", applies Live;
    /// Let slaves serve pulls and suggest slaves to slow consumers.
    slave_read_enable: bool = false, java "slaveReadEnable", since "4.9", applies Live;
    /// Timeout of one round of name-server registration.
    register_broker_timeout_mills: i32 = 6000,
        java "registerBrokerTimeoutMills", since "4.9", applies Live, range 1..=i32::MAX;
    /// Value of MSG_REGION in answers to sends. Messages are stored without it, as by 4.9.
    region_id: String = "DefaultRegion".to_owned(), java "regionId", since "4.9", applies AtStart;
    /// Installation directory, from the environment variable ROCKETMQ_HOME; printed, and not needed to start.
    rocketmq_home: Option<String> = host::variable("ROCKETMQ_HOME"),
        java "rocketmqHome", since "4.9", applies AtStart, read optional_path;
    /// Name shared by a master and its slaves; default host name (DEFAULT_BROKER if unknown).
    broker_name: String = host::name(), java "brokerName", since "4.9", applies AtStart, check name;
    /// Read 4 + write 2 bits applied to the whole broker.
    broker_permission: i32 = 6, java "brokerPermission", since "4.9", applies Live, range 0..=7;
    /// Queues of the auto-create template topic TBW102.
    default_topic_queue_nums: i32 = 8,
        java "defaultTopicQueueNums", since "4.9", applies AtStart, range 1..=10_000;
    /// Let senders create topics, after the pattern of TBW102; name servers are told.
    auto_create_topic_enable: bool = true, java "autoCreateTopicEnable", since "4.9", applies Live;
    /// Cluster this broker belongs to.
    broker_cluster_name: String = "DefaultCluster".to_owned(),
        java "brokerClusterName", since "4.9", applies AtStart, check name;
    /// Address announced to clients and name servers.
    broker_ip1: String = host::address(), java "brokerIP1", since "4.9", applies AtStart, check announced;
    /// Address announced for HA.
    broker_ip2: String = host::address(), java "brokerIP2", since "4.9", applies AtStart, check announced;
    /// Milliseconds between writes of the offset table.
    flush_consumer_offset_interval: i32 = 5000,
        java "flushConsumerOffsetInterval", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Give the pseudo topic named like the cluster read/write permission.
    cluster_topic_enable: bool = true, java "clusterTopicEnable", since "4.9", applies AtStart;
    /// Name servers, ";"-separated host:port.
    namesrv_addr: Option<String> = None, java "namesrvAddr", since "4.9", applies Live, check addresses;
    /// 0 master, >0 slave.
    broker_id: i64 = 0, java "brokerId", since "4.9", applies AtStart, range -1..=i64::MAX;
    /// Create unknown consumer groups on first use.
    auto_create_subscription_group: bool = true,
        java "autoCreateSubscriptionGroup", since "4.9", applies Live;
    /// Shown in the runtime info; what limits sends is the requests in flight of each connection.
    send_thread_pool_queue_capacity: i32 = 10_000,
        java "sendThreadPoolQueueCapacity", since "4.9", applies Live, range 1..=i32::MAX;
    /// Shown in the runtime info; what limits pulls is the requests in flight of each connection.
    pull_thread_pool_queue_capacity: i32 = 100_000,
        java "pullThreadPoolQueueCapacity", since "4.9", applies Live, range 1..=i32::MAX;
    /// Queries for messages that may be under way; more get `[OVERLOAD]`, code 2.
    query_thread_pool_queue_capacity: i32 = 20_000,
        java "queryThreadPoolQueueCapacity", since "4.9", applies Live, range 1..=i32::MAX;
    /// Give the pseudo topic named like the broker read/write permission.
    broker_topic_enable: bool = true, java "brokerTopicEnable", since "4.9", applies AtStart;
    /// Hold empty pulls for the client's time; off -> shortPollingTimeMills.
    long_polling_enable: bool = true, java "longPollingEnable", since "4.9", applies Live;
    /// Push NOTIFY_CONSUMER_IDS_CHANGED to members on group changes.
    notify_consumer_ids_changed_enable: bool = true,
        java "notifyConsumerIdsChangedEnable", since "4.9", applies Live;
    /// Hold time of empty pulls when long polling is off.
    short_polling_time_mills: i64 = 1000,
        java "shortPollingTimeMills", since "4.9", applies Live, range 1..=i64::MAX;
    /// Keep replies, which are handed to who asked, in the topic they name, too.
    store_reply_message_enable: bool = true, java "storeReplyMessageEnable", since "4.9", applies Live;
    /// Statistics of latencies are kept for each queue, and those of delayed messages for each level, too.
    enable_detail_stat: bool = true, java "enableDetailStat", since "4.9", applies AtStart;
    /// With coldDataFlowControlEnable: bytes that are not in memory and that a group may read in 5 s; operators can set others for
    /// single groups (updateColdDataFlowCtrGroupConfig).
    cg_cold_read_threshold: i64 = 3_145_728, java "cgColdReadThreshold", since "5.3", applies Live;
    /// The same for all groups together.
    global_cold_read_threshold: i64 = 104_857_600, java "globalColdReadThreshold", since "5.3", applies Live;
    /// How many bytes of the log a group may be behind before disableConsumeIfConsumerReadSlowly stops it.
    consumer_fallbehind_threshold: i64 = 17_179_869_184,
        java "consumerFallbehindThreshold", since "4.9", applies Live, range 0..=i64::MAX;
    /// Each three minutes, groups that read further behind than consumerFallbehindThreshold get consumeEnable=false.
    disable_consume_if_consumer_read_slowly: bool = false,
        java "disableConsumeIfConsumerReadSlowly", since "4.9", applies Live;
    /// Send the registration body deflated.
    compressed_register: bool = false, java "compressedRegister", since "4.9", applies Live;
    /// Register on every tick even if nothing changed.
    force_register: bool = true, java "forceRegister", since "4.9", applies Live;
    /// Tell name servers of changed topics one by one.
    enable_single_topic_register: bool = false, java "enableSingleTopicRegister", since "5.3", applies Live;
    /// Milliseconds between registrations, clamped to 10000..60000.
    register_name_server_period: i32 = 30_000,
        java "registerNameServerPeriod", since "4.9", applies Live, range 1..=i32::MAX;
    /// Name of the trace topic.
    msg_trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".to_owned(),
        java "msgTraceTopicName", since "4.9", applies AtStart, check not_blank;
    /// Create the trace topic at start.
    trace_topic_enable: bool = false, java "traceTopicEnable", since "4.9", applies AtStart;
    /// Take SQL92 expressions over the properties of messages.
    enable_property_filter: bool = false, java "enablePropertyFilter", since "4.9", applies Live;
    /// A message that comes back is let through as the one it is a copy of.
    filter_support_retry: bool = false, java "filterSupportRetry", since "4.9", applies Live;
    /// Note in the extension of a queue's unit (enableConsumeQueueExt) which SQL92 filters let the message through.
    enable_calc_filter_bit_map: bool = false, java "enableCalcFilterBitMap", since "4.9", applies Live;
    /// Consumers that the bloom filter of consumerFilter.json is made for.
    expect_consumer_num_use_filter: i32 = 32,
        java "expectConsumerNumUseFilter", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Its error rate, percent.
    max_error_rate_of_bloom_filter: i32 = 20,
        java "maxErrorRateOfBloomFilter", since "4.9", applies AtStart, range 1..=99;
    /// Milliseconds after which the filter of a consumer that is gone is dropped from consumerFilter.json.
    filter_data_clean_time_span: i64 = 86_400_000,
        java "filterDataCleanTimeSpan", since "4.9", applies Live, range 0..=i64::MAX;
    /// ";"-separated keys that UPDATE_BROKER_CONFIG refuses.
    config_black_list: String = "configBlackList;brokerConfigPath".to_owned(),
        java "configBlackList", since "4.9", applies AtStart;
    /// Path of the broker's own config file.
    broker_config_path: Option<String> = None, java "brokerConfigPath", since "5.3", applies AtStart, read optional_path;
    /// The log lies in a folder of the broker's own below that of all logs: BROKERNAME_BROKERID. It does anyway where another broker of this host has the file.
    isolate_log_enable: bool = false, java "isolateLogEnable", since "4.9", applies AtStart;
    /// Refuse half messages with code 16.
    reject_transaction_message: bool = false, java "rejectTransactionMessage", since "4.9", applies Live;
    /// How old a half message is, by its producer's clock, before its producers are asked; CHECK_IMMUNITY_TIME_IN_SECONDS of a message takes its place.
    transaction_time_out: i64 = 6000, java "transactionTimeOut", since "4.9", applies Live, range 0..=i64::MAX;
    /// How often the producers of a half message are asked before it is given up.
    transaction_check_max: i32 = 15, java "transactionCheckMax", since "4.9", applies Live;
    /// How often half messages are looked at (5.x: 30000).
    transaction_check_interval: i64 = 60_000,
        java "transactionCheckInterval", since "4.9", applies Live, range 1..=i64::MAX;
    /// Series that a metric may have; others are left out and counted.
    metrics_otel_cardinality_limit: i32 = 50_000,
        java "metricsOtelCardinalityLimit", since "5.3", applies AtStart, range 1..=i32::MAX;
    /// Milliseconds that a stop waits for producers to go to other brokers, which the name servers send them to at once. It waits only
    /// while producers are connected and the cluster has another master. 0: not at all.
    shutdown_drain_millis: i64 = 5000, java "shutdownDrainMillis", since "only here", applies Live, range 0..=600_000;
    /// Let a POST to /drain on the port of metrics, from this host, send producers away.
    drain_by_http_enable: bool = false, java "drainByHttpEnable", since "only here", applies AtStart;
    /// Milliseconds from which a request counts as slow; pulls that wait for messages do not. 0: none does.
    slow_request_millis: i64 = 1000, java "slowRequestMillis", since "only here", applies Live, range 0..=i64::MAX;
    inert {
        "waitTimeMillsInSendQueue": i64 = "200", since "4.9", QUEUES;
        "brokerFastFailureEnable": bool = "true", since "4.9", QUEUES;
        "realTimeNotifyConsumerChange": bool = "true", since "5.3", "members of a group are always told at once";
        "consumerOffsetUpdateVersionStep": i64 = "500", since "5.3", "no slave reads that version";
        "rejectPullConsumerEnable": bool = "false", since "5.3", "pull consumers are always served";
        "channelExpiredTimeout": i64 = "120000", since "5.3", "a client without heartbeats is forgotten after 120 seconds, as in 4.9";
        "validateSystemTopicWhenUpdateTopic": bool = "true", since "5.3", "system topics are always protected";
        "enableSplitRegistration": bool = "false", since "5.3", REGISTER;
        "splitRegistrationSize": i32 = "800", since "5.3", REGISTER;
        "enableRegisterProducer": bool = "true", since "5.3", "producers of heartbeats are always kept";
        "enableCreateSysGroup": bool = "true", since "5.3", "groups are made by the rule of autoCreateSubscriptionGroup";
        "waitTimeMillsInPullQueue": i64 = "5000", since "4.9", QUEUES;
        "transferMsgByHeap": bool = "true", since "4.9", "messages always leave without a copy";
        "highSpeedMode": bool = "false", since "4.9", "no release has ever read it";
        "sendMessageThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "putMessageFutureThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "pullMessageThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "processReplyMessageThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "queryMessageThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "adminBrokerThreadPoolNums": i32 = "16", since "4.9", POOLS;
        "flushConsumerOffsetHistoryInterval": i32 = "60000", since "4.9", "no release has ever read it";
        "putThreadPoolQueueCapacity": i32 = "10000", since "4.9", QUEUES;
        "replyThreadPoolQueueCapacity": i32 = "10000", since "4.9", QUEUES;
        "filterServerNums": i32 = "0", since "4.9", "filter servers are gone since 5.0";
        "clientManageThreadPoolNums": i32 = "32", since "4.9", POOLS;
        "commercialEnable": bool = "true", since "4.9", ACCOUNT;
        "commercialTimerCount": i32 = "1", since "4.9", TIMER;
        "commercialTransCount": i32 = "1", since "4.9", ACCOUNT;
        "commercialBigCount": i32 = "1", since "4.9", ACCOUNT;
        "maxDelayTime": i32 = "40", since "4.9", "no release has ever read it";
        "clientManagerThreadPoolQueueCapacity": i32 = "1000000", since "4.9", QUEUES;
        "consumerManagerThreadPoolQueueCapacity": i32 = "1000000", since "4.9", QUEUES;
        "consumerManageThreadPoolNums": i32 = "32", since "4.9", POOLS;
        "commercialBaseCount": i32 = "1", since "4.9", ACCOUNT;
        "heartbeatThreadPoolQueueCapacity": i32 = "50000", since "4.9", QUEUES;
        "heartbeatThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "waitTimeMillsInHeartbeatQueue": i64 = "31000", since "4.9", QUEUES;
        "endTransactionThreadPoolNums": i32 = "null", since "4.9", POOLS;
        "endTransactionPoolQueueCapacity": i32 = "100000", since "4.9", QUEUES;
        "waitTimeMillsInTransactionQueue": i64 = "3000", since "4.9", QUEUES;
        "autoDeleteUnusedStats": bool = "true", since "4.9", "statistics always end with their topic or group";
        "maxPopPollingSize": i64 = "100000", since "5.3", POP;
        "reviveQueueNum": i32 = "8", since "5.3", POP;
        "reviveInterval": i64 = "1000", since "5.3", POP;
        "popCkStayBufferTime": i32 = "10000", since "5.3", POP;
        "popCkStayBufferTimeOut": i32 = "3000", since "5.3", POP;
        "popPollingMapSize": i32 = "100000", since "5.3", POP;
        "reviveScanTime": i64 = "10000", since "5.3", POP;
        "reviveMaxSlow": i64 = "3", since "5.3", POP;
        "popPollingSize": i32 = "1024", since "5.3", POP;
        "enablePopBufferMerge": bool = "false", since "5.3", POP;
        "popCkMaxBufferSize": i32 = "200000", since "5.3", POP;
        "popCkOffsetMaxQueueSize": i32 = "20000", since "5.3", POP;
        "enablePopBatchAck": bool = "false", since "5.3", POP;
        "enableSkipLongAwaitingAck": bool = "false", since "5.3", POP;
        "reviveAckWaitMs": i64 = "180000", since "5.3", POP;
        "enablePopLog": bool = "false", since "5.3", POP;
        "popFromRetryProbability": i32 = "20", since "5.3", POP;
        "popConsumerFSServiceInit": bool = "true", since "5.3", POP;
        "popConsumerKVServiceLog": bool = "false", since "5.3", POP;
        "popConsumerKVServiceInit": bool = "false", since "5.3", POP;
        "popConsumerKVServiceEnable": bool = "false", since "5.3", POP;
        "popReviveMaxReturnSizePerRead": i32 = "16384", since "5.3", POP;
        "popReviveMaxAttemptTimes": i32 = "16", since "5.3", POP;
        "ackMessageThreadPoolNums": i32 = "16", since "5.3", POOLS;
        "listenPort": i32 = "6888", since "5.3", "it is the port inside a broker container in 5.x; NettyServerConfig's counts";
        "litePullMessageThreadPoolNums": i32 = "null", since "5.3", POOLS;
        "litePullThreadPoolQueueCapacity": i32 = "100000", since "5.3", QUEUES;
        "adminBrokerThreadPoolQueueCapacity": i32 = "10000", since "5.3", QUEUES;
        "loadBalanceThreadPoolQueueCapacity": i32 = "100000", since "5.3", QUEUES;
        "sendHeartbeatTimeoutMillis": i32 = "1000", since "5.3", ACTING;
        "waitTimeMillsInLitePullQueue": i64 = "5000", since "5.3", QUEUES;
        "litePullMessageEnable": bool = "true", since "5.3", "LITE_PULL_MESSAGE is answered like any pull";
        "syncBrokerMemberGroupPeriod": i32 = "1000", since "5.3", ACTING;
        "ackThreadPoolQueueCapacity": i32 = "100000", since "5.3", QUEUES;
        "waitTimeMillsInAdminBrokerQueue": i64 = "5000", since "5.3", QUEUES;
        "loadBalancePollNameServerInterval": i64 = "30000", since "5.3", ASSIGN;
        "cleanOfflineBrokerInterval": i32 = "30000", since "5.3", ASSIGN;
        "loadBalanceProcessorThreadPoolNums": i32 = "32", since "5.3", POOLS;
        "serverLoadBalancerEnable": bool = "true", since "5.3", ASSIGN;
        "defaultMessageRequestMode": String = "PULL", since "5.3", ASSIGN;
        "defaultPopShareQueueNum": i32 = "-1", since "5.3", ASSIGN;
        "forwardTimeout": i64 = "3000", since "5.3", "static topics are not built";
        "brokerHeartbeatInterval": i32 = "1000", since "5.3", ACTING;
        "brokerNotActiveTimeoutMillis": i64 = "10000", since "5.3", ACTING;
        "enableNetWorkFlowControl": bool = "false", since "5.3", "a connection that does not read is bounded anyway";
        "popLongPollingForceNotifyInterval": i64 = "800", since "5.3", POP;
        "enableNotifyBeforePopCalculateLag": bool = "true", since "5.3", POP;
        "enableNotifyAfterPopOrderLockRelease": bool = "true", since "5.3", POP;
        "initPopOffsetByCheckMsgInMem": bool = "true", since "5.3", POP;
        "retrieveMessageFromPopRetryTopicV1": bool = "true", since "5.3", POP;
        "enableRetryTopicV2": bool = "false", since "5.3", POP;
        "skipPreOnline": bool = "false", since "5.3", ACTING;
        "asyncSendEnable": bool = "true", since "5.3", "no sender waits for another here";
        "delayOffsetUpdateVersionStep": i64 = "200", since "5.3", "no slave reads that version";
        "commercialSizePerMsg": i32 = "4096", since "5.3", ACCOUNT;
        "waitTimeMillsInAckQueue": i64 = "3000", since "5.3", QUEUES;
        "accountStatsEnable": bool = "true", since "5.3", ACCOUNT;
        "accountStatsPrintZeroValues": bool = "true", since "5.3", ACCOUNT;
        "maxStatsIdleTimeInMinutes": i32 = "-1", since "5.3", "what counts nothing for a day is dropped until it counts again";
        "lockInStrictMode": bool = "false", since "5.3", "queue locks are this broker's alone, as in 4.9";
        "compatibleWithOldNameSrv": bool = "true", since "5.3", "name servers of both lines are spoken to alike";
        "controllerAddr": String = "", since "5.3", CONTROLLER;
        "fetchControllerAddrByDnsLookup": bool = "false", since "5.3", CONTROLLER;
        "syncBrokerMetadataPeriod": i64 = "5000", since "5.3", CONTROLLER;
        "checkSyncStateSetPeriod": i64 = "5000", since "5.3", CONTROLLER;
        "syncControllerMetadataPeriod": i64 = "10000", since "5.3", CONTROLLER;
        "brokerElectionPriority": i32 = "2147483647", since "5.3", CONTROLLER;
        "controllerHeartBeatTimeoutMills": i64 = "10000", since "5.3", CONTROLLER;
        "recoverConcurrently": bool = "false", since "5.3", "recovery chooses that itself";
        "recoverThreadPoolNums": i32 = "32", since "5.3", "recovery chooses that itself";
        "useServerSideResetOffset": bool = "true", since "5.3", "a reset by time is told to the clients, as in 4.9; one queue to an offset is set on the broker";
        "enableBroadcastOffsetStore": bool = "true", since "5.3", "offsets of broadcasting consumers stay with the clients";
        "broadcastOffsetExpireSecond": i64 = "120", since "5.3", "offsets of broadcasting consumers stay with the clients";
        "broadcastOffsetExpireMaxSecond": i64 = "300", since "5.3", "offsets of broadcasting consumers stay with the clients";
        "transactionOpMsgMaxSize": i32 = "4096", since "5.3", TRANSACTION;
        "transactionOpBatchInterval": i32 = "3000", since "5.3", TRANSACTION;
        "subscriptionExpiredTimeout": i64 = "600000", since "5.3", "subscriptions live as long as their connection";
        "estimateAccumulation": bool = "true", since "5.3", "lag is counted, not estimated";
        "coldCtrStrategyEnable": bool = "false", since "5.3", COLD;
        "usePIDColdCtrStrategy": bool = "true", since "5.3", COLD;
        "useStaticSubscription": bool = "false", since "5.3", "subscriptions come from the consumers";
        "fetchNamesrvAddrInterval": i64 = "10000", since "5.3", "name servers come from namesrvAddr";
        "popResponseReturnActualRetryTopic": bool = "false", since "5.3", POP;
        "enableMixedMessageType": bool = "false", since "5.3", "topic attributes are kept but do not restrict what is sent";
        "enableFastChannelEventProcess": bool = "false", since "5.3", "a closed connection is always found at once";
        "printChannelGroups": bool = "false", since "5.3", "it only prints";
        "printChannelGroupsMinNum": i32 = "5", since "5.3", "it only prints";
        "transactionMetricFlushInterval": i64 = "3000", since "5.3", TRANSACTION;
        "popInflightMessageThreshold": i64 = "10000", since "5.3", POP;
        "enablePopMessageThreshold": bool = "false", since "5.3", POP;
        "skipWhenCKRePutReachMaxTimes": bool = "false", since "5.3", POP;
        "updateNameServerAddrPeriod": i32 = "120000", since "5.3", "names are resolved at every connect";
        "appendAckAsync": bool = "false", since "5.3", POP;
        "appendCkAsync": bool = "false", since "5.3", POP;
        "clearRetryTopicWhenDeleteTopic": bool = "true", since "5.3", POP;
        "enableLmqStats": bool = "false", since "5.3", "light message queues have statistics like topics";
        "allowRecallWhenBrokerNotWriteable": bool = "true", since "5.3", RECALL;
        "recallMessageEnable": bool = "false", since "5.3", RECALL;
    }
    fixed {
        "messageStorePlugIn": String = "", since "4.9", "store plug-ins are Java classes, which this broker does not run";
        "fetchNamesrvAddrByAddressServer": bool = "false", since "4.9", "name servers are not fetched from an address server; write them into namesrvAddr";
        "enableSlaveActingMaster": bool = "false", since "5.3", ACTING;
        "enableRemoteEscape": bool = "false", since "5.3", ACTING;
        "enableControllerMode": bool = "false", since "5.3", CONTROLLER;
        "fetchNameSrvAddrByDnsLookup": bool = "false", since "5.3", "name servers are not looked up that way; names in namesrvAddr are resolved at every connect";
        "configManagerVersion": String = "v1", since "5.3", ROCKSDB;
        "inBrokerContainer": bool = "false", since "5.3", "one process is one broker here; start several processes instead of a container", shown "isInBrokerContainer";
    }
}
