//! The store's settings as typed values. The properties file is somebody else's.

use std::path::PathBuf;

/// Bytes a record may have besides its body: `maxMessageSize` + this is the longest record.
pub const RECORD_ROOM_BYTES: i64 = 64 * 1024;

/// When a sender has its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushType {
    /// After the append; the flush thread syncs in its own time.
    Async,
    /// After the sync.
    Sync,
}

/// Delays of the delay levels of a broker that is not told otherwise, level 1 first, s (RocketMQ 4.9.8,
/// MessageStoreConfig.messageDelayLevel).
pub const DELAY_LEVELS_S: [i64; 18] = [
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// Everything the store has to know. `Default` has Java's values for a store below `store/`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    /// `storePathRootDir`: checkpoint, abort, lock, consumequeue, index.
    pub root_dir: PathBuf,
    /// `storePathCommitLog`, split at its separator: where log files are and are made.
    pub commitlog_dirs: Vec<PathBuf>,
    /// `readOnlyCommitLogStorePaths`: where log files are but none is made.
    pub read_only_commitlog_dirs: Vec<PathBuf>,
    /// `mappedFileSizeCommitLog`, bytes. A log that has files of another size keeps to it.
    pub commitlog_file_size: i64,
    /// `mappedFileSizeConsumeQueue`, bytes; rounded up to a multiple of 20, as Java's getter does. A queue that has files of
    /// another size keeps to it.
    pub consumequeue_file_size: i64,
    /// `enableConsumeQueueExt`: units of new messages have an extension. There it is read in any case.
    pub ext: bool,
    /// `mappedFileSizeConsumeQueueExt`, bytes. A queue that has files of another size keeps to it.
    pub ext_file_size: i64,
    /// `enableMultiDispatch`: messages are in the queues, too, that INNER_MULTI_DISPATCH names.
    pub multi_dispatch: bool,
    /// `enableLmq`: `%LMQ%…` is queue 0 of its name, whatever the number of the message's own queue.
    pub lmq: bool,
    /// `maxLmqConsumeQueueNum`: most light message queues.
    pub max_lmq_queues: usize,
    /// `maxMessageSize`: longest body in bytes.
    pub max_message_size: i64,
    /// `flushDiskType`
    pub flush_type: FlushType,
    /// A start goes on where log files are missing. Otherwise it is refused with their names: what is missing may only be a
    /// directory that is not mounted, or one that a changed `storePathCommitLog` no longer names.
    pub accept_missing_log: bool,
    /// `brokerRole=SLAVE`: the log is a copy of a master's and may end within a record, at any byte.
    pub replica: bool,
    /// `checkCRCOnRecover`
    pub check_crc_on_recover: bool,
    /// `forceVerifyPropCRC` (5.x): recovery checks the CRC property of every record and steps over one without it.
    pub verify_property_crc: bool,
    /// `autoMessageVersionOnTopicLen`: V2 records for topics over 127 bytes (5.x).
    pub auto_version: bool,
    /// `enabledAppendPropCRC` (5.x)
    pub append_crc: bool,
    /// `maxTransferBytesOnMessageInMemory`
    pub max_transfer_bytes_in_memory: i64,
    /// `maxTransferCountOnMessageInMemory`
    pub max_transfer_count_in_memory: i32,
    /// `maxTransferBytesOnMessageInDisk`
    pub max_transfer_bytes_on_disk: i64,
    /// `maxTransferCountOnMessageInDisk`
    pub max_transfer_count_on_disk: i32,
    /// A record further behind the log's end than this many bytes counts as on disk:
    /// physical memory * `accessMessageInMemoryMaxRatio` / 100.
    pub memory_window_bytes: i64,
    /// `offsetCheckInSlave` or not being a slave: a read outside the queue is told the offset to go on with.
    pub correct_offsets: bool,
    /// `messageIndexEnable`
    pub index: bool,
    /// `maxHashSlotNum`
    pub index_slots: i32,
    /// `maxIndexNum`
    pub index_entries: i32,
    /// `maxMsgsNumBatch`: most messages of one key query.
    pub query_max: usize,
    /// `fileReservedTime`, hours.
    pub file_reserved_hours: i64,
    /// `deleteWhen`: hours of the day, local time, at which expired files are deleted.
    pub delete_when: Vec<u32>,
    /// Offset of local time from UTC in ms, for `deleteWhen` and the names of index files.
    pub local_offset_ms: i64,
    /// `diskMaxUsedSpaceRatio`, percent: above it expired files are deleted at once.
    pub disk_max_used_percent: u32,
    /// Clean-forcibly ratio, percent: above it the oldest files are deleted though not expired.
    pub disk_clean_forcibly_percent: u32,
    /// Warning ratio, percent: above it writes are refused.
    pub disk_warning_percent: u32,
    /// `cleanFileForciblyEnable`
    pub clean_forcibly: bool,
    /// `deleteFileBatchMax`: files deleted in one run.
    pub delete_batch_max: usize,
    /// Delays of the delay levels in ms, level 1 first (`messageDelayLevel`).
    pub delay_levels_ms: Vec<i64>,
    /// Blocks of a log file are reserved this many bytes at a time ahead of the writer.
    pub log_reserve_step_bytes: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings::below("store")
    }
}

impl StoreSettings {
    /// Java's defaults, with everything below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        let root_dir = root.into();
        StoreSettings {
            commitlog_dirs: vec![root_dir.join("commitlog")],
            root_dir,
            read_only_commitlog_dirs: Vec::new(),
            commitlog_file_size: 1 << 30,
            consumequeue_file_size: 300_000 * 20,
            ext: false,
            ext_file_size: 48 << 20,
            multi_dispatch: false,
            lmq: false,
            max_lmq_queues: 20_000,
            max_message_size: 4 << 20,
            flush_type: FlushType::Async,
            accept_missing_log: false,
            replica: false,
            check_crc_on_recover: true,
            verify_property_crc: false,
            auto_version: true,
            append_crc: false,
            max_transfer_bytes_in_memory: 262_144,
            max_transfer_count_in_memory: 32,
            max_transfer_bytes_on_disk: 65_536,
            max_transfer_count_on_disk: 8,
            memory_window_bytes: 4 << 30,
            correct_offsets: true,
            index: true,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            query_max: 64,
            file_reserved_hours: 72,
            delete_when: vec![4],
            local_offset_ms: 0,
            disk_max_used_percent: 75,
            disk_clean_forcibly_percent: 85,
            disk_warning_percent: 90,
            clean_forcibly: true,
            delete_batch_max: 10,
            delay_levels_ms: DELAY_LEVELS_S.map(|seconds| seconds * 1000).into(),
            log_reserve_step_bytes: 64 << 20,
        }
    }

    /// Directory of the consumequeues.
    pub fn consumequeue_dir(&self) -> PathBuf {
        self.root_dir.join("consumequeue")
    }

    /// Directory of the consumequeues' extensions.
    pub fn ext_dir(&self) -> PathBuf {
        self.root_dir.join("consumequeue_ext")
    }

    /// Directory of what recovery cut off the log.
    pub fn cut_off_dir(&self) -> PathBuf {
        self.root_dir.join("cut_off")
    }

    /// Directory of the index files.
    pub fn index_dir(&self) -> PathBuf {
        self.root_dir.join("index")
    }

    /// Longest record that is stored, in bytes: what `maxMessageSize` allows and one file can hold.
    pub fn max_record_bytes(&self) -> i64 {
        (self.max_message_size + RECORD_ROOM_BYTES)
            .min(self.commitlog_file_size - message::record::BLANK_LEN as i64)
    }

    /// How long a record of the delay topic waits; `None` for other records.
    ///
    /// A level above the highest counts as the highest (RocketMQ 4.9.8, ScheduleMessageService).
    pub(crate) fn delay_ms(&self, topic: &str, delay: Option<&[u8]>) -> Option<i64> {
        if topic != message::name::SCHEDULE_TOPIC {
            return None;
        }
        let level: usize = std::str::from_utf8(delay?).ok()?.parse().ok()?;
        let index = level.min(self.delay_levels_ms.len()).checked_sub(1)?;
        self.delay_levels_ms.get(index).copied()
    }

    /// Checks that the values make sense together; rounds the consumequeue file size up to whole units.
    pub fn checked(mut self) -> Result<StoreSettings, SettingsError> {
        let bad = |setting, value: i64, must| Err(SettingsError { setting, value, must });
        if self.max_message_size < 1 || self.max_message_size > i64::from(i32::MAX) - RECORD_ROOM_BYTES - 8 {
            return bad(
                "maxMessageSize",
                self.max_message_size,
                "be between 1 and 2147418103".into(),
            );
        }
        // Java starts with files smaller than its longest record too; such a record is then refused.
        if self.commitlog_file_size < 4096 || self.commitlog_file_size > i64::from(i32::MAX) {
            let must = "be between 4096 and 2147483647".into();
            return bad("mappedFileSizeCommitLog", self.commitlog_file_size, must);
        }
        if self.consumequeue_file_size < 20 || self.consumequeue_file_size > i64::from(i32::MAX) - 20 {
            return bad(
                "mappedFileSizeConsumeQueue",
                self.consumequeue_file_size,
                "be between 20 and 2147483627".into(),
            );
        }
        self.consumequeue_file_size = (self.consumequeue_file_size + 19) / 20 * 20;
        if self.ext_file_size < 64 || self.ext_file_size > i64::from(i32::MAX) {
            let must = "be between 64 and 2147483647".into();
            return bad("mappedFileSizeConsumeQueueExt", self.ext_file_size, must);
        }
        if self.index_slots < 1 {
            return bad("maxHashSlotNum", self.index_slots.into(), "be at least 1".into());
        }
        let index_len = 40 + i64::from(self.index_slots) * 4 + i64::from(self.index_entries) * 20;
        if self.index_entries < 2 || index_len > i64::from(i32::MAX) {
            let must =
                "be at least 2, and 40 + maxHashSlotNum * 4 + maxIndexNum * 20 at most 2147483647".into();
            return bad("maxIndexNum", self.index_entries.into(), must);
        }
        if self.commitlog_dirs.is_empty() {
            return bad("storePathCommitLog", 0, "name at least one directory".into());
        }
        Ok(self)
    }
}

/// A setting with an impossible value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value} but must {must}")]
pub struct SettingsError {
    /// The Java name of the setting.
    pub setting: &'static str,
    /// Its value.
    pub value: i64,
    /// What it must be.
    pub must: String,
}
