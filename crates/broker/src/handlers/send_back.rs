//! CONSUMER_SEND_MSG_BACK (36): a consumer could not process a message and wants it again later.
//!
//! Rules: RocketMQ 4.9.8, SendMessageProcessor.consumerSendMsgBack (reference: behaviours.md §4). The copy goes to
//! `%RETRY%group` with a delay, or to `%DLQ%group` after the last try; the original stays where it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use disk::{Clock, Disk};
use message::id::OffsetMessageId;
use message::name::SCHEDULE_TOPIC;
use message::properties::{self, Ending, names};
use message::record::{Check, Entry, View, decode};
use message::{name, sys_flag};
use protocol::Frame;
use protocol::code::response;
use protocol::header::broker::ConsumerSendMsgBackRequestHeader;
use protocol::version::V3_4_9;
use remoting::Request;
use store::{AppendError, Illegal, NewRecord, PhysicalOffset};

use crate::access::Guard;
use crate::commitlog::{Answer, Appender, Safety, StoreError, Stored, Waiter};
use crate::lane::MayWait;
use crate::settings::DelayLevels;
use crate::settings::Settings;
use crate::stats::{Flowed, MessageKind};
use crate::tables::{Change, GroupTable, NotCreated, TopicTable, perm};

/// Level of the first retry: 10 s.
const FIRST_RETRY_LEVEL: i32 = 3;

/// What the handler needs.
pub struct SendBack<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Topics, for the retry and dead letter topics.
    pub topics: Arc<TopicTable>,
    /// Groups' retry rules.
    pub groups: Arc<GroupTable>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
    /// Where the message is and its copy goes.
    pub appender: Arc<Appender<D>>,
    /// Delays of the delay levels.
    pub delay_levels: Arc<DelayLevels>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Spreads copies over the retry topic's queues.
    pub next_queue: AtomicU32,
}

/// Why a message is not taken back.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Access(#[from] acl::Refused),
    #[error("subscription group not exist, {0}")]
    GroupUnknown(String),
    #[error("the broker[{0}] sending message is forbidden")]
    BrokerUnwritable(String),
    #[error("topic[{topic}] not exist: {why}")]
    TopicNotMade { topic: String, why: NotCreated },
    #[error("the topic[{0}] sending message is forbidden")]
    TopicUnwritable(String),
    #[error(
        "service not available now. This broker is a slave and takes no messages: send it back to the master"
    )]
    Slave,
    #[error("look message by offset failed, {0}: {1}")]
    NoRecord(i64, String),
    #[error("{0}")]
    Illegal(#[from] Illegal),
    #[error("{0}")]
    Append(#[from] AppendError),
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Illegal(e) => Error::Illegal(e),
            StoreError::Append(e) => Error::Append(e),
        }
    }
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::GroupUnknown(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            Error::BrokerUnwritable(_) | Error::TopicUnwritable(_) => response::NO_PERMISSION,
            Error::Access(refused) => refused.code(),
            Error::Header(_)
            | Error::Slave
            | Error::TopicNotMade { .. }
            | Error::NoRecord(..)
            | Error::Illegal(_)
            | Error::Append(_) => response::SYSTEM_ERROR,
        }
    }
}

/// Where the copy goes.
struct Target {
    topic: GroupTopic,
    queue_id: i32,
    level: i32,
}

/// A group's retry or dead letter topic.
struct GroupTopic {
    name: String,
    unsaved: Option<Change>,
    made: bool,
}

/// A copy that is in the log.
struct Copy {
    stored: Stored,
    topic: GroupTopic,
}

impl<D: Disk> SendBack<D> {
    /// CONSUMER_SEND_MSG_BACK. The record may have to come from the disk.
    pub fn handle(&self, request: Request, _: MayWait) {
        let Request { frame, responder } = request;
        let now = self.clock.now_ms();
        let outcome = frame
            .header()
            .map_err(Error::Header)
            .and_then(|h| self.take_back(&h, &frame, responder.peer().address().ip(), now));
        match outcome {
            Ok(Some(Copy { stored, topic })) => {
                let waiter = Waiter {
                    end: stored.end,
                    topic: topic.unsaved,
                    made_topic: topic.made,
                    since_ms: now,
                    safety: Safety::default(),
                    answer: Answer::SendBack(responder),
                };
                self.appender.acknowledge(waiter, true, &self.settings.load());
            }
            Ok(None) => responder.ok(),
            Err(e) => responder.error(e.code(), &e.to_string()),
        }
        self.appender.reput.wake();
    }

    fn take_back(
        &self,
        header: &ConsumerSendMsgBackRequestHeader<'_>,
        frame: &Frame,
        peer: IpAddr,
        now: i64,
    ) -> Result<Option<Copy>, Error> {
        let settings = self.settings.load();
        // Before a topic is made for it.
        if settings.is_slave() {
            return Err(Error::Slave);
        }
        let group = header.group.as_ref();
        let config = self
            .groups
            .find(group, settings.broker.auto_create_subscription_group, now)
            .ok_or_else(|| Error::GroupUnknown(group.to_owned()))?;
        if settings.broker.broker_permission & perm::WRITE == 0 {
            return Err(Error::BrokerUnwritable(settings.broker.broker_ip1.clone()));
        }
        if config.retry_queue_nums <= 0 {
            return Ok(None);
        }
        let unit = if header.unit_mode == Some(true) { 2 } else { 0 };
        let retry = self.retry_topic(&name::retry_topic(group), config.retry_queue_nums, unit, now)?;
        let record = self
            .appender
            .store
            .record_at(PhysicalOffset(header.offset))
            .map_err(|why| Error::NoRecord(header.offset, why.to_string()))?;
        let Ok(Entry::Record(view)) = decode(&record, Check::Lengths) else {
            return Err(Error::NoRecord(
                header.offset,
                "no record starts there".to_owned(),
            ));
        };
        if let Some(access) = &self.access {
            access.may_read(frame, peer, &view)?;
        }
        let own_max = header.max_reconsume_times.filter(|_| frame.version >= V3_4_9);
        let last_try = view.reconsume_times() >= own_max.unwrap_or(config.retry_max_times);
        let target = if last_try || header.delay_level < 0 {
            let topic = self.retry_topic(&name::dlq_topic(group), 1, 0, now)?;
            Target {
                topic,
                queue_id: 0,
                level: 0,
            }
        } else {
            let level = if header.delay_level == 0 {
                FIRST_RETRY_LEVEL + view.reconsume_times()
            } else {
                header.delay_level
            };
            let next = self.next_queue.fetch_add(1, Ordering::Relaxed);
            let queue_id = (next % config.retry_queue_nums.unsigned_abs()) as i32;
            Target {
                topic: retry,
                queue_id,
                level: level.min(self.delay_levels.max()),
            }
        };
        self.copy(group, &view, target, now).map(Some)
    }

    /// The topic, once it is there and writable.
    fn retry_topic(&self, topic: &str, queues: i32, unit: i32, now: i64) -> Result<GroupTopic, Error> {
        let made = self
            .topics
            .create_for_group(topic, queues, perm::READ | perm::WRITE, unit, now);
        let state = made.map_err(|why| Error::TopicNotMade {
            topic: topic.to_owned(),
            why,
        })?;
        if state.config.perm & perm::WRITE == 0 {
            return Err(Error::TopicUnwritable(topic.to_owned()));
        }
        Ok(GroupTopic {
            name: topic.to_owned(),
            unsaved: state.unsaved,
            made: state.made,
        })
    }

    fn copy(&self, group: &str, view: &View<'_>, target: Target, now: i64) -> Result<Copy, Error> {
        let old = view.properties();
        let id = OffsetMessageId {
            store_host: view.store_host(),
            physical_offset: view.physical_offset(),
        }
        .to_string();
        let origin_topic = properties::get_str(old, names::RETRY_TOPIC).unwrap_or(view.topic());
        let origin_id = properties::get_str(old, names::ORIGIN_MESSAGE_ID).unwrap_or(&id);
        let (level, queue) = (target.level.to_string(), target.queue_id.to_string());
        let mut with = vec![
            (names::RETRY_TOPIC, origin_topic),
            (names::ORIGIN_MESSAGE_ID, origin_id),
            (names::WAIT, "false"),
            (names::DELAY, level.as_str()),
        ];
        let parked = target.level > 0;
        if parked {
            with.push((names::REAL_TOPIC, target.topic.name.as_str()));
            with.push((names::REAL_QUEUE_ID, queue.as_str()));
        }
        let mut text = Vec::with_capacity(old.len() + 128);
        store::copy_properties(view, &[], &with, Ending::Bare, &mut text);
        let (topic, queue_id) = match parked {
            true => (SCHEDULE_TOPIC, target.level - 1),
            false => (target.topic.name.as_str(), target.queue_id),
        };
        let copy = NewRecord {
            sys_flag: view.sys_flag() & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6),
            reconsume_times: view.reconsume_times() + 1,
            prepared_transaction_offset: 0,
            ..NewRecord::copy_of(view, topic, queue_id, &text)
        };
        let stored = self.appender.append_copy(&copy, now)?;
        let items = &self.appender.stats.items;
        if parked {
            let flow = Flowed::one((stored.end.0 - stored.first.physical_offset.0) as u64);
            items.put(topic, MessageKind::Delay, flow);
            items.put_queue(topic, queue_id, flow);
        }
        items.sent_back(group, origin_topic);
        if name::is_dlq_topic(&target.topic.name) {
            items.given_up(group, origin_topic);
        }
        Ok(Copy {
            stored,
            topic: target.topic,
        })
    }
}
