//! Opening a store: what is there, what of it is good, and what has to be cut.
//!
//! After a clean stop nearly nothing is read: the checkpoint vouches for the log up to its end. After a crash the
//! log is read and checked from the vouched position on (or, in a directory that Java left, from the file that Java
//! would start at), queues are cut back to that position and built again from the log. The first bytes that are no
//! record end the log; what lies behind is removed, so that no leftover can come back to life later.

use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::dispatch::{has_unit, unit_of};
use crate::index::Index;
use crate::log::{Log, LogFile, Step, parse_file_name};
use crate::queue::{Queue, QueueFile, QueueFiles, Queues, UNIT, Unit};
use crate::settings::{SettingsError, StoreSettings};
use crate::store::Store;
use disk::{DirEntry, Disk, MappedFile};
use message::record::{Check, Entry, RecordError, decode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting has an impossible value.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another process has the store open.
    #[error("{} is locked: another broker runs on this store", .0.display())]
    Locked(PathBuf),
    /// A file has another size than the settings say. Opening it anyway would misread every position.
    #[error("{} has {found} bytes, but {setting} says {expected}", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length it should have.
        expected: i64,
        /// The setting that says so.
        setting: &'static str,
    },
    /// A file's name is no multiple of the file size.
    #[error("{} does not start at a multiple of {expected}, which {setting} says", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// The file size in the settings.
        expected: i64,
        /// The setting that says so.
        setting: &'static str,
    },
    /// Something could not be read or written.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Something could not be made durable before the start.
    #[error(transparent)]
    Latched(#[from] crate::latch::Latched),
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The last stop was clean.
    pub clean: bool,
    /// Log files found.
    pub log_files: usize,
    /// Queues found.
    pub queues: usize,
    /// The log was read from here.
    pub scan_start: i64,
    /// The log ends here.
    pub log_end: i64,
    /// Records read.
    pub records: u64,
    /// Units that were written anew.
    pub units_built: u64,
    /// Units dropped because the log has no such record where they point.
    pub units_cut: u64,
    /// Why the log ends where it does; `None` where it simply ends.
    pub log_cut: Option<LogCut>,
    /// Files removed because they lie behind the end or hold nothing.
    pub removed: Vec<PathBuf>,
    /// Files that had been cut off and were made whole again with zeros.
    pub extended: Vec<PathBuf>,
    /// Files and directories that are none of ours and were left alone.
    pub ignored: Vec<PathBuf>,
}

/// Where and why the log was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCut {
    /// The first byte that is no longer in the log.
    pub at: i64,
    /// What is wrong there.
    pub reason: RecordError,
}

impl<D: Disk> Store<D> {
    /// Opens the store below `settings.root_dir`, which is made if it is not there. `now` is in ms.
    pub fn open(disk: D, settings: StoreSettings, now: i64) -> Result<(Store<D>, RecoveryReport), OpenError> {
        let settings = settings.checked()?;
        let root = settings.root_dir.clone();
        let queue_files = QueueFiles {
            dir: settings.consumequeue_dir(),
            file_size: settings.consumequeue_file_size,
        };
        for dir in settings.commitlog_dirs.iter().chain([&root, &queue_files.dir]) {
            disk.create_dirs(dir)?;
        }
        let lock_path = root.join("lock");
        let lock = disk.lock(&lock_path)?.ok_or(OpenError::Locked(lock_path))?;
        let clean = !disk.list(&root)?.iter().any(|entry| entry.name == "abort");
        let (checkpoint_file, mut checkpoint) = CheckpointFile::open(&disk, &root)?;

        let mut recovery = Recovery {
            disk: &disk,
            settings: &settings,
            queue_files: &queue_files,
            queues: Queues::new(),
            report: RecoveryReport {
                clean,
                ..RecoveryReport::default()
            },
        };
        let log = Log::new(&settings, recovery.load_log()?);
        let timestamp = recovery.run(&log, &checkpoint, &checkpoint_file)?;
        log.written_timestamp.store(timestamp, Ordering::Relaxed);
        log.flushed_timestamp.store(timestamp, Ordering::Relaxed);
        let Recovery { queues, report, .. } = recovery;

        let index = if settings.index {
            let vouched = (!clean).then_some(checkpoint.index_timestamp);
            let mut index = Index::load(&disk, &settings, vouched, log.written())?;
            index.resume(clean, log.min(), log.written(), |position| {
                log.record_at(position)
                    .ok()
                    .map(|record| position + record.len() as i64)
            });
            // Not to be left higher: a file made anew for the same times would be believed before it is flushed.
            checkpoint.index_timestamp = index.full_timestamp();
            Some(index)
        } else {
            None
        };
        // Durable before the first record: a crash from now on is one.
        disk.write_small(&root.join("abort"), b"", false)?;
        let parts = (checkpoint_file, checkpoint);
        let store = Store::assemble(disk, settings, lock, log, queue_files, queues, parts, index);
        store.flush_consumequeues(0, true)?;
        store.tick_disk(now);
        Ok((store, report))
    }
}

struct Recovery<'a, D: Disk> {
    disk: &'a D,
    settings: &'a StoreSettings,
    queue_files: &'a QueueFiles,
    queues: Queues<D::File>,
    report: RecoveryReport,
}

impl<D: Disk> Recovery<'_, D> {
    /// The log's files in order, all of every one readable.
    fn load_log(&mut self) -> Result<Vec<Arc<LogFile<D::File>>>, OpenError> {
        let size = self.settings.commitlog_file_size;
        let mut found: Vec<(i64, PathBuf, DirEntry)> = Vec::new();
        for dir in self
            .settings
            .commitlog_dirs
            .iter()
            .chain(&self.settings.read_only_commitlog_dirs)
        {
            for entry in self.disk.list(dir)? {
                match parse_file_name(&entry.name) {
                    Some(start) if !entry.is_dir => found.push((start, dir.join(&entry.name), entry)),
                    _ => self.report.ignored.push(dir.join(&entry.name)),
                }
            }
        }
        found.sort_by_key(|(start, ..)| *start);
        found.dedup_by_key(|(start, ..)| *start);
        let count = found.len();
        let mut files = Vec::with_capacity(count);
        for (index, (start, path, entry)) in found.into_iter().enumerate() {
            let setting = "mappedFileSizeCommitLog";
            let last = index + 1 == count;
            if start % size != 0 {
                return Err(OpenError::FileName {
                    path,
                    expected: size,
                    setting,
                });
            }
            if !self.right_length(&path, &entry, size, last, setting)? {
                continue;
            }
            let file = self
                .disk
                .open(&path, size as u64, Log::<D>::options(self.settings))?;
            files.push(Arc::new(LogFile {
                start,
                file,
                modified_ms: AtomicI64::new(entry.modified_ms),
            }));
        }
        self.report.log_files = files.len();
        Ok(files)
    }

    /// Whether a file is to be opened. An empty last file is removed, as 5.x does; one that a crash left too short
    /// gets its zeros back. Every other wrong length is a wrong setting. (Of a queue any file may count as the last:
    /// what the checkpoint vouches for is never short, and the rest is built again.)
    fn right_length(
        &mut self,
        path: &Path,
        entry: &DirEntry,
        size: i64,
        last: bool,
        setting: &'static str,
    ) -> Result<bool, OpenError> {
        if entry.len == size as u64 {
            return Ok(true);
        }
        if last && entry.len == 0 {
            self.disk.remove_file(path)?;
            self.report.removed.push(path.to_path_buf());
            return Ok(false);
        }
        if last && !self.report.clean && entry.len < size as u64 {
            self.disk.extend(path, size as u64)?;
            self.report.extended.push(path.to_path_buf());
            return Ok(true);
        }
        Err(OpenError::FileSize {
            path: path.to_path_buf(),
            found: entry.len,
            expected: size,
            setting,
        })
    }

    /// Brings log and queues into agreement; returns the store time of the last record.
    fn run(
        &mut self,
        log: &Log<D>,
        checkpoint: &Checkpoint,
        file: &CheckpointFile<D::File>,
    ) -> Result<i64, OpenError> {
        if log.files().is_empty() {
            // As Java: without a log the queues point nowhere.
            self.withdraw(checkpoint, file, 0)?;
            self.disk.remove_dir_all(&self.queue_files.dir)?;
            self.disk.create_dirs(&self.queue_files.dir)?;
            log.set_written(0);
            log.set_flushed(0);
            return Ok(0);
        }
        let vouched = self.vouched(log, checkpoint);
        let limit = match (self.report.clean, vouched) {
            (true, _) => log.written(),
            (false, Some(vouched)) => vouched,
            (false, None) => self.java_start(log, checkpoint),
        };
        if checkpoint.vouched.is_some_and(|vouched| vouched > limit) {
            self.withdraw(checkpoint, file, limit)?;
        }
        let (highest, with_units) = self.load_queues(log, limit)?;
        let start = match (with_units, self.report.clean, vouched) {
            // Queues deleted by hand are built again from the whole log.
            (false, ..) => log.min(),
            (_, true, Some(vouched)) => vouched.max(highest),
            (_, true, None) => highest,
            (_, false, _) => limit,
        };
        if !with_units {
            self.withdraw(checkpoint, file, start)?;
        }
        self.report.scan_start = start.max(log.min());
        let timestamp = self.scan(log)?.max(checkpoint.physic_timestamp);
        self.cut_log(log)?;
        for queue in self.queues.all() {
            if queue.max_physical.load(Ordering::Relaxed) > self.report.log_end {
                self.cut_queue(&queue, self.report.log_end)?;
            }
            queue.next.store(queue.end(), Ordering::Relaxed);
        }
        Ok(timestamp)
    }

    /// Vouches for less, before queues that were vouched for are taken apart: should this start not get to its end, the
    /// next one must not believe what is half built.
    fn withdraw(
        &self,
        checkpoint: &Checkpoint,
        file: &CheckpointFile<D::File>,
        to: i64,
    ) -> Result<(), OpenError> {
        self.disk
            .write_small(&self.settings.root_dir.join("abort"), b"", false)?;
        let less = Checkpoint {
            vouched: Some(to),
            physic_timestamp: 0,
            logics_timestamp: 0,
            ..*checkpoint
        };
        Ok(file.save(&less)?)
    }

    /// The position the checkpoint vouches for, if what lies there looks like the start of a record or the end of the
    /// log. A store that Java went on writing may have been cut below it since.
    fn vouched(&self, log: &Log<D>, checkpoint: &Checkpoint) -> Option<i64> {
        let vouched = checkpoint
            .vouched
            .filter(|vouched| (log.min()..=log.written()).contains(vouched))?;
        let Ok(Some(slice)) = log.slice_to_file_end(vouched) else {
            return (vouched == log.written()).then_some(vouched);
        };
        let plausible = match decode(&slice, Check::Lengths) {
            Ok(Entry::Record(view)) => view.at(vouched).is_ok(),
            Ok(Entry::Blank { left }) => left as usize == slice.len(),
            Err(RecordError::Magic { magic }) => magic == 0 && slice[..4] == [0; 4],
            Err(_) => false,
        };
        // In doubt the whole file is read: that costs time, never messages.
        Some(
            if plausible {
                vouched
            } else {
                log.next_file(vouched) - log.file_size
            }
            .max(log.min()),
        )
    }

    /// The newest file whose first record is older than the checkpoint's time; else the first file.
    fn java_start(&self, log: &Log<D>, checkpoint: &Checkpoint) -> i64 {
        let files = log.files();
        let old_enough = files.iter().rev().find(|file| {
            let Ok(record) = log.record_at(file.start) else {
                return false;
            };
            let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) else {
                return false;
            };
            view.store_timestamp() != 0 && view.store_timestamp() <= checkpoint.min_timestamp()
        });
        old_enough.map_or(log.min(), |file| file.start)
    }

    /// Reads the log from the start of the scan to its end and gives every record its unit. Returns the time of the
    /// last record.
    fn scan(&mut self, log: &Log<D>) -> Result<i64, OpenError> {
        let check = if self.settings.check_crc_on_recover {
            Check::Body
        } else {
            Check::Lengths
        };
        let mut walk = log.walk(self.report.scan_start, log.written());
        let mut timestamp = 0;
        loop {
            match walk.next(check)? {
                Step::Record(view) => {
                    let start = view.physical_offset();
                    // Unlike Java, which has nothing to tell by that a record's end was not written.
                    if let Some(at) = view.unwritten_sector((start % log.file_size) as u64) {
                        self.report.log_cut = Some(LogCut {
                            at: start,
                            reason: RecordError::Torn { at },
                        });
                        self.report.log_end = start;
                        return Ok(timestamp);
                    }
                    self.report.records += 1;
                    timestamp = view.store_timestamp();
                    if has_unit(&view) {
                        let queue = self.queues.get_or_new(view.topic(), view.queue_id());
                        let unit = unit_of(&view, self.settings);
                        let put = queue.put(self.disk, self.queue_files, view.queue_offset(), unit)?;
                        self.report.units_built += u64::from(put == crate::queue::Put::Done);
                    }
                }
                Step::End => break,
                Step::Bad(reason) => {
                    let at = walk.position;
                    let blank = log
                        .slice_to_file_end(at)?
                        .is_none_or(|rest| rest[..rest.len().min(8)].iter().all(|&byte| byte == 0));
                    if !blank {
                        self.report.log_cut = Some(LogCut { at, reason });
                    }
                    break;
                }
            }
        }
        self.report.log_end = walk.position;
        Ok(timestamp)
    }

    /// Ends the log at `log_end`: removes the files behind it and clears what lies behind it in its file.
    ///
    /// Unlike Java, which leaves those bytes: a leftover record that happens to start where a new one of the same
    /// length ends would be taken for the next one by a later recovery.
    fn cut_log(&mut self, log: &Log<D>) -> Result<(), OpenError> {
        let end = self.report.log_end;
        for file in log.retain(|file| file.start <= end) {
            file.file.forget();
            self.disk.remove_file(file.file.path())?;
            self.report.removed.push(file.file.path().to_path_buf());
        }
        for file in log.files().iter() {
            if end < file.start + log.file_size {
                file.file.unpublish((end - file.start) as u64)?;
                file.file.zero_from((end - file.start) as u64)?;
            }
            // What a killed process left in the page cache counts from now on, so it has to be on disk.
            if file.start + log.file_size > self.report.scan_start {
                file.file.sync(0..log.file_size as u64)?;
            }
        }
        log.set_written(end);
        log.set_flushed(end);
        Ok(())
    }

    /// Loads all queues up to `limit` in the log; returns the end of the highest record that has a unit, and whether
    /// there is any unit at all.
    fn load_queues(&mut self, log: &Log<D>, limit: i64) -> Result<(i64, bool), OpenError> {
        let mut highest = 0;
        let mut with_units = false;
        for topic in self.disk.list(&self.queue_files.dir)? {
            let topic_dir = self.queue_files.dir.join(&topic.name);
            if !topic.is_dir || message::name::check_any_topic(&topic.name).is_err() {
                self.report.ignored.push(topic_dir);
                continue;
            }
            for entry in self.disk.list(&topic_dir)? {
                let id = entry
                    .name
                    .parse::<i32>()
                    .ok()
                    .filter(|id| *id >= 0 && id.to_string() == entry.name);
                let Some(id) = id.filter(|_| entry.is_dir) else {
                    self.report.ignored.push(topic_dir.join(&entry.name));
                    continue;
                };
                let loaded = self.load_queue(log, &topic.name, id, limit)?;
                highest = highest.max(loaded.max_physical);
                self.report.queues += 1;
                with_units |= loaded.end > 0;
                let queue = self.queues.insert_with(&topic.name, id, |name| {
                    Queue::loaded(name, id, loaded.files, loaded.end, loaded.max_physical)
                });
                if !loaded.first_is_alive {
                    queue.correct_min(log.min(), self.queue_files.file_size)?;
                }
            }
        }
        Ok((highest, with_units))
    }

    fn load_queue(
        &mut self,
        log: &Log<D>,
        topic: &str,
        id: i32,
        limit: i64,
    ) -> Result<LoadedQueue<D::File>, OpenError> {
        let dir = self.queue_files.queue_dir(topic, id);
        let size = self.queue_files.file_size;
        let setting = "mappedFileSizeConsumeQueue";
        let mut files = Vec::new();
        let mut allocated = u64::MAX;
        let entries = self.disk.list(&dir)?;
        let count = entries.len();
        for (index, entry) in entries.into_iter().enumerate() {
            let path = dir.join(&entry.name);
            let Some(start) = parse_file_name(&entry.name).filter(|_| !entry.is_dir) else {
                self.report.ignored.push(path);
                continue;
            };
            if start % size != 0 {
                return Err(OpenError::FileName {
                    path,
                    expected: size,
                    setting,
                });
            }
            if self.right_length(
                &path,
                &entry,
                size,
                !self.report.clean || index + 1 == count,
                setting,
            )? {
                let file = self.disk.open(&path, size as u64, QueueFiles::options())?;
                files.push(Arc::new(QueueFile { start, file }));
                allocated = entry.allocated;
            }
        }
        // From the last file backwards: the first one with a unit that holds.
        while let Some(last) = files.last() {
            let front = Front::of(last)?;
            let counted = front.count_units(limit)?;
            let good = self.verified(log, &front, topic, id, counted)?;
            self.report.units_cut += (counted - good.units) as u64;
            if good.units > 0 {
                let cut = (good.units * UNIT) as u64;
                last.file.unpublish(cut)?;
                let beyond = allocated > cut.next_multiple_of(4096) && !self.report.clean;
                if cut < last.file.len() && (beyond || !front.is_zero_from(cut)?) {
                    last.file.zero_from(cut)?;
                }
                let first = if files.len() == 1 {
                    front.unit(0)?
                } else {
                    Front::of(&files[0])?.unit(0)?
                };
                return Ok(LoadedQueue {
                    end: last.start / UNIT + good.units,
                    max_physical: good.max_physical,
                    first_is_alive: first.is_valid() && !first.is_pre_blank() && first.physical >= log.min(),
                    files,
                });
            }
            last.file.forget();
            self.disk.remove_file(last.file.path())?;
            files.pop();
            // Of the files before, what they have is not known: look closer.
            allocated = u64::MAX;
        }
        Ok(LoadedQueue {
            files,
            end: 0,
            max_physical: 0,
            first_is_alive: true,
        })
    }

    /// Goes back from unit `counted` of a file to one whose record is in the log and says that it is this one.
    ///
    /// Unlike Java, which believes a unit: bytes behind a cut that Java left may look like units of this queue but
    /// point at what came to lie there later.
    fn verified(
        &self,
        log: &Log<D>,
        front: &Front<'_, D::File>,
        topic: &str,
        id: i32,
        counted: i64,
    ) -> Result<Good, OpenError> {
        let mut units = counted;
        while units > 0 {
            let unit = front.unit(units - 1)?;
            let index = front.file.start / UNIT + units - 1;
            if unit.is_pre_blank() {
                return Ok(Good {
                    units,
                    max_physical: 0,
                });
            }
            if unit.physical < log.min() || self.is_record_of(log, unit, topic, id, index) {
                return Ok(Good {
                    units,
                    max_physical: unit.end(),
                });
            }
            units -= 1;
        }
        Ok(Good {
            units: 0,
            max_physical: 0,
        })
    }

    fn is_record_of(&self, log: &Log<D>, unit: Unit, topic: &str, id: i32, index: i64) -> bool {
        let Ok(record) = log.record_at(unit.physical) else {
            return false;
        };
        let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) else {
            return false;
        };
        record.len() as i64 == i64::from(unit.size) && Queue::<D::File>::owns(topic, id, index, &view)
    }

    /// Drops the units at and behind `limit` of a loaded queue.
    fn cut_queue(&mut self, queue: &Queue<D::File>, limit: i64) -> Result<(), OpenError> {
        let size = self.queue_files.file_size;
        let mut end = queue.end();
        let mut max_physical = 0;
        while end > queue.min() {
            if let Some(unit) = queue.unit(end - 1, size)?
                && unit.physical < limit
            {
                max_physical = unit.end();
                break;
            }
            end -= 1;
        }
        self.report.units_cut += (queue.end() - end) as u64;
        queue.cut(self.disk, end)?;
        queue.max_physical.store(max_physical, Ordering::Relaxed);
        Ok(())
    }
}

struct Good {
    units: i64,
    max_physical: i64,
}

/// A queue as it was found.
struct LoadedQueue<F> {
    files: Vec<Arc<QueueFile<F>>>,
    end: i64,
    max_physical: i64,
    /// The first unit points into the log.
    first_is_alive: bool,
}

/// A queue file with its first units: most queues are small, and each look at a file that is not mapped opens it.
struct Front<'a, F> {
    file: &'a QueueFile<F>,
    units: Vec<u8>,
}

impl<'a, F: MappedFile> Front<'a, F> {
    fn of(file: &'a QueueFile<F>) -> disk::Result<Self> {
        let mut units = vec![0; (200 * UNIT as u64).min(file.file.len()) as usize];
        file.file.read(0, &mut units)?;
        Ok(Front { file, units })
    }

    fn unit(&self, index: i64) -> disk::Result<Unit> {
        let at = (index * UNIT) as usize;
        if let Some(bytes) = self.units.get(at..at + UNIT as usize) {
            return Ok(Unit::decode(bytes));
        }
        let mut bytes = [0; UNIT as usize];
        self.file.file.read(at as u64, &mut bytes)?;
        Ok(Unit::decode(&bytes))
    }

    /// Whether no unit follows at `at`, and no byte in what was read already.
    fn is_zero_from(&self, at: u64) -> disk::Result<bool> {
        let nothing = Unit {
            physical: 0,
            size: 0,
            tags_code: 0,
        };
        let read = self.units.get(at as usize..).unwrap_or_default();
        Ok(read.iter().all(|&byte| byte == 0) && self.unit(at as i64 / UNIT)? == nothing)
    }

    /// How many units from the start of the file on are valid and lie below `limit` in the log.
    fn count_units(&self, limit: i64) -> disk::Result<i64> {
        let good = |unit: Unit| unit.is_valid() && unit.physical < limit;
        let bytes = self.units.chunks_exact(UNIT as usize);
        let in_front = bytes.take_while(|bytes| good(Unit::decode(bytes))).count();
        if in_front < self.units.len() / UNIT as usize || self.units.len() as u64 == self.file.file.len() {
            return Ok(in_front as i64);
        }
        // Below the limit the file is whole, so that a binary search finds its end; what it takes for units behind is
        // looked at more closely by `verified`.
        let Some(all) = self.file.file.slice(0..self.file.file.len())? else {
            return Ok(0);
        };
        let (mut low, mut high) = (in_front, all.len() / UNIT as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            if good(Unit::decode(&all[middle * UNIT as usize..])) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low as i64)
    }
}
