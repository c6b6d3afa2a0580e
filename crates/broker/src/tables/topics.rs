//! The topic table: what topics there are, how many queues they have, who may use them; `config/topics.json`.
//!
//! Rules: RocketMQ 4.9.8, TopicConfigManager.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use disk::Disk;
use message::name::{self, AUTO_CREATE_TOPIC, SCHEDULE_TOPIC};
use parking_lot::RwLock;
use protocol::body::topic::{DataVersion, TopicConfig};
use serde::{Deserialize, Serialize};

use super::attributes;
use super::config_file::{self, LoadError};
use super::saver::{Change, ConfigFile, SaveError, Saver, WhenSaved};
use crate::config::{SettingsChange, SettingsListener};
use crate::settings::Settings;
use crate::watermark::Watermark;

/// Permission bits of a topic or broker.
pub mod perm {
    /// New topics may be made after this one's pattern.
    pub const INHERIT: i32 = 1;
    /// Producers may write.
    pub const WRITE: i32 = 2;
    /// Consumers may read.
    pub const READ: i32 = 4;
}

/// Most topics one broker keeps: 1,000,000. A request that would make one more is refused.
pub const TOPICS_MAX: usize = 1_000_000;

/// topics.json and the answer to GET_ALL_TOPIC_CONFIG.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicFile {
    /// Version of the table.
    #[serde(deserialize_with = "protocol::body::de::or_default")]
    pub data_version: DataVersion,
    /// Topic name to settings.
    #[serde(deserialize_with = "protocol::body::de::or_default")]
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// What the table needs to know of the broker to make the topics that are always there.
#[derive(Debug, Clone)]
pub struct Identity {
    /// brokerClusterName.
    pub cluster: String,
    /// brokerName.
    pub broker: String,
    /// autoCreateTopicEnable.
    pub auto_create: bool,
    /// defaultTopicQueueNums.
    pub default_queues: i32,
    /// clusterTopicEnable.
    pub cluster_topic: bool,
    /// brokerTopicEnable.
    pub broker_topic: bool,
    /// enableLmq.
    pub lmq: bool,
    /// traceTopicEnable.
    pub trace_topic: Option<String>,
}

impl Identity {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Self {
        let broker = &settings.broker;
        Self {
            cluster: broker.broker_cluster_name.clone(),
            broker: broker.broker_name.clone(),
            auto_create: broker.auto_create_topic_enable,
            default_queues: broker.default_topic_queue_nums,
            cluster_topic: broker.cluster_topic_enable,
            broker_topic: broker.broker_topic_enable,
            lmq: settings.store.enable_lmq,
            trace_topic: broker
                .trace_topic_enable
                .then(|| broker.msg_trace_topic_name.clone()),
        }
    }

    /// Gives a topic of the file what settings say of it and nobody else can: operators cannot change these topics (unlike
    /// Java, where the settings of the broker's first start count for ever). True if that changed something.
    fn settles(&self, topic: &mut TopicConfig) -> bool {
        let before = (topic.read_queue_nums, topic.write_queue_nums, topic.perm);
        let name = topic.topic_name.as_str();
        if name == AUTO_CREATE_TOPIC && self.auto_create {
            topic.read_queue_nums = self.default_queues;
            topic.write_queue_nums = self.default_queues;
        } else if name == self.cluster {
            topic.perm = switched(self.cluster_topic);
        } else if name == self.broker {
            topic.perm = switched(self.broker_topic);
        }
        before != (topic.read_queue_nums, topic.write_queue_nums, topic.perm)
    }
}

/// Permission of the topics that are named like the cluster and the broker.
fn switched(on: bool) -> i32 {
    let rw = perm::READ | perm::WRITE;
    perm::INHERIT | if on { rw } else { 0 }
}

/// Most queues one topic may have: Java has no limit, a typing error would make it allocate for ever.
pub const QUEUES_MAX: i32 = 65_536;

/// Why a topic could not be made for a send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCreated {
    /// There is no template topic, or it does not let others inherit.
    #[error("the template topic {0} does not exist or does not allow new topics")]
    Template(String),
    /// TOPICS_MAX topics are there.
    #[error("the broker has {TOPICS_MAX} topics, which is the most it keeps")]
    Full,
    /// Its attributes cannot be what was asked for.
    #[error("{0}")]
    Attribute(#[from] attributes::Error),
}

/// A topic as a request finds it.
pub struct TopicState {
    /// Its settings.
    pub config: Arc<TopicConfig>,
    /// The change that made them so, if it is not safe yet: until then nobody may be told that something is safe in this topic.
    pub unsaved: Option<Change>,
    /// It was made by this call.
    pub made: bool,
}

struct Entry {
    config: Arc<TopicConfig>,
    /// Number of the change that made it what it is; the topics of the start have 1.
    changed: u64,
    /// The same as the file counts; the topics of the start have 0, since a crash leaves them there.
    change: Change,
}

struct State {
    topics: HashMap<Arc<str>, Entry>,
    version: DataVersion,
    /// A master's table that this one is: another of the same version may have come from changes here.
    copied: Option<DataVersion>,
    /// Topics whose settings nobody has given since the start, where the file of those that somebody had given was not there, or was its
    /// backup.
    assumed: HashSet<Arc<str>>,
    /// Number of the last change.
    changes: u64,
}

/// The table. Cheap to read from any thread.
pub struct TopicTable {
    state: RwLock<State>,
    system: Vec<String>,
    /// Every `%LMQ%` name is a topic with one queue (RocketMQ 4.9.8, LmqTopicConfigManager).
    lmq: bool,
    saver: Saver,
    /// Version of the backup that the topics are of.
    backup: Option<DataVersion>,
    changed: tokio::sync::watch::Sender<u64>,
    /// Every name server that could be reached knows the topics up to this change.
    announced: Watermark<WhenSaved>,
}

/// How long after a request its answer waits for the name servers to know the topic it made, ms: less than the 3 s that a
/// client waits.
const ANNOUNCED_WITHIN_MS: i64 = 2000;

fn topic(name: &str, queues: i32, perm: i32) -> TopicConfig {
    TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm,
        ..TopicConfig::default()
    }
}

/// What new topics are made after.
fn template(queues: i32) -> TopicConfig {
    topic(
        AUTO_CREATE_TOPIC,
        queues,
        perm::INHERIT | perm::READ | perm::WRITE,
    )
}

/// The topics a broker makes at its start (reference: wire.md §14, 4.9 column).
fn start_topics(id: &Identity) -> Vec<TopicConfig> {
    let rw = perm::READ | perm::WRITE;
    let mut topics = vec![
        topic("SELF_TEST_TOPIC", 1, rw),
        topic("BenchmarkTest", 1024, rw),
        topic(&id.cluster, 16, switched(id.cluster_topic)),
        topic(&id.broker, 1, switched(id.broker_topic)),
        topic("OFFSET_MOVED_EVENT", 1, rw),
        topic(SCHEDULE_TOPIC, 18, rw),
        topic(&name::reply_topic(&id.cluster), 1, rw),
    ];
    if id.auto_create {
        topics.push(template(id.default_queues));
    }
    if let Some(trace) = &id.trace_topic {
        topics.push(topic(trace, 1, rw));
    }
    topics
}

impl TopicTable {
    /// Loads the file at `path` over the topics that are always there (the file wins).
    pub fn load<D: Disk>(disk: &D, path: PathBuf, id: &Identity, now: i64) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let file: TopicFile = config_file::load(disk, &path)?.content(&saver);
        let mut topics: HashMap<Arc<str>, Entry> = HashMap::new();
        let mut version = file.data_version;
        let backup = saver.was_backup().then_some(version);
        let mut assumed = HashSet::new();
        let mut system = Vec::new();
        for t in start_topics(id) {
            system.push(t.topic_name.clone());
            topics.insert(
                Arc::from(t.topic_name.as_str()),
                Entry {
                    config: Arc::new(t),
                    changed: 1,
                    change: Change::default(),
                },
            );
        }
        for (key, mut t) in file.topic_config_table {
            if let Err(e) = name::check_any_topic(&key) {
                tracing::error!("{}: topic {key:?} is left out: {e}", path.display());
                continue;
            }
            t.topic_name = key;
            if id.settles(&mut t) {
                tracing::info!(topic = %t.topic_name, "queues and permission of today's settings take the file's place");
                version = version.next(now);
            }
            let name: Arc<str> = Arc::from(t.topic_name.as_str());
            if backup.is_some() {
                assumed.insert(Arc::clone(&name));
            }
            topics.insert(
                name,
                Entry {
                    config: Arc::new(t),
                    changed: 1,
                    change: Change::default(),
                },
            );
        }
        if version.timestamp == 0 {
            version.timestamp = now;
        }
        let table = Self {
            state: RwLock::new(State {
                topics,
                version,
                copied: None,
                assumed,
                changes: 1,
            }),
            system,
            lmq: id.lmq,
            saver,
            backup,
            changed: tokio::sync::watch::channel(0).0,
            announced: Watermark::new(0),
        };
        table.saver.touch();
        Ok(table)
    }

    /// Makes the template of new topics if it is not there: Java has one only if autoCreateTopicEnable was on at the start.
    fn make_template(&self, queues: i32, now: i64) {
        let mut state = self.state.write();
        if !state.topics.contains_key(AUTO_CREATE_TOPIC)
            && let Err(e) = self.insert(&mut state, template(queues), now)
        {
            tracing::warn!("topics can not be made on first use: {e}");
        }
    }

    /// The topic's settings.
    pub fn get(&self, name: &str) -> Option<Arc<TopicConfig>> {
        let found = self.state.read().topics.get(name).map(|t| Arc::clone(&t.config));
        if found.is_none() && self.lmq && name::is_lmq(name) {
            return Some(Arc::new(topic(name, 1, perm::READ | perm::WRITE)));
        }
        found
    }

    /// The topic and whether it is on disk.
    pub fn state_of(&self, name: &str) -> Option<TopicState> {
        let state = self.state.read();
        if let Some(entry) = state.topics.get(name) {
            return Some(self.known(entry));
        }
        drop(state);
        self.get(name).map(|config| TopicState {
            config,
            unsaved: None,
            made: false,
        })
    }

    fn known(&self, entry: &Entry) -> TopicState {
        TopicState {
            config: Arc::clone(&entry.config),
            unsaved: Some(entry.change).filter(|change| !self.saver.is_safe(*change)),
            made: false,
        }
    }

    /// Is this a topic that belongs to RocketMQ itself?
    pub fn is_system(&self, topic: &str) -> bool {
        name::is_system_topic(topic) || self.system.iter().any(|s| s == topic)
    }

    /// The names of the topics that belong to RocketMQ: those made at start, and those made when they are needed.
    pub fn system_topics(&self) -> Vec<String> {
        let mut names = self.system.clone();
        let others = name::SYSTEM_TOPICS.iter().map(|name| (*name).to_owned());
        names.extend(others.filter(|name| !self.system.contains(name)));
        names
    }

    /// Makes the topic a producer sends to, after the pattern of `template`; or gives the one that is there.
    pub fn create_on_send(
        &self,
        name: &str,
        template: &str,
        wanted_queues: i32,
        unit: i32,
        auto_create: bool,
        now: i64,
    ) -> Result<TopicState, NotCreated> {
        let mut state = self.state.write();
        if let Some(entry) = state.topics.get(name) {
            return Ok(self.known(entry));
        }
        let refused = || NotCreated::Template(template.to_owned());
        let pattern = &state.topics.get(template).ok_or_else(refused)?.config;
        let inherits = pattern.perm & perm::INHERIT != 0 && (auto_create || template != AUTO_CREATE_TOPIC);
        if !inherits {
            return Err(refused());
        }
        let mut made = topic(
            name,
            wanted_queues.min(pattern.write_queue_nums).max(0),
            pattern.perm & !perm::INHERIT,
        );
        made.topic_sys_flag = unit;
        made.topic_filter_type = pattern.topic_filter_type;
        self.make(&mut state, made, now)
    }

    /// Makes a topic the broker itself needs, such as a retry topic; or gives the one that is there, with as many queues at least.
    ///
    /// Unlike Java: the topic grows when its group's `retryQueueNums` is raised. Java goes on with the topic as it was made, and what is
    /// sent back to the further queues is read by nobody.
    pub fn create_for_group(
        &self,
        name: &str,
        queues: i32,
        perm: i32,
        unit: i32,
        now: i64,
    ) -> Result<TopicState, NotCreated> {
        let has_all = |config: &TopicConfig| config.read_queue_nums.min(config.write_queue_nums) >= queues;
        if let Some(known) = self.state_of(name).filter(|known| has_all(&known.config)) {
            return Ok(known);
        }
        let mut state = self.state.write();
        let Some(entry) = state.topics.get(name) else {
            let mut made = topic(name, queues, perm);
            made.topic_sys_flag = unit;
            return self.make(&mut state, made, now);
        };
        if has_all(&entry.config) {
            return Ok(self.known(entry));
        }
        let mut grown = TopicConfig::clone(&entry.config);
        grown.read_queue_nums = grown.read_queue_nums.max(queues);
        grown.write_queue_nums = grown.write_queue_nums.max(queues);
        let grown = self.make(&mut state, grown, now)?;
        Ok(TopicState { made: false, ..grown })
    }

    fn make(&self, state: &mut State, config: TopicConfig, now: i64) -> Result<TopicState, NotCreated> {
        let is_there = state.topics.contains_key(config.topic_name.as_str());
        let (config, change) = self.insert(state, config, now)?;
        if self.saver.lacks_changes() && !is_there {
            state.assumed.insert(Arc::from(config.topic_name.as_str()));
        }
        Ok(TopicState {
            config,
            unsaved: Some(change),
            made: true,
        })
    }

    /// Makes a topic or overwrites its settings. Its attributes are what a request wants changed; all others stay, so
    /// that a tool of 4.9, which knows none, takes none away.
    ///
    /// Unlike Java: an ordered topic stays one, until the name servers' order configuration says otherwise. 4.9 takes the
    /// mark away until the next registration, and 5.x as well where the request lacks it, as that of a tool does which
    /// changes something else.
    pub fn put(&self, mut config: TopicConfig, now: i64) -> Result<Change, NotCreated> {
        let mut state = self.state.write();
        let current = state.topics.get(config.topic_name.as_str());
        let current = current.map(|entry| &entry.config);
        config.order |= current.is_some_and(|current| current.order);
        let current = current.map(|current| &current.attributes);
        config.attributes = attributes::alter(attributes::TOPIC, current, &config.attributes)?;
        state.assumed.remove(config.topic_name.as_str());
        self.insert(&mut state, config, now).map(|(_, c)| c)
    }

    /// Makes a topic that has queues and, since the file was lost, no settings. Does nothing if it is there. New producers write to so many
    /// queues as have messages: there may be one for the order's sake. Those that know more may go on, and consumers read all of them.
    pub fn make_of_queues(&self, name: &str, queues: i32, known: i32, now: i64) -> Result<(), NotCreated> {
        let mut state = self.state.write();
        if state.topics.contains_key(name) {
            return Ok(());
        }
        let mut made = topic(name, queues, perm::READ | perm::WRITE);
        made.read_queue_nums = queues.max(known);
        self.make(&mut state, made, now).map(drop)
    }

    /// Takes back the settings of a topic that a slave has kept, unless somebody has given it others since. Its attributes are those that
    /// are to be added. Says whether it was taken.
    pub fn take_back(&self, mut config: TopicConfig, now: i64) -> Result<Option<Change>, NotCreated> {
        let mut state = self.state.write();
        let name = config.topic_name.as_str();
        if let Some(there) = state.topics.get(name) {
            if !state.assumed.contains(name) {
                return Ok(None);
            }
            // Something may lie in them.
            config.read_queue_nums = config.read_queue_nums.max(there.config.read_queue_nums);
            config.write_queue_nums = config.write_queue_nums.max(there.config.write_queue_nums);
        }
        config.attributes = attributes::alter(attributes::TOPIC, None, &config.attributes)?;
        state.assumed.remove(config.topic_name.as_str());
        self.insert(&mut state, config, now)
            .map(|(_, change)| Some(change))
    }

    fn insert(
        &self,
        state: &mut State,
        config: TopicConfig,
        now: i64,
    ) -> Result<(Arc<TopicConfig>, Change), NotCreated> {
        if state.topics.len() >= TOPICS_MAX && !state.topics.contains_key(config.topic_name.as_str()) {
            return Err(NotCreated::Full);
        }
        let config = Arc::new(config);
        let change = self.note_change(state, now);
        let entry = Entry {
            config: Arc::clone(&config),
            changed: state.changes,
            change,
        };
        state.topics.insert(Arc::from(config.topic_name.as_str()), entry);
        Ok((config, change))
    }

    /// Takes a topic out. The change that comes back is the one which whoever asked for it must wait for: where the topic is
    /// not there any more, that may still be missing on disk.
    pub fn remove(&self, name: &str, now: i64) -> Change {
        let mut state = self.state.write();
        state.assumed.remove(name);
        match state.topics.remove(name) {
            Some(_) => self.note_change(&mut state, now),
            None => self.saver.latest(),
        }
    }

    /// Takes over all topics of a master, as they are there; those that are always here stay.
    pub fn replace(&self, file: TopicFile, now: i64) {
        let mut state = self.state.write();
        if state.copied == Some(file.data_version) {
            return;
        }
        let change = self.note_change(&mut state, now);
        let changed = state.changes;
        let mut topics: HashMap<Arc<str>, Entry> = HashMap::with_capacity(file.topic_config_table.len());
        for (key, mut config) in file.topic_config_table {
            if let Err(e) = name::check_any_topic(&key) {
                tracing::error!("topic {key:?} of the master is left out: {e}");
                continue;
            }
            config.topic_name = key;
            let key: Arc<str> = Arc::from(config.topic_name.as_str());
            // What stays as it is needs no name server to hear of it.
            let known = state.topics.remove(&key).filter(|entry| *entry.config == config);
            let entry = known.unwrap_or_else(|| Entry {
                config: Arc::new(config),
                changed,
                change,
            });
            topics.insert(key, entry);
        }
        for name in &self.system {
            if let Some((name, entry)) = state.topics.remove_entry(name.as_str()) {
                topics.insert(name, entry);
            }
        }
        state.topics = topics;
        state.assumed.clear();
        state.version = file.data_version;
        state.copied = Some(file.data_version);
    }

    /// Marks exactly the topics named in the name server's order configuration as ordered.
    pub fn set_ordered(&self, ordered: &dyn Fn(&str) -> bool, now: i64) {
        let mut state = self.state.write();
        let wrong: Vec<Arc<TopicConfig>> = state
            .topics
            .values()
            .map(|t| &t.config)
            .filter(|t| t.order != ordered(&t.topic_name))
            .cloned()
            .collect();
        if wrong.is_empty() {
            return;
        }
        let change = self.note_change(&mut state, now);
        let changed = state.changes;
        for old in wrong {
            let mut new = (*old).clone();
            new.order = !new.order;
            state.topics.insert(
                Arc::from(new.topic_name.as_str()),
                Entry {
                    config: Arc::new(new),
                    changed,
                    change,
                },
            );
        }
    }

    /// A new version of the same topics: what is told of them has changed, and a name server looks at the topics of a
    /// registration only when their version is another (RocketMQ 4.9.8, AdminBrokerProcessor.updateBrokerConfig).
    pub fn renew(&self, now: i64) {
        self.note_change(&mut self.state.write(), now);
    }

    fn note_change(&self, state: &mut State, now: i64) -> Change {
        state.version.timestamp = now;
        state.version.counter += 1;
        state.copied = None;
        state.changes += 1;
        self.changed.send_modify(|n| *n += 1);
        self.saver.touch()
    }

    /// The version and all topics, as of one moment.
    pub fn snapshot(&self) -> (DataVersion, Vec<Arc<TopicConfig>>) {
        let state = self.state.read();
        (
            state.version,
            state.topics.values().map(|t| Arc::clone(&t.config)).collect(),
        )
    }

    /// The version, the topics changed after change number `since` (0: all), and the number of the last change.
    pub fn changed_since(&self, since: u64) -> (DataVersion, Vec<Arc<TopicConfig>>, u64) {
        let state = self.state.read();
        let changed = state
            .topics
            .values()
            .filter(|t| t.changed > since)
            .map(|t| Arc::clone(&t.config));
        (state.version, changed.collect(), state.changes)
    }

    /// The version of the backup that was there in the file's place at the start, if it was.
    pub fn backup(&self) -> Option<DataVersion> {
        self.backup
    }

    /// The version alone.
    pub fn version(&self) -> DataVersion {
        self.state.read().version
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.state.read().topics.len()
    }

    /// Never: the topics of the start are always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file's content.
    pub fn file(&self) -> TopicFile {
        let (data_version, topics) = self.snapshot();
        let topic_config_table = topics
            .into_iter()
            .map(|t| (t.topic_name.clone(), (*t).clone()))
            .collect();
        TopicFile {
            data_version,
            topic_config_table,
        }
    }

    /// Is this change safe?
    pub fn is_safe(&self, change: Change) -> bool {
        self.saver.is_safe(change)
    }

    /// Does `then` when a change is safe, could not be written, or is not by `deadline_ms`.
    pub fn when_saved(&self, change: Change, now_ms: i64, deadline_ms: i64, then: WhenSaved) {
        self.saver.when_saved(change, now_ms, deadline_ms, then);
    }

    /// As [`TopicTable::when_saved`], and when the name servers know it, as far as they can be reached: whoever made a
    /// topic may ask for its route at once (RocketMQ 4.9.8, TopicConfigManager.createTopicInSendMessageMethod). A name
    /// server that does not answer holds nobody up for long; it hears of the topic when it is back.
    pub fn when_settled(self: &Arc<Self>, change: Change, now_ms: i64, deadline_ms: i64, then: WhenSaved) {
        let table = Arc::clone(self);
        let number = self.changes();
        let when_announced = move |saved: Result<(), SaveError>| match saved {
            Err(e @ SaveError::Disk { .. }) => then(Err(e)),
            // A slave that is slow does not keep the name servers from being waited for.
            saved => {
                let late = now_ms + ANNOUNCED_WITHIN_MS;
                let then: WhenSaved = Box::new(move |announced| then(announced.and(saved)));
                if let Some(then) = table.announced.park(number as i64, now_ms, late, then) {
                    then(Ok(()));
                }
            }
        };
        self.saver
            .when_saved(change, now_ms, deadline_ms, Box::new(when_announced));
    }

    /// Ends waits whose time is over.
    pub fn expire(&self, now_ms: i64) {
        self.saver.expire(now_ms);
        for then in self.announced.take_expired(now_ms) {
            then(Ok(()));
        }
    }

    /// Waits until somebody waits for the file or the name servers.
    pub async fn wait_for_any(&self) {
        tokio::select! {
            () = self.saver.wait_for_any() => {}
            () = self.announced.wait_for_any() => {}
        }
    }

    /// The number of the last change.
    pub fn changes(&self) -> u64 {
        self.state.read().changes
    }

    /// The name servers know the topics up to this change, or cannot be reached.
    pub fn set_told(&self, change: u64) {
        for then in self.announced.advance(i64::try_from(change).unwrap_or(i64::MAX)) {
            then(Ok(()));
        }
    }

    /// Ticks with every change, for whoever registers the broker.
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl SettingsListener for TopicTable {
    fn changed(&self, change: &SettingsChange) {
        let broker = &change.after.broker;
        if broker.auto_create_topic_enable {
            self.make_template(broker.default_topic_queue_nums, change.now_ms);
        }
    }
}

impl ConfigFile for TopicTable {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        config_file::pretty(&self.file())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use disk::SimDisk;

    /// A change on either side in the same millisecond gives both tables the same version.
    #[test]
    fn a_masters_table_is_taken_over_though_the_own_one_has_its_version() {
        let disk = SimDisk::new();
        let id = Identity::of(&Settings::default());
        let load = || TopicTable::load(&disk, "/topics.json".into(), &id, 1).unwrap();
        let (master, slave) = (load(), load());
        let named = |name: &str| topic(name, 4, perm::READ | perm::WRITE);
        slave.replace(master.file(), 2);
        slave.put(named("own"), 3).unwrap();
        master.put(named("theirs"), 3).unwrap();
        assert_eq!(slave.version(), master.version());
        slave.replace(master.file(), 4);
        assert!(slave.get("theirs").is_some() && slave.get("own").is_none());
        let before = slave.changes();
        slave.replace(master.file(), 5);
        assert_eq!(slave.changes(), before, "it is there already");
    }
}
