//! Opening a store: what is there, what of it is good, and what has to be cut.
//!
//! After a clean stop nearly nothing is read: the checkpoint vouches for the log up to its end. After a crash the
//! log is read and checked from the vouched position on (or, in a directory that Java left, from the file that Java
//! would start at), queues are cut back to that position and built again from the log. The first bytes that are no
//! record end the log; what lies behind is removed, so that no leftover can come back to life later.

mod queues;
mod scan;

use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::index::Index;
use crate::log::{Log, LogFile, parse_file_name};
use crate::progress::Helpers;
use crate::queue::{Queue, QueueFiles, Queues};
use crate::settings::{SettingsError, StoreSettings};
use crate::store::Store;
use disk::{DirEntry, Disk, MappedFile};
use message::record::{Check, Entry, RecordError, decode};
use queues::Loader;
use scan::Scan;
use std::collections::BTreeMap;
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
    #[error("{} has {found} bytes, but {setting} says {expected}: if all have that size, set it to {found}", path.display())]
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
    /// A file of a queue has another length than the others.
    #[error("{} has {found} bytes, but the longest file of its queue has {longest}: files of one queue have one size", path.display())]
    UnequalFiles {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// That of the longest.
        longest: i64,
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
    /// How many queues have files of another size than the settings say, by that size in bytes. They keep to it.
    pub other_sizes: BTreeMap<i64, u64>,
    /// Units that were written anew.
    pub units_built: u64,
    /// Units dropped because the log has no such record where they point.
    pub units_cut: u64,
    /// Why the log ends where it does; `None` where it simply ends.
    pub log_cut: Option<LogCut>,
    /// Bytes that were dropped where the log was cut: from there to the last one that is not zero.
    pub log_cut_bytes: u64,
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

impl RecoveryReport {
    /// Adds what a part of the work found.
    fn add(&mut self, part: RecoveryReport) {
        self.queues += part.queues;
        self.units_cut += part.units_cut;
        for (size, queues) in part.other_sizes {
            *self.other_sizes.entry(size).or_default() += queues;
        }
        for (all, of_part) in [
            (&mut self.removed, part.removed),
            (&mut self.extended, part.extended),
            (&mut self.ignored, part.ignored),
        ] {
            all.extend(of_part);
            all.sort();
        }
    }
}

impl<D: Disk> Store<D> {
    /// Opens the store below `settings.root_dir`, which is made if it is not there. `now` is in ms.
    pub fn open(disk: D, settings: StoreSettings, now: i64) -> Result<(Store<D>, RecoveryReport), OpenError> {
        Store::open_with(disk, settings, now, &Helpers::NONE)
    }

    /// [`Store::open`] with somebody to do several things at once, and to be told how far it is.
    pub fn open_with(
        disk: D,
        settings: StoreSettings,
        now: i64,
        helpers: &Helpers<'_>,
    ) -> Result<(Store<D>, RecoveryReport), OpenError> {
        let settings = settings.checked()?;
        let root = settings.root_dir.clone();
        let queue_files = QueueFiles::of(&settings);
        for dir in settings.commitlog_dirs.iter().chain([&root, &queue_files.dir]) {
            disk.create_dirs(dir)?;
        }
        if queue_files.ext {
            disk.create_dirs(&queue_files.ext_dir)?;
        }
        let lock_path = root.join("lock");
        let lock = disk.lock(&lock_path)?.ok_or(OpenError::Locked(lock_path))?;
        let clean = !disk.list(&root)?.iter().any(|entry| entry.name == "abort");
        let (checkpoint_file, mut checkpoint) = CheckpointFile::open(&disk, &root)?;

        let mut recovery = Recovery {
            disk: &disk,
            settings: &settings,
            queue_files: &queue_files,
            queues: Queues::new(settings.consumequeue_file_size),
            helpers,
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
    helpers: &'a Helpers<'a>,
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
            if !right_length(
                self.disk,
                self.report.clean,
                &mut self.report,
                (&path, &entry),
                size,
                last,
                setting,
            )? {
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
            self.disk.remove_dir_all(&self.queue_files.ext_dir)?;
            if self.queue_files.ext {
                self.disk.create_dirs(&self.queue_files.ext_dir)?;
            }
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
        let (highest, with_units, unclear) = self.load_queues(log, limit)?;
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
        let scan = Scan {
            disk: self.disk,
            settings: self.settings,
            queue_files: self.queue_files,
            queues: &self.queues,
            log,
            helpers: self.helpers,
        };
        let timestamp = scan.run(&mut self.report)?.max(checkpoint.physic_timestamp);
        self.cut_log(log)?;
        for queue in self.queues.all() {
            if queue.max_physical.load(Ordering::Relaxed) > self.report.log_end {
                self.cut_queue(&queue, self.report.log_end)?;
            }
            queue.next.store(queue.end(), Ordering::Relaxed);
        }
        for queue in unclear {
            queue.clear_leftover()?;
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

    /// Ends the log at `log_end`: removes the files behind it and clears what lies behind it in its file.
    ///
    /// Unlike Java, which leaves those bytes: a leftover record that happens to start where a new one of the same
    /// length ends would be taken for the next one by a later recovery.
    fn cut_log(&mut self, log: &Log<D>) -> Result<(), OpenError> {
        let end = self.report.log_end;
        if self.report.log_cut.is_some() {
            self.report.log_cut_bytes = Self::written_behind(log, end)?;
        }
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
    /// there is any unit at all, and the queues in whose files something stands behind the last good unit.
    #[allow(clippy::type_complexity)] // What is found of the queues, taken apart at once.
    fn load_queues(
        &mut self,
        log: &Log<D>,
        limit: i64,
    ) -> Result<(i64, bool, Vec<Arc<Queue<D::File>>>), OpenError> {
        let with_ext = self.disk.list(&self.queue_files.ext_dir)?;
        let loader = Loader {
            disk: self.disk,
            queue_files: self.queue_files,
            file_size: self.settings.consumequeue_file_size,
            queues: &self.queues,
            log,
            limit,
            clean: self.report.clean,
            with_ext: with_ext
                .into_iter()
                .filter(|entry| entry.is_dir)
                .map(|entry| entry.name)
                .collect(),
        };
        let found = loader.load(self.helpers)?;
        self.report.add(found.report);
        Ok((found.highest, found.with_units, found.unclear))
    }

    /// How many bytes of the log lie behind `end`, up to the last one that is not zero.
    fn written_behind(log: &Log<D>, end: i64) -> Result<u64, OpenError> {
        let mut bytes = 0;
        for file in log.files().iter() {
            let from = (end - file.start).max(0) as u64;
            if from < log.file_size as u64
                && let Some(rest) = file.file.slice(from..log.file_size as u64)?
            {
                let written = rest
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .map_or(0, |last| last + 1);
                bytes += written as u64;
            }
        }
        Ok(bytes)
    }

    /// Drops the units at and behind `limit` of a loaded queue.
    fn cut_queue(&mut self, queue: &Queue<D::File>, limit: i64) -> Result<(), OpenError> {
        let mut end = queue.end();
        let mut max_physical = 0;
        while end > queue.min() {
            if let Some(unit) = queue.unit(end - 1)?
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

/// Whether a file is to be opened. An empty last file is removed, as 5.x does; one that a crash left too short gets its
/// zeros back. Every other wrong length is a wrong setting.
fn right_length<D: Disk>(
    disk: &D,
    clean: bool,
    report: &mut RecoveryReport,
    (path, entry): (&Path, &DirEntry),
    size: i64,
    last: bool,
    setting: &'static str,
) -> Result<bool, OpenError> {
    if entry.len == size as u64 {
        return Ok(true);
    }
    if last && entry.len == 0 {
        disk.remove_file(path)?;
        report.removed.push(path.to_path_buf());
        return Ok(false);
    }
    if last && !clean && entry.len < size as u64 {
        disk.extend(path, size as u64)?;
        report.extended.push(path.to_path_buf());
        return Ok(true);
    }
    let (path, found) = (path.to_path_buf(), entry.len);
    Err(match setting {
        "mappedFileSizeCommitLog" => OpenError::FileSize {
            path,
            found,
            expected: size,
            setting,
        },
        // Only of the log do the settings decide.
        _ => OpenError::UnequalFiles {
            path,
            found,
            longest: size,
        },
    })
}
