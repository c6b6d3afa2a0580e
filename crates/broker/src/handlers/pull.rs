//! PULL_MESSAGE (11), LITE_PULL_MESSAGE (361): the whole life of a pull.
//!
//! Checks, codes and remarks: RocketMQ 4.9.8, PullMessageProcessor (reference: wire.md §17, behaviours.md §9).

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use acl::{Permission, Refused, Resource};
use bytes::Bytes;
use disk::{Clock, Disk, MappedSlice};
use filter::{Filter, Verdict};
use message::record::{Check, Entry, decode};
use parking_lot::Mutex;
use protocol::body::broker::{ConsumeType, SubscriptionGroupConfig};
use protocol::body::topic::TopicConfig;
use protocol::code::{request, response};
use protocol::header::broker::{PullMessageRequestHeader, PullMessageResponseHeader};
use remoting::{Body, Request, Responder};
use store::{Arrival, Heat, QueueOffset, ReadLimits, ReadResult, ReadStatus, Store};

use crate::access::Guard;
use crate::clients::{ColdReads, Consumers, SlowGroups, Thresholds};
use crate::commitlog::{ArrivalListener, Held, Hold, Waiting};
use crate::config::{SettingsChange, SettingsListener};
use crate::lane::{Lane, MayWait};
use crate::settings::Settings;
use crate::stats::{Flowed, Stats};
use crate::tables::filters::FilterTable;
use crate::tables::{GroupTable, OffsetTable, TopicTable, perm};
use remoting::budget::Exhausted;

mod wanted;

/// Bits of a pull's sysFlag (RocketMQ 4.9.8, PullSysFlag).
mod flag {
    pub(super) const COMMIT_OFFSET: i32 = 0x1;
    pub(super) const SUSPEND: i32 = 0x2;
    pub(super) const SUBSCRIPTION: i32 = 0x4;
}

/// Longest time a client may ask a pull to be held: an hour.
const SUSPEND_MAX_MS: i64 = 3_600_000;

/// How long a pull of what is not in memory waits where its group has read enough of that, ms.
const COLD_PAUSE_MS: i64 = 1_000;

/// How many of the pulls that wait for a queue are asked about a message, under the reput lock; the others run again.
const ASKED_MAX: usize = 64;

/// What the handler needs.
pub struct Pull<D: Disk> {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Topics.
    pub topics: Arc<TopicTable>,
    /// Groups.
    pub groups: Arc<GroupTable>,
    /// Who is connected and what they subscribe to.
    pub consumers: Arc<Consumers>,
    /// Who reads far behind.
    pub slow: Arc<SlowGroups>,
    /// What they have read that had left memory.
    pub cold: Arc<ColdReads>,
    /// What they want by expressions that are no tags.
    pub filters: Arc<FilterTable>,
    /// Committed offsets.
    pub offsets: Arc<OffsetTable>,
    /// Where messages are read.
    pub store: Arc<Store<D>>,
    /// Where pulls wait.
    pub hold: Arc<Hold<HeldPull>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Where pulls of what is not in memory are served.
    pub lane: Arc<Lane>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A pull that waits for a message. It owns its header: the frame would keep a whole read buffer alive.
pub struct HeldPull {
    header: PullMessageRequestHeader<'static>,
    responder: Responder,
    filter: Arc<dyn Filter>,
    account: Account,
}

/// The account or user that a pull is signed by, where that is asked.
type Account = Option<Box<str>>;

impl HeldPull {
    /// Whose it is: the group, and the address of its member.
    pub fn reader(&self) -> (&str, SocketAddr) {
        (&self.header.consumer_group, self.responder.peer().address())
    }

    /// The queue offset that it asks for.
    pub fn offset(&self) -> i64 {
        self.header.queue_offset
    }
}

impl Waiting for HeldPull {
    fn is_alive(&self) -> bool {
        self.responder.peer().is_open()
    }

    fn bytes(&self) -> usize {
        let header = &self.header;
        let kind = header.expression_type.as_deref().map_or(0, str::len);
        let account = self.account.as_deref().map_or(0, str::len);
        header.topic.len() + header.consumer_group.len() + kind + account + self.filter.bytes()
    }

    fn address(&self) -> IpAddr {
        self.responder.peer().address().ip()
    }
}

/// Runs held pulls again when messages arrive: those of one reput together, after their producers have their answers.
pub struct PullListener<D: Disk> {
    /// Runs them.
    pull: Arc<Pull<D>>,
    /// Taken out of the hold and not yet run.
    woken: Mutex<Vec<HeldPull>>,
    /// Whether there are any: most looks find none.
    any: AtomicBool,
}

impl<D: Disk> PullListener<D> {
    /// For the pulls that wait in the hold of `pull`.
    pub fn new(pull: Arc<Pull<D>>) -> Self {
        Self {
            pull,
            woken: Mutex::default(),
            any: AtomicBool::new(false),
        }
    }

    /// A topic has changed or is gone: who waits for it hears what is so now.
    pub fn topic_changed(&self, topic: &str) {
        for held in self.pull.hold.take_topic(topic) {
            self.pull.again(held);
        }
    }

    /// Groups have changed or are gone: who waits in their name hears what is so now.
    pub fn groups_changed(&self, groups: &HashSet<&str>) {
        let concerns = |held: &HeldPull| groups.contains(&*held.header.consumer_group);
        for held in self.pull.hold.take_those(concerns) {
            self.pull.again(held);
        }
    }
}

impl<D: Disk> ArrivalListener for PullListener<D> {
    fn arrived(&self, arrival: &Arrival<'_>) {
        let hold = &self.pull.hold;
        if hold.is_empty() {
            return;
        }
        let mut woken = self.woken.lock();
        let end = arrival.queue_offset.0 + 1;
        let (record, asked) = (OnceCell::new(), Cell::new(0));
        let record = || record.get_or_init(|| self.pull.store.record_at(arrival.physical_offset).ok());
        hold.take(
            (arrival.topic, arrival.queue_id),
            end,
            |held| {
                is_wanted(&*held.filter, arrival.tags_code, || {
                    asked.set(asked.get() + 1);
                    record().as_ref().filter(|_| asked.get() <= ASKED_MAX)
                })
            },
            &mut woken,
        );
        if !woken.is_empty() {
            self.any.store(true, Ordering::Release);
        }
    }

    fn wake(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        self.any.store(false, Ordering::Release);
        let woken = std::mem::take(&mut *self.woken.lock());
        for held in woken {
            self.pull.again(held);
        }
    }
}

/// Whether a message is to wake a pull. Its record is looked at only where that decides. What can not be looked at, or not
/// soon, is for the pull's own read to find.
fn is_wanted<'a>(
    filter: &dyn Filter,
    tags_code: i64,
    record: impl FnOnce() -> Option<&'a MappedSlice>,
) -> bool {
    match filter.by_unit(tags_code) {
        Verdict::Wanted => true,
        Verdict::Unwanted => false,
        Verdict::AskRecord if filter.is_slow() => true,
        Verdict::AskRecord => match record().map(|record| decode(record, Check::Lengths)) {
            Some(Ok(Entry::Record(view))) => filter.by_record(&view),
            _ => true,
        },
    }
}

/// How long pulls wait, and whether they may: those that wait by the old rules are answered, and come back under the new.
impl<D: Disk> SettingsListener for PullListener<D> {
    fn changed(&self, change: &SettingsChange) {
        if !change.concerns(|s| {
            let broker = &s.broker;
            let long = broker.long_polling_enable;
            (
                long,
                broker.short_polling_time_mills,
                broker.broker_permission & perm::READ,
                (broker.enable_property_filter, broker.filter_support_retry),
            )
        }) {
            return;
        }
        for held in self.pull.hold.take_all() {
            self.pull.again(held);
        }
    }
}

/// Why a pull is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Access(#[from] Refused),
    #[error("the broker[{0}] pulling message is forbidden")]
    BrokerUnreadable(String),
    #[error(
        "subscription group [{0}] does not exist, create it or let the broker do so (autoCreateSubscriptionGroup)"
    )]
    GroupUnknown(String),
    #[error("subscription group no permission, {0}")]
    GroupDisabled(String),
    #[error(
        "topic[{0}] not exist, apply first please! Create it or let the broker do so (autoCreateTopicEnable)"
    )]
    TopicUnknown(String),
    #[error("the consumer group[{group}] is forbidden for topic[{topic}]")]
    TopicForbidden { group: String, topic: String },
    #[error("the topic[{0}] pulling message is forbidden")]
    TopicUnreadable(String),
    #[error(
        "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}] consumer:[/{peer}]"
    )]
    Queue {
        queue_id: i32,
        topic: String,
        queues: i32,
        peer: SocketAddr,
    },
    #[error("parse the consumer's subscription failed: {0}")]
    Subscription(String),
    #[error("the consumer's group info not exist: no member of the group is connected here")]
    GroupOffline,
    #[error("the consumer group[{0}] can not consume by broadcast way")]
    Broadcast(String),
    #[error("the consumer's subscription not exist: members of one group must subscribe to the same topics")]
    NotSubscribed,
    #[error("the consumer's subscription not latest")]
    SubscriptionOld,
    #[error("The broker's consumer filter data is not exist!Your expression may be wrong!")]
    NoFilter,
    #[error("the consumer's consumer filter data not latest")]
    FilterOld,
    #[error("The broker does not support consumer to filter message by {0}")]
    FilterType(String),
    #[error("the queue can not be read: {0}")]
    Disk(disk::Error),
    #[error("the messages can not be read from the disk: {0}")]
    Unreadable(std::io::Error),
    #[error("This consumer group is reading cold data. It has been flow control")]
    ColdReads,
    #[error("{0}")]
    NoRoom(#[from] Exhausted),
    /// Its client waits before it asks again. One that was answered with messages would ask at once, and may hear of the end too late: a
    /// client of Java's 4.9 waits 30 s for that answer.
    #[error("the broker stops: pull again when it is back, or from another")]
    Stop,
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::Header(_)
            | Error::Queue { .. }
            | Error::FilterType(_)
            | Error::Disk(_)
            | Error::Unreadable(_) => response::SYSTEM_ERROR,
            Error::BrokerUnreadable(_)
            | Error::GroupDisabled(_)
            | Error::TopicUnreadable(_)
            | Error::TopicForbidden { .. }
            | Error::Broadcast(_) => response::NO_PERMISSION,
            Error::GroupUnknown(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            Error::TopicUnknown(_) => response::TOPIC_NOT_EXIST,
            Error::Subscription(_) => response::SUBSCRIPTION_PARSE_FAILED,
            Error::Access(refused) => refused.code(),
            Error::ColdReads | Error::NoRoom(_) => response::SYSTEM_BUSY,
            Error::Stop => response::SERVICE_NOT_AVAILABLE,
            Error::GroupOffline | Error::NotSubscribed => response::SUBSCRIPTION_NOT_EXIST,
            Error::SubscriptionOld => response::SUBSCRIPTION_NOT_LATEST,
            Error::NoFilter => response::FILTER_DATA_NOT_EXIST,
            Error::FilterOld => response::FILTER_DATA_NOT_LATEST,
        }
    }
}

/// Has this pull been here before?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Again,
}

/// How a pull is served.
#[derive(Default)]
struct Way {
    /// On a lane.
    may_wait: Option<MayWait>,
    /// What it reads is not in memory, and counts.
    counts_cold: bool,
    /// Whose it is.
    account: Account,
}

/// What becomes of a pull of a group that has read enough of what is not in memory.
enum Enough {
    Refuse,
    Later,
    One,
}

impl<D: Disk> Pull<D> {
    /// Serves a pull; the answer may come later.
    pub fn handle(self: &Arc<Self>, request: Request) {
        let Request { frame, responder } = request;
        let signed_by = || acl::identity(&frame).0.map(Box::from);
        let account = self.access.as_ref().and_then(|_| signed_by());
        match frame.header() {
            Ok(header) => self.run(header, responder, account, None),
            Err(e) => refuse(responder, &Error::Header(e)),
        }
    }

    /// Runs a held pull once more, because a message came or its time is over.
    pub fn again(self: &Arc<Self>, held: HeldPull) {
        match self.may_still_read(&held) {
            Ok(()) => self.run(held.header, held.responder, held.account, Some(held.filter)),
            Err(refused) => refuse(held.responder, &Error::Access(refused)),
        }
    }

    /// What was let in may have waited since its account lost the right.
    fn may_still_read(&self, held: &HeldPull) -> Result<(), Refused> {
        let Some(access) = &self.access else { return Ok(()) };
        let (peer, header) = (held.responder.peer().address().ip(), &held.header);
        let resources = [
            Resource::topic(&header.topic),
            Resource::Group(&header.consumer_group),
        ];
        resources.into_iter().try_for_each(|resource| {
            let wanted = (resource, Permission::Sub);
            access.may(held.account.as_deref(), peer, wanted, request::PULL_MESSAGE)
        })
    }

    /// Serves a pull for the first time, or once more with the filter it was held with.
    fn run(
        self: &Arc<Self>,
        header: PullMessageRequestHeader<'_>,
        responder: Responder,
        account: Account,
        held_with: Option<Arc<dyn Filter>>,
    ) {
        let pass = match held_with {
            None => Pass::First,
            Some(_) => Pass::Again,
        };
        if self.hold.is_closed() {
            return refuse(responder, &Error::Stop);
        }
        let (group, filter) = match self.check(&header, responder.peer().address(), held_with) {
            Ok(checked) => checked,
            Err(e) => return refuse(responder, &e),
        };
        let (queue_id, offset) = (header.queue_id, QueueOffset(header.queue_offset));
        let heat = self
            .store
            .heat(&header.topic, queue_id, offset, header.max_msg_nums);
        if filter.is_slow() || heat != Heat::Hot {
            // Neither the disk nor an endless expression must hold up a worker.
            let settings = self.settings.load();
            // What was read ahead is not cold any more, and would not count.
            let reads_ahead = heat != Heat::Hot && !settings.store.cold_data_flow_control_enable;
            let limits_cold = heat == Heat::Cold
                && settings.store.cold_data_flow_control_enable
                && ColdReads::counts(&header.consumer_group);
            let (pull, mut header) = (Arc::clone(self), header.into_owned());
            if limits_cold && self.has_read_enough(&header.consumer_group, &settings) {
                match self.when_enough(&header, pass) {
                    Enough::Refuse => return refuse(responder, &Error::ColdReads),
                    Enough::Later => {
                        return self.keep_cold(HeldPull {
                            header,
                            responder,
                            filter,
                            account,
                        });
                    }
                    Enough::One => header.max_msg_nums = 1,
                }
            }
            let bytes = header.subscription.as_deref().map_or(0, str::len);
            self.lane.serve(responder, bytes, move |responder, may| {
                let way = Way {
                    may_wait: Some(may),
                    counts_cold: limits_cold,
                    account,
                };
                if reads_ahead {
                    pull.store.read_ahead(&header.topic, queue_id, offset);
                }
                pull.serve(header, responder, pass, (&group, filter), way);
            });
        } else {
            let way = Way {
                account,
                ..Way::default()
            };
            self.serve(header, responder, pass, (&group, filter), way);
        }
    }

    /// Has the group read all that it may of what is not in memory?
    fn has_read_enough(&self, group: &str, settings: &Settings) -> bool {
        self.cold
            .is_limited(group, Thresholds::of(settings), self.clock.now_ms())
    }

    /// What becomes of a pull of a group that has read enough (RocketMQ 5.3.3, PullMessageProcessor).
    fn when_enough(&self, header: &PullMessageRequestHeader<'_>, pass: Pass) -> Enough {
        let group = self.consumers.view(&header.consumer_group, &header.topic);
        match (group.map(|group| group.consume_type), pass) {
            // Its client asks again soon.
            (Some(ConsumeType::Passively), _) => Enough::Refuse,
            (_, Pass::First) => Enough::Later,
            (_, Pass::Again) => Enough::One,
        }
    }

    /// Holds a pull for a while, whatever messages come.
    fn keep_cold(self: &Arc<Self>, pull: HeldPull) {
        self.keep(Held {
            offset: i64::MAX,
            deadline_ms: self.clock.now_ms() + COLD_PAUSE_MS,
            pull,
        });
    }

    /// Reads and answers, or holds the pull.
    fn serve(
        self: &Arc<Self>,
        header: PullMessageRequestHeader<'_>,
        responder: Responder,
        pass: Pass,
        (group, filter): (&SubscriptionGroupConfig, Arc<dyn Filter>),
        way: Way,
    ) {
        let started_ms = self.clock.now_ms();
        let mut slices = Vec::new();
        let limits = ReadLimits {
            max_messages: header.max_msg_nums,
            max_bytes: header
                .max_msg_bytes
                .filter(|b| *b > 0)
                .map_or(i64::MAX, i64::from),
        };
        if let Some(offset) = self
            .offsets
            .take_reset(&header.consumer_group, &header.topic, header.queue_id)
        {
            return self.answer_reset(&header, responder, group, offset);
        }
        let asked = QueueOffset(header.queue_offset);
        let read = match self.store.read(
            &header.topic,
            header.queue_id,
            asked,
            limits,
            &*filter,
            &mut slices,
        ) {
            Ok(read) => read,
            Err(e) => return refuse(responder, &Error::Disk(e)),
        };
        tell_of_what_is_passed_over(&header, &read);
        let (code, wait) = answer_code(read.status, header.queue_offset);
        let took_ms = (self.clock.now_ms() - started_ms).max(0) as u64;
        self.stats
            .read(u64::from(read.count), code == response::SUCCESS, took_ms);
        if read.count > 0 {
            let flow = Flowed {
                messages: u64::from(read.count),
                bytes: read.bytes,
                times: 1,
            };
            let queue = (&*header.topic, header.queue_id);
            let next = Some(read.next_begin_offset.0);
            self.stats
                .items
                .got_up_to(&header.consumer_group, queue, flow, took_ms, next);
            if way.counts_cold {
                let bytes = read.bytes.cast_signed();
                self.cold.note(&header.consumer_group, bytes, started_ms);
            }
        }
        if pass == Pass::First && header.sys_flag & flag::COMMIT_OFFSET != 0 {
            self.commit(&header);
        }
        if wait && pass == Pass::First && header.sys_flag & flag::SUSPEND != 0 {
            let (deadline_ms, offset) = (self.held_until(&header, started_ms), header.queue_offset);
            // Its text has become the filter, and may be long.
            let without_text = PullMessageRequestHeader {
                subscription: None,
                ..header
            };
            let pull = HeldPull {
                header: without_text.into_owned(),
                responder,
                filter,
                account: way.account,
            };
            return self.keep(Held {
                offset,
                deadline_ms,
                pull,
            });
        }
        let settings = self.settings.load();
        if settings.broker.disable_consume_if_consumer_read_slowly {
            let most = settings.broker.consumer_fallbehind_threshold;
            let queue = (&*header.topic, header.queue_id);
            self.slow
                .note(&header.consumer_group, queue, read.bytes_behind, most);
        }
        let suggest = match (settings.broker.slave_read_enable, read.far_behind) {
            (false, _) => 0,
            (true, true) => group.which_broker_when_consume_slowly,
            (true, false) => group.broker_id,
        };
        let (code, suggest) = of_slave(&settings, group, code).unwrap_or((code, suggest));
        let answer = PullMessageResponseHeader {
            suggest_which_broker_id: suggest,
            next_begin_offset: read.next_begin_offset.0,
            min_offset: read.min_offset.0,
            max_offset: read.max_offset.0,
            forbidden_type: None,
        };
        let remark = status_name(read.status);
        if slices.is_empty() {
            return responder.reply(code, Some(remark), &answer, Body::Empty);
        }
        match way.may_wait {
            Some(may) => reply_from_disk(responder, code, remark, &answer, slices, may),
            // Some of it may have left memory since the look at it.
            None if read.far_behind => self.lane.serve(responder, 0, move |responder, may| {
                reply_from_disk(responder, code, remark, &answer, slices, may);
            }),
            None => responder.reply(code, Some(remark), &answer, body(slices)),
        }
    }

    /// Everything that is checked before the queue is read; gives the group and the filter to read with. A pull that was
    /// held and brought its own subscription keeps the filter that was made of it.
    fn check(
        &self,
        header: &PullMessageRequestHeader<'_>,
        peer: SocketAddr,
        held_with: Option<Arc<dyn Filter>>,
    ) -> Result<(Arc<SubscriptionGroupConfig>, Arc<dyn Filter>), Error> {
        let settings = self.settings.load();
        if settings.broker.broker_permission & perm::READ == 0 {
            return Err(Error::BrokerUnreadable(settings.broker.broker_ip1.clone()));
        }
        let auto_create = settings.broker.auto_create_subscription_group;
        let group = self
            .groups
            .find(&header.consumer_group, auto_create, self.clock.now_ms())
            .ok_or_else(|| Error::GroupUnknown(header.consumer_group.to_string()))?;
        if !group.consume_enable {
            return Err(Error::GroupDisabled(header.consumer_group.to_string()));
        }
        let topic = self
            .topics
            .get(&header.topic)
            .ok_or_else(|| Error::TopicUnknown(header.topic.to_string()))?;
        check_topic(&topic, header, peer)?;
        if self.groups.forbids_reading(&header.consumer_group, &header.topic) {
            return Err(Error::TopicForbidden {
                group: header.consumer_group.to_string(),
                topic: header.topic.to_string(),
            });
        }
        let own = held_with.filter(|_| header.sys_flag & flag::SUBSCRIPTION != 0);
        let filter = match own {
            Some(filter) => filter,
            None => self.filter(header, &group)?,
        };
        Ok((group, filter))
    }

    fn commit(&self, header: &PullMessageRequestHeader<'_>) {
        let Some(offset) = header.commit_offset else {
            return;
        };
        // Unlike Java: an offset that could never be used is not stored. One that an operator has set stays.
        if offset < 0 || self.settings.load().is_slave() {
            return;
        }
        let (group, topic) = (&header.consumer_group, &header.topic);
        if let Err(e) = self.offsets.commit(group, topic, header.queue_id, offset) {
            tracing::debug!("offset of {group} for {topic} not stored: {e}");
        }
    }

    /// When a pull that came at `now_ms` is answered at the latest.
    fn held_until(&self, header: &PullMessageRequestHeader<'_>, now_ms: i64) -> i64 {
        let settings = self.settings.load();
        let wanted = match settings.broker.long_polling_enable {
            true => header.suspend_timeout_millis.unwrap_or(0),
            false => settings.broker.short_polling_time_mills,
        };
        now_ms + wanted.clamp(0, SUSPEND_MAX_MS)
    }

    /// An operator has set the queue to another offset: its consumer goes on there (RocketMQ 5.3.3, OFFSET_RESET).
    fn answer_reset(
        &self,
        header: &PullMessageRequestHeader<'_>,
        responder: Responder,
        group: &SubscriptionGroupConfig,
        offset: i64,
    ) {
        let (min, max) = self.store.queue_bounds(&header.topic, header.queue_id);
        let settings = self.settings.load();
        let suggest = if settings.broker.slave_read_enable {
            group.broker_id
        } else {
            0
        };
        let code = response::PULL_OFFSET_MOVED;
        let (code, suggest) = of_slave(&settings, group, code).unwrap_or((code, suggest));
        let answer = PullMessageResponseHeader {
            suggest_which_broker_id: suggest,
            next_begin_offset: offset,
            min_offset: min.0,
            max_offset: max.0,
            forbidden_type: None,
        };
        responder.reply(code, Some("OFFSET_RESET"), &answer, Body::Empty);
    }

    fn keep(self: &Arc<Self>, held: Held<HeldPull>) {
        let mut held = held;
        // The hold counts what is left of the request.
        held.pull.responder.release_weight();
        let (topic, queue_id) = (held.pull.header.topic.to_string(), held.pull.header.queue_id);
        match self.hold.put(&topic, queue_id, held) {
            Ok(key) => {
                // A message may have come between the read and the put; its reput did not see this pull.
                let end = self.store.queue_max_offset(&topic, queue_id).0;
                if (end > key.0 || self.hold.is_closed())
                    && let Some(pull) = self.hold.take_one(&topic, queue_id, key)
                {
                    self.again(pull);
                }
            }
            Err((held, exhausted)) => refuse(held.pull.responder, &Error::NoRoom(exhausted)),
        }
    }
}

fn check_topic(
    topic: &TopicConfig,
    header: &PullMessageRequestHeader<'_>,
    peer: SocketAddr,
) -> Result<(), Error> {
    if topic.perm & perm::READ == 0 {
        return Err(Error::TopicUnreadable(header.topic.to_string()));
    }
    if header.queue_id < 0 || header.queue_id >= topic.read_queue_nums {
        return Err(Error::Queue {
            queue_id: header.queue_id,
            topic: header.topic.to_string(),
            queues: topic.read_queue_nums,
            peer,
        });
    }
    Ok(())
}

/// The code for a store status, and whether the pull may wait instead.
fn answer_code(status: ReadStatus, asked: i64) -> (i32, bool) {
    match status {
        ReadStatus::Found => (response::SUCCESS, false),
        ReadStatus::NoMatchedMessage | ReadStatus::MessageWasRemoving => {
            (response::PULL_RETRY_IMMEDIATELY, false)
        }
        ReadStatus::NoMatchedLogicQueue | ReadStatus::NoMessageInQueue if asked != 0 => {
            (response::PULL_OFFSET_MOVED, false)
        }
        ReadStatus::NoMatchedLogicQueue
        | ReadStatus::NoMessageInQueue
        | ReadStatus::OffsetFoundNull
        | ReadStatus::OffsetOverflowOne => (response::PULL_NOT_FOUND, true),
        ReadStatus::OffsetOverflowBadly | ReadStatus::OffsetTooSmall => (response::PULL_OFFSET_MOVED, false),
    }
}

/// The code of a slave that has not what was asked for, and the broker that the consumer is to ask next: it may be behind, and where the
/// queue ends only the master knows. With PULL_OFFSET_MOVED the consumer would forget what it is working on (RocketMQ 4.9.8,
/// PullMessageProcessor).
fn of_slave(settings: &Settings, group: &SubscriptionGroupConfig, code: i32) -> Option<(i32, i64)> {
    let waits = settings.is_slave() && !settings.store.offset_check_in_slave;
    (waits && code == response::PULL_OFFSET_MOVED)
        .then_some((response::PULL_RETRY_IMMEDIATELY, group.broker_id))
}

fn refuse(responder: Responder, e: &Error) {
    responder.error(e.code(), &e.to_string());
}

fn body(slices: Vec<MappedSlice>) -> Body {
    Body::Chunks(slices.into_iter().map(Bytes::from_owner).collect())
}

/// Java's name of the status, which answers carry as their remark.
fn status_name(status: ReadStatus) -> &'static str {
    match status {
        ReadStatus::Found => "FOUND",
        ReadStatus::NoMatchedMessage => "NO_MATCHED_MESSAGE",
        ReadStatus::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
        ReadStatus::OffsetFoundNull => "OFFSET_FOUND_NULL",
        ReadStatus::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
        ReadStatus::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
        ReadStatus::OffsetTooSmall => "OFFSET_TOO_SMALL",
        ReadStatus::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
        ReadStatus::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
    }
}

/// Consumers go on behind a message that is damaged, or go back to the end of a queue that has lost its own; nobody but the log would
/// tell of it.
fn tell_of_what_is_passed_over(header: &PullMessageRequestHeader<'_>, read: &ReadResult) {
    if read.status == ReadStatus::OffsetOverflowBadly {
        logs::limited!(
            warn,
            "group {} reads queue {} {} at offset {}, behind its end at {}, as after a restore: it is sent to {}",
            header.consumer_group,
            header.topic,
            header.queue_id,
            header.queue_offset,
            read.max_offset,
            read.next_begin_offset
        );
    }
    if let Some((offset, _)) = read.damaged.filter(|_| read.is_unit_damaged) {
        logs::limited!(
            warn,
            "queue {} {}: consumers pass over offset {offset}, whose unit in the consumequeue is damaged; the next start builds the queue \
             again from the commitlog from there on, and resetOffsetByTime has its groups read what they have passed over",
            header.topic,
            header.queue_id
        );
    } else if let Some((offset, place)) = read.damaged {
        logs::limited!(
            warn,
            "queue {} {}: consumers pass over offset {offset}, byte {place} of the commitlog holds no record of it; mqadmin checkStore \
             lists what is damaged",
            header.topic,
            header.queue_id
        );
    }
}

/// Answers with what has to come from the disk first, so that the write that follows does not wait for it. A page that can
/// not be read is an answer here; met by the write, it would end the process.
fn reply_from_disk(
    responder: Responder,
    code: i32,
    remark: &str,
    answer: &PullMessageResponseHeader,
    slices: Vec<MappedSlice>,
    _: MayWait,
) {
    match slices.iter().try_for_each(MappedSlice::fetch) {
        Ok(()) => responder.reply(code, Some(remark), answer, body(slices)),
        Err(e) => refuse(responder, &Error::Unreadable(e)),
    }
}
