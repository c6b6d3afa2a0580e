//! Request code → handler.
//!
//! What a client or broker waits for (routes, signs of life, short registrations) is served on the connection's task; it takes
//! short locks and nothing else. Everything else runs in a lane.

use crate::gate::{Gate, REFUSED};
use crate::handlers::{broker::Brokers, kv::Kv, settings::SettingsRequests, topic::Topics};
use crate::lanes::Lanes;
use crate::limits;
use protocol::code::{request as code, response};
use remoting::lane::{Lane, MayWait};
use remoting::{Connection, Request, Service};
use std::collections::VecDeque;
use std::sync::Arc;

/// The service of a name server.
pub struct Dispatch(pub Arc<Handlers>);

/// All handlers of a name server.
pub struct Handlers {
    /// Who may change what.
    pub gate: Arc<Gate>,
    /// Where requests run that may wait.
    pub lanes: Lanes,
    /// Registration and liveness.
    pub brokers: Brokers,
    /// Routes and topic lists.
    pub topics: Topics,
    /// The key-value configuration.
    pub kv: Kv,
    /// The server's own settings.
    pub settings: SettingsRequests,
}

impl Service for Dispatch {
    fn serve(&self, conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        while let Some(request) = requests.pop_front() {
            self.0.serve_one(request);
            if conn.should_yield() {
                return;
            }
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.0.brokers.closed(conn.as_ref());
    }
}

impl Handlers {
    fn serve_one(self: &Arc<Self>, request: Request) {
        if let Err(long) = limits::check_fields(&request.frame) {
            return request
                .responder
                .error(response::SYSTEM_ERROR, &format!("the header's field {long}"));
        }
        let peer = request.responder.peer().address().ip();
        if !self.gate.lets_in(&request.frame, peer) {
            return request.responder.error(response::NO_PERMISSION, REFUSED);
        }
        match request.frame.code {
            code::GET_ROUTEINFO_BY_TOPIC => self.topics.route(request),
            code::REGISTER_BROKER => {
                if let Some(long) = self.brokers.register_short(request) {
                    self.in_lane(&self.lanes.registrations, long, |h, r, may| {
                        h.brokers.register(r, may)
                    });
                }
            }
            code::UNREGISTER_BROKER => self.brokers.unregister(request),
            code::QUERY_DATA_VERSION => self.brokers.query_data_version(request),
            code::BROKER_HEARTBEAT => self.brokers.heartbeat(request),
            code::GET_BROKER_MEMBER_GROUP => self.brokers.member_group(request),
            code::GET_KV_CONFIG => self.kv.get(request),
            code::GET_KVLIST_BY_NAMESPACE => self.kv.list(request),
            other => match admin(other) {
                Some(serve) => self.in_lane(&self.lanes.admin, request, serve),
                // Unlike Java 4.9, which does not answer at all and lets the caller wait for its timeout.
                None => {
                    let remark = format!(" request type {other} not supported");
                    request
                        .responder
                        .error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
                }
            },
        }
    }

    /// Serves a request in a lane.
    fn in_lane(self: &Arc<Self>, lane: &Arc<Lane>, request: Request, serve: fn(&Handlers, Request, MayWait)) {
        let Request { frame, responder } = request;
        let (handlers, frame) = (Arc::clone(self), frame.detached());
        let bytes = frame.len_bytes();
        lane.serve(responder, bytes, move |responder, may| {
            serve(&handlers, Request { frame, responder }, may);
        });
    }
}

/// Operators' requests: all of them may wait.
fn admin(code: i32) -> Option<fn(&Handlers, Request, MayWait)> {
    Some(match code {
        code::GET_BROKER_CLUSTER_INFO => |h, r, may| h.brokers.cluster_info(r, may),
        code::WIPE_WRITE_PERM_OF_BROKER => |h, r, may| h.brokers.wipe_write_permission(r, may),
        code::ADD_WRITE_PERM_OF_BROKER => |h, r, may| h.brokers.add_write_permission(r, may),
        code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => |h, r, may| h.topics.all(r, may),
        code::DELETE_TOPIC_IN_NAMESRV => |h, r, may| h.topics.delete(r, may),
        code::REGISTER_TOPIC_IN_NAMESRV => |h, r, may| h.topics.register(r, may),
        code::GET_TOPICS_BY_CLUSTER => |h, r, may| h.topics.by_cluster(r, may),
        code::GET_SYSTEM_TOPIC_LIST_FROM_NS => |h, r, may| h.topics.system(r, may),
        code::GET_UNIT_TOPIC_LIST => |h, r, may| h.topics.unit(r, may),
        code::GET_HAS_UNIT_SUB_TOPIC_LIST => |h, r, may| h.topics.unit_subscription(r, may),
        code::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => {
            |h, r, may| h.topics.unit_subscription_without_unit(r, may)
        }
        code::PUT_KV_CONFIG => |h, r, may| h.kv.put(r, may),
        code::DELETE_KV_CONFIG => |h, r, may| h.kv.delete(r, may),
        code::UPDATE_NAMESRV_CONFIG => |h, r, may| h.settings.update(r, may),
        code::GET_NAMESRV_CONFIG => |h, r, may| h.settings.get(r, may),
        _ => return None,
    })
}
