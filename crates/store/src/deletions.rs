//! Which topics were deleted, and up to where in the log that counts.
//!
//! The records of a deleted topic stay in the log until they expire. A start after a kill, and every other building of queues
//! from the log, would make the topic's queues again: a topic of the same name would then serve the old messages, or go on
//! with offsets behind them. So each deletion is noted in a file before it is answered: what lies below the position has no
//! place in any queue. A note goes when the log has lost all below its position.
//!
//! A slave notes its master's deletions before its log has come there ([`crate::Store::match_deletions`]). The file has such a note up
//! to the log's durable end only, and is written again with each sync of what comes: another broker may take the store over and append
//! there.
//!
//! The file `deletedTopics` in the store root has a line for each topic, sealed by a checksum ([`crate::sealed`]):
//!
//! ```text
//! since 4096
//! 5120 TopicA
//! ```
//!
//! - `since`: from this position of the log on all deletions are known. A store whose file is missing or damaged, or that Java's broker
//!   wrote, knows those to come: it must not tell a slave that there were none. Without the line it is 0.
//!
//! Java's brokers leave the file alone, and do not follow it.

use crate::latch::Undone;
use crate::offset::PhysicalOffset;
use crate::sealed::{seal, unseal};
use crate::store::Store;
use disk::Disk;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Most notes that are kept; the oldest goes for a new one.
const NOTES_MAX: usize = 1 << 16;
/// Longest file that is read, bytes.
pub(crate) const FILE_MAX: u64 = 32 << 20;

/// No deletion is known yet, of no position.
const UNKNOWN: i64 = i64::MAX;

/// The deletions that still matter. Noting one waits for no disk.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    path: PathBuf,
    notes: RwLock<BTreeMap<String, i64>>,
    /// From where on all are known; [`UNKNOWN`] before that is said.
    since: AtomicI64,
    /// Counts the changes of `notes`.
    version: AtomicU64,
    /// The version that the file has, `None` if notes reach further than it says; held while it is written.
    saved: Mutex<Option<u64>>,
    /// Notes reach further than the file says: `saved` has none. Each sync looks, and must not wait for whoever writes the file.
    ahead: AtomicBool,
}

impl Deletions {
    /// What the file says; also whether there is one that cannot be believed.
    pub(crate) fn load<D: Disk>(disk: &D, root: &Path) -> disk::Result<(Self, bool)> {
        let path = root.join("deletedTopics");
        let content = disk.read_small(&path, FILE_MAX)?;
        let found = content.as_deref().map(|content| unseal(content).and_then(parse));
        let is_damaged = matches!(found, Some(None));
        let (since, notes) = found.flatten().unwrap_or((UNKNOWN, BTreeMap::new()));
        let deletions = Deletions {
            path,
            notes: RwLock::new(notes),
            since: AtomicI64::new(since),
            version: AtomicU64::new(u64::from(is_damaged)),
            saved: Mutex::new(Some(0)),
            ahead: AtomicBool::new(false),
        };
        Ok((deletions, is_damaged))
    }

    /// The position below which nothing of the topic counts; 0 for one that was not deleted.
    pub(crate) fn position(&self, topic: &str) -> i64 {
        self.notes.read().get(topic).copied().unwrap_or(0)
    }

    /// Whether a record of the topic at `physical` belongs to a topic of that name that was deleted since.
    pub(crate) fn covers(&self, topic: &str, physical: i64) -> bool {
        physical < self.position(topic)
    }

    /// Each with its position.
    pub(crate) fn all(&self) -> BTreeMap<String, PhysicalOffset> {
        let notes = self.notes.read();
        notes
            .iter()
            .map(|(topic, position)| (topic.clone(), PhysicalOffset(*position)))
            .collect()
    }

    /// Notes a deletion in memory; [`Deletions::save`] makes it durable. Returns the topic whose note had to go for it.
    pub(crate) fn note(&self, topic: &str, position: i64) -> Option<String> {
        let mut notes = self.notes.write();
        notes.insert(topic.to_owned(), position);
        self.version.fetch_add(1, Ordering::AcqRel);
        if notes.len() <= NOTES_MAX {
            return None;
        }
        let oldest = notes.iter().min_by_key(|(_, position)| **position)?.0.clone();
        notes.remove(&oldest);
        Some(oldest)
    }

    /// Takes out the note of a deletion that does not count any more.
    pub(crate) fn forget(&self, topic: &str) {
        if self.notes.write().remove(topic).is_some() {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Takes out those behind a position; gives their topics.
    pub(crate) fn forget_behind(&self, end: i64) -> Vec<String> {
        let mut notes = self.notes.write();
        let behind = notes.iter().filter(|(_, position)| **position > end);
        let topics: Vec<String> = behind.map(|(topic, _)| topic.clone()).collect();
        notes.retain(|_, position| *position <= end);
        if !topics.is_empty() {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        topics
    }

    /// From which position of the log on all deletions are known.
    pub(crate) fn since(&self) -> i64 {
        self.since.load(Ordering::Acquire)
    }

    /// They are known from this position on, at the latest.
    pub(crate) fn know_from(&self, position: i64) {
        if self.since.fetch_min(position, Ordering::AcqRel) > position {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Another knows them from this position on, and has told them; `is_new`: here nothing is known of the log, which is the other's.
    pub(crate) fn match_since(&self, position: i64, is_new: bool) {
        match is_new {
            true if self.since.swap(position, Ordering::AcqRel) != position => {
                self.version.fetch_add(1, Ordering::AcqRel);
            }
            true => {}
            false => self.know_from(position),
        }
    }

    /// Takes out what the log has lost, and brings the rest below its end: after a power cut other records may come to lie where
    /// those of a deleted topic were.
    pub(crate) fn follow(&self, log_min: i64, log_end: i64) {
        let mut notes = self.notes.write();
        let before = notes.len();
        let mut changed = false;
        for position in notes.values_mut().filter(|position| **position > log_end) {
            *position = log_end;
            changed = true;
        }
        notes.retain(|_, position| *position > log_min);
        if changed || notes.len() != before {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Does the file have a note only as far as the log was durable, not to its own position?
    pub(crate) fn are_ahead(&self) -> bool {
        self.ahead.load(Ordering::Acquire)
    }

    /// Writes the file if it is not as it should be. The log is durable up to `durable`.
    pub(crate) fn save<D: Disk>(&self, disk: &D, durable: i64) -> disk::Result<()> {
        let mut saved = self.saved.lock();
        // Before the notes are looked at: what comes meanwhile is the next one's.
        let version = self.version.load(Ordering::Acquire);
        if *saved == Some(version) {
            return Ok(());
        }
        let (mut text, mut is_whole) = (format!("since {}\n", self.since()), true);
        for (topic, position) in &*self.notes.read() {
            is_whole &= *position <= durable;
            let _ = writeln!(text, "{} {topic}", durable.min(*position));
        }
        disk.write_small(&self.path, &seal(text), false)?;
        *saved = is_whole.then_some(version);
        self.ahead.store(!is_whole, Ordering::Release);
        Ok(())
    }
}

/// From where on all are known, and the notes.
fn parse(text: &str) -> Option<(i64, BTreeMap<String, i64>)> {
    let (since, notes) = match text.strip_prefix("since ") {
        Some(text) => {
            let (since, notes) = text.split_once('\n')?;
            (since.parse().ok()?, notes)
        }
        None => (0, text),
    };
    let note = |line: &str| {
        let (position, topic) = line.split_once(' ')?;
        Some((topic.to_owned(), position.parse().ok()?))
    };
    Some((since, notes.lines().map(note).collect::<Option<_>>()?))
}

impl<D: Disk> Store<D> {
    /// Takes out the notes of deletions that the log has left behind.
    pub(crate) fn follow_deletions(&self) -> Result<(), Undone> {
        self.deletions.follow(self.log.min(), i64::MAX);
        // No message is in this file: whatever goes wrong with it, the next run does it.
        self.save_deletions().map_err(Undone::Waits)
    }

    pub(crate) fn save_deletions(&self) -> disk::Result<()> {
        self.deletions.save(&self.disk, self.flushed().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimDisk;

    fn load(disk: &SimDisk) -> Deletions {
        let (deletions, is_damaged) = Deletions::load(disk, Path::new("/store")).unwrap();
        assert!(!is_damaged);
        deletions
    }

    #[test]
    fn a_note_counts_until_the_log_has_passed_it() {
        let disk = SimDisk::new();
        let deletions = load(&disk);
        deletions.note("A", 100);
        deletions.note("%RETRY%g", 200);
        deletions.save(&disk, i64::MAX).unwrap();
        let deletions = load(&disk);
        assert!(deletions.covers("A", 99) && !deletions.covers("A", 100) && !deletions.covers("B", 0));
        deletions.follow(99, 150);
        assert_eq!(
            (deletions.position("A"), deletions.position("%RETRY%g")),
            (100, 150)
        );
        deletions.follow(100, 150);
        deletions.save(&disk, i64::MAX).unwrap();
        let deletions = load(&disk);
        assert_eq!(
            (deletions.position("A"), deletions.position("%RETRY%g")),
            (0, 150)
        );
        let before = disk.operations();
        deletions.follow(100, 150);
        deletions.save(&disk, i64::MAX).unwrap();
        assert_eq!(disk.operations(), before, "nothing changed");
        deletions.follow(150, 150);
        deletions.save(&disk, i64::MAX).unwrap();
        assert!(load(&disk).all().is_empty());
    }

    #[test]
    fn what_is_known_is_known_from_a_position_on() {
        let disk = SimDisk::new();
        let deletions = load(&disk);
        assert_eq!(deletions.since(), UNKNOWN);
        for (position, since) in [(500, 500), (700, 500), (300, 300)] {
            deletions.know_from(position);
            deletions.save(&disk, i64::MAX).unwrap();
            assert_eq!(load(&disk).since(), since);
        }
        deletions.note("since", 900);
        deletions.save(&disk, i64::MAX).unwrap();
        assert_eq!((load(&disk).since(), load(&disk).position("since")), (300, 900));
        // Of a build that knew all.
        disk.put(Path::new("/store/deletedTopics"), &seal("100 A\n".to_owned()));
        assert_eq!((load(&disk).since(), load(&disk).position("A")), (0, 100));
    }

    #[test]
    fn a_note_ahead_of_the_log_is_written_as_far_as_that_is_durable() {
        let disk = SimDisk::new();
        let deletions = load(&disk);
        deletions.note("A", 100);
        for (durable, written) in [(40, 40), (70, 70), (100, 100)] {
            deletions.save(&disk, durable).unwrap();
            assert_eq!(deletions.position("A"), 100);
            assert_eq!(load(&disk).position("A"), written);
        }
        let before = disk.operations();
        deletions.save(&disk, 110).unwrap();
        assert_eq!(disk.operations(), before, "nothing changed");
        deletions.forget("A");
        deletions.save(&disk, 110).unwrap();
        assert!(load(&disk).all().is_empty());
    }

    #[test]
    fn notes_are_bounded_and_the_oldest_goes() {
        let deletions = Deletions::default();
        for number in 0..NOTES_MAX as i64 {
            assert_eq!(
                deletions.note(&format!("T{number}"), 10 + (number + 7) % NOTES_MAX as i64),
                None
            );
        }
        let oldest = format!("T{}", NOTES_MAX - 7);
        assert_eq!(deletions.position(&oldest), 10);
        assert_eq!(deletions.note("new", 9999), Some(oldest));
        assert_eq!(deletions.notes.read().len(), NOTES_MAX);
        // A name that is there already takes no room.
        assert_eq!(deletions.note("new", 10_000), None);
    }

    #[test]
    fn a_damaged_file_is_told_and_replaced() {
        let disk = SimDisk::new();
        let path = Path::new("/store/deletedTopics");
        disk.put(path, b"100 A\ncrc32 00000000\n");
        let (deletions, is_damaged) = Deletions::load(&disk, Path::new("/store")).unwrap();
        assert!(is_damaged);
        assert_eq!(deletions.position("A"), 0);
        deletions.know_from(200);
        deletions.save(&disk, i64::MAX).unwrap();
        assert_eq!(load(&disk).since(), 200);
    }
}
