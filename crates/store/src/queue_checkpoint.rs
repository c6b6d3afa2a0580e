//! What the queues were when the checkpoint vouched for them.
//!
//! The checkpoint says up to where in the log all queue units are durable. It does not say which files hold them: of a queue that
//! lost its last file, or all of them, nothing would tell that it ever had more, its offsets would be given a second time, and a
//! later building from the log would hide messages behind others. So a second file is written with the checkpoint, just before
//! it: how many units each queue has below the vouched position, and in which files they are. A start compares; to do so it
//! reads no queue file, only their names. What is missing is built again from the log ([`crate::recover`]).
//!
//! The file `queueCheckpoint` in the store root, sealed by a checksum ([`crate::sealed`]):
//!
//! ```text
//! vouched 81920 1700000000000 1700000000000
//! index 20231114221320123 80000
//! indexed 81920
//! queue 600 320 0+19,6400+19 0 TopicA
//! ```
//!
//! - `vouched`: the position and the two times of the checkpoint it belongs to. With another checkpoint, as after a run of Java's
//!   broker, it says nothing.
//! - `index`: the name of an index file, and the position of its last record when the file was saved.
//! - `indexed`: all keys of the records below are in the index. After a clean stop, a start reads the log from there on alone,
//!   however long ago the last record with a key was.
//! - `queue`: units, bytes of a file, the files as runs (start in bytes + how many follow one another), queue id, topic.
//!
//! Java's brokers leave the file alone.

use crate::checkpoint::Checkpoint;
use crate::flush::Save;
use crate::latch::Undone;
use crate::queue::Queue;
use crate::sealed::{seal, unseal};
use crate::store::Store;
use disk::{Disk, MappedFile};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Longest file that is read, bytes: some hundred thousand queues with the longest names.
pub(crate) const FILE_MAX: u64 = 256 << 20;

/// One queue, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueState {
    /// One behind the last unit below the vouched position.
    pub(crate) end: i64,
    /// Bytes of each of its files.
    pub(crate) file_size: i64,
    /// Where files start that follow one another without a gap, bytes, and how many.
    pub(crate) runs: Vec<(i64, i64)>,
}

impl QueueState {
    /// Where its files start, bytes, in order.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        let runs = self.runs.iter();
        runs.flat_map(|(start, count)| {
            (0..*count).map(|nth| start.saturating_add(nth.saturating_mul(self.file_size)))
        })
    }

    /// That of a queue whose files start at `starts`.
    pub(crate) fn of(end: i64, file_size: i64, starts: impl Iterator<Item = i64>) -> Self {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for start in starts {
            match runs.last_mut() {
                Some((first, count)) if *first + *count * file_size == start => *count += 1,
                _ => runs.push((start, 1)),
            }
        }
        QueueState { end, file_size, runs }
    }
}

/// The index, as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexState {
    /// Names of its files, and the position of the last record of each.
    pub(crate) ends: Vec<(String, i64)>,
    /// The keys of all records below are in it; 0 where that is not known.
    pub(crate) indexed: i64,
}

/// Why nothing says what the queues were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueCheckpointLoss {
    /// The file is not as it was written. What it said of the queues may not be so any more either: they are compared with the
    /// whole log.
    Damaged,
    /// There is no file, as in a store of an earlier build.
    Missing,
}

/// What counts at the end of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Also the places that were kept for damaged records.
    Places,
    /// Messages only: where the log was cut, the damaged records may be among what comes again.
    Messages,
}

/// What a start finds beside the checkpoint.
#[derive(Default)]
pub(crate) struct Beside {
    /// What belongs to it; `None` where there is no such file, or one that is of another checkpoint or damaged.
    pub(crate) known: Option<QueueCheckpoint>,
    /// What a checkpoint of ours should have beside it and has not.
    pub(crate) lost: Option<QueueCheckpointLoss>,
    /// There was one of ours, and the checkpoint is another program's.
    pub(crate) is_others: bool,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueCheckpoint {
    /// The position, and the times of the log's and of the queues' last record, ms.
    pub(crate) vouched: (i64, i64, i64),
    /// The index.
    pub(crate) index: IndexState,
    /// Queues by topic.
    pub(crate) topics: BTreeMap<String, BTreeMap<i32, QueueState>>,
}

impl QueueCheckpoint {
    pub(crate) fn path(root: &Path) -> PathBuf {
        root.join("queueCheckpoint")
    }

    /// What is there beside `checkpoint`.
    pub(crate) fn load<D: Disk>(disk: &D, root: &Path, checkpoint: &Checkpoint) -> disk::Result<Beside> {
        let content = disk.read_small(&Self::path(root), FILE_MAX)?;
        let found = content.as_deref().and_then(unseal).and_then(Self::parse);
        let lost = match &content {
            Some(_) if found.is_none() => Some(QueueCheckpointLoss::Damaged),
            None if checkpoint.vouched.is_some() => Some(QueueCheckpointLoss::Missing),
            _ => None,
        };
        let own = checkpoint
            .vouched
            .map(|vouched| (vouched, checkpoint.physic_timestamp, checkpoint.logics_timestamp));
        Ok(Beside {
            is_others: found.is_some() && own.is_none(),
            known: found.filter(|found| Some(found.vouched) == own),
            lost,
        })
    }

    pub(crate) fn queue(&self, topic: &str, id: i32) -> Option<&QueueState> {
        self.topics.get(topic)?.get(&id)
    }

    /// The first index file that is not there though the log still has records of it.
    pub(crate) fn missing_index(&self, log_min: i64, is_there: impl Fn(&str) -> bool) -> Option<&str> {
        let mut missing = self
            .index
            .ends
            .iter()
            .filter(|(name, end)| *end >= log_min && !is_there(name));
        missing.next().map(|(name, _)| name.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut found = QueueCheckpoint::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next()? {
                "vouched" => {
                    let mut number = || words.next()?.parse().ok();
                    found.vouched = (number()?, number()?, number()?);
                }
                "indexed" => found.index.indexed = words.next()?.parse().ok()?,
                "index" => found
                    .index
                    .ends
                    .push((words.next()?.to_owned(), words.next()?.parse().ok()?)),
                "queue" => {
                    let (end, file_size) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                    let runs = words.next()?.split(',').filter(|run| !run.is_empty()).map(|run| {
                        let (start, count) = run.split_once('+')?;
                        Some((start.parse().ok()?, count.parse().ok()?))
                    });
                    let runs = runs.collect::<Option<_>>()?;
                    let (id, topic) = (words.next()?.parse().ok()?, words.next()?.to_owned());
                    let state = QueueState { end, file_size, runs };
                    found.topics.entry(topic).or_default().insert(id, state);
                }
                _ => return None,
            }
        }
        Some(found)
    }

    fn text(&self) -> String {
        let (position, physic, logics) = self.vouched;
        let mut text = format!("vouched {position} {physic} {logics}\n");
        for (name, end) in &self.index.ends {
            let _ = writeln!(text, "index {name} {end}");
        }
        let _ = writeln!(text, "indexed {}", self.index.indexed);
        for (topic, queues) in &self.topics {
            for (id, state) in queues {
                let _ = write!(text, "queue {} {} ", state.end, state.file_size);
                for (nth, (start, count)) in state.runs.iter().enumerate() {
                    let comma = if nth == 0 { "" } else { "," };
                    let _ = write!(text, "{comma}{start}+{count}");
                }
                let _ = writeln!(text, " {id} {topic}");
            }
        }
        text
    }
}

impl<F: MappedFile> Queue<F> {
    /// The queue below a position of the log up to which reput is done; `None` if it has no unit there.
    fn state_below(&self, position: i64, tail: Tail) -> disk::Result<Option<QueueState>> {
        let (mut low, mut high) = (self.min(), self.end());
        if tail == Tail::Places && self.max_physical() <= position {
            low = high;
        }
        let mut has_message = false;
        while low < high {
            let middle = low + (high - low) / 2;
            // Where a file is missing in the row there is no message: what lies behind decides.
            match self.message_behind(middle, high)? {
                Some((index, unit)) if unit.physical < position => (low, has_message) = (index + 1, true),
                _ => high = middle,
            }
        }
        if low == 0 || tail == Tail::Messages && !has_message {
            return Ok(None);
        }
        Ok(Some(QueueState::of(
            low,
            self.file_size,
            self.starts_below(low).into_iter(),
        )))
    }
}

impl<D: Disk> Store<D> {
    /// Writes the file that belongs to a checkpoint which is about to be saved. The queues are durable up to its position.
    /// Not again if it says what was written last, but at a stop.
    pub(crate) fn save_queue_checkpoint(&self, vouched: (i64, i64, i64), save: Save) -> Result<(), Undone> {
        self.write_queue_checkpoint(vouched, self.index_state(), Tail::Places, save == Save::Both)
    }

    /// The same where it is known which index files count, and up to where.
    pub(crate) fn write_queue_checkpoint(
        &self,
        vouched: (i64, i64, i64),
        index: IndexState,
        tail: Tail,
        unless_same: bool,
    ) -> Result<(), Undone> {
        let mut all = QueueCheckpoint {
            vouched,
            index,
            ..QueueCheckpoint::default()
        };
        for queue in self.queues.all() {
            if queue.is_deleted() {
                continue;
            }
            let state = queue.state_below(vouched.0, tail).map_err(Undone::Waits)?;
            // Whatever became of the files of a topic that was deleted meanwhile: the note of its deletion says that they count
            // no more.
            if let Some(state) = state {
                let topic = all.topics.entry(queue.topic.to_string()).or_default();
                topic.insert(queue.id, state);
            }
        }
        let sealed = seal(all.text());
        let sum = (sealed.len(), crc32fast::hash(&sealed));
        let mut last = self.queue_checkpoint_sum.lock();
        if unless_same && *last == Some(sum) {
            return Ok(());
        }
        *last = None;
        let path = QueueCheckpoint::path(&self.settings.root_dir);
        let written = self.disk.write_small(&path, &sealed, false);
        // No message is in it: without it, a start only knows less.
        written.map_err(Undone::Waits)?;
        *last = Some(sum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimDisk;

    #[test]
    fn what_is_written_is_read_for_its_own_checkpoint() {
        let disk = SimDisk::new();
        let root = Path::new("/store");
        let state = |end, starts: &[i64]| QueueState::of(end, 320, starts.iter().copied());
        let gap = state(600, &[0, 320, 640, 6400, 6720]);
        assert_eq!(gap.runs, [(0, 3), (6400, 2)]);
        assert_eq!(gap.starts().collect::<Vec<_>>(), [0, 320, 640, 6400, 6720]);
        let all = QueueCheckpoint {
            vouched: (81920, 7, 8),
            index: IndexState {
                ends: vec![("20231114221320123".into(), 80_000)],
                indexed: 81_000,
            },
            topics: [
                ("A".into(), [(0, gap), (7, state(3, &[]))].into()),
                ("%RETRY%g".into(), [(0, state(1, &[0]))].into()),
            ]
            .into(),
        };
        let checkpoint = Checkpoint {
            physic_timestamp: 7,
            logics_timestamp: 8,
            vouched: Some(81920),
            ..Checkpoint::default()
        };
        assert_eq!(
            QueueCheckpoint::load(&disk, root, &checkpoint).unwrap().known,
            None
        );
        disk.put(&QueueCheckpoint::path(root), &seal(all.text()));
        assert_eq!(
            QueueCheckpoint::load(&disk, root, &checkpoint).unwrap().known,
            Some(all)
        );
        for other in [
            Checkpoint {
                vouched: Some(81921),
                ..checkpoint
            },
            Checkpoint {
                logics_timestamp: 9,
                ..checkpoint
            },
            Checkpoint::default(),
        ] {
            assert_eq!(QueueCheckpoint::load(&disk, root, &other).unwrap().known, None);
        }
    }

    #[test]
    fn any_text_is_read_without_harm() {
        for text in [
            "",
            "queue",
            "queue 1 20 0+x 0 A",
            "queue 1 20 0 0 A",
            "vouched 1 2",
            "index a",
            "other",
            "queue 1 20 9223372036854775807+9223372036854775807 0 A",
        ] {
            if let Some(found) = QueueCheckpoint::parse(text) {
                let starts = found.queue("A", 0).map(|queue| queue.starts().take(3).count());
                assert!(starts.is_none_or(|count| count == 3), "{text}");
            }
        }
    }
}
