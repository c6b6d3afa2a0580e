//! From request code to handler: the gate, then a `match` and nothing else.

mod gate;

use std::collections::VecDeque;
use std::sync::Arc;

use disk::Disk;
use protocol::code::{request, response};
use remoting::{Connection, Peer, Request, Service};

pub use gate::{Gate, Pass, Refusal};

use crate::commitlog::Reput;
use crate::handlers::admin::acl::AclRequests;
use crate::handlers::admin::cleanup::Cleanup;
use crate::handlers::admin::group::Group;
use crate::handlers::admin::ha::Ha;
use crate::handlers::admin::offset::Offset;
use crate::handlers::admin::queue::ConsumeQueue;
use crate::handlers::admin::relay::Relay;
use crate::handlers::admin::reset::Reset;
use crate::handlers::admin::runtime::Runtime;
use crate::handlers::admin::settings::SettingsRequests;
use crate::handlers::admin::stats::BrokerStats;
use crate::handlers::admin::topic::Topic;
use crate::handlers::client::{Client, LONG_HEARTBEAT_BYTES};
use crate::handlers::consumer_offset::ConsumerOffset;
use crate::handlers::lock::Lock;
use crate::handlers::pull::{HeldPull, Pull};
use crate::handlers::query::Query;
use crate::handlers::send::Send;
use crate::handlers::send_back::SendBack;
use crate::handlers::transaction::Transaction;
use crate::lane::{Lane, Lanes, MayWait};

/// Every handler, behind one port.
pub struct Handlers<D: Disk> {
    pub(crate) gate: Gate,
    pub(crate) lanes: Lanes,
    pub(crate) reput: Arc<Reput<D>>,
    pub(crate) send: Send<D>,
    pub(crate) send_back: SendBack<D>,
    pub(crate) transaction: Transaction<D>,
    pub(crate) pull: Arc<Pull<D>>,
    pub(crate) query: Query<D>,
    pub(crate) client: Client,
    pub(crate) offset: ConsumerOffset<D>,
    pub(crate) lock: Lock,
    pub(crate) topic: Topic<D>,
    pub(crate) group: Group<D>,
    pub(crate) settings: SettingsRequests<D>,
    pub(crate) runtime: Runtime<D>,
    pub(crate) ha: Ha<D>,
    pub(crate) relay: Relay<D>,
    pub(crate) reset: Reset<D>,
    pub(crate) offsets: Offset<D>,
    pub(crate) queue: ConsumeQueue<D>,
    pub(crate) cleanup: Cleanup<D>,
    pub(crate) stats: BrokerStats,
    pub(crate) acl: AclRequests<D>,
}

/// The service of one listener.
pub struct Port<D: Disk> {
    /// The handlers, shared by both ports.
    pub handlers: Arc<Handlers<D>>,
    /// Pulls are served here; the VIP port (listenPort - 2) does not (RocketMQ 4.9.8, BrokerController).
    pub pulls: bool,
}

impl<D: Disk + Clone> Service for Port<D> {
    fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        self.handlers.serve(requests, self.pulls, &|| conn.should_yield());
    }

    fn served(&self) {
        self.handlers.reput.wake();
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.handlers.closed(conn.as_ref());
    }
}

impl<D: Disk + Clone> Handlers<D> {
    /// Serves requests that came together, in order; sends that follow one another are appended together. Where the peer
    /// should read its answers first, the rest stays for later.
    pub fn serve(
        self: &Arc<Self>,
        requests: &mut VecDeque<Request>,
        pulls: bool,
        should_yield: &dyn Fn() -> bool,
    ) {
        let pass = self.gate.look();
        pass.refuse_strangers(requests);
        while let Some(next) = requests.front() {
            if let Some(Refusal { code, remark }) = pass.refusal(next) {
                if let Some(Request { responder, .. }) = requests.pop_front() {
                    responder.error(code, remark);
                }
                continue;
            }
            match next.frame.code {
                request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                    self.send.handle(requests);
                }
                _ => {
                    if let Some(request) = requests.pop_front() {
                        self.route(request, pulls);
                    }
                }
            }
            if !requests.is_empty() && should_yield() {
                return;
            }
        }
    }

    /// Runs a held pull once more.
    pub fn pull_again(&self, held: HeldPull) {
        self.pull.again(held);
    }

    /// A peer is gone.
    pub fn closed(&self, peer: &dyn Peer) {
        self.client.closed(peer);
    }

    /// Serves a request in a lane.
    fn in_lane(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        request: Request,
        serve: fn(&Handlers<D>, Request, MayWait),
    ) {
        let Request { frame, responder } = request;
        let (handlers, frame) = (Arc::clone(self), frame.detached());
        let bytes = frame.len_bytes();
        lane.serve(responder, bytes, move |responder, may| {
            serve(&handlers, Request { frame, responder }, may);
        });
    }

    fn route(self: &Arc<Self>, r: Request, pulls: bool) {
        match r.frame.code {
            request::PULL_MESSAGE | request::LITE_PULL_MESSAGE if pulls => self.pull.handle(r),
            request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => self.send.reply(r),
            request::CONSUMER_SEND_MSG_BACK => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.send_back.handle(r, may));
            }
            request::END_TRANSACTION if self.transaction.is_cold(&r) => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.transaction.end_cold(r, may));
            }
            request::END_TRANSACTION => self.transaction.end(r),
            request::QUERY_MESSAGE | request::VIEW_MESSAGE_BY_ID
                if self.query.is_overloaded(&self.lanes.search) =>
            {
                self.query.refuse_overload(r);
            }
            request::QUERY_MESSAGE => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.query.by_key(r, may));
            }
            request::VIEW_MESSAGE_BY_ID => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.query.view(r, may));
            }
            request::SEARCH_OFFSET_BY_TIMESTAMP => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.offset.search(r, may));
            }
            request::GET_EARLIEST_MSG_STORETIME => {
                self.in_lane(&self.lanes.search, r, |h, r, may| h.offset.earliest(r, may));
            }
            request::CONSUME_MESSAGE_DIRECTLY => {
                self.in_lane(&self.lanes.search, r, |h, r, may| {
                    h.relay.consume_directly(r, may)
                });
            }
            request::GET_CONSUMER_RUNNING_INFO => self.relay.running_info(r),
            request::HEART_BEAT if r.frame.body.len() > LONG_HEARTBEAT_BYTES => {
                self.in_lane(&self.lanes.admin, r, |h, r, _| h.client.heartbeat(r));
            }
            request::HEART_BEAT => self.client.heartbeat(r),
            request::UNREGISTER_CLIENT => self.client.unregister(r),
            request::GET_CONSUMER_LIST_BY_GROUP => self.client.list(r),
            request::CHECK_CLIENT_CONFIG => self.client.check(r),
            request::QUERY_CONSUMER_OFFSET => self.offset.query(r, &self.lanes.search),
            request::UPDATE_CONSUMER_OFFSET => self.offset.update(r),
            request::GET_MAX_OFFSET => self.offset.max(r),
            request::GET_MIN_OFFSET => self.offset.min(r),
            request::LOCK_BATCH_MQ => self.lock.lock(r),
            request::UNLOCK_BATCH_MQ => self.lock.unlock(r),
            code => match admin(code) {
                Some(serve) => self.in_lane(&self.lanes.admin, r, serve),
                None => {
                    let remark = format!(" request type {code} not supported");
                    r.responder.error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
                }
            },
        }
    }
}

/// Operators' requests: all of them may wait.
fn admin<D: Disk + Clone>(code: i32) -> Option<fn(&Handlers<D>, Request, MayWait)> {
    Some(match code {
        request::GET_ALL_CONSUMER_OFFSET => |h, r, may| h.offset.all(r, may),
        request::UPDATE_AND_CREATE_TOPIC => |h, r, may| h.topic.create(r, may),
        request::UPDATE_AND_CREATE_TOPIC_LIST => |h, r, may| h.topic.create_list(r, may),
        request::GET_ALL_TOPIC_CONFIG => |h, r, may| h.topic.all(r, may),
        request::GET_TOPIC_CONFIG => |h, r, may| h.topic.one(r, may),
        request::GET_TOPIC_STATS_INFO => |h, r, may| h.topic.stats(r, may),
        request::DELETE_TOPIC_IN_BROKER => |h, r, may| h.topic.delete(r, may),
        request::QUERY_TOPIC_CONSUME_BY_WHO => |h, r, may| h.topic.consumed_by(r, may),
        request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => |h, r, may| h.topic.system(r, may),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => |h, r, may| h.group.create(r, may),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => |h, r, may| h.group.create_list(r, may),
        request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => |h, r, may| h.group.all(r, may),
        request::GET_SUBSCRIPTIONGROUP_CONFIG => |h, r, may| h.group.one(r, may),
        request::DELETE_SUBSCRIPTIONGROUP => |h, r, may| h.group.delete(r, may),
        request::GET_CONSUMER_CONNECTION_LIST => |h, r, may| h.group.consumer_connections(r, may),
        request::GET_PRODUCER_CONNECTION_LIST => |h, r, may| h.group.producer_connections(r, may),
        request::GET_CONSUME_STATS => |h, r, may| h.group.consume_stats(r, may),
        request::GET_BROKER_CONSUME_STATS => |h, r, may| h.group.all_consume_stats(r, may),
        request::GET_ALL_PRODUCER_INFO => |h, r, may| h.group.producers(r, may),
        request::QUERY_TOPICS_BY_CONSUMER => |h, r, may| h.group.topics_of(r, may),
        request::QUERY_SUBSCRIPTION_BY_CONSUMER => |h, r, may| h.group.subscription(r, may),
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => |h, r, may| h.relay.statuses(r, may),
        request::INVOKE_BROKER_TO_RESET_OFFSET => |h, r, may| h.reset.reset(r, may),
        request::QUERY_CONSUME_TIME_SPAN => |h, r, may| h.offsets.time_span(r, may),
        request::QUERY_CORRECTION_OFFSET => |h, r, may| h.offsets.correction(r, may),
        request::CLONE_GROUP_OFFSET => |h, r, may| h.offsets.clone_group(r, may),
        request::VIEW_BROKER_STATS_DATA => |h, r, may| h.stats.view(r, may),
        request::QUERY_CONSUME_QUEUE => |h, r, may| h.queue.query(r, may),
        request::CLEAN_EXPIRED_CONSUMEQUEUE => |h, r, may| h.cleanup.expired_queues(r, may),
        request::CLEAN_UNUSED_TOPIC => |h, r, may| h.cleanup.unused_topics(r, may),
        request::DELETE_EXPIRED_COMMITLOG => |h, r, may| h.cleanup.expired_log(r, may),
        request::UPDATE_BROKER_CONFIG => |h, r, may| h.settings.update(r, may),
        request::GET_BROKER_CONFIG => |h, r, may| h.settings.get(r, may),
        request::GET_ALL_DELAY_OFFSET => |h, r, may| h.ha.delay_offsets(r, may),
        request::GET_TIMER_METRICS => |h, r, may| h.ha.timer_metrics(r, may),
        request::GET_ALL_MESSAGE_REQUEST_MODE => |h, r, may| h.ha.request_modes(r, may),
        request::GET_BROKER_HA_STATUS => |h, r, may| h.ha.status(r, may),
        request::GET_BROKER_RUNTIME_INFO => |h, r, may| h.runtime.get(r, may),
        request::UPDATE_AND_CREATE_ACL_CONFIG => |h, r, may| h.acl.update(r, may),
        request::DELETE_ACL_CONFIG => |h, r, may| h.acl.delete(r, may),
        request::GET_BROKER_CLUSTER_ACL_INFO => |h, r, may| h.acl.info(r, may),
        request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG => |h, r, may| h.acl.update_white(r, may),
        request::GET_BROKER_CLUSTER_ACL_CONFIG => |h, r, may| h.acl.config(r, may),
        request::RESUME_CHECK_HALF_MESSAGE => |h, r, may| h.transaction.resume(r, may),
        _ => return None,
    })
}
