//! Request code → handler.

use crate::handlers::{broker::Brokers, kv::Kv, settings::SettingsRequests, topic::Topics};
use crate::limits;
use protocol::code::{request as code, response};
use remoting::{Connection, Request, Service};
use std::collections::VecDeque;
use std::sync::Arc;

/// All handlers of a name server.
pub struct Dispatch {
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
            self.serve_one(request);
            if conn.should_yield() {
                return;
            }
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.brokers.closed(conn.as_ref());
    }
}

impl Dispatch {
    fn serve_one(&self, request: Request) {
        if let Err(long) = limits::check_fields(&request.frame) {
            return request
                .responder
                .error(response::SYSTEM_ERROR, &format!("the header's field {long}"));
        }
        match request.frame.code {
            code::GET_ROUTEINFO_BY_TOPIC => self.topics.route(request),
            code::REGISTER_BROKER => self.brokers.register(request),
            code::UNREGISTER_BROKER => self.brokers.unregister(request),
            code::QUERY_DATA_VERSION => self.brokers.query_data_version(request),
            code::BROKER_HEARTBEAT => self.brokers.heartbeat(request),
            code::GET_BROKER_CLUSTER_INFO => self.brokers.cluster_info(request),
            code::GET_BROKER_MEMBER_GROUP => self.brokers.member_group(request),
            code::WIPE_WRITE_PERM_OF_BROKER => self.brokers.wipe_write_permission(request),
            code::ADD_WRITE_PERM_OF_BROKER => self.brokers.add_write_permission(request),
            code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => self.topics.all(request),
            code::DELETE_TOPIC_IN_NAMESRV => self.topics.delete(request),
            code::REGISTER_TOPIC_IN_NAMESRV => self.topics.register(request),
            code::GET_TOPICS_BY_CLUSTER => self.topics.by_cluster(request),
            code::GET_SYSTEM_TOPIC_LIST_FROM_NS => self.topics.system(request),
            code::GET_UNIT_TOPIC_LIST => self.topics.unit(request),
            code::GET_HAS_UNIT_SUB_TOPIC_LIST => self.topics.unit_subscription(request),
            code::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => self.topics.unit_subscription_without_unit(request),
            code::PUT_KV_CONFIG => self.kv.put(request),
            code::GET_KV_CONFIG => self.kv.get(request),
            code::DELETE_KV_CONFIG => self.kv.delete(request),
            code::GET_KVLIST_BY_NAMESPACE => self.kv.list(request),
            code::UPDATE_NAMESRV_CONFIG => self.settings.update(request),
            code::GET_NAMESRV_CONFIG => self.settings.get(request),
            // Unlike Java 4.9, which does not answer at all and lets the caller wait for its timeout.
            other => {
                let remark = format!(" request type {other} not supported");
                request
                    .responder
                    .error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
            }
        }
    }
}
