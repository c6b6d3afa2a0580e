//! Checking and preparing a send, before any lock is taken.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::Ordering;

use disk::Disk;
use message::name::{HALF_TOPIC, SCHEDULE_TOPIC};
use message::properties::{self, Ending, Parsed, Wanted, names};
use message::{batch, name, sys_flag};
use protocol::Frame;
use protocol::body::topic::TopicFilterType;
use protocol::code::response;
use protocol::header::HeaderError;
use protocol::header::broker::SendMessageRequestHeader;
use protocol::version::V3_4_9;

use super::Send;
use crate::settings::Settings;
use crate::stats::MessageKind;
use crate::tables::{Change, NotCreated, TopicState, perm};
use crate::transaction::{self, half_text};

/// Longest body that is taken where a properties text is stored with each record, bytes.
const PROPERTIES_MAX: usize = properties::MAX_LEN_BYTES;

/// Why a send is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("broker unable to service, until {0} ms since 1970 (startAcceptSendRequestTimeStamp)")]
    NotYet(i64),
    #[error("the broker[{0}] sending message is forbidden")]
    BrokerUnwritable(String),
    #[error("this broker is a slave, messages are put to the master")]
    Slave,
    #[error(
        "in-sync replicas not enough: minInSyncReplicas asks for more brokers than have this one's log, nothing is stored"
    )]
    TooFewInSync,
    #[error("{0}")]
    Name(#[from] name::NameError),
    #[error("Sending message to topic[{0}] is forbidden.")]
    ReservedTopic(String),
    #[error("topic[{topic}] not exist, apply first please! {why}")]
    TopicUnknown { topic: String, why: NotCreated },
    #[error("request queueId[{queue_id}] is illegal, topic[{topic}] has {queues} queues, Producer: {peer}")]
    Queue {
        queue_id: i32,
        topic: String,
        queues: i32,
        peer: SocketAddr,
    },
    #[error("java.lang.NumberFormatException: For input string: \"{0}\" (property DELAY)")]
    Delay(String),
    #[error("the message is illegal: INNER_MULTI_DISPATCH names {0}, which only the broker writes to.")]
    ReservedQueue(String),
    #[error("{0}")]
    Access(#[from] acl::Refused),
    #[error("subscription group not exist, {0}")]
    GroupUnknown(String),
    #[error("the broker[{0}] sending transaction message is forbidden")]
    Transaction(String),
    #[error(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {body_max}B, \
         msg properties length limit 32KB. A batch may neither be delayed nor be part of a transaction"
    )]
    BatchKind { body_max: i32 },
    #[error("the batch body can not be split: {0}")]
    Batch(#[from] batch::BatchError),
    #[error("the batch has no message")]
    BatchEmpty,
    #[error(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {body_max}B, \
         msg properties length limit 32KB."
    )]
    TooLong { body_max: i32 },
    #[error(
        "the message is illegal: {illegal}. msg body length limit {body_max}B, msg properties length limit 32KB."
    )]
    Illegal { illegal: store::Illegal, body_max: i32 },
    #[error(
        "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch, lmq consumeQueue num exceed \
         maxLmqConsumeQueueNum config num, which is {0}."
    )]
    LmqNumber(usize),
    #[error("{}", append_remark(.why, *.body_max))]
    Append { why: store::AppendError, body_max: i32 },
}

/// What a producer reads when the store could not take its message. Java's words first: people search for them.
fn append_remark(why: &store::AppendError, body_max: i32) -> String {
    match why {
        store::AppendError::BatchTooLong { .. } => {
            format!(
                "the message is illegal: {why}. msg body length limit {body_max}B, msg properties length limit 32KB."
            )
        }
        store::AppendError::NoSpace(_) => {
            format!("create mapped file failed, server is busy or broken. {why}")
        }
        store::AppendError::Latched(_)
        | store::AppendError::DiskLevel(_)
        | store::AppendError::ReputStuck(_)
        | store::AppendError::ShutDown
        | store::AppendError::Replica
        | store::AppendError::TopicDeleted => format!("service not available now. {why}"),
    }
}

impl Error {
    /// Why the store does not take a message.
    pub(super) fn illegal(illegal: store::Illegal, body_max: i32) -> Self {
        match illegal {
            store::Illegal::LmqNumber { max } => Error::LmqNumber(max),
            illegal => Error::Illegal { illegal, body_max },
        }
    }

    /// RocketMQ's code.
    pub fn code(&self) -> i32 {
        match self {
            Error::Access(refused) => refused.code(),
            Error::Header(_)
            | Error::TooFewInSync
            | Error::NotYet(_)
            | Error::Name(_)
            | Error::Delay(_)
            | Error::Queue { .. }
            | Error::Batch(_)
            | Error::LmqNumber(_) => response::SYSTEM_ERROR,
            Error::BrokerUnwritable(_) | Error::ReservedTopic(_) | Error::Transaction(_) => {
                response::NO_PERMISSION
            }
            Error::Slave => response::SERVICE_NOT_AVAILABLE,
            Error::TopicUnknown { .. } => response::TOPIC_NOT_EXIST,
            Error::GroupUnknown(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            Error::BatchKind { .. }
            | Error::BatchEmpty
            | Error::ReservedQueue(_)
            | Error::TooLong { .. }
            | Error::Illegal { .. } => response::MESSAGE_ILLEGAL,
            Error::Append { why, .. } => match why {
                store::AppendError::BatchTooLong { .. } => response::MESSAGE_ILLEGAL,
                store::AppendError::NoSpace(_) => response::SYSTEM_ERROR,
                store::AppendError::Latched(_)
                | store::AppendError::DiskLevel(_)
                | store::AppendError::ReputStuck(_)
                | store::AppendError::ShutDown
                | store::AppendError::Replica
                | store::AppendError::TopicDeleted => response::SERVICE_NOT_AVAILABLE,
            },
        }
    }
}

/// One record to be stored; its properties are a range of the scratch text.
pub(super) struct Record<'a> {
    pub(super) flag: i32,
    pub(super) body: &'a [u8],
    pub(super) properties: Range<usize>,
    /// What the properties hold, where that is known.
    pub(super) wanted: Option<Wanted<'a>>,
}

/// What all plans of one append share.
pub(super) struct Scratch<'a> {
    pub(super) text: Vec<u8>,
    pub(super) records: Vec<Record<'a>>,
    /// The topic of the last plan: most reads bring sends to one topic only, and every look into the table touches memory
    /// that all connections write.
    last: Option<Known<'a>>,
}

/// A topic that may be sent to.
#[derive(Clone)]
pub(super) struct Known<'a> {
    name: Cow<'a, str>,
    write_queues: i32,
    read_queues: i32,
    multi_tag: bool,
    /// Not on disk yet.
    pub(super) unsaved: Option<Change>,
}

impl<'a> Known<'a> {
    fn new(name: &Cow<'a, str>, state: &TopicState) -> Self {
        let config = &state.config;
        Known {
            name: name.clone(),
            unsaved: state.unsaved,
            write_queues: config.write_queue_nums,
            read_queues: config.read_queue_nums,
            multi_tag: config.topic_filter_type == TopicFilterType::MultiTag,
        }
    }
}

/// Room made for the properties of each send, and for those of all at most, bytes.
const TEXT_ROOM: usize = 128;
const TEXT_ROOM_MAX: usize = 16 << 10;
/// Records of a batch that room is made for at once, at most: its first entry may be the only short one.
const RECORDS_ROOM_MAX: usize = 1024;

impl Scratch<'_> {
    /// With room for so many sends.
    pub(super) fn for_sends(sends: usize) -> Self {
        Scratch {
            text: Vec::with_capacity((sends * TEXT_ROOM).min(TEXT_ROOM_MAX)),
            records: Vec::with_capacity(sends),
            last: None,
        }
    }

    pub(super) fn mark(&self) -> (usize, usize) {
        (self.text.len(), self.records.len())
    }

    pub(super) fn reset(&mut self, (text, records): (usize, usize)) {
        self.text.truncate(text);
        self.records.truncate(records);
    }
}

/// A send that may be stored.
pub(super) struct Plan<'a> {
    /// Where it is stored.
    pub(super) topic: Cow<'a, str>,
    pub(super) kind: MessageKind,
    pub(super) queue_id: i32,
    /// Queue the answer names: that of the topic asked for, also when the message is parked elsewhere first.
    pub(super) asked_queue_id: i32,
    /// The topic it will be delivered to, when it is parked elsewhere first.
    pub(super) parked_for: Option<Cow<'a, str>>,
    pub(super) sys_flag: i32,
    pub(super) born_timestamp: i64,
    pub(super) born_host: SocketAddr,
    pub(super) reconsume_times: i32,
    pub(super) records: Range<usize>,
    /// The answer waits for flush and replication.
    pub(super) waits: bool,
    /// The change of the topic that is not on disk yet; the answer waits for it.
    pub(super) topic_unsaved: Option<Change>,
    /// The topic was made for this send; the answer also waits until the name servers know it.
    pub(super) made_topic: bool,
}

impl Plan<'_> {
    /// The topic that a half message is for.
    pub(super) fn half_of(&self) -> Option<&str> {
        let parked_for = self.parked_for.as_deref();
        parked_for.filter(|_| self.kind == MessageKind::Transaction)
    }
}

/// The topic and queue a send goes to after retry rules.
struct Target<'a> {
    topic: Cow<'a, str>,
    queue_id: i32,
    multi_tag: bool,
    topic_unsaved: Option<Change>,
    made_topic: bool,
    /// Level that replaces the message's own.
    delay: Option<i32>,
}

impl<D: Disk> Send<D> {
    pub(super) fn plan<'a>(
        &self,
        frame: &'a Frame,
        peer: SocketAddr,
        settings: &Settings,
        now: i64,
        scratch: &mut Scratch<'a>,
    ) -> Result<Plan<'a>, Error> {
        let header: SendMessageRequestHeader<'a> = frame.header()?;
        self.check_broker(&header, settings, now)?;
        let target = self.target(&header, frame, peer, settings, now, &mut scratch.last)?;
        let is_batch = header.batch == Some(true);
        if frame.body.len() > settings.store.max_message_size.max(0) as usize {
            return Err(Error::TooLong {
                body_max: settings.store.max_message_size,
            });
        }
        let mut flags = header.sys_flag.unwrap_or(0);
        if target.multi_tag {
            flags |= sys_flag::MULTI_TAGS;
        }
        let text = Parsed::of(header.properties.unwrap_or_default().as_bytes());
        let mut plan = Plan {
            topic: target.topic.clone(),
            kind: match text.wanted().sharding_key {
                Some(_) => MessageKind::Fifo,
                None => MessageKind::Normal,
            },
            queue_id: target.queue_id,
            asked_queue_id: target.queue_id,
            parked_for: None,
            sys_flag: flags,
            born_timestamp: header.born_timestamp,
            born_host: peer,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            records: scratch.records.len()..scratch.records.len(),
            waits: text.wanted().waits(),
            topic_unsaved: target.topic_unsaved,
            made_topic: target.made_topic,
        };
        if is_batch {
            plan_batch(&text, frame, flags, settings, scratch)?;
        } else {
            self.plan_single(&mut plan, target.delay, &text, &header, frame, settings, scratch)?;
        }
        plan.records.end = scratch.records.len();
        if settings.store.enable_multi_dispatch {
            // As they are stored: that is what the store reads.
            for record in scratch.records.get(plan.records.clone()).unwrap_or_default() {
                let text = scratch.text.get(record.properties.clone()).unwrap_or_default();
                self.check_dispatch(text, frame, peer)?;
            }
        }
        Ok(plan)
    }

    /// A message is in the queues, too, that its property INNER_MULTI_DISPATCH names: what holds for a send to their topics holds
    /// for it. (Java asks neither whether they may be sent to nor for a permission.) Light message queues belong to no topic.
    pub(super) fn check_dispatch(&self, text: &[u8], frame: &Frame, peer: SocketAddr) -> Result<(), Error> {
        let named = properties::get_str(text, names::INNER_MULTI_DISPATCH).unwrap_or_default();
        for queue in named.split(',').filter(|queue| !name::is_lmq(queue)) {
            if !name::may_be_sent_to(queue) {
                return Err(Error::ReservedQueue(queue.to_owned()));
            }
            if let Some(access) = self.access.as_ref().filter(|_| !queue.is_empty()) {
                let resource = acl::Resource::topic(queue);
                access.permits(frame, peer.ip(), resource, resource.needed_to_send())?;
            }
        }
        Ok(())
    }

    fn check_broker(
        &self,
        header: &SendMessageRequestHeader<'_>,
        settings: &Settings,
        now: i64,
    ) -> Result<(), Error> {
        self.check_time_and_permission(header, settings, now)?;
        if settings.is_slave() {
            return Err(Error::Slave);
        }
        Ok(())
    }

    pub(super) fn check_time_and_permission(
        &self,
        header: &SendMessageRequestHeader<'_>,
        settings: &Settings,
        now: i64,
    ) -> Result<(), Error> {
        let accept_from = settings.broker.start_accept_send_request_time_stamp;
        if now < accept_from {
            return Err(Error::NotYet(accept_from));
        }
        // Only ordered topics obey the broker's permission: their producers cannot simply go to another broker.
        let writable = settings.broker.broker_permission & perm::WRITE != 0;
        if !writable && self.topics.get(&header.topic).is_some_and(|t| t.order) {
            return Err(Error::BrokerUnwritable(settings.broker.broker_ip1.clone()));
        }
        Ok(())
    }

    fn target<'a>(
        &self,
        header: &SendMessageRequestHeader<'a>,
        frame: &Frame,
        peer: SocketAddr,
        settings: &Settings,
        now: i64,
        last: &mut Option<Known<'a>>,
    ) -> Result<Target<'a>, Error> {
        let (known, made_topic) = match last.take().filter(|known| known.name == header.topic) {
            Some(known) => (known, false),
            None => self.known(header, peer, settings, now)?,
        };
        let known = last.insert(known);
        let queue_id = self.queue_of(known, header, peer)?;
        let target = Target {
            topic: header.topic.clone(),
            queue_id,
            multi_tag: known.multi_tag,
            topic_unsaved: known.unsaved,
            made_topic,
            delay: None,
        };
        match header.topic.strip_prefix(name::RETRY_PREFIX) {
            Some(group) if header.batch != Some(true) => {
                let group = group.to_owned();
                self.retry_target(target, &group, header, frame, settings, now)
            }
            _ => Ok(target),
        }
    }

    /// The queue a send goes to.
    pub(super) fn queue_of(
        &self,
        known: &Known<'_>,
        header: &SendMessageRequestHeader<'_>,
        peer: SocketAddr,
    ) -> Result<i32, Error> {
        let queues = known.write_queues.max(known.read_queues);
        match header.queue_id {
            asked if asked >= queues => Err(Error::Queue {
                queue_id: asked,
                topic: header.topic.to_string(),
                queues,
                peer,
            }),
            asked @ 0.. => Ok(asked),
            _ => Ok(self.any_queue(known.write_queues)),
        }
    }

    /// The topic a send names, checked; made where it is not there and may be.
    pub(super) fn known<'a>(
        &self,
        header: &SendMessageRequestHeader<'a>,
        peer: SocketAddr,
        settings: &Settings,
        now: i64,
    ) -> Result<(Known<'a>, bool), Error> {
        name::check_topic(&header.topic)?;
        if !name::may_be_sent_to(&header.topic) {
            return Err(Error::ReservedTopic(header.topic.to_string()));
        }
        let state = match self.topics.state_of(&header.topic) {
            Some(state) => state,
            None => self.create(header, peer, settings, now)?,
        };
        Ok((Known::new(&header.topic, &state), state.made))
    }

    /// A consumer's own resend: after the last retry it goes to the dead letters.
    fn retry_target<'a>(
        &self,
        target: Target<'a>,
        group: &str,
        header: &SendMessageRequestHeader<'a>,
        frame: &Frame,
        settings: &Settings,
        now: i64,
    ) -> Result<Target<'a>, Error> {
        let auto_create = settings.broker.auto_create_subscription_group;
        let config = self
            .groups
            .find(group, auto_create, now)
            .ok_or_else(|| Error::GroupUnknown(group.to_owned()))?;
        let own_max = header.max_reconsume_times.filter(|_| frame.version >= V3_4_9);
        if header.reconsume_times.unwrap_or(0) < own_max.unwrap_or(config.retry_max_times) {
            return Ok(target);
        }
        let dead = name::dlq_topic(group);
        let made = self
            .topics
            .create_for_group(&dead, 1, perm::READ | perm::WRITE, 0, now);
        let state = made.map_err(|why| Error::TopicUnknown {
            topic: dead.clone(),
            why,
        })?;
        Ok(Target {
            topic: Cow::Owned(dead),
            queue_id: 0,
            multi_tag: state.config.topic_filter_type == TopicFilterType::MultiTag,
            topic_unsaved: state.unsaved,
            made_topic: state.made,
            delay: Some(0),
        })
    }

    fn create(
        &self,
        header: &SendMessageRequestHeader<'_>,
        peer: SocketAddr,
        settings: &Settings,
        now: i64,
    ) -> Result<TopicState, Error> {
        let topic = header.topic.as_ref();
        let retry = topic.starts_with(name::RETRY_PREFIX);
        // Bits of topicSysFlag: 1 unit, 2 unit subscription.
        let unit = match (header.unit_mode == Some(true), retry) {
            (true, true) => 2,
            (true, false) => 1,
            (false, _) => 0,
        };
        let template = header.default_topic.as_deref().unwrap_or("");
        let queues = header.default_topic_queue_nums.unwrap_or(0);
        let auto_create = settings.broker.auto_create_topic_enable;
        let made = match self
            .topics
            .create_on_send(topic, template, queues, unit, auto_create, now)
        {
            Err(NotCreated::Template(_)) if retry => {
                self.topics
                    .create_for_group(topic, 1, perm::READ | perm::WRITE, unit, now)
            }
            made => made,
        };
        let state = made.map_err(|why| Error::TopicUnknown {
            topic: topic.to_owned(),
            why,
        })?;
        if state.made {
            let queues = state.config.write_queue_nums;
            tracing::info!("topic {topic} made for a send of {peer}: {queues} queues");
        }
        Ok(state)
    }

    fn any_queue(&self, queues: i32) -> i32 {
        let next = self.next_queue.fetch_add(1, Ordering::Relaxed);
        (next % queues.max(1).unsigned_abs()) as i32
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `plan`, cut out for its length"
    )]
    fn plan_single<'a>(
        &self,
        plan: &mut Plan<'a>,
        delay: Option<i32>,
        text: &Parsed<'a>,
        header: &SendMessageRequestHeader<'_>,
        frame: &'a Frame,
        settings: &Settings,
        scratch: &mut Scratch<'a>,
    ) -> Result<(), Error> {
        let wanted = text.wanted();
        let kind = sys_flag::transaction_type(plan.sys_flag);
        let may_be_delayed = wanted.is_half() || matches!(kind, 0 | sys_flag::TRANSACTION_COMMIT);
        let level = match delay {
            Some(level) => level,
            None if may_be_delayed => delay_level(wanted)?,
            None => 0,
        };
        // A consumer of before 4.6.1 leaves TRAN_MSG in what it sends to its retry topic (5.3.3, SendMessageProcessor).
        if wanted.is_half() && !(plan.reconsume_times > 0 && level > 0) {
            return self.plan_half(plan, delay, text, header, frame, settings, scratch);
        }
        let parked = level > 0 && matches!(kind, 0 | sys_flag::TRANSACTION_COMMIT);
        let start = scratch.text.len();
        let cluster = settings.broker.broker_cluster_name.as_str();
        if parked {
            let level = level.min(self.delay_levels.max());
            let queue = plan.queue_id.to_string();
            let level_text = level.to_string();
            let with = [
                (names::CLUSTER, cluster),
                (names::DELAY, level_text.as_str()),
                (names::REAL_TOPIC, plan.topic.as_ref()),
                (names::REAL_QUEUE_ID, queue.as_str()),
            ];
            text.rebuild(&[], &with, Ending::Bare, &mut scratch.text);
            let asked = std::mem::replace(&mut plan.topic, Cow::Borrowed(SCHEDULE_TOPIC));
            plan.parked_for = Some(asked);
            plan.kind = MessageKind::Delay;
            plan.queue_id = level - 1;
        } else {
            let zero = delay.map(|d| d.to_string());
            let with = [
                (names::CLUSTER, cluster),
                (names::DELAY, zero.as_deref().unwrap_or("")),
            ];
            let with = if zero.is_some() { &with[..] } else { &with[..1] };
            text.rebuild(&[names::WAIT], with, Ending::Bare, &mut scratch.text);
        }
        // Else it has another delay, of a text of its own.
        let wanted = (!parked && delay.is_none()).then_some(*wanted);
        push_single(start, wanted, header, frame, settings, scratch)
    }

    /// The first phase of a transaction: the message is kept where no consumer sees it. One with a delay waits here, too, and
    /// is delayed from its commit on. (Java parks the half message, and drops it when it is due.)
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `plan_single`, cut out for its length"
    )]
    fn plan_half<'a>(
        &self,
        plan: &mut Plan<'a>,
        delay: Option<i32>,
        text: &Parsed<'a>,
        header: &SendMessageRequestHeader<'_>,
        frame: &'a Frame,
        settings: &Settings,
        scratch: &mut Scratch<'a>,
    ) -> Result<(), Error> {
        if settings.broker.reject_transaction_message {
            return Err(Error::Transaction(settings.broker.broker_ip1.clone()));
        }
        let perm = perm::READ | perm::WRITE;
        let state = self
            .topics
            .create_for_group(HALF_TOPIC, 1, perm, 0, self.clock.now_ms())
            .map_err(|why| Error::TopicUnknown {
                topic: HALF_TOPIC.to_owned(),
                why,
            })?;
        plan.topic_unsaved = plan.topic_unsaved.max(state.unsaved);
        let start = scratch.text.len();
        let cluster = &settings.broker.broker_cluster_name;
        half_text(
            text,
            &plan.topic,
            plan.queue_id,
            cluster,
            delay,
            &mut scratch.text,
        );
        plan.sys_flag = sys_flag::with_transaction_type(plan.sys_flag, 0);
        plan.parked_for = Some(std::mem::replace(&mut plan.topic, Cow::Borrowed(HALF_TOPIC)));
        plan.queue_id = transaction::QUEUE;
        plan.kind = MessageKind::Transaction;
        push_single(start, None, header, frame, settings, scratch)
    }
}

/// The record of a single message, whose properties are the text from `start` on.
fn push_single<'a>(
    start: usize,
    wanted: Option<Wanted<'a>>,
    header: &SendMessageRequestHeader<'_>,
    frame: &'a Frame,
    settings: &Settings,
    scratch: &mut Scratch<'a>,
) -> Result<(), Error> {
    let properties = start..scratch.text.len();
    if properties.len() > PROPERTIES_MAX {
        return Err(Error::TooLong {
            body_max: settings.store.max_message_size,
        });
    }
    scratch.records.push(Record {
        flag: header.flag.unwrap_or(0),
        body: &frame.body,
        properties,
        wanted,
    });
    Ok(())
}

/// Splits a batch; its outer properties are added to each message's own.
fn plan_batch<'a>(
    outer: &Parsed<'a>,
    frame: &'a Frame,
    flags: i32,
    settings: &Settings,
    scratch: &mut Scratch<'a>,
) -> Result<(), Error> {
    if delay_level(outer.wanted())? > 0 || sys_flag::transaction_type(flags) != 0 {
        return Err(Error::BatchKind {
            body_max: settings.store.max_message_size,
        });
    }
    let mut shared = Vec::new();
    let with = [(names::CLUSTER, settings.broker.broker_cluster_name.as_str())];
    outer.rebuild(&[], &with, Ending::Bare, &mut shared);
    let first = scratch.records.len();
    for entry in batch::entries(&frame.body) {
        let entry = entry?;
        if scratch.records.len() == first {
            // Those that follow are mostly as long.
            let entry_len = batch::OVERHEAD_BYTES + entry.body.len() + entry.properties.len();
            let likely = (frame.body.len() / entry_len + 1).min(RECORDS_ROOM_MAX);
            scratch.records.reserve(likely);
            scratch
                .text
                .reserve((likely * (entry.properties.len() + shared.len() + 1)).min(TEXT_ROOM_MAX));
        }
        let start = scratch.text.len();
        scratch.text.extend_from_slice(entry.properties);
        if scratch.text.len() > start && scratch.text.last() != Some(&properties::PAIR_SEPARATOR) {
            scratch.text.push(properties::PAIR_SEPARATOR);
        }
        scratch.text.extend_from_slice(&shared);
        let properties = start..scratch.text.len();
        if properties.len() > PROPERTIES_MAX {
            return Err(Error::TooLong {
                body_max: settings.store.max_message_size,
            });
        }
        scratch.records.push(Record {
            flag: entry.flag,
            body: entry.body,
            properties,
            wanted: Some(Wanted::of(entry.properties).followed_by(outer.wanted())),
        });
    }
    if scratch.records.len() == first {
        return Err(Error::BatchEmpty);
    }
    Ok(())
}

/// The delay level that a message asks for; 0 for none. A producer whose level is no number means to delay.
fn delay_level(wanted: &Wanted<'_>) -> Result<i32, Error> {
    let Some(text) = wanted.delay else { return Ok(0) };
    let text = String::from_utf8_lossy(text);
    text.parse()
        .map_err(|_| Error::Delay(text.chars().take(64).collect()))
}
