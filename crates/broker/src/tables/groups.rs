//! The consumer group table; `config/subscriptionGroup.json`.
//!
//! Rules: RocketMQ 4.9.8, SubscriptionGroupManager.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::Disk;
use message::name;
use parking_lot::RwLock;
use protocol::body::broker::{SubscriptionGroupConfig, SubscriptionGroupTable};
use protocol::body::topic::DataVersion;
use serde::Deserialize;

use super::attributes::{self, Attributes};
use super::config_file::{self, LoadError};
use super::saver::{Change, ConfigFile, Saver};

/// Most groups one broker keeps.
pub const GROUPS_MAX: usize = 1_000_000;

/// Groups that are always there, and whether broadcasting is what they are for.
const START_GROUPS: [&str; 7] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
];

/// Bit of a topic in the table of what groups may not do (RocketMQ 5.3.3, PermName.INDEX_PERM_READ).
const FORBIDS_READING: i32 = 1 << 2;

/// Name of the field of a group's attributes.
const ATTRIBUTES: &str = "attributes";

/// Why a group is not put into the table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPut {
    /// GROUPS_MAX groups are there.
    #[error("the broker has {GROUPS_MAX} groups, the most it keeps")]
    Full,
    /// Its attributes cannot be what was asked for.
    #[error("{0}")]
    Attribute(#[from] attributes::Error),
    /// They are no map of texts.
    #[error("attributes: {0}")]
    Shape(String),
}

struct State {
    groups: HashMap<Arc<str>, Arc<SubscriptionGroupConfig>>,
    file: SubscriptionGroupTable,
    /// A master's table that this one is: another of the same version may have come from changes here.
    copied: Option<DataVersion>,
    /// Groups whose settings nobody has given since the start, where the file of those that somebody had given was not there, or was its
    /// backup.
    assumed: HashSet<Arc<str>>,
    /// Groups that were taken out since such a start: no slave gives them back.
    removed: HashSet<Arc<str>>,
}

/// The table.
pub struct GroupTable {
    state: RwLock<State>,
    saver: Saver,
    /// Version of the backup that the groups are of.
    backup: Option<DataVersion>,
    /// Some group may not read some topic: pulls look no further while there is none.
    forbids: AtomicBool,
    /// Every `%LMQ%` name is a group (RocketMQ 4.9.8, LmqSubscriptionGroupManager).
    lmq: bool,
}

impl GroupTable {
    /// Loads the file at `path` and adds the groups that are always there.
    pub fn load<D: Disk>(disk: &D, path: PathBuf, now: i64) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let mut file: SubscriptionGroupTable = config_file::load(disk, &path)?.content(&saver);
        let backup = saver.was_backup().then_some(file.data_version);
        let groups = take_groups(&mut file);
        let assumed = match backup {
            Some(_) => groups.keys().cloned().collect(),
            None => HashSet::new(),
        };
        if file.data_version.timestamp == 0 {
            file.data_version.timestamp = now;
        }
        let table = Self {
            forbids: AtomicBool::new(!file.forbidden_table.is_empty()),
            state: RwLock::new(State {
                groups,
                file,
                copied: None,
                assumed,
                removed: HashSet::new(),
            }),
            saver,
            backup,
            lmq: false,
        };
        table.saver.touch();
        Ok(table)
    }

    /// With `enableLmq` groups of light message queues need not be made, and are kept nowhere.
    #[must_use]
    pub fn with_light_queues(mut self, lmq: bool) -> Self {
        self.lmq = lmq;
        self
    }

    /// The group's settings, if it is there.
    pub fn get(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        let found = self.state.read().groups.get(group).cloned();
        // Its retry topic has to have a name that a topic may have.
        if found.is_none() && self.lmq && name::is_lmq(group) && name::check_group(group).is_ok() {
            return Some(Arc::new(default_group(group)));
        }
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.read().groups.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all groups.
    pub fn names(&self) -> Vec<String> {
        self.state
            .read()
            .groups
            .keys()
            .map(|name| name.to_string())
            .collect()
    }

    /// The group's settings; made on first use if `auto_create` says so or it is a system group.
    pub fn find(&self, group: &str, auto_create: bool, now: i64) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(found) = self.get(group) {
            return Some(found);
        }
        if !(auto_create || name::is_system_group(group)) || name::check_group(group).is_err() {
            return None;
        }
        let mut state = self.state.write();
        if let Some(found) = state.groups.get(group) {
            return Some(Arc::clone(found));
        }
        if state.groups.len() >= GROUPS_MAX {
            return None;
        }
        let made = Arc::new(default_group(group));
        state.groups.insert(Arc::from(group), Arc::clone(&made));
        if self.saver.lacks_changes() {
            state.assumed.insert(Arc::from(group));
        }
        self.note_change(&mut state, now);
        Some(made)
    }

    /// Makes a group or overwrites its settings. Its attributes are what a request wants changed; all others stay.
    pub fn put(&self, config: SubscriptionGroupConfig, now: i64) -> Result<Change, NotPut> {
        self.put_in(&mut self.state.write(), config, now)
    }

    /// Takes back the settings of a group that a slave has kept, unless somebody has given it others since, or has taken it out. Says whether they were taken.
    pub fn take_back(&self, config: SubscriptionGroupConfig, now: i64) -> Result<Option<Change>, NotPut> {
        let mut state = self.state.write();
        let name = config.group_name.as_str();
        let is_anothers = state.groups.contains_key(name) && !state.assumed.contains(name);
        match is_anothers || state.removed.contains(name) {
            true => Ok(None),
            false => self.put_in(&mut state, config, now).map(Some),
        }
    }

    fn put_in(
        &self,
        state: &mut State,
        mut config: SubscriptionGroupConfig,
        now: i64,
    ) -> Result<Change, NotPut> {
        let current = state.groups.get(config.group_name.as_str());
        if state.groups.len() >= GROUPS_MAX && current.is_none() {
            return Err(NotPut::Full);
        }
        let wanted = attributes_of(&config)?;
        let current = current.map(|group| attributes_of(group)).transpose()?;
        let altered = attributes::alter(attributes::GROUP, current.as_ref(), &wanted)?;
        if !altered.is_empty() {
            let altered = altered
                .into_iter()
                .map(|(key, value)| (key, serde_json::Value::String(value)));
            config.other.insert(
                ATTRIBUTES.to_owned(),
                serde_json::Value::Object(altered.collect()),
            );
        }
        state.assumed.remove(config.group_name.as_str());
        state
            .groups
            .insert(Arc::from(config.group_name.as_str()), Arc::new(config));
        Ok(self.note_change(state, now))
    }

    /// Nobody may consume in the group's name any more, until it is allowed again. None where that is so already.
    pub fn stop(&self, group: &str, now: i64) -> Option<Change> {
        let mut state = self.state.write();
        let config = state
            .groups
            .get_mut(group)
            .filter(|config| config.consume_enable)?;
        Arc::make_mut(config).consume_enable = false;
        Some(self.note_change(&mut state, now))
    }

    /// Takes a group out. The change that comes back is the one which whoever asked for it must wait for: where the group is
    /// not there any more, that may still be missing on disk.
    pub fn remove(&self, group: &str, now: i64) -> Change {
        let mut state = self.state.write();
        let was_there = state.groups.remove(group).is_some();
        if self.saver.lacks_changes() && state.removed.len() < GROUPS_MAX {
            state.removed.insert(Arc::from(group));
        }
        // A file of Java's may forbid a group that is not there to read something.
        let was_forbidden = state.file.forbidden_table.remove(group).is_some();
        if !was_there && !was_forbidden {
            return self.saver.latest();
        }
        let forbids = !state.file.forbidden_table.is_empty();
        self.forbids.store(forbids, Ordering::Release);
        self.note_change(&mut state, now)
    }

    /// Takes over all groups of a master, as they are there; those that are always here stay.
    pub fn replace(&self, mut file: SubscriptionGroupTable) {
        let mut state = self.state.write();
        if state.copied == Some(file.data_version) {
            return;
        }
        let copied = Some(file.data_version);
        let groups = take_groups(&mut file);
        self.forbids
            .store(!file.forbidden_table.is_empty(), Ordering::Release);
        *state = State {
            groups,
            file,
            copied,
            assumed: HashSet::new(),
            removed: HashSet::new(),
        };
        self.saver.touch();
    }

    /// Forbids or allows a group to read a topic. None where that is so already.
    pub fn forbid_reading(&self, group: &str, topic: &str, forbidden: bool, now: i64) -> Option<Change> {
        let mut state = self.state.write();
        let table = &mut state.file.forbidden_table;
        let before = table
            .get(group)
            .and_then(|topics| topics.get(topic))
            .copied()
            .unwrap_or(0);
        let after = if forbidden {
            before | FORBIDS_READING
        } else {
            before & !FORBIDS_READING
        };
        if after == before {
            return None;
        }
        let topics = table.entry(group.to_owned()).or_default();
        if after == 0 {
            topics.remove(topic);
        } else {
            topics.insert(topic.to_owned(), after);
        }
        if topics.is_empty() {
            table.remove(group);
        }
        self.forbids.store(!table.is_empty(), Ordering::Release);
        Some(self.note_change(&mut state, now))
    }

    /// May the group not read the topic?
    pub fn forbids_reading(&self, group: &str, topic: &str) -> bool {
        self.forbids.load(Ordering::Acquire) && {
            let state = self.state.read();
            let topics = state.file.forbidden_table.get(group);
            topics
                .and_then(|topics| topics.get(topic))
                .is_some_and(|bits| bits & FORBIDS_READING != 0)
        }
    }

    fn note_change(&self, state: &mut State, now: i64) -> Change {
        state.file.data_version.timestamp = now;
        state.file.data_version.counter += 1;
        state.copied = None;
        self.saver.touch()
    }

    /// The version of the backup that was there in the file's place at the start, if it was.
    pub fn backup(&self) -> Option<DataVersion> {
        self.backup
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.state.read().file.data_version
    }

    /// The file's content.
    pub fn file(&self) -> SubscriptionGroupTable {
        let state = self.state.read();
        let mut file = state.file.clone();
        file.subscription_group_table = state
            .groups
            .values()
            .map(|g| (g.group_name.clone(), (**g).clone()))
            .collect();
        file
    }
}

impl ConfigFile for GroupTable {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        config_file::pretty(&self.file())
    }
}

/// The groups of a file, which then lies without them, and those that are always there.
fn take_groups(file: &mut SubscriptionGroupTable) -> HashMap<Arc<str>, Arc<SubscriptionGroupConfig>> {
    let mut groups = HashMap::new();
    for (key, mut group) in std::mem::take(&mut file.subscription_group_table) {
        group.group_name = key;
        groups.insert(Arc::from(group.group_name.as_str()), Arc::new(group));
    }
    for start in START_GROUPS {
        groups
            .entry(Arc::from(start))
            .or_insert_with(|| Arc::new(default_group(start)));
    }
    groups
}

/// Attributes lie among the fields that only 5.x has.
fn attributes_of(config: &SubscriptionGroupConfig) -> Result<Attributes, NotPut> {
    match config.other.get(ATTRIBUTES) {
        None | Some(serde_json::Value::Null) => Ok(Attributes::new()),
        Some(found) => Attributes::deserialize(found).map_err(|e| NotPut::Shape(e.to_string())),
    }
}

fn default_group(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig {
        group_name: name.to_owned(),
        ..SubscriptionGroupConfig::default()
    }
}
