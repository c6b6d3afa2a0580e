//! UPDATE_AND_CREATE_SUBSCRIPTIONGROUP (200) and its list form (225), GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201),
//! GET_CONSUMER_CONNECTION_LIST (203), GET_PRODUCER_CONNECTION_LIST (204), DELETE_SUBSCRIPTIONGROUP (207),
//! GET_CONSUME_STATS (208), GET_BROKER_CONSUME_STATS (317), GET_ALL_PRODUCER_INFO (328), QUERY_TOPICS_BY_CONSUMER (343),
//! QUERY_SUBSCRIPTION_BY_CONSUMER (345), GET_SUBSCRIPTIONGROUP_CONFIG (352), UPDATE_AND_GET_GROUP_FORBIDDEN (353).

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use disk::{Clock, Disk};
use message::name;
use protocol::body::broker::{
    OffsetWrapper, ProducerConnection, SubscriptionGroupConfig, SubscriptionGroupList,
};
use protocol::body::operator::{ConsumeStats, ConsumeStatsList, GroupSubscription};
use protocol::body::topic::TopicList;
use protocol::header::broker::{
    ConsumerGroupRequestHeader, DeleteSubscriptionGroupRequestHeader, GetConsumeStatsInBrokerHeader,
    GetConsumeStatsRequestHeader, GivenBackRequestHeader, GroupRequestHeader, ProducerGroupRequestHeader,
    QuerySubscriptionByConsumerRequestHeader, UpdateGroupForbiddenRequestHeader,
};
use remoting::{Request, Responder};
use serde::Serialize;
use store::Store;

use super::topic::{queue, store_time};
use super::{
    Error, Kind, SAVED_WITHIN_MS, answer_when_forgotten, answer_when_saved, object_keys_body, refuse,
    when_done,
};
use crate::clients::Clients;
use crate::lane::MayWait;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tables::{Change, ConfigFile, SaveError, Tables};

/// Told of groups that are not what they were.
pub type AnswerWaiting = dyn Fn(&HashSet<&str>) + Send + Sync;

/// What the handler needs.
pub struct Group<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Groups, their offsets, their topics.
    pub tables: Tables,
    /// Who is connected.
    pub clients: Clients,
    /// Statistics of groups.
    pub stats: Arc<Stats>,
    /// The queues.
    pub store: Arc<Store<D>>,
    /// Has the pulls answered that wait in the names of these groups.
    pub answer_waiting: Box<AnswerWaiting>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Answer to UPDATE_AND_GET_GROUP_FORBIDDEN.
#[derive(Serialize)]
struct GroupForbidden {
    group: String,
    readable: bool,
    topic: String,
}

impl<D: Disk> Group<D> {
    fn put(
        &self,
        config: SubscriptionGroupConfig,
        peer: SocketAddr,
        kind: Kind,
    ) -> Result<Option<Change>, Error> {
        if self.settings.load().is_slave() {
            return Err(Error::Slave);
        }
        name::check_group(&config.group_name)?;
        let name = config.group_name.clone();
        let (now, groups) = (self.clock.now_ms(), &self.tables.groups);
        let (change, done) = match kind {
            Kind::Change => (Some(groups.put(config, now)?), "made or changed"),
            Kind::GivenBack => (groups.take_back(config, now)?, "given back"),
        };
        if change.is_some() {
            tracing::info!("group {name} {done} by {peer}");
        }
        Ok(change)
    }

    /// All of these, as far as they can be made; then those who wait by what they were hear what is so now.
    fn put_all(
        &self,
        configs: Vec<SubscriptionGroupConfig>,
        peer: SocketAddr,
        kind: Kind,
    ) -> Result<Option<Change>, Error> {
        let names: Vec<String> = configs.iter().map(|config| config.group_name.clone()).collect();
        // The last change: whoever waits for it waits for all of them.
        let last = configs.into_iter().try_fold(None, |last, config| {
            let change = self.put(config, peer, kind)?;
            Ok(change.or(last))
        });
        (self.answer_waiting)(&names.iter().map(String::as_str).collect());
        last
    }

    /// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP.
    pub fn create(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let configs = protocol::body::read_request(&frame.body).map(|config| vec![config]);
        self.put_and_answer(responder, configs.map_err(Error::Body), Kind::Change);
    }

    /// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, and what a slave gives back.
    pub fn create_list(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = frame.header::<GivenBackRequestHeader>().unwrap_or_default();
        let kind = Kind::of(&header);
        let list = protocol::body::read_request::<SubscriptionGroupList<'_>>(&frame.body);
        self.put_and_answer(
            responder,
            list.map(|list| list.group_config_list.into_owned())
                .map_err(Error::Body),
            kind,
        );
    }

    fn put_and_answer(
        &self,
        responder: Responder,
        configs: Result<Vec<SubscriptionGroupConfig>, Error>,
        kind: Kind,
    ) {
        let peer = responder.peer().address();
        let (stats, clock) = (Arc::clone(&self.stats), Arc::clone(&self.clock));
        let now = clock.now_ms();
        let done = move |done| stats.creates.group(clock.now_ms() - now, done);
        match configs.and_then(|configs| self.put_all(configs, peer, kind)) {
            Ok(Some(change)) => {
                let then = when_done(responder, Box::new(done));
                let saver = self.tables.groups.saver();
                match kind {
                    Kind::Change => saver.when_saved(change, now, now + SAVED_WITHIN_MS, then),
                    Kind::GivenBack => saver.when_written(change, now, now + SAVED_WITHIN_MS, then),
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

    /// UPDATE_AND_GET_GROUP_FORBIDDEN: whether a group may read a topic, after it was changed if that is asked for.
    pub fn forbid(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame
            .header()
            .map_err(Error::Header)
            .and_then(|h| self.forbid_one(&h))
        {
            Ok((answer, None)) => responder.body(&answer),
            Ok((answer, Some(change))) => {
                let now = self.clock.now_ms();
                let then = Box::new(move |saved| match saved {
                    Ok(()) | Err(SaveError::NotCopied) => responder.body(&answer),
                    Err(e) => refuse(responder, &Error::NotSaved(e)),
                });
                let groups = &self.tables.groups;
                groups
                    .saver()
                    .when_saved(change, now, now + SAVED_WITHIN_MS, then);
            }
            Err(e) => refuse(responder, &e),
        }
    }

    fn forbid_one(
        &self,
        header: &UpdateGroupForbiddenRequestHeader<'_>,
    ) -> Result<(GroupForbidden, Option<Change>), Error> {
        let (group, topic) = (&*header.group, &*header.topic);
        let groups = &self.tables.groups;
        let mut change = None;
        if let Some(readable) = header.readable {
            if self.settings.load().is_slave() {
                return Err(Error::Slave);
            }
            // Java forbids what there is not, for ever.
            groups
                .get(group)
                .ok_or_else(|| Error::GroupUnknown(group.to_owned()))?;
            self.tables
                .topics
                .get(topic)
                .ok_or_else(|| Error::TopicUnknown(topic.to_owned()))?;
            let changed = groups.forbid_reading(group, topic, !readable, self.clock.now_ms());
            // What is so already may not be on disk yet.
            change = Some(changed.unwrap_or_else(|| groups.saver().latest()));
            (self.answer_waiting)(&HashSet::from([group]));
        }
        let answer = GroupForbidden {
            group: group.to_owned(),
            readable: !groups.forbids_reading(group, topic),
            topic: topic.to_owned(),
        };
        Ok((answer, change))
    }

    /// GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
    pub fn all(&self, request: Request, _: MayWait) {
        request.responder.body(&self.tables.groups.file());
    }

    /// GET_SUBSCRIPTIONGROUP_CONFIG.
    pub fn one(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<GroupRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                let auto_create = self.settings.load().broker.auto_create_subscription_group;
                let found = self
                    .tables
                    .groups
                    .find(&h.group, auto_create, self.clock.now_ms());
                found.ok_or_else(|| Error::GroupUnknown(h.group.to_string()))
            });
        match outcome {
            Ok(config) => responder.body(&*config),
            Err(e) => refuse(responder, &e),
        }
    }

    /// DELETE_SUBSCRIPTIONGROUP.
    pub fn delete(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let peer = responder.peer().address();
        let outcome = frame
            .header::<DeleteSubscriptionGroupRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                if self.settings.load().is_slave() {
                    return Err(Error::Slave);
                }
                let change = self.tables.groups.remove(&h.group_name, self.clock.now_ms());
                (self.answer_waiting)(&HashSet::from([&*h.group_name]));
                self.stats.items.group_gone(&h.group_name);
                let forgets = h.clean_offset == Some(true) || h.remove_offset == Some(true);
                let offsets_change = forgets.then(|| self.tables.offsets.remove_group(&h.group_name));
                // Whatever a file of Java's names its groups: a line of the log stays one line.
                tracing::info!("group {} deleted by {peer}", h.group_name.escape_debug());
                Ok((change, offsets_change))
            });
        match outcome {
            Ok((change, None)) => {
                answer_when_saved(responder, &*self.tables.groups, change, self.clock.now_ms());
            }
            Ok((change, Some(offsets_change))) => {
                let offsets = (&self.tables.offsets, offsets_change);
                let now = self.clock.now_ms();
                answer_when_forgotten(responder, &*self.tables.groups, change, offsets, now);
            }
            Err(e) => refuse(responder, &e),
        }
    }

    /// Stops the groups that read too far behind (disableConsumeIfConsumerReadSlowly).
    pub fn stop_slow(&self) {
        for (group, behind) in self.clients.slow.take() {
            if self.settings.load().is_slave()
                || self.tables.groups.stop(&group, self.clock.now_ms()).is_none()
            {
                continue;
            }
            let group = group.as_str();
            tracing::warn!(
                "[PROTECT_BROKER] the consumer[{}] consume slowly, {behind} bytes, disable it: consumeEnable=false until \
                 an operator changes it",
                group.escape_debug()
            );
            (self.answer_waiting)(&HashSet::from([group]));
        }
    }

    /// GET_CONSUMER_CONNECTION_LIST.
    pub fn consumer_connections(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<ConsumerGroupRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                let found = self.clients.consumers.connection_list(&h.consumer_group);
                found.ok_or_else(|| Error::ConsumerOffline(h.consumer_group.to_string()))
            });
        match outcome {
            Ok(list) => responder.body(&list),
            Err(e) => refuse(responder, &e),
        }
    }

    /// GET_PRODUCER_CONNECTION_LIST.
    pub fn producer_connections(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<ProducerGroupRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|h| {
                let found = self.clients.producers.connection_list(&h.producer_group);
                found.ok_or_else(|| Error::ProducerOffline(h.producer_group.to_string()))
            });
        match outcome {
            Ok(connection_set) => responder.body(&ProducerConnection { connection_set }),
            Err(e) => refuse(responder, &e),
        }
    }

    /// QUERY_TOPICS_BY_CONSUMER.
    pub fn topics_of(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame.header::<GroupRequestHeader<'_>>() {
            Ok(h) => responder.body(&TopicList {
                topic_list: self.tables.offsets.topics_of(&h.group),
                ..TopicList::default()
            }),
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }

    /// GET_CONSUME_STATS.
    pub fn consume_stats(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame.header::<GetConsumeStatsRequestHeader<'_>>() {
            Ok(h) => object_keys_body(responder, &self.stats_of(&h)),
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }

    /// Ends and committed offsets of every queue the group reads. A topic it is connected for but does not subscribe to
    /// is left out, as in Java: it is what an earlier version of the consumer read.
    fn stats_of(&self, header: &GetConsumeStatsRequestHeader<'_>) -> ConsumeStats {
        let group = header.consumer_group.as_ref();
        let topics = match header.topic.as_deref() {
            Some(topic) if !topic.is_empty() => vec![topic.to_owned()],
            _ => self.tables.offsets.topics_of(group),
        };
        let mut stats = ConsumeStats::default();
        for topic in topics {
            self.add_stats(group, &topic, &mut stats);
        }
        stats
    }

    /// Ends and committed offsets of the queues of one topic; false if the group does not read it.
    fn add_stats(&self, group: &str, topic: &str, stats: &mut ConsumeStats) -> bool {
        let Some(config) = self.tables.topics.get(topic) else {
            return false;
        };
        let view = self.clients.consumers.view(group, topic);
        if view.is_some_and(|view| view.subscription.is_none()) {
            return false;
        }
        let settings = self.settings.load();
        for queue_id in 0..config.read_queue_nums {
            let broker_offset = self.store.queue_max_offset(topic, queue_id).0;
            let consumer_offset = self.tables.offsets.get(group, topic, queue_id).unwrap_or(0);
            let last_timestamp = store_time(&self.store, topic, queue_id, consumer_offset - 1);
            let progress = OffsetWrapper {
                broker_offset,
                consumer_offset,
                last_timestamp,
                pull_offset: consumer_offset,
            };
            stats
                .offset_table
                .insert(queue(&settings.broker.broker_name, topic, queue_id), progress);
        }
        stats.consume_tps += self.stats.items.group_tps(group, topic);
        true
    }

    /// GET_BROKER_CONSUME_STATS: where every group is.
    pub fn all_consume_stats(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let header = match frame.header::<GetConsumeStatsInBrokerHeader>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let settings = self.settings.load();
        let mut all = ConsumeStatsList {
            broker_addr: format!("{}:{}", settings.broker.broker_ip1, settings.server.listen_port),
            ..ConsumeStatsList::default()
        };
        for group in self.tables.groups.names() {
            let mut of_group = Vec::new();
            for topic in self.tables.offsets.topics_of(&group) {
                let is_ordered = self.tables.topics.get(&topic).is_some_and(|config| config.order);
                let mut stats = ConsumeStats::default();
                if (is_ordered || header.is_order != Some(true)) && self.add_stats(&group, &topic, &mut stats)
                {
                    all.total_diff += stats.total_diff();
                    of_group.push(stats);
                }
            }
            all.consume_stats_list.push(BTreeMap::from([(group, of_group)]));
        }
        responder.body(&all);
    }

    /// GET_ALL_PRODUCER_INFO.
    pub fn producers(&self, request: Request, _: MayWait) {
        request.responder.body(&self.clients.producers.table());
    }

    /// QUERY_SUBSCRIPTION_BY_CONSUMER.
    pub fn subscription(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        match frame.header::<QuerySubscriptionByConsumerRequestHeader<'_>>() {
            Ok(header) => {
                let topic = header.topic.as_deref().unwrap_or_default();
                let view = self.clients.consumers.view(&header.group, topic);
                let subscription = view.and_then(|view| view.subscription);
                responder.body(&GroupSubscription {
                    group: header.group.to_string(),
                    subscription_data: subscription.map(|wanted| wanted.data.clone()),
                    topic: topic.to_owned(),
                });
            }
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }
}
