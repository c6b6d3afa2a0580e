//! From request code to handler: a `match` and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::code::{request, response};
use remoting::{Connection, Request, Service};

use crate::handlers::admin::group::Group;
use crate::handlers::admin::runtime::Runtime;
use crate::handlers::admin::settings::SettingsRequests;
use crate::handlers::admin::topic::Topic;
use crate::handlers::client::Client;
use crate::handlers::consumer_offset::ConsumerOffset;
use crate::handlers::lock::Lock;
use crate::handlers::pull::Pull;
use crate::handlers::query::Query;
use crate::handlers::send::Send;
use crate::handlers::send_back::SendBack;

/// Every handler, behind one port.
pub struct Handlers {
    pub(crate) send: Send,
    pub(crate) send_back: SendBack,
    pub(crate) pull: Arc<Pull>,
    pub(crate) query: Query,
    pub(crate) client: Client,
    pub(crate) offset: ConsumerOffset,
    pub(crate) lock: Lock,
    pub(crate) topic: Topic,
    pub(crate) group: Group,
    pub(crate) settings: SettingsRequests,
    pub(crate) runtime: Runtime,
}

/// The service of one listener.
pub struct Port {
    /// The handlers, shared by both ports.
    pub handlers: Arc<Handlers>,
    /// Pulls are served here; the VIP port (listenPort - 2) does not (RocketMQ 4.9.8, BrokerController).
    pub pulls: bool,
}

impl Service for Port {
    fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        while let Some(next) = requests.front() {
            match next.frame.code {
                request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                    self.handlers.send.handle(requests);
                }
                _ => {
                    if let Some(request) = requests.pop_front() {
                        self.handlers.route(request, self.pulls);
                    }
                }
            }
            if conn.should_yield() {
                return;
            }
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.handlers.client.closed(conn.as_ref());
    }
}

impl Handlers {
    fn route(&self, r: Request, pulls: bool) {
        match r.frame.code {
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE if pulls => self.pull.handle(r),
            request::CONSUMER_SEND_MSG_BACK => self.send_back.handle(r),
            request::QUERY_MESSAGE => self.query.by_key(r),
            request::VIEW_MESSAGE_BY_ID => self.query.view(r),
            request::HEART_BEAT => self.client.heartbeat(r),
            request::UNREGISTER_CLIENT => self.client.unregister(r),
            request::GET_CONSUMER_LIST_BY_GROUP => self.client.list(r),
            request::CHECK_CLIENT_CONFIG => self.client.check(r),
            request::QUERY_CONSUMER_OFFSET => self.offset.query(r),
            request::UPDATE_CONSUMER_OFFSET => self.offset.update(r),
            request::SEARCH_OFFSET_BY_TIMESTAMP => self.offset.search(r),
            request::GET_MAX_OFFSET => self.offset.max(r),
            request::GET_MIN_OFFSET => self.offset.min(r),
            request::GET_EARLIEST_MSG_STORETIME => self.offset.earliest(r),
            request::GET_ALL_CONSUMER_OFFSET => self.offset.all(r),
            request::LOCK_BATCH_MQ => self.lock.lock(r),
            request::UNLOCK_BATCH_MQ => self.lock.unlock(r),
            request::UPDATE_AND_CREATE_TOPIC => self.topic.create(r),
            request::UPDATE_AND_CREATE_TOPIC_LIST => self.topic.create_list(r),
            request::GET_ALL_TOPIC_CONFIG => self.topic.all(r),
            request::GET_TOPIC_CONFIG => self.topic.one(r),
            request::GET_TOPIC_STATS_INFO => self.topic.stats(r),
            request::DELETE_TOPIC_IN_BROKER => self.topic.delete(r),
            request::QUERY_TOPIC_CONSUME_BY_WHO => self.topic.consumed_by(r),
            request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => self.topic.system(r),
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => self.group.create(r),
            request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => self.group.create_list(r),
            request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => self.group.all(r),
            request::GET_SUBSCRIPTIONGROUP_CONFIG => self.group.one(r),
            request::DELETE_SUBSCRIPTIONGROUP => self.group.delete(r),
            request::GET_CONSUMER_CONNECTION_LIST => self.group.consumer_connections(r),
            request::GET_PRODUCER_CONNECTION_LIST => self.group.producer_connections(r),
            request::GET_CONSUME_STATS => self.group.consume_stats(r),
            request::QUERY_TOPICS_BY_CONSUMER => self.group.topics_of(r),
            request::UPDATE_BROKER_CONFIG => self.settings.update(r),
            request::GET_BROKER_CONFIG => self.settings.get(r),
            request::GET_BROKER_RUNTIME_INFO => self.runtime.get(r),
            code => {
                let remark = format!(" request type {code} not supported");
                r.responder.error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
            }
        }
    }
}
