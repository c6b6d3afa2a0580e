//! The store as a whole: the shared state, and appending, flushing, preparing, stopping.

use crate::append::{self, AppendError, Appended, Buffers, DiskFull, Pending};
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::damaged_units::DamagedUnits;
use crate::deletions::Deletions;
use crate::flush::Save;
use crate::index::{Index, RememberedQueue};
use crate::latch::{Latch, Latched, Undone};
use crate::live_settings::LiveSettings;
use crate::log::{Log, LogFile, RecordAtError};
use crate::lost_files::SeenLost;
use crate::offset::{PhysicalOffset, QueueOffset};
use crate::queue::{QueueFiles, Queues};
use crate::raw::Whole;
use crate::read_ahead::ReadAhead;
use crate::reput::{Bitmaps, Fresh, Reput};
use crate::retention::ReputWait;
use crate::settings::{FlushType, StoreSettings};
use disk::{Disk, MappedFile, MappedSlice};
use message::record::{self, Place};
use message::sys_flag;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Most records that wait in memory for their units; beyond it reput reads the log.
const FRESH_MAX: usize = 8192;
/// Bytes of the log written back by one call.
const FLUSH_STEP: i64 = 4 << 20;
/// Bytes prepared without a rest.
const PREPARE_STEP: i64 = 256 << 10;
/// Runs of so many bytes need no zeros before them: they make pages that are as large, and write them once.
const LARGE_RUN: i64 = 16 << 10;
/// Groups of so many bytes that are synced together need none either. Where nothing was written before, each sync has the
/// file's metadata to write as well; that costs less than to give the device all of a large group twice.
const LARGE_GROUP: i64 = 128 << 10;
/// How far ahead of the writer the log is made ready, at most and at least, bytes.
const POPULATE_MAX: i64 = 32 << 20;
const POPULATE_MIN: i64 = 1 << 20;
/// How far ahead it goes without zeros where syncs are waited for: the next groups may be small ones, which need them.
const BARE_MAX: i64 = 4 << 20;

/// The commitlog with its queues, index and checkpoint. Shared in an `Arc`; every method may be called from any
/// thread. Locks, in the order in which they are taken: retention, preparation, flush, consumequeue flush, index, reput, append.
pub struct Store<D: Disk> {
    pub(crate) disk: D,
    pub(crate) settings: StoreSettings,
    pub(crate) live: LiveSettings,
    pub(crate) log: Log<D>,
    pub(crate) queue_files: QueueFiles,
    pub(crate) queues: Queues<D::File>,
    pub(crate) latch: Latch,
    pub(crate) writer: Mutex<LogWriter<D>>,
    encode_buffers: Buffers,
    /// Nothing behind this is a whole record; [`i64::MAX`] where records are appended whole.
    pub(crate) whole_end: AtomicI64,
    /// The log is durable up to here, and a record begins or the log ends here.
    pub(crate) durable_whole: AtomicI64,
    /// When whoever appends now began, ms; 0 when nobody does.
    append_since: AtomicI64,
    pub(crate) fresh: Mutex<VecDeque<Fresh<D::File>>>,
    pub(crate) reput: Mutex<Reput<D>>,
    /// Who says which consumers' filters let a message through.
    pub(crate) bitmaps: OnceLock<Arc<dyn Bitmaps>>,
    /// The log up to here has consumequeue units.
    pub(crate) reput_end: AtomicI64,
    pub(crate) reput_timestamp: AtomicI64,
    pub(crate) index: Mutex<Option<Index<D>>>,
    /// What has units and is to be indexed.
    pub(crate) remembered: Mutex<RememberedQueue>,
    /// The log up to here is in the index.
    pub(crate) indexed: AtomicI64,
    /// Damaged units that readers have met.
    pub(crate) damaged_units: DamagedUnits,
    /// Files of the log that are not at their paths.
    pub(crate) seen_lost: Mutex<SeenLost>,
    /// Held while files are removed at the front of log and queues.
    pub(crate) retention_lock: Mutex<()>,
    /// Held while the log is made ready for what comes.
    pub(crate) prepare_lock: Mutex<()>,
    pub(crate) flush_lock: Mutex<()>,
    pub(crate) queue_flush_lock: Mutex<()>,
    pub(crate) checkpoint: Mutex<(CheckpointFile<D::File>, Checkpoint)>,
    /// The file has what is in memory.
    pub(crate) checkpoint_is_saved: AtomicBool,
    /// Length and sum of the `queueCheckpoint` that was written last.
    pub(crate) queue_checkpoint_sum: Mutex<Option<(usize, u32)>>,
    /// The log is made ready below this position.
    pub(crate) prepared: AtomicI64,
    /// Where the log ended when it was made ready last.
    pub(crate) prepared_from: AtomicI64,
    /// How often the log was cut back: readers that were at it meanwhile read again.
    pub(crate) cuts: AtomicU64,
    /// Where the log ended when the store was opened.
    pub(crate) opened_at: i64,
    pub(crate) read_ahead: ReadAhead,
    /// In how many portions it has grown since it was made ready: runs of records, or groups that one sync made durable
    /// where somebody waits for it.
    portions: AtomicI64,
    pub(crate) disk_full: RwLock<Option<DiskFull>>,
    /// Or units wait for space.
    pub(crate) is_disk_full: AtomicBool,
    /// The log up to here had no space for its units when the store was opened: appends wait for them, for which offset a message
    /// gets is only known then. 0 when none wait.
    pub(crate) units_wait_until: AtomicI64,
    /// Why reput does not come on, if so.
    pub(crate) reput_waits: Mutex<Option<ReputWait>>,
    pub(crate) has_reput_waited: AtomicBool,
    /// It has not come on for a while.
    pub(crate) is_reput_stuck: AtomicBool,
    pub(crate) delete_runs: AtomicI64,
    /// How many topics were deleted, for the names of what is left of them.
    pub(crate) deleted_number: AtomicU64,
    /// There may be files of deleted topics.
    pub(crate) has_deleted: AtomicBool,
    /// Which topics were deleted whose records the log still has.
    pub(crate) deletions: Deletions,
    /// Records that took a place in a queue from another one, those of the start included.
    pub(crate) taken_places: AtomicU64,
    /// The log's first position when queues and index were last brought after it.
    pub(crate) followed_min: AtomicI64,
    pub(crate) _lock: D::Lock,
    /// Of each folder of the log that is written.
    dir_locks: Vec<(PathBuf, D::Lock)>,
}

/// What belongs to whoever appends.
pub(crate) struct LogWriter<D: Disk> {
    /// Where the next record goes; the published end is the same between appends.
    pub(crate) position: i64,
    /// The file that holds `position`; none at the very start and at the end of a file.
    pub(crate) file: Option<Arc<LogFile<D::File>>>,
    /// Store time of the last record.
    pub(crate) timestamp: i64,
    pub(crate) shut_down: bool,
    /// Where bytes of a master's log are appended: how far they are whole records.
    pub(crate) whole: Option<Whole>,
}

impl<D: Disk> Store<D> {
    /// Appends all of `pending` under one short lock and sets each one's `result`.
    ///
    /// `now` is the store time in ms. Under SYNC_FLUSH a record counts only when [`Store::flushed`] has reached its
    /// end: that wait is the caller's. Call [`Store::reput`] afterwards.
    pub fn append(&self, pending: &mut [Pending<'_, D::File>], now: i64) {
        let may_append = match self.settings.replica {
            true => Err(AppendError::Replica),
            false => self.may_append().and_then(|()| self.may_be_read()),
        };
        if let Err(error) = may_append {
            pending
                .iter_mut()
                .for_each(|record| record.result = Some(Err(error.clone())));
            return;
        }
        let mut encoded = self.encode_buffers.take();
        append::encode(pending, &mut encoded);
        self.append_encoded(pending, &mut encoded, now);
        self.encode_buffers.give(encoded);
    }

    fn append_encoded(&self, pending: &mut [Pending<'_, D::File>], encoded: &mut [u8], now: i64) {
        let mut writer = self.writer.lock();
        if writer.shut_down {
            pending
                .iter_mut()
                .for_each(|record| record.result = Some(Err(AppendError::ShutDown)));
            return;
        }
        // It may have been set since it was asked for.
        if let Err(latched) = self.latch.check() {
            pending
                .iter_mut()
                .for_each(|record| record.result = Some(Err(latched.clone().into())));
            return;
        }
        // Threads come here in another order than they looked at the clock; times in the log do not go back by that.
        // A clock that was set back is followed.
        let now = if (writer.timestamp - 1000..writer.timestamp).contains(&now) {
            writer.timestamp
        } else {
            now
        };
        self.append_since.store(now, Ordering::Relaxed);
        let mut rest = pending;
        while !rest.is_empty() {
            let run = self.next_run(&writer, rest);
            let (now_done, after) = std::mem::take(&mut rest).split_at_mut(run.end);
            let failed = self
                .append_run(&mut writer, &mut now_done[run.start..], encoded, now)
                .err();
            rest = after;
            if let Some(error) = failed {
                // It concerns all that follow.
                rest.iter_mut()
                    .for_each(|record| record.result = Some(Err(error.clone())));
                break;
            }
        }
        if self.log.written() != writer.position {
            self.log.set_written(writer.position);
            self.log
                .written_timestamp
                .store(writer.timestamp, Ordering::Release);
        }
        self.append_since.store(0, Ordering::Relaxed);
    }

    /// How long somebody has been appending, ms; 0 if nobody is (RocketMQ 4.9.8, CommitLog.lockTimeMills).
    pub fn append_lock_ms(&self, now: i64) -> i64 {
        match self.append_since.load(Ordering::Relaxed) {
            0 => 0,
            since => (now - since).max(0),
        }
    }

    /// A folder of the log that is not at its path any more, if there is one: it was moved or removed, or another file
    /// system is mounted over it. What is written now nobody would find at the next start.
    pub fn lost_dir(&self) -> Option<&Path> {
        let mut dirs = self.dir_locks.iter();
        let lost = dirs.find(|(path, lock)| !self.disk.is_there(lock, path));
        lost.map(|(path, _)| path.as_path())
    }

    /// Nobody could read what is appended where reput does not come on.
    fn may_be_read(&self) -> Result<(), AppendError> {
        match self.reput_stuck() {
            Some(stuck) => Err(AppendError::ReputStuck(stuck)),
            None => Ok(()),
        }
    }

    pub(crate) fn may_append(&self) -> Result<(), AppendError> {
        self.latch.check()?;
        if self.is_disk_full.load(Ordering::Acquire) {
            if let Some(full) = self.disk_full.read().clone() {
                return Err(full.into());
            }
            if let Some(wait) = self.units_wait() {
                return Err(AppendError::NoSpace(wait.to_string()));
            }
        }
        Ok(())
    }

    /// Which of the first records are written together: as many as one file takes, those of a client batch not torn apart.
    /// What stands before them cannot be stored at all and has been told so.
    fn next_run(&self, writer: &LogWriter<D>, records: &mut [Pending<'_, D::File>]) -> Range<usize> {
        let max = self.log.file_size - record::BLANK_LEN as i64;
        let multi = self.settings.multi_dispatch;
        let file = writer.file.as_ref();
        let mut room = file.map_or(max, |file| file.start + max - writer.position);
        let (mut run, mut len) = (0..0, 0);
        while run.end < records.len() {
            let rest = &mut records[run.end..];
            let unit = 1 + rest[1..].iter().take_while(|record| record.joined).count();
            let unit = &mut rest[..unit];
            // Where those that name queues lie there has to be known before their length is.
            let names_queues = multi && unit.iter().any(|record| record.multi.is_some());
            if names_queues && !run.is_empty() {
                break;
            }
            let placed = !names_queues || self.place_multi(unit);
            let unit_len = unit.iter().map(|record| record.len as i64).sum();
            let refusal = if unit_len > max {
                Some(AppendError::BatchTooLong { len: unit_len, max })
            } else if !placed || unit.iter().any(|record| record.queue.is_deleted()) {
                Some(AppendError::TopicDeleted)
            } else {
                None
            };
            if let Some(error) = refusal {
                if !run.is_empty() {
                    break;
                }
                unit.iter_mut()
                    .for_each(|record| record.result = Some(Err(error.clone())));
                run = run.end + unit.len()..run.end + unit.len();
                continue;
            }
            if len + unit_len > room {
                if !run.is_empty() {
                    break;
                }
                // The first of a new file.
                room = max;
            }
            len += unit_len;
            run.end += unit.len();
            if names_queues {
                break;
            }
        }
        run
    }

    /// Appends records that one file takes. The error concerns all that follow, too.
    fn append_run(
        &self,
        writer: &mut LogWriter<D>,
        run: &mut [Pending<'_, D::File>],
        encoded: &mut [u8],
        now: i64,
    ) -> Result<(), AppendError> {
        if run.is_empty() {
            return Ok(());
        }
        let len: i64 = run.iter().map(|record| record.len as i64).sum();
        let written = self.make_room(writer, len, now).and_then(|file| {
            write_run(&file, writer.position, run, encoded, now)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                file.modified_ms.store(now, Ordering::Relaxed);
                writer.position += len;
                writer.timestamp = now;
                self.note_portion();
                run.iter_mut()
                    .for_each(|record| record.result = record.place.map(Ok));
                self.remember(run);
                Ok(())
            }
            Err(error) => {
                let error = match self.latch.judge(error) {
                    Undone::Waits(error) => AppendError::NoSpace(error.to_string()),
                    Undone::Latched(latched) => AppendError::Latched(latched),
                };
                free_places(run);
                run.iter_mut()
                    .for_each(|record| record.result = Some(Err(error.clone())));
                Err(error)
            }
        }
    }

    /// The log has grown by a run of records.
    pub(crate) fn note_portion(&self) {
        if self.settings.flush_type == FlushType::Async {
            self.portions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The file for the next `len` bytes; ends the current one where they do not fit.
    fn make_room(
        &self,
        writer: &mut LogWriter<D>,
        len: i64,
        now: i64,
    ) -> disk::Result<Arc<LogFile<D::File>>> {
        if let Some(file) = &writer.file {
            let left = file.start + self.log.file_size - writer.position;
            if len + record::BLANK_LEN as i64 <= left {
                return Ok(file.clone());
            }
            if left > 0 {
                // The next file first: if it cannot be had, this one stays open for shorter records.
                let next = self
                    .log
                    .add_file(&self.disk, file.start + self.log.file_size, now)?;
                let at = (writer.position - file.start) as u64;
                file.file.write_with(at, record::BLANK_LEN as u64, |out| {
                    record::encode_blank(left as i32, out)
                })?;
                file.file.publish(self.log.file_size as u64);
                file.modified_ms.store(now, Ordering::Relaxed);
                return Ok(self.enter(writer, next));
            }
        }
        let start = writer.position - writer.position % self.log.file_size;
        let next = self.log.add_file(&self.disk, start, now)?;
        Ok(self.enter(writer, next))
    }

    fn enter(&self, writer: &mut LogWriter<D>, next: Arc<LogFile<D::File>>) -> Arc<LogFile<D::File>> {
        writer.position = next.start;
        writer.file = Some(next.clone());
        next
    }

    /// Keeps what reput needs, so that it does not have to read the log again.
    fn remember(&self, run: &[Pending<'_, D::File>]) {
        let mut fresh = self.fresh.lock();
        for record in run {
            let Some(Ok(appended)) = &record.result else {
                continue;
            };
            if fresh.len() >= FRESH_MAX {
                return;
            }
            // One that goes to more queues is rare enough to be read from the log again.
            if record
                .multi
                .as_ref()
                .is_some_and(|multi| !multi.places.is_empty())
            {
                continue;
            }
            fresh.push_back(Fresh {
                queue: sys_flag::is_queued(record.fields.sys_flag).then(|| record.queue.clone()),
                queue_offset: appended.queue_offset.0,
                physical: appended.physical_offset.0,
                size: record.len as i32,
                tags_code: record
                    .delay_ms
                    .map_or(record.tags_code, |delay| appended.store_timestamp + delay),
                store_timestamp: appended.store_timestamp,
                key_hashes: record.key_hashes,
            });
        }
    }

    /// End of what was appended.
    pub fn max_physical(&self) -> PhysicalOffset {
        PhysicalOffset(self.log.written())
    }

    /// Where the log ended when it was opened.
    pub fn opened_at(&self) -> PhysicalOffset {
        PhysicalOffset(self.opened_at)
    }

    /// Start of the oldest log file.
    pub fn min_physical(&self) -> PhysicalOffset {
        PhysicalOffset(self.log.min())
    }

    /// End of what is durable.
    pub fn flushed(&self) -> PhysicalOffset {
        PhysicalOffset(self.log.flushed())
    }

    /// End of what readers may see: under SYNC_FLUSH what is durable, else all; of a slave's log only whole records.
    pub fn visible(&self) -> PhysicalOffset {
        let end = match self.settings.flush_type {
            FlushType::Async => self.max_physical(),
            // Not the flushed end, which may lie inside a record of a slave's log whose rest came during the sync.
            FlushType::Sync => PhysicalOffset(self.durable_whole.load(Ordering::SeqCst)),
        };
        end.min(PhysicalOffset(self.whole_end.load(Ordering::SeqCst)))
    }

    /// End of what has consumequeue units.
    pub fn reput_end(&self) -> PhysicalOffset {
        PhysicalOffset(self.reput_end.load(Ordering::Acquire))
    }

    /// How many messages took the place of an earlier one with the same queue offset, those of the start included.
    pub fn taken_places(&self) -> u64 {
        self.taken_places.load(Ordering::Relaxed)
    }

    /// The settings it was opened with; [`Store::tune`] may have changed some since.
    pub fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// The disk the store lies on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Why writes are off for good, if they are.
    pub fn latched(&self) -> Option<Latched> {
        self.latch.get().cloned()
    }

    /// The checked record at a physical offset.
    pub fn record_at(&self, offset: PhysicalOffset) -> Result<MappedSlice, RecordAtError> {
        if offset.0 >= self.visible().0 {
            return Err(RecordAtError::Outside(offset));
        }
        self.log.record_at(offset.0)
    }

    /// The same of a record that readers may not see yet: for who only appends more behind it.
    pub fn appended_record_at(&self, offset: PhysicalOffset) -> Result<MappedSlice, RecordAtError> {
        if offset >= self.max_physical() {
            return Err(RecordAtError::Outside(offset));
        }
        self.log.record_at(offset.0)
    }

    /// Makes everything appended so far durable, unless that is less than `least_pages` pages of 4 KiB; returns the
    /// durable end.
    ///
    /// Appends go on meanwhile. What comes while a sync runs is the next call's: that is the whole of group commit.
    pub fn flush(&self, least_pages: i64) -> Result<PhysicalOffset, Latched> {
        match self.flush_log(least_pages) {
            Ok(flushed) => Ok(flushed),
            Err(undone) => {
                undone.until_next_time("the sync of the commitlog")?;
                Ok(self.flushed())
            }
        }
    }

    fn flush_log(&self, least_pages: i64) -> Result<PhysicalOffset, Undone> {
        let _one_at_a_time = self.flush_lock.lock();
        self.latch.check()?;
        // The time first: it must not be that of a record beyond the end we take.
        let timestamp = self.log.written_timestamp.load(Ordering::Acquire);
        let (whole, target) = self.whole_and_written();
        let from = self.log.flushed();
        if target <= from || target / 4096 - from / 4096 < least_pages {
            return Ok(PhysicalOffset(from));
        }
        for file in self.log.files().iter() {
            let mut at = (from - file.start).max(0);
            let end = (target - file.start).min(self.log.file_size);
            if at < end {
                self.latch.guard(self.log.make_durable(&self.disk, file))?;
            }
            // In steps: a thread that writes pages back inside the kernel leaves its processor to nobody.
            while at < end {
                let step_end = end.min((at / FLUSH_STEP + 1) * FLUSH_STEP);
                self.latch.guard(file.file.sync(at as u64..step_end as u64))?;
                at = step_end;
            }
        }
        self.log.flushed_timestamp.store(timestamp, Ordering::Release);
        self.log.set_flushed(target);
        self.durable_whole.store(whole.min(target), Ordering::SeqCst);
        if self.settings.flush_type == FlushType::Sync {
            self.portions.fetch_add(1, Ordering::Relaxed);
        }
        // What a slave's log has reached now: were the store a master's next, deleted messages would have places again.
        if self.deletions.are_ahead()
            && let Err(error) = self.deletions.save(&self.disk, target)
        {
            tracing::warn!(%error, "notes of deleted topics are not written; the next sync of the commitlog does it");
        }
        Ok(PhysicalOffset(target))
    }

    /// Up to where the log is whole records, and its end, which is not before that: bytes of a copy end anywhere.
    fn whole_and_written(&self) -> (i64, i64) {
        loop {
            let whole = self.whole_end.load(Ordering::SeqCst);
            let written = self.log.written();
            // The first bytes of a copy may have come in between.
            if whole != i64::MAX || self.whole_end.load(Ordering::SeqCst) == i64::MAX {
                return (whole, written);
            }
        }
    }

    /// Whether [`Store::prepare_ahead`] has something to do. Cheap: ask after every append.
    pub fn needs_preparation(&self) -> bool {
        let written = self.log.written();
        written > 0 && (self.prepared.load(Ordering::Relaxed) < written + self.ahead(written) / 2)
    }

    /// How far ahead to prepare: as much again as came since the last time.
    fn ahead(&self, written: i64) -> i64 {
        (self.came(written) * 2).clamp(POPULATE_MIN, POPULATE_MAX)
    }

    /// Bytes that were appended since the log was made ready last.
    fn came(&self, written: i64) -> i64 {
        written - self.prepared_from.load(Ordering::Relaxed)
    }

    /// Reserves the next bytes of the log, writes zeros there if that will be of use, and makes the next file when this one
    /// nears its end, so that appends wait for none of it. For a thread of its own; errors are left for the append to meet.
    ///
    /// `rest` is called between small steps as long as there is time: the pages of a burst would keep a processor for
    /// tens of milliseconds where the machine has to find them first.
    pub fn prepare_ahead(&self, now: i64, rest: &mut dyn FnMut()) {
        let _alone = self.prepare_lock.lock();
        let written = self.log.written();
        let (large, step) = match self.settings.flush_type {
            FlushType::Async => (LARGE_RUN, PREPARE_STEP),
            // Each step ends with a sync.
            FlushType::Sync => (LARGE_GROUP, POPULATE_MAX),
        };
        // Before the first portion is complete nothing is known of their size.
        let portions = self.portions.swap(0, Ordering::Relaxed).max(1);
        let are_large = self.came(written) >= portions * large;
        let ahead = match self.settings.flush_type {
            FlushType::Sync if are_large => self.ahead(written).min(BARE_MAX),
            _ => self.ahead(written),
        };
        let goal = written + ahead;
        let mut populate = |file: &LogFile<D::File>, mut at: i64, to: i64| {
            if are_large && at < to {
                return file.file.reserve(at as u64..to as u64);
            }
            while at < to {
                let end = to.min(at + step);
                file.file.populate(at as u64..end as u64)?;
                at = end;
                if file.start + at - self.log.written() > POPULATE_MIN / 2 {
                    rest();
                }
            }
            Ok::<_, disk::Error>(())
        };
        let result = (|| {
            if let Some(file) = self.log.file_at(written) {
                let from = written.max(self.prepared.load(Ordering::Relaxed)) - file.start;
                populate(&file, from, (goal - file.start).min(self.log.file_size))?;
            }
            let boundary = self.log.next_file(written.max(1) - 1);
            if boundary - written < (self.log.file_size / 4).max(ahead).min(POPULATE_MAX * 4) {
                let spare = self.log.make_spare(&self.disk, now)?;
                let from = (self.prepared.load(Ordering::Relaxed) - boundary).max(0);
                populate(&spare, from, (goal - boundary).min(self.log.file_size))?;
            }
            Ok::<_, disk::Error>(())
        })();
        if let Err(error) = result {
            tracing::warn!(%error, "cannot prepare the commitlog ahead");
        }
        self.prepared_from.store(written, Ordering::Relaxed);
        self.prepared.fetch_max(goal, Ordering::Relaxed);
    }

    /// Stops taking appends, makes everything durable, and leaves the directory as a clean stop does. The lock is
    /// given up when the store is dropped.
    ///
    /// After a latched failure, or if something could not be given its unit, the abort file stays: the next start then
    /// recovers as after a crash.
    pub fn shutdown(&self) -> Result<(), Latched> {
        {
            let mut writer = self.writer.lock();
            writer.shut_down = true;
        }
        match self.finish() {
            Ok(()) => Ok(()),
            Err(Undone::Latched(latched)) => Err(latched),
            Err(Undone::Waits(error)) => {
                tracing::warn!(%error, "not everything could be finished; the next start does it");
                Ok(())
            }
        }
    }

    fn finish(&self) -> Result<(), Undone> {
        self.flush_log(0)?;
        self.reput(&mut |_| {})?;
        self.enter_keys()?;
        self.flush_index()?;
        self.flush_queues(0, Save::CheckpointAtLeast)?;
        // Notes of a slave that are ahead of its log, as far as that has come.
        self.save_deletions().map_err(Undone::Waits)?;
        self.save_damaged_units().map_err(Undone::Waits)?;
        if let Some(spare) = self.log.take_spare() {
            spare.file.forget();
            self.latch.guard(self.disk.remove_file(spare.file.path()))?;
        }
        if self.reput_end().0 == self.log.written() {
            let abort = self.settings.root_dir.join("abort");
            self.latch.guard(self.disk.remove_file(&abort))?;
            self.latch.guard(self.disk.sync_dir(&self.settings.root_dir))?;
        } else {
            let waiting = self.log.written() - self.reput_end().0;
            tracing::warn!(
                waiting,
                "bytes of the log have no queue units yet; the next start builds them"
            );
        }
        Ok(())
    }

    /// Names of the topics that have queues.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.queues.topics()
    }

    /// Ids of a topic's queues, in order.
    pub fn queue_ids(&self, topic: &str) -> Vec<i32> {
        self.queues.ids(topic)
    }

    #[allow(clippy::too_many_arguments)] // The one place that puts the parts together.
    pub(crate) fn assemble(
        disk: D,
        settings: StoreSettings,
        (lock, dir_locks): (D::Lock, Vec<(PathBuf, D::Lock)>),
        log: Log<D>,
        queue_files: QueueFiles,
        queues: Queues<D::File>,
        checkpoint: (CheckpointFile<D::File>, Checkpoint),
        index: Option<Index<D>>,
        deletions: Deletions,
    ) -> Self {
        let end = log.written();
        let timestamp = log.written_timestamp.load(Ordering::Relaxed);
        Store {
            writer: Mutex::new(LogWriter {
                position: end,
                file: log.file_at(end),
                timestamp,
                shut_down: false,
                whole: None,
            }),
            whole_end: AtomicI64::new(i64::MAX),
            durable_whole: AtomicI64::new(end),
            encode_buffers: Buffers::default(),
            append_since: AtomicI64::new(0),
            disk,
            live: LiveSettings::of(&settings),
            settings,
            log,
            queue_files,
            queues,
            latch: Latch::default(),
            fresh: Mutex::default(),
            reput: Mutex::new(Reput::at(end)),
            bitmaps: OnceLock::new(),
            reput_end: AtomicI64::new(end),
            reput_timestamp: AtomicI64::new(timestamp),
            indexed: AtomicI64::new(index.as_ref().map_or(0, |index| index.position)),
            index: Mutex::new(index),
            remembered: Mutex::default(),
            damaged_units: DamagedUnits::default(),
            seen_lost: Mutex::default(),
            retention_lock: Mutex::new(()),
            prepare_lock: Mutex::new(()),
            flush_lock: Mutex::new(()),
            queue_flush_lock: Mutex::new(()),
            checkpoint: Mutex::new(checkpoint),
            checkpoint_is_saved: AtomicBool::new(false),
            queue_checkpoint_sum: Mutex::new(None),
            prepared: AtomicI64::new(end),
            prepared_from: AtomicI64::new(end),
            cuts: AtomicU64::new(0),
            opened_at: end,
            read_ahead: ReadAhead::default(),
            portions: AtomicI64::new(0),
            disk_full: RwLock::new(None),
            is_disk_full: AtomicBool::new(false),
            units_wait_until: AtomicI64::new(0),
            reput_waits: Mutex::new(None),
            has_reput_waited: AtomicBool::new(false),
            is_reput_stuck: AtomicBool::new(false),
            delete_runs: AtomicI64::new(0),
            deleted_number: AtomicU64::new(0),
            // Of a run before.
            has_deleted: AtomicBool::new(true),
            deletions,
            taken_places: AtomicU64::new(0),
            followed_min: AtomicI64::new(0),
            _lock: lock,
            dir_locks,
        }
    }
}

/// Gives the records of a run their places, writes them, all in one, and publishes them. Only under the append lock.
fn write_run<F: MappedFile>(
    file: &LogFile<F>,
    position: i64,
    run: &mut [Pending<'_, F>],
    encoded: &mut [u8],
    now: i64,
) -> disk::Result<()> {
    let at = (position - file.start) as u64;
    if run.iter().any(|record| record.multi.is_some()) {
        // They have become longer since.
        let len: usize = run.iter().map(|record| record.len).sum();
        file.file.write_with(at, len as u64, |out| {
            place_run(position, run, now, |record, place, at| {
                record.encode(place, &mut out[at..at + record.len]);
            });
        })?;
        file.file.publish(at + len as u64);
        return Ok(());
    }
    place_run(position, run, now, |record, place, _| {
        record
            .fields
            .set_place(place, &mut encoded[record.encoded.clone()]);
    });
    let bytes = &encoded[run[0].encoded.start..run[run.len() - 1].encoded.end];
    match run.iter().any(Pending::is_split) {
        true => file
            .file
            .write_parts_and_publish(at, &mut append::parts(run, bytes)),
        false => file.file.write_and_publish(at, bytes),
    }
}

/// Gives the records of a run their places; `put` is told each one's, and where in the run it starts.
fn place_run<F: MappedFile>(
    position: i64,
    run: &mut [Pending<'_, F>],
    now: i64,
    mut put: impl FnMut(&Pending<'_, F>, Place, usize),
) {
    let mut at = 0;
    for record in run {
        let queued = sys_flag::is_queued(record.fields.sys_flag);
        // `next` is ours alone: we hold the append lock.
        let next = record.queue.next.load(Ordering::Relaxed);
        let queue_offset = if queued { next } else { 0 };
        let physical_offset = position + at as i64;
        let place = Place {
            queue_offset,
            physical_offset,
            store_timestamp: now,
        };
        put(record, place, at);
        at += record.len;
        if queued {
            record.queue.next.store(next + 1, Ordering::Relaxed);
        }
        for (queue, offset) in record.multi.iter().flat_map(|multi| &multi.places) {
            queue.next.store(offset.0 + 1, Ordering::Relaxed);
        }
        record.place = Some(Appended {
            queue_offset: QueueOffset(queue_offset),
            physical_offset: PhysicalOffset(physical_offset),
            end: PhysicalOffset(position + at as i64),
            store_timestamp: now,
        });
    }
}

/// Frees the places that a run was given and could not be written to.
fn free_places<F: MappedFile>(run: &mut [Pending<'_, F>]) {
    for record in run.iter_mut().rev() {
        let Some(place) = record.place.take() else {
            continue;
        };
        if sys_flag::is_queued(record.fields.sys_flag) {
            let queue = &record.queue;
            queue.next.store(place.queue_offset.0, Ordering::Relaxed);
            let places = record.multi.iter().flat_map(|multi| &multi.places);
            places.for_each(|(queue, offset)| queue.next.store(offset.0, Ordering::Relaxed));
        }
    }
}
