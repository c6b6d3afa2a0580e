//! One consumequeue: 20-byte units that say where in the log each message of a queue lies.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | physical offset i64 |
//! | 8–11 | record size i32 |
//! | 12–19 | tagsCode i64 |
//!
//! Unit n lies at byte n * 20; a file's name is the position of its first byte (RocketMQ 4.9.8, ConsumeQueue).

mod cut;
mod places;

pub(crate) use cut::QueueEnd;

use crate::ext::{self, Ext, ExtUnit, Extra};
use crate::index::TopicHash;
use crate::log::file_name;
use crate::settings::StoreSettings;

use arc_swap::ArcSwap;
use disk::{Disk, MapOptions, MappedFile, MappedSlice, Writes};
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes of a unit.
pub(crate) const UNIT: i64 = 20;
/// Bytes of leftover units that are read at a time, at least and at most.
pub(crate) const LEFTOVER_MIN: usize = 64 * UNIT as usize;
const LEFTOVER_MAX: usize = 1024 * UNIT as usize;

/// A unit's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) physical: i64,
    pub(crate) size: i32,
    pub(crate) tags_code: i64,
}

impl Unit {
    /// Fills the place of messages that this queue never had or that are lost.
    pub(crate) const PRE_BLANK: Unit = Unit {
        physical: 0,
        size: i32::MAX,
        tags_code: 0,
    };

    pub(crate) fn encode(self) -> [u8; UNIT as usize] {
        let mut bytes = [0; UNIT as usize];
        bytes[..8].copy_from_slice(&self.physical.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_be_bytes());
        bytes[12..].copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    /// Decodes a unit.
    ///
    /// # Panics
    /// When there are fewer than 20 bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Unit {
        let mut physical = [0; 8];
        physical.copy_from_slice(&bytes[..8]);
        let mut size = [0; 4];
        size.copy_from_slice(&bytes[8..12]);
        let mut tags_code = [0; 8];
        tags_code.copy_from_slice(&bytes[12..20]);
        Unit {
            physical: i64::from_be_bytes(physical),
            size: i32::from_be_bytes(size),
            tags_code: i64::from_be_bytes(tags_code),
        }
    }

    /// Whether this can be a unit at all; what follows the last one is zero.
    pub(crate) fn is_valid(self) -> bool {
        self.physical >= 0 && self.size > 0
    }

    pub(crate) fn is_pre_blank(self) -> bool {
        self.physical == 0 && self.size == i32::MAX
    }

    /// The position after the record.
    pub(crate) fn end(self) -> i64 {
        self.physical.saturating_add(i64::from(self.size))
    }
}

/// Where the files of all queues of a store are.
#[derive(Clone, Debug)]
pub(crate) struct QueueFiles {
    pub(crate) dir: PathBuf,
    pub(crate) ext_dir: PathBuf,
    /// New units have an extension.
    pub(crate) ext: bool,
    /// File size of extensions that are made.
    pub(crate) ext_file_size: i64,
}

impl QueueFiles {
    pub(crate) fn of(settings: &StoreSettings) -> Self {
        QueueFiles {
            dir: settings.consumequeue_dir(),
            ext_dir: settings.ext_dir(),
            ext: settings.ext,
            ext_file_size: settings.ext_file_size,
        }
    }

    pub(crate) fn options() -> MapOptions {
        MapOptions {
            reserve_step_bytes: 1 << 20,
            pinned: false,
            writes: Writes::Stores,
        }
    }

    pub(crate) fn queue_dir(&self, topic: &str, id: i32) -> PathBuf {
        self.dir.join(topic).join(id.to_string())
    }

    pub(crate) fn ext_queue_dir(&self, topic: &str, id: i32) -> PathBuf {
        self.ext_dir.join(topic).join(id.to_string())
    }

    pub(crate) fn create<D: Disk>(
        disk: &D,
        queue_dir: &Path,
        start: i64,
        file_size: i64,
    ) -> disk::Result<QueueFile<D::File>> {
        disk.create_dirs(queue_dir)?;
        let path = queue_dir.join(file_name(start));
        // One that a crash left behind, or that the end of a cut queue lies before, has nothing we want.
        disk.remove_file(&path)?;
        let file = disk.create(&path, file_size as u64, Self::options())?;
        Ok(QueueFile { start, file })
    }
}

/// One file of a queue.
#[derive(Debug)]
pub(crate) struct QueueFile<F> {
    /// Position of its first byte.
    pub(crate) start: i64,
    pub(crate) file: F,
}

/// One queue of a topic.
///
/// `next` belongs to whoever holds the append lock, the files to whoever holds the reput lock; everyone may
/// read below `end`.
#[derive(Debug)]
pub struct Queue<F> {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_hash: TopicHash,
    pub(crate) id: i32,
    /// Bytes of each of its files: what the settings said when its first file was made.
    pub(crate) file_size: i64,
    /// The queue offset that the next record gets.
    pub(crate) next: AtomicI64,
    /// Set when the topic is deleted, under both locks.
    pub(crate) deleted: AtomicBool,
    /// First unit that is worth reading.
    min: AtomicI64,
    /// One behind the last unit.
    end: AtomicI64,
    /// Units below this one were there when the store was opened.
    pub(crate) loaded_end: i64,
    /// End in the log of the last record that has a unit.
    pub(crate) max_physical: AtomicI64,
    /// Units below this one are durable.
    flushed: AtomicI64,
    /// A file was made or removed, and that is not durable yet.
    new_names: AtomicBool,
    /// What stood behind the end was cleared, and that is not durable yet.
    cleared: AtomicBool,
    files: RwLock<Vec<Arc<QueueFile<F>>>>,
    /// What its units have no room for, once there is anything.
    ext: OnceLock<Box<Ext<F>>>,
    /// A message took the place of another one, as far as was seen since the start.
    pub(crate) has_taken_places: AtomicBool,
    /// Recovery found no space for one of its units.
    pub(crate) waits_for_space: AtomicBool,
    /// What stands behind the units that recovery believes; only while the store is opened.
    leftover: Mutex<Option<Box<Leftover>>>,
    has_leftover: AtomicBool,
}

/// Units behind the last one that recovery believes. Nearly always they are what the log says, too: then they need not be
/// written again.
#[derive(Debug)]
pub(crate) struct Leftover {
    /// Index of the first of them.
    pub(crate) first: i64,
    /// Some of them, as they stand in the file.
    pub(crate) units: Vec<u8>,
    /// Index of the first unit in `units`.
    pub(crate) units_from: i64,
    /// The file may hold something other than zeros up to this position in it.
    pub(crate) dirty_until: u64,
}

impl Leftover {
    fn unit(&self, index: i64) -> Option<Unit> {
        let nth = usize::try_from(index - self.units_from).ok()?;
        let bytes = self.units.chunks_exact(UNIT as usize).nth(nth)?;
        Some(Unit::decode(bytes))
    }

    /// Whether more of them may be read from `index` on, which is at byte `at` of a file.
    fn goes_on_at<F: MappedFile>(&self, index: i64, at: u64, file: &QueueFile<F>) -> bool {
        let next = self.units_from + self.units.len() as i64 / UNIT;
        index == next && file.start <= self.first * UNIT && at < self.dirty_until.min(file.file.len())
    }

    /// Reads the next ones: ever more at a time, for of most queues there are few.
    fn read_on<F: MappedFile>(&mut self, file: &F, at: u64) -> disk::Result<()> {
        let len = (self.units.len() * 4).clamp(LEFTOVER_MIN, LEFTOVER_MAX);
        let len = (len as u64).min(file.len() - at);
        self.units_from += self.units.len() as i64 / UNIT;
        self.units.resize(len as usize, 0);
        file.read(at, &mut self.units)
    }
}

/// The size of the files of a queue, given where they start and how long they are: that of the longest. A broker whose
/// settings say another one goes on with what it finds, file by file.
pub(crate) fn found_size(setting: i64, multiple: i64, files: &[(i64, u64)]) -> i64 {
    let longest = files.iter().map(|(_, len)| *len as i64).max().unwrap_or(0);
    let fits = |size: i64| {
        size > 0
            && files
                .iter()
                .all(|(start, len)| start % size == 0 && *len as i64 <= size)
    };
    if longest % multiple == 0 && fits(longest) {
        longest
    } else {
        setting
    }
}

/// What became of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is in its place.
    Done,
    /// It was there before.
    Repeat,
    /// It is in its place, where the unit of an earlier record stood, which lies here in the log.
    TookPlaceOf(i64),
}

impl<F: MappedFile> Queue<F> {
    pub(crate) fn new(topic: Arc<str>, id: i32, file_size: i64) -> Self {
        Queue {
            topic_hash: TopicHash::of(&topic),
            topic,
            id,
            file_size,
            next: AtomicI64::new(0),
            deleted: AtomicBool::new(false),
            min: AtomicI64::new(0),
            end: AtomicI64::new(0),
            loaded_end: 0,
            max_physical: AtomicI64::new(0),
            flushed: AtomicI64::new(0),
            new_names: AtomicBool::new(false),
            cleared: AtomicBool::new(false),
            files: RwLock::default(),
            ext: OnceLock::new(),
            has_taken_places: AtomicBool::new(false),
            waits_for_space: AtomicBool::new(false),
            leftover: Mutex::new(None),
            has_leftover: AtomicBool::new(false),
        }
    }

    /// A queue with files as recovery found them; `end` units are good.
    pub(crate) fn loaded(
        topic: Arc<str>,
        id: i32,
        file_size: i64,
        files: Vec<Arc<QueueFile<F>>>,
        end: i64,
        max_physical: i64,
    ) -> Self {
        let queue = Queue {
            loaded_end: end,
            ..Queue::new(topic, id, file_size)
        };
        queue.min.store(
            files.first().map_or(0, |file| file.start / UNIT),
            Ordering::Relaxed,
        );
        queue.end.store(end, Ordering::Relaxed);
        queue.flushed.store(end, Ordering::Relaxed);
        queue.next.store(end, Ordering::Relaxed);
        queue.max_physical.store(max_physical, Ordering::Release);
        *queue.files.write() = files;
        queue
    }

    /// Whether the queue's topic was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn min(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    /// One behind the last unit.
    ///
    /// Sequentially consistent, as [`Queue::set_end`] is: a request that waits for messages is put where reput finds it, and
    /// looks at the end once more; reput sets the end, and looks who waits. Were one of the two looks earlier than what was
    /// said before it, both could see nothing, and the request would sleep through a message.
    pub(crate) fn end(&self) -> i64 {
        self.end.load(Ordering::SeqCst)
    }

    /// Sets the end; its units are written.
    fn set_end(&self, end: i64) {
        self.end.store(end, Ordering::SeqCst);
    }

    /// End in the log of the last record that has a unit.
    pub(crate) fn max_physical(&self) -> i64 {
        self.max_physical.load(Ordering::Acquire)
    }

    /// Where the files start that hold units below `end`, bytes.
    pub(crate) fn starts_below(&self, end: i64) -> Vec<i64> {
        let files = self.files.read();
        let starts = files.iter().map(|file| file.start);
        starts.take_while(|start| *start < end * UNIT).collect()
    }

    /// Whether units were written since the last flush.
    pub(crate) fn is_dirty(&self) -> bool {
        self.flushed.load(Ordering::Acquire) < self.end()
            || self.new_names.load(Ordering::Acquire)
            || self.cleared.load(Ordering::Acquire)
    }

    /// Bytes written since the last flush.
    pub(crate) fn dirty_bytes(&self) -> i64 {
        (self.end() - self.flushed.load(Ordering::Acquire)) * UNIT
    }

    fn file_at(&self, byte: i64) -> Option<Arc<QueueFile<F>>> {
        let files = self.files.read();
        let after = files.partition_point(|file| file.start <= byte);
        let file = files.get(after.checked_sub(1)?)?;
        (byte < file.start + self.file_size).then(|| file.clone())
    }

    /// Units from `from` on: as many as its file has, at most `max_bytes`. `None` where there is no data.
    pub(crate) fn units(&self, from: i64, max_bytes: i64) -> disk::Result<Option<MappedSlice>> {
        let byte = from * UNIT;
        while let Some(file) = self.file_at(byte) {
            let start = byte - file.start;
            let end = (file.file.published() as i64).min(start.saturating_add(max_bytes / UNIT * UNIT));
            if start >= end {
                break;
            }
            match file.file.slice(start as u64..end as u64) {
                // It was removed, or a copy took its place, since it was found.
                Err(_) if !self.files.read().iter().any(|other| Arc::ptr_eq(other, &file)) => {}
                slice => return slice,
            }
        }
        Ok(None)
    }

    /// One unit.
    pub(crate) fn unit(&self, index: i64) -> disk::Result<Option<Unit>> {
        if index < 0 || index >= self.end() {
            return Ok(None);
        }
        let Some(slice) = self.units(index, UNIT)? else {
            return Ok(None);
        };
        let unit = Unit::decode(&slice);
        slice.check()?;
        Ok(Some(unit))
    }

    /// The extension of a loaded queue.
    pub(crate) fn set_ext(&self, ext: Ext<F>) {
        // Recovery is the first and, so far, the only one.
        let _set = self.ext.set(Box::new(ext));
    }

    /// Has a look at the extension of a unit; `None` if it has none (any more).
    pub(crate) fn look_at_extension<R>(
        &self,
        unit: Unit,
        look: impl FnOnce(i64, Extra<'_>) -> R,
    ) -> disk::Result<Option<R>> {
        match self.ext.get() {
            Some(ext) => ext.look(unit.tags_code, look),
            None => Ok(None),
        }
    }

    /// The last address that a unit has, from the end of the queue backwards.
    pub(crate) fn last_address(&self) -> disk::Result<Option<i64>> {
        let mut end = self.end();
        let files = self.files.read().clone();
        for file in files.iter().rev() {
            let units = (end * UNIT - file.start).max(0) as u64;
            if let Some(all) = file.file.slice(0..units)? {
                let mut codes = all.chunks_exact(UNIT as usize).rev();
                if let Some(bytes) = codes.find(|bytes| ext::is_address(Unit::decode(bytes).tags_code)) {
                    return Ok(Some(Unit::decode(bytes).tags_code));
                }
            }
            end = file.start / UNIT;
        }
        Ok(None)
    }

    /// Writes the extension of a unit that is about to be put, if it is to have one, and puts its address into the unit. Without
    /// space for it the unit keeps its tagsCode, as in Java.
    fn with_extension<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        unit: Unit,
        extra: Option<Extra<'_>>,
    ) -> disk::Result<Unit> {
        let Some(extra) = extra.filter(|_| files.ext) else {
            return Ok(unit);
        };
        let ext = self.ext.get_or_init(|| Box::new(Ext::new(files.ext_file_size)));
        let dir = files.ext_queue_dir(&self.topic, self.id);
        let content = ExtUnit {
            tags_code: unit.tags_code,
            store_timestamp: extra.store_timestamp,
            bitmap: extra.bitmap.to_vec(),
        };
        let address = match ext.put(disk, &dir, &content) {
            Err(error) if error.is_full() => None,
            result => result?,
        };
        Ok(Unit {
            tags_code: address.unwrap_or(unit.tags_code),
            ..unit
        })
    }

    /// Puts a unit at its place. With something for it, it gets an extension, if the settings say so. Only under the reput
    /// lock.
    pub(crate) fn put<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        queue_offset: i64,
        unit: Unit,
        extra: Option<Extra<'_>>,
    ) -> disk::Result<Put> {
        if unit.end() <= self.max_physical.load(Ordering::Relaxed) {
            return Ok(Put::Repeat);
        }
        let end = self.end();
        if queue_offset < end {
            return self.take_place(disk, files, queue_offset, unit, extra);
        }
        if queue_offset > end || self.files.read().is_empty() {
            if end == 0 {
                // A file that recovery kept though it believes none of its units.
                self.cut(disk, 0)?;
            }
            self.skip_to(disk, files, queue_offset)?;
        }
        let unit = self.with_extension(disk, files, unit, extra)?;
        if !self.stands(queue_offset, unit)? {
            self.write(disk, files, queue_offset, unit)?;
        }
        self.max_physical.store(unit.end(), Ordering::Relaxed);
        self.set_end(queue_offset + 1);
        Ok(Put::Done)
    }

    /// Puts units that follow one another behind the end, by one write: as many as the last file takes. 0 if something about
    /// them needs [`Queue::put`]. Not for units with an extension. Only under the reput lock; `bytes` is room to work in.
    pub(crate) fn put_run(
        &self,
        first: i64,
        units: impl Iterator<Item = Unit>,
        bytes: &mut Vec<u8>,
    ) -> disk::Result<usize> {
        if first != self.end() || self.has_leftover.load(Ordering::Acquire) {
            return Ok(0);
        }
        let files = self.files.read();
        let Some(last) = files.last() else {
            return Ok(0);
        };
        let at = first * UNIT - last.start;
        if !(0..self.file_size).contains(&at) {
            return Ok(0);
        }
        let mut max_physical = self.max_physical.load(Ordering::Relaxed);
        let (room, mut count) = ((self.file_size - at) / UNIT, 0);
        bytes.clear();
        for unit in units.take(room as usize) {
            if unit.end() <= max_physical {
                return Ok(0);
            }
            max_physical = unit.end();
            bytes.extend_from_slice(&unit.encode());
            count += 1;
        }
        last.file.write_and_publish(at as u64, bytes)?;
        self.max_physical.store(max_physical, Ordering::Relaxed);
        self.set_end(first + count as i64);
        Ok(count)
    }

    fn write<D: Disk<File = F>>(
        &self,
        disk: &D,
        files: &QueueFiles,
        index: i64,
        unit: Unit,
    ) -> disk::Result<()> {
        let byte = index * UNIT;
        let file = match self.file_at(byte) {
            Some(file) => file,
            None => {
                let start = byte - byte % self.file_size;
                let file = Arc::new(QueueFiles::create(
                    disk,
                    &files.queue_dir(&self.topic, self.id),
                    start,
                    self.file_size,
                )?);
                let mut list = self.files.write();
                // Nearly always the last one.
                let behind = list.partition_point(|other| other.start < start);
                list.insert(behind, file.clone());
                self.new_names.store(true, Ordering::Release);
                file
            }
        };
        let at = (byte - file.start) as u64;
        file.file.write_and_publish(at, &unit.encode())
    }

    /// Notes what stands behind the end of a loaded queue.
    pub(crate) fn set_leftover(&self, leftover: Leftover) {
        *self.leftover.lock() = Some(Box::new(leftover));
        self.has_leftover.store(true, Ordering::Release);
    }

    /// Whether the unit is in its place already; publishes it then.
    fn stands(&self, index: i64, unit: Unit) -> disk::Result<bool> {
        if !self.has_leftover.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut leftover = self.leftover.lock();
        let Some(leftover) = leftover.as_mut() else {
            return Ok(false);
        };
        let Some(file) = self.file_at(index * UNIT) else {
            return Ok(false);
        };
        let at = (index * UNIT - file.start) as u64;
        if leftover.unit(index).is_none() && leftover.goes_on_at(index, at, &file) {
            leftover.read_on(&file.file, at)?;
        }
        let stands = leftover.unit(index) == Some(unit);
        if stands {
            file.file.publish(at + UNIT as u64);
        }
        Ok(stands)
    }

    /// The file that may hold units behind the end when recovery has read the log, and the place in it from which on.
    pub(crate) fn leftover_behind_end(&self) -> Option<(Arc<QueueFile<F>>, i64)> {
        let leftover = self.leftover.lock();
        let leftover = leftover.as_ref()?;
        let file = self.file_at(leftover.first * UNIT)?;
        let from = self.end() * UNIT - file.start;
        let is_behind = (0..file.file.len().min(leftover.dirty_until) as i64).contains(&from);
        is_behind.then_some((file, from / UNIT))
    }

    /// Clears what still stands behind the end when recovery has read the log.
    pub(crate) fn clear_leftover(&self) -> disk::Result<()> {
        self.has_leftover.store(false, Ordering::Release);
        let Some(leftover) = self.leftover.lock().take() else {
            return Ok(());
        };
        let end = self.end() * UNIT;
        // In the file where they were; if the queue has gone on into the next one, it is full.
        if let Some(file) = self.file_at(leftover.first * UNIT)
            && let from @ 0.. = end - file.start
            && (from as u64) < leftover.dirty_until.min(file.file.len())
        {
            file.file.zero_from(from as u64)?;
            // Units of messages that are lost must not come back with the next crash.
            self.cleared.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Drops the units from `index` on; their bytes become zero. Only while nobody reads the queue.
    pub(crate) fn cut<D: Disk<File = F>>(&self, disk: &D, index: i64) -> disk::Result<()> {
        // What stood behind the end goes, too.
        self.has_leftover.store(false, Ordering::Release);
        *self.leftover.lock() = None;
        let byte = index * UNIT;
        let mut files = self.files.write();
        while let Some(last) = files.last() {
            if last.start < byte {
                last.file.unpublish((byte - last.start) as u64)?;
                last.file.zero_from((byte - last.start) as u64)?;
                self.cleared.store(true, Ordering::Release);
                break;
            }
            disk.remove_file(last.file.path())?;
            self.new_names.store(true, Ordering::Release);
            last.file.forget();
            files.pop();
        }
        if files.is_empty() {
            self.min.store(index, Ordering::Release);
        }
        self.min.fetch_min(index, Ordering::AcqRel);
        self.set_end(index);
        self.flushed.fetch_min(index, Ordering::AcqRel);
        Ok(())
    }

    /// Makes the units written so far durable.
    pub(crate) fn flush<D: Disk<File = F>>(&self, disk: &D, files: &QueueFiles) -> disk::Result<()> {
        let end = self.end();
        let from = self.flushed.load(Ordering::Acquire);
        // First what the units point at.
        if let Some(ext) = self.ext.get() {
            ext.flush(disk, &files.ext_queue_dir(&self.topic, self.id))?;
        }
        let list: Vec<_> = {
            let list = self.files.read();
            list.iter()
                .filter(|file| file.start + self.file_size > from * UNIT)
                .cloned()
                .collect()
        };
        for file in list {
            let start = (from * UNIT - file.start).max(0);
            let stop = (end * UNIT - file.start).min(self.file_size);
            // A gap may have filled files from their start on: sync what could have been written.
            if start < stop {
                file.file.sync(start as u64..stop as u64)?;
            }
        }
        let (cleared, new_names) = (
            self.cleared.swap(false, Ordering::AcqRel),
            self.new_names.swap(false, Ordering::AcqRel),
        );
        let synced = (|| {
            if cleared {
                let files = self.files.read().clone();
                files
                    .iter()
                    .try_for_each(|file| file.file.sync(0..file.file.len()))?;
            }
            if new_names {
                let dir = files.queue_dir(&self.topic, self.id);
                disk.sync_dir(&dir)?;
                disk.sync_dir(&files.dir.join(&*self.topic))?;
                disk.sync_dir(&files.dir)?;
            }
            Ok(())
        })();
        if synced.is_err() {
            // Whatever was to be synced still is.
            self.cleared.fetch_or(cleared, Ordering::AcqRel);
            self.new_names.fetch_or(new_names, Ordering::AcqRel);
        }
        synced?;
        self.flushed.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Notes that the units below `end` and the names of all files were made durable in another way.
    pub(crate) fn set_flushed(&self, end: i64) {
        self.flushed.fetch_max(end, Ordering::AcqRel);
        if let Some(ext) = self.ext.get() {
            ext.end_flush();
        }
    }

    /// Before all files are made durable at once: takes what that will cover.
    pub(crate) fn begin_flush(&self) -> i64 {
        // The flag first: a file made after it is noted again.
        self.new_names.store(false, Ordering::Release);
        self.cleared.store(false, Ordering::Release);
        if let Some(ext) = self.ext.get() {
            ext.begin_flush();
        }
        self.end()
    }

    /// Notes that recovery removed files: should they come back with the next crash, their units would be believed.
    pub(crate) fn note_removed_files(&self) {
        self.new_names.store(true, Ordering::Release);
    }

    /// When that did not happen: all of it is to be done again.
    pub(crate) fn abandon_flush(&self) {
        self.new_names.store(true, Ordering::Release);
        self.cleared.store(true, Ordering::Release);
        if let Some(ext) = self.ext.get() {
            ext.abandon_flush();
        }
    }

    /// Finds the first unit whose record is still in the log, after the log lost its oldest files.
    pub(crate) fn correct_min(&self, log_min: i64) -> disk::Result<()> {
        let first = self.files.read().first().map(|file| file.start / UNIT);
        let Some(first) = first else { return Ok(()) };
        let (mut low, mut high) = (self.min().max(first), self.end());
        while low < high {
            let middle = low + (high - low) / 2;
            // Fillers and missing files say nothing about the log: the next real unit decides.
            let decides = self.message_behind(middle, high)?;
            match decides {
                Some((index, unit)) if unit.physical < log_min => low = index + 1,
                _ => high = middle,
            }
        }
        // Fillers at the front are no messages either.
        let end = self.end();
        let first = self.message_behind(low, end)?;
        self.min
            .fetch_max(first.map_or(end, |(index, _)| index), Ordering::AcqRel);
        Ok(())
    }

    /// The first unit of `from..until` that is a message's, with its index.
    pub(crate) fn message_behind(&self, mut from: i64, until: i64) -> disk::Result<Option<(i64, Unit)>> {
        while from < until {
            let Some(units) = self.units(from, (until - from).saturating_mul(UNIT))? else {
                from = self.next_data(from);
                continue;
            };
            let count = (units.len() as i64) / UNIT;
            let all = units.chunks_exact(UNIT as usize).map(Unit::decode);
            let found = (from..).zip(all).find(|(_, unit)| !unit.is_pre_blank());
            units.check()?;
            if found.is_some() {
                return Ok(found);
            }
            from += count.max(1);
        }
        Ok(None)
    }

    /// Whether the first readable unit points before `log_min`, so that [`Queue::correct_min`] has something to do.
    pub(crate) fn starts_before(&self, log_min: i64) -> disk::Result<bool> {
        let first = self.unit(self.min())?;
        Ok(first.is_some_and(|unit| unit.physical < log_min))
    }

    /// Takes out the files, the last one excepted, whose last unit lies before `log_min`.
    pub(crate) fn take_expired(&self, log_min: i64) -> disk::Result<Vec<Arc<QueueFile<F>>>> {
        let mut expired = Vec::new();
        let mut files = self.files.write();
        while files.len() > 1 {
            let mut last = [0; UNIT as usize];
            files[0].file.read((self.file_size - UNIT) as u64, &mut last)?;
            if Unit::decode(&last).physical >= log_min {
                break;
            }
            expired.push(files.remove(0));
        }
        drop(files);
        if let (Some(ext), Some(first)) = (self.ext.get(), self.unit(self.min())?)
            && ext::is_address(first.tags_code)
        {
            expired.extend(ext.take_expired(first.tags_code));
        }
        Ok(expired)
    }

    /// All files of the queue.
    pub(crate) fn take_all(&self) -> Vec<Arc<QueueFile<F>>> {
        let mut files = std::mem::take(&mut *self.files.write());
        files.extend(self.ext.get().into_iter().flat_map(|ext| ext.take_all()));
        files
    }

    /// Where reading goes on when there is no data at `index`: the start of the next file there is, else the end.
    pub(crate) fn next_data(&self, index: i64) -> i64 {
        let files = self.files.read();
        let behind = files.partition_point(|file| file.start <= index.saturating_mul(UNIT));
        files
            .get(behind)
            .map_or_else(|| self.end(), |file| file.start / UNIT)
    }
}

/// The queues of all topics.
pub(crate) struct Queues<F> {
    /// File size of queues that are made.
    file_size: i64,
    /// How many are light message queues.
    lmq: AtomicUsize,
    topics: RwLock<std::collections::HashMap<Arc<str>, Arc<Topic<F>>>>,
}

/// The queues of one topic.
pub(crate) struct Topic<F> {
    pub(crate) name: Arc<str>,
    /// In order of id. Read for every record by every processor: nobody writes to it for that. Changed under the lock of
    /// all topics only.
    queues: ArcSwap<Vec<Arc<Queue<F>>>>,
}

impl<F> Topic<F> {
    pub(crate) fn queue(&self, id: i32) -> Option<Arc<Queue<F>>> {
        let queues = self.queues.load();
        let index = queues.binary_search_by_key(&id, |queue| queue.id).ok()?;
        queues.get(index).cloned()
    }
}

impl<F: MappedFile> Queues<F> {
    /// No queues; those made from now on have files of `file_size` bytes.
    pub(crate) fn new(file_size: i64) -> Self {
        Queues {
            file_size,
            lmq: AtomicUsize::new(0),
            topics: RwLock::default(),
        }
    }

    pub(crate) fn topic(&self, topic: &str) -> Option<Arc<Topic<F>>> {
        self.topics.read().get(topic).cloned()
    }

    pub(crate) fn get(&self, topic: &str, id: i32) -> Option<Arc<Queue<F>>> {
        self.topics.read().get(topic)?.queue(id)
    }

    pub(crate) fn get_or_new(&self, topic: &str, id: i32) -> Arc<Queue<F>> {
        if let Some(queue) = self.get(topic, id) {
            return queue;
        }
        self.insert_with(topic, id, |name| Queue::new(name, id, self.file_size))
    }

    /// Adds a queue, unless it is there.
    pub(crate) fn insert_with(
        &self,
        topic: &str,
        id: i32,
        make: impl FnOnce(Arc<str>) -> Queue<F>,
    ) -> Arc<Queue<F>> {
        let mut topics = self.topics.write();
        let entry = match topics.get(topic) {
            Some(entry) => entry.clone(),
            None => {
                let name: Arc<str> = topic.into();
                let entry = Arc::new(Topic {
                    name: name.clone(),
                    queues: ArcSwap::default(),
                });
                topics.insert(name, entry.clone());
                entry
            }
        };
        let queues = entry.queues.load();
        match queues.binary_search_by_key(&id, |queue| queue.id) {
            Ok(index) => queues[index].clone(),
            Err(index) => {
                let queue = Arc::new(make(entry.name.clone()));
                let mut more = Vec::clone(&queues);
                more.insert(index, queue.clone());
                entry.queues.store(Arc::new(more));
                if message::name::is_lmq(topic) {
                    self.lmq.fetch_add(1, Ordering::Relaxed);
                }
                queue
            }
        }
    }

    /// Takes a topic out.
    pub(crate) fn remove(&self, topic: &str) -> Vec<Arc<Queue<F>>> {
        let removed = self.topics.write().remove(topic);
        let queues = removed.map_or_else(Vec::new, |topic| topic.queues.load().to_vec());
        if message::name::is_lmq(topic) {
            self.lmq.fetch_sub(queues.len(), Ordering::Relaxed);
        }
        queues
    }

    /// Takes one queue out, and its topic if that has no other.
    pub(crate) fn remove_queue(&self, queue: &Queue<F>) {
        let mut topics = self.topics.write();
        let Some(topic) = topics.get(&*queue.topic) else {
            return;
        };
        let mut queues = topic.queues.load().to_vec();
        queues.retain(|other| other.id != queue.id);
        match queues.is_empty() {
            true => _ = topics.remove(&*queue.topic),
            false => topic.queues.store(Arc::new(queues)),
        }
        if message::name::is_lmq(&queue.topic) {
            self.lmq.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many light message queues there are.
    pub(crate) fn lmq_number(&self) -> usize {
        self.lmq.load(Ordering::Relaxed)
    }

    /// All queues, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Queue<F>>> {
        self.topics
            .read()
            .values()
            .flat_map(|topic| topic.queues.load().to_vec())
            .collect()
    }

    /// Names of all topics that have queues.
    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.topics.read().keys().cloned().collect()
    }

    /// Ids of a topic's queues.
    pub(crate) fn ids(&self, topic: &str) -> Vec<i32> {
        let topics = self.topics.read();
        topics.get(topic).map_or_else(Vec::new, |topic| {
            topic.queues.load().iter().map(|queue| queue.id).collect()
        })
    }
}
