//! The tables behind the lock, and the steps that are made while it is held.
//!
//! No step grows with the number of topics: what concerns many topics is made of many steps, and others have the lock in
//! between. What makes that sound is a number, the *turn*. Each change takes the next one, and each entry remembers the turn
//! that wrote it.
//! - An entry is of a broker name that is here only if it was written since that name came. A broker that goes, and comes
//!   again, so leaves nothing behind that could be seen, however long it takes to take its entries out.
//! - A change that is made in steps leaves alone what a later change wrote meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::body::namesrv::{BrokerData, QueueData, RegisterBrokerBody, TopicConfigTable};
use protocol::body::{DataVersion, TopicConfig};
use protocol::header::namesrv::{BrokerIdentity, RegisterBrokerRequestHeader};
use remoting::Peer;
use serde_json::Value;

use super::{MASTER, Notice, Permission, READ, RegisterError, Registered, WRITE};
use crate::limits::ENTRY;

/// How long a broker is alive that does not say how long.
const ALIVE: Duration = Duration::from_secs(120);
/// Entries that are looked at in one step.
pub(super) const STEP: usize = 256;

/// A topic's queues on one broker name.
pub(super) struct Queues {
    name: Arc<str>,
    perm: i32,
    read_queue_nums: i32,
    write_queue_nums: i32,
    pub(super) topic_sys_flag: i32,
    /// The turn that wrote this.
    turn: u64,
}

/// A broker name that is here.
pub(super) struct Named {
    pub(super) data: BrokerData,
    name: Arc<str>,
    /// The turn in which the name came.
    since: u64,
    /// Queues written up to this turn are read-only: an acting master was all that was left.
    read_only_to: u64,
}

/// Queues that are to be seen, and whose.
pub(super) type Seen<'a> = (&'a Queues, &'a Named);

/// Mapping of a static topic.
struct Mapping {
    text: Value,
    turn: u64,
}

/// A broker that registered.
pub(super) struct Live {
    pub(super) seen: Instant,
    pub(super) alive_for: Duration,
    pub(super) version: DataVersion,
    pub(super) connection: Arc<dyn Peer>,
    pub(super) ha_server_addr: String,
    /// Fingerprint of the last table taken whole, and the number of removals then: the same table again changes nothing.
    pub(super) known: Option<((usize, u64), u64)>,
}

/// Cluster and address.
pub(super) type BrokerKey = (String, String);

#[derive(Default)]
pub(super) struct Tables {
    /// Topic → its queues on each broker name, sorted by that.
    topics: BTreeMap<Arc<str>, Vec<Queues>>,
    /// Broker name → its brokers.
    pub(super) brokers: BTreeMap<String, Named>,
    /// Cluster → broker names.
    pub(super) clusters: BTreeMap<String, BTreeSet<String>>,
    /// The broker there.
    pub(super) live: HashMap<BrokerKey, Live>,
    /// Its filter servers.
    pub(super) filters: HashMap<BrokerKey, Vec<String>>,
    /// Topic → broker name → mapping of a static topic.
    mappings: BTreeMap<String, BTreeMap<String, Mapping>>,
    /// Changes so far.
    turn: u64,
    /// How often topics were taken out.
    pub(super) removals: u64,
    /// About the bytes of all this, counted by [`cost`].
    pub(super) bytes: usize,
    /// How many there may be.
    max_bytes: usize,
    /// Entries of broker names that are gone wait to be taken out.
    pub(super) stale: bool,
}

/// What a registration's topics are entered with, step by step.
pub(super) struct Entering {
    name: Arc<str>,
    since: u64,
    turn: u64,
    key: BrokerKey,
    /// Whether the broker's table is another than the last one: what is there already is written again then.
    changed: bool,
    read_only: bool,
    removals: u64,
}

/// Bytes that an entry with such names takes.
pub(super) fn cost<const N: usize>(names: [&str; N]) -> usize {
    ENTRY + names.iter().map(|name| name.len()).sum::<usize>()
}

/// Bytes of a broker's entries: its name is bounded, and stands in three tables.
fn broker_cost((cluster, address): &BrokerKey) -> usize {
    4 * cost([cluster, address])
}

fn mapping_cost(topic: &str, broker: &str, mapping: &Value) -> usize {
    // The text of a JSON value, several times over, is about what it takes in memory.
    cost([topic, broker]) + 4 * mapping.to_string().len()
}

fn key_of(header: &RegisterBrokerRequestHeader) -> BrokerKey {
    (header.cluster_name.clone(), header.broker_addr.clone())
}

pub(super) fn alive_for(header: &RegisterBrokerRequestHeader) -> Duration {
    let given = header
        .heartbeat_timeout_millis
        .and_then(|ms| u64::try_from(ms).ok());
    given.map_or(ALIVE, Duration::from_millis)
}

/// The key of the map is what Java looks up, the name inside what it enters; they are the same.
fn topic_name<'a>(topic: &'a str, config: &'a TopicConfig) -> &'a str {
    match config.topic_name.as_str() {
        "" => topic,
        name => name,
    }
}

/// What follows a key that was looked at last.
fn after<T: ?Sized>(last: Option<&T>) -> (Bound<&T>, Bound<&T>) {
    (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// Topics whose names were looked at last, for the next step.
#[derive(Default)]
pub(super) struct Cursor(Option<Arc<str>>);

impl Cursor {
    /// The topics of one step; when there are none, all have been looked at.
    fn step<'a>(
        &mut self,
        topics: &'a BTreeMap<Arc<str>, Vec<Queues>>,
    ) -> Option<Vec<(&'a Arc<str>, &'a Vec<Queues>)>> {
        let mut entries = 0;
        let step: Vec<_> = topics
            .range::<str, _>(after(self.0.as_deref()))
            .take_while(|(_, queues)| {
                let fits = entries < STEP;
                entries += 1 + queues.len();
                fits
            })
            .collect();
        let (last, _) = step.last()?;
        self.0 = Some(Arc::clone(last));
        Some(step)
    }
}

impl Named {
    fn has(&self, turn: u64) -> bool {
        turn >= self.since
    }
}

/// Topics.
impl Tables {
    pub(super) fn of(max_bytes: usize) -> Tables {
        Tables {
            max_bytes,
            ..Tables::default()
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// The broker name of an entry, if it is still the one that the entry is of.
    fn named(&self, name: &str, turn: u64) -> Option<&Named> {
        self.brokers.get(name).filter(|named| named.has(turn))
    }

    /// What there is to see of a topic's queues, with their broker names.
    pub(super) fn seen<'a>(&'a self, queues: &'a [Queues]) -> impl Iterator<Item = Seen<'a>> {
        queues
            .iter()
            .filter_map(|of| Some((of, self.named(&of.name, of.turn)?)))
    }

    /// A topic's queues; empty if it is not here.
    pub(super) fn queues(&self, topic: &str) -> &[Queues] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }

    /// Topics, those of broker names that are gone included.
    pub(super) fn topics_len(&self) -> usize {
        self.topics.len()
    }

    /// Mappings of a static topic.
    pub(super) fn mappings(&self, topic: &str) -> Option<BTreeMap<String, Value>> {
        let seen = self.mappings.get(topic)?.iter();
        let seen = seen.filter(|(name, mapping)| self.named(name, mapping.turn).is_some());
        let seen: BTreeMap<_, _> = seen
            .map(|(name, mapping)| (name.clone(), mapping.text.clone()))
            .collect();
        (!seen.is_empty()).then_some(seen)
    }

    /// Names of the topics of one step that are `wanted`; `None` when all have been looked at.
    pub(super) fn names_of_step(
        &self,
        cursor: &mut Cursor,
        wanted: impl Fn(&[Seen<'_>]) -> bool,
    ) -> Option<Vec<String>> {
        let mut seen = Vec::new();
        let step = cursor.step(&self.topics)?;
        let names = step.into_iter().filter(|(_, queues)| {
            seen.clear();
            seen.extend(self.seen(queues));
            !seen.is_empty() && wanted(&seen)
        });
        Some(names.map(|(name, _)| name.to_string()).collect())
    }

    /// # Errors
    /// With so many bytes more there would be too many.
    pub(super) fn has_room(&self, more: usize) -> Result<(), RegisterError> {
        let (bytes, max) = (self.bytes + more, self.max_bytes);
        if bytes > max {
            tracing::warn!("the route tables are full: {bytes} bytes, more than {max}");
            return Err(RegisterError::Full { bytes, max });
        }
        Ok(())
    }

    fn place(queues: &[Queues], name: &str) -> Result<usize, usize> {
        queues.binary_search_by(|of| (*of.name).cmp(name))
    }

    /// Bytes that a topic on a broker name would add.
    pub(super) fn added(&self, name: &str, topic: &str, config: &TopicConfig) -> usize {
        let topic = topic_name(topic, config);
        match self.topics.get(topic) {
            Some(queues) if Self::place(queues, name).is_ok() => 0,
            Some(_) => cost([name]),
            None => cost([topic]) + cost([name]),
        }
    }

    /// Bytes that the rest of a registration would add.
    pub(super) fn added_beside(header: &RegisterBrokerRequestHeader, body: &RegisterBrokerBody) -> usize {
        let table = &body.topic_config_serialize_wrapper;
        let mappings = table.topic_queue_mapping_info_map.iter();
        let mappings = mappings.map(|(topic, mapping)| mapping_cost(topic, &header.broker_name, mapping));
        let filters = body.filter_server_list.iter().map(|filter| cost([filter]));
        mappings.chain(filters).sum::<usize>() + broker_cost(&key_of(header))
    }

    /// Enters a topic's queues on a broker name.
    ///
    /// # Errors
    /// There is no room for it.
    fn put_queues(&mut self, topic: &str, new: Queues) -> Result<(), RegisterError> {
        let place = self
            .topics
            .get(topic)
            .map(|queues| Self::place(queues, &new.name));
        let more = match place {
            Some(Ok(_)) => 0,
            Some(Err(_)) => cost([&new.name]),
            None => cost([topic]) + cost([&new.name]),
        };
        self.has_room(more)?;
        self.bytes += more;
        if place.is_none() {
            self.topics.insert(topic.into(), vec![new]);
        } else if let Some(queues) = self.topics.get_mut(topic) {
            match Self::place(queues, &new.name) {
                Ok(at) => {
                    if let Some(old) = queues.get_mut(at) {
                        *old = new;
                    }
                }
                Err(at) => queues.insert(at, new),
            }
        }
        Ok(())
    }

    /// REGISTER_TOPIC_IN_NAMESRV: queues of broker names that are here.
    pub(super) fn put_topic(&mut self, topic: &str, queues: Vec<QueueData>) -> Result<(), RegisterError> {
        let more = queues.iter().map(|of| cost([topic]) + cost([&of.broker_name]));
        self.has_room(more.sum())?;
        let turn = self.next_turn();
        for of in queues {
            let Some(named) = self.brokers.get(&of.broker_name) else {
                continue;
            };
            let new = Queues {
                name: Arc::clone(&named.name),
                perm: of.perm,
                read_queue_nums: of.read_queue_nums,
                write_queue_nums: of.write_queue_nums,
                topic_sys_flag: of.topic_sys_flag,
                turn,
            };
            self.put_queues(topic, new)?;
        }
        Ok(())
    }

    /// Takes a topic out of one broker name; true if it was there.
    pub(super) fn remove_queues(&mut self, topic: &str, name: &str) -> bool {
        self.remove_queues_before(topic, name, u64::MAX)
    }

    /// The same if it was written before that turn.
    fn remove_queues_before(&mut self, topic: &str, name: &str, turn: u64) -> bool {
        let Some(queues) = self.topics.get_mut(topic) else {
            return false;
        };
        let Ok(at) = Self::place(queues, name) else {
            return false;
        };
        if queues.get(at).is_none_or(|of| of.turn >= turn) {
            return false;
        }
        queues.remove(at);
        self.bytes -= cost([name]);
        self.removals += 1;
        tracing::info!("deleteTopic, remove one broker's topic {name} {topic}");
        if queues.is_empty() {
            self.topics.remove(topic);
            self.bytes -= cost([topic]);
            tracing::info!("deleteTopic, remove the topic all queue {topic}");
        }
        true
    }

    /// Takes a topic out everywhere.
    pub(super) fn remove_topic(&mut self, topic: &str) {
        if let Some(queues) = self.topics.remove(topic) {
            let freed = queues.iter().map(|of| cost([&of.name])).sum::<usize>();
            self.bytes -= cost([topic]) + freed;
            self.removals += 1;
            tracing::info!("deleteTopic, remove the topic all queue {topic}");
        }
    }

    /// The turn of a change of permissions.
    pub(super) fn begin_permission(&mut self) -> u64 {
        self.next_turn()
    }

    /// One step of it; how many topics it changed, or nothing when all have been looked at.
    pub(super) fn change_permission(
        &mut self,
        cursor: &mut Cursor,
        name: &str,
        change: Permission,
        turn: u64,
    ) -> Option<i32> {
        let step = cursor.step(&self.topics)?;
        let topics: Vec<Arc<str>> = step.into_iter().map(|(topic, _)| Arc::clone(topic)).collect();
        let mut count = 0;
        let Some(named) = self.brokers.get(name) else {
            return Some(0);
        };
        for topic in topics {
            let queues = self.topics.get_mut(&topic);
            let of = queues.and_then(|queues| {
                let at = Self::place(queues, name).ok()?;
                queues.get_mut(at)
            });
            let Some(of) = of.filter(|of| named.has(of.turn)) else {
                continue;
            };
            count += 1;
            if of.turn < turn {
                of.perm = match change {
                    Permission::WipeWrite => of.perm & !WRITE,
                    Permission::Add => READ | WRITE,
                };
                of.turn = turn;
            }
        }
        Some(count)
    }

    /// Takes entries of broker names that are gone out, one step of them; false when all have been looked at.
    pub(super) fn clean_step(&mut self, cursor: &mut Cursor) -> bool {
        let Some(step) = cursor.step(&self.topics) else {
            return false;
        };
        let stale = |queues: &[Queues]| self.seen(queues).count() < queues.len();
        let step = step.into_iter().filter(|(_, queues)| stale(queues));
        let topics: Vec<Arc<str>> = step.map(|(topic, _)| Arc::clone(topic)).collect();
        for topic in topics {
            let mut queues = self.topics.remove(&topic).unwrap_or_default();
            queues.retain(|of| {
                let stays = self.named(&of.name, of.turn).is_some();
                self.bytes -= if stays { 0 } else { cost([&of.name]) };
                stays
            });
            if queues.is_empty() {
                self.bytes -= cost([&topic]);
            } else {
                self.topics.insert(topic, queues);
            }
        }
        true
    }

    /// The same for mappings; the last topic looked at, or nothing.
    pub(super) fn clean_mappings_step(&mut self, last: Option<&str>) -> Option<String> {
        let step = self.mappings.range::<str, _>(after(last)).take(STEP);
        let topics: Vec<String> = step.map(|(topic, _)| topic.clone()).collect();
        for topic in &topics {
            let mut brokers = self.mappings.remove(topic).unwrap_or_default();
            brokers.retain(|name, mapping| {
                let stays = self.named(name, mapping.turn).is_some();
                self.bytes -= match stays {
                    true => 0,
                    false => mapping_cost(topic, name, &mapping.text),
                };
                stays
            });
            if !brokers.is_empty() {
                self.mappings.insert(topic.clone(), brokers);
            }
        }
        topics.last().cloned()
    }
}

/// Registration.
impl Tables {
    pub(super) fn put_filters(&mut self, key: BrokerKey, filters: Vec<String>) {
        let bytes = |filters: &[String]| filters.iter().map(|filter| cost([filter])).sum::<usize>();
        self.bytes += bytes(&filters);
        let old = match filters.is_empty() {
            true => self.filters.remove(&key),
            false => self.filters.insert(key, filters),
        };
        self.bytes -= old.map_or(0, |old| bytes(&old));
    }

    fn put_live(&mut self, key: BrokerKey, live: Live) -> bool {
        let bytes = broker_cost(&key);
        let new = self.live.insert(key, live).is_none();
        self.bytes += if new { bytes } else { 0 };
        new
    }

    fn remove_live(&mut self, key: &BrokerKey) -> bool {
        let was_here = self.live.remove(key).is_some();
        self.bytes -= if was_here { broker_cost(key) } else { 0 };
        was_here
    }

    fn put_mapping(&mut self, topic: &str, broker: String, text: Value, turn: u64) {
        self.bytes += mapping_cost(topic, &broker, &text);
        let new = Mapping { text, turn };
        let brokers = self.mappings.entry(topic.to_owned()).or_default();
        let old = brokers.insert(broker.clone(), new);
        self.bytes -= old.map_or(0, |old| mapping_cost(topic, &broker, &old.text));
    }

    /// Enters a broker, not its topics, which adds `beside` bytes. The second value is what the topics are entered with, if
    /// they are to be.
    ///
    /// # Errors
    /// It is refused; nothing was changed.
    pub(super) fn begin(
        &mut self,
        broker: &super::Registration<'_>,
        beside: usize,
    ) -> Result<(Registered, Option<Entering>), RegisterError> {
        let header = broker.header;
        let table = &broker.body.topic_config_serialize_wrapper;
        let (id, address) = (header.broker_id, &header.broker_addr);
        let key = key_of(header);
        self.has_room(beside)?;
        if self.is_conflict(header, table) {
            self.remove_live(&key);
            return Ok((Registered::default(), None));
        }
        let known_id = self
            .brokers
            .get(&header.broker_name)
            .is_some_and(|named| named.data.broker_addrs.contains_key(&id));
        if !known_id && table.topic_config_table.len() == 1 && broker.version >= protocol::version::V5_0_0 {
            tracing::warn!(
                "broker {} {address} sent one topic before its whole table: refused, it will send the table",
                header.broker_name
            );
            return Err(RegisterError::IncrementFirst);
        }
        let turn = self.next_turn();
        let place = self.put_broker(header, turn);
        let version = table.data_version;
        let changed = place.first || self.live.get(&key).is_none_or(|live| live.version != version);
        let live = Live {
            seen: broker.now,
            alive_for: alive_for(header),
            version,
            connection: Arc::clone(broker.connection),
            ha_server_addr: header.ha_server_addr.clone(),
            known: None,
        };
        if self.put_live(key.clone(), live) {
            tracing::info!(
                "new broker registered, {} {}[{id}] at {address}, HAService: {}",
                header.cluster_name,
                header.broker_name,
                header.ha_server_addr
            );
        }
        self.put_filters(key.clone(), broker.body.filter_server_list.clone());
        let notice = match place.became_lowest {
            true => self.notice(&header.broker_name, None),
            false => None,
        };
        let is_prime_slave = header.enable_acting_master.is_some() && id != MASTER && place.is_lowest;
        let entering = (id == MASTER || is_prime_slave).then_some(Entering {
            name: place.name,
            since: place.since,
            turn,
            key,
            changed,
            read_only: is_prime_slave && header.enable_acting_master == Some(true),
            removals: self.removals,
        });
        Ok((self.answer(header, notice), entering))
    }

    /// Since 5.x: the same id from another address with an older term than the one that is here.
    fn is_conflict(&self, header: &RegisterBrokerRequestHeader, table: &TopicConfigTable) -> bool {
        let Some(named) = self.brokers.get(&header.broker_name) else {
            return false;
        };
        let Some(held_by) = named.data.broker_addrs.get(&header.broker_id) else {
            return false;
        };
        if *held_by == header.broker_addr {
            return false;
        }
        let Some(live) = self.live.get(&(header.cluster_name.clone(), held_by.clone())) else {
            return false;
        };
        let conflict = live.version.state_version > table.data_version.state_version;
        if conflict {
            tracing::warn!(
                "Registering Broker conflicts with the existed one, just ignore: {}[{}] at {}, which {held_by} holds",
                header.broker_name,
                header.broker_id,
                header.broker_addr
            );
        }
        conflict
    }

    /// Enters a broker under its name and in its cluster.
    fn put_broker(&mut self, header: &RegisterBrokerRequestHeader, turn: u64) -> Place {
        let (id, address) = (header.broker_id, &header.broker_addr);
        self.clusters
            .entry(header.cluster_name.clone())
            .or_default()
            .insert(header.broker_name.clone());
        let named = self
            .brokers
            .entry(header.broker_name.clone())
            .or_insert_with(|| Named {
                data: BrokerData::default(),
                name: header.broker_name.as_str().into(),
                since: turn,
                read_only_to: 0,
            });
        let data = &mut named.data;
        let lowest_before = data.broker_addrs.keys().next().copied();
        let moved_from = std::mem::replace(&mut data.cluster, header.cluster_name.clone());
        data.broker_name.clone_from(&header.broker_name);
        data.zone_name.clone_from(&header.zone_name);
        data.enable_acting_master = header.enable_acting_master.unwrap_or(false);
        // A broker that changed its role has one id, not two.
        data.broker_addrs
            .retain(|other, addr| addr != address || *other == id);
        let first = data.broker_addrs.insert(id, address.clone()).is_none();
        let place = Place {
            name: Arc::clone(&named.name),
            since: named.since,
            first,
            is_lowest: data.broker_addrs.keys().next() == Some(&id),
            became_lowest: lowest_before.is_some_and(|before| id < before),
        };
        if moved_from != header.cluster_name
            && let Some(names) = self.clusters.get_mut(&moved_from)
        {
            names.remove(&header.broker_name);
        }
        place
    }

    /// Whether a broker's name is the one that its registration began with: not gone, and not come again.
    fn is_here(&self, entering: &Entering) -> bool {
        let named = self.brokers.get(&*entering.name);
        named.is_some_and(|named| named.since == entering.since)
    }

    /// Enters some topics of a registration.
    ///
    /// # Errors
    /// There is no room for them, or the broker is gone.
    pub(super) fn enter<'a>(
        &mut self,
        entering: &Entering,
        topics: impl Iterator<Item = (&'a String, &'a TopicConfig)>,
    ) -> Result<(), RegisterError> {
        if !self.is_here(entering) {
            return Err(RegisterError::Gone);
        }
        for (topic, config) in topics {
            let topic = topic_name(topic, config);
            let queues = self.queues(topic);
            let old = Self::place(queues, &entering.name)
                .ok()
                .and_then(|at| queues.get(at));
            let here = old.filter(|of| of.turn >= entering.since);
            if here.is_some_and(|of| !entering.changed || of.turn > entering.turn) {
                continue;
            }
            if here.is_none() {
                tracing::debug!("new topic registered, {topic} {}", entering.name);
            }
            let new = Queues {
                name: Arc::clone(&entering.name),
                perm: match entering.read_only {
                    true => config.perm & !WRITE,
                    false => config.perm,
                },
                read_queue_nums: config.read_queue_nums,
                write_queue_nums: config.write_queue_nums,
                topic_sys_flag: config.topic_sys_flag,
                turn: entering.turn,
            };
            self.put_queues(topic, new)?;
        }
        Ok(())
    }

    /// Enters mappings of static topics of a registration.
    ///
    /// # Errors
    /// The broker is gone.
    pub(super) fn enter_mappings<'a>(
        &mut self,
        entering: &Entering,
        mappings: impl Iterator<Item = (&'a String, &'a Value)>,
    ) -> Result<(), RegisterError> {
        if !self.is_here(entering) {
            return Err(RegisterError::Gone);
        }
        for (topic, mapping) in mappings.filter(|_| entering.changed) {
            let broker = mapping.get("bname").and_then(Value::as_str);
            let broker = broker.unwrap_or(&entering.name).to_owned();
            self.put_mapping(topic, broker, mapping.clone(), entering.turn);
        }
        Ok(())
    }

    /// Topics of one step that the registering broker no longer has; `None` when all have been looked at.
    pub(super) fn missing_of_step(
        &self,
        cursor: &mut Cursor,
        entering: &Entering,
        table: &TopicConfigTable,
    ) -> Option<Vec<Arc<str>>> {
        let step = cursor.step(&self.topics)?;
        let missing = step.into_iter().filter(|(topic, queues)| {
            Self::place(queues, &entering.name).is_ok() && !table.topic_config_table.contains_key(&***topic)
        });
        Some(missing.map(|(topic, _)| Arc::clone(topic)).collect())
    }

    /// Takes these out, but what a later change wrote.
    pub(super) fn remove_missing(&mut self, entering: &mut Entering, topics: &[Arc<str>]) {
        for topic in topics {
            let removed = self.remove_queues_before(topic, &entering.name, entering.turn);
            // Its own removals do not make a table unknown.
            entering.removals += u64::from(removed);
        }
    }

    /// All of a table has been entered: the same again changes nothing, if nothing else was taken out meanwhile.
    pub(super) fn finish(&mut self, entering: &Entering, fingerprint: (usize, u64), version: DataVersion) {
        if let Some(live) = self.live.get_mut(&entering.key)
            && live.version == version
        {
            live.known = Some((fingerprint, entering.removals));
        }
    }

    pub(super) fn answer(&self, header: &RegisterBrokerRequestHeader, notice: Option<Notice>) -> Registered {
        let mut registered = Registered {
            notice,
            ..Registered::default()
        };
        if header.broker_id == MASTER {
            return registered;
        }
        let master = self
            .brokers
            .get(&header.broker_name)
            .and_then(|named| named.data.broker_addrs.get(&MASTER));
        if let Some(master) = master
            && let Some(live) = self.live.get(&(header.cluster_name.clone(), master.clone()))
        {
            registered.ha_server_addr = Some(live.ha_server_addr.clone());
            registered.master_addr = Some(master.clone());
        }
        registered
    }
}

/// Where a broker stands among those of its name.
struct Place {
    name: Arc<str>,
    since: u64,
    first: bool,
    is_lowest: bool,
    became_lowest: bool,
}

/// Brokers that go.
impl Tables {
    pub(super) fn unregister(&mut self, brokers: &[BrokerIdentity]) -> Vec<Notice> {
        // Broker name → whether its lowest id went, and the address that went.
        let mut fewer: BTreeMap<&str, (bool, &str)> = BTreeMap::new();
        for broker in brokers {
            let key = (broker.cluster_name.clone(), broker.broker_addr.clone());
            let was_here = self.remove_live(&key);
            self.put_filters(key, Vec::new());
            tracing::info!(
                "unregisterBroker, remove from brokerLiveTable {}, {} {}[{}] at {}",
                if was_here { "OK" } else { "Failed" },
                broker.cluster_name,
                broker.broker_name,
                broker.broker_id,
                broker.broker_addr
            );
            let Some(named) = self.brokers.get_mut(&broker.broker_name) else {
                continue;
            };
            let data = &mut named.data;
            let was_lowest = data.broker_addrs.keys().next() == Some(&broker.broker_id);
            data.broker_addrs
                .retain(|_, address| *address != broker.broker_addr);
            if data.broker_addrs.is_empty() {
                fewer.remove(broker.broker_name.as_str());
                self.remove_name(&broker.broker_name);
            } else {
                fewer.insert(&broker.broker_name, (was_lowest, &broker.broker_addr));
            }
        }
        for name in fewer.keys() {
            self.withdraw_writes(name);
        }
        let notices = fewer.into_iter().filter(|(_, (was_lowest, _))| *was_lowest);
        notices
            .filter_map(|(name, (_, address))| self.notice(name, Some(address.to_owned())))
            .collect()
    }

    /// The last broker of a name is gone, and with it all that is of this name.
    fn remove_name(&mut self, name: &str) {
        let Some(named) = self.brokers.remove(name) else {
            return;
        };
        tracing::info!("unregisterBroker, remove brokerName from brokerAddrTable OK, {name}");
        self.stale = true;
        self.removals += 1;
        let cluster = named.data.cluster;
        if let Some(names) = self.clusters.get_mut(&cluster) {
            names.remove(name);
            if names.is_empty() {
                self.clusters.remove(&cluster);
                tracing::info!("unregisterBroker, remove cluster from clusterAddrTable {cluster}");
            }
        }
    }

    /// Where an acting master is all that is left, no queue takes writes until a master writes it again.
    fn withdraw_writes(&mut self, name: &str) {
        let turn = self.next_turn();
        if let Some(named) = self.brokers.get_mut(name)
            && named.data.enable_acting_master
            && !named.data.broker_addrs.contains_key(&MASTER)
        {
            named.read_only_to = turn;
            self.removals += 1;
        }
    }

    pub(super) fn identities(&self, wanted: impl Fn(&Live) -> bool) -> Vec<BrokerIdentity> {
        let found = self
            .live
            .iter()
            .filter(|(_, live)| wanted(live))
            .map(|((cluster, address), _)| {
                let place = self
                    .brokers
                    .values()
                    .map(|named| &named.data)
                    .filter(|data| data.cluster == *cluster)
                    .find_map(|data| {
                        let id = data
                            .broker_addrs
                            .iter()
                            .find(|(_, addr)| *addr == address)
                            .map(|(id, _)| *id)?;
                        Some((data.broker_name.clone(), id))
                    });
                let (broker_name, broker_id) = place.unwrap_or_default();
                BrokerIdentity {
                    broker_name,
                    broker_addr: address.clone(),
                    cluster_name: cluster.clone(),
                    broker_id,
                }
            });
        found.collect()
    }

    /// Whom to tell that the lowest id of `name` changed: after one went away all that are left, after one came the others.
    fn notice(&self, name: &str, offline: Option<String>) -> Option<Notice> {
        let data = &self.brokers.get(name)?.data;
        if !data.enable_acting_master {
            return None;
        }
        let (lowest, address) = data.broker_addrs.iter().next()?;
        let all = offline.is_some() || data.broker_addrs.len() == 1;
        let to = data
            .broker_addrs
            .iter()
            .filter(|(id, _)| all || *id != lowest)
            .map(|(_, addr)| addr.clone());
        let live = self.live.get(&(data.cluster.clone(), address.clone()));
        Some(Notice {
            to: to.collect(),
            min_broker_id: *lowest,
            min_broker_addr: address.clone(),
            broker_name: name.to_owned(),
            ha_broker_addr: match offline {
                None => live.map(|live| live.ha_server_addr.clone()),
                Some(_) => None,
            },
            offline_broker_addr: offline,
        })
    }
}

impl Queues {
    /// As a route shows them.
    pub(super) fn shown(&self, named: &Named) -> QueueData {
        let read_only = self.turn <= named.read_only_to;
        QueueData {
            broker_name: self.name.to_string(),
            perm: if read_only { self.perm & !WRITE } else { self.perm },
            read_queue_nums: self.read_queue_nums,
            topic_sys_flag: self.topic_sys_flag,
            write_queue_nums: self.write_queue_nums,
        }
    }
}
