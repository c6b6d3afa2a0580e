//! From request code to handler: the gate, then a `match` and nothing else.

mod admin;
mod gate;

use std::collections::VecDeque;
use std::sync::Arc;

use disk::Disk;
use protocol::code::{request, response};
use remoting::{Connection, Peer, Request, Service};

pub use gate::{Gate, Pass, Refusal};

use crate::commitlog::Reput;
use crate::handlers::admin::Admin;
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
    pub(crate) admin: Admin<D>,
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

    /// Answers a slave whose request for the runtime information was held.
    pub fn answer_look(self: &Arc<Self>, request: Request) {
        self.in_lane(&self.lanes.admin, request, |h, r, may| {
            h.admin.runtime.answer(r, may)
        });
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
                    h.admin.relay.consume_directly(r, may)
                });
            }
            request::GET_CONSUMER_RUNNING_INFO => self.admin.relay.running_info(r),
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
            code => match admin::admin(code) {
                Some(serve) => self.in_lane(&self.lanes.admin, r, serve),
                None => {
                    let remark = format!(" request type {code} not supported");
                    r.responder.error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
                }
            },
        }
    }
}
