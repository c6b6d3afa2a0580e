//! `consumerFilter.json`: what consumers want of topics by expressions that are no tags, with their places in a bloom filter.
//!
//! A filter is registered by a heartbeat and told from others by its group, its topic and the version of its subscription. It is
//! compiled when it is registered and again when its text changes. When the group's last member goes it is dead, and stays for a
//! day: bitmaps go on being written for it, so that a group that comes back is spared the messages it does not want. After a start
//! all are dead.
//!
//! Unlike Java: what they occupy is bounded; when there is no more room the dead ones go first.
//!
//! Rules: RocketMQ 4.9.8, ConsumerFilterManager, ConsumerFilterData, CommitLogDispatcherCalcBitMap.

mod compiled;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use disk::{Clock, Disk};
use filter::{Bloom, Expression, Filter, Refused};
use parking_lot::RwLock;
use protocol::body::broker::SubscriptionData;
use protocol::body::de;
use remoting::budget::{Budget, Exhausted, Share};
use serde::{Deserialize, Serialize};

use super::config_file::{LoadError, load, pretty};
use super::saver::{ConfigFile, Saver};
use compiled::Compiled;
pub use wanted::{BitmapSource, ConsumerFilter, RetryFilter};

/// A subscription of which nobody knows whether its consumer lives counts as dead since so long before the start.
const DEAD_BEFORE_START_MS: i64 = 30_000;
/// Bytes that filters may occupy, and bytes of one beside its texts and what is made of them.
const FILTERS_MAX_BYTES: usize = 128 << 20;
const FILTER_BYTES: usize = 1024;
/// How many filters of a topic are asked about each message for its bitmap, under the reput lock.
const ASKED_MAX: usize = 256;
/// The type of expressions that are compiled.
pub const SQL92: &str = "SQL92";

/// Is it a type of tag expressions?
pub fn is_tag_type(expression_type: &str) -> bool {
    expression_type.is_empty() || expression_type == "TAG"
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    /// Topic to its filters.
    #[serde(deserialize_with = "de::or_default")]
    filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopicFilters {
    #[serde(deserialize_with = "de::or_default")]
    group_filter_data: BTreeMap<String, FilterData>,
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FilterData {
    #[serde(skip_serializing_if = "Option::is_none")]
    bloom_filter_data: Option<BloomData>,
    #[serde(deserialize_with = "de::scalar")]
    born_time: i64,
    #[serde(deserialize_with = "de::scalar")]
    client_version: i64,
    #[serde(deserialize_with = "de::scalar")]
    consumer_group: String,
    #[serde(deserialize_with = "de::scalar")]
    dead: bool,
    #[serde(deserialize_with = "de::scalar")]
    dead_time: i64,
    #[serde(deserialize_with = "de::scalar")]
    expression: String,
    #[serde(deserialize_with = "de::scalar")]
    expression_type: String,
    #[serde(deserialize_with = "de::scalar")]
    topic: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BloomData {
    #[serde(deserialize_with = "de::scalar")]
    bit_num: i32,
    #[serde(deserialize_with = "de::scalars")]
    bit_pos: Vec<i32>,
}

impl BloomData {
    fn of(bloom: Bloom, group: &str, topic: &str) -> Self {
        BloomData {
            bit_num: bloom.bits,
            bit_pos: bloom.positions(group, topic),
        }
    }

    fn fits(&self, bloom: Bloom) -> bool {
        self.bit_num == bloom.bits && self.bit_pos.len() == bloom.hashes
    }
}

impl FilterData {
    /// Java writes this beside the times and does not read it.
    fn is_dead(&self) -> bool {
        self.dead_time >= self.born_time
    }

    fn die(&mut self, now: i64) {
        self.dead_time = now;
        self.dead = self.is_dead();
    }

    fn revive(&mut self) {
        self.dead_time = 0;
        self.dead = self.is_dead();
    }
}

/// A filter in the table.
struct Entry {
    data: FilterData,
    /// What pulls get of it; none if its expression does not compile.
    filter: Option<Arc<ConsumerFilter>>,
    _share: Share,
}

/// A filter as a pull finds it.
pub struct Registered {
    /// What it lets through.
    pub filter: Arc<ConsumerFilter>,
    /// Of its subscription: when the client made it, ms.
    pub version: i64,
}

#[derive(Default)]
struct Entries {
    /// Topic to group to filter.
    by_topic: HashMap<String, BTreeMap<String, Entry>>,
    /// Group to the topics that it has filters for.
    by_group: HashMap<String, BTreeSet<String>>,
}

/// What a subscription does to the table.
enum Step {
    /// Nothing is new.
    Nothing,
    /// It is alive, of this version.
    Alive,
    /// Its expression is another one, or it was not known.
    Replace,
}

/// The filters of all groups for all topics.
pub struct FilterTable {
    entries: RwLock<Entries>,
    bloom: Bloom,
    compiled: Compiled,
    budget: Arc<Budget>,
    saver: Saver,
    clock: Arc<dyn Clock>,
}

impl FilterTable {
    /// Reads the file at `path`. Filters that were made for another bloom filter go, all of them if one is; the others are dead
    /// until their consumers come back.
    pub fn load<D: Disk>(
        disk: &D,
        path: PathBuf,
        bloom: Bloom,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LoadError> {
        let saver = Saver::new(path.clone());
        let file: File = load(disk, &path)?.content(&saver);
        let table = Self {
            entries: RwLock::default(),
            bloom,
            compiled: Compiled::default(),
            budget: Budget::new("CONSUMER_FILTERS", FILTERS_MAX_BYTES),
            saver,
            clock,
        };
        if table.take_over(file) {
            table.saver.touch();
        }
        Ok(table)
    }

    /// True if something changed.
    fn take_over(&self, file: File) -> bool {
        let groups = file.filter_data_by_topic.into_iter();
        let all: Vec<(String, String, FilterData)> = groups
            .flat_map(|(topic, filters)| {
                let filters = filters.group_filter_data.into_iter();
                filters.map(move |(group, data)| (topic.clone(), group, data))
            })
            .collect();
        let fits = |data: &FilterData| {
            data.bloom_filter_data
                .as_ref()
                .is_some_and(|data| data.fits(self.bloom))
        };
        if !all.iter().all(|(_, _, data)| fits(data)) {
            tracing::warn!(
                "consumerFilter.json was made for another expectConsumerNumUseFilter or maxErrorRateOfBloomFilter; its {} \
                 filters are dropped",
                all.len()
            );
            return true;
        }
        let now = self.clock.now_ms();
        let (mut entries, mut changed) = (self.entries.write(), false);
        for (topic, group, mut data) in all {
            if data.dead_time == 0 {
                data.die(data.born_time.max(now - DEAD_BEFORE_START_MS));
                changed = true;
            }
            let compiled = match data.expression_type.as_str() {
                SQL92 => self
                    .compiled
                    .get(&data.expression)
                    .map_err(|refused| refused.to_string()),
                other => Err(format!("its type is {other}")),
            };
            let compiled = compiled.inspect_err(|why| {
                tracing::warn!("the filter of {group} for {topic} lets nothing through: {why}");
            });
            let expression = compiled.ok();
            // It is there already, whatever the limit.
            let share = self.budget.count(bytes_of(&data, expression.as_deref()));
            entries.put(&topic, &group, self.entry(data, expression, share));
        }
        changed
    }

    fn entry(&self, data: FilterData, expression: Option<Arc<Expression>>, share: Share) -> Entry {
        let filter = expression.map(|expression| {
            let bloom = data.bloom_filter_data.clone().unwrap_or_default();
            Arc::new(ConsumerFilter {
                expression,
                positions: bloom.bit_pos.into(),
                bitmap_len: self.bloom.bytes(),
                born_ms: data.born_time,
            })
        });
        Entry {
            data,
            filter,
            _share: share,
        }
    }

    /// What filters occupy.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Compiles an expression, or finds it compiled.
    pub fn compile(&self, text: &str) -> Result<Arc<Expression>, Refused> {
        self.compiled.get(text)
    }

    /// Takes in what a group subscribes to, as its heartbeat says. Its filters for other topics are dead. Where there is no
    /// room for a new filter, it and those behind it are not taken in.
    pub fn register(
        &self,
        address: IpAddr,
        group: &str,
        subscriptions: &[SubscriptionData],
    ) -> Result<(), Exhausted> {
        for subscription in subscriptions {
            if !is_tag_type(&subscription.expression_type) && !subscription.sub_string.is_empty() {
                self.register_one(address, group, subscription)?;
            }
        }
        let is_wanted = |topic: &str| {
            subscriptions
                .iter()
                .any(|subscription| subscription.topic == topic)
        };
        self.bury(group, |topic| !is_wanted(topic));
        Ok(())
    }

    /// The group has no member any more.
    pub fn unregister(&self, group: &str) {
        self.bury(group, |_| true);
    }

    /// The group is there, with the subscriptions that are known: a filter of one of them is not dead, whatever a member that
    /// left a moment before made of it.
    pub fn keep_alive(&self, group: &str, is_subscribed: impl Fn(&str) -> bool) {
        self.change(group, |topic, data| {
            let is_needed = data.is_dead() && is_subscribed(topic);
            if is_needed {
                data.revive();
            }
            is_needed
        });
    }

    /// Marks filters of a group dead.
    fn bury(&self, group: &str, is_meant: impl Fn(&str) -> bool) {
        let now = self.clock.now_ms();
        self.change(group, |topic, data| {
            let is_alive = !data.is_dead() && is_meant(topic);
            if is_alive {
                data.die(now);
            }
            is_alive
        });
    }

    /// Changes filters of a group; `change` says whether it did.
    fn change(&self, group: &str, change: impl Fn(&str, &mut FilterData) -> bool) {
        // Nearly no group has filters.
        if !self.entries.read().by_group.contains_key(group) {
            return;
        }
        let mut entries = self.entries.write();
        let Entries { by_topic, by_group } = &mut *entries;
        let mut changed = false;
        for topic in by_group.get(group).into_iter().flatten() {
            let entry = by_topic.get_mut(topic).and_then(|groups| groups.get_mut(group));
            if let Some(entry) = entry {
                changed |= change(topic, &mut entry.data);
            }
        }
        drop(entries);
        if changed {
            self.saver.touch();
        }
    }

    fn register_one(
        &self,
        address: IpAddr,
        group: &str,
        subscription: &SubscriptionData,
    ) -> Result<(), Exhausted> {
        let topic = subscription.topic.as_str();
        let step = self.entries.read().step(group, subscription, self.bloom);
        match step {
            Step::Nothing => return Ok(()),
            Step::Alive => {
                self.entries.write().revive(group, subscription);
                self.saver.touch();
                return Ok(());
            }
            Step::Replace => {}
        }
        // Without the lock. What was decided is decided again with it.
        let compiled = match subscription.expression_type.as_str() {
            SQL92 => self
                .compile(&subscription.sub_string)
                .map_err(|refused| refused.to_string()),
            other => Err(format!("{other} is no type of expressions")),
        };
        let bloom = BloomData::of(self.bloom, group, topic);
        let mut data = FilterData {
            bloom_filter_data: Some(bloom),
            client_version: subscription.sub_version,
            consumer_group: group.to_owned(),
            expression: subscription.sub_string.clone(),
            expression_type: subscription.expression_type.clone(),
            topic: topic.to_owned(),
            ..FilterData::default()
        };
        let expression = match compiled {
            Ok(expression) => expression,
            Err(why) => {
                // Pulls of it are refused from now on, so that the client hears of it.
                tracing::debug!("the filter of {group} for {topic} does not compile: {why}");
                if self.entries.write().remove(group, topic) {
                    self.saver.touch();
                }
                return Ok(());
            }
        };
        let share = self.room(address, bytes_of(&data, Some(&expression)))?;
        let mut entries = self.entries.write();
        if let Step::Replace = entries.step(group, subscription, self.bloom) {
            // Under the lock: whoever writes the bitmap of a message that is stored later finds the filter.
            data.born_time = self.clock.now_ms();
            entries.put(topic, group, self.entry(data, Some(expression), share));
        }
        drop(entries);
        self.saver.touch();
        Ok(())
    }

    /// Room for a filter; the dead ones make way for it.
    fn room(&self, address: IpAddr, bytes: usize) -> Result<Share, Exhausted> {
        self.budget.take_for(address, bytes).or_else(|exhausted| {
            let dropped = self.entries.write().retain(|data| !data.is_dead());
            if dropped == 0 {
                return Err(exhausted);
            }
            tracing::warn!("{dropped} filters of consumers that are gone are dropped: {exhausted}");
            self.saver.touch();
            self.budget.take_for(address, bytes)
        })
    }

    /// The filter of a group for a topic; none if it is not known or does not compile.
    pub fn find(&self, topic: &str, group: &str) -> Option<Registered> {
        let entries = self.entries.read();
        let entry = entries.by_topic.get(topic)?.get(group)?;
        Some(Registered {
            filter: Arc::clone(entry.filter.as_ref()?),
            version: entry.data.client_version,
        })
    }

    /// The filter of a group for a topic as it is in the file; `null` if there is none.
    pub fn describe(&self, topic: &str, group: &str) -> String {
        let entries = self.entries.read();
        let entry = entries.by_topic.get(topic).and_then(|groups| groups.get(group));
        let text = protocol::body::write_pretty(&entry.map(|entry| &entry.data));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Does any group have a filter for the topic?
    pub fn has_any(&self, topic: &str) -> bool {
        self.entries.read().by_topic.contains_key(topic)
    }

    /// Writes the bitmap of a message to the end of `out`: which filters for its topic let it through. Nothing if there are
    /// none.
    pub fn write_bitmap(&self, topic: &str, properties: &[u8], out: &mut Vec<u8>) {
        let entries = self.entries.read();
        let Some(groups) = entries.by_topic.get(topic) else {
            return;
        };
        out.resize(self.bloom.bytes(), 0);
        let filters = groups.values().filter_map(|entry| entry.filter.as_ref());
        for (index, filter) in filters.enumerate() {
            // Bits that are set without need only make their group look at the record.
            let is_asked = index < ASKED_MAX && !filter.expression.is_slow();
            if !is_asked || filter.expression.matches(properties) {
                Bloom::set(&filter.positions, out);
            }
        }
    }

    /// Drops what has been dead for `span_ms` (`filterDataCleanTimeSpan`).
    pub fn clean(&self, span_ms: i64) {
        if self.entries.read().by_group.is_empty() {
            return;
        }
        let now = self.clock.now_ms();
        let dropped = self
            .entries
            .write()
            .retain(|data| !data.is_dead() || now - data.dead_time < span_ms);
        if dropped > 0 {
            self.saver.touch();
        }
    }
}

/// What a filter occupies.
fn bytes_of(data: &FilterData, expression: Option<&Expression>) -> usize {
    let names = 3 * (data.topic.len() + data.consumer_group.len());
    let made = expression.map_or(0, Filter::bytes);
    FILTER_BYTES + names + data.expression.len() + made
}

impl Entries {
    fn step(&self, group: &str, subscription: &SubscriptionData, bloom: Bloom) -> Step {
        let known = self
            .by_topic
            .get(&subscription.topic)
            .and_then(|groups| groups.get(group));
        let Some(Entry { data, .. }) = known else {
            return Step::Replace;
        };
        let version = subscription.sub_version;
        if version < data.client_version || (version == data.client_version && !data.is_dead()) {
            return Step::Nothing;
        }
        let is_same = data.expression == subscription.sub_string
            && data.expression_type == subscription.expression_type
            && data.bloom_filter_data == Some(BloomData::of(bloom, group, &subscription.topic));
        match is_same || version == data.client_version {
            true => Step::Alive,
            false => Step::Replace,
        }
    }

    fn revive(&mut self, group: &str, subscription: &SubscriptionData) {
        let groups = self.by_topic.get_mut(&subscription.topic);
        if let Some(entry) = groups.and_then(|groups| groups.get_mut(group)) {
            let version = &mut entry.data.client_version;
            *version = subscription.sub_version.max(*version);
            entry.data.revive();
        }
    }

    fn put(&mut self, topic: &str, group: &str, entry: Entry) {
        let groups = self.by_topic.entry(topic.to_owned()).or_default();
        groups.insert(group.to_owned(), entry);
        let topics = self.by_group.entry(group.to_owned()).or_default();
        topics.insert(topic.to_owned());
    }

    /// True if it was there.
    fn remove(&mut self, group: &str, topic: &str) -> bool {
        let Some(groups) = self.by_topic.get_mut(topic) else {
            return false;
        };
        let was_there = groups.remove(group).is_some();
        if groups.is_empty() {
            self.by_topic.remove(topic);
        }
        if let Some(topics) = self.by_group.get_mut(group) {
            topics.remove(topic);
            if topics.is_empty() {
                self.by_group.remove(group);
            }
        }
        was_there
    }

    /// Keeps what is to be kept; gives how many were dropped.
    fn retain(&mut self, keep: impl Fn(&FilterData) -> bool) -> usize {
        let all = self.by_topic.iter().flat_map(|(topic, groups)| {
            let dropped = groups.iter().filter(|(_, entry)| !keep(&entry.data));
            dropped.map(move |(group, _)| (group.clone(), topic.clone()))
        });
        let dropped: Vec<(String, String)> = all.collect();
        for (group, topic) in &dropped {
            self.remove(group, topic);
        }
        dropped.len()
    }
}

impl ConfigFile for FilterTable {
    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn text(&self, _now_ms: i64) -> Vec<u8> {
        let entries = self.entries.read();
        let topics = entries.by_topic.iter().map(|(topic, groups)| {
            let data = groups
                .iter()
                .map(|(group, entry)| (group.clone(), entry.data.clone()));
            let filters = TopicFilters {
                group_filter_data: data.collect(),
                topic: topic.clone(),
            };
            (topic.clone(), filters)
        });
        pretty(&File {
            filter_data_by_topic: topics.collect(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use disk::{SimClock, SimDisk};
    use serde_json::Value;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    const DAY: i64 = 86_400_000;
    const BLOOM: Bloom = Bloom { bits: 112, hashes: 3 };
    const PATH: &str = "/config/consumerFilter.json";

    /// A table over a file with this content, at a time.
    fn table_of(content: &str, bloom: Bloom, now: i64) -> (FilterTable, SimClock) {
        let (disk, clock) = (SimDisk::new(), SimClock::at(now));
        if !content.is_empty() {
            disk.put(PATH.as_ref(), content.as_bytes());
        }
        let table = FilterTable::load(&disk, PATH.into(), bloom, Arc::new(clock.clone())).unwrap();
        (table, clock)
    }

    fn table(now: i64) -> (FilterTable, SimClock) {
        table_of("", BLOOM, now)
    }

    fn move_to(clock: &SimClock, now: i64) {
        clock.advance(now - clock.now_ms());
    }

    /// As Java writes it.
    fn file(born: i64) -> String {
        format!(
            r#"{{"filterDataByTopic":{{"T":{{"groupFilterData":{{"g":{{"bloomFilterData":{{"bitNum":112,"bitPos":[7,4,30]}},
            "bornTime":{born},"clientVersion":5,"consumerGroup":"g","dead":false,"deadTime":0,"expression":"a > 1",
            "expressionType":"SQL92","topic":"T"}}}},"topic":"T"}}}}}}"#
        )
    }

    fn subscription(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: expression.into(),
            expression_type: SQL92.into(),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    /// What the file says of a group's filter for a topic.
    fn data(table: &FilterTable, topic: &str, group: &str) -> Option<Value> {
        let file: Value = serde_json::from_slice(&table.text(0)).unwrap();
        file["filterDataByTopic"][topic]["groupFilterData"]
            .get(group)
            .cloned()
    }

    fn numbers(table: &FilterTable, key: &str) -> i64 {
        data(table, "T", "g").unwrap()[key].as_i64().unwrap()
    }

    fn is_dead(table: &FilterTable, topic: &str) -> bool {
        data(table, topic, "g").unwrap()["dead"] == Value::Bool(true)
    }

    #[test]
    fn the_bloom_filter_has_javas_size() {
        assert_eq!(Bloom::of(32, 20), BLOOM, "the defaults");
    }

    #[test]
    fn after_a_start_a_filter_is_dead_and_goes_after_a_day() {
        let (table, clock) = table_of(&file(1000), BLOOM, 100_000);
        assert_eq!(
            (numbers(&table, "deadTime"), is_dead(&table, "T")),
            (70_000, true)
        );
        assert!(table.saver.is_behind());
        move_to(&clock, 70_000 + DAY - 1);
        table.clean(DAY);
        assert!(table.find("T", "g").is_some());
        move_to(&clock, 70_000 + DAY);
        table.clean(DAY);
        assert!(table.find("T", "g").is_none() && !table.has_any("T"));
        assert_eq!((table.budget.used(), table.entries.read().by_group.len()), (0, 0));
        // Never dead before it was born.
        let (young, _) = table_of(&file(99_999), BLOOM, 100_000);
        assert_eq!(numbers(&young, "deadTime"), 99_999);
        // Who was dead before stays so since then.
        let text = file(1000).replace(r#""deadTime":0"#, r#""deadTime":2000"#);
        let (long_dead, _) = table_of(&text, BLOOM, 100_000);
        assert_eq!(numbers(&long_dead, "deadTime"), 2000);
    }

    #[test]
    fn filters_of_another_bloom_filter_go() {
        let (table, _) = table_of(&file(1000), Bloom::of(100, 20), 100_000);
        assert!(table.find("T", "g").is_none() && table.saver.is_behind());
    }

    #[test]
    fn a_file_goes_on_as_its_consumers_come_back() {
        let (table, clock) = table_of(&file(1000), BLOOM, 100_000);
        move_to(&clock, 200_000);
        table
            .register(ADDRESS, "g", &[subscription("T", "a > 1", 5)])
            .unwrap();
        assert!(!is_dead(&table, "T"));
        assert_eq!(
            (numbers(&table, "bornTime"), numbers(&table, "deadTime")),
            (1000, 0)
        );
        // Its bits are not those that the names have: bitmaps before this are not to be believed.
        table
            .register(ADDRESS, "g", &[subscription("T", "a > 1", 6)])
            .unwrap();
        assert_eq!(numbers(&table, "bornTime"), 200_000);
        assert_eq!(
            data(&table, "T", "g").unwrap()["bloomFilterData"]["bitPos"],
            serde_json::json!(BLOOM.positions("g", "T"))
        );
        move_to(&clock, 300_000);
        table
            .register(ADDRESS, "g", &[subscription("T", "a > 1", 7)])
            .unwrap();
        assert_eq!(
            (numbers(&table, "bornTime"), numbers(&table, "clientVersion")),
            (200_000, 7)
        );
    }

    #[test]
    fn the_newest_version_counts() {
        let (table, clock) = table(1000);
        let matches = |properties: &[u8]| {
            let found = table.find("T", "g").unwrap();
            (found.version, found.filter.expression.matches(properties))
        };
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 1", 5)])
            .unwrap();
        assert_eq!(matches(b"a\x011"), (5, true));
        move_to(&clock, 2000);
        for version in [4, 5] {
            table
                .register(ADDRESS, "g", &[subscription("T", "a = 2", version)])
                .unwrap();
            assert_eq!(matches(b"a\x011"), (5, true), "{version}");
        }
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 2", 6)])
            .unwrap();
        assert_eq!(
            (matches(b"a\x011"), numbers(&table, "bornTime")),
            ((6, false), 2000)
        );
        // An expression that does not compile takes the old one away, and its pulls are told so.
        table
            .register(ADDRESS, "g", &[subscription("T", "a =", 7)])
            .unwrap();
        assert!(table.find("T", "g").is_none());
        table.register(ADDRESS, "g", &[subscription("T", "", 8)]).unwrap();
        table
            .register(
                ADDRESS,
                "g",
                &[SubscriptionData {
                    expression_type: "XPATH".into(),
                    ..subscription("T", "a", 9)
                }],
            )
            .unwrap();
        table
            .register(
                ADDRESS,
                "g",
                &[SubscriptionData {
                    expression_type: "TAG".into(),
                    ..subscription("T", "a", 10)
                }],
            )
            .unwrap();
        assert!(table.find("T", "g").is_none() && table.entries.read().by_group.is_empty());
    }

    #[test]
    fn who_leaves_or_wants_other_topics_is_dead() {
        let (table, clock) = table(1000);
        table
            .register(
                ADDRESS,
                "g",
                &[subscription("T", "a = 1", 5), subscription("U", "b = 1", 5)],
            )
            .unwrap();
        table
            .register(ADDRESS, "h", &[subscription("T", "a = 1", 5)])
            .unwrap();
        move_to(&clock, 2000);
        table
            .register(ADDRESS, "g", &[subscription("U", "b = 1", 5)])
            .unwrap();
        assert_eq!((is_dead(&table, "T"), is_dead(&table, "U")), (true, false));
        assert_eq!(numbers(&table, "deadTime"), 2000);
        table.unregister("g");
        assert!(is_dead(&table, "U") && data(&table, "T", "h").unwrap()["dead"] == Value::Bool(false));
        // Until a heartbeat says otherwise, be it a short one.
        table.keep_alive("g", |topic| topic == "U");
        assert_eq!((is_dead(&table, "T"), is_dead(&table, "U")), (true, false));
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 1", 5)])
            .unwrap();
        assert_eq!((is_dead(&table, "T"), is_dead(&table, "U")), (false, true));
        move_to(&clock, 2000 + DAY);
        table.clean(DAY);
        assert!(table.find("T", "g").is_some() && table.find("U", "g").is_none());
    }

    #[test]
    fn a_change_is_saved_and_a_heartbeat_that_says_nothing_new_is_not() {
        let (table, _) = table(1000);
        let changes = || table.saver.latest();
        let before = changes();
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 1", 5)])
            .unwrap();
        let registered = changes();
        assert!(registered > before);
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 1", 5)])
            .unwrap();
        table.register(ADDRESS, "h", &[]).unwrap();
        table.unregister("h");
        table.keep_alive("g", |_| true);
        table.clean(DAY);
        assert_eq!(changes(), registered);
    }

    #[test]
    fn bitmaps_have_the_bits_of_those_that_let_a_message_through() {
        let (table, clock) = table(1000);
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 1", 5)])
            .unwrap();
        table
            .register(ADDRESS, "h", &[subscription("T", "a > 0", 5)])
            .unwrap();
        table.unregister("h");
        let bitmap = |properties: &[u8]| {
            let mut out = Vec::new();
            table.write_bitmap("T", properties, &mut out);
            out
        };
        let bits = |groups: &[&str]| {
            let mut out = vec![0; 14];
            groups
                .iter()
                .for_each(|group| Bloom::set(&BLOOM.positions(group, "T"), &mut out));
            out
        };
        assert_eq!(bitmap(b"a\x011"), bits(&["g", "h"]), "for the dead, too");
        assert_eq!(bitmap(b"a\x012"), bits(&["h"]));
        assert_eq!(bitmap(b""), bits(&[]));
        // What takes long to ask is not asked.
        let slow = format!("a = 'x' OR a IN ('{}')", "x".repeat(4000));
        table
            .register(ADDRESS, "slow", &[subscription("T", &slow, 5)])
            .unwrap();
        assert_eq!(bitmap(b""), bits(&["slow"]));
        table.unregister("slow");
        table.clean(0);
        table
            .register(ADDRESS, "h", &[subscription("T", "a > 0", 5)])
            .unwrap();
        let mut none = Vec::new();
        table.write_bitmap("U", b"a\x011", &mut none);
        assert!(none.is_empty() && !table.has_any("U"));

        use filter::Verdict::{AskRecord, Unwanted};
        let filter = table.find("T", "g").unwrap().filter;
        let verdict = |time, bitmap: &[u8]| filter.by_extension(0, time, bitmap);
        assert_eq!(verdict(1001, &bits(&["h"])), Unwanted);
        assert_eq!(
            verdict(1001, &bits(&["g"])),
            AskRecord,
            "others may have the same bits"
        );
        assert_eq!(
            verdict(1000, &bits(&["h"])),
            AskRecord,
            "it may have come before the filter"
        );
        assert_eq!(verdict(1001, &[]), AskRecord, "nobody wrote a bitmap");
        assert_eq!(verdict(1001, &[0; 16]), AskRecord, "it is of another size");
        assert_eq!(filter.by_unit(0), AskRecord);
        // Of a new expression old bitmaps say nothing.
        move_to(&clock, 5000);
        table
            .register(ADDRESS, "g", &[subscription("T", "a = 2", 6)])
            .unwrap();
        let filter = table.find("T", "g").unwrap().filter;
        assert_eq!(filter.by_extension(0, 4000, &bits(&["h"])), AskRecord);
    }

    #[test]
    fn filters_are_refused_when_they_would_occupy_too_much_and_dead_ones_go_first() {
        let (table, _) = table(1000);
        let long = format!("a IN ('{}')", "x".repeat(60_000));
        let mut count = 0;
        let refused = loop {
            match table.register(ADDRESS, &format!("g{count}"), &[subscription("T", &long, 5)]) {
                Ok(()) => count += 1,
                Err(exhausted) => break exhausted,
            }
        };
        assert_eq!(refused.name, "CONSUMER_FILTERS");
        assert!(count > 10 && table.budget.used() <= FILTERS_MAX_BYTES, "{count}");
        table.unregister("g3");
        table
            .register(ADDRESS, "new", &[subscription("T", &long, 5)])
            .unwrap();
        assert!(table.find("T", "g3").is_none() && table.find("T", "g4").is_some());
    }
}
