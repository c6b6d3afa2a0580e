//! Consumer offsets; `config/consumerOffset.json`, or `config/lmqConsumerOffset.json` with `enableLmq`.
//!
//! Rules: RocketMQ 4.9.8, ConsumerOffsetManager and LmqConsumerOffsetManager. A group of light queues (its name starts with
//! `%LMQ%`) has one offset a topic, whatever queue it names. The value is the next offset to consume; a lower one than stored is
//! accepted. The file is written each `flushConsumerOffsetInterval` and at stop.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Disk;
use parking_lot::RwLock;
use protocol::body::broker::ConsumerOffsetTable;
use protocol::body::topic::DataVersion;

use super::commits::CommitsForMaster;
use super::config_file::{self, LoadError};
use super::saver::{Change, ConfigFile, Saver};

/// Separates topic and group in the file's keys.
pub(super) const SEPARATOR: char = '@';
/// How names of light queues and of their groups start.
const LMQ_PREFIX: &str = "%LMQ%";
/// Most topic-and-group pairs kept, and most queues in each: requests cannot grow the table without end.
const PAIRS_MAX: usize = 2_000_000;
const QUEUES_MAX: usize = 65_536;
/// Most queues that are set and wait for their next pull.
const RESETS_MAX: usize = 100_000;

/// Why an offset is not stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker keeps offsets of at most {PAIRS_MAX} pairs of topic and group, {QUEUES_MAX} queues each")]
pub struct Full;

type ByQueue = BTreeMap<i32, i64>;

/// Group, topic and queue of an offset.
pub type OffsetKey = (String, String, i32);

/// Group to topic to queue to offset: looked up without making a key.
#[derive(Default)]
struct State {
    groups: HashMap<String, HashMap<String, ByQueue>>,
    pairs: usize,
    /// Kept for 5.x; 4.9 has none.
    version: Option<DataVersion>,
}

/// The table.
pub struct OffsetTable {
    state: RwLock<State>,
    /// Group, topic and queue to where an operator has set them, while no pull has taken that.
    resets: RwLock<HashMap<OffsetKey, i64>>,
    /// Queues that were set back since a start that had only the file's backup: what a slave has is not further for these.
    set_back: RwLock<HashSet<OffsetKey>>,
    /// What consumers have committed at this broker, if it is a slave.
    for_master: Option<Arc<CommitsForMaster>>,
    /// Whether there are any: nearly always there is none.
    any_reset: AtomicBool,
    /// `enableLmq`.
    lmq: bool,
    saver: Saver,
}

/// Name of the file that the offsets are in; with `enableLmq` it is another one, which has all of them.
fn file_name(lmq: bool) -> &'static str {
    if lmq {
        "lmqConsumerOffset.json"
    } else {
        "consumerOffset.json"
    }
}

/// What the files in `config_dir` hold: the file of the setting, or where `enableLmq` is switched for the first time, and
/// there is no such file yet, the other one. (Unlike Java, where every group then begins anew.) Which of two is newer is
/// not asked: a copy of the folder gives both new times.
fn stored<D: Disk>(
    disk: &D,
    config_dir: &Path,
    lmq: bool,
    saver: &Saver,
) -> Result<ConsumerOffsetTable, LoadError> {
    let entries = disk.list(config_dir)?;
    let is_there = |lmq| {
        let name = file_name(lmq);
        let is_it = |found: &str| matches!(found.strip_prefix(name), Some("" | ".bak"));
        entries.iter().any(|entry| is_it(&entry.name))
    };
    if is_there(lmq) || !is_there(!lmq) {
        return Ok(config_file::load(disk, saver.path())?.content(saver));
    }
    let other = config_dir.join(file_name(!lmq));
    tracing::warn!(
        "consumer offsets are taken from {}: there is no {} yet",
        other.display(),
        saver.path().display()
    );
    let file = config_file::load(disk, &other)?.content(saver);
    saver.touch();
    Ok(file)
}

/// All offsets by topic@group, those of light queues as well.
pub(crate) fn by_pair(file: ConsumerOffsetTable) -> impl Iterator<Item = (String, ByQueue)> {
    let light = file.lmq_offset_table.unwrap_or_default();
    let light = light
        .into_iter()
        .map(|(key, offset)| (key, BTreeMap::from([(0, offset)])));
    file.offset_table.into_iter().chain(light)
}

impl OffsetTable {
    /// Loads what is in `config_dir`; `lmq` is `enableLmq`.
    pub fn load<D: Disk>(disk: &D, config_dir: &Path, lmq: bool) -> Result<Self, LoadError> {
        let saver = Saver::new(config_dir.join(file_name(lmq)));
        let file = stored(disk, config_dir, lmq, &saver)?;
        let mut state = State {
            version: file.data_version,
            ..State::default()
        };
        for (key, queues) in by_pair(file) {
            match key.split_once(SEPARATOR) {
                Some((topic, group)) => {
                    let topics = state.groups.entry(group.to_owned()).or_default();
                    let added = topics.insert(topic.to_owned(), queues).is_none();
                    state.pairs += usize::from(added);
                }
                None => {
                    let path = saver.path().display();
                    tracing::warn!("{path}: key {key:?} is no topic@group, left out");
                }
            }
        }
        Ok(Self {
            state: RwLock::new(state),
            resets: RwLock::default(),
            set_back: RwLock::default(),
            for_master: None,
            any_reset: AtomicBool::new(false),
            lmq,
            saver,
        })
    }

    fn is_light(&self, group: &str) -> bool {
        self.lmq && group.starts_with(LMQ_PREFIX)
    }

    /// The stored offset.
    pub fn get(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        let queue_id = if self.is_light(group) { 0 } else { queue_id };
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
        let queue_id = if self.is_light(group) { 0 } else { queue_id };
        let mut state = self.state.write();
        let State { groups, pairs, .. } = &mut *state;
        let known = groups.get_mut(group).and_then(|topics| topics.get_mut(topic));
        let mut is_set_back = false;
        match known {
            Some(queues) => {
                let full = queues.len() >= QUEUES_MAX;
                match queues.get_mut(&queue_id) {
                    Some(stored) if *stored == offset => return Ok(()),
                    Some(stored) => is_set_back = std::mem::replace(stored, offset) > offset,
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
        if is_set_back && self.saver.was_backup() {
            let mut set_back = self.set_back.write();
            if set_back.len() < RESETS_MAX {
                set_back.insert((group.to_owned(), topic.to_owned(), queue_id));
            }
        }
        self.saver.touch_later();
        Ok(())
    }

    /// Takes back what a slave has kept: offsets that this broker has lost, and those that are further than the backup's that it has
    /// started with. What somebody has set back since stays. Gives how many were taken.
    /// A broker that has started with its own file takes nothing, whoever asks.
    pub fn take_back(&self, given: ConsumerOffsetTable) -> Result<usize, Full> {
        if !self.saver.was_missing() && !self.saver.was_backup() {
            return Ok(0);
        }
        let mut taken = 0;
        for (key, queues) in by_pair(given) {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                continue;
            };
            for (queue, offset) in queues {
                let is_wanted = match self.get(group, topic, queue) {
                    None => true,
                    Some(stored) => {
                        let is_further = self.saver.was_backup() && offset > stored;
                        is_further && !self.was_set(group, topic, queue)
                    }
                };
                if is_wanted {
                    self.commit(group, topic, queue, offset)?;
                    taken += 1;
                }
            }
        }
        if taken > 0 {
            self.saver.touch();
        }
        Ok(taken)
    }

    /// Has somebody set the queue back, or anywhere that no pull has taken yet?
    fn was_set(&self, group: &str, topic: &str, queue_id: i32) -> bool {
        let key = (group.to_owned(), topic.to_owned(), queue_id);
        self.set_back.read().contains(&key) || self.is_reset(group, topic, queue_id)
    }

    /// This is a slave's table: it notes what consumers commit.
    #[must_use]
    pub fn for_master(self, commits: Arc<CommitsForMaster>) -> Self {
        Self {
            for_master: Some(commits),
            ..self
        }
    }

    /// Stores an offset that a consumer commits. A slave notes it for the master, whose own, which it gives to the slave, may be behind.
    pub fn commit_of_consumer(
        &self,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> Result<(), Full> {
        let Some(commits) = &self.for_master else {
            return self.commit(group, topic, queue_id, offset);
        };
        let known = self.get(group, topic, queue_id);
        self.commit(group, topic, queue_id, offset)?;
        if known != Some(offset) {
            let key = (group.to_owned(), topic.to_owned(), queue_id);
            commits.note(key, known, offset);
        }
        Ok(())
    }

    /// Was anything committed at this slave that the master has not heard of?
    pub fn has_more_for_master(&self) -> bool {
        self.for_master
            .as_ref()
            .is_some_and(|commits| !commits.is_empty())
    }

    /// The master has taken what was committed here, or does not want it.
    pub fn told_master(&self, key: &OffsetKey, offset: i64) {
        if let Some(commits) = &self.for_master {
            commits.told(key, offset);
        }
    }

    /// Takes over the offsets of a master that was started at `run`, ms since 1970; groups and topics that it does not name stay
    /// (RocketMQ 4.9.8, SlaveSynchronize). What was committed here and is further stays, too, and is given: for the master.
    pub fn follow(&self, file: ConsumerOffsetTable, run: i64) -> Vec<(OffsetKey, i64)> {
        let further = match &self.for_master {
            Some(commits) => commits.compare(run, |(group, topic, queue)| {
                let key = format!("{topic}{SEPARATOR}{group}");
                match &file.lmq_offset_table {
                    Some(light) if self.is_light(group) => light.get(&key).copied(),
                    _ => file.offset_table.get(&key)?.get(queue).copied(),
                }
            }),
            None => Vec::new(),
        };
        self.merge(file);
        for ((group, topic, queue), offset) in &further {
            // There was room for it a moment ago.
            let _full = self.commit(group, topic, *queue, *offset);
        }
        further
    }

    /// Takes over the offsets of a master.
    fn merge(&self, file: ConsumerOffsetTable) {
        let mut state = self.state.write();
        if file.data_version.is_some() {
            state.version = file.data_version;
        }
        let mut changed = false;
        for (key, queues) in by_pair(file) {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                tracing::warn!("the master's key {key:?} of an offset is no topic@group, left out");
                continue;
            };
            let State { groups, pairs, .. } = &mut *state;
            let known = groups.get_mut(group).and_then(|topics| topics.get_mut(topic));
            match known {
                Some(known) if *known == queues => continue,
                Some(known) => *known = queues,
                None if *pairs >= PAIRS_MAX => continue,
                None => {
                    *pairs += 1;
                    groups
                        .entry(group.to_owned())
                        .or_default()
                        .insert(topic.to_owned(), queues);
                }
            }
            changed = true;
        }
        drop(state);
        if changed {
            self.saver.touch_later();
        }
    }

    /// No group is behind the end of a queue, by topic and id: messages that come to lie there are others than it has read. Gives how
    /// many offsets that concerns.
    pub fn cut_to(&self, end: impl Fn(&str, i32) -> i64) -> usize {
        if let Some(commits) = &self.for_master {
            commits.cut_to(&end);
        }
        let mut cut = 0;
        let mut state = self.state.write();
        let topics = state.groups.values_mut().flatten();
        for (topic, (queue, offset)) in
            topics.flat_map(|(topic, queues)| queues.iter_mut().map(move |of| (topic, of)))
        {
            let end = end(topic, *queue);
            if *offset > end {
                *offset = end;
                cut += 1;
            }
        }
        drop(state);
        if cut > 0 {
            self.saver.touch_later();
        }
        cut
    }

    /// Asks for the table to be written soon, and not with the next period.
    pub fn save_soon(&self) {
        self.saver.touch();
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

    /// Every group with its offsets for the topic.
    pub fn of_topic(&self, topic: &str) -> Vec<(String, BTreeMap<i32, i64>)> {
        let state = self.state.read();
        let of = |(group, topics): (&String, &HashMap<String, ByQueue>)| {
            topics.get(topic).map(|queues| (group.clone(), queues.clone()))
        };
        state.groups.iter().filter_map(of).collect()
    }

    /// The group's offsets for the topic.
    pub fn of_pair(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let state = self.state.read();
        let topics = state.groups.get(group);
        topics
            .and_then(|topics| topics.get(topic))
            .cloned()
            .unwrap_or_default()
    }

    /// Gives a group the offsets that another one has for the topic, in place of its own; none if that has none.
    pub fn clone_group(&self, from: &str, to: &str, topic: &str) -> Result<Option<Change>, Full> {
        let mut state = self.state.write();
        let State { groups, pairs, .. } = &mut *state;
        let Some(queues) = groups.get(from).and_then(|topics| topics.get(topic)).cloned() else {
            return Ok(None);
        };
        let is_new = !groups.get(to).is_some_and(|topics| topics.contains_key(topic));
        if is_new && *pairs >= PAIRS_MAX {
            return Err(Full);
        }
        *pairs += usize::from(is_new);
        groups
            .entry(to.to_owned())
            .or_default()
            .insert(topic.to_owned(), queues);
        drop(state);
        Ok(Some(self.saver.touch()))
    }

    /// Stores an offset that counts whatever the group's consumers say, until the next pull of the queue has taken it
    /// ([`OffsetTable::take_reset`]).
    pub fn reset(&self, group: &str, topic: &str, queue_id: i32, offset: i64) -> Result<(), Full> {
        self.commit(group, topic, queue_id, offset)?;
        let mut resets = self.resets.write();
        if resets.len() >= RESETS_MAX {
            return Err(Full);
        }
        resets.insert((group.to_owned(), topic.to_owned(), queue_id), offset);
        self.any_reset.store(true, Ordering::Release);
        Ok(())
    }

    /// Where the queue was reset to, if no pull has taken that yet.
    pub fn take_reset(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        if !self.any_reset.load(Ordering::Acquire) {
            return None;
        }
        let mut resets = self.resets.write();
        let offset = resets.remove(&(group.to_owned(), topic.to_owned(), queue_id));
        self.any_reset.store(!resets.is_empty(), Ordering::Release);
        offset
    }

    /// Was the queue reset, and no pull has taken that yet?
    pub fn is_reset(&self, group: &str, topic: &str, queue_id: i32) -> bool {
        self.any_reset.load(Ordering::Acquire)
            && self
                .resets
                .read()
                .contains_key(&(group.to_owned(), topic.to_owned(), queue_id))
    }

    fn forget_resets(&self, is_gone: impl Fn(&str, &str) -> bool) {
        if self.any_reset.load(Ordering::Acquire) {
            let mut resets = self.resets.write();
            resets.retain(|(group, topic, _), _| !is_gone(group, topic));
            self.any_reset.store(!resets.is_empty(), Ordering::Release);
        }
    }

    /// Forgets all offsets of a group. The change that comes back is the one which whoever asked for it must wait for: after
    /// a crash a group that is made again must not go on where the old one was.
    pub fn remove_group(&self, group: &str) -> Change {
        self.forget_resets(|of, _| of == group);
        let mut state = self.state.write();
        match state.groups.remove(group) {
            Some(topics) => {
                state.pairs -= topics.len();
                self.saver.touch()
            }
            None => self.wanted(),
        }
    }

    /// The last change, to be written soon: somebody waits for it.
    fn wanted(&self) -> Change {
        match self.saver.is_behind() {
            true => self.saver.touch(),
            false => self.saver.latest(),
        }
    }

    /// Forgets all offsets of a topic; the change as in [`OffsetTable::remove_group`].
    pub fn remove_topic(&self, topic: &str) -> Change {
        self.forget_resets(|_, of| of == topic);
        if let Some(commits) = &self.for_master {
            commits.remove_topic(topic);
        }
        let mut state = self.state.write();
        let mut removed = 0;
        for topics in state.groups.values_mut() {
            removed += usize::from(topics.remove(topic).is_some());
        }
        state.pairs -= removed;
        match removed {
            0 => self.wanted(),
            _ => self.saver.touch(),
        }
    }

    /// The table as it is in the file.
    pub fn file(&self) -> ConsumerOffsetTable {
        let state = self.state.read();
        let mut file = ConsumerOffsetTable {
            data_version: state.version,
            lmq_offset_table: self.lmq.then(BTreeMap::new),
            ..ConsumerOffsetTable::default()
        };
        for (group, topics) in &state.groups {
            let is_light = self.is_light(group);
            for (topic, queues) in topics {
                let key = format!("{topic}{SEPARATOR}{group}");
                match &mut file.lmq_offset_table {
                    Some(light) if is_light => {
                        light.extend(queues.get(&0).map(|offset| (key, *offset)));
                    }
                    _ => drop(file.offset_table.insert(key, queues.clone())),
                }
            }
        }
        file
    }
}

impl ConfigFile for OffsetTable {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, now_ms: i64) -> Vec<u8> {
        if let Some(version) = &mut self.state.write().version {
            *version = version.next(now_ms);
        }
        config_file::pretty(&self.file())
    }
}

#[cfg(test)]
mod tests {
    use disk::MmapDisk;

    use super::*;

    #[test]
    fn offsets_of_light_queues_are_one_a_topic_and_lie_beside_the_others() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(file_name(true));
        let disk = MmapDisk::default();
        let golden = include_str!("../../tests/golden/java-5.3.3/lmqConsumerOffset.json");
        std::fs::write(&path, golden).expect("a temporary file");
        let table = OffsetTable::load(&disk, dir.path(), true).expect("as Java wrote it");
        assert_eq!(table.get("group", "Orders", 0), Some(12));
        assert_eq!(table.get("group", "Orders", 1), None);
        for queue_id in [0, 7] {
            assert_eq!(table.get("%LMQ%group", "%LMQ%q", queue_id), Some(42));
        }
        table.commit("%LMQ%group", "%LMQ%q", 3, 43).expect("room");
        table.commit("%LMQ%new", "%LMQ%q", 0, 1).expect("room");
        table.commit("group", "Orders", 1, 5).expect("room");
        std::fs::write(&path, table.text(1000)).expect("a temporary file");
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("written")).expect("strict JSON");
        let expected = serde_json::json!({
            "dataVersion": {"counter": 1, "stateVersion": 0, "timestamp": 1000},
            "lmqOffsetTable": {"%LMQ%q@%LMQ%group": 43, "%LMQ%q@%LMQ%new": 1},
            "offsetTable": {"Orders@group": {"0": 12, "1": 5}},
        });
        assert_eq!(read, expected);
        let again = OffsetTable::load(&disk, dir.path(), true).expect("as we wrote it");
        assert_eq!(again.get("%LMQ%group", "%LMQ%q", 0), Some(43));
        again.remove_group("%LMQ%group");
        assert_eq!(again.get("%LMQ%group", "%LMQ%q", 0), None);
    }

    #[test]
    fn only_who_has_lost_offsets_takes_them_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(file_name(false));
        let disk = MmapDisk::default();
        let file = |offset: i64| format!(r#"{{"offsetTable":{{"Orders@group":{{"0":{offset}}}}}}}"#);
        let given = || ConsumerOffsetTable {
            offset_table: BTreeMap::from([
                ("Orders@group".to_owned(), BTreeMap::from([(0, 90)])),
                ("Orders@other".to_owned(), BTreeMap::from([(0, 7)])),
            ]),
            ..ConsumerOffsetTable::default()
        };
        let taken = || {
            let table = OffsetTable::load(&disk, dir.path(), false).expect("it is read");
            let taken = table.take_back(given()).expect("room");
            let offset = |group| table.get(group, "Orders", 0);
            (taken, offset("group"), offset("other"))
        };
        assert_eq!(taken(), (2, Some(90), Some(7)), "no file");
        std::fs::write(path.with_extension("json.bak"), file(12)).expect("a temporary file");
        assert_eq!(taken(), (2, Some(90), Some(7)), "its backup");
        std::fs::write(&path, file(12)).expect("a temporary file");
        assert_eq!(taken(), (0, Some(12), None), "the file");
    }
}
