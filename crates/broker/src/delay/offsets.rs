//! How far each delay level has been delivered; `config/delayOffset.json`.
//!
//! The file never runs ahead of the log: a power cut that takes copies back must not leave a file which says that they were
//! delivered. So an offset is written only when the copies made up to it are durable. What was delivered and is not noted
//! there when the broker dies is delivered again.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::Disk;
use parking_lot::Mutex;
use protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};
use store::PhysicalOffset;

use crate::commitlog::Appender;
use crate::settings::Settings;
use crate::tables::{Change, ConfigFile, LoadError, Saver, load, pretty};

/// Most steps of one level that wait for the log; beyond it the last one takes the next one's place.
const STEPS_MAX: usize = 1024;

/// delayOffset.json and the answer to GET_ALL_DELAY_OFFSET: level to next offset.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Content {
    /// 5.x; 4.9 has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_version: Option<DataVersion>,
    offset_table: BTreeMap<i32, i64>,
}

/// Progress of one level.
#[derive(Debug, Default)]
struct Level {
    /// Delivered up to here.
    delivered: i64,
    /// Delivered up to here when the log was durable up to the position beside it.
    steps: VecDeque<(PhysicalOffset, i64)>,
    /// Delivered up to here, durably.
    durable: i64,
}

impl Level {
    fn settle(&mut self, flushed: PhysicalOffset) -> i64 {
        while let Some((end, offset)) = self.steps.front()
            && *end <= flushed
        {
            self.durable = *offset;
            self.steps.pop_front();
        }
        self.durable
    }
}

#[derive(Default)]
struct State {
    version: Option<DataVersion>,
    levels: BTreeMap<i32, Level>,
}

/// How far each level has been delivered.
pub struct DelayOffsets {
    state: Mutex<State>,
    saver: Saver,
    /// The file was lost, or its backup lacks the last of it, and what was delivered nobody has said since.
    is_lost: AtomicBool,
    /// How often this broker had cut its log when a master said how far it is: what was delivered then may be cut since.
    said_at_cuts: AtomicU64,
}

impl DelayOffsets {
    /// Loads the file at `path`.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let content: Content = load(disk, &path)?.content(&saver);
        let levels = content.offset_table.into_iter().map(|(level, offset)| {
            let level_state = Level {
                delivered: offset,
                durable: offset,
                ..Level::default()
            };
            (level, level_state)
        });
        Ok(Self {
            state: Mutex::new(State {
                version: content.data_version,
                levels: levels.collect(),
            }),
            saver,
            is_lost: AtomicBool::new(false),
            said_at_cuts: AtomicU64::new(0),
        })
    }

    /// The log is open, and messages are parked in it or not. Without a file, and behind what its backup says, they may be delivered
    /// already; where none are there, the file is made, so that its loss is seen.
    pub fn note_parked(&self, are_parked: bool) {
        match are_parked {
            true if self.saver.lacks_changes() => self.is_lost.store(true, Ordering::Release),
            false if self.saver.was_missing() => drop(self.saver.touch()),
            _ => {}
        }
    }

    /// Was the file lost, or is it the backup, and has nobody said since what was delivered?
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// A slave has said what it knows, or that it knows nothing.
    pub fn settle_loss(&self) {
        self.is_lost.store(false, Ordering::Release);
    }

    /// What a slave that has cut its log `cuts` times knows for a master that has lost its file: nothing where what was delivered may have
    /// been cut.
    pub fn to_give_back(&self, cuts: u64) -> BTreeMap<i32, i64> {
        if self.said_at_cuts.load(Ordering::Acquire) != cuts {
            return BTreeMap::new();
        }
        let state = self.state.lock();
        let levels = state.levels.iter().filter(|(_, level)| level.durable > 0);
        levels.map(|(number, level)| (*number, level.durable)).collect()
    }

    /// Next offset of a level.
    pub fn get(&self, level: i32) -> i64 {
        self.state
            .lock()
            .levels
            .get(&level)
            .map_or(0, |level| level.delivered)
    }

    /// A level is delivered up to `offset`; the copies are safe when the log is durable up to `end`.
    pub fn set(&self, level: i32, offset: i64, end: PhysicalOffset) {
        let mut state = self.state.lock();
        let level = state.levels.entry(level).or_default();
        level.delivered = offset;
        if level.steps.len() == STEPS_MAX {
            level.steps.pop_back();
        }
        level.steps.push_back((end, offset));
        drop(state);
        self.saver.touch_later();
    }

    /// Brings every level into the queue it points at: `bounds` gives a level's first and next offset. Says what it
    /// changed, as level, offset in the file, offset now. A file that is ahead of its queue belongs to a log that is
    /// gone; what is delayed from now on would wait until the queue had caught up.
    ///
    /// Of such a file nobody knows what was delivered. What is still to come was not: `first_to_come` gives the first such offset of a
    /// level, its queue's end if there is none.
    pub fn clamp(
        &self,
        bounds: impl Fn(i32) -> (i64, i64),
        first_to_come: impl Fn(i32) -> i64,
    ) -> Vec<(i32, i64, i64)> {
        let mut changed = Vec::new();
        for (number, level) in &mut self.state.lock().levels {
            let (min, max) = bounds(*number);
            let max = match level.delivered > max {
                true => first_to_come(*number).min(max),
                false => max,
            };
            let right = level.delivered.clamp(min, max.max(min));
            if right != level.delivered {
                changed.push((*number, level.delivered, right));
                *level = Level {
                    delivered: right,
                    durable: right,
                    ..Level::default()
                };
            }
        }
        if !changed.is_empty() {
            self.saver.touch();
        }
        changed
    }

    /// What is durable when the log is durable up to `flushed`.
    pub fn durable(&self, flushed: PhysicalOffset) -> Content {
        let mut state = self.state.lock();
        let levels = state.levels.iter_mut();
        let offset_table = levels.map(|(number, level)| (*number, level.settle(flushed)));
        Content {
            offset_table: offset_table.collect(),
            data_version: state.version,
        }
    }

    /// Takes over how far a master has delivered. This broker has cut its log `cuts` times.
    pub fn replace(&self, content: Content, cuts: u64) {
        self.said_at_cuts.store(cuts, Ordering::Release);
        let mut state = self.state.lock();
        let mut changed = false;
        for (number, offset) in content.offset_table {
            let level = state.levels.entry(number).or_default();
            if (level.delivered, level.durable) != (offset, offset) {
                *level = Level {
                    delivered: offset,
                    durable: offset,
                    ..Level::default()
                };
                changed = true;
            }
        }
        if content.data_version.is_some() {
            state.version = content.data_version;
        }
        drop(state);
        if changed {
            self.saver.touch_later();
        }
    }

    /// The last change.
    pub fn latest(&self) -> Change {
        self.saver.latest()
    }

    fn content(&self, flushed: PhysicalOffset, now_ms: i64) -> Content {
        let mut state = self.state.lock();
        state.version = state.version.map(|version| version.next(now_ms));
        let offset_table = state
            .levels
            .iter_mut()
            .map(|(number, level)| (*number, level.settle(flushed)))
            .collect();
        let is_behind = state.levels.values().any(|level| !level.steps.is_empty());
        let data_version = state.version;
        drop(state);
        if is_behind {
            // The rest goes into the file of the next period.
            self.saver.touch_later();
        }
        Content {
            data_version,
            offset_table,
        }
    }
}

/// The file, which looks at the log before it is written.
pub struct DelayOffsetFile<D: Disk> {
    /// The progress.
    pub offsets: Arc<DelayOffsets>,
    /// To the log it must not run ahead of.
    pub appender: Arc<Appender<D>>,
    /// Settings.
    pub settings: Arc<settings::Live<Settings>>,
}

impl<D: Disk> ConfigFile for DelayOffsetFile<D> {
    fn saver(&self) -> &Saver {
        &self.offsets.saver
    }

    fn text(&self, now_ms: i64) -> Vec<u8> {
        let safe = self.appender.safe_end(&self.settings.load());
        pretty(&self.offsets.content(safe, now_ms))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::path::Path;

    use disk::SimDisk;

    use super::*;

    fn offsets(content: &str) -> DelayOffsets {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/config")).unwrap();
        disk.put(Path::new("/config/delayOffset.json"), content.as_bytes());
        DelayOffsets::load(&disk, "/config/delayOffset.json".into()).unwrap()
    }

    fn written(offsets: &DelayOffsets, flushed: i64) -> Vec<(i32, i64)> {
        let content = offsets.content(PhysicalOffset(flushed), 0);
        content.offset_table.into_iter().collect()
    }

    #[test]
    fn the_file_follows_the_durable_end_of_the_log() {
        let offsets = offsets(r#"{"offsetTable":{1:5}}"#);
        offsets.set(1, 7, PhysicalOffset(100));
        offsets.set(1, 9, PhysicalOffset(200));
        offsets.set(3, 1, PhysicalOffset(150));
        assert_eq!((offsets.get(1), offsets.get(3)), (9, 1));
        assert_eq!(written(&offsets, 99), [(1, 5), (3, 0)]);
        assert!(offsets.saver.is_behind());
        assert_eq!(written(&offsets, 150), [(1, 7), (3, 1)]);
        assert_eq!(written(&offsets, 200), [(1, 9), (3, 1)]);
    }

    #[test]
    fn steps_that_wait_are_bounded_and_lose_nothing_but_time() {
        let offsets = offsets("{}");
        for step in 1..=3 * STEPS_MAX as i64 {
            offsets.set(2, step, PhysicalOffset(step));
        }
        assert_eq!(offsets.state.lock().levels[&2].steps.len(), STEPS_MAX);
        assert_eq!(written(&offsets, 10), [(2, 10)]);
        assert_eq!(
            written(&offsets, 3 * STEPS_MAX as i64),
            [(2, 3 * STEPS_MAX as i64)]
        );
    }

    #[test]
    fn a_file_is_lost_where_messages_are_parked_and_made_where_none_are() {
        let new = || DelayOffsets::load(&SimDisk::new(), "/config/delayOffset.json".into()).unwrap();
        for (are_parked, is_lost) in [(true, true), (false, false)] {
            let offsets = new();
            offsets.note_parked(are_parked);
            assert_eq!(
                (offsets.is_lost(), offsets.saver.is_behind()),
                (is_lost, !is_lost)
            );
        }
        let there = offsets(r#"{"offsetTable":{1:5,2:0}}"#);
        there.note_parked(true);
        assert!(!there.is_lost() && !there.saver.is_behind());
        assert_eq!(there.to_give_back(0), BTreeMap::from([(1, 5)]));
        assert_eq!(there.to_give_back(1), BTreeMap::new(), "the copies may be cut");
        there.replace(Content::default(), 1);
        assert_eq!(there.to_give_back(1), BTreeMap::from([(1, 5)]));
    }

    #[test]
    fn offsets_outside_their_queue_are_brought_into_it() {
        let offsets = offsets(r#"{"offsetTable":{1:500,2:3,3:1}}"#);
        let bounds = |level| if level == 3 { (4, 9) } else { (0, 20) };
        let changed = offsets.clamp(bounds, |_| 17);
        assert_eq!(changed, [(1, 500, 17), (3, 1, 4)], "three are still to come");
        assert_eq!((offsets.get(1), offsets.get(2), offsets.get(3)), (17, 3, 4));
        assert_eq!(written(&offsets, 0), [(1, 17), (2, 3), (3, 4)]);
    }
}
