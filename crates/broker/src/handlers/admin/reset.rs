//! INVOKE_BROKER_TO_RESET_OFFSET (222): a group goes on elsewhere. By a time, its members are told by
//! RESET_CONSUMER_CLIENT_OFFSET (220) and set themselves; one queue to an offset, as 5.x's tool asks, the broker itself sets, and
//! the next pull is told.
//!
//! Codes and remarks: RocketMQ 4.9.8, Broker2Client.resetOffset; 5.3.3, AdminBrokerProcessor.resetOffsetInner.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use disk::Disk;
use protocol::Language;
use protocol::body::operator::{OffsetOfQueue, ResetOffsetBody, ResetOffsetBodyForC};
use protocol::body::topic::{MessageQueue, TopicConfig};
use protocol::code::request;
use protocol::header::broker::{ResetConsumerClientOffsetRequestHeader, ResetOffsetRequestHeader};
use protocol::version::V3_0_7;
use remoting::{Body, Request};
use store::{Boundary, Store};

use super::group::AnswerWaiting;
use super::topic::queue;
use super::{Error, object_keys_body, refuse};
use crate::clients::Consumers;
use crate::lane::MayWait;
use crate::settings::Settings;
use crate::tables::Tables;

/// The time that means a queue's end.
const LATEST: i64 = -1;

/// What the handler needs.
pub struct Reset<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Topics, groups, offsets.
    pub tables: Tables,
    /// Who is connected.
    pub consumers: Arc<Consumers>,
    /// The queues.
    pub store: Arc<Store<D>>,
    /// Has the pulls answered that wait in the names of these groups.
    pub answer_waiting: Box<AnswerWaiting>,
}

impl<D: Disk> Reset<D> {
    /// INVOKE_BROKER_TO_RESET_OFFSET.
    pub fn reset(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let outcome = frame
            .header::<ResetOffsetRequestHeader<'_>>()
            .map_err(Error::Header)
            .and_then(|header| {
                let (queue_id, offset) = (header.queue_id.unwrap_or(-1), header.offset.unwrap_or(-1));
                match queue_id >= 0 && offset >= 0 {
                    true => self.set(&header, queue_id, offset),
                    false => self.tell(&header, frame.language, responder.peer().address()),
                }
            });
        match outcome {
            Ok(offset_table) => object_keys_body(responder, &ResetOffsetBody { offset_table }),
            Err(e) => refuse(responder, &e),
        }
    }

    fn topic(&self, header: &ResetOffsetRequestHeader<'_>) -> Option<Arc<TopicConfig>> {
        self.tables.topics.get(&header.topic)
    }

    /// Tells every member where each queue goes on.
    fn tell(
        &self,
        header: &ResetOffsetRequestHeader<'_>,
        language: Language,
        peer: SocketAddr,
    ) -> Result<BTreeMap<MessageQueue, i64>, Error> {
        let topic = self.topic(header).ok_or_else(|| {
            let topic = &header.topic;
            Error::Value(format!(
                "[reset-offset] reset offset failed, no topic in this broker. topic={topic}"
            ))
        })?;
        let offsets = self.offsets_by_time(header, topic.write_queue_nums)?;
        let members = self.consumers.members(&header.group);
        if members.is_empty() {
            return Err(Error::NoConsumerToReset {
                group: header.group.to_string(),
                topic: header.topic.to_string(),
                timestamp: header.timestamp,
            });
        }
        if let Some(old) = members.iter().find(|member| member.version < V3_0_7) {
            return Err(Error::OldClient(old.version));
        }
        let told = ResetConsumerClientOffsetRequestHeader {
            topic: Cow::Borrowed(&header.topic),
            group: Cow::Borrowed(&header.group),
            timestamp: header.timestamp,
            // Java's clients want one, and do not look at it.
            is_force: false,
        };
        let body = match language {
            Language::Cpp => protocol::body::write(&ResetOffsetBodyForC {
                offset_table: offsets.iter().map(OffsetOfQueue::of).collect(),
            }),
            // Go's client reads fastjson's form and no other.
            _ => protocol::body::write_object_keys(&ResetOffsetBody {
                offset_table: offsets.clone(),
            }),
        };
        for member in members {
            let code = request::RESET_CONSUMER_CLIENT_OFFSET;
            match member.conn.oneway(code, &told, Body::Bytes(body.clone())) {
                Ok(()) => tracing::info!(
                    "[reset-offset] {} of group {} is told by {peer} to reset topic {} to {}",
                    member.client_id.escape_debug(),
                    header.group.escape_debug(),
                    header.topic,
                    header.timestamp
                ),
                Err(e) => tracing::warn!("[reset-offset] {}: {e}", member.client_id.escape_debug()),
            }
        }
        Ok(offsets)
    }

    /// The offset of each queue at that time; not behind where the group is, unless that is wanted.
    fn offsets_by_time(
        &self,
        header: &ResetOffsetRequestHeader<'_>,
        queues: i32,
    ) -> Result<BTreeMap<MessageQueue, i64>, Error> {
        let (topic, group) = (&*header.topic, &*header.group);
        let broker_name = self.settings.load().broker.broker_name.clone();
        let mut offsets = BTreeMap::new();
        for queue_id in 0..queues {
            let current = self.tables.offsets.get(group, topic, queue_id);
            let current =
                current.ok_or_else(|| Error::Value(format!("THe consumer group <{group}> not exist")))?;
            let wanted = match header.timestamp {
                LATEST => self.store.queue_max_offset(topic, queue_id),
                time => self
                    .store
                    .offset_by_time(topic, queue_id, time, Boundary::Nearest)
                    .map_err(|e| Error::Value(e.to_string()))?,
            };
            let wanted = wanted.0.max(0);
            let offset = match header.is_force == Some(true) || wanted < current {
                true => wanted,
                false => current,
            };
            offsets.insert(queue(&broker_name, topic, queue_id), offset);
        }
        Ok(offsets)
    }

    /// Sets a queue's offset here. Who reads it hears of that with the next pull, whatever it believes.
    fn set(
        &self,
        header: &ResetOffsetRequestHeader<'_>,
        queue_id: i32,
        offset: i64,
    ) -> Result<BTreeMap<MessageQueue, i64>, Error> {
        let (topic, group) = (&*header.topic, &*header.group);
        let settings = self.settings.load();
        if settings.is_slave() {
            return Err(Error::Value("Can not reset offset in slave broker".to_owned()));
        }
        self.topic(header)
            .ok_or_else(|| Error::TopicUnknown(topic.to_owned()))?;
        if self.tables.groups.get(group).is_none() {
            return Err(Error::GroupUnknown(group.to_owned()));
        }
        let (min, max) = self.store.queue_bounds(topic, queue_id);
        if offset < min.0 || offset > max.0 + 1 {
            return Err(Error::Value(format!(
                "Target offset {offset} not in consume queue range [{}-{}]",
                min.0, max.0
            )));
        }
        self.tables
            .offsets
            .reset(group, topic, queue_id, offset)
            .map_err(|e| Error::Value(e.to_string()))?;
        tracing::info!("Reset offset, topic={topic}, group={group}, queue {queue_id} goes on at {offset}");
        (self.answer_waiting)(&HashSet::from([group]));
        let name = &settings.broker.broker_name;
        Ok(BTreeMap::from([(queue(name, topic, queue_id), offset)]))
    }
}
