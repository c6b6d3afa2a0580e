//! HEART_BEAT (34), UNREGISTER_CLIENT (35), GET_CONSUMER_LIST_BY_GROUP (38), CHECK_CLIENT_CONFIG (46), and the notice
//! NOTIFY_CONSUMER_IDS_CHANGED (40) that follows from the first two.
//!
//! Rules: RocketMQ 4.9.8, ClientManageProcessor, ConsumerManageProcessor, DefaultConsumerIdsChangeListener.

use std::sync::Arc;

use disk::Clock;
use message::name;
use protocol::body::broker::{CheckClientRequestBody, ConsumerData, ConsumerIdList, HeartbeatData};
use protocol::code::{request, response};
use protocol::header::broker::{
    ConsumerGroupRequestHeader, HeartbeatResponseHeader, NotifyConsumerIdsChangedRequestHeader,
    UnregisterClientRequestHeader,
};
use remoting::{Body, Peer, Request};

use crate::clients::{CLIENT_ID_MAX_LEN, Consumers, Heard, Notice, Producers};
use crate::settings::Settings;
use crate::tables::filters::{FilterTable, SQL92, is_tag_type};
use crate::tables::{GroupTable, TopicTable, perm};
use remoting::budget::Exhausted;

/// Heartbeats longer than this are read in a lane: a worker has other connections to serve.
pub const LONG_HEARTBEAT_BYTES: usize = 64 << 10;

/// What the handler needs.
pub struct Client {
    /// Settings that may change at run time.
    pub settings: Arc<settings::Live<Settings>>,
    /// Consumer groups' members.
    pub consumers: Arc<Consumers>,
    /// Producer groups' members.
    pub producers: Arc<Producers>,
    /// Groups' settings.
    pub groups: Arc<GroupTable>,
    /// What consumers want by expressions that are no tags.
    pub filters: Arc<FilterTable>,
    /// Topics, for the retry topics.
    pub topics: Arc<TopicTable>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a request of this family is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum Error {
    #[error("{0}")]
    Header(#[from] protocol::header::HeaderError),
    #[error("{0}")]
    Body(#[from] protocol::body::BodyError),
    #[error("the heartbeat names no client id")]
    NoClientId,
    #[error("the specified {what} is longer than {what} max length {max}")]
    TooLong { what: &'static str, max: usize },
    #[error("{0}")]
    NoRoom(#[from] Exhausted),
    #[error("no consumer for this group, {0}")]
    NoMember(String),
    #[error(
        "subscription group [{0}] does not exist, create it or let the broker do so (autoCreateSubscriptionGroup)"
    )]
    GroupUnknown(String),
    #[error("{0}")]
    Expression(String),
    #[error("The broker does not support consumer to filter message by {0}")]
    FilterType(String),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Error::Header(_)
            | Error::Body(_)
            | Error::NoClientId
            | Error::TooLong { .. }
            | Error::NoMember(_)
            | Error::FilterType(_) => response::SYSTEM_ERROR,
            Error::NoRoom(_) => response::SYSTEM_BUSY,
            Error::GroupUnknown(_) => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            Error::Expression(_) => response::SUBSCRIPTION_PARSE_FAILED,
        }
    }
}

impl Client {
    /// HEART_BEAT.
    pub fn heartbeat(&self, request: Request) {
        let Request { frame, responder } = request;
        let data: HeartbeatData = match protocol::body::read_request(&frame.body) {
            Ok(data) => data,
            Err(e) => return refuse(responder, &Error::Body(e)),
        };
        if let Err(e) = check_lengths(&data) {
            return refuse(responder, &e);
        }
        let heard = Heard {
            client_id: &data.client_id,
            conn: responder.peer(),
            language: frame.language,
            version: frame.version,
            account: acl::identity(&frame).0,
            now: self.clock.now_ms(),
        };
        // Unlike Java 4.9 the answer says that the short heartbeat form is understood, as 5.x does.
        let subscription_changed = match self.enter(&data, heard) {
            Ok(changed) => changed,
            Err(e) => return refuse(responder, &e),
        };
        if !responder.peer().is_open() {
            // It closed while this was read: nobody will come to take its client out any more.
            self.closed(responder.peer().as_ref());
        }
        let answer = HeartbeatResponseHeader {
            support_heartbeat_v2: true,
            subscription_changed,
        };
        responder.reply(response::SUCCESS, None, &answer, Body::Empty);
    }

    /// Takes in all groups; true if the client must send its subscriptions in full.
    fn enter(&self, data: &HeartbeatData, heard: Heard<'_>) -> Result<bool, Error> {
        let mut unknown = false;
        for group in &data.consumer_data_set {
            unknown |= self.join(group, heard, data.without_sub)?;
        }
        for group in &data.producer_data_set {
            self.producers.register(&group.group_name, heard)?;
        }
        Ok(unknown)
    }

    /// Takes in one consumer group; true if the client must send its subscriptions in full.
    fn join(&self, data: &ConsumerData, heard: Heard<'_>, without_sub: bool) -> Result<bool, Error> {
        let now = heard.now;
        let auto_create = self.settings.load().broker.auto_create_subscription_group;
        let config = self.groups.find(&data.group_name, auto_create, now);
        if let Some(config) = &config {
            let unit = if data.unit_mode {
                topic_flag::UNIT_SUBSCRIPTION
            } else {
                0
            };
            let retry = name::retry_topic(&data.group_name);
            let queues = config.retry_queue_nums;
            let made = self
                .topics
                .create_for_group(&retry, queues, perm::READ | perm::WRITE, unit, now);
            if let Err(e) = made {
                tracing::warn!("retry topic {retry} not made: {e}");
            }
        }
        let unknown = without_sub && !self.consumers.knows(&data.group_name);
        // First: a pull of the new member finds its filter.
        if without_sub {
            let group = data.group_name.as_str();
            let is_subscribed = |topic: &str| {
                let view = self.consumers.view(group, topic);
                let subscription = view.and_then(|view| view.subscription);
                subscription.is_some_and(|subscription| !is_tag_type(&subscription.data.expression_type))
            };
            self.filters.keep_alive(group, is_subscribed);
        } else {
            self.filters.register(
                heard.conn.address().ip(),
                &data.group_name,
                &data.subscription_data_set,
            )?;
        }
        if let Some(notice) = self.consumers.register(data, heard, without_sub)? {
            self.notify(notice);
        }
        Ok(unknown)
    }

    /// UNREGISTER_CLIENT.
    pub fn unregister(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = match frame.header::<UnregisterClientRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let conn_id = responder.peer().id();
        if let Some(group) = header.producer_group.as_deref() {
            self.producers.unregister(group, conn_id);
        }
        if let Some(group) = header.consumer_group.as_deref() {
            if let Some(client_id) = header.client_id.as_deref() {
                self.consumers.settle(group, client_id);
            }
            if let Some(notice) = self.consumers.unregister(group, conn_id) {
                self.left(&notice);
                self.notify(notice);
            }
        }
        responder.ok();
    }

    /// GET_CONSUMER_LIST_BY_GROUP.
    pub fn list(&self, request: Request) {
        let Request { frame, responder } = request;
        let header = match frame.header::<ConsumerGroupRequestHeader<'_>>() {
            Ok(header) => header,
            Err(e) => return refuse(responder, &Error::Header(e)),
        };
        let consumer_id_list = self.consumers.client_ids(&header.consumer_group);
        match consumer_id_list.is_empty() {
            false => responder.body(&ConsumerIdList { consumer_id_list }),
            true => refuse(responder, &Error::NoMember(header.consumer_group.to_string())),
        }
    }

    /// CHECK_CLIENT_CONFIG.
    pub fn check(&self, request: Request) {
        let Request { frame, responder } = request;
        let body: CheckClientRequestBody = match protocol::body::read_request(&frame.body) {
            Ok(body) => body,
            Err(e) => return refuse(responder, &Error::Body(e)),
        };
        let Some(subscription) = body.subscription_data else {
            return responder.ok();
        };
        let kind = subscription.expression_type.as_str();
        // As in Java nothing is said of tags.
        let outcome = if is_tag_type(kind) {
            Ok(())
        } else if !self.settings.load().broker.enable_property_filter {
            Err(Error::FilterType(kind.to_owned()))
        } else if kind == SQL92 {
            let compiled = self.filters.compile(&subscription.sub_string);
            compiled
                .map(drop)
                .map_err(|refused| Error::Expression(refused.to_string()))
        } else {
            Err(Error::Expression(format!("{kind} is no type of expressions")))
        };
        match outcome {
            Ok(()) => responder.ok(),
            Err(e) => refuse(responder, &e),
        }
    }

    /// A connection is gone: its client leaves every group.
    pub fn closed(&self, conn: &dyn Peer) {
        self.producers.closed(conn.id());
        for notice in self.consumers.closed(conn.id()) {
            self.left(&notice);
            // As in Java whatever the group's settings say: nobody else tells of it.
            self.tell(notice);
        }
    }

    /// A member left its group.
    fn left(&self, notice: &Notice) {
        if notice.members.is_empty() {
            self.filters.unregister(&notice.group);
        }
    }

    /// Closes connections of clients that stopped sending heartbeats.
    pub fn expire(&self) {
        let now = self.clock.now_ms();
        for conn in self
            .consumers
            .expired(now)
            .into_iter()
            .chain(self.producers.expired(now))
        {
            conn.close("no heartbeat for 120 s");
        }
    }

    /// Tells every member that the group changed, if the group's settings want that.
    fn notify(&self, notice: Notice) {
        let config = self.groups.get(&notice.group);
        if config.is_none_or(|c| c.notify_consumer_ids_changed_enable) {
            self.tell(notice);
        }
    }

    /// Tells every member that the group changed, so that they share its queues anew.
    fn tell(&self, notice: Notice) {
        if !self.settings.load().broker.notify_consumer_ids_changed_enable {
            return;
        }
        let header = NotifyConsumerIdsChangedRequestHeader {
            consumer_group: notice.group.as_str().into(),
        };
        for conn in notice.members {
            if let Err(e) = conn.oneway(request::NOTIFY_CONSUMER_IDS_CHANGED, &header, Body::Empty) {
                tracing::debug!("{} not told of group {}: {e}", conn.address(), notice.group);
            }
        }
    }
}

/// Names longer than any that could be made are refused: a heartbeat is kept. What characters they have is not looked at,
/// as in Java.
fn check_lengths(data: &HeartbeatData) -> Result<(), Error> {
    if data.client_id.is_empty() {
        return Err(Error::NoClientId);
    }
    let limit = |what, text: &str, max| match text.len() > max {
        true => Err(Error::TooLong { what, max }),
        false => Ok(()),
    };
    limit("client id", &data.client_id, CLIENT_ID_MAX_LEN)?;
    for group in &data.producer_data_set {
        limit("group", &group.group_name, name::GROUP_MAX_LEN)?;
    }
    for group in &data.consumer_data_set {
        limit("group", &group.group_name, name::GROUP_MAX_LEN)?;
        for subscription in &group.subscription_data_set {
            // A retry topic's name is longer than its group's.
            let max = name::GROUP_MAX_LEN + name::RETRY_PREFIX.len();
            limit("topic", &subscription.topic, max)?;
        }
    }
    Ok(())
}

/// Bits of topicSysFlag (RocketMQ 4.9.8, TopicSysFlag).
mod topic_flag {
    pub(super) const UNIT_SUBSCRIPTION: i32 = 2;
}

fn refuse(responder: remoting::Responder, e: &Error) {
    responder.error(e.code(), &e.to_string());
}
