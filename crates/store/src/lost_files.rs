//! Files of the log that somebody has removed, moved or replaced while the store is open.
//!
//! The store has them open, so that nothing of them is lost yet: what is acknowledged meanwhile would be, as no start finds it. A file is
//! written anew under its name. Where it is one that is still written, nothing is appended any more before: the new file has all that
//! was acknowledged, and the next start goes on with it. The oldest files, up to one that is there, go as if they had expired: whoever
//! removes them wants their space.

use crate::log::LogFile;
use crate::store::Store;
use disk::{Disk, MapOptions, MappedFile, Operation, Writes};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are copied at once.
const STEP: u64 = 1 << 20;

/// A file of the log that is not at its path any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLogFile {
    /// Where it was.
    pub path: PathBuf,
    /// Appends went into it or were about to: they are off now.
    pub is_written: bool,
    /// What became of it.
    pub fate: Fate,
}

/// What becomes of a file that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is done: it is one of the oldest.
    Expires,
    /// All of it is in a new file of its name.
    Saved,
    /// It could not be written again.
    NotSaved(String),
}

impl fmt::Display for LostLogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was removed, moved or replaced while the broker runs: ",
            self.path.display()
        )?;
        if self.is_written {
            f.write_str("no more messages are taken until a restart, for they would be lost; ")?;
        }
        match &self.fate {
            Fate::Expires => f.write_str(
                "it is of the oldest of the log, and its messages are there until the broker stops, as if they had expired then",
            ),
            Fate::Saved => f.write_str("what it has is written to a new file of its name"),
            Fate::NotSaved(why) => write!(
                f,
                "what it has could not be written to a new file of its name ({why}), and is lost when the broker stops; until then it is \
                 among the files that the process has open (/proc/PID/fd)"
            ),
        }
    }
}

/// Files that were not at their paths when that was looked at last, by where they start; and whether that is told.
pub(crate) type SeenLost = BTreeMap<i64, bool>;

impl<D: Disk> Store<D> {
    /// Looks whether all files of the log are at their paths; gives those that are not, each once, and saves what can be. Waits for the
    /// disk. A file counts as lost at the second look: retention takes one from the disk before it is out of the log.
    pub fn look_after_log_files(&self) -> Vec<LostLogFile> {
        if self.log.drop_lost_spare() {
            tracing::warn!(
                "the log file that was made ahead was removed or moved while the broker runs: another one is made"
            );
        }
        let files = self.log.files();
        let lost: Vec<_> = files.iter().filter(|file| !file.file.is_at_path()).collect();
        let mut seen = self.seen_lost.lock();
        seen.retain(|start, _| lost.iter().any(|file| file.start == *start));
        let mut new = Vec::new();
        for file in lost {
            match seen.get_mut(&file.start) {
                None => drop(seen.insert(file.start, false)),
                Some(is_told) if !*is_told => {
                    *is_told = true;
                    new.push(Arc::clone(file));
                }
                Some(_) => {}
            }
        }
        let oldest = files.iter().find(|file| !seen.contains_key(&file.start));
        let oldest = oldest.map_or(i64::MIN, |file| file.start);
        let end = self.log.written();
        new.iter()
            .map(|file| self.settle_lost(file, file.start < oldest, end))
            .collect()
    }

    fn settle_lost(&self, file: &LogFile<D::File>, is_oldest: bool, end: i64) -> LostLogFile {
        let path = file.file.path().to_path_buf();
        let is_written = end < file.start + self.log.file_size;
        if is_written {
            let why = io::Error::new(
                ErrorKind::NotFound,
                "it was removed, moved or replaced while the broker runs",
            );
            self.latch.set(&disk::Error::new(Operation::Write, &path, why));
            // Whoever has come past the latch is done, and nobody comes after.
            drop(self.writer.lock());
        }
        let fate = match is_oldest && !is_written {
            true => Fate::Expires,
            false => match self.write_anew(file) {
                Ok(()) => Fate::Saved,
                Err(error) => Fate::NotSaved(error.to_string()),
            },
        };
        LostLogFile {
            path,
            is_written,
            fate,
        }
    }

    /// Writes what an open file has to a new one of its name.
    fn write_anew(&self, file: &LogFile<D::File>) -> disk::Result<()> {
        let path = file.file.path();
        let parent = path.parent().unwrap_or(Path::new("."));
        let is_it = |name: &str| path.file_name().is_some_and(|own| own == name);
        if self.disk.list(parent)?.iter().any(|entry| is_it(&entry.name)) {
            let there = io::Error::new(ErrorKind::AlreadyExists, "another file lies there");
            return Err(disk::Error::new(Operation::Create, path, there));
        }
        let mut copy = path.as_os_str().to_os_string();
        copy.push(".saved");
        let copy = PathBuf::from(copy);
        let copied = self.copy_to(file, &copy).and_then(|()| {
            self.disk.rename(&copy, path)?;
            self.disk.sync_dir(parent)
        });
        if copied.is_err() {
            // What is left of it is in nobody's way.
            let _left = self.disk.remove_file(&copy);
        }
        copied
    }

    fn copy_to(&self, file: &LogFile<D::File>, copy: &Path) -> disk::Result<()> {
        self.disk.remove_file(copy)?;
        let options = MapOptions {
            reserve_step_bytes: STEP,
            pinned: true,
            writes: Writes::Calls,
        };
        let new = self.disk.create(copy, file.file.len(), options)?;
        let published = file.file.published();
        let mut at = 0;
        while let Some(data) = file.file.next_data(at)?.filter(|data| *data < published) {
            at = published.min(data + STEP);
            if let Some(part) = file.file.slice(data..at)? {
                crate::damage::fetch(file, &part)?;
                new.write(data, &part)?;
            }
        }
        new.sync(0..new.len())?;
        new.forget();
        Ok(())
    }
}
