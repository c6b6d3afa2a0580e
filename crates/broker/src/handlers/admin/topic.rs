//! UPDATE_AND_CREATE_TOPIC (17) and its list form (18), GET_ALL_TOPIC_CONFIG (21), GET_TOPIC_STATS_INFO (202),
//! DELETE_TOPIC_IN_BROKER (215), QUERY_TOPIC_CONSUME_BY_WHO (300), GET_SYSTEM_TOPIC_LIST_FROM_BROKER (305),
//! GET_TOPIC_CONFIG (351).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use disk::{Clock, Disk};
use message::name;
use protocol::body::broker::{GroupList, TopicOffset};
use protocol::body::object_keys;
use protocol::body::topic::{MessageQueue, TopicConfig, TopicConfigList, TopicFilterType, TopicList};
use protocol::header::broker::{
    AllTopicsRequestHeader, CreateTopicRequestHeader, GivenBackRequestHeader, TopicRequestHeader,
};
use remoting::{Request, Responder};
use serde::Serialize;
use store::{PhysicalOffset, QueueEnds, QueueOffset, Store};

use super::{Done, Error, Kind, SAVED_WITHIN_MS, answer_when_forgotten, object_keys_body, refuse, when_done};
use crate::clients::Consumers;
use crate::lane::MayWait;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tables::dormant::DormantFiles;
use crate::tables::{Change, ConfigFile, OffsetTable, QUEUES_MAX, TopicFile, TopicTable, attributes};

/// Attributes that promise what is not built.
const NOT_BUILT: [(&str, &str); 2] = [("+queue.type", "BatchCQ"), ("+cleanup.policy", "COMPACTION")];

/// What the handler needs.
pub struct Topic<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// The table.
    pub topics: Arc<TopicTable>,
    /// The queues.
    pub store: Arc<Store<D>>,
    /// Connected groups.
    pub consumers: Arc<Consumers>,
    /// Committed offsets.
    pub offsets: Arc<OffsetTable>,
    /// Has the pulls answered that wait for a topic.
    pub answer_waiting: Box<dyn Fn(&str) + Send + Sync>,
    /// Statistics of topics.
    pub stats: Arc<Stats>,
    /// Files of features that are not here.
    pub dormant: Arc<DormantFiles>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What the log says of a change.
fn line(config: &TopicConfig, done: &str, peer: SocketAddr) -> String {
    format!(
        "topic {} {done} by {peer}: {} read queues, {} write queues, perm {}",
        config.topic_name, config.read_queue_nums, config.write_queue_nums, config.perm
    )
}

/// Answer to GET_TOPIC_STATS_INFO: queues are keys, written as JSON text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicStatsTable {
    #[serde(with = "object_keys")]
    offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages a second, over the last minute, 5.x.
    topic_put_tps: f64,
}

/// Answer to GET_ALL_TOPIC_CONFIG.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllTopics {
    #[serde(flatten)]
    file: TopicFile,
    /// Topic to the position of the log before which nothing of it counts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "positions")]
    deleted_topics: Option<BTreeMap<String, PhysicalOffset>>,
    /// Where the log begins: deletions before that are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_log_min_offset: Option<i64>,
    /// Ends of queues by topic and queue id.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "queue_ends")]
    queue_ends: Option<QueueEnds>,
}

fn queue_ends<S: serde::Serializer>(ends: &Option<QueueEnds>, serializer: S) -> Result<S::Ok, S::Error> {
    let topics = ends.iter().flatten().map(|(topic, queues)| {
        let queues = queues.iter().map(|(id, end)| (id.to_string(), end.0));
        (topic, queues.collect::<BTreeMap<_, _>>())
    });
    serializer.collect_map(topics)
}

fn positions<S: serde::Serializer>(
    topics: &Option<BTreeMap<String, PhysicalOffset>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let positions = topics.iter().flatten();
    serializer.collect_map(positions.map(|(topic, position)| (topic, position.0)))
}

/// A queue of this broker.
pub(super) fn queue(broker_name: &str, topic: &str, queue_id: i32) -> MessageQueue {
    MessageQueue {
        broker_name: broker_name.to_owned(),
        queue_id,
        topic: topic.to_owned(),
    }
}

impl<D: Disk> Topic<D> {
    fn check_change(&self, topic: &str) -> Result<(), Error> {
        if self.settings.load().is_slave() {
            return Err(Error::Slave);
        }
        name::check_topic(topic)?;
        if self.topics.is_system(topic) {
            return Err(Error::SystemTopic(topic.to_owned()));
        }
        Ok(())
    }

    fn put(&self, config: TopicConfig, peer: SocketAddr) -> Result<Change, Error> {
        self.check_config(&config)?;
        let (name, line) = (config.topic_name.clone(), line(&config, "made or changed", peer));
        let change = self.topics.put(config, self.clock.now_ms())?;
        // They wait by the old permission and number of queues.
        (self.answer_waiting)(&name);
        tracing::info!("{line}");
        Ok(change)
    }

    fn take_back(&self, config: TopicConfig, peer: SocketAddr) -> Result<Option<Change>, Error> {
        self.check_config(&config)?;
        let (name, line) = (config.topic_name.clone(), line(&config, "given back", peer));
        let change = self.topics.take_back(config, self.clock.now_ms())?;
        if change.is_some() {
            (self.answer_waiting)(&name);
            tracing::info!("{line}");
        }
        Ok(change)
    }

    fn check_config(&self, config: &TopicConfig) -> Result<(), Error> {
        self.check_change(&config.topic_name)?;
        for (what, queues) in [
            ("readQueueNums", config.read_queue_nums),
            ("writeQueueNums", config.write_queue_nums),
        ] {
            if !(0..=QUEUES_MAX).contains(&queues) {
                return Err(Error::Value(format!(
                    "{what}[{queues}] is illegal, 0 to {QUEUES_MAX} are allowed"
                )));
            }
        }
        for (key, value) in NOT_BUILT {
            if config.attributes.get(key).is_some_and(|wanted| wanted == value) {
                let text = format!("{}={value} is not part of this release", &key[1..]);
                return Err(Error::Value(text));
            }
        }
        Ok(())
    }

    /// Counts how long the request took that comes now.
    fn timed(&self) -> impl FnOnce(bool) -> Done {
        let (stats, clock) = (Arc::clone(&self.stats), Arc::clone(&self.clock));
        let begun_ms = clock.now_ms();
        move |is_system| {
            Box::new(move |done| {
                stats.creates.topic(is_system, clock.now_ms() - begun_ms, done);
            })
        }
    }

    /// Answers SUCCESS once the change is on disk and the name servers know it.
    fn answer(&self, responder: Responder, outcome: Result<Option<Change>, Error>, done: Done, kind: Kind) {
        match outcome {
            Ok(Some(change)) => {
                let now = self.clock.now_ms();
                let then = when_done(responder, done);
                match kind {
                    Kind::Change => self.topics.when_settled(change, now, now + SAVED_WITHIN_MS, then),
                    Kind::GivenBack => {
                        let saver = self.topics.saver();
                        saver.when_written(change, now, now + SAVED_WITHIN_MS, then);
                    }
                }
            }
            Ok(None) => {
                done(true);
                responder.ok();
            }
            Err(e) => {
                done(false);
                refuse(responder, &e);
            }
        }
    }

    /// UPDATE_AND_CREATE_TOPIC.
    pub fn create(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let (timed, mut is_system) = (self.timed(), false);
        let peer = responder.peer().address();
        let outcome = frame
            .header::<CreateTopicRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                is_system = self.topics.is_system(&h.topic);
                let mut config = TopicConfig {
                    topic_name: h.topic.to_string(),
                    read_queue_nums: h.read_queue_nums,
                    write_queue_nums: h.write_queue_nums,
                    perm: h.perm,
                    topic_sys_flag: h.topic_sys_flag.unwrap_or(0),
                    order: h.order.unwrap_or(false),
                    attributes: attributes::parse(h.attributes.as_deref().unwrap_or_default())?,
                    ..TopicConfig::default()
                };
                if let Some(kind) = h.topic_filter_type {
                    let unknown = || {
                        Error::Value(format!(
                            "topicFilterType = [{kind}] value invalid: it is neither SINGLE_TAG nor MULTI_TAG"
                        ))
                    };
                    config.topic_filter_type = TopicFilterType::from_text(&kind).ok_or_else(unknown)?;
                }
                self.put(config, peer)
            });
        self.answer(responder, outcome.map(Some), timed(is_system), Kind::Change);
    }

    /// UPDATE_AND_CREATE_TOPIC_LIST, and what a slave gives back.
    pub fn create_list(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<GivenBackRequestHeader>().unwrap_or_default();
        let kind = Kind::of(&header);
        let (timed, mut is_system) = (self.timed(), false);
        let peer = responder.peer().address();
        let outcome = protocol::body::read_request::<TopicConfigList<'_>>(&frame.body)
            .map_err(Error::Body)
            .and_then(|b| {
                let mut topics = b.topic_config_list.iter();
                is_system = topics.any(|t| self.topics.is_system(&t.topic_name));
                let mut last = None;
                b.topic_config_list
                    .iter()
                    .try_for_each(|t| self.check_change(&t.topic_name))?;
                for config in b.topic_config_list.into_owned() {
                    last = match kind {
                        Kind::GivenBack => self.take_back(config, peer)?.or(last),
                        Kind::Change => Some(self.put(config, peer)?),
                    };
                }
                Ok(last)
            });
        self.answer(responder, outcome, timed(is_system), kind);
    }

    /// GET_ALL_TOPIC_CONFIG. A slave of ours wants to know where in the log topics were deleted, and the ends of
    /// queues that its log does not tell.
    pub fn all(&self, request: Request, _: MayWait) {
        let header = request.frame.header::<AllTopicsRequestHeader>();
        let header = header.unwrap_or_default();
        let is_slave = header.deleted_topics == Some(true);
        // The topics first: what is not among them is among the deleted ones.
        let file = self.topics.file();
        let deleted_topics = is_slave.then(|| self.store.deleted_topics());
        request.responder.body(&AllTopics {
            // After the deletions: what is not among them for having expired is before it.
            commit_log_min_offset: is_slave.then(|| {
                let known = self.store.deletions_known_from();
                self.store.min_physical().max(known).0
            }),
            // Those of a topic that is deleted meanwhile are not among them: the slave would keep them for the next of its name.
            queue_ends: header
                .queue_ends_before
                .map(|begin| self.store.ends_before(PhysicalOffset(begin))),
            deleted_topics,
            file,
        });
    }

    /// GET_TOPIC_CONFIG.
    pub fn one(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame.header::<TopicRequestHeader<'_>>().map_err(Error::Header);
        match outcome.and_then(|h| self.topics.get(&h.topic).ok_or_else(|| unknown(&h.topic))) {
            Ok(config) => responder.body(&*config),
            Err(e) => refuse(responder, &e),
        }
    }

    /// GET_TOPIC_STATS_INFO.
    pub fn stats(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame
            .header::<TopicRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| self.stats_of(&h.topic))
        {
            Ok(stats) => object_keys_body(responder, &stats),
            Err(e) => refuse(responder, &e),
        }
    }

    fn stats_of(&self, topic: &str) -> Result<TopicStatsTable, Error> {
        let config = self.topics.get(topic).ok_or_else(|| unknown(topic))?;
        let settings = self.settings.load();
        let mut offset_table = BTreeMap::new();
        for queue_id in 0..config.write_queue_nums {
            let (min, max) = self.store.queue_bounds(topic, queue_id);
            let last = store_time(&self.store, topic, queue_id, max.0 - 1);
            let offset = TopicOffset {
                last_update_timestamp: last,
                max_offset: max.0,
                min_offset: min.0,
            };
            offset_table.insert(queue(&settings.broker.broker_name, topic, queue_id), offset);
        }
        Ok(TopicStatsTable {
            offset_table,
            topic_put_tps: self.stats.items.topic_tps(topic),
        })
    }

    /// DELETE_TOPIC_IN_BROKER.
    pub fn delete(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let peer = responder.peer().address();
        let outcome = frame
            .header::<TopicRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                self.check_change(&h.topic)?;
                let delete = || {
                    let deleted = self.store.delete_topic(&h.topic);
                    deleted.map_err(|e| Error::NotRemoved(h.topic.to_string(), e.to_string()))
                };
                // The queues first: killed in between, the broker still has the topic, for somebody to delete again, and nobody who
                // makes it anew finds the old messages.
                // Offsets before that: slaves that hear of the deletion ask for them next.
                self.offsets.remove_topic(&h.topic);
                delete()?;
                let change = self.topics.remove(&h.topic, self.clock.now_ms());
                if !self.store.queue_ids(&h.topic).is_empty() {
                    // A send came in between.
                    delete()?;
                }
                // Unlike Java 4.9: offsets of a topic that is made again later must not point into nothing. Somebody may have committed in
                // between.
                let offsets_change = self.offsets.remove_topic(&h.topic);
                self.stats.items.topic_gone(&h.topic);
                self.dormant.topic_deleted(&h.topic, self.clock.now_ms());
                // If it is made again they would wait behind its end.
                (self.answer_waiting)(&h.topic);
                tracing::info!("topic {} deleted by {peer}", h.topic);
                Ok((change, offsets_change))
            });
        match outcome {
            Ok((change, offsets_change)) => {
                let offsets = (&self.offsets, offsets_change);
                answer_when_forgotten(responder, &*self.topics, change, offsets, self.clock.now_ms());
            }
            Err(e) => refuse(responder, &e),
        }
    }

    /// QUERY_TOPIC_CONSUME_BY_WHO: connected groups and those that left offsets.
    pub fn consumed_by(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame.header::<TopicRequestHeader<'_>>() {
            Ok(h) => {
                let mut groups: BTreeSet<String> = self.consumers.groups_of(&h.topic).into_iter().collect();
                groups.extend(self.offsets.groups_of(&h.topic));
                responder.body(&GroupList {
                    group_list: groups.into_iter().collect(),
                });
            }
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }

    /// GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
    pub fn system(&self, request: Request, _: MayWait) {
        let topic_list = self.topics.system_topics();
        request.responder.body(&TopicList {
            topic_list,
            ..TopicList::default()
        });
    }
}

/// Store time of a queue's message, 0 if there is none.
pub(super) fn store_time<D: Disk>(store: &Store<D>, topic: &str, queue_id: i32, offset: i64) -> i64 {
    if offset < 0 {
        return 0;
    }
    match store.store_time(topic, queue_id, QueueOffset(offset)) {
        Ok(time) => time.unwrap_or(0),
        Err(e) => {
            tracing::warn!("store time of {topic} queue {queue_id} offset {offset}: {e}");
            0
        }
    }
}

fn unknown(topic: &str) -> Error {
    Error::TopicUnknown(topic.to_owned())
}
