//! Which files the log has, how large they are, and which are missing.

use crate::checkpoint::Checkpoint;
use crate::log::{file_name, is_copy, parse_file_name};
use crate::recover::OpenError;
use crate::settings::StoreSettings;
use disk::{DirEntry, Disk};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// No log file is smaller, bytes: a shorter one is what is left of one.
const SIZE_MIN: i64 = 4096;

/// A part of the log that is not there, though something tells that it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingLog {
    /// There is no log file at all.
    #[error("there is no commitlog file in {}, but {evidence}", names(dirs))]
    All {
        /// Where log files are looked for.
        dirs: Vec<PathBuf>,
        /// What tells that there were any.
        evidence: String,
    },
    /// Files between two others are missing.
    #[error("{count} commitlog files from {first} on are missing between {} and {}", before.display(), behind.display())]
    Between {
        /// Name of the first of them.
        first: String,
        /// How many.
        count: i64,
        /// The part of the log that was in them.
        range: Range<i64>,
        /// The file before them.
        before: PathBuf,
        /// The file behind them.
        behind: PathBuf,
    },
    /// The checkpoint says that the log goes on behind the last file.
    #[error(
        "the commitlog ends with {} at {end}, but the checkpoint says that it reached {vouched}: \
         {next} and what follows is missing", last.display()
    )]
    End {
        /// The last file there is.
        last: PathBuf,
        /// Its end in the log, bytes.
        end: i64,
        /// How far the log reached, bytes.
        vouched: i64,
        /// Name of the first missing file.
        next: String,
    },
    /// The last file is shorter than the log in it was.
    #[error(
        "{} has {found} bytes, but the checkpoint says that the log in it reached byte {reached}: the file was cut short", path.display()
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// How many of its bytes the log had.
        reached: i64,
    },
}

impl MissingLog {
    pub(crate) fn is_short(&self) -> bool {
        matches!(self, MissingLog::Short { .. })
    }
}

fn names(dirs: &[PathBuf]) -> String {
    let names: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    names.join(", ")
}

/// The log files of a store, as its directories list them.
pub(crate) struct LogListing {
    /// Where each starts in the log, in that order.
    pub(crate) files: Vec<(i64, PathBuf, DirEntry)>,
    /// Bytes of each.
    pub(crate) file_size: i64,
    /// What is no log file.
    pub(crate) ignored: Vec<PathBuf>,
    /// The first two files of one name.
    pub(crate) twice: Option<(PathBuf, PathBuf)>,
    /// Copies of files that never took the place of those: a cut did not get to its end.
    pub(crate) copies: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl LogListing {
    /// Lists the directories of the log. `clean` is whether the last stop was.
    pub(crate) fn of<D: Disk>(
        disk: &D,
        settings: &StoreSettings,
        checkpoint: &Checkpoint,
        clean: bool,
    ) -> disk::Result<Self> {
        let dirs = settings.commitlog_dirs.iter();
        let dirs: Vec<_> = dirs.chain(&settings.read_only_commitlog_dirs).cloned().collect();
        let (mut files, mut ignored): (Vec<(i64, PathBuf, DirEntry)>, _) = (Vec::new(), Vec::new());
        let (mut copies, mut twice) = (Vec::new(), None);
        for dir in &dirs {
            for entry in disk.list(dir)? {
                let path = dir.join(&entry.name);
                match parse_file_name(&entry.name).filter(|_| !entry.is_dir) {
                    Some(start) => match files.iter().find(|(other, ..)| *other == start) {
                        Some((_, first, _)) => {
                            twice.get_or_insert_with(|| (first.clone(), path));
                        }
                        None => files.push((start, path, entry)),
                    },
                    _ if !entry.is_dir && is_copy(&entry.name) => copies.push(path),
                    _ => ignored.push(path),
                }
            }
        }
        files.sort_by_key(|(start, ..)| *start);
        let vouched = checkpoint.vouched.unwrap_or_default();
        let file_size = size_of(&files, settings.commitlog_file_size, clean, vouched);
        Ok(LogListing {
            files,
            file_size,
            ignored,
            twice,
            copies,
            dirs,
        })
    }

    /// One behind the last byte that the files can hold.
    pub(crate) fn end(&self) -> i64 {
        let last = self.files.last();
        last.map_or(0, |(start, ..)| start + self.file_size)
    }

    /// Nothing tells which of two files of one name is the log's.
    pub(crate) fn unambiguous(self) -> Result<Self, OpenError> {
        match self.twice {
            Some((first, second)) => Err(OpenError::Twice { first, second }),
            None => Ok(self),
        }
    }

    /// What is missing, as far as the files and the checkpoint tell.
    pub(crate) fn missing<D: Disk>(
        &self,
        disk: &D,
        settings: &StoreSettings,
        checkpoint: &Checkpoint,
    ) -> disk::Result<Vec<MissingLog>> {
        let with_bytes: Vec<_> = self.files.iter().filter(|(.., entry)| entry.len > 0).collect();
        let Some((last_start, last, last_entry)) = with_bytes.last() else {
            let evidence = evidence(disk, settings, checkpoint)?;
            let all = evidence.map(|evidence| MissingLog::All {
                dirs: self.dirs.clone(),
                evidence,
            });
            return Ok(all.into_iter().collect());
        };
        let mut missing = Vec::new();
        for pair in with_bytes.windows(2) {
            let ((start, before, _), (next, behind, _)) = (pair[0], pair[1]);
            let count = (next - start) / self.file_size - 1;
            if count > 0 {
                missing.push(MissingLog::Between {
                    first: file_name(start + self.file_size),
                    count,
                    range: start + self.file_size..*next,
                    before: before.clone(),
                    behind: behind.clone(),
                });
            }
        }
        let end = last_start + self.file_size;
        let (found, vouched) = (last_entry.len, checkpoint.vouched.unwrap_or_default());
        let reached = vouched.min(end) - last_start;
        if last_start % self.file_size == 0 && (found as i64) < reached.min(self.file_size) {
            missing.push(MissingLog::Short {
                path: last.clone(),
                found,
                reached,
            });
        }
        if vouched > end {
            missing.push(MissingLog::End {
                last: last.clone(),
                end,
                vouched,
                next: file_name(end),
            });
        }
        Ok(missing)
    }
}

/// The size of log files: what those that are there have, if they agree. The setting is for files that are made in an empty
/// log, and for the only file of one that was cut short, by a crash or by somebody. `vouched`: so far the log reached.
fn size_of(files: &[(i64, PathBuf, DirEntry)], setting: i64, clean: bool, vouched: i64) -> i64 {
    let lens: Vec<_> = files
        .iter()
        .map(|(start, _, entry)| (*start, entry.len as i64))
        .collect();
    let lens = match lens.as_slice() {
        [rest @ .., (_, 0)] => rest,
        all => all,
    };
    let [full @ .., (last_start, last_len)] = lens else {
        return setting;
    };
    let is_cut = !clean || vouched > last_start + last_len;
    let size = match full.first() {
        Some((_, len)) => *len,
        None if is_cut && *last_len < setting && last_start % setting == 0 => setting,
        None => *last_len,
    };
    let agree = is_size(size)
        && full.iter().all(|(_, len)| *len == size)
        && *last_len <= size
        && lens.iter().all(|(start, _)| start % size == 0);
    if agree { size } else { usual_size(lens, setting) }
}

fn is_size(size: i64) -> bool {
    (SIZE_MIN..=i64::from(i32::MAX)).contains(&size)
}

/// What most files that may be log files have, so that the one which does not fit is named; the setting where nothing tells.
fn usual_size(lens: &[(i64, i64)], setting: i64) -> i64 {
    let mut sizes = BTreeMap::new();
    for (start, len) in lens {
        if is_size(*len) && start % len == 0 {
            *sizes.entry(*len).or_insert(0_usize) += 1;
        }
    }
    let most = sizes.values().max().copied().unwrap_or_default();
    // Of as many the larger: a file gets shorter by accident, never longer.
    let usual = sizes.iter().rev().find(|(_, count)| **count == most);
    match sizes.get(&setting) {
        Some(count) if *count == most => setting,
        _ => usual.map_or(setting, |(size, _)| *size),
    }
}

/// What tells that there was a log; nothing in the directory of a new store.
fn evidence<D: Disk>(
    disk: &D,
    settings: &StoreSettings,
    checkpoint: &Checkpoint,
) -> disk::Result<Option<String>> {
    let vouched = checkpoint.vouched.unwrap_or(0);
    if vouched > 0 || checkpoint.physic_timestamp > 0 {
        let path = settings.root_dir.join("checkpoint");
        return Ok(Some(format!("{} says that messages were stored", path.display())));
    }
    let root = settings.consumequeue_dir();
    for topic in disk.list(&root)?.into_iter().filter(|entry| entry.is_dir) {
        let topic_dir = root.join(&topic.name);
        for queue in disk.list(&topic_dir)?.into_iter().filter(|entry| entry.is_dir) {
            let queue_dir = topic_dir.join(&queue.name);
            let files = disk.list(&queue_dir)?;
            if files
                .iter()
                .any(|file| !file.is_dir && parse_file_name(&file.name).is_some())
            {
                return Ok(Some(format!("{} has queue files", queue_dir.display())));
            }
        }
    }
    Ok(None)
}
