//! The offline check: reads a whole store directory, verifies every record and every queue unit, changes nothing.
//!
//! For a directory that no broker has open. What it finds is said, not repaired: the next start of a broker recovers by
//! the rules in [`crate::recover`].

mod start;
mod told;

pub use start::would_open;
pub use told::{checkpoint_told, settings_found};

use crate::checkpoint::Checkpoint;
use crate::damage::Damage;
use crate::deletions::Deletions;
use crate::log::{Log, LogFile, Step, is_copy, parse_file_name};
use crate::queue::{Queue, QueueFile, QueueFiles, UNIT, Unit, found_size};
use crate::queue_checkpoint::{Beside, QueueCheckpoint, QueueCheckpointLoss};
use crate::recover::files::{LogListing, MissingLog};
use crate::recover::in_the_way::what_is_wrong;
use crate::recover::missing::{gap, state_of};
use crate::recover::written_until;
use crate::reput::{has_unit, unit_of};
use crate::settings::{SettingsError, StoreSettings};
use disk::{Disk, MappedFile};
use message::record::{Check, Entry, RecordError, View, decode};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

/// What is to be said of the copy of a file that did not take its place.
const COPY: &str = "the end of the log was being cut off when the broker stopped; a start removes this copy";

/// How many faults are kept; all are counted.
const FAULTS_KEPT: usize = 20;

/// Why a directory cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A setting has an impossible value.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something could not be read.
    #[error(transparent)]
    Disk(#[from] disk::Error),
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file of a wrong length or name; it was not looked into.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A part of the log is not there. A start is refused.
    Missing(MissingLog),
    /// Two folders of the log have a file of the same name, of which the first was looked into. A start is refused.
    Twice {
        /// The file of the first folder.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// Bytes that are no record, with the log going on behind them. A start steps over them.
    Damage(Damage),
    /// Bytes that are no record, with nothing sound behind them, before a position up to which a start takes the log as it is. They
    /// stay, and are passed over.
    Kept(Damage),
    /// Bytes that are no record, with nothing sound behind them. A start cuts them off.
    Torn {
        /// The file they start in.
        path: PathBuf,
        /// Where in that file, bytes.
        file_offset: i64,
        /// How many bytes from there on are not zero or lie before such a one.
        bytes: u64,
        /// What is wrong where they start.
        reason: RecordError,
    },
    /// A record without its unit: its queue ends before it, or has another unit there. The first is what a killed
    /// broker leaves.
    NoUnit {
        /// Position of the record in the log.
        at: i64,
        /// Its topic.
        topic: String,
        /// Its queue.
        queue_id: i32,
        /// Its index in the queue.
        index: i64,
    },
    /// A queue that has less than it had. A start builds the rest again from the log.
    Queue {
        /// Its topic.
        topic: String,
        /// Its queue.
        queue_id: i32,
        /// The first file or directory that is missing, if one is.
        path: Option<PathBuf>,
        /// One behind the last unit before it.
        found_end: i64,
        /// The end that the checkpoint vouches for; `None` where nothing tells.
        vouched_end: Option<i64>,
    },
    /// An index file that is missing. A start makes the index again from there on.
    Index {
        /// The file.
        path: PathBuf,
    },
    /// Units that point behind the end of the log: it has lost its end. A start drops them.
    Behind {
        /// How many units.
        units: u64,
        /// Of how many queues.
        queues: u64,
        /// Up to where in the log they point, bytes.
        until: i64,
        /// Where the log ends, bytes.
        log_end: i64,
    },
    /// A unit that does not point at its record.
    Unit {
        /// Its topic.
        topic: String,
        /// Its queue.
        queue_id: i32,
        /// Its index in the queue.
        index: i64,
        /// Where it points.
        at: i64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::File { path, what } => write!(f, "{}: {what}", path.display()),
            Fault::Missing(missing) => write!(f, "{missing}; a start is refused"),
            Fault::Twice { first, second } => write!(
                f,
                "{} and {} are the same part of the log; a start is refused",
                first.display(),
                second.display()
            ),
            Fault::Damage(damage) => damage.fmt(f),
            Fault::Kept(damage) => write!(
                f,
                "{}: {} bytes from byte {} on are damaged ({}), and nothing follows them; the log was synced up to there with its \
                 queues, so a start does not read them: they stay, and consumers pass over their messages",
                damage.path.display(),
                damage.bytes,
                damage.file_offset,
                damage.reason
            ),
            Fault::Torn {
                path,
                file_offset,
                bytes,
                reason,
            } => write!(
                f,
                "{}: the log ends at byte {file_offset}, {bytes} bytes behind are torn ({reason}); a start cuts them off",
                path.display()
            ),
            Fault::NoUnit {
                at,
                topic,
                queue_id,
                index,
            } => {
                write!(
                    f,
                    "commitlog {at}: message {index} of queue {queue_id} of {topic} is not in its consumequeue"
                )
            }
            Fault::Queue {
                topic,
                queue_id,
                path,
                found_end,
                vouched_end,
            } => {
                write!(f, "consumequeue {topic} {queue_id}: ")?;
                if let Some(path) = path {
                    write!(f, "{} is missing; ", path.display())?;
                }
                write!(f, "units up to {found_end}")?;
                if let Some(end) = vouched_end {
                    write!(f, " of {end}")?;
                }
                write!(f, " are there; a start builds the rest again from the commitlog")
            }
            Fault::Index { path } => write!(
                f,
                "{} is missing; a start makes the index again from there on",
                path.display()
            ),
            Fault::Behind {
                units,
                queues,
                until,
                log_end,
            } => write!(
                f,
                "{units} units of {queues} consumequeues point behind the end of the commitlog at {log_end}, up to {until}: it has \
                 lost its end; a start drops them, and gives their offsets again"
            ),
            Fault::Unit {
                topic,
                queue_id,
                index,
                at,
            } => {
                write!(
                    f,
                    "consumequeue {topic} {queue_id}: unit {index} points at {at}, where its message is not"
                )
            }
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Somebody has the store open: what is said moves, and a fault may be what is just being written.
    pub is_open: bool,
    /// The last stop was clean (there is no abort file).
    pub clean: bool,
    /// Log files.
    pub log_files: usize,
    /// First byte of the log.
    pub log_start: i64,
    /// One behind the last byte of its last record.
    pub log_end: i64,
    /// Records.
    pub records: u64,
    /// Store time of the first and the last record, ms.
    pub times: Option<(i64, i64)>,
    /// Records of each topic.
    pub topics: BTreeMap<String, u64>,
    /// Queues.
    pub queues: u64,
    /// Units in them.
    pub units: u64,
    /// Records of queues that are not there: of topics that were deleted, or queues whose directory is lost where nothing tells
    /// of it. By topic and queue.
    pub without_queue: BTreeMap<(String, i32), u64>,
    /// Number of faults.
    pub faults: u64,
    /// The first of them.
    pub first_faults: Vec<Fault>,
}

impl CheckSummary {
    fn fault(&mut self, fault: Fault) {
        self.faults += 1;
        if self.first_faults.len() < FAULTS_KEPT {
            self.first_faults.push(fault);
        }
    }
}

/// Checks the store below `settings.root_dir` and shows every record to `on_record`, in the order of the log.
pub fn check<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    mut on_record: impl FnMut(&View<'_>),
) -> Result<CheckSummary, CheckError> {
    let mut settings = settings.clone().checked()?;
    let root = settings.root_dir.clone();
    let mut summary = CheckSummary {
        is_open: disk.is_locked(&root.join("lock"))?,
        clean: !disk.list(&root)?.iter().any(|entry| entry.name == "abort"),
        ..CheckSummary::default()
    };
    let strange = check_strange(disk, &root, &mut summary)?;
    let is_strange = |name: &str| strange.iter().any(|other| other == name);
    let checkpoint = match is_strange("checkpoint") {
        true => Checkpoint::default(),
        false => Checkpoint::read(disk, &root)?,
    };
    let (deletions, is_damaged) = match is_strange("deletedTopics") {
        true => (Deletions::default(), false),
        false => Deletions::load(disk, &root)?,
    };
    if is_damaged {
        let what = "it is damaged: were queues built from the commitlog, deleted topics may come back".into();
        let path = root.join("deletedTopics");
        summary.fault(Fault::File { path, what });
    }
    let Beside { known, lost, .. } = match is_strange("queueCheckpoint") {
        true => Beside::default(),
        false => QueueCheckpoint::load(disk, &root, &checkpoint)?,
    };
    if lost == Some(QueueCheckpointLoss::Damaged) {
        let what = "it is damaged: a start compares the queues with the whole commitlog".into();
        let path = QueueCheckpoint::path(&root);
        summary.fault(Fault::File { path, what });
    }
    let evidence = Evidence { known, deletions };
    let (log, lost_its_end) = open_log(disk, &mut settings, &checkpoint, &mut summary)?;
    summary.log_start = log.min();
    let queues = open_queues(disk, &settings, &log, &evidence, &mut summary)?;
    check_missing(disk, &settings, &evidence, &queues, &mut summary)?;
    let is_known = lost != Some(QueueCheckpointLoss::Damaged);
    let is_own_stop = summary.clean && evidence.known.is_some();
    let unread = unread_until(&log, &checkpoint, &queues, (is_own_stop, &summary)).filter(|_| is_known);
    check_log(
        &settings,
        (&log, unread),
        &queues,
        &evidence.deletions,
        &mut summary,
        &mut on_record,
    )?;
    check_queues(&log, &queues, &evidence.deletions, &mut summary)?;
    if lost_its_end {
        // No start cuts or drops them: it is refused.
        let follows = |fault: &Fault| matches!(fault, Fault::Torn { .. } | Fault::Behind { .. });
        let before = summary.first_faults.len();
        summary.first_faults.retain(|fault| !follows(fault));
        summary.faults -= (before - summary.first_faults.len()) as u64;
    }
    Ok(summary)
}

/// Names small files of the store in whose place something else stands.
fn check_strange<D: Disk>(
    disk: &D,
    root: &Path,
    summary: &mut CheckSummary,
) -> Result<Vec<String>, CheckError> {
    let mut strange = Vec::new();
    for entry in disk.list(root)? {
        if let Some(what) = what_is_wrong(&entry) {
            let what = format!("it {what}; a start moves it away and goes on without it");
            let path = root.join(&entry.name);
            summary.fault(Fault::File { path, what });
            strange.push(entry.name);
        }
    }
    Ok(strange)
}

/// What tells of queues besides themselves.
struct Evidence {
    known: Option<QueueCheckpoint>,
    deletions: Deletions,
}

/// Queues and index files that should be there and are not.
fn check_missing<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    evidence: &Evidence,
    queues: &Loaded<D>,
    summary: &mut CheckSummary,
) -> Result<(), CheckError> {
    let Some(known) = &evidence.known else {
        return Ok(());
    };
    for (topic, states) in &known.topics {
        for (id, state) in states {
            let counts = state_of(Some(known), &evidence.deletions, topic, *id).is_some();
            if counts && !queues.contains_key(&(topic.clone(), *id)) {
                summary.fault(Fault::Queue {
                    topic: topic.clone(),
                    queue_id: *id,
                    path: Some(settings.consumequeue_dir().join(topic).join(id.to_string())),
                    found_end: 0,
                    vouched_end: Some(state.end),
                });
            }
        }
    }
    let there: Vec<_> = disk.list(&settings.index_dir())?;
    let missing = known.missing_index(summary.log_start, |name| {
        there.iter().any(|entry| entry.name == name)
    });
    if let Some(name) = missing.filter(|_| settings.index) {
        let path = settings.index_dir().join(name);
        summary.fault(Fault::Index { path });
    }
    Ok(())
}

/// The log, and whether its end is missing.
fn open_log<D: Disk>(
    disk: &D,
    settings: &mut StoreSettings,
    checkpoint: &Checkpoint,
    summary: &mut CheckSummary,
) -> Result<(Log<D>, bool), CheckError> {
    let listing = LogListing::of(disk, settings, checkpoint, summary.clean)?;
    let missing = listing.missing(disk, settings, checkpoint)?;
    let lost_its_end = missing
        .iter()
        .any(|missing| !matches!(missing, MissingLog::Between { .. }));
    let is_told = |path: &Path| {
        let mut missing = missing.iter();
        missing.any(|missing| matches!(missing, MissingLog::Short { path: short, .. } if short == path))
    };
    for missing in &missing {
        summary.fault(Fault::Missing(missing.clone()));
    }
    if let Some((first, second)) = listing.twice {
        summary.fault(Fault::Twice { first, second });
    }
    let size = listing.file_size;
    settings.commitlog_file_size = size;
    for path in listing.ignored {
        let what = "it is no commitlog file".into();
        summary.fault(Fault::File { path, what });
    }
    for path in listing.copies {
        let what = COPY.into();
        summary.fault(Fault::File { path, what });
    }
    let mut files = Vec::new();
    for (start, path, entry) in listing.files {
        if start % size != 0 || entry.len != size as u64 {
            if is_told(&path) {
                continue;
            }
            let what = format!(
                "its name or its length {} does not fit commitlog files of {size} bytes",
                entry.len
            );
            summary.fault(Fault::File { path, what });
            continue;
        }
        let file = disk.open(&path, size as u64, Log::<D>::options(settings))?;
        files.push(Arc::new(LogFile {
            start,
            file,
            named: AtomicBool::new(true),
            modified_ms: AtomicI64::new(entry.modified_ms),
        }));
    }
    summary.log_files = files.len();
    Ok((Log::new(settings, files), lost_its_end))
}

type Loaded<D> = BTreeMap<(String, i32), Queue<<D as Disk>::File>>;

fn open_queues<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    log: &Log<D>,
    evidence: &Evidence,
    summary: &mut CheckSummary,
) -> Result<Loaded<D>, CheckError> {
    let root = settings.consumequeue_dir();
    let mut queues = BTreeMap::new();
    for topic in disk.list(&root)?.into_iter().filter(|entry| entry.is_dir) {
        for queue in disk
            .list(&root.join(&topic.name))?
            .into_iter()
            .filter(|entry| entry.is_dir)
        {
            let Ok(id) = queue.name.parse::<i32>() else {
                summary.fault(Fault::File {
                    path: root.join(&topic.name).join(&queue.name),
                    what: "it is no queue".into(),
                });
                continue;
            };
            let queue = open_queue(disk, settings, log, evidence, (&topic.name, id), summary)?;
            summary.queues += 1;
            queues.insert((topic.name.clone(), id), queue);
        }
    }
    Ok(queues)
}

fn open_queue<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    log: &Log<D>,
    evidence: &Evidence,
    (topic, id): (&str, i32),
    summary: &mut CheckSummary,
) -> Result<Queue<D::File>, CheckError> {
    let dir = settings.consumequeue_dir().join(topic).join(id.to_string());
    let entries = disk.list(&dir)?;
    let sizes: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((parse_file_name(&entry.name)?, entry.len)))
        .collect();
    let size = found_size(settings.consumequeue_file_size, UNIT, &sizes);
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = dir.join(&entry.name);
        let start =
            parse_file_name(&entry.name).filter(|start| start % size == 0 && entry.len == size as u64);
        let Some(start) = start else {
            let len = entry.len;
            let what = match is_copy(&entry.name) {
                true => COPY.into(),
                false => format!("its name or its length {len} does not fit files of {size} bytes"),
            };
            summary.fault(Fault::File { path, what });
            continue;
        };
        let file = disk.open(&path, size as u64, QueueFiles::options())?;
        files.push(Arc::new(QueueFile { start, file }));
        found.push((start, path, entry));
    }
    let end = end_of(&files, size)?;
    let known = evidence.known.as_ref();
    let state = state_of(known, &evidence.deletions, topic, id);
    let gap = gap(disk, log, &dir, &found, size, (known.is_some(), state))?;
    let found_end = match &gap {
        Some(gap) => end_of(&files[..gap.before], size)?,
        None => end,
    };
    let vouched_end = state.map(|state| state.end);
    if gap.is_some() || vouched_end.is_some_and(|vouched| vouched > found_end) {
        summary.fault(Fault::Queue {
            topic: topic.to_owned(),
            queue_id: id,
            path: gap.map(|gap| gap.path),
            found_end,
            vouched_end,
        });
    }
    let queue = Queue::loaded(topic.into(), id, size, files, end, 0);
    queue.correct_min(log.min())?;
    Ok(queue)
}

/// One behind the last unit that can be one.
fn end_of<F: MappedFile>(files: &[Arc<QueueFile<F>>], size: i64) -> Result<i64, CheckError> {
    for file in files.iter().rev() {
        let Some(all) = file.file.slice(0..size as u64)? else {
            continue;
        };
        let units = all
            .chunks_exact(UNIT as usize)
            .take_while(|bytes| Unit::decode(bytes).is_valid())
            .count();
        if units > 0 {
            return Ok(file.start / UNIT + units as i64);
        }
    }
    Ok(0)
}

/// Up to where a start takes the log as it is: what the checkpoint vouches for is not read again while the queues have its units.
fn unread_until<D: Disk>(
    log: &Log<D>,
    checkpoint: &Checkpoint,
    queues: &Loaded<D>,
    (is_own_stop, summary): (bool, &CheckSummary),
) -> Option<i64> {
    let is_read = |fault: &Fault| {
        matches!(
            fault,
            Fault::Queue { .. } | Fault::Missing(MissingLog::Short { .. })
        )
    };
    let has_units = queues.values().any(|queue| queue.end() > queue.min());
    if !has_units || summary.first_faults.iter().any(is_read) {
        return None;
    }
    let vouched = checkpoint
        .vouched
        .filter(|at| (log.min()..=log.written()).contains(at))?;
    let is_plausible = vouched == log.written() || log.may_be_vouched(vouched, is_own_stop) == Some(true);
    is_plausible.then_some(vouched)
}

fn check_log<D: Disk>(
    settings: &StoreSettings,
    (log, unread): (&Log<D>, Option<i64>),
    queues: &Loaded<D>,
    deletions: &Deletions,
    summary: &mut CheckSummary,
    on_record: &mut impl FnMut(&View<'_>),
) -> Result<(), CheckError> {
    let mut position = log.min();
    summary.log_end = position;
    loop {
        let mut walk = log.walk(position, log.written());
        let bad = loop {
            match walk.next(Check::Body)? {
                Step::Record(view) => {
                    on_record(&view);
                    note_record(&view, summary);
                    if !deletions.covers(view.topic(), view.physical_offset()) {
                        check_unit_of(&view, settings, queues, summary)?;
                    }
                }
                Step::End => break None,
                Step::Bad(reason) => break Some(reason),
            }
        };
        let Some(reason) = bad else { return Ok(()) };
        let at = walk.position;
        let not_before = summary.times.map_or(i64::MIN, |(_, last)| last);
        if let Some(next) = log.resume(at, not_before)? {
            summary.fault(Fault::Damage(log.damage(at, next, reason)));
            position = next;
            continue;
        }
        if let Some(end) = unread.filter(|end| at < *end) {
            summary.fault(Fault::Kept(log.damage(at, end, reason)));
            (position, summary.log_end) = (end, end);
            continue;
        }
        let mut bytes = 0;
        for file in log.files().iter().filter(|file| file.start + log.file_size > at) {
            let from = (at - file.start).max(0) as u64;
            bytes += written_until(file, from)? - from;
        }
        if bytes > 0 {
            let Damage {
                path, file_offset, ..
            } = log.damage(at, at, reason);
            summary.fault(Fault::Torn {
                path,
                file_offset,
                bytes,
                reason,
            });
        }
        return Ok(());
    }
}

fn note_record(view: &View<'_>, summary: &mut CheckSummary) {
    summary.records += 1;
    summary.log_end = view.physical_offset() + view.total_len() as i64;
    let time = view.store_timestamp();
    let first = summary.times.map_or(time, |(first, _)| first);
    summary.times = Some((first, time));
    match summary.topics.get_mut(view.topic()) {
        Some(count) => *count += 1,
        None => {
            summary.topics.insert(view.topic().to_string(), 1);
        }
    }
}

fn check_unit_of<F: MappedFile>(
    view: &View<'_>,
    settings: &StoreSettings,
    queues: &BTreeMap<(String, i32), Queue<F>>,
    summary: &mut CheckSummary,
) -> Result<(), CheckError> {
    if !has_unit(view) {
        return Ok(());
    }
    let (topic, queue_id, index) = (view.topic().to_string(), view.queue_id(), view.queue_offset());
    // Queues of a deleted topic are gone, its records are not.
    let Some(queue) = queues.get(&(topic.clone(), queue_id)) else {
        *summary.without_queue.entry((topic, queue_id)).or_default() += 1;
        return Ok(());
    };
    let unit = queue.unit(index)?;
    let wanted = unit_of(view, settings);
    if unit.is_none_or(|unit| (unit.physical, unit.size) != (wanted.physical, wanted.size)) {
        summary.fault(Fault::NoUnit {
            at: wanted.physical,
            topic,
            queue_id,
            index,
        });
    }
    Ok(())
}

fn check_queues<D: Disk>(
    log: &Log<D>,
    queues: &Loaded<D>,
    deletions: &Deletions,
    summary: &mut CheckSummary,
) -> Result<(), CheckError> {
    let (mut behind, mut queues_behind, mut until) = (0, 0, 0);
    for ((topic, id), queue) in queues {
        let behind_before = behind;
        for index in queue.min()..queue.end() {
            let Some(unit) = queue.unit(index)? else {
                continue;
            };
            summary.units += 1;
            if unit.is_pre_blank() || unit.physical < log.min().max(deletions.position(topic)) {
                continue;
            }
            if unit.is_valid() && unit.physical >= summary.log_end {
                behind += 1;
                until = until.max(unit.end());
                continue;
            }
            let is_its_record = log.record_at(unit.physical).is_ok_and(|record| {
                matches!(decode(&record, Check::Lengths), Ok(Entry::Record(view))
                    if record.len() as i64 == i64::from(unit.size)
                        && Queue::<D::File>::owns(topic, *id, index, &view))
            });
            if !is_its_record {
                summary.fault(Fault::Unit {
                    topic: topic.clone(),
                    queue_id: *id,
                    index,
                    at: unit.physical,
                });
            }
        }
        queues_behind += u64::from(behind > behind_before);
    }
    if behind > 0 {
        summary.fault(Fault::Behind {
            units: behind,
            queues: queues_behind,
            until,
            log_end: summary.log_end,
        });
    }
    Ok(())
}
