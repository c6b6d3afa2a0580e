//! Consumer offsets; `config/consumerOffset.json`.
//!
//! Rules: RocketMQ 4.9.8, ConsumerOffsetManager. The value is the next offset to consume; a lower one than stored is
//! accepted. The file is written each `flushConsumerOffsetInterval` and at stop.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use disk::Disk;
use parking_lot::RwLock;
use protocol::body::broker::ConsumerOffsetTable;

use crate::persist::{self, Saver};

/// Separates topic and group in the file's keys.
const SEPARATOR: char = '@';
/// Most topic-and-group pairs kept, and most queues in each: requests cannot grow the table without end.
const PAIRS_MAX: usize = 2_000_000;
const QUEUES_MAX: usize = 65_536;

/// Why an offset is not stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker keeps offsets of at most {PAIRS_MAX} pairs of topic and group, {QUEUES_MAX} queues each")]
pub struct Full;

type ByQueue = BTreeMap<i32, i64>;

/// Group to topic to queue to offset: looked up without making a key.
#[derive(Default)]
struct State {
    groups: HashMap<String, HashMap<String, ByQueue>>,
    pairs: usize,
}

/// The table.
pub struct OffsetTable {
    state: RwLock<State>,
    saver: Saver,
}

impl OffsetTable {
    /// Loads the file at `path`.
    pub fn load<D: Disk>(disk: &D, path: PathBuf) -> disk::Result<Self> {
        let file: ConsumerOffsetTable = persist::load(disk, &path)?.unwrap_or_default();
        let mut state = State::default();
        for (key, queues) in file.offset_table {
            match key.split_once(SEPARATOR) {
                Some((topic, group)) => {
                    state.pairs += 1;
                    state
                        .groups
                        .entry(group.to_owned())
                        .or_default()
                        .insert(topic.to_owned(), queues);
                }
                None => tracing::warn!("{}: key {key:?} is no topic@group, left out", path.display()),
            }
        }
        Ok(Self {
            state: RwLock::new(state),
            saver: Saver::new(path),
        })
    }

    /// The stored offset.
    pub fn get(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.state
            .read()
            .groups
            .get(group)?
            .get(topic)?
            .get(&queue_id)
            .copied()
    }

    /// Stores an offset.
    pub fn commit(&self, group: &str, topic: &str, queue_id: i32, offset: i64) -> Result<(), Full> {
        let mut state = self.state.write();
        let State { groups, pairs } = &mut *state;
        let known = groups.get_mut(group).and_then(|topics| topics.get_mut(topic));
        match known {
            Some(queues) => {
                let full = queues.len() >= QUEUES_MAX;
                match queues.get_mut(&queue_id) {
                    Some(stored) if *stored == offset => return Ok(()),
                    Some(stored) => *stored = offset,
                    None if full => return Err(Full),
                    None => drop(queues.insert(queue_id, offset)),
                }
            }
            None if *pairs >= PAIRS_MAX => return Err(Full),
            None => {
                *pairs += 1;
                let queues = BTreeMap::from([(queue_id, offset)]);
                groups
                    .entry(group.to_owned())
                    .or_default()
                    .insert(topic.to_owned(), queues);
            }
        }
        drop(state);
        self.saver.touch_later();
        Ok(())
    }

    /// Topics the group has offsets for.
    pub fn topics_of(&self, group: &str) -> Vec<String> {
        self.state
            .read()
            .groups
            .get(group)
            .map(|t| t.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Groups that have offsets for the topic.
    pub fn groups_of(&self, topic: &str) -> Vec<String> {
        let state = self.state.read();
        state
            .groups
            .iter()
            .filter(|(_, topics)| topics.contains_key(topic))
            .map(|(g, _)| g.clone())
            .collect()
    }

    /// Forgets all offsets of a group.
    pub fn remove_group(&self, group: &str) {
        let mut state = self.state.write();
        if let Some(topics) = state.groups.remove(group) {
            state.pairs -= topics.len();
            self.saver.touch_later();
        }
    }

    /// Forgets all offsets of a topic.
    pub fn remove_topic(&self, topic: &str) {
        let mut state = self.state.write();
        let mut removed = 0;
        for topics in state.groups.values_mut() {
            removed += usize::from(topics.remove(topic).is_some());
        }
        state.pairs -= removed;
        if removed > 0 {
            self.saver.touch_later();
        }
    }

    /// The file's content.
    pub fn file(&self) -> ConsumerOffsetTable {
        let state = self.state.read();
        let mut offset_table = BTreeMap::new();
        for (group, topics) in &state.groups {
            for (topic, queues) in topics {
                offset_table.insert(format!("{topic}{SEPARATOR}{group}"), queues.clone());
            }
        }
        ConsumerOffsetTable { offset_table }
    }

    /// Who writes the file.
    pub fn saver(&self) -> &Saver {
        &self.saver
    }
}
