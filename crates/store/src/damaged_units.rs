//! Queues of which readers have met a damaged unit: the next start builds them again.
//!
//! A start does not read the units that a checkpoint vouches for: 100,000 queues have many. A page of zeros or noise among them is met by a
//! pull, which passes over messages that the log has whole. So the queue is noted in the file `damagedQueues`, with the first unit that was
//! met, and the next start takes the queue's files from that unit's on for missing, and builds them from the log.
//!
//! ```text
//! queue T 3 80
//! crc32 0f3c11aa
//! ```
//!
//! Only a unit that no message can have had is noted. Where the log's record is damaged its unit is right, and there is nothing to build.

use crate::queue::{Queue, UNIT, Unit};
use crate::sealed::{seal, unseal};
use crate::store::Store;
use disk::Disk;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Most queues that are noted: the start that builds these reads all of the log, and the next ones are met after it.
const NOTED_MAX: usize = 10_000;
/// Longest file that is read.
pub(crate) const FILE_MAX: u64 = 16 << 20;

/// First damaged units by topic and queue id.
#[derive(Debug, Default)]
pub(crate) struct DamagedUnits {
    first: Mutex<BTreeMap<(String, i32), i64>>,
    is_new: AtomicBool,
}

fn path(root: &Path) -> PathBuf {
    root.join("damagedQueues")
}

impl DamagedUnits {
    /// What the last run has noted. A file that is damaged itself says nothing: its queues are met again.
    pub(crate) fn load<D: Disk>(disk: &D, root: &Path) -> disk::Result<BTreeMap<(String, i32), i64>> {
        let content = disk.read_small(&path(root), FILE_MAX)?;
        let text = content.as_deref().and_then(unseal).unwrap_or_default();
        let noted = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("queue ")?.split(' ');
            let topic = words.next()?.to_owned();
            let (id, first) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(((topic, id), first))
        });
        Ok(noted.collect())
    }

    /// They are built again.
    pub(crate) fn forget<D: Disk>(disk: &D, root: &Path) -> disk::Result<()> {
        disk.remove_file(&path(root))
    }

    fn note(&self, topic: &str, id: i32, index: i64) {
        let mut first = self.first.lock();
        let place = (topic.to_owned(), id);
        if first.len() >= NOTED_MAX && !first.contains_key(&place) {
            return;
        }
        let known = first.entry(place).or_insert(i64::MAX);
        if index < *known {
            *known = index;
            self.is_new.store(true, Ordering::Release);
        }
    }
}

impl<D: Disk> Store<D> {
    /// Whether no message can have had this unit, which a reader has met and which leads to no record. Then it is noted.
    pub(crate) fn note_if_damaged(
        &self,
        queue: &Queue<D::File>,
        index: i64,
        unit: Unit,
    ) -> disk::Result<bool> {
        if !self.is_damaged(queue, index, unit)? {
            return Ok(false);
        }
        self.damaged_units.note(&queue.topic, queue.id, index);
        Ok(true)
    }

    fn is_damaged(&self, queue: &Queue<D::File>, index: i64, unit: Unit) -> disk::Result<bool> {
        if !unit.is_valid() || unit.physical < 0 || unit.end() > self.log.written() {
            return Ok(true);
        }
        // Units of one queue point forwards.
        let neighbour = |index| -> disk::Result<Option<Unit>> {
            let unit = queue.unit(index)?;
            Ok(unit.filter(|unit| unit.is_valid() && !unit.is_pre_blank()))
        };
        let before = neighbour(index - 1)?.is_some_and(|before| before.end() > unit.physical);
        let behind = neighbour(index + 1)?.is_some_and(|behind| behind.physical < unit.end());
        Ok(before && behind)
    }

    /// Writes what readers have met since the last call. Waits for the disk.
    ///
    /// # Errors
    /// The same again at the next call.
    pub fn save_damaged_units(&self) -> disk::Result<()> {
        if !self.damaged_units.is_new.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let mut text = String::new();
        for ((topic, id), first) in &*self.damaged_units.first.lock() {
            let _ = writeln!(text, "queue {topic} {id} {first}");
        }
        let written = self
            .disk
            .write_small(&path(&self.settings.root_dir), &seal(text), false);
        if written.is_err() {
            self.damaged_units.is_new.store(true, Ordering::Release);
        }
        written
    }
}

/// How many of the files of a queue, which start there, are before the one of unit `first`; and where that starts.
pub(crate) fn files_before(mut starts: impl Iterator<Item = i64>, size: i64, first: i64) -> (usize, i64) {
    let file = first * UNIT / size * size;
    let before = starts.by_ref().take_while(|start| *start < file).count();
    (before, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_unit_is_found() {
        let of = |first| files_before([200, 400, 600].into_iter(), 200, first);
        assert_eq!(
            (of(10), of(19), of(20), of(39)),
            ((0, 200), (0, 200), (1, 400), (2, 600))
        );
    }
}
