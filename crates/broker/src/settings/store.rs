//! Settings of the store and of replication.

use settings::{BadValue, host, host_and_port, names, networks, optional_paths, path, settings};

const POOLS: &str = "requests are not handled by thread pools here, so there is nothing to size";
const TIMER: &str = "timed messages of 5.x are not part of this release";
const CONTROLLER: &str = "controller mode is not part of this release";
const COMPACTION: &str = "topics with compaction are not part of this release";
const COLD: &str = "what is in memory is asked of the kernel at each pull, and the log is always read ahead";
const UNMAP: &str = "a file is unmapped as soon as its last reader is done";
const DLEDGER: &str = "DLedger is not built; a commitlog of its own is always used";
const ROCKSDB: &str = "tables and queues are kept in files, never in RocksDB";
const LOCK: &str = "the store chooses its locks itself";
const WARM: &str = "pages are always made ready ahead of the writer";
const BITMAP: &str =
    "expectConsumerNumUseFilter and maxErrorRateOfBloomFilter say how long bitmaps are, as in Java";
const MINOFF: &str = "the minimum of a queue is exact at any time";
const TRANSIENT: &str = "records are written to the mapped file directly";
const BATCHCQ: &str = "batch consume queues are not part of this release";
const DISPATCH: &str = "queue units are always built in the order of the commitlog";
const ALONE: &str = "a broker serves without waiting for the others of its name";

names! {
    /// How a broker takes part in replication.
    pub enum BrokerRole as "BrokerRole" {
        /// Takes sends and answers once its own store has them.
        AsyncMaster = "ASYNC_MASTER",
        /// Takes sends and answers once a slave has them too.
        SyncMaster = "SYNC_MASTER",
        /// Copies a master.
        Slave = "SLAVE",
    }
}

names! {
    /// When a stored message is on disk.
    pub enum FlushDiskType as "FlushDiskType" {
        /// Before it is acknowledged.
        SyncFlush = "SYNC_FLUSH",
        /// Within flushIntervalCommitLog or so.
        AsyncFlush = "ASYNC_FLUSH",
    }
}

/// Hours of a day, `04` or `04;16`.
fn hours(value: &str) -> Result<(), BadValue> {
    let good = value
        .split(';')
        .all(|hour| hour.trim().parse::<u8>().is_ok_and(|hour| hour < 24));
    if good {
        Ok(())
    } else {
        Err(BadValue::new("hours from 00 to 23, separated by `;`"))
    }
}

/// Delay levels: numbers with a unit of s, m, h or d.
fn delay_levels(value: &str) -> Result<(), BadValue> {
    let good = |level: &str| {
        let number = level.strip_suffix(['s', 'm', 'h', 'd']);
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    if value.split(' ').all(good) {
        Ok(())
    } else {
        Err(BadValue::new("numbers with s, m, h or d, separated by one blank"))
    }
}

settings! {
    /// How messages are stored and replicated (Java: MessageStoreConfig). Where 4.9.8 and 5.3.3 differ, defaults are
    /// those of 4.9.8.
    pub struct StoreSection, class "MessageStoreConfig", important [
        "accessMessageInMemoryMaxRatio", "brokerRole", "cleanFileForciblyEnable", "commitIntervalCommitLog",
        "deleteWhen", "fileReservedTime", "flushCommitLogTimed", "flushDiskType",
        "flushIntervalCommitLog", "haMasterAddress", "maxTransferBytesOnMessageInDisk", "maxTransferBytesOnMessageInMemory",
        "maxTransferCountOnMessageInDisk", "maxTransferCountOnMessageInMemory", "messageIndexEnable", "messageIndexSafe",
        "storePathCommitLog", "storePathDLedgerCommitLog", "storePathRootDir", "transientStorePoolEnable",
    ];
    /// Bytes per commit-log file.
    mapped_file_size_commit_log: i32 = 1_073_741_824,
        java "mappedFileSizeCommitLog", since "4.9", applies AtStart, range 4096..=i32::MAX;
    /// Bytes per consume-queue file (20-byte entries, rounded up to entries).
    mapped_file_size_consume_queue: i32 = 6_000_000,
        java "mappedFileSizeConsumeQueue", since "4.9", applies AtStart, range 20..=2_147_483_627;
    /// Milliseconds between commit-log flushes.
    flush_interval_commit_log: i32 = 500,
        java "flushIntervalCommitLog", since "4.9", applies Live, range 1..=i32::MAX;
    /// Milliseconds between consume-queue flushes.
    flush_interval_consume_queue: i32 = 1000,
        java "flushIntervalConsumeQueue", since "4.9", applies Live, range 1..=i32::MAX;
    /// Largest body in bytes.
    max_message_size: i32 = 4_194_304,
        java "maxMessageSize", since "4.9", applies Live, range 1..=2_147_418_103;
    /// Start though files of the commit log are missing, and go on without them.
    accept_missing_commit_log: bool = false,
        java "acceptMissingCommitLog", since "only here", applies AtStart;
    /// Check body CRC at recovery.
    check_crc_on_recover: bool = true, java "checkCRCOnRecover", since "4.9", applies AtStart;
    /// Commit-log directory; several allowed, separated by ",".
    store_path_commit_log: Option<String> = None, java "storePathCommitLog", since "4.9", applies AtStart, read optional_paths;
    /// Hours (two digits, ";"-separated) at which expired files go.
    delete_when: String = "04".to_owned(), java "deleteWhen", since "4.9", applies Live, check hours;
    /// Disk percent above which files go at once; 10 at least, 95 at most.
    disk_max_used_space_ratio: i32 = 75,
        java "diskMaxUsedSpaceRatio", since "4.9", applies Live, range 1..=100;
    /// Byte limit of one pull from memory.
    max_transfer_bytes_on_message_in_memory: i32 = 262_144,
        java "maxTransferBytesOnMessageInMemory", since "4.9", applies Live, range 1..=i32::MAX;
    /// Message limit of one pull from memory.
    max_transfer_count_on_message_in_memory: i32 = 32,
        java "maxTransferCountOnMessageInMemory", since "4.9", applies Live, range 1..=i32::MAX;
    /// Byte limit of one pull from disk.
    max_transfer_bytes_on_message_in_disk: i32 = 65_536,
        java "maxTransferBytesOnMessageInDisk", since "4.9", applies Live, range 1..=i32::MAX;
    /// Message limit of one pull from disk.
    max_transfer_count_on_message_in_disk: i32 = 8,
        java "maxTransferCountOnMessageInDisk", since "4.9", applies Live, range 1..=i32::MAX;
    /// 4 KiB pages that must be dirty for a flush.
    flush_commit_log_least_pages: i32 = 4,
        java "flushCommitLogLeastPages", since "4.9", applies Live, range 0..=i32::MAX;
    /// Same for consume queues.
    flush_consume_queue_least_pages: i32 = 2,
        java "flushConsumeQueueLeastPages", since "4.9", applies Live, range 0..=i32::MAX;
    /// Milliseconds after which a flush ignores that limit.
    flush_commit_log_thorough_interval: i32 = 10_000,
        java "flushCommitLogThoroughInterval", since "4.9", applies Live, range 1..=i32::MAX;
    /// Same for consume queues.
    flush_consume_queue_thorough_interval: i32 = 60_000,
        java "flushConsumeQueueThoroughInterval", since "4.9", applies Live, range 1..=i32::MAX;
    /// Hours files are kept.
    file_reserved_time: i32 = 72, java "fileReservedTime", since "4.9", applies Live, range 1..=i32::MAX;
    /// Percent of RAM assumed to be page cache (slaves use 10 less).
    access_message_in_memory_max_ratio: i32 = 40,
        java "accessMessageInMemoryMaxRatio", since "4.9", applies Live, range 0..=100;
    /// Build the key index.
    message_index_enable: bool = true, java "messageIndexEnable", since "4.9", applies AtStart;
    /// Hash slots per index file.
    max_hash_slot_num: i32 = 5_000_000,
        java "maxHashSlotNum", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Entries per index file.
    max_index_num: i32 = 20_000_000, java "maxIndexNum", since "4.9", applies AtStart, range 2..=i32::MAX;
    /// Upper limit of a key query.
    max_msgs_num_batch: i32 = 64, java "maxMsgsNumBatch", since "4.9", applies Live, range 1..=i32::MAX;
    /// Upper limit of a query by unique id.
    default_query_max_num: i32 = 32, java "defaultQueryMaxNum", since "4.9", applies Live, range 1..=i32::MAX;
    /// Port of replication; 0: listenPort + 1. It counts when it is given, as in 5.x; 4.9.8 always uses listenPort + 1.
    ha_listen_port: i32 = 0, java "haListenPort", since "4.9", applies AtStart, range 0..=65_535;
    /// ASYNC_MASTER, SYNC_MASTER or SLAVE.
    broker_role: BrokerRole = BrokerRole::AsyncMaster, java "brokerRole", since "4.9", applies AtStart;
    /// ASYNC_FLUSH or SYNC_FLUSH.
    flush_disk_type: FlushDiskType = FlushDiskType::AsyncFlush,
        java "flushDiskType", since "4.9", applies AtStart;
    /// Milliseconds to wait for a synchronous flush.
    sync_flush_timeout: i32 = 5000, java "syncFlushTimeout", since "4.9", applies Live, range 1..=i32::MAX;
    /// Milliseconds that a sender waits for the slaves.
    slave_timeout: i32 = 3000, java "slaveTimeout", since "4.9", applies Live, range 1..=i32::MAX;
    /// Host and port where the master replicates from; unset: as the name servers say.
    ha_master_address: Option<String> = None, java "haMasterAddress", since "4.9", applies AtStart, check host_and_port;
    /// Milliseconds of silence after which either side of a replication connection says where it is.
    ha_send_heartbeat_interval: i32 = 5000,
        java "haSendHeartbeatInterval", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Milliseconds of the other side's silence after which a replication connection is closed.
    ha_housekeeping_interval: i32 = 20_000,
        java "haHousekeepingInterval", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// A slave that is so many bytes behind, or more, is not waited for.
    ha_max_gap_not_in_sync: i32 = 268_435_456,
        java "haMaxGapNotInSync", since "5.3", applies Live, range 1..=i32::MAX;
    /// Brokers that have a message, this one counted in, when a SYNC_MASTER says SUCCESS; none of the four keys given: one slave, as 4.9.
    in_sync_replicas: i32 = 1, java "inSyncReplicas", since "5.3", applies Live, range 0..=16;
    /// A SYNC_MASTER refuses sends with fewer brokers in sync, this one counted in.
    min_in_sync_replicas: i32 = 1, java "minInSyncReplicas", since "5.3", applies Live, range 0..=16;
    /// A SYNC_MASTER waits for all brokers that are in sync.
    all_ack_in_sync_state_set: bool = false, java "allAckInSyncStateSet", since "5.3", applies Live;
    /// A SYNC_MASTER waits for as many brokers as are in sync, but not for more than inSyncReplicas and not for fewer than minInSyncReplicas.
    enable_auto_in_sync_replicas: bool = false, java "enableAutoInSyncReplicas", since "5.3", applies Live;
    /// Limit what each slave is sent.
    ha_flow_control_enable: bool = false, java "haFlowControlEnable", since "5.3", applies Live;
    /// Most bytes a second for each slave, if they are limited.
    max_ha_transfer_byte_in_second: i64 = 104_857_600,
        java "maxHaTransferByteInSecond", since "5.3", applies Live, range 1..=i64::MAX;
    /// A slave without a log is given the newest file only, as Java does; otherwise all.
    sync_from_last_file: bool = false, java "syncFromLastFile", since "5.3", applies Live;
    /// Addresses and networks, separated by `,`, that slaves may connect from besides those that the name servers know for this brokerName. Unlike Java, which has no such key and lets everybody connect.
    ha_allowed_slaves: Option<String> = None, java "haAllowedSlaves", since "only here", applies Live, check networks;
    /// Slaves speak TLS with their master's port of replication, as the keys `tls.client.*` say; a master takes no others there, its side being `tls.server.*`. Without it a master takes both. Java's brokers speak none there.
    ha_tls_enable: bool = false, java "haTlsEnable", since "only here", applies AtStart;
    /// Bytes that a slave may cut off its log by itself where its master's is shorter or another: as many are kept aside. Where more would go, it copies nothing and says so.
    ha_cut_max_bytes: i64 = 16_777_216, java "haCutMaxBytes", since "only here", applies AtStart, range 0..=i64::MAX;
    /// Delay levels, space-separated number+unit (s, m, h, d), numbered from 1.
    message_delay_level: String = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".to_owned(),
        java "messageDelayLevel", since "4.9", applies AtStart, check delay_levels;
    /// Milliseconds between writes of delay progress.
    flush_delay_offset_interval: i64 = 10_000,
        java "flushDelayOffsetInterval", since "4.9", applies AtStart, range 1..=i64::MAX;
    /// Delete files even before their time when the disk is nearly full.
    clean_file_forcibly_enable: bool = true, java "cleanFileForciblyEnable", since "4.9", applies Live;
    /// Root of the store.
    store_path_root_dir: String = host::home_path("store"),
        java "storePathRootDir", since "4.9", applies AtStart, read path;
    /// Slaves correct pull offsets too.
    offset_check_in_slave: bool = false, java "offsetCheckInSlave", since "4.9", applies AtStart;
    /// Directories that only keep old files.
    read_only_commit_log_store_paths: Option<String> = None,
        java "readOnlyCommitLogStorePaths", since "4.9", applies AtStart, read optional_paths;
    /// Append property __CRC32# to every record.
    enabled_append_prop_crc: bool = false, java "enabledAppendPropCRC", since "5.3", applies AtStart;
    /// Recovery checks the property __CRC32# of every record; a record without it is stepped over.
    force_verify_prop_crc: bool = false, java "forceVerifyPropCRC", since "5.3", applies AtStart;
    /// Units of consume queues get an extension with tag, store time and filter bitmap.
    enable_consume_queue_ext: bool = false, java "enableConsumeQueueExt", since "4.9", applies AtStart;
    /// Bytes per file of these extensions.
    mapped_file_size_consume_queue_ext: i32 = 50_331_648,
        java "mappedFileSizeConsumeQueueExt", since "4.9", applies AtStart, range 64..=i32::MAX;
    /// Light message queues: each `%LMQ%` name is a topic with one queue.
    enable_lmq: bool = false, java "enableLmq", since "4.9", applies AtStart;
    /// A message is in the queues, too, that its property INNER_MULTI_DISPATCH names.
    enable_multi_dispatch: bool = false, java "enableMultiDispatch", since "4.9", applies AtStart;
    /// Most light message queues; a message that would make one more is refused.
    max_lmq_consume_queue_num: i32 = 20_000,
        java "maxLmqConsumeQueueNum", since "4.9", applies AtStart, range 0..=i32::MAX;
    /// Disk percent above which the store stops writing; 35 at least, 90 at most.
    disk_space_warning_level_ratio: i32 = 90,
        java "diskSpaceWarningLevelRatio", since "5.3", applies Live, range 1..=100;
    /// Disk percent at which files are deleted regardless of time; 30 at least, 85 at most.
    disk_space_clean_forcibly_ratio: i32 = 85,
        java "diskSpaceCleanForciblyRatio", since "5.3", applies Live, range 1..=100;
    /// Files deleted per round.
    delete_file_batch_max: i32 = 10, java "deleteFileBatchMax", since "5.3", applies Live, range 1..=i32::MAX;
    /// Limit how much each group reads of what is not in memory (cgColdReadThreshold, globalColdReadThreshold).
    cold_data_flow_control_enable: bool = false,
        java "coldDataFlowControlEnable", since "5.3", applies Live;

    inert {
        "osPageCacheBusyTimeOutMills": i64 = "1000", since "4.9", "no send is refused because another is slow";
        "diskFallRecorded": bool = "true", since "4.9", "how far groups are behind is looked at where disableConsumeIfConsumerReadSlowly asks for it";
        "cleanResourceInterval": i32 = "10000", since "4.9", "expired files are looked for every ten seconds";
        "deleteCommitLogFilesInterval": i32 = "100", since "4.9", "deleteFileBatchMax limits a round";
        "deleteConsumeQueueFilesInterval": i32 = "100", since "4.9", "deleteFileBatchMax limits a round";
        "haTransferBatchSize": i32 = "32768", since "4.9", "a transfer is as large as the slave takes";
        "flushCommitLogTimed": bool = "true", since "4.9", "the flush thread always sleeps flushIntervalCommitLog";
        "maxFilterMessageSize": i32 = "16000", since "5.3", "how far one pull looks is fixed";
        "maxTopicLength": i32 = "127", since "5.3", "a topic name has at most 127 letters";
        "autoMessageVersionOnTopicLen": bool = "true", since "5.3", "the length of the topic decides";
        "debugLockEnable": bool = "false", since "4.9", "the store has no such lock";
        "warmMapedFileEnable": bool = "false", since "4.9", WARM;
        "bitMapLengthConsumeQueueExt": i32 = "64", since "4.9", BITMAP;
        "putMsgIndexHightWater": i32 = "600000", since "4.9", "no release has ever read it";
        "storePathDLedgerCommitLog": Option<String> = "null", since "4.9", DLEDGER;
        "destroyMapedFileIntervalForcibly": i32 = "120000", since "4.9", UNMAP;
        "redeleteHangedFileInterval": i32 = "120000", since "4.9", UNMAP;
        "messageIndexSafe": bool = "false", since "4.9", "the index is always checked at start";
        "flushLeastPagesWhenWarmMapedFile": i32 = "4096", since "4.9", WARM;
        "transientStorePoolEnable": bool = "false", since "4.9", TRANSIENT;
        "transientStorePoolSize": i32 = "5", since "4.9", TRANSIENT;
        "commitIntervalCommitLog": i32 = "200", since "4.9", TRANSIENT;
        "fastFailIfNoBufferInStorePool": bool = "false", since "4.9", TRANSIENT;
        "useReentrantLockWhenPutMessage": bool = "true", since "4.9", LOCK;
        "commitCommitLogLeastPages": i32 = "4", since "4.9", TRANSIENT;
        "commitCommitLogThoroughInterval": i32 = "200", since "4.9", TRANSIENT;
        "dLegerGroup": Option<String> = "null", since "4.9", DLEDGER;
        "dLegerPeers": Option<String> = "null", since "4.9", DLEDGER;
        "dLegerSelfId": Option<String> = "null", since "4.9", DLEDGER;
        "preferredLeaderId": Option<String> = "null", since "4.9", DLEDGER;
        "enableBatchPush": bool = "false", since "4.9", DLEDGER, shown "isEnableBatchPush";
        "enableScheduleMessageStats": bool = "true", since "4.9", "deliveries of delayed messages are always counted";
        "enableScheduleAsyncDeliver": bool = "false", since "4.9", "a delayed message never waits for another";
        "scheduleAsyncDeliverMaxPendingLimit": i32 = "2000", since "4.9", "a delayed message never waits for another";
        "scheduleAsyncDeliverMaxResendNum2Blocked": i32 = "3", since "4.9", "a delayed message never waits for another";
        "rocksdbCompressionType": String = "lz4", since "5.3", ROCKSDB;
        "compactionMappedFileSize": i32 = "104857600", since "5.3", COMPACTION;
        "compactionCqMappedFileSize": i32 = "10485760", since "5.3", COMPACTION;
        "compactionScheduleInternal": i32 = "900000", since "5.3", COMPACTION;
        "maxOffsetMapSize": i32 = "104857600", since "5.3", COMPACTION;
        "compactionThreadNum": i32 = "6", since "5.3", POOLS;
        "enableCompaction": bool = "true", since "5.3", COMPACTION;
        "travelCqFileNumWhenGetMessage": i32 = "1", since "5.3", "a pull reads what it needs";
        "correctLogicMinOffsetSleepInterval": i32 = "1", since "5.3", MINOFF;
        "correctLogicMinOffsetForceInterval": i32 = "300000", since "5.3", MINOFF;
        "storePathEpochFile": Option<String> = "null", since "5.3", CONTROLLER;
        "storePathBrokerIdentity": Option<String> = "null", since "5.3", CONTROLLER;
        "putMessageTimeout": i32 = "8000", since "5.3", "the waits of a send are syncFlushTimeout and slaveTimeout";
        "wakeCommitWhenPutMessage": bool = "true", since "5.3", TRANSIENT;
        "wakeFlushWhenPutMessage": bool = "false", since "5.3", "the flush thread follows flushCommitLogTimed";
        "mapperFileSizeBatchConsumeQueue": i32 = "13800000", since "5.3", BATCHCQ;
        "enableCleanExpiredOffset": bool = "false", since "5.3", "offsets of deleted topics always go";
        "maxAsyncPutMessageRequests": i32 = "5000", since "5.3", "no sender waits for another here";
        "maxRecoveryCommitlogFiles": i32 = "30", since "5.3", "recovery reads what the checkpoint does not vouch for";
        "dispatchFromSenderThread": bool = "false", since "5.3", DISPATCH;
        "dispatchCqThreads": i32 = "10", since "5.3", DISPATCH;
        "dispatchCqCacheNum": i32 = "4096", since "5.3", DISPATCH;
        "enableAsyncReput": bool = "true", since "5.3", DISPATCH;
        "recheckReputOffsetFromCq": bool = "false", since "5.3", DISPATCH;
        "commitLogForceSwapMapInterval": i64 = "43200000", since "5.3", UNMAP;
        "commitLogSwapMapReserveFileNum": i32 = "100", since "5.3", UNMAP;
        "logicQueueForceSwapMapInterval": i64 = "43200000", since "5.3", UNMAP;
        "logicQueueSwapMapReserveFileNum": i32 = "20", since "5.3", UNMAP;
        "cleanSwapedMapInterval": i64 = "300000", since "5.3", UNMAP;
        "commitLogSwapMapInterval": i64 = "3600000", since "5.3", UNMAP;
        "logicQueueSwapMapInterval": i64 = "3600000", since "5.3", UNMAP;
        "maxBatchDeleteFilesNum": i32 = "50", since "5.3", "deleteFileBatchMax limits a round";
        "searchBcqByCacheEnable": bool = "true", since "5.3", BATCHCQ;
        "mappedFileSwapEnable": bool = "true", since "5.3", UNMAP;
        "pullBatchMaxMessageCount": i32 = "160", since "5.3", BATCHCQ;
        "totalReplicas": i32 = "1", since "5.3", ALONE;
        "haMaxTimeSlaveNotCatchup": i64 = "15000", since "5.3", CONTROLLER;
        "syncMasterFlushOffsetWhenStartup": bool = "false", since "5.3", ALONE;
        "maxChecksumRange": i64 = "1073741824", since "5.3", CONTROLLER;
        "replicasPerDiskPartition": i32 = "1", since "5.3", "the disk levels are of the whole partition";
        "logicalDiskSpaceCleanForciblyThreshold": f64 = "0.8", since "5.3", "the disk levels are of the whole partition";
        "disappearTimeAfterStart": i32 = "-1", since "5.3", CONTROLLER;
        "maxSlaveResendLength": i64 = "268435456", since "5.3", ALONE;
        "mappedFileSizeTimerLog": i32 = "104857600", since "5.3", TIMER;
        "timerPrecisionMs": i32 = "1000", since "5.3", TIMER;
        "timerGetMessageThreadNum": i32 = "3", since "5.3", POOLS;
        "timerPutMessageThreadNum": i32 = "3", since "5.3", POOLS;
        "timerEnableCheckMetrics": bool = "true", since "5.3", TIMER;
        "timerStopEnqueue": bool = "false", since "5.3", TIMER;
        "timerSkipUnknownError": bool = "false", since "5.3", TIMER;
        "timerEnableRetryUntilSuccess": bool = "false", since "5.3", TIMER;
        "timerWheelEnable": bool = "true", since "5.3", TIMER;
        "timerMetricSmallThreshold": i32 = "1000000", since "5.3", TIMER;
        "timerCongestNumEachSlot": i32 = "2147483647", since "5.3", TIMER;
        "timerFlushIntervalMs": i32 = "1000", since "5.3", TIMER;
        "timerRollWindowSlot": i32 = "172800", since "5.3", TIMER;
        "timerProgressLogIntervalMs": i32 = "10000", since "5.3", TIMER;
        "timerInterceptDelayLevel": bool = "false", since "5.3", TIMER;
        "timerMaxDelaySec": i32 = "259200", since "5.3", TIMER;
        "maxConsumeQueueScan": i32 = "20000", since "5.3", "lag is counted, not estimated";
        "sampleCountThreshold": i32 = "5000", since "5.3", "lag is counted, not estimated";
        "coldDataScanEnable": bool = "false", since "5.3", COLD;
        "timerColdDataCheckIntervalMs": i32 = "60000", since "5.3", TIMER;
        "sampleSteps": i32 = "32", since "5.3", COLD;
        "accessMessageInMemoryHotRatio": i32 = "26", since "5.3", COLD;
        "dataReadAheadEnable": bool = "true", since "5.3", COLD;
        "enableBuildConsumeQueueConcurrently": bool = "false", since "5.3", DISPATCH;
        "batchDispatchRequestThreadPoolNums": i32 = "16", since "5.3", DISPATCH;
        "realTimePersistRocksDBConfig": bool = "true", since "5.3", ROCKSDB;
        "statRocksDBCQIntervalSec": i64 = "10", since "5.3", ROCKSDB;
        "cleanRocksDBDirtyCQIntervalMin": i64 = "60", since "5.3", ROCKSDB;
        "memTableFlushIntervalMs": i64 = "3600000", since "5.3", ROCKSDB;
        "enableRocksDBLog": bool = "false", since "5.3", ROCKSDB;
        "topicQueueLockNum": i32 = "32", since "5.3", LOCK;
        "readUnCommitted": bool = "false", since "5.3", DISPATCH;
        "putConsumeQueueDataByFileChannel": bool = "true", since "5.3", DISPATCH;
        "bottomMostCompressionTypeForConsumeQueueStore": String = "zstd", since "5.3", ROCKSDB;
        "rocksdbFlushWalFrequency": i32 = "1024", since "5.3", ROCKSDB;
        "rocksdbWalFileRollingThreshold": i64 = "1073741824", since "5.3", ROCKSDB;
        "spinLockCollisionRetreatOptimalDegree": i32 = "1000", since "5.3", LOCK;
        "useABSLock": bool = "false", since "5.3", LOCK;
    }
    fixed {
        "duplicationEnable": bool = "false", since "4.9", "duplication mode is not built";
        "enableDLegerCommitLog": bool = "false", since "4.9", DLEDGER;
        "rocksdbCQDoubleWriteEnable": bool = "false", since "5.3", ROCKSDB;
        "storeType": String = "default", since "5.3", ROCKSDB;
        "asyncLearner": bool = "false", since "5.3", CONTROLLER;
    }
}
