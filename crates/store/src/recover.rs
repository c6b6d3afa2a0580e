//! Opening a store: what is there, what of it is good, and what has to be cut.
//!
//! After a clean stop nearly nothing is read: the checkpoint vouches for the log up to its end. After a crash the
//! log is read and checked from the vouched position on (or, in a directory that Java left, from the file that Java
//! would start at), queues are cut back to that position and built again from the log.
//!
//! Bytes that are no record end the log only if nothing sound follows them: then a crash tore them. What lies behind is kept
//! aside and cleared, so that no leftover can come back to life later. Bytes with sound records behind them are damage: they
//! are stepped over and told. Where whole files are missing the start is refused.
//!
//! Queues are compared with what they were when the checkpoint vouched for them ([`crate::queue_checkpoint`]): what is missing is
//! built again, and places that cannot be filled are given to no other message. What lies before the deletion of its topic gets
//! no unit ([`crate::deletions`]).

mod behind;
mod end;
pub(crate) mod files;
pub(crate) mod in_the_way;
pub(crate) mod missing;
pub(crate) mod queues;
mod scan;
mod signs;
mod vouched;

use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::damage::DamageReport;
use crate::damaged_units::DamagedUnits;
use crate::deletions::Deletions;
use crate::index::Index;
use crate::log::{Log, LogFile};
use crate::progress::Helpers;
use crate::queue::{Queue, QueueFiles, Queues};
use crate::queue_checkpoint::{Beside, QueueCheckpoint, QueueCheckpointLoss};
use crate::settings::{SettingsError, StoreSettings};
use crate::store::Store;
use behind::DroppedUnits;
pub use behind::UnitsBehind;
use disk::{DirEntry, Disk};
pub(crate) use end::written_until;
use files::{LogListing, MissingLog};
pub use in_the_way::MovedAway;
use message::record::RecordError;
use missing::MissingReport;
use queues::{Found, Loader};
use scan::Scan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Most queues that are told one by one.
const TOLD_MAX: usize = 20;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting has an impossible value.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another process has the store open, or one of its folders.
    #[error("{} is locked: another broker runs on this store", .0.display())]
    Locked(PathBuf),
    /// A log file has another length than the others.
    #[error("{} has {found} bytes, but the other commitlog files have {expected}: files of one log have one size", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// That of the others, or what `mappedFileSizeCommitLog` says where they do not agree.
        expected: i64,
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
    #[error("{} does not start at a multiple of {expected}, the size of the files beside it", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// That size in bytes.
        expected: i64,
    },
    /// Two folders of the log have a file of the same name.
    #[error("{} and {} are the same part of the log: nothing tells which of them counts. Move the one away that is a copy, the older one if \
             they differ", first.display(), second.display())]
    Twice {
        /// The file of the first folder.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A part of the log is not there. Going on without it would lose what only it has.
    #[error("{}; bring it back, or set acceptMissingCommitLog=true to go on without it", texts(.0))]
    MissingLog(Vec<MissingLog>),
    /// Something stands where a small file of the store belongs, and could not be moved away.
    #[error("{} {what}, and no file that a broker wrote; it could not be moved away: {source}. Move it away: no message is in it", path.display())]
    InTheWay {
        /// What stands there.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// Why it could not be moved.
        source: disk::Error,
    },
    /// A full file system gives what was never written in a file no page to be read from, as a tmpfs does. Others need none.
    #[error("cannot read {}: its file system is full ({available_bytes} bytes are free), and wants space for what was never written in the file, as a \
             tmpfs does; {NEEDED_BYTES} free bytes are enough for a start", path.display())]
    NoRoomToRead {
        /// The file.
        path: PathBuf,
        /// What is free there, in bytes.
        available_bytes: u64,
    },
    /// Something could not be read or written.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Something could not be made durable before the start.
    #[error(transparent)]
    Latched(#[from] crate::latch::Latched),
}

/// What is missing of the log, where the settings let a start do without it.
pub(crate) fn accepted(
    missing: Vec<MissingLog>,
    settings: &StoreSettings,
) -> Result<Vec<MissingLog>, OpenError> {
    match missing.is_empty() || settings.accept_missing_log {
        true => Ok(missing),
        false => Err(OpenError::MissingLog(missing)),
    }
}

/// What a start reads of the log before it gives back what was never written.
const NEEDED_BYTES: u64 = scan::STRETCH as u64 + (1 << 20);

impl OpenError {
    /// Says more of a page that was not there, where the reason is that its file system is full.
    fn explained<D: Disk>(self, disk: &D) -> OpenError {
        let OpenError::Disk(error) = &self else {
            return self;
        };
        let available = disk.usage(&error.path).map_or(u64::MAX, |usage| usage.available);
        match error.is_missing_page() && available < NEEDED_BYTES {
            true => OpenError::NoRoomToRead {
                path: error.path.clone(),
                available_bytes: available,
            },
            false => self,
        }
    }
}

fn texts(missing: &[MissingLog]) -> String {
    let texts: Vec<_> = missing.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The last stop was clean.
    pub clean: bool,
    /// It is a slave's store.
    pub replica: bool,
    /// Positions that were saved and pointed beyond what is there.
    pub brought_in: Vec<BroughtIn>,
    /// Index files removed because they point beyond the log, or are not known to be whole; they are made again.
    pub index_files_removed: usize,
    /// The first index file that was there when the checkpoint was saved, and is not; what follows is made again.
    pub missing_index: Option<String>,
    /// Queues of whose extension files were missing and made again: how many files, and how many units were written.
    pub ext_restored: BTreeMap<(String, i32), (u64, u64)>,
    /// Log files found.
    pub log_files: usize,
    /// Bytes of a log file, where that is not what the settings say: the log keeps to it.
    pub other_log_file_size: Option<i64>,
    /// Parts of the log that are missing, and that the settings let a start do without.
    pub missing: Vec<MissingLog>,
    /// What was stepped over.
    pub damage: DamageReport,
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
    /// From this record of the log on units could not be built: there is no space. Nothing is appended before they are.
    pub units_wait_from: Option<i64>,
    /// Units dropped because the log has no such record where they point.
    pub units_cut: u64,
    /// Queues that had more units than were found.
    pub missing_units: MissingReport,
    /// Queues that end with a full file, where nothing says whether others followed it and the log was not searched whole.
    pub unclear_ends: u64,
    /// The first of them, at most 20.
    pub first_unclear_ends: Vec<String>,
    /// Units that pointed behind the end of the log.
    pub units_behind: Option<UnitsBehind>,
    /// Records that took a place in a queue from an earlier one, as both say that it is theirs.
    pub taken_places: u64,
    /// What is to be said of the first of them, at most 20.
    pub first_taken: Vec<String>,
    /// What stood where small files of the store belong, and was moved away.
    pub moved_away: Vec<MovedAway>,
    /// The file that says which topics were deleted is damaged: were queues built from the log, they may be back.
    pub deletions_lost: bool,
    /// Queues that are not there and of which the end of the log has messages, in a store whose deletions nobody noted.
    pub unqueued: u64,
    /// The first of them, with their messages.
    pub first_unqueued: Vec<String>,
    /// Topics whose deletion was noted behind the end of a log that was stopped clean: the notes are of another log.
    pub strange_deletions: Vec<String>,
    /// `queueCheckpoint` is not as it should be.
    pub queue_checkpoint_lost: Option<QueueCheckpointLoss>,
    /// The checkpoint is that of another program, Java's broker, which ran after this one.
    pub others_checkpoint: bool,
    /// Why the log ends where it does; `None` where it simply ends.
    pub log_cut: Option<LogCut>,
    /// Bytes that were dropped where the log was cut: from there to the last one that is not zero.
    pub log_cut_bytes: u64,
    /// The log ends just where the last clean stop left it: nothing can be behind.
    pub end_is_vouched: bool,
    /// Where what was cut off is kept, at most 16 MiB of it.
    pub cut_off: Option<PathBuf>,
    /// How many bytes are kept there, from the first one on.
    pub cut_off_bytes: u64,
    /// Why it could not be kept.
    pub cut_off_lost: Option<String>,
    /// Files removed because they lie behind the end or hold nothing.
    pub removed: Vec<PathBuf>,
    /// Files that had been cut off and were made whole again with zeros.
    pub extended: Vec<PathBuf>,
    /// Files and directories that are none of ours and were left alone.
    pub ignored: Vec<PathBuf>,
}

/// A saved position that was brought into what it points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroughtIn {
    /// Whose position it is.
    pub what: &'static str,
    /// What was saved.
    pub saved: i64,
    /// What counts.
    pub now: i64,
}

impl fmt::Display for BroughtIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BroughtIn { what, saved, now } = self;
        write!(
            f,
            "{what} said {saved}, which is not there; it goes on from {now}"
        )
    }
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
    /// What an operator should know of, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
        lines.extend(self.damage.first.iter().map(ToString::to_string));
        let untold = self.damage.count - self.damage.first.len() as u64;
        if untold > 0 {
            let bytes = self.damage.bytes;
            lines.push(format!(
                "{untold} more stretches of the log are damaged; all have {bytes} bytes"
            ));
        }
        lines.extend(self.cut_lines());
        if let Some(why) = &self.cut_off_lost {
            lines.push(format!("what was cut off the log could not be kept: {why}"));
        }
        lines.extend(self.brought_in.iter().map(ToString::to_string));
        if self.index_files_removed > 0 {
            let count = self.index_files_removed;
            lines.push(format!("{count} index files are made again from the commitlog"));
        }
        if self.queue_checkpoint_lost == Some(QueueCheckpointLoss::Missing) {
            lines
                .push("queueCheckpoint is missing: queues were only compared with the end of the log".into());
        }
        if let Some(behind) = self.units_behind.as_ref().filter(|_| self.replica) {
            let (units, end) = (behind.units, behind.log_end);
            lines.push(format!(
                "{units} queue units pointed behind the end of the log at {end}: the master sends these messages again"
            ));
        }
        if self.unclear_ends > 0 {
            let (count, first) = (self.unclear_ends, self.first_unclear_ends.join(", "));
            lines.push(format!(
                "{count} consumequeues end with a full file, and a short look at the log did not tell whether others followed: {first}; \
                 a start that finds an empty file queueCheckpoint compares all queues with all of the log"
            ));
        }
        if self.unqueued > 0 {
            let (count, first) = (self.unqueued, self.first_unqueued.join(", "));
            lines.push(format!(
                "the commitlog has messages of {count} queues that are not there: {first}; their topics were deleted by a broker that leaves \
                 no note, or their directories are lost. A start without consumequeue/ builds all queues again, also those of deleted topics"
            ));
        }
        if self.units_cut > 0 {
            let cut = self.units_cut;
            lines.push(format!(
                "{cut} queue units were cut: the log does not vouch for them"
            ));
        }
        lines
    }

    /// Where the log was cut, and what became of what was cut off.
    fn cut_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(cut) = &self.log_cut {
            let (at, reason, bytes) = (cut.at, &cut.reason, self.log_cut_bytes);
            lines.push(format!(
                "the log was cut at {at}: {reason}; {bytes} bytes behind it were torn"
            ));
        }
        if let Some(path) = &self.cut_off {
            let (path, kept) = (path.display(), self.cut_off_bytes);
            lines.push(match kept < self.log_cut_bytes {
                true => format!(
                    "of what was cut off the log only the first {kept} bytes are kept, in {path}; the rest is lost"
                ),
                false => format!("what was cut off the log is kept in {path}"),
            });
        }
        lines
    }

    /// What went wrong that a start should never see, a line each.
    pub fn errors(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.moved_away.iter().map(ToString::to_string).collect();
        lines.extend(self.missing_units.lines());
        if let Some(from) = self.units_wait_from {
            let bytes = self.log_end - from;
            lines.push(format!(
                "there is no space for the queue units of the last {bytes} bytes of the log, from {from} on: they are built when there \
                 is, and no message is taken before"
            ));
        }
        // What a slave has lost the master sends again.
        let behind = self.units_behind.as_ref().filter(|_| !self.replica);
        lines.extend(behind.map(ToString::to_string));
        if let Some(name) = &self.missing_index {
            lines.push(format!(
                "the index file {name} is missing; the index is made again from there on"
            ));
        }
        for ((topic, id), (files, units)) in self.ext_restored.iter().take(TOLD_MAX) {
            lines.push(format!(
                "consumequeue_ext {topic} {id}: {files} files are missing; {units} of their units were written again from the \
                 commitlog"
            ));
        }
        if self.ext_restored.len() > TOLD_MAX {
            let more = self.ext_restored.len() - TOLD_MAX;
            lines.push(format!(
                "files of {more} more extensions of consumequeues were made again"
            ));
        }
        lines.extend(self.first_taken.iter().cloned());
        let more = self.taken_places - self.first_taken.len() as u64;
        if more > 0 {
            lines.push(format!(
                "{more} more messages took the place of an earlier one with the same offset"
            ));
        }
        if self.queue_checkpoint_lost == Some(QueueCheckpointLoss::Damaged) {
            lines.push("queueCheckpoint is damaged: queues were compared with the whole commitlog, and what they lacked was built".into());
        }
        if !self.strange_deletions.is_empty() {
            let first: Vec<&str> = self
                .strange_deletions
                .iter()
                .take(TOLD_MAX)
                .map(String::as_str)
                .collect();
            let (count, first) = (self.strange_deletions.len(), first.join(", "));
            lines.push(format!(
                "deletedTopics tells of the deletion of {count} topics behind the end of the log, which is of another time (was it restored?): \
                 they count as not deleted: {first}"
            ));
        }
        if self.deletions_lost {
            lines.push("deletedTopics is damaged: queues of deleted topics may have been built again from the commitlog".into());
        }
        lines
    }

    /// Adds what a part of the work found.
    fn add(&mut self, part: RecoveryReport) {
        self.queues += part.queues;
        self.units_cut += part.units_cut;
        self.ext_restored.extend(part.ext_restored);
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
        let mut settings = settings.checked()?;
        let root = settings.root_dir.clone();
        let queue_files = QueueFiles::of(&settings);
        disk.create_dirs(&root)?;
        let lock_path = root.join("lock");
        let lock = disk.lock(&lock_path)?.ok_or(OpenError::Locked(lock_path))?;
        let clean = !disk.list(&root)?.iter().any(|entry| entry.name == "abort");
        let moved_away = in_the_way::move_away(&disk, &root, now)?;
        let is_moved = |name| moved_away.iter().any(|moved| moved.path.ends_with(name));
        let (checkpoint_file, mut checkpoint) = CheckpointFile::open(&disk, &root)?;

        let Beside {
            known,
            lost,
            is_others,
        } = QueueCheckpoint::load(&disk, &root, &checkpoint)?;
        let damaged = is_moved("queueCheckpoint").then_some(QueueCheckpointLoss::Damaged);
        let queue_checkpoint_lost = damaged.or(lost);
        let listing = LogListing::of(&disk, &settings, &checkpoint, clean)?.unambiguous()?;
        let (deletions, is_damaged) = Deletions::load(&disk, &root)?;
        let deletions_lost = is_damaged || is_moved("deletedTopics");
        // A clean stop leaves none behind the end: the log is of another time than the file.
        let strange_deletions = match clean {
            true => deletions.forget_behind(checkpoint.vouched.unwrap_or(listing.end())),
            false => Vec::new(),
        };
        let missing = accepted(listing.missing(&disk, &settings, &checkpoint)?, &settings)?;
        // What is left of a file that was cut short ends anywhere: it is read, as after a crash.
        let clean = clean && !missing.iter().any(MissingLog::is_short);
        for dir in settings.commitlog_dirs.iter().chain([&queue_files.dir]) {
            disk.create_dirs(dir)?;
        }
        // The lock above is of the root: another store may have its own, and the same log.
        let mut dir_locks = Vec::new();
        for dir in settings.commitlog_dirs.iter().collect::<BTreeSet<_>>() {
            let lock = disk.lock_dir(dir)?;
            let lock = lock.ok_or_else(|| OpenError::Locked(dir.clone()))?;
            dir_locks.push((dir.clone(), lock));
        }
        if queue_files.ext {
            disk.create_dirs(&queue_files.ext_dir)?;
        }
        let missing_index = missing_index(&disk, &settings, known.as_ref(), &listing)?;
        let indexed = known.as_ref().map_or(0, |known| known.index.indexed);
        let other_log_file_size =
            (listing.file_size != settings.commitlog_file_size).then_some(listing.file_size);
        settings.commitlog_file_size = listing.file_size;
        let mut recovery = Recovery {
            disk: &disk,
            settings: &settings,
            queue_files: &queue_files,
            queues: Queues::new(settings.consumequeue_file_size),
            deletions: &deletions,
            known,
            damaged: DamagedUnits::load(&disk, &root)?,
            helpers,
            report: RecoveryReport {
                clean,
                replica: settings.replica,
                missing,
                missing_index,
                deletions_lost,
                strange_deletions,
                queue_checkpoint_lost,
                others_checkpoint: is_others,
                moved_away,
                other_log_file_size,
                ..RecoveryReport::default()
            },
        };
        let log = Log::new(&settings, recovery.open_log(listing)?);
        let recovered = recovery.run(&log, &checkpoint, &checkpoint_file, now);
        let timestamp = recovered.map_err(|error| error.explained(&disk))?;
        log.written_timestamp.store(timestamp, Ordering::Relaxed);
        log.flushed_timestamp.store(timestamp, Ordering::Relaxed);
        let Recovery {
            queues,
            mut report,
            damaged,
            ..
        } = recovery;
        // Before a record can come to lie where those of a deleted topic were.
        deletions.follow(log.min(), log.written());
        // Where nothing says what was deleted, what comes is known.
        deletions.know_from(log.written());
        match deletions.save(&disk, log.written()) {
            // What is in the file still counts.
            Err(error) if error.is_full() => tracing::warn!(%error, "deletedTopics waits for space"),
            saved => saved?,
        }

        let index = open_index(&disk, &settings, &log, indexed, &mut checkpoint, &mut report)?;
        // Durable before the first record: a crash from now on is one.
        disk.write_small(&root.join("abort"), b"", false)?;
        let parts = (checkpoint_file, checkpoint);
        let store = Store::assemble(
            disk,
            settings,
            (lock, dir_locks),
            log,
            queue_files,
            queues,
            parts,
            index,
            deletions,
        );
        store.taken_places.store(report.taken_places, Ordering::Relaxed);
        if let Some(from) = report.units_wait_from {
            store.let_units_wait(from, report.log_end);
        }
        store.flush_consumequeues(0, true)?;
        if !damaged.is_empty() && report.units_wait_from.is_none() {
            DamagedUnits::forget(&store.disk, &root)?;
        }
        store.tick_disk(now);
        Ok((store, report))
    }
}

/// The index, where the settings ask for one. What it says to be full goes into the checkpoint.
fn open_index<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    log: &Log<D>,
    indexed: i64,
    checkpoint: &mut Checkpoint,
    report: &mut RecoveryReport,
) -> Result<Option<Index<D>>, OpenError> {
    if !settings.index {
        return Ok(None);
    }
    let vouched = (!report.clean).then_some(checkpoint.index_timestamp);
    let missing = report.missing_index.as_deref();
    let (mut index, removed) = Index::load(disk, settings, vouched, missing, log.written())?;
    report.index_files_removed = removed;
    // Keys of the last record of a file may have been in the next one.
    let is_whole = report.clean && report.missing_index.is_none();
    let indexed = if removed == 0 { indexed } else { 0 };
    index.resume(is_whole, indexed, log.min(), log.written(), |position| {
        log.record_at(position)
            .ok()
            .map(|record| position + record.len() as i64)
    });
    // Not to be left higher: a file made anew for the same times would be believed before it is flushed.
    checkpoint.index_timestamp = index.full_timestamp();
    Ok(Some(index))
}

/// The first index file that was there when the checkpoint was saved, and is not.
fn missing_index<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    known: Option<&QueueCheckpoint>,
    log: &LogListing,
) -> disk::Result<Option<String>> {
    let Some(known) = known.filter(|_| settings.index) else {
        return Ok(None);
    };
    let there = disk.list(&settings.index_dir())?;
    let log_min = log.files.first().map_or(0, |(start, ..)| *start);
    let missing = known.missing_index(log_min, |name| there.iter().any(|entry| entry.name == name));
    Ok(missing.map(str::to_owned))
}

struct Recovery<'a, D: Disk> {
    disk: &'a D,
    settings: &'a StoreSettings,
    queue_files: &'a QueueFiles,
    queues: Queues<D::File>,
    deletions: &'a Deletions,
    /// What the queues were when the checkpoint vouched for them.
    known: Option<QueueCheckpoint>,
    /// First damaged units that readers have met, by topic and queue id.
    damaged: BTreeMap<(String, i32), i64>,
    helpers: &'a Helpers<'a>,
    report: RecoveryReport,
}

impl<D: Disk> Recovery<'_, D> {
    /// The log's files in order, all of every one readable.
    fn open_log(&mut self, listing: LogListing) -> Result<Vec<Arc<LogFile<D::File>>>, OpenError> {
        let size = listing.file_size;
        let count = listing.files.len();
        let row = Row::of_log(&listing, self.report.clean, &self.report.missing);
        self.report.ignored.extend(listing.ignored);
        self.remove_copies(listing.copies)?;
        let mut files = Vec::with_capacity(count);
        for (index, (start, path, entry)) in listing.files.into_iter().enumerate() {
            let fit = row.judge((start, &path, &entry), row.is_last(index, count))?;
            if !fit.settle(self.disk, &mut self.report, &path, size)? {
                continue;
            }
            let file = self
                .disk
                .open(&path, size as u64, Log::<D>::options(self.settings))?;
            files.push(Arc::new(LogFile {
                start,
                file,
                named: AtomicBool::new(true),
                modified_ms: AtomicI64::new(entry.modified_ms),
            }));
        }
        self.report.log_files = files.len();
        Ok(files)
    }

    fn remove_copies(&mut self, copies: Vec<PathBuf>) -> disk::Result<()> {
        for path in copies {
            self.disk.remove_file(&path)?;
            self.report.removed.push(path);
        }
        Ok(())
    }

    /// Brings log and queues into agreement; returns the store time of the last record.
    fn run(
        &mut self,
        log: &Log<D>,
        checkpoint: &Checkpoint,
        file: &CheckpointFile<D::File>,
        now: i64,
    ) -> Result<i64, OpenError> {
        if log.files().is_empty() {
            self.withdraw(checkpoint, file, 0)?;
            self.clear_queues()?;
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
        if let Some(saved) = checkpoint.vouched.filter(|vouched| *vouched > limit) {
            self.report.brought_in.push(BroughtIn {
                what: "the checkpoint's position in the commitlog",
                saved,
                now: limit,
            });
            self.withdraw(checkpoint, file, limit)?;
        }
        let known = self.known.take();
        let mut found = self.load_queues(log, limit, vouched, known.as_ref())?;
        if let Some(known) = &known {
            found.missing.extend(self.missing_queues(known, log.min()));
        }
        let start = match (found.with_units, self.report.clean, vouched) {
            // Queues deleted by hand are built again from the whole log.
            (false, ..) => log.min(),
            (_, true, Some(vouched)) => vouched.max(found.highest),
            (_, true, None) => found.highest,
            (_, false, _) => limit,
        };
        // Nothing tells which queues there were: the log does.
        let is_known = self.report.queue_checkpoint_lost != Some(QueueCheckpointLoss::Damaged);
        let start = if is_known { start } else { log.min() };
        if known.is_none() && is_known && found.with_units {
            let is_own = self.report.queue_checkpoint_lost == Some(QueueCheckpointLoss::Missing);
            let mut more = self.look_for_missing(log, start, is_own)?;
            more.retain(|more| {
                let mut told = found.missing.iter();
                !told.any(|told| (&told.topic, told.queue_id) == (&more.topic, more.queue_id))
            });
            found.missing.extend(more);
        }
        let missing_from = found.missing.iter().map(|missing| missing.from).min();
        let start = missing_from.map_or(start, |from| from.min(start));
        if !found.with_units || !is_known || missing_from.is_some() {
            self.withdraw(checkpoint, file, start)?;
        }
        for path in std::mem::take(&mut found.behind_gaps) {
            self.disk.remove_file(&path)?;
            self.report.removed.push(path);
        }
        self.report.scan_start = start.max(log.min());
        let scan = Scan {
            disk: self.disk,
            settings: self.settings,
            queue_files: self.queue_files,
            queues: &self.queues,
            deletions: self.deletions,
            log,
            helpers: self.helpers,
        };
        // Where a clean stop left the log, nothing is behind its end.
        let clean_end = vouched.filter(|_| self.report.clean);
        let lost = scan.run(&mut self.report, clean_end)?;
        let timestamp = lost.timestamp.max(checkpoint.physic_timestamp);
        self.end_log(log, now)?;
        self.settle_queues(found, known.as_ref(), lost.places, now)?;
        Ok(timestamp)
    }

    /// As Java: without a log the queues point nowhere.
    fn clear_queues(&self) -> Result<(), OpenError> {
        self.disk.remove_dir_all(&self.queue_files.dir)?;
        self.disk.create_dirs(&self.queue_files.dir)?;
        self.disk.remove_dir_all(&self.queue_files.ext_dir)?;
        if self.queue_files.ext {
            self.disk.create_dirs(&self.queue_files.ext_dir)?;
        }
        Ok(())
    }

    /// Brings the queues to their ends when it is known where the log ends. `places` are one behind those of damaged records.
    fn settle_queues(
        &mut self,
        mut found: Found<D::File>,
        known: Option<&QueueCheckpoint>,
        places: BTreeMap<(String, i32), i64>,
        now: i64,
    ) -> Result<(), OpenError> {
        for queue in self.queues.all() {
            if queue.max_physical.load(Ordering::Relaxed) > self.report.log_end {
                self.cut_queue(&queue, self.report.log_end, &mut found.dropped)?;
            }
            queue.next.store(queue.end(), Ordering::Relaxed);
        }
        // A place that a consumer may have seen taken is not given to another message, now or after the next start.
        for ((topic, id), end) in places {
            self.keep_places(&topic, id, end)?;
        }
        self.settle_missing(known, found.missing)?;
        for queue in found.unclear {
            self.drop_behind_end(&queue, &mut found.dropped)?;
            queue.clear_leftover()?;
        }
        self.tell_dropped(found.dropped, now)?;
        Ok(())
    }

    /// Loads all queues up to `limit` in the log.
    fn load_queues(
        &mut self,
        log: &Log<D>,
        limit: i64,
        vouched: Option<i64>,
        known: Option<&QueueCheckpoint>,
    ) -> Result<Found<D::File>, OpenError> {
        let with_ext = self.disk.list(&self.queue_files.ext_dir)?;
        let loader = Loader {
            disk: self.disk,
            settings: self.settings,
            queue_files: self.queue_files,
            file_size: self.settings.consumequeue_file_size,
            queues: &self.queues,
            log,
            limit,
            vouched,
            clean: self.report.clean,
            with_ext: with_ext
                .into_iter()
                .filter(|entry| entry.is_dir)
                .map(|entry| entry.name)
                .collect(),
            damaged: &self.damaged,
            known,
            deletions: self.deletions,
        };
        let mut found = loader.load(self.helpers)?;
        self.report.add(std::mem::take(&mut found.report));
        Ok(found)
    }

    /// Drops the units at and behind `limit` of a loaded queue.
    fn cut_queue(
        &mut self,
        queue: &Queue<D::File>,
        limit: i64,
        dropped: &mut DroppedUnits,
    ) -> Result<(), OpenError> {
        let mut end = queue.end();
        let mut max_physical = 0;
        while end > queue.min() {
            if let Some(unit) = queue.unit(end - 1)? {
                if unit.physical < limit {
                    // A unit of a damaged file may say that its record is longer than the log: no message would get a unit any
                    // more.
                    max_physical = unit.end().min(limit);
                    break;
                }
                dropped.add(&queue.topic, queue.id, end - 1, unit);
            }
            end -= 1;
        }
        self.report.units_cut += (queue.end() - end) as u64;
        queue.cut(self.disk, end)?;
        queue.max_physical.store(max_physical, Ordering::Relaxed);
        Ok(())
    }
}

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Log,
    Queue,
}

/// Files that follow one another, and how long each has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    kind: Kind,
    /// Bytes of each.
    size: i64,
    /// The last one may have lost its end: a crash left it too short.
    may_be_short: bool,
}

/// What is to be done with a file before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Open,
    /// Nothing is in it: as 5.x, a start goes on without it.
    Remove,
    /// It gets its zeros back.
    Extend,
}

impl Row {
    /// The log's. `missing` is what the settings let a start do without.
    pub(crate) fn of_log(listing: &LogListing, clean: bool, missing: &[MissingLog]) -> Row {
        let mut missing = missing.iter();
        Row {
            kind: Kind::Log,
            size: listing.file_size,
            may_be_short: !clean || missing.any(MissingLog::is_short),
        }
    }

    /// A queue's. Of it any file may count as the last: what the checkpoint vouches for is never short, and the rest is built again.
    pub(crate) fn of_queue(size: i64, clean: bool) -> Row {
        Row {
            kind: Kind::Queue,
            size,
            may_be_short: !clean,
        }
    }

    /// Whether the file at this place among so many counts as the last.
    pub(crate) fn is_last(&self, index: usize, count: usize) -> bool {
        index + 1 == count || self.kind == Kind::Queue && self.may_be_short
    }

    /// Looks at a file that starts there. Every name and length that no crash leaves is a wrong setting.
    pub(crate) fn judge(
        &self,
        (start, path, entry): (i64, &Path, &DirEntry),
        last: bool,
    ) -> Result<Fit, OpenError> {
        let size = self.size;
        if start % size != 0 {
            return Err(OpenError::FileName {
                path: path.to_path_buf(),
                expected: size,
            });
        }
        if entry.len == size as u64 {
            return Ok(Fit::Open);
        }
        if last && entry.len == 0 {
            return Ok(Fit::Remove);
        }
        if last && self.may_be_short && entry.len < size as u64 {
            return Ok(Fit::Extend);
        }
        let (path, found) = (path.to_path_buf(), entry.len);
        Err(match self.kind {
            Kind::Log => OpenError::FileSize {
                path,
                found,
                expected: size,
            },
            Kind::Queue => OpenError::UnequalFiles {
                path,
                found,
                longest: size,
            },
        })
    }
}

impl Fit {
    /// Does it, and says whether the file is to be opened.
    fn settle<D: Disk>(
        self,
        disk: &D,
        report: &mut RecoveryReport,
        path: &Path,
        size: i64,
    ) -> Result<bool, OpenError> {
        match self {
            Fit::Open => {}
            Fit::Remove => {
                disk.remove_file(path)?;
                report.removed.push(path.to_path_buf());
            }
            Fit::Extend => {
                disk.extend(path, size as u64)?;
                report.extended.push(path.to_path_buf());
            }
        }
        Ok(self != Fit::Remove)
    }
}
