//! The settings that may change while the store is open.

use crate::settings::StoreSettings;
use crate::store::Store;
use disk::Disk;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering};

/// What appends and reads look at, one number each, so that a look costs nothing; what retention looks at, together.
pub(crate) struct LiveSettings {
    max_message_size: AtomicI64,
    max_record_bytes: AtomicI64,
    transfer_bytes_in_memory: AtomicI64,
    transfer_count_in_memory: AtomicI32,
    transfer_bytes_on_disk: AtomicI64,
    transfer_count_on_disk: AtomicI32,
    memory_window_bytes: AtomicI64,
    query_max: AtomicUsize,
    local_offset_ms: AtomicI64,
    retention: RwLock<Retention>,
}

/// When files go, and when the disk is too full.
#[derive(Clone, Debug)]
pub(crate) struct Retention {
    pub(crate) file_reserved_hours: i64,
    pub(crate) delete_when: Vec<u32>,
    pub(crate) disk_max_used_percent: u32,
    pub(crate) disk_clean_forcibly_percent: u32,
    pub(crate) disk_warning_percent: u32,
    pub(crate) clean_forcibly: bool,
    pub(crate) delete_batch_max: usize,
}

impl Retention {
    fn of(settings: &StoreSettings) -> Self {
        Self {
            file_reserved_hours: settings.file_reserved_hours,
            delete_when: settings.delete_when.clone(),
            disk_max_used_percent: settings.disk_max_used_percent,
            disk_clean_forcibly_percent: settings.disk_clean_forcibly_percent,
            disk_warning_percent: settings.disk_warning_percent,
            clean_forcibly: settings.clean_forcibly,
            delete_batch_max: settings.delete_batch_max,
        }
    }
}

impl LiveSettings {
    pub(crate) fn of(settings: &StoreSettings) -> Self {
        Self {
            max_message_size: AtomicI64::new(settings.max_message_size),
            max_record_bytes: AtomicI64::new(settings.max_record_bytes()),
            transfer_bytes_in_memory: AtomicI64::new(settings.max_transfer_bytes_in_memory),
            transfer_count_in_memory: AtomicI32::new(settings.max_transfer_count_in_memory),
            transfer_bytes_on_disk: AtomicI64::new(settings.max_transfer_bytes_on_disk),
            transfer_count_on_disk: AtomicI32::new(settings.max_transfer_count_on_disk),
            memory_window_bytes: AtomicI64::new(settings.memory_window_bytes),
            query_max: AtomicUsize::new(settings.query_max),
            local_offset_ms: AtomicI64::new(settings.local_offset_ms),
            retention: RwLock::new(Retention::of(settings)),
        }
    }

    /// Offset of local time from UTC, ms.
    pub(crate) fn local_offset_ms(&self) -> i64 {
        self.local_offset_ms.load(Ordering::Relaxed)
    }

    /// Longest body, bytes.
    pub(crate) fn max_message_size(&self) -> i64 {
        self.max_message_size.load(Ordering::Relaxed)
    }

    /// Longest record, bytes.
    pub(crate) fn max_record_bytes(&self) -> i64 {
        self.max_record_bytes.load(Ordering::Relaxed)
    }

    /// Most bytes and messages of one read.
    pub(crate) fn transfer(&self, on_disk: bool) -> (i64, i32) {
        let (bytes, count) = if on_disk {
            (&self.transfer_bytes_on_disk, &self.transfer_count_on_disk)
        } else {
            (&self.transfer_bytes_in_memory, &self.transfer_count_in_memory)
        };
        (bytes.load(Ordering::Relaxed), count.load(Ordering::Relaxed))
    }

    /// How far behind the log's end memory reaches, bytes.
    pub(crate) fn memory_window_bytes(&self) -> i64 {
        self.memory_window_bytes.load(Ordering::Relaxed)
    }

    /// Most messages of one key query.
    pub(crate) fn query_max(&self) -> usize {
        self.query_max.load(Ordering::Relaxed)
    }

    /// When files go.
    pub(crate) fn retention(&self) -> Retention {
        self.retention.read().clone()
    }
}

impl<D: Disk> Store<D> {
    /// Tells the store the offset of local time from UTC, ms: hours of deletion and names of index files follow the zone
    /// where its clocks change.
    pub fn set_local_offset(&self, offset_ms: i64) {
        self.live.local_offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// Takes over from `settings` what may change while the store is open: the longest message, the limits of reads and
    /// queries, and everything about retention and the disk's levels. The rest is left as it was at the start.
    pub fn tune(&self, settings: &StoreSettings) {
        let live = &self.live;
        let longest = settings.max_message_size;
        live.max_message_size.store(longest, Ordering::Relaxed);
        let record = StoreSettings {
            max_message_size: longest,
            ..self.settings.clone()
        };
        live.max_record_bytes
            .store(record.max_record_bytes(), Ordering::Relaxed);
        for (number, value) in [
            (
                &live.transfer_bytes_in_memory,
                settings.max_transfer_bytes_in_memory,
            ),
            (&live.transfer_bytes_on_disk, settings.max_transfer_bytes_on_disk),
            (&live.memory_window_bytes, settings.memory_window_bytes),
        ] {
            number.store(value, Ordering::Relaxed);
        }
        for (number, value) in [
            (
                &live.transfer_count_in_memory,
                settings.max_transfer_count_in_memory,
            ),
            (&live.transfer_count_on_disk, settings.max_transfer_count_on_disk),
        ] {
            number.store(value, Ordering::Relaxed);
        }
        live.query_max.store(settings.query_max, Ordering::Relaxed);
        *live.retention.write() = Retention::of(settings);
    }
}
