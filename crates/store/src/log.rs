//! The commitlog's files: one sequence of bytes over files of one size.

use crate::offset::PhysicalOffset;
use crate::settings::{FlushType, StoreSettings};
use arc_swap::ArcSwap;
use disk::{Disk, MapOptions, MappedFile, MappedSlice, Writes};
use message::record::{self, Check, Entry, RecordError, View, decode};
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// One file of the log.
#[derive(Debug)]
pub(crate) struct LogFile<F> {
    /// Position of its first byte.
    pub(crate) start: i64,
    pub(crate) file: F,
    /// Its name survives a power cut. No byte of it counts as durable before.
    pub(crate) named: AtomicBool,
    /// Last modification when it was loaded, or when it was filled: what retention looks at.
    pub(crate) modified_ms: AtomicI64,
}

/// The log's files and its three watermarks. LogWriter and flushing are elsewhere; this is what all sides share.
pub(crate) struct Log<D: Disk> {
    pub(crate) file_size: i64,
    dirs: Vec<PathBuf>,
    options: MapOptions,
    files: ArcSwap<Vec<Arc<LogFile<D::File>>>>,
    /// The next file, made ahead. Its lock is held for every change of `files`, too.
    spare: Mutex<Option<Arc<LogFile<D::File>>>>,
    /// End of what was appended.
    written: AtomicI64,
    /// End of what is durable.
    flushed: AtomicI64,
    /// Store time of the last record appended / flushed, ms.
    pub(crate) written_timestamp: AtomicI64,
    pub(crate) flushed_timestamp: AtomicI64,
}

/// The file name of a position: 20 digits.
pub(crate) fn file_name(start: i64) -> String {
    format!("{start:020}")
}

/// The position a file name stands for.
pub(crate) fn parse_file_name(name: &str) -> Option<i64> {
    (name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| name.parse().ok())
        .flatten()
}

/// What the copy of a file is called until it takes the file's place.
pub(crate) fn copy_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(COPY_SUFFIX);
    name.into()
}

/// Whether a file is a copy that never took the place of another one.
pub(crate) fn is_copy(name: &str) -> bool {
    let of = name.strip_suffix(COPY_SUFFIX);
    of.is_some_and(|of| parse_file_name(of).is_some())
}

const COPY_SUFFIX: &str = ".cut";

/// Why no record could be had at a position.
#[derive(Debug, thiserror::Error)]
pub enum RecordAtError {
    /// The position is outside the log, or its file is gone.
    #[error("the commitlog has nothing at {0}")]
    Outside(PhysicalOffset),
    /// What lies there is no record.
    #[error("no record at {at}: {source}")]
    NoRecord {
        /// Where.
        at: PhysicalOffset,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The end of a file lies there.
    #[error("no record at {0}: the file ends there")]
    Blank(PhysicalOffset),
    /// The file could not be mapped.
    #[error(transparent)]
    Disk(#[from] disk::Error),
}

impl<D: Disk> Log<D> {
    pub(crate) fn new(settings: &StoreSettings, files: Vec<Arc<LogFile<D::File>>>) -> Self {
        let end = files
            .last()
            .map_or(0, |file| file.start + settings.commitlog_file_size);
        Log {
            file_size: settings.commitlog_file_size,
            dirs: settings.commitlog_dirs.clone(),
            options: Self::options(settings),
            files: ArcSwap::from_pointee(files),
            spare: Mutex::new(None),
            written: AtomicI64::new(end),
            flushed: AtomicI64::new(end),
            written_timestamp: AtomicI64::new(0),
            flushed_timestamp: AtomicI64::new(0),
        }
    }

    pub(crate) fn options(settings: &StoreSettings) -> MapOptions {
        MapOptions {
            reserve_step_bytes: settings.log_reserve_step_bytes,
            pinned: true,
            writes: match settings.flush_type {
                FlushType::Sync => Writes::CallsAndSyncs,
                FlushType::Async => Writes::Calls,
            },
        }
    }

    pub(crate) fn written(&self) -> i64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn flushed(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }

    pub(crate) fn min(&self) -> i64 {
        self.files
            .load()
            .first()
            .map_or_else(|| self.written(), |file| file.start)
    }

    /// Sets the end of what was appended; its bytes are published.
    pub(crate) fn set_written(&self, end: i64) {
        // Sequentially consistent with the reput lock: whoever fails to get that lock made its records visible
        // before, and whoever held it looks again after.
        self.written.store(end, Ordering::SeqCst);
    }

    pub(crate) fn set_flushed(&self, end: i64) {
        self.flushed.store(end, Ordering::SeqCst);
    }

    pub(crate) fn files(&self) -> Arc<Vec<Arc<LogFile<D::File>>>> {
        self.files.load_full()
    }

    /// The file that holds `position`.
    pub(crate) fn file_at(&self, position: i64) -> Option<Arc<LogFile<D::File>>> {
        let files = self.files.load();
        let after = files.partition_point(|file| file.start <= position);
        let file = files.get(after.checked_sub(1)?)?;
        (position < file.start + self.file_size).then(|| file.clone())
    }

    /// The bytes `position..position + len`, which must lie in one file below the published end.
    pub(crate) fn slice(&self, position: i64, len: i64) -> disk::Result<Option<MappedSlice>> {
        let files = self.files.load();
        let after = files.partition_point(|file| file.start <= position);
        let Some(file) = after.checked_sub(1).and_then(|index| files.get(index)) else {
            return Ok(None);
        };
        let from = position - file.start;
        if len < 0 || from >= self.file_size || len > self.file_size - from {
            return Ok(None);
        }
        let slice = file.file.slice(from as u64..(from + len) as u64);
        self.unless_gone(file, slice)
    }

    /// What a file said, unless it has left the log since it was found: then there is nothing.
    fn unless_gone(
        &self,
        file: &Arc<LogFile<D::File>>,
        slice: disk::Result<Option<MappedSlice>>,
    ) -> disk::Result<Option<MappedSlice>> {
        match slice {
            Err(_) if !self.files.load().iter().any(|other| Arc::ptr_eq(other, file)) => Ok(None),
            slice => slice,
        }
    }

    /// Everything published from `position` to the end of its file.
    pub(crate) fn slice_to_file_end(&self, position: i64) -> disk::Result<Option<MappedSlice>> {
        let Some(file) = self.file_at(position) else {
            return Ok(None);
        };
        let end = file.file.published();
        let from = (position - file.start) as u64;
        if from >= end {
            Ok(None)
        } else {
            self.unless_gone(&file, file.file.slice(from..end))
        }
    }

    /// Whether a record may start at this position, or the log end there. `None`: it is in no file, or cannot be read.
    pub(crate) fn is_start_or_end(&self, position: i64) -> Option<bool> {
        let slice = self.slice_to_file_end(position).ok()??;
        Some(match decode(&slice, Check::Lengths) {
            Ok(Entry::Record(view)) => view.at(position).is_ok(),
            Ok(Entry::Blank { left }) => left as usize == slice.len(),
            Err(RecordError::Magic { magic }) => magic == 0 && slice[..4] == [0; 4],
            Err(_) => false,
        })
    }

    /// Whether what lies at the position of a checkpoint says nothing against it. `is_own_stop`: a clean stop of this program left it, and
    /// it ended the log there. What a bad disk has put behind it since is no record then, unless it is sound. `None` as for
    /// [`Log::is_start_or_end`].
    pub(crate) fn may_be_vouched(&self, position: i64, is_own_stop: bool) -> Option<bool> {
        let is_one = self.is_start_or_end(position)?;
        if is_one || !is_own_stop {
            return Some(is_one);
        }
        Some(self.resume(position, i64::MIN).ok()?.is_none())
    }

    /// Start of the first file that starts behind `position`.
    fn file_behind(&self, position: i64) -> Option<i64> {
        let files = self.files.load();
        let behind = files.partition_point(|file| file.start <= position);
        files.get(behind).map(|file| file.start)
    }

    /// First position of the file after the one that holds `position`.
    pub(crate) fn next_file(&self, position: i64) -> i64 {
        position - position.rem_euclid(self.file_size) + self.file_size
    }

    /// The checked record at `position`.
    pub(crate) fn record_at(&self, position: i64) -> Result<MappedSlice, RecordAtError> {
        let at = PhysicalOffset(position);
        let slice = self
            .slice_to_file_end(position)?
            .ok_or(RecordAtError::Outside(at))?;
        let no_record = |source| RecordAtError::NoRecord { at, source };
        let decoded = record::decode(&slice, Check::Lengths);
        slice.check_part(0..announced_len(&slice))?;
        let len = match decoded.map_err(no_record)? {
            Entry::Blank { .. } => return Err(RecordAtError::Blank(at)),
            Entry::Record(view) => view.at(position).map_err(no_record)?.total_len(),
        };
        Ok(slice.part(0..len))
    }

    /// Takes out the files for which `keep` says no, and returns them.
    pub(crate) fn retain(&self, keep: impl Fn(&LogFile<D::File>) -> bool) -> Vec<Arc<LogFile<D::File>>> {
        // Also the lock of every change of the list.
        let _spare = self.spare.lock();
        let (kept, gone) = self.files.load().iter().cloned().partition(|file| keep(file));
        self.files.store(Arc::new(kept));
        gone
    }

    /// Puts a file where one that starts at the same position was.
    pub(crate) fn replace(&self, file: Arc<LogFile<D::File>>) {
        let _spare = self.spare.lock();
        let mut files = Vec::clone(&self.files.load());
        if let Some(old) = files.iter_mut().find(|old| old.start == file.start) {
            *old = file;
        }
        self.files.store(Arc::new(files));
    }

    /// Adds the file for `start` at the end of the log: the one made ahead, or a new one.
    pub(crate) fn add_file(&self, disk: &D, start: i64, now: i64) -> disk::Result<Arc<LogFile<D::File>>> {
        // Held to the end: whoever makes a file ahead must neither make this one again nor miss it.
        let mut spare = self.spare.lock();
        if let Some(file) = self.file_at(start) {
            // Added for a record before this one, which then could not be written.
            return Ok(file);
        }
        let file = match spare.take_if(|spare| spare.start == start) {
            Some(file) => file,
            None => self.create(disk, start, now)?,
        };
        let mut files = Vec::clone(&self.files.load());
        files.push(file.clone());
        self.files.store(Arc::new(files));
        Ok(file)
    }

    /// Makes a file. Waits for no device, because an append may wait for this: what bounds it is how long the file system takes
    /// to enter a name. Its name becomes durable by [`Log::make_durable`], before the first sync of what is in it. Only where a
    /// whole file was filled since the last flush is that one's name waited for: of two files the earlier must not be missing.
    fn create(&self, disk: &D, start: i64, now: i64) -> disk::Result<Arc<LogFile<D::File>>> {
        if let Some(last) = self.files.load().last() {
            self.make_durable(disk, last)?;
        }
        // Java goes round the directories in order of the file's number (MultiPathMappedFileQueue).
        let dir = &self.dirs[(start / self.file_size) as usize % self.dirs.len()];
        disk.create_dirs(dir)?;
        let path = dir.join(file_name(start));
        let create = || disk.create(&path, self.file_size as u64, self.options);
        let file = match create() {
            Err(error) if error.source.kind() == ErrorKind::AlreadyExists => {
                make_way(disk, dir, start, self.options, now)?;
                create()?
            }
            file => file?,
        };
        let file = Arc::new(LogFile {
            start,
            file,
            named: AtomicBool::new(false),
            modified_ms: AtomicI64::new(now),
        });
        if self.dirs.len() > 1 || self.files.load().is_empty() {
            // Nothing orders names of several file systems, and one that is missing between two others would refuse a start. So
            // would queue files without any log file.
            Self::name(disk, &file)?;
        }
        Ok(file)
    }

    fn name(disk: &D, file: &LogFile<D::File>) -> disk::Result<()> {
        file.file.sync(0..0)?;
        if let Some(dir) = file.file.path().parent() {
            disk.sync_dir(dir)?;
        }
        file.named.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes the names of all files up to `file` durable, the oldest first.
    pub(crate) fn make_durable(&self, disk: &D, file: &LogFile<D::File>) -> disk::Result<()> {
        if file.named.load(Ordering::Acquire) {
            return Ok(());
        }
        let files = self.files();
        let before = files.iter().filter(|other| other.start < file.start);
        before
            .map(|other| &**other)
            .chain([file])
            .filter(|file| !file.named.load(Ordering::Acquire))
            .try_for_each(|file| Self::name(disk, file))
    }

    /// The file after the last one, made if it is not there yet.
    pub(crate) fn make_spare(&self, disk: &D, now: i64) -> disk::Result<Arc<LogFile<D::File>>> {
        let made = {
            let mut spare = self.spare.lock();
            let start = self
                .files
                .load()
                .last()
                .map_or(0, |last| last.start + self.file_size);
            match &*spare {
                Some(spare) if spare.start == start => spare.clone(),
                _ => spare.insert(self.create(disk, start, now)?).clone(),
            }
        };
        // Without the lock: an append that needs the file now takes it as it is.
        self.make_durable(disk, &made)?;
        Ok(made)
    }

    /// Forgets the file made ahead if it is not at its path any more: says whether that was so.
    pub(crate) fn drop_lost_spare(&self) -> bool {
        let mut spare = self.spare.lock();
        spare.take_if(|spare| !spare.file.is_at_path()).is_some()
    }

    /// Gives back what [`Log::take_spare`] took.
    pub(crate) fn give_spare(&self, file: Arc<LogFile<D::File>>) {
        *self.spare.lock() = Some(file);
    }

    /// Takes the file made ahead away, to remove it.
    pub(crate) fn take_spare(&self) -> Option<Arc<LogFile<D::File>>> {
        self.spare.lock().take()
    }

    /// Walks the published entries from `position` up to `limit`.
    pub(crate) fn walk(&self, position: i64, limit: i64) -> Walk<'_, D> {
        Walk {
            log: self,
            position,
            limit,
            slice: None,
        }
    }
}

/// What a walk meets.
pub(crate) enum Step<'a> {
    /// A record at the position.
    Record(View<'a>),
    /// Nothing more up to the limit.
    End,
    /// What lies at the position is no record; [`Log::resume`] tells where the log goes on.
    Bad(RecordError),
}

/// A walk over the log's records, over the ends of files.
pub(crate) struct Walk<'l, D: Disk> {
    log: &'l Log<D>,
    /// Where the next entry starts.
    pub(crate) position: i64,
    limit: i64,
    slice: Option<(i64, MappedSlice)>,
}

impl<D: Disk> Walk<'_, D> {
    /// The next record, and moves behind it. `position` is then the byte after the record.
    pub(crate) fn next(&mut self, check: Check) -> disk::Result<Step<'_>> {
        loop {
            if self.position >= self.limit {
                return Ok(Step::End);
            }
            let inside = self
                .slice
                .as_ref()
                .is_some_and(|(start, slice)| (*start..*start + slice.len() as i64).contains(&self.position));
            if !inside {
                let Some(slice) = self.log.slice_to_file_end(self.position)? else {
                    // Where files are missing that a setting lets a start do without, the log goes on in the next one.
                    match self.log.file_behind(self.position) {
                        Some(next) if self.log.file_at(self.position).is_none() => {
                            self.position = next;
                            continue;
                        }
                        _ => return Ok(Step::End),
                    }
                };
                self.slice = Some((self.position, slice));
            }
            let Some((start, slice)) = &self.slice else {
                return Ok(Step::End);
            };
            let rest = &slice[(self.position - start) as usize..];
            if rest.len() >= 8 && rest[4..8] == record::MAGIC_BLANK.to_be_bytes() {
                let next = self.log.next_file(self.position);
                let left = (next - self.position) as i32;
                // No file begins with its end: what is longer than a file is not taken.
                let is_first = i64::from(left) == self.log.file_size;
                if is_first || rest[..4] != left.to_be_bytes() {
                    let says = i32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
                    return Ok(Step::Bad(RecordError::Length {
                        what: "end of file",
                        len: says.into(),
                    }));
                }
                self.position = next;
                self.slice = None;
                continue;
            }
            break;
        }
        let Some((start, slice)) = &self.slice else {
            return Ok(Step::End);
        };
        let at = (self.position - start) as usize;
        let rest = &slice[at..];
        let decoded = record::decode(rest, check);
        if !matches!(decoded, Ok(Entry::Record(_))) {
            // What looks like damage may be zeros in place of what is there.
            slice.check_part(at..at + announced_len(rest))?;
        }
        match decoded {
            Ok(Entry::Record(view)) => match view.at(self.position) {
                Ok(view) => {
                    self.position += view.total_len() as i64;
                    Ok(Step::Record(view))
                }
                Err(error) => Ok(Step::Bad(error)),
            },
            // Handled above; a blank record is eight bytes at least.
            Ok(Entry::Blank { .. }) => Ok(Step::End),
            Err(error) => Ok(Step::Bad(error)),
        }
    }
}

/// Only the log's end is ever made: what lies where it belongs is a leftover of a try that failed, and goes. A file that holds something
/// is somebody's log, put there under the running store: it is kept under another name.
fn make_way<D: Disk>(disk: &D, dir: &Path, start: i64, options: MapOptions, now: i64) -> disk::Result<()> {
    let (name, path) = (file_name(start), dir.join(file_name(start)));
    let entries = disk.list(dir)?;
    let Some(there) = entries.iter().find(|entry| entry.name == name) else {
        return Ok(());
    };
    let mut head = [0; 8];
    if !there.is_dir && there.len >= head.len() as u64 {
        disk.open(&path, there.len, options)?.read(0, &mut head)?;
    }
    if !there.is_dir && head == [0; 8] {
        return disk.remove_file(&path);
    }
    let aside = dir.join(format!("{name}.moved-{now}"));
    tracing::error!(
        file = %path.display(), kept = %aside.display(),
        "a file lies where the next log file belongs, and this store did not make it"
    );
    disk.rename(&path, &aside)?;
    disk.sync_dir(dir)
}

/// Bytes that are looked at first.
const LEAST: usize = 8;

/// How many of these bytes the record at their start says that it has; some where it says nothing that can be.
fn announced_len(bytes: &[u8]) -> usize {
    let said = bytes.first_chunk().map_or(0, |len| i32::from_be_bytes(*len));
    usize::try_from(said)
        .unwrap_or_default()
        .max(LEAST)
        .min(bytes.len())
}
