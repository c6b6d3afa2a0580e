//! Queues that are not what the checkpoint vouched for: which, and from where in the log they are built again.
//!
//! Only names and lengths of files are looked at, and the first units of a file that recovery reads anyway. Where a queue lost
//! its files from some place on, the files before it are kept and the rest is built from the log, which is read once more from
//! the first record that lacks a unit. Files behind the place go: a queue grows at its end alone, and the log has all that they
//! say of messages which are still there.
//!
//! Of a store that Java's broker left nothing vouches for the number of units. What its files show by themselves is seen: a gap
//! in their row, a directory without any, a first file that is not the first though nothing of the log has expired.

use super::{OpenError, Recovery, TOLD_MAX};
use crate::deletions::Deletions;
use crate::log::{Log, file_name};
use crate::queue::{QueueFiles, UNIT, Unit};
use crate::queue_checkpoint::{QueueCheckpoint, QueueState};
use disk::{DirEntry, Disk, MappedFile};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// A queue that had more units than were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingUnits {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub queue_id: i32,
    /// The end that the checkpoint vouched for; `None` where nothing tells.
    pub vouched_end: Option<i64>,
    /// One behind the last unit of those before the first that is missing.
    pub found_end: i64,
    /// The first file or directory that is not there, if that is what is wrong.
    pub path: Option<PathBuf>,
    /// It is there, and damaged.
    pub is_damaged: bool,
    /// Units were built again from this position of the log on, or from one before it.
    pub from: i64,
    /// Places that could not be filled: the log no longer has their messages. They are given to no others.
    pub lost: i64,
}

impl fmt::Display for MissingUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, id, from, found) = (&self.topic, self.queue_id, self.from, self.found_end);
        write!(f, "consumequeue {topic} {id}: ")?;
        if let Some(path) = &self.path {
            let what = if self.is_damaged { "damaged" } else { "missing" };
            write!(f, "{} is {what}; ", path.display())?;
        }
        match self.vouched_end {
            Some(end) => write!(f, "units up to {found} of {end} were there")?,
            None => write!(f, "units up to {found} were there")?,
        }
        write!(f, ", the rest was built again from the commitlog, from {from} on")?;
        if self.lost > 0 {
            write!(f, "; the commitlog has no message for {} of them", self.lost)?;
        }
        Ok(())
    }
}

/// All queues that had more units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingReport {
    /// How many queues.
    pub queues: u64,
    /// The first of them, at most 20.
    pub first: Vec<MissingUnits>,
}

impl MissingReport {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        let more = self.queues - self.first.len() as u64;
        if more > 0 {
            lines.push(format!(
                "{more} more consumequeues lacked units; they were built again from the commitlog"
            ));
        }
        lines
    }
}

/// What the checkpoint's file says of a queue, where that counts.
pub(crate) fn state_of<'a>(
    known: Option<&'a QueueCheckpoint>,
    deletions: &Deletions,
    topic: &str,
    id: i32,
) -> Option<&'a QueueState> {
    let known = known?;
    let deleted = deletions.position(topic);
    // One that was deleted since.
    let counts = deleted == 0 || deleted < known.vouched.0;
    known.queue(topic, id).filter(|_| counts)
}

/// Where the row of a queue's files is broken.
pub(crate) struct Gap {
    /// How many files are before it.
    pub(crate) before: usize,
    /// What is missing.
    pub(crate) path: PathBuf,
}

/// Finds the first gap among files of `size` bytes, which are in order. `known` is what the checkpoint's file says: of all queues,
/// if it counts, and of this one.
pub(crate) fn gap<D: Disk>(
    disk: &D,
    log: &Log<D>,
    dir: &Path,
    files: &[(i64, PathBuf, DirEntry)],
    size: i64,
    known: (bool, Option<&QueueState>),
) -> disk::Result<Option<Gap>> {
    let starts: Vec<i64> = files
        .iter()
        .filter(|(.., entry)| entry.len > 0)
        .map(|(start, ..)| *start)
        .collect();
    let at = |start: i64| {
        Some(Gap {
            before: files.partition_point(|(other, ..)| *other < start),
            path: dir.join(file_name(start)),
        })
    };
    match known {
        (true, None) => Ok(None),
        (true, Some(state)) => {
            let missing = state.starts().find(|start| starts.binary_search(start).is_err());
            let (Some(missing), Some(first)) = (missing, starts.first()) else {
                return Ok(missing.and_then(at));
            };
            if missing > *first || !is_expired_before(disk, log, files, size)? {
                return Ok(at(missing));
            }
            let mut behind = state.starts().filter(|start| start > first);
            Ok(behind
                .find(|start| starts.binary_search(start).is_err())
                .and_then(at))
        }
        (false, _) => {
            let Some(first) = starts.first() else {
                let path = dir.to_path_buf();
                return Ok((!log.files().is_empty()).then_some(Gap { before: 0, path }));
            };
            if *first > 0 && log.min() == 0 {
                return Ok(at(0));
            }
            let broken = starts.windows(2).find(|pair| pair[1] - pair[0] != size);
            Ok(broken.and_then(|pair| at(pair[0] + size)))
        }
    }
}

/// Whether all messages before the first of the files have left the log, so that retention may have taken what was before.
fn is_expired_before<D: Disk>(
    disk: &D,
    log: &Log<D>,
    files: &[(i64, PathBuf, DirEntry)],
    size: i64,
) -> disk::Result<bool> {
    let Some((_, path, _)) = files.iter().find(|(.., entry)| entry.len == size as u64) else {
        return Ok(false);
    };
    let mut first = [0; UNIT as usize];
    disk.open(path, size as u64, QueueFiles::options())?
        .read(0, &mut first)?;
    let first = Unit::decode(&first);
    Ok(first.is_valid() && !first.is_pre_blank() && first.physical <= log.min())
}

impl<D: Disk> Recovery<'_, D> {
    /// Queues that the checkpoint's file knows and nobody has loaded.
    pub(super) fn missing_queues(&self, known: &QueueCheckpoint, log_min: i64) -> Vec<MissingUnits> {
        let mut missing = Vec::new();
        for (topic, queues) in &known.topics {
            for (id, state) in queues {
                let counts = state_of(Some(known), self.deletions, topic, *id).is_some();
                if counts && self.queues.get(topic, *id).is_none() {
                    missing.push(MissingUnits {
                        topic: topic.clone(),
                        queue_id: *id,
                        vouched_end: Some(state.end),
                        found_end: 0,
                        path: Some(self.queue_files.queue_dir(topic, *id)),
                        is_damaged: false,
                        from: log_min,
                        lost: 0,
                    });
                }
            }
        }
        missing
    }

    /// After the log was read: places that were vouched for and got no unit are given to no other message, unless the log itself
    /// lost its end.
    pub(super) fn settle_missing(
        &mut self,
        known: Option<&QueueCheckpoint>,
        mut missing: Vec<MissingUnits>,
    ) -> Result<(), OpenError> {
        let log_is_whole = known.is_some_and(|known| self.report.log_end >= known.vouched.0);
        if let Some(known) = known.filter(|_| log_is_whole) {
            for (topic, queues) in &known.topics {
                for (id, state) in queues {
                    let counts = state_of(Some(known), self.deletions, topic, *id).is_some();
                    let end = self.queues.get(topic, *id).map_or(0, |queue| queue.end());
                    if !counts || end >= state.end {
                        continue;
                    }
                    self.keep_places(topic, *id, state.end)?;
                    let told = missing
                        .iter_mut()
                        .find(|missing| (&missing.topic, missing.queue_id) == (topic, *id));
                    if let Some(told) = told.filter(|_| self.report.units_wait_from.is_none()) {
                        told.lost = state.end - end.max(told.found_end);
                    }
                }
            }
        }
        if known.is_some() && !log_is_whole {
            // What the log has lost is another matter, and told elsewhere.
            missing.retain(|missing| missing.path.is_some());
        }
        missing.sort_by(|a, b| (&a.topic, a.queue_id).cmp(&(&b.topic, b.queue_id)));
        self.report.missing_units.queues = missing.len() as u64;
        missing.truncate(TOLD_MAX);
        self.report.missing_units.first = missing;
        Ok(())
    }

    /// Leaves the places of a queue below `end` to nobody. On a full disk that holds for this run only, unless a message comes.
    pub(super) fn keep_places(&self, topic: &str, id: i32, end: i64) -> Result<(), OpenError> {
        let queue = self.queues.get_or_new(topic, id);
        // Those that wait for space come first.
        if self.report.units_wait_from.is_none() {
            match queue.keep_places(self.disk, self.queue_files, end) {
                Err(error) if error.is_full() => {}
                kept => kept?,
            }
        }
        queue.next.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }
}
